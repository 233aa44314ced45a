package main

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
)

// unrooted counts the targets whose chains end at an issuer that no store has, by
// its name. Of hundreds of issuers none is somebody's own CA.
type unrooted map[string]int

const mostUnrooted = 1000

func (u unrooted) add(r inventory.Result) {
	of := make(map[string]bool)
	for i := range r.Endpoints {
		j := &r.Endpoints[i].Judgement
		if j.Certificate == nil || !j.LastSeen.IsZero() || !slices.ContainsFunc(j.Findings, func(f inventory.Finding) bool {
			return f.Code == inventory.CodeUnknownIssuer || f.Code == inventory.CodeUntrustedRoot
		}) {
			continue
		}
		of[topIssuer(j)] = true
	}
	for name := range of {
		if _, there := u[name]; name != "" && (there || len(u) < mostUnrooted) {
			u[name]++
		}
	}
}

// topIssuer is who issued the last certificate that is served above the leaf.
func topIssuer(j *inventory.Judgement) string {
	issuer := j.Certificate.Issuer
	for range j.Chain { // as often at most: they may go round
		i := slices.IndexFunc(j.Chain, func(c inventory.Certificate) bool { return c.Subject == issuer && c.Issuer != issuer })
		if i < 0 {
			break
		}
		issuer = j.Chain[i].Issuer
	}
	return issuer
}

// tell says how to trust one's own CA, to who gave no store. One target alone
// may have any fault.
func (u unrooted) tell(t trust, note func(string, ...any)) {
	const several, most = 2, 3
	for _, s := range t.stores {
		if s.Name != evidence.StoreSystem && s.Name != evidence.StoreMozilla {
			return
		}
	}
	names := slices.SortedFunc(maps.Keys(u), func(a, b string) int { return cmp.Or(cmp.Compare(u[b], u[a]), cmp.Compare(a, b)) })
	for _, name := range names[:min(len(names), most)] {
		if u[name] >= several {
			note("%d targets end at %s: if that is your own CA, give --roots FILE with its certificate", u[name], strconv.Quote(name))
		}
	}
}
