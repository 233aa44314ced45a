package report

import (
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// A Tally counts what a summary says. It keeps a hash of each distinct
// certificate, name and issuer and nothing else. The zero value is ready to
// use; it is not safe for concurrent use.
type Tally struct {
	// Now is what expiry is counted from; zero means the present at the time of
	// each Add.
	Now time.Time

	sum                                  inventory.Summary
	seed                                 maphash.Seed
	certificates, names, issuers, judged map[uint64]struct{}
}

// Add counts one target.
func (t *Tally) Add(r inventory.Result) {
	t.init()
	now := t.Now
	if now.IsZero() {
		now = time.Now()
	}
	t.sum.Targets++
	if len(r.Endpoints) == 0 {
		t.sum.TargetsNotExamined++
	}
	if e := r.Judgement.Expiry; e != nil {
		switch left := e.At.Sub(now); {
		case left < 0:
			t.sum.Expired++
		case left <= 30*day:
			t.sum.Within30Days++
		}
	}
	t.findings(r.Judgement.Findings)
	for i, e := range r.Endpoints {
		t.findings(e.Judgement.Findings)
		t.leaf(e.Judgement.Certificate)
		for i := range e.Judgement.Alternates {
			t.leaf(&e.Judgement.Alternates[i])
		}
		if !speaks(r.Endpoints, i) {
			continue
		}
		t.sum.Endpoints++
		if slices.ContainsFunc(e.Judgement.Findings, func(f inventory.Finding) bool { return f.Code == inventory.CodeRevocationUnknown }) {
			t.sum.RevocationUnknown++
		}
		if s := e.Observation.Reach.Status; s != inventory.ReachOK && !s.IsOwnFault() && !served(e) {
			t.sum.Unreachable++
		}
	}
}

// speaks reports whether the view at i is the one that speaks for its endpoint,
// which counts once however many offers it was asked: the default offer, or the
// first where that was not asked.
func speaks(views []inventory.Endpoint, i int) bool {
	o := &views[i].Observation
	for j := range views {
		p := &views[j].Observation
		if j == i || p.Address != o.Address || p.Location != o.Location {
			continue
		}
		isDefault, isOther := o.Offer == inventory.OfferDefault, p.Offer == inventory.OfferDefault
		if isOther && !isDefault || isOther == isDefault && j < i {
			return false
		}
	}
	return true
}

// AddFindings counts findings of the fleet, which belong to no single target,
// and hands them on in the summary.
func (t *Tally) AddFindings(fleet ...inventory.Finding) {
	t.init()
	t.findings(fleet)
	t.sum.Findings = append(t.sum.Findings, fleet...)
}

// Summary is the count so far. Partial and OwnFaults are the caller's to fill.
func (t *Tally) Summary() inventory.Summary {
	s := t.sum
	s.Type = "summary"
	s.Certificates, s.Names, s.Issuers = len(t.certificates), len(t.names), len(t.issuers)
	if s.OwnFaults == nil {
		s.OwnFaults = []inventory.OwnFault{}
	}
	if s.Findings == nil {
		s.Findings = []inventory.Finding{}
	}
	return s
}

func (t *Tally) init() {
	if t.certificates == nil {
		t.seed = maphash.MakeSeed()
		t.certificates, t.names = map[uint64]struct{}{}, map[uint64]struct{}{}
		t.issuers, t.judged = map[uint64]struct{}{}, map[uint64]struct{}{}
	}
}

func (t *Tally) leaf(c *inventory.Certificate) {
	if c == nil {
		return
	}
	h := maphash.Bytes(t.seed, c.SHA256[:])
	if _, ok := t.certificates[h]; ok {
		return
	}
	t.certificates[h] = struct{}{}
	t.issuers[maphash.String(t.seed, c.Issuer)] = struct{}{}
	for _, n := range c.Names {
		t.names[maphash.String(t.seed, strings.ToLower(n))] = struct{}{}
	}
}

func (t *Tally) findings(fs []inventory.Finding) {
	for _, f := range fs {
		// What is about a certificate is found at every endpoint that serves it,
		// but it is one finding.
		if k := f.Subject.Kind; k != inventory.SubjectView && k != inventory.SubjectTarget {
			h := maphash.Comparable(t.seed, f.Key())
			if _, ok := t.judged[h]; ok {
				continue
			}
			t.judged[h] = struct{}{}
		}
		switch {
		case f.Waived != nil:
			t.sum.Waived++
		case f.Ignored != "":
			t.sum.Ignored++
		case f.Severity == inventory.Critical:
			t.sum.Critical++
		case f.Severity == inventory.Warning:
			t.sum.Warning++
		default:
			t.sum.Info++
		}
	}
}
