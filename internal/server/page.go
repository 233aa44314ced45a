package server

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed" // for the page
	"encoding/base64"
	"html/template"
	"net/http"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

// onPage is how many findings the page shows.
const onPage = 10

// pageData is what the page says. Foreign text in it is escaped by the
// template, and cleaned before.
type pageData struct {
	Style                template.CSS
	Version, ExternalURL string
	Loaded               bool
	Totals               Totals
	Findings             []pageFinding
	More                 int // further critical findings
	Sources              []pageSource
	Links                []pageLink
}

type (
	pageFinding struct{ Target, Code, Message string }
	pageSource  struct {
		Name, LastSuccess, State string
		Targets                  int
		Failed, Warned           bool
	}
	pageLink struct{ Path, What string }
)

// newPage returns the handler of the page that people begin at. It works without
// scripts, and may load nothing.
func (s *Server) newPage() (http.HandlerFunc, error) {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(pageCSS))
	policy := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		if err := t.Execute(&b, s.pageData()); err != nil {
			s.opt.Log.ErrorContext(r.Context(), "write the page", "err", err)
			plain(w, http.StatusInternalServerError, "the page cannot be shown: the log says why")
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", policy)
		h.Set("Cache-Control", "no-store")
		_, _ = b.WriteTo(w) // what fails now is the connection
	}, nil
}

func (s *Server) pageData() pageData {
	d := pageData{
		Style:   template.CSS(pageCSS), // our own
		Version: inventory.Clean(s.opt.Version), ExternalURL: s.opt.ExternalURL, Loaded: s.opt.Index.isLoaded(),
		Links: s.links(),
	}
	if !d.Loaded {
		return d
	}
	d.Totals = s.opt.Index.totals()
	sources, own := s.opt.Index.fleet()
	for _, src := range sources {
		p := pageSource{Name: inventory.Clean(src.Name), Targets: src.Targets, State: "good", LastSuccess: "never", Failed: !src.Up}
		if !src.LastSuccess.IsZero() {
			p.LastSuccess = src.LastSuccess.UTC().Format(time.DateTime) + " UTC"
		}
		if p.Failed {
			p.State = cmp.Or(inventory.Clean(src.Error), "failing")
		} else if about := ofSource(own, src.Name); len(about) > 0 {
			p.State, p.Warned = inventory.Clean(about[0].Message), true
		}
		d.Sources = append(d.Sources, p)
	}
	var critical []pageFinding
	add := func(target string, findings []inventory.Finding) {
		for _, f := range findings {
			if f.Counts() && f.Severity == inventory.Critical {
				critical = append(critical, pageFinding{inventory.Clean(target), string(f.Code), inventory.Clean(f.Message)})
			}
		}
	}
	add("certscan itself", own)
	for _, e := range s.opt.Index.after("") {
		add(e.target.Key(), e.findings)
	}
	critical = slices.Compact(critical) // of views that have the same
	d.Findings = critical[:min(len(critical), onPage)]
	d.More = len(critical) - len(d.Findings)
	return d
}

// links are what this server answers.
func (s *Server) links() []pageLink {
	var links []pageLink
	if s.opt.Metrics != nil {
		links = append(links, pageLink{"metrics", "metrics of the fleet, for Prometheus"})
	}
	if s.opt.Targets != nil {
		links = append(links, pageLink{"metrics/targets?shard=0&shards=4", "a part of the targets, for several scrape jobs"})
	}
	if s.opt.Probe != nil {
		links = append(links, pageLink{"probe", "examine a target now: ?target=…&module=…"})
	}
	return append(
		links,
		pageLink{"api/v1/summary", "totals"},
		pageLink{"api/v1/targets", "targets: ?selector=…&tier=…&code=…"},
		pageLink{"api/v1/findings", "findings: ?severity=…&code=…"},
		pageLink{"api/v1/sources", "sources of targets"},
		pageLink{"sd", "the inventory as HTTP service discovery: ?selector=…&protocol=…"},
		pageLink{"-/healthy", "whether the process runs"},
		pageLink{"-/ready", "whether it answers"},
	)
}
