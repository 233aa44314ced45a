package storetest

import (
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

func late(f *fixture) {
	t := Target("shop.example")
	f.record(t, Seen(t, address, hour(5), Chain("b")))
	f.record(t, Seen(t, address, hour(3), Chain("a")))
	if spans := f.spans(t); len(spans) != 1 || spans[0].Count != 1 || spans[0].Chain[0] != inventory.FingerprintOf(Chain("b")[0]) {
		f.Errorf("spans = %+v, want only the later", spans)
	}
}

func ahead(f *fixture) {
	wrong := func(n int) time.Time { return Now().Add(time.Duration(365*24+n) * time.Hour) }
	weak := func(e inventory.Endpoint) inventory.Endpoint {
		e.Judgement.Findings = []inventory.Finding{finding(inventory.CodeWeakKey, e.Observation.View())}
		return e
	}
	for name, tt := range map[string]struct {
		before, during []string // chains served
		after          string   // "": none
	}{
		"seen before, and as it was":      {[]string{"a"}, []string{"a"}, "a"},
		"seen before, and changed":        {[]string{"a"}, []string{"a", "b"}, "c"},
		"seen before, changed, and down":  {[]string{"a"}, []string{"b"}, ""},
		"first seen then, and as it was":  {nil, []string{"a"}, "a"},
		"first seen then, and changed":    {nil, []string{"a", "b", "c"}, "d"},
		"first seen then, and down":       {nil, []string{"a", "b"}, ""},
		"first seen then, as it was once": {nil, []string{"a", "b"}, "a"},
	} {
		t := Target(strings.NewReplacer(" ", "-", ",", "").Replace(name) + ".example")
		for n, chain := range tt.before {
			f.record(t, Seen(t, address, hour(n), Chain(chain)))
		}
		for n, chain := range tt.during {
			f.record(t, weak(Seen(t, address, wrong(n), Chain(chain))))
		}
		last := hour(6)
		e := Failed(t, address, last, inventory.ReachTimeout)
		if tt.after != "" {
			e = Seen(t, address, last, Chain(tt.after))
		}
		if got := f.record(t, weak(e)).Endpoints[0].Judgement.Findings[0].Since; got.After(last) {
			f.Errorf("%s: a finding is open since %v, after it was found, at %v", name, got, last)
		}
		for _, s := range f.spans(t) {
			if s.FirstSeen.After(last) || s.LastSeen.After(last) {
				f.Errorf("%s: a span from %v to %v, after all that was seen, at %v", name, s.FirstSeen, s.LastSeen, last)
			}
		}
		st := f.target(t)
		if st.FirstSeen.After(last) || !st.Views[0].LastProbe.Equal(last) || st.Views[0].Facts.LastSeen.After(last) {
			f.Errorf("%s: first seen %v, examined %v, served %v; it was seen last at %v", name, st.FirstSeen, st.Views[0].LastProbe, st.Views[0].Facts.LastSeen, last)
		}
		if k := f.one(t); tt.after != "" && k.Chain != inventory.ChainID(Chain(tt.after)) || k.LastSeen.After(last) {
			f.Errorf("%s: known = %+v, want what was seen at %v", name, k, last)
		}
		f.record(t, Seen(t, address, hour(7), Chain("z")))
		if k := f.one(t); !k.LastSeen.Equal(hour(7)) {
			f.Errorf("%s: an hour later it was seen at %v", name, k.LastSeen)
		}
	}
}
