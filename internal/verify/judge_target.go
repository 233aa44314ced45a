package verify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// JudgeTarget says what needs all current views of a target: its expiry, whether
// it is verified, and whether its addresses agree with each other and with what
// is expected. It is pure in its arguments.
func (j *Judge) JudgeTarget(t inventory.Target, views []inventory.Endpoint, now time.Time) inventory.TargetJudgement {
	var out inventory.TargetJudgement
	counted := countedViews(views)
	for i := range counted {
		d := &counted[i].Judgement
		if d.Expiry != nil && (out.Expiry == nil || d.Expiry.At.Before(out.Expiry.At)) {
			out.Expiry, out.Lifetime = d.Expiry, d.Lifetime
		}
	}
	if out.Expiry != nil {
		out.Tier = j.tier(out.Expiry.At, out.Lifetime, now.UTC())
	}
	out.Verified = verified(counted)
	hidden, half := unseen(views)
	if hidden != "" && out.Verified != nil && *out.Verified {
		out.Verified = nil // all that was seen is; but not all was seen
	}
	find := func(code inventory.Code, message string) {
		out.Findings = append(out.Findings, inventory.Finding{
			Code: code, Severity: code.DefaultSeverity(), Message: message,
			Subject: inventory.Subject{Kind: inventory.SubjectTarget, ID: t.Key()},
		})
	}
	if half != "" {
		find(inventory.CodeDNSFailure, "the name resolves, but only in part, so there may be addresses that were not examined: "+half)
		out.Findings[len(out.Findings)-1].Severity = inventory.Warning
	}
	if m := routeless(views); m != "" {
		find(inventory.CodeUnreachable, m)
	}
	if m := disagreement(views); m != "" {
		find(inventory.CodeAddressesDisagree, m)
	}
	if len(j.opt.Expect) > 0 {
		if code, m := j.deployment(askedTogether(counted), hidden); m != "" {
			find(code, m)
		}
	}
	return out
}

// unseen says which addresses of the target nobody looked at: those left out of
// a large set, and those of a family whose question to DNS failed, which is what
// half is about. Both are empty if everything was examined.
func unseen(views []inventory.Endpoint) (hidden, half string) {
	for i := range views {
		o := &views[i].Observation
		if o.Unexamined > 0 {
			hidden = fmt.Sprintf("%d further addresses were not examined", o.Unexamined)
		}
		if r := o.Resolution; r != nil && r.Partial {
			half = quote(r.Detail)
		}
	}
	if hidden == "" && half != "" {
		hidden = "the name resolves only in part: " + half
	}
	return hidden, half
}

// countedViews are those that speak for the target: default, rsa and ecdsa. A
// census counts where there is nothing better.
func countedViews(views []inventory.Endpoint) []inventory.Endpoint {
	var out, census []inventory.Endpoint
	for _, v := range views {
		switch o := v.Observation.Offer; {
		case o == inventory.OfferDefault || restricted(o):
			out = append(out, v)
		case o == inventory.OfferCensus:
			census = append(census, v)
		}
	}
	if len(out) == 0 {
		return census
	}
	return out
}

// askedTogether leaves out the restricted offers that were not asked again when
// the default one was: what they were answered then is not what is served now.
func askedTogether(views []inventory.Endpoint) []inventory.Endpoint {
	return slices.DeleteFunc(slices.Clone(views), func(v inventory.Endpoint) bool {
		o := &v.Observation
		return restricted(o.Offer) && slices.ContainsFunc(views, func(d inventory.Endpoint) bool {
			n := &d.Observation
			return n.Offer == inventory.OfferDefault && n.Address == o.Address && n.Location == o.Location && n.Time.After(o.Time)
		})
	})
}

// verified is nil if there is nothing to say: no view, the scanner's own fault
// with all of them, or nothing wrong but that nobody proved to have the key.
func verified(views []inventory.Endpoint) *bool {
	var examined, unproven bool
	all := true
	for _, v := range views {
		o := &v.Observation
		if v.Judgement.Verdict == nil && (o.Reach.Status.IsOwnFault() || restricted(o.Offer)) {
			continue // nothing was seen, and nothing can be concluded from that
		}
		examined = true
		all = all && v.Judgement.Sound()
		unproven = unproven || v.Judgement.Unproven
	}
	if !examined || all && unproven {
		return nil
	}
	return &all
}

