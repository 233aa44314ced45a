package export

import (
	"cmp"
	"maps"
	"slices"
)

// maxKeys is how many kinds of keys totals name; the others are one. Ordinary
// fleets have five.
const maxKeys = 20

// byKey writes how many certificates there are with each kind of key.
func (p *page) byKey(s *totals) {
	counts := make(map[string]int64)
	for _, c := range s.served {
		counts[c.key]++
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	var rest int64
	if len(names) > maxKeys {
		for _, n := range names[maxKeys:] {
			rest += counts[n]
		}
		names = names[:maxKeys]
	}
	slices.Sort(names)
	p.begin(family{"certscan_keys", gauge, "Leaf certificates that are served, by the kind of their key; those of rare kinds as \"other\"."})
	for _, n := range names {
		p.sample(`key="`+n+`"`, counts[n])
	}
	if rest > 0 {
		p.sample(`key="other"`, rest)
	}
}
