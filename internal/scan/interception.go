package scan

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/net/publicsuffix"

	"example.com/certscan/internal/inventory"
)

const (
	heldBack = 64 // results looked at together
	fewSites = 5  // fewer names under one unknown issuer may just be misconfigured
)

// A sighting is of a public name that was seen with a certificate.
type sighting struct {
	target string
	site   string
	issuer string // unknown to every store; "" if it is known, or nothing new
	at     time.Time
}

// interceptor returns the one unknown issuer of many unrelated public names:
// four in five sightings are by it, of five sites at least. It is "" if there is
// none.
func interceptor(seen []sighting) string {
	count, sites := make(map[string]int), make(map[string]map[string]bool)
	for _, s := range seen {
		if s.issuer == "" {
			continue
		}
		if count[s.issuer]++; sites[s.issuer] == nil {
			sites[s.issuer] = make(map[string]bool)
		}
		sites[s.issuer][s.site] = true
	}
	for issuer, n := range count {
		if len(sites[issuer]) >= fewSites && 5*n >= 4*len(seen) {
			return issuer
		}
	}
	return ""
}

// intercepted says that there is an interceptor; lack says how one's own CA
// would be known.
func intercepted(issuer, lack string) string {
	return fmt.Sprintf("unrelated names all serve certificates by the unknown issuer %q: a proxy between here and there replaces them, or it is your own CA and %s", issuer, lack)
}

// site is the domain that somebody registered for a target's name, which
// unrelated names do not share; "" if the name is not public. Names below the
// suffixes of a platform are not counted, as they are all served by it.
func site(t inventory.Target) string {
	if t.IsIP() {
		return ""
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(t.Host)
	if _, icann := publicsuffix.PublicSuffix(t.Host); err != nil || !icann {
		return ""
	}
	return domain
}

// unknownIssuer returns the issuer of e's certificate if no store knows it.
func unknownIssuer(e inventory.Endpoint) (string, bool) {
	j := e.Judgement
	if j.Verdict == nil || j.Certificate == nil || !j.LastSeen.IsZero() {
		return "", false
	}
	switch j.Verdict.Trust.Status {
	case inventory.TrustUnknownIssuer, inventory.TrustUntrustedRoot:
		return j.Certificate.Issuer, true
	}
	return "", false
}

// ofIssuer reports whether a finding may come of an interception.
func ofIssuer(c inventory.Code) bool {
	switch c {
	case inventory.CodeUnknownIssuer, inventory.CodeUntrustedRoot, inventory.CodeIncompleteChain, inventory.CodeChainBroken:
		return true
	}
	return false
}

// interception finds out that certificates are replaced on the way: what was
// seen last has an interceptor, counted from any sighting on. It ends when less
// than half is by that. Owned by [Confirm], under its mu.
type interception struct {
	issuer string // of the proxy; "" without one
	since  time.Time

	last  []sighting // of distinct targets, the latest at the end
	asked time.Time
}

func (p *interception) forget(target string) {
	p.last = slices.DeleteFunc(p.last, func(s sighting) bool { return s.target == target })
}

// put adds a sighting, at i from the end.
func (p *interception) put(s sighting, i int) {
	p.last = slices.Insert(p.last, len(p.last)-i, s)
	p.last = slices.Delete(p.last, 0, max(0, len(p.last)-heldBack))
}

// restore adds a sighting of an earlier run. They come in any order, and are
// judged when all are there.
func (p *interception) restore(s sighting) {
	i := 0
	for i < len(p.last) && p.last[len(p.last)-1-i].at.After(s.at) {
		i++
	}
	p.put(s, i)
}

// add judges by a further sighting of a target whose last was by the issuer
// before. It reports whether the judgement changed.
func (p *interception) add(s sighting, before string, ask func(int)) bool {
	was := p.issuer
	p.forget(s.target)
	p.put(s, 0)
	news := before == was && s.issuer != was // that it is over
	if was == "" {
		news = s.issuer != "" && s.issuer != before
	}
	switch {
	case was != "":
		p.end()
	case s.issuer != "":
		p.begin()
	}
	// Whether others are seen so, too, has to be known before this is confirmed.
	if now := time.Now(); ask != nil && news && now.Sub(p.asked) >= askEvery {
		p.asked = now
		ask(heldBack)
	}
	return p.issuer != was
}

// begin looks for an interceptor in what was seen from any sighting on, and
// forgets what was seen before: the proxy was not there then.
func (p *interception) begin() {
	for i := range len(p.last) - fewSites + 1 {
		if issuer := interceptor(p.last[i:]); issuer != "" {
			p.issuer, p.since, p.last = issuer, time.Now(), slices.Clone(p.last[i:])
			return
		}
	}
}

// end looks whether it is over. All counting begins anew then.
func (p *interception) end() {
	n := 0
	for _, s := range p.last {
		if s.issuer == p.issuer {
			n++
		}
	}
	if 2*n < len(p.last) {
		p.issuer, p.last = "", nil
	}
}

// behind are the views of r whose certificate is by the interceptor.
func (p *interception) behind(r *inventory.Result) map[inventory.Subject]bool {
	if p.issuer == "" {
		return nil
	}
	views := make(map[inventory.Subject]bool)
	for _, list := range [][]inventory.Endpoint{r.Endpoints, r.Carried} {
		for i := range list {
			if c := list[i].Judgement.Certificate; c != nil && c.Issuer == p.issuer {
				views[viewSubject(&list[i])] = true
			}
		}
	}
	return views
}

// holds reports whether a finding that is not open waits for the end of the
// interception, and sees to it that it is confirmed after that.
func (fs *findingState) holds(f inventory.Finding, behind bool) bool {
	if fs.open || !behind || !ofIssuer(f.Code) || !f.Severity.AtLeast(inventory.Warning) {
		return false
	}
	fs.seen = 1
	return true
}

// sight takes into account by whom the certificates are that r shows of a public
// name. An unknown issuer counts that was not told yet: whose name is told has
// had it before, and it may be the company's own. It reports whether the
// findings about our own side are others now.
func (c *Confirm) sight(r *inventory.Result, ts *targetState, from origin) bool {
	s := sighting{target: r.Target.Key(), site: site(r.Target)}
	if s.site == "" {
		return false
	}
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		if len(e.Observation.Chain) == 0 {
			continue
		}
		s.at = later(s.at, e.Observation.Time)
		if issuer, unknown := unknownIssuer(*e); unknown && ts.untold(e) {
			s.issuer = issuer
		}
	}
	if s.at.IsZero() { // no certificate
		return false
	}
	before := ts.issuer
	ts.issuer = s.issuer
	if from == restored {
		c.proxy.restore(s)
		return false
	}
	return c.proxy.add(s, before, c.opt.Sample)
}

// untold reports whether there are findings about e's issuer that wait to be
// told, and none is open.
func (ts *targetState) untold(e *inventory.Endpoint) (waits bool) {
	for _, f := range e.Judgement.Findings {
		if !ofIssuer(f.Code) || !f.Severity.AtLeast(inventory.Warning) {
			continue
		}
		if fs := ts.findings[f.Key()]; fs != nil && fs.open {
			return false
		}
		waits = true
	}
	return waits
}
