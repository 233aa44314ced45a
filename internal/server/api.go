package server

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// Pages of the API.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// routeAPI adds the API. It only reads.
func (s *Server) routeAPI(mux *http.ServeMux) {
	for path, h := range map[string]apiHandler{
		"/api/v1/summary":               s.summary,
		"/api/v1/sources":               s.sources,
		"/api/v1/targets":               s.targets,
		"/api/v1/targets/{target}":      s.target,
		"/api/v1/findings":              s.findings,
		"/api/v1/certificates/{sha256}": s.certificate,
	} {
		mux.Handle("GET "+path, s.whenLoaded(h))
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			fail(w, r, &apiError{http.StatusMethodNotAllowed, "the API only reads: want GET"})
			return
		}
		fail(w, r, &apiError{http.StatusNotFound, "there is nothing at " + strconv.QuoteToASCII(r.URL.Path) + ": docs/api.md lists what there is"})
	})
}

// An apiHandler returns what to answer as JSON.
type apiHandler func(r *http.Request) (any, error)

// An apiError is the caller's: what is wrong, and what to do.
type apiError struct {
	status  int
	message string
}

func (e *apiError) Error() string { return e.message }

func badRequest(format string, args ...any) error {
	return &apiError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// whenLoaded answers with what h returns once everything that is stored is
// known.
func (s *Server) whenLoaded(h apiHandler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.opt.Index.isLoaded() {
			w.Header().Set("Retry-After", "5")
			fail(w, r, &apiError{http.StatusServiceUnavailable, "what is stored is being loaded: ask again in a few seconds"})
			return
		}
		v, err := h(r)
		if err != nil {
			known, ok := errors.AsType[*apiError](err)
			if !ok {
				if r.Context().Err() == nil {
					s.opt.Log.ErrorContext(r.Context(), "answer a request", "path", r.URL.Path, "err", err)
				}
				known = &apiError{http.StatusInternalServerError, "this cannot be answered now: the log says why"}
			}
			fail(w, r, known)
			return
		}
		answer(w, r, http.StatusOK, v)
	})
}

func fail(w http.ResponseWriter, r *http.Request, e *apiError) {
	type problem struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
	}
	answer(w, r, e.status, struct {
		Schema int     `json:"schema"`
		Error  problem `json:"error"`
	}{inventory.RecordSchema, problem{e.status, e.message}})
}

// answer writes v as JSON, compressed for who takes that.
func answer(w http.ResponseWriter, r *http.Request, status int, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept-Encoding")
	var out io.Writer = w
	if takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // fails only for a level that is none
		defer z.Close()
		out = z
	}
	w.WriteHeader(status)
	// What fails now is the connection: there is nobody left to tell.
	_ = json.NewEncoder(out).Encode(v)
}

// takesGzip reads Accept-Encoding (RFC 9110, section 12.5.3).
func takesGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		coding, q, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			v, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(q), "q="), 64)
			return err != nil || v > 0
		}
	}
	return false
}

// A filter is what a caller asks to see of targets and findings.
type filter struct {
	selector inventory.Selector
	code     inventory.Code
	severity inventory.Severity // this or worse
	tier     inventory.Tier
	limit    int
	after    string
}

// parameters reads the query, in which only some keys may stand.
func parameters(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("the query cannot be read: %v", err)
	}
	for _, key := range slices.Sorted(maps.Keys(q)) {
		switch {
		case !slices.Contains(known, key) && len(known) == 0:
			return nil, badRequest("there is no parameter %q here, nor any other", key)
		case !slices.Contains(known, key):
			return nil, badRequest("there is no parameter %q here: want one of %s", key, strings.Join(known, ", "))
		case len(q[key]) > 1:
			return nil, badRequest("%s stands there twice", key)
		}
	}
	return q, nil
}

