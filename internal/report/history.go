package report

import (
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// spanRecord is a run of one state of a view.
type spanRecord struct {
	Type string `json:"type"` // "span"
	inventory.View
	FirstSeen time.Time                 `json:"first_seen"`
	LastSeen  time.Time                 `json:"last_seen"`
	Count     int64                     `json:"count"`
	Reach     inventory.ReachStatus     `json:"reach"`
	TLS       *inventory.TLSFacts       `json:"tls"`
	Chain     []inventory.Fingerprint   `json:"chain"`
	Pool      [][]inventory.Fingerprint `json:"pool"`
	Leaf      *inventory.Certificate    `json:"certificate"`
}

// History writes runs of states, in their order. With [Options.Lookup] it says
// of each leaf when it expires and who issued it.
func History(w io.Writer, format string, spans []inventory.Span, opt Options) error {
	opt = opt.withDefaults()
	leaf := func(s inventory.Span) *inventory.Certificate {
		if len(s.Chain) == 0 {
			return nil
		}
		if c, ok := opt.Lookup(s.Chain[0]); ok {
			return &c
		}
		return nil
	}
	l := listing[inventory.Span]{
		name: "spans",
		columns: []column{
			{name: "FROM"},
			{name: "UNTIL"},
			{name: "SEEN", right: true, drop: true},
			{name: "ADDRESS", fair: 15, min: 12, cut: cutMiddle},
			{name: "CERTIFICATE", fair: 11, min: 8, cut: cutEnd},
			{name: "EXPIRES"},
			{name: "ISSUER", fair: 9, min: 4, cut: cutEnd, drop: true},
		},
		cells: func(s inventory.Span) []cell {
			state, expires, issuer := cell{text: string(s.Reach), style: red}, "", ""
			if len(s.Chain) > 0 {
				state = cell{text: opt.print(s.Chain[0])}
				if len(s.Pool) > 0 {
					state.text += " +" + strconv.Itoa(len(s.Pool))
				}
			}
			if c := leaf(s); c != nil {
				expires, issuer = date(c.NotAfter), issuerName(c)
			}
			return []cell{
				{opt.moment(s.FirstSeen), plain},
				{opt.moment(s.LastSeen), plain},
				{strconv.FormatInt(s.Count, 10), plain},
				{viewLabel(s.View), plain},
				state,
				{expires, plain},
				{issuer, dim},
			}
		},
		header: []string{
			"target", "address", "location", "offer", "first_seen", "last_seen", "count", "reach", "tls", "sha256", "chain", "expires", "issuer",
		},
		fields: func(s inventory.Span) []string {
			var version, sha, chain, expires, issuer string
			if s.TLS != nil {
				version = s.TLS.Version
			}
			if len(s.Chain) > 0 {
				sha = s.Chain[0].String()
				rest := make([]string, 0, len(s.Chain)-1)
				for _, f := range s.Chain[1:] {
					rest = append(rest, f.String())
				}
				chain = strings.Join(rest, " ")
			}
			if c := leaf(s); c != nil {
				expires, issuer = stamp(c.NotAfter), issuerName(c)
			}
			return []string{
				s.View.Target, s.View.Address, s.View.Location, string(s.View.Offer), stamp(s.FirstSeen), stamp(s.LastSeen),
				strconv.FormatInt(s.Count, 10), string(s.Reach), version, sha, chain, expires, issuer,
			}
		},
		record: func(s inventory.Span) any {
			return spanRecord{
				"span", s.View, seconds(s.FirstSeen), seconds(s.LastSeen), s.Count, s.Reach, s.TLS,
				notNil(s.Chain), notNil(s.Pool), certificateRecord(leaf(s)),
			}
		},
		empty: "nothing is known of it",
	}
	return l.write(w, format, slices.Values(spans), opt)
}

// viewLabel names a view within its target: "192.0.2.7 rsa fra1".
func viewLabel(v inventory.View) string {
	s := inventory.Clean(v.Address)
	if s == "" {
		s = "(no address)"
	}
	if v.Offer != inventory.OfferDefault && v.Offer != "" {
		s += " " + word(string(v.Offer))
	}
	if v.Location != inventory.LocalLocation && v.Location != "" {
		s += " " + word(v.Location)
	}
	return s
}

// notNil makes an empty list of none, which JSON would call null.
func notNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// findingSpanRecord is a finding with the time it was open.
type findingSpanRecord struct {
	Type            string             `json:"type"` // "finding"
	Target          string             `json:"target"`
	Code            inventory.Code     `json:"code"`
	Rule            string             `json:"rule"`
	Subject         inventory.Subject  `json:"subject"`
	Severity        inventory.Severity `json:"severity"`
	Message         string             `json:"message"`
	Opened          time.Time          `json:"opened"`
	Closed          *time.Time         `json:"closed"` // null while open
	DurationSeconds int64              `json:"duration_seconds"`
	Reason          string             `json:"reason"`
}

// openFor is how long a finding was open, or has been until now.
func openFor(s inventory.FindingSpan, now time.Time) time.Duration {
	if s.Closed.IsZero() {
		return now.Sub(s.Opened)
	}
	return s.Closed.Sub(s.Opened)
}

// FindingSpans writes findings with the time they were open, in their order.
func FindingSpans(w io.Writer, format string, spans iter.Seq[inventory.FindingSpan], opt Options) error {
	opt = opt.withDefaults()
	l := listing[inventory.FindingSpan]{
		name: "findings",
		columns: []column{
			{name: "OPENED"},
			{name: "CLOSED"},
			{name: "FOR", right: true, drop: true},
			{name: "SEVERITY"},
			{name: "FINDING", fair: 18, min: 12, cut: cutEnd},
			{name: "TARGET", fair: 22, min: 16, cut: cutMiddle},
			{name: "MESSAGE", spill: true},
		},
		cells: func(s inventory.FindingSpan) []cell {
			closed := cell{"open", plain}
			if !s.Closed.IsZero() {
				closed = cell{opt.moment(s.Closed), dim}
			}
			st := statusStyle(s.Finding.Severity, "")
			if !s.Closed.IsZero() {
				st = plain
			}
			target := inventory.Clean(s.Target)
			if target == "" {
				target = fleetSubject(s.Finding)
			}
			return []cell{
				{opt.moment(s.Opened), plain},
				closed,
				{span(openFor(s, opt.Now)), plain},
				{word(string(s.Finding.Severity)), st},
				{codeWord(s.Finding), st},
				{target, plain},
				{inventory.CleanCut(s.Finding.Message, maxText), dim},
			}
		},
		header: []string{
			"target", "code", "rule", "subject_kind", "subject", "severity", "opened", "closed", "duration_seconds", "reason", "message",
		},
		fields: func(s inventory.FindingSpan) []string {
			f := s.Finding
			return []string{
				s.Target, string(f.Code), f.Rule, string(f.Subject.Kind), f.Subject.ID, string(f.Severity), stamp(s.Opened),
				stamp(s.Closed), strconv.FormatInt(int64(openFor(s, opt.Now)/time.Second), 10), s.Reason, f.Message,
			}
		},
		record: func(s inventory.FindingSpan) any {
			f := s.Finding
			r := findingSpanRecord{
				"finding", s.Target, f.Code, f.Rule, f.Subject, f.Severity, f.Message, seconds(s.Opened), nil,
				int64(openFor(s, opt.Now) / time.Second), s.Reason,
			}
			if !s.Closed.IsZero() {
				closed := seconds(s.Closed)
				r.Closed = &closed
			}
			return r
		},
		empty: "no findings",
	}
	return l.write(w, format, spans, opt)
}
