package report

import (
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// changeRecord is what is different about a view.
type changeRecord struct {
	Type string               `json:"type"` // "change"
	Kind inventory.ChangeKind `json:"kind"`
	inventory.View
	At     time.Time  `json:"at"`
	Before *stateJSON `json:"before"`
	After  *stateJSON `json:"after"`
}

// stateJSON is one side of a change.
type stateJSON struct {
	Reach     inventory.ReachStatus   `json:"reach"`
	TLS       *inventory.TLSFacts     `json:"tls"`
	Chain     []inventory.Fingerprint `json:"chain"`
	Leaf      *inventory.Certificate  `json:"certificate"`
	FirstSeen time.Time               `json:"first_seen"`
	LastSeen  time.Time               `json:"last_seen"`
}

// Changes writes what appeared, changed and vanished, in their order. With
// [Options.Lookup] it says what the certificates are.
func Changes(w io.Writer, format string, changes []inventory.Change, opt Options) error {
	opt = opt.withDefaults()
	c := changeView{opt}
	l := listing[inventory.Change]{
		name: "changes",
		columns: []column{
			{name: "WHEN"},
			{name: "CHANGE"},
			{name: "TARGET", fair: 20, min: 16, cut: cutMiddle},
			{name: "ADDRESS", fair: 18, min: 12, cut: cutMiddle},
			{name: "DETAIL", spill: true},
		},
		cells: func(ch inventory.Change) []cell {
			return []cell{
				{opt.moment(ch.At), plain},
				{word(string(ch.Kind)), changeStyle(ch)},
				{inventory.Clean(ch.View.Target), plain},
				{viewLabel(ch.View), plain},
				{c.detail(ch), dim},
			}
		},
		header: []string{
			"target", "address", "location", "offer", "change", "at", "detail",
			"before_reach", "before_sha256", "before_expires", "after_reach", "after_sha256", "after_expires",
		},
		fields: func(ch inventory.Change) []string {
			row := []string{
				ch.View.Target, ch.View.Address, ch.View.Location, string(ch.View.Offer), string(ch.Kind), stamp(ch.At), c.detail(ch),
			}
			return append(append(row, c.side(ch.Before)...), c.side(ch.After)...)
		},
		record: func(ch inventory.Change) any {
			return changeRecord{"change", ch.Kind, ch.View, seconds(ch.At), c.state(ch.Before), c.state(ch.After)}
		},
		empty: "nothing changed",
	}
	return l.write(w, format, slices.Values(changes), opt)
}

func changeStyle(ch inventory.Change) style {
	if ch.View.Address == "" { // a name that does not resolve
		return yellow
	}
	switch ch.Kind {
	case inventory.ChangeUnreachable, inventory.ChangeVanished:
		return red
	case inventory.ChangeAppeared, inventory.ChangeReachable:
		return green
	}
	return yellow
}

// A changeView says what the two sides of a change are.
type changeView struct{ opt Options }

func (c changeView) leaf(s *inventory.Span) *inventory.Certificate {
	if s == nil || len(s.Chain) == 0 {
		return nil
	}
	if leaf, ok := c.opt.Lookup(s.Chain[0]); ok {
		return &leaf
	}
	return nil
}

func (c changeView) side(s *inventory.Span) []string {
	if s == nil {
		return []string{"", "", ""}
	}
	var sha, expires string
	if len(s.Chain) > 0 {
		sha = s.Chain[0].String()
	}
	if leaf := c.leaf(s); leaf != nil {
		expires = stamp(leaf.NotAfter)
	}
	return []string{string(s.Reach), sha, expires}
}

func (c changeView) state(s *inventory.Span) *stateJSON {
	if s == nil {
		return nil
	}
	return &stateJSON{s.Reach, s.TLS, notNil(s.Chain), certificateRecord(c.leaf(s)), seconds(s.FirstSeen), seconds(s.LastSeen)}
}

// detail says in a few words what is different.
func (c changeView) detail(ch inventory.Change) string {
	before, after := ch.Before, ch.After
	switch {
	case before == nil && after == nil:
		return ""
	case before == nil:
		return c.describe(after)
	case after == nil && ch.View.Address == "":
		return c.describe(before) + " ended" // it has an address now, or is not watched
	case after == nil:
		return c.describe(before)
	}
	switch ch.Kind {
	case inventory.ChangeChain:
		return "same certificate, " + chainDifference(before.Chain, after.Chain)
	case inventory.ChangeConnection:
		return connectionDifference(before, after)
	case inventory.ChangeUnreachable:
		return word(string(after.Reach)) + ", was " + c.describe(before)
	}
	return c.describe(before) + " -> " + c.describe(after)
}

// describe is a state in a few words: which certificate and until when, or why
// there is none.
func (c changeView) describe(s *inventory.Span) string {
	if len(s.Chain) == 0 {
		return word(string(s.Reach))
	}
	if leaf := c.leaf(s); leaf != nil {
		return short(s.Chain[0])[:8] + " until " + date(leaf.NotAfter)
	}
	return short(s.Chain[0])[:8]
}

// chainDifference counts what came and went behind the leaf.
func chainDifference(before, after []inventory.Fingerprint) string {
	missing := func(a, b []inventory.Fingerprint) int {
		n := 0
		for _, f := range a {
			if !slices.Contains(b, f) {
				n++
			}
		}
		return n
	}
	var parts []string
	if n := missing(after, before); n > 0 {
		parts = append(parts, plural(n, "intermediate", "intermediates")+" added")
	}
	if n := missing(before, after); n > 0 {
		parts = append(parts, strconv.Itoa(n)+" removed")
	}
	if len(parts) == 0 {
		return "chain in another order"
	}
	return strings.Join(parts, ", ")
}

// connectionDifference names the parameters that differ.
func connectionDifference(before, after *inventory.Span) string {
	var parts []string
	differ := func(name, a, b string) {
		if a == b {
			return
		}
		if a == "" {
			a = "none"
		}
		if b == "" {
			b = "none"
		}
		parts = append(parts, name+word(a)+" -> "+word(b))
	}
	differ("", string(before.Reach), string(after.Reach))
	var a, b inventory.TLSFacts
	if before.TLS != nil {
		a = *before.TLS
	}
	if after.TLS != nil {
		b = *after.TLS
	}
	differ("", strings.ReplaceAll(a.Version, " ", ""), strings.ReplaceAll(b.Version, " ", ""))
	differ("", a.CipherSuite, b.CipherSuite)
	differ("", a.Group, b.Group)
	differ("ALPN ", a.ALPN, b.ALPN)
	if a.ClientCertificateRequired != b.ClientCertificateRequired {
		if b.ClientCertificateRequired {
			parts = append(parts, "now requires a client certificate")
		} else {
			parts = append(parts, "requires no client certificate any more")
		}
	}
	return strings.Join(parts, ", ")
}

// A Place is a view that serves a certificate, with what a person wants to know
// of it.
type Place struct {
	inventory.Serving
	Expires time.Time // of the certificate; zero if unknown
	Owner   string
	Issuer  string // the authority that was asked for, "" if none was
}

// placeRecord is a [Place] as JSON.
type placeRecord struct {
	Type string `json:"type"` // "place"
	inventory.View
	SHA256    inventory.Fingerprint `json:"sha256"`
	Position  int                   `json:"position"`
	Expires   *time.Time            `json:"expires"`
	Owner     string                `json:"owner"`
	FirstSeen time.Time             `json:"first_seen"`
	LastSeen  time.Time             `json:"last_seen"`
	LastKnown bool                  `json:"last_known"`

	Labels map[string]string     `json:"labels"`
	Issuer string                `json:"issuer"` // the authority that was asked for
	Via    inventory.Fingerprint `json:"issuer_sha256"`
}

// Where writes places, in their order.
func Where(w io.Writer, format string, places []Place, opt Options) error {
	opt = opt.withDefaults()
	l := listing[Place]{
		name: "places",
		columns: []column{
			{name: "TARGET", fair: 22, min: 16, cut: cutMiddle},
			{name: "ADDRESS", fair: 15, min: 12, cut: cutMiddle},
			{name: "LOCATION", fair: 8, min: 5, cut: cutEnd},
			{name: "EXPIRES"},
			{name: "SEEN"},
			{name: "CERTIFICATE", drop: true},
			{name: "OWNER", fair: 8, min: 5, cut: cutEnd},
		},
		cells: func(p Place) []cell {
			v := p.View
			v.Location = ""
			seen := cell{date(p.LastSeen), plain}
			if p.LastKnown {
				seen.style = yellow
			}
			certificate := opt.print(p.Certificate)
			if p.Position > 0 {
				certificate += " #" + strconv.Itoa(p.Position)
			}
			return []cell{
				{inventory.Clean(v.Target), plain},
				{viewLabel(v), plain},
				{word(p.View.Location), plain},
				{date(p.Expires), plain},
				seen,
				{certificate, plain},
				{inventory.CleanCut(p.Owner, maxText), plain},
			}
		},
		header: []string{
			"target", "address", "location", "offer", "sha256", "position", "expires", "days_left", "owner", "first_seen", "last_seen", "last_known",
			"environment", "platform", "issuer", "issuer_sha256",
		},
		fields: func(p Place) []string {
			days := ""
			if !p.Expires.IsZero() {
				days = strconv.Itoa(daysLeft(p.Expires, opt.Now))
			}
			return []string{
				p.View.Target, p.View.Address, p.View.Location, string(p.View.Offer), p.Certificate.String(), strconv.Itoa(p.Position),
				stamp(p.Expires), days, p.Owner, stamp(p.FirstSeen), stamp(p.LastSeen), strconv.FormatBool(p.LastKnown),
				p.Labels["environment"], p.Labels["platform"], p.Issuer, p.Via.String(),
			}
		},
		record: func(p Place) any {
			r := placeRecord{
				"place", p.View, p.Certificate, p.Position, nil, p.Owner, seconds(p.FirstSeen), seconds(p.LastSeen), p.LastKnown,
				p.Labels, p.Issuer, p.Via,
			}
			if r.Labels == nil {
				r.Labels = map[string]string{}
			}
			if !p.Expires.IsZero() {
				at := seconds(p.Expires)
				r.Expires = &at
			}
			return r
		},
		empty: "no endpoint serves it",
	}
	return l.write(w, format, slices.Values(places), opt)
}