func readFilter(r *http.Request, known ...string) (f filter, err error) {
	q, err := parameters(r, append(known, "selector", "code", "severity", "tier", "limit", "after")...)
	if err != nil {
		return f, err
	}
	if f.selector, err = inventory.ParseSelector(q.Get("selector")); err != nil && q.Has("selector") {
		return f, badRequest("selector: %v", err)
	}
	f.code, f.tier, f.after = inventory.Code(q.Get("code")), inventory.Tier(q.Get("tier")), q.Get("after")
	if q.Has("code") && !slices.ContainsFunc(inventory.Codes(), func(i inventory.CodeInfo) bool { return i.Code == f.code }) {
		return f, badRequest("code: there is no finding %q", f.code)
	}
	f.severity = inventory.Severity(q.Get("severity"))
	if q.Has("severity") && !slices.Contains([]inventory.Severity{inventory.Critical, inventory.Warning, inventory.Info}, f.severity) {
		return f, badRequest("severity: %q is not known: want critical, warning or info", f.severity)
	}
	f.limit = defaultLimit
	if q.Has("limit") {
		if f.limit, err = strconv.Atoi(q.Get("limit")); err != nil || f.limit < 1 || f.limit > maxLimit {
			return f, badRequest("limit: %q is not a number from 1 to %d", q.Get("limit"), maxLimit)
		}
	}
	return f, nil
}

// wants reports whether a finding is asked for. t is nil for those that are no
// target's.
func (f *filter) wants(t *inventory.Target, x *inventory.Finding) bool {
	if f.code != "" && x.Code != f.code || f.severity != "" && !x.Severity.AtLeast(f.severity) {
		return false
	}
	if t == nil {
		return f.tier == "" && f.selector.MatchFleet(*x)
	}
	return f.selector.MatchFinding(*t, *x)
}

// wantsTarget reports whether a target is asked for: it is selected, or has a
// finding that is.
func (f *filter) wantsTarget(e *entry) bool {
	if f.tier != "" && e.record.Tier != f.tier {
		return false
	}
	if f.code == "" && f.severity == "" && f.selector.Match(e.target) {
		return true
	}
	return slices.ContainsFunc(e.findings, func(x inventory.Finding) bool { return f.wants(&e.target, &x) })
}

// A targetItem is a target in a list: its record, with what one filters by.
type targetItem struct {
	inventory.TargetRecord
	Host     string             `json:"host"`
	Port     uint16             `json:"port"`
	Protocol inventory.Protocol `json:"protocol"`
	Address  string             `json:"address,omitempty"`
	Labels   map[string]string  `json:"labels"`
	Sources  []string           `json:"sources"`
	Examined *time.Time         `json:"examined"` // last; null: not yet
	Failing  int                `json:"endpoints_failing"`
	Critical int                `json:"critical"` // findings of it and its endpoints that count
	Warning  int                `json:"warning"`
	Info     int                `json:"info"`
}

func newItem(e *entry) targetItem {
	t := e.target
	i := targetItem{
		TargetRecord: e.record, Host: t.Host, Port: t.Port, Protocol: t.Protocol, Address: t.Address,
		Labels: t.Labels, Sources: t.Sources, Failing: e.failing,
	}
	if i.Labels == nil {
		i.Labels = map[string]string{}
	}
	if i.Sources == nil {
		i.Sources = []string{}
	}
	if !e.at.IsZero() {
		at := e.at.UTC().Truncate(time.Second)
		i.Examined = &at
	}
	for _, f := range e.findings {
		switch {
		case !f.Counts():
		case f.Severity == inventory.Critical:
			i.Critical++
		case f.Severity == inventory.Warning:
			i.Warning++
		default:
			i.Info++
		}
	}
	return i
}

func (s *Server) targets(r *http.Request) (any, error) {
	f, err := readFilter(r)
	if err != nil {
		return nil, err
	}
	page := struct {
		Schema  int          `json:"schema"`
		Targets []targetItem `json:"targets"`
		Next    *string      `json:"next"` // for after; null: there are no more
	}{Schema: inventory.RecordSchema, Targets: []targetItem{}}
	for _, e := range s.opt.Index.after(f.after) {
		if !f.wantsTarget(e) {
			continue
		}
		if len(page.Targets) == f.limit {
			page.Next = &page.Targets[f.limit-1].Target
			break
		}
		page.Targets = append(page.Targets, newItem(e))
	}
	return page, nil
}

func (s *Server) target(r *http.Request) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	name := r.PathValue("target")
	res, err := s.opt.Fleet.Result(r.Context(), name)
	key := name
	if err == nil {
		key = res.Target.Key()
	}
	e := s.opt.Index.get(key)
	switch {
	case errors.Is(err, inventory.ErrUnknownTarget) && e != nil: // not examined yet
		res = inventory.Result{Target: e.target}
	case errors.Is(err, inventory.ErrUnknownTarget):
		return nil, &apiError{http.StatusNotFound, fmt.Sprintf("there is no target %q: /api/v1/targets lists them", name)}
	case err != nil:
		return nil, err
	}
	if e == nil { // known from earlier scans
		e = &entry{target: res.Target, record: inventory.NewTargetRecord(res)}
	}
	doc := struct {
		Schema    int                        `json:"schema"`
		Target    targetItem                 `json:"target"`
		Endpoints []inventory.EndpointRecord `json:"endpoints"`
	}{inventory.RecordSchema, newItem(e), []inventory.EndpointRecord{}}
	for _, v := range slices.Concat(res.Endpoints, res.Carried) {
		doc.Endpoints = append(doc.Endpoints, inventory.NewEndpointRecord(e.target, v))
	}
	return doc, nil
}

