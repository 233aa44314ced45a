package export

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// unknown is a time or number that there is none of.
const unknown = math.MinInt64

// A target is what metrics say of one, immutable.
type target struct {
	key         string
	labelPrefix string // the first label, target, without its last quote, rendered
	info        string // the rest of the labels of certscan_target_info, rendered
	named       inventory.Target

	expiry, lifetime int64 // Unix seconds; seconds
	due              int64 // Unix seconds
	tier             inventory.Tier
	verified         *bool
	distinct         int
	retired          int
	views            []view    // sorted
	findings         []finding // sorted
	waived           []waived  // sorted
	quietSince       int64     // when it last ceased to need attention, Unix seconds
}

// A view is what metrics say of one.
type view struct {
	address, location string // rendered
	labels            string // both, after the label target, without the last quote
	labelPrefix       string // the label target and these, in what is gathered for rendering
	offer             inventory.Offer
	reach             inventory.ReachStatus
	probed, succeeded int64 // Unix seconds, or unknown
	leaves            []*certificate
	issuers           []*certificate
	tier              inventory.Tier
	phases            phases
	primary           bool // it is the one that counts for its endpoint
	good              bool // the certificate that it serves is verified
	unproven          bool // it would be, had the server shown that it has the key
	upUnknown         bool // whether it is up is not known
}

// A kind is a sort of finding, shared by all targets that have one.
type kind struct {
	labels string // of certscan_target_finding after target, rendered
	rule   string // the same of certscan_target_finding_waived

	code     inventory.Code
	severity inventory.Severity
}

// A finding of a target is open, or was not long ago.
type finding struct {
	*kind
	closed int64 // Unix seconds, 0 while open
}

// waived is a series of certscan_target_finding_waived.
type waived struct {
	labels string // after target, rendered
	until  int64  // Unix seconds
}

// record makes the record of r and takes the certificates in it into use. The
// caller holds mu.
func (e *Exporter) record(r *inventory.Result, now time.Time) *target {
	t := &target{
		key: r.Target.Key(), named: r.Target, info: e.settings.info(r.Target), expiry: unknown, due: unknown,
		tier: r.Judgement.Tier, verified: r.Judgement.Verified, retired: r.Retired,
	}
	t.named.Sources = nil
	t.labelPrefix = `{target="` + value(t.key)
	if x := r.Judgement.Expiry; x != nil {
		t.expiry, t.lifetime = x.At.Unix(), int64(r.Judgement.Lifetime/time.Second)
	}
	if at := r.Judgement.RenewalDue; !at.IsZero() {
		t.due = at.Unix()
	}
	before := e.targets[t.key]
	e.views(t, r, before)
	e.findingsOf(t, r, before, now)
	if before != nil {
		t.quietSince = before.quietSince
		if before.troubled(now.Unix(), e.settings.StaleAfter) {
			t.quietSince = now.Unix()
		}
	}
	return t
}

// release gives back what the record used. The caller holds mu.
func (e *Exporter) release(t *target) {
	for i := range t.views {
		for _, c := range t.views[i].leaves {
			e.certs.release(c)
		}
		for _, c := range t.views[i].issuers {
			e.certs.release(c)
		}
	}
}

// info renders the labels of certscan_target_info after target.
func (s *settings) info(t inventory.Target) string {
	pairs := []string{"host", t.Host, "port", strconv.Itoa(int(t.Port)), "protocol", string(t.Protocol)}
	for _, n := range s.names {
		if v := t.Label(n.of); v != "" {
			pairs = append(pairs, n.as, v)
		}
	}
	return `",` + labels(pairs...)
}

// views fills in what is known of the views of r.
func (e *Exporter) views(t *target, r *inventory.Result, before *target) {
	lost := slices.ContainsFunc(r.Endpoints, func(x inventory.Endpoint) bool {
		return x.Observation.Address == "" && x.Observation.Reach.Status.IsDNS()
	})
	t.views = make([]view, 0, len(r.Endpoints)+len(r.Carried))
	add := func(list []inventory.Endpoint, carried bool) {
		for i := range list {
			v := e.view(&list[i])
			v.upUnknown = v.reach.IsOwnFault() || lost && v.address != ""
			if old := before.view(v); old != nil && carried {
				v.probed = max(v.probed, old.probed)
			} else if old != nil {
				v.succeeded = max(v.succeeded, old.succeeded)
			}
			t.views = append(t.views, v)
		}
	}
	add(r.Endpoints, false)
	add(r.Carried, true)
	slices.SortStableFunc(t.views, compareViews)
	t.views = e.once(t.views)
	var leaves []*certificate
	for i := range t.views {
		v := &t.views[i]
		v.primary = i == 0 || t.views[i-1].address != v.address || t.views[i-1].location != v.location
		if len(v.leaves) > 0 && v.offer != inventory.OfferNoSNI && v.reach == inventory.ReachOK {
			leaves = append(leaves, v.leaves...)
		}
	}
	slices.SortFunc(leaves, func(a, b *certificate) int { return a.slot - b.slot })
	t.distinct = len(slices.Compact(leaves))
}

// once keeps the first of those that are of the same view, and gives back what
// the others use.
func (e *Exporter) once(sorted []view) []view {
	out := sorted[:0]
	for _, v := range sorted {
		if n := len(out); n > 0 && compareViews(out[n-1], v) == 0 {
			e.release(&target{views: []view{v}})
			continue
		}
		out = append(out, v)
	}
	return out
}