// routeless says that nothing of the target can be examined because this machine
// has no way there. One address without a route is not worth a word; a target
// that nobody can look at is. What the system refuses for a while, such as a
// further open file, is neither: it speaks of no target.
func routeless(views []inventory.Endpoint) string {
	if len(views) == 0 {
		return ""
	}
	for _, v := range views {
		if v.Observation.Reach.Status != inventory.ReachNoRoute || len(v.Observation.Chain) > 0 {
			return ""
		}
	}
	r := views[0].Observation.Reach
	return fmt.Sprintf("it was not examined: %s here (%s), with %d of %d views; this says nothing about the target",
		r.Status, quote(r.Detail), len(views), len(views))
}

// serving is which addresses serve a leaf.
type serving struct {
	leaf      inventory.Certificate
	addresses []string
}

// disagreement compares what the addresses of each location serve to the
// default offer, of chains that were proven. A pool behind one address can
// disagree with itself.
func disagreement(views []inventory.Endpoint) string {
	var locations []string
	byLocation := make(map[string][]serving)
	for i := range views {
		v := &views[i]
		if v.Observation.Offer != inventory.OfferDefault || !proven(v) {
			continue
		}
		l := v.Observation.Location
		if !slices.Contains(locations, l) {
			locations = append(locations, l)
		}
		for _, c := range leaves(v) {
			byLocation[l] = addServing(byLocation[l], *c, v.Observation.Address)
		}
	}
	for _, l := range locations {
		all := byLocation[l]
		if len(all) < 2 {
			continue
		}
		// The certificate issued last is what was meant to be everywhere.
		slices.SortStableFunc(all, func(a, b serving) int { return b.leaf.NotBefore.Compare(a.leaf.NotBefore) })
		parts := make([]string, 0, len(all))
		for _, s := range all {
			parts = append(parts, describe(s))
		}
		where := ""
		if l != inventory.LocalLocation {
			where = " (seen from " + quote(l) + ")"
		}
		return fmt.Sprintf("%d different certificates are served%s: %s; %s lags behind",
			len(all), where, strings.Join(parts, "; "), addressList(all[len(all)-1].addresses))
	}
	return ""
}

// proven reports whether the view's chain was received now, from a server that
// has the key.
func proven(v *inventory.Endpoint) bool {
	o := &v.Observation
	return len(o.Chain) > 0 && o.Capture != nil && o.Capture.PossessionProven &&
		o.Capture.Method != inventory.CaptureCensus && v.Judgement.Certificate != nil
}

func leaves(v *inventory.Endpoint) []*inventory.Certificate {
	out := []*inventory.Certificate{v.Judgement.Certificate}
	for i := range v.Judgement.Alternates {
		out = append(out, &v.Judgement.Alternates[i])
	}
	return out
}

func addServing(list []serving, leaf inventory.Certificate, address string) []serving {
	i := slices.IndexFunc(list, func(s serving) bool { return s.leaf.SHA256 == leaf.SHA256 })
	if i < 0 {
		return append(list, serving{leaf, []string{address}})
	}
	if !slices.Contains(list[i].addresses, address) {
		list[i].addresses = append(list[i].addresses, address)
	}
	return list
}

func describe(s serving) string {
	return fmt.Sprintf("%s (until %s) by %s", shortID(s.leaf.SHA256), date(s.leaf.NotAfter), addressList(s.addresses))
}

func addressList(list []string) string {
	const show = 8
	if len(list) <= show {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:show], ", "), len(list)-show)
}