// A findingItem is a finding with the target that it is about.
type findingItem struct {
	inventory.Finding
	Target *string           `json:"target"` // null: it is no target's
	Labels map[string]string `json:"labels"`
}

// findings lists what is open. A page ends between two targets, so that none of
// it is seen twice or never.
func (s *Server) findings(r *http.Request) (any, error) {
	f, err := readFilter(r)
	if err != nil {
		return nil, err
	}
	page := struct {
		Schema   int           `json:"schema"`
		Findings []findingItem `json:"findings"`
		Next     *string       `json:"next"`
	}{Schema: inventory.RecordSchema, Findings: []findingItem{}}
	if f.after == "" {
		_, own := s.opt.Index.fleet()
		for i := range own {
			if f.wants(nil, &own[i]) {
				page.Findings = append(page.Findings, findingItem{own[i], nil, map[string]string{}})
			}
		}
	}
	last := ""
	for _, e := range s.opt.Index.after(f.after) {
		if f.tier != "" && e.record.Tier != f.tier {
			continue
		}
		for i := range e.findings {
			if !f.wants(&e.target, &e.findings[i]) {
				continue
			}
			key := e.target.Key()
			if len(page.Findings) >= f.limit && last != "" && key != last {
				page.Next = &last
				return page, nil
			}
			last = key
			labels := e.target.Labels
			if labels == nil {
				labels = map[string]string{}
			}
			page.Findings = append(page.Findings, findingItem{e.findings[i], &key, labels})
		}
	}
	return page, nil
}

func (s *Server) certificate(r *http.Request) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	q, err := inventory.ParseQuery(r.PathValue("sha256"))
	if err != nil || q.Digest == "" {
		return nil, badRequest("%q is not a SHA-256: want at least %d of its hexadecimal digits", r.PathValue("sha256"), inventory.MinDigest)
	}
	c, err := s.opt.Fleet.Certificate(r.Context(), q.Digest)
	if errors.Is(err, inventory.ErrUnknownCertificate) {
		return nil, &apiError{http.StatusNotFound, fmt.Sprintf("no certificate %s was seen", q.Digest)}
	}
	if err != nil {
		return nil, err
	}
	return struct {
		Schema      int                   `json:"schema"`
		Certificate inventory.Certificate `json:"certificate"`
		DER         []byte                `json:"der"` // base64
		FirstSeen   time.Time             `json:"first_seen"`
		ServedBy    []inventory.Serving   `json:"served_by"`
	}{inventory.RecordSchema, c.Certificate, c.DER, c.FirstSeen.UTC(), append([]inventory.Serving{}, c.ServedBy...)}, nil
}

func (s *Server) summary(r *http.Request) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	return struct {
		Schema  int    `json:"schema"`
		Version string `json:"version"`
		Summary Totals `json:"summary"`
	}{inventory.RecordSchema, s.opt.Version, s.opt.Index.totals()}, nil
}

func (s *Server) sources(r *http.Request) (any, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	sources, own := s.opt.Index.fleet()
	items := make([]sourceItem, len(sources))
	for i, src := range sources {
		items[i] = sourceItem{src, ofSource(own, src.Name)}
	}
	return struct {
		Schema  int          `json:"schema"`
		Sources []sourceItem `json:"sources"`
	}{inventory.RecordSchema, items}, nil
}

// A sourceItem is a source with the findings about it. One that lost most of its
// targets is up, and all the same not well.
type sourceItem struct {
	inventory.SourceStatus
	Findings []inventory.Finding `json:"findings"`
}

// ofSource returns those of findings that are about a source.
func ofSource(findings []inventory.Finding, name string) []inventory.Finding {
	about := []inventory.Finding{}
	for _, f := range findings {
		if f.Subject == (inventory.Subject{Kind: inventory.SubjectSource, ID: name}) {
			about = append(about, f)
		}
	}
	return about
}