// compareViews orders views by endpoint, and of one endpoint the default offer
// first: the first is the primary one.
func compareViews(a, b view) int {
	rank := func(o inventory.Offer) int { return int(truth(o != inventory.OfferDefault)) }
	return cmp.Or(cmp.Compare(a.address, b.address), cmp.Compare(a.location, b.location),
		rank(a.offer)-rank(b.offer), cmp.Compare(a.offer, b.offer))
}

// view finds what was known before of the view that v is of.
func (t *target) view(v view) *view {
	if t == nil {
		return nil
	}
	if i, ok := slices.BinarySearchFunc(t.views, v, compareViews); ok {
		return &t.views[i]
	}
	return nil
}

func (e *Exporter) view(x *inventory.Endpoint) view {
	o, j := &x.Observation, &x.Judgement
	v := view{
		address: value(o.Address), location: value(o.Location), offer: o.Offer, reach: o.Reach.Status,
		probed: unknown, succeeded: unknown, tier: j.Tier, phases: phasesOf(o.Timings),
	}
	v.labels = `",address="` + v.address + `",location="` + v.location
	if !o.Time.IsZero() {
		v.probed = o.Time.Unix()
	}
	switch {
	case o.Reach.Status == inventory.ReachOK:
		v.succeeded = v.probed
	case !j.LastSeen.IsZero():
		v.succeeded = j.LastSeen.Unix()
	}
	if j.Certificate != nil {
		v.leaves = append(v.leaves, e.certs.use(j.Certificate))
	}
	for i := range j.Alternates {
		if c := e.certs.use(&j.Alternates[i]); slices.Contains(v.leaves, c) {
			e.certs.release(c)
		} else {
			v.leaves = append(v.leaves, c)
		}
	}
	v.leaves = slices.Clip(v.leaves)
	for _, path := range j.Issuers {
		for _, ca := range path {
			if c := e.certs.use(ca); slices.Contains(v.issuers, c) {
				e.certs.release(c)
			} else {
				v.issuers = append(v.issuers, c)
			}
		}
	}
	v.issuers = slices.Clip(v.issuers)
	v.good, v.unproven = j.Verified(), j.Sound() && j.Unproven
	return v
}

// kind returns what stands for findings like f. The caller holds mu.
func (e *Exporter) kind(f inventory.Finding) *kind {
	l := labels("code", string(f.Code), "rule", f.Rule, "severity", string(f.Severity))
	k := e.kinds[l]
	if k == nil {
		k = &kind{labels: l, rule: labels("code", string(f.Code), "rule", f.Rule), code: f.Code, severity: f.Severity}
		e.kinds[l] = k
	}
	return k
}

// findingsOf fills in the findings that are open, and those that were open
// before and are not any more.
func (e *Exporter) findingsOf(t *target, r *inventory.Result, before *target, now time.Time) {
	lists := make([][]inventory.Finding, 0, 1+len(r.Endpoints)+len(r.Carried))
	lists = append(lists, r.Judgement.Findings)
	for i := range r.Endpoints {
		lists = append(lists, r.Endpoints[i].Judgement.Findings)
	}
	for i := range r.Carried {
		lists = append(lists, r.Carried[i].Judgement.Findings)
	}
	for _, list := range lists {
		for _, f := range list {
			if f.Ignored == "" { // a waived one is open nonetheless
				t.findings = append(t.findings, finding{e.kind(f), 0})
			}
		}
	}
	for _, w := range inventory.WaivedKinds(lists...) {
		t.waived = append(t.waived, waived{labels("code", string(w.Code), "rule", w.Rule), w.Until.Unix()})
	}
	if before != nil {
		for _, f := range before.findings {
			if f.closed == 0 {
				f.closed = now.Unix()
			}
			if now.Unix()-f.closed < int64(linger/time.Second) {
				t.findings = append(t.findings, f)
			}
		}
	}
	t.findings = sortFindings(t.findings)
}

// sortFindings keeps each kind once: open if it is, else as it closed last.
func sortFindings(list []finding) []finding {
	slices.SortFunc(list, func(a, b finding) int {
		return cmp.Or(strings.Compare(a.labels, b.labels), int(truth(a.closed != 0)-truth(b.closed != 0)), -cmp.Compare(a.closed, b.closed))
	})
	return slices.Clip(slices.CompactFunc(list, func(a, b finding) bool { return a.kind == b.kind }))
}

// latest is when the last of list closed.
func latest(list []finding) (at int64) {
	for _, f := range list {
		at = max(at, f.closed)
	}
	return at
}

// stale counts the endpoints whose last examination is too long ago.
func (t *target) stale(now int64, after time.Duration) (n int64) {
	for i := range t.views {
		n += truth(t.views[i].primary && t.views[i].old(now, after))
	}
	return n
}

func (v *view) old(now int64, after time.Duration) bool {
	return v.probed == unknown || now-v.probed > int64(after/time.Second)
}

// troubled reports whether the target needs attention.
func (t *target) troubled(now int64, after time.Duration) bool {
	return t.tier != "" || slices.ContainsFunc(t.findings, func(f finding) bool { return f.closed == 0 }) || t.stale(now, after) > 0
}
