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
	find := func(code inventory.Code, message string) {
		out.Findings = append(out.Findings, inventory.Finding{
			Code: code, Severity: code.DefaultSeverity(), Message: message,
			Subject: inventory.Subject{Kind: inventory.SubjectTarget, ID: t.Key()},
		})
	}
	if m := ownFault(views); m != "" {
		find(inventory.CodeUnreachable, m)
	}
	if m := disagreement(views); m != "" {
		find(inventory.CodeAddressesDisagree, m)
	}
	if len(j.opt.Expect) > 0 {
		if code, m := j.deployment(counted); m != "" {
			find(code, m)
		}
	}
	return out
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

// verified is nil if there is nothing to say: no view, or the scanner's own
// fault with all of them.
func verified(views []inventory.Endpoint) *bool {
	var examined bool
	all := true
	for _, v := range views {
		o := &v.Observation
		if v.Judgement.Verdict == nil && (o.Reach.Status.IsOwnFault() || restricted(o.Offer)) {
			continue // nothing was seen, and nothing can be concluded from that
		}
		examined = true
		all = all && v.Judgement.Verified()
	}
	if !examined {
		return nil
	}
	return &all
}

// ownFault says that nothing of the target could be examined because of the
// scanner's own side. One address without a route is not worth a word; a target
// that nobody looked at is.
func ownFault(views []inventory.Endpoint) string {
	if len(views) == 0 {
		return ""
	}
	for _, v := range views {
		if !v.Observation.Reach.Status.IsOwnFault() || len(v.Observation.Chain) > 0 {
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
// new certificate if one of its offers shows it and no chain of a pool shows
// another for the same offer; one that could not be seen is unknown, never
// deployed.
func (j *Judge) deployment(views []inventory.Endpoint) (inventory.Code, string) {
	var order []string
	state := make(map[string]bool) // by address: seen, and with what result
	var done, unknown []string
	var others []serving
	for i := range views {
		v := &views[i]
		a := v.Observation.Address
		if !slices.Contains(order, a) {
			order = append(order, a)
		}
		if !proven(v) {
			continue
		}
		all := true
		for _, c := range leaves(v) {
			if !slices.Contains(j.opt.Expect, c.SHA256) {
				all = false
				others = addServing(others, *c, a)
			}
		}
		state[a] = state[a] || all
	}
	var lagging []string
	for _, a := range order {
		switch ok, seen := state[a]; {
		case !seen:
			unknown = append(unknown, a)
		case ok:
			done = append(done, a)
		default:
			lagging = append(lagging, a)
		}
	}
	parts := make([]string, 0, len(others))
	for _, s := range others {
		// Where the new certificate is, another beside it is of another key type.
		s.addresses = slices.DeleteFunc(s.addresses, func(a string) bool { return state[a] })
		if len(s.addresses) > 0 {
			parts = append(parts, describe(s))
		}
	}
	rest := ""
	if len(unknown) > 0 {
		rest = fmt.Sprintf("; unknown at %s, which could not be examined", addressList(unknown))
	}
	want := j.expected()
	switch {
	case len(done) == 0 && len(lagging) == 0:
		return inventory.CodeNotDeployed, fmt.Sprintf("nothing shows that %s is served%s", want, rest)
	case len(done) == 0:
		return inventory.CodeNotDeployed, fmt.Sprintf("%s should be served, but what is served is %s%s", want, strings.Join(parts, "; "), rest)
	case len(lagging) > 0:
		return inventory.CodePartiallyDeployed, fmt.Sprintf("%s is served by %s, but not by %s: %s%s",
			want, addressList(done), addressList(lagging), strings.Join(parts, "; "), rest)
	}
	return "", ""
}

func (j *Judge) expected() string {
	e := j.opt.Expect
	if len(e) == 1 {
		return "the expected certificate " + shortID(e[0])
	}
	return fmt.Sprintf("one of the %d expected certificates (%s …)", len(e), shortID(e[0]))
}