// deployment compares with the leaves that should be served. An address has the
// new certificate if it shows it and shows no other with the same kind of key:
// the renewed ECDSA certificate does not excuse an old RSA one beside it that is
// expected to be new too. An address that could not be seen is unknown, never
// deployed.
func (j *Judge) deployment(views []inventory.Endpoint, hidden string) (inventory.Code, string) {
	kinds := j.expectedKinds(views)
	has, stale := make(map[string]bool), make(map[string]bool) // by address
	var order []string
	for i := range views {
		v := &views[i]
		a := v.Observation.Address
		if !slices.Contains(order, a) {
			order = append(order, a)
		}
		if !proven(v) {
			continue
		}
		if _, seen := has[a]; !seen {
			has[a] = false
		}
		for _, c := range leaves(v) {
			if j.expects(c.SHA256) {
				has[a] = true
			} else if kinds[algorithm(*c)] {
				stale[a] = true
			}
		}
	}
	var done, lagging, unknown []string
	for _, a := range order {
		switch expected, seen := has[a]; {
		case !seen:
			unknown = append(unknown, a)
		case expected && !stale[a]:
			done = append(done, a)
		default:
			lagging = append(lagging, a)
		}
	}
	code, m := j.deployed(done, lagging, unknown, j.instead(views, lagging, kinds))
	if hidden != "" && m == "" {
		return inventory.CodePartiallyDeployed, fmt.Sprintf("%s is served by %s, but nothing shows that it is everywhere: %s",
			j.expected(), addressList(done), hidden)
	}
	return code, m
}

// instead describes what the laggards serve that should be the expected leaf.
func (j *Judge) instead(views []inventory.Endpoint, lagging []string, kinds map[string]bool) string {
	var rest, all []serving
	for i := range views {
		v := &views[i]
		if !proven(v) || !slices.Contains(lagging, v.Observation.Address) {
			continue
		}
		for _, c := range leaves(v) {
			if j.expects(c.SHA256) {
				continue
			}
			all = addServing(all, *c, v.Observation.Address)
			if kinds[algorithm(*c)] {
				rest = addServing(rest, *c, v.Observation.Address)
			}
		}
	}
	if len(rest) == 0 {
		rest = all
	}
	parts := make([]string, len(rest))
	for i, s := range rest {
		parts[i] = describe(s)
	}
	return strings.Join(parts, "; ")
}

// deployed says how far the expected certificate has come.
func (j *Judge) deployed(done, lagging, unknown []string, instead string) (inventory.Code, string) {
	rest := ""
	if len(unknown) > 0 {
		rest = fmt.Sprintf("; unknown at %s, which could not be examined", addressList(unknown))
	}
	want := j.expected()
	switch {
	case len(done) == 0 && len(lagging) == 0:
		return inventory.CodeNotDeployed, fmt.Sprintf("nothing shows that %s is served%s", want, rest)
	case len(done) == 0:
		return inventory.CodeNotDeployed, fmt.Sprintf("%s should be served, but what is served is %s%s", want, instead, rest)
	case len(lagging) > 0:
		return inventory.CodePartiallyDeployed, fmt.Sprintf("%s is served by %s, but not by %s: %s%s",
			want, addressList(done), addressList(lagging), instead, rest)
	}
	return "", ""
}

// expects reports whether a leaf is one of those that should be served.
func (j *Judge) expects(leaf inventory.Fingerprint) bool {
	return slices.ContainsFunc(j.opt.Expect, func(c inventory.Certificate) bool { return c.SHA256 == leaf })
}

// expectedKinds are the kinds of key of the expected leaves. Of one that is
// named by its fingerprint alone, the kind is known once somebody serves it.
func (j *Judge) expectedKinds(views []inventory.Endpoint) map[string]bool {
	kinds := make(map[string]bool)
	for _, c := range j.opt.Expect {
		if c.Key != "" {
			kinds[algorithm(c)] = true
		}
	}
	for i := range views {
		if !proven(&views[i]) {
			continue
		}
		for _, c := range leaves(&views[i]) {
			if j.expects(c.SHA256) {
				kinds[algorithm(*c)] = true
			}
		}
	}
	return kinds
}

// algorithm is that of the key without its size: "ECDSA", "RSA".
func algorithm(c inventory.Certificate) string {
	kind, _, _ := strings.Cut(c.Key, " ")
	return kind
}

func (j *Judge) expected() string {
	e := j.opt.Expect
	if len(e) == 1 {
		return "the expected certificate " + shortID(e[0].SHA256)
	}
	return fmt.Sprintf("one of the %d expected certificates (%s …)", len(e), shortID(e[0].SHA256))
}
