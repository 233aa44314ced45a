package storetest

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/certscan/internal/inventory"
)

const address = "192.0.2.7"

func roundTrip(f *fixture) {
	t := Target("shop.example")
	e := Seen(t, address, hour(0), Chain("a"))
	o := &e.Observation
	yes := true
	o.Attempt = 2
	o.Reach.Detail = "certificate_required"
	o.Resolution = &inventory.Resolution{
		Name: "shop.example", Status: inventory.ReachOK, CNAMEs: []string{"lb.example"}, TTL: 60, Server: "192.0.2.53:53",
		Addresses: []netip.Addr{netip.MustParseAddr(address), netip.MustParseAddr("2001:db8::7")},
	}
	o.TLS.ALPN, o.TLS.ClientCertificateRequired, o.TLS.Stapled = "h2", true, true
	o.TLS.ClientCertificateRequested = true
	o.TLS.PostQuantum, o.TLS.Accepts, o.TLS.AcceptsUnknown, o.TLS.AcceptsAt = &yes, []string{"TLS 1.2"}, []string{"RC4"}, hour(-1)
	o.Staple, o.SCTs, o.Injected = []byte("staple"), [][]byte{{1}, {2, 3}}, []byte("a001 OK\r\n")
	o.Timings = inventory.Timings{Resolve: 1 * time.Millisecond, Connect: 2 * time.Millisecond, STARTTLS: 3 * time.Millisecond, Handshake: 4 * time.Microsecond}
	f.record(t, e)

	got := f.target(t)
	if len(got.Views) != 1 {
		f.Fatalf("%d views, want 1", len(got.Views))
	}
	if diff := cmp.Diff(*o, got.Views[0].Facts.Observation, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		f.Errorf("observation (-recorded +stored):\n%s", diff)
	}
	if diff := cmp.Diff(t, got.Target); diff != "" {
		f.Errorf("target (-recorded +stored):\n%s", diff)
	}
	if got := f.one(t); got.Chain != inventory.ChainID(o.Chain) || got.LastChain != got.Chain || !got.LastSeen.Equal(hour(0)) {
		f.Errorf("Known = %+v, want the chain served, at %v", got, hour(0))
	}
	// What a server accepts is asked seldom, and remembered meanwhile.
	later := Seen(t, address, hour(1), Chain("b"))
	f.record(t, later)
	want := inventory.Accepted{At: hour(-1), Words: []string{"TLS 1.2"}, Unknown: []string{"RC4"}, PostQuantum: &yes}
	if diff := cmp.Diff(&want, f.one(t).Accepted); diff != "" {
		f.Errorf("accepted (-recorded +remembered):\n%s", diff)
	}
	if got := f.target(t).Views[0].Facts.Observation.TLS; !cmp.Equal(got.Accepts, want.Words) || !got.AcceptsAt.Equal(want.At) {
		f.Errorf("stored TLS = %+v, want what it was found to accept", got)
	}
	chain, err := f.Chain(f.Context(), inventory.ChainID(o.Chain))
	if err != nil || !cmp.Equal(chain, o.Chain) {
		f.Errorf("Chain = %d certificates, %v, want as served", len(chain), err)
	}
	if _, err := f.Chain(f.Context(), inventory.FingerprintOf(nil)); err == nil {
		f.Error("Chain of an unknown id: no error")
	}
}

func unchanged(f *fixture) {
	t := Target("shop.example")
	for n := range 5 {
		if n%2 == 0 {
			if err := f.Prefetch(f.Context(), []string{t.Key(), "unknown.example:443", t.Key()}); err != nil {
				f.Fatal(err)
			}
			f.known(t) // an engine asks first; that must not change anything
		}
		e := Seen(t, address, hour(n), Chain("a"))
		e.Observation.Staple, e.Observation.Reach.Detail = Bytes(hour(n).String(), 40), hour(n).String()
		f.record(t, e)
	}
	spans := f.spans(t)
	if len(spans) != 1 || spans[0].Count != 5 || !spans[0].FirstSeen.Equal(hour(0)) || !spans[0].LastSeen.Equal(hour(4)) {
		f.Errorf("spans = %+v, want one from 0 to 4 with a count of 5", spans)
	}
	v := f.target(t).Views[0]
	if o := v.Facts.Observation; !bytes.Equal(o.Staple, Bytes(hour(4).String(), 40)) || o.Reach.Detail != hour(4).String() || v.Count != 5 {
		f.Errorf("view = %+v, want what the latest examination saw", v)
	}
}

func changed(f *fixture) {
	t := Target("shop.example")
	f.record(t, Seen(t, address, hour(0), Chain("a")))
	f.record(t, Seen(t, address, hour(1), Chain("b")))
	other := Seen(t, address, hour(2), Chain("b"))
	other.Observation.TLS.Version = "TLS 1.2"
	f.record(t, other)
	spans := f.spans(t)
	if len(spans) != 3 {
		f.Fatalf("%d spans, want 3: %+v", len(spans), spans)
	}
	for i, want := range []string{"a", "b", "b"} {
		if spans[i].Chain[0] != inventory.FingerprintOf(Chain(want)[0]) || !spans[i].FirstSeen.Equal(hour(i)) {
			f.Errorf("span %d: chain %v from %v, want %q from %v", i, spans[i].Chain[0], spans[i].FirstSeen, want, hour(i))
		}
	}
	if spans[2].TLS.Version != "TLS 1.2" || spans[1].TLS.Version != "TLS 1.3" {
		f.Errorf("versions = %q, %q", spans[1].TLS.Version, spans[2].TLS.Version)
	}
	v := f.target(t).Views[0]
	if !cmp.Equal(v.Facts.PreviousChain, Chain("a")) {
		f.Error("previous chain is not the one before")
	}
	if got := f.one(t); got.PreviousChain != inventory.ChainID(Chain("a")) {
		f.Errorf("known previous chain = %v", got.PreviousChain)
	}
}

func intermediates(f *fixture) {
	t := Target("shop.example")
	whole := Chain("a")
	f.record(t, Seen(t, address, hour(0), whole))
	f.record(t, Seen(t, address, hour(1), whole[:1]))
	if spans := f.spans(t); len(spans) != 2 || len(spans[0].Chain) != 3 || len(spans[1].Chain) != 1 {
		f.Errorf("spans = %+v, want a whole chain and then the leaf alone", spans)
	}
}

func unreachable(f *fixture) {
	t := Target("shop.example")
	f.record(t, Seen(t, address, hour(0), Chain("a")))
	f.record(t, Seen(t, address, hour(1), Chain("b")))
	f.record(t, Failed(t, address, hour(2), inventory.ReachTimeout))
	f.record(t, Failed(t, address, hour(3), inventory.ReachRefused))
	v := f.target(t).Views[0].Facts
	if v.Observation.Chain != nil || !cmp.Equal(v.LastChain, Chain("b")) || !v.LastSeen.Equal(hour(1)) || !cmp.Equal(v.PreviousChain, Chain("a")) {
		f.Errorf("facts: %d certificates, last chain at %v, want none and b at %v, a before", len(v.Observation.Chain), v.LastSeen, hour(1))
	}
	k := f.one(t)
	if !k.Chain.IsZero() || k.LastChain != inventory.ChainID(Chain("b")) || !k.LastSeen.Equal(hour(1)) || k.Reach != inventory.ReachRefused {
		f.Errorf("known = %+v", k)
	}
	f.record(t, Seen(t, address, hour(4), Chain("b")))
	if k := f.one(t); k.PreviousChain != inventory.ChainID(Chain("a")) || k.Chain != k.LastChain {
		f.Errorf("back with the same chain: %+v", k)
	}
}

// neverServed leaves it to the check at the end of every test.
func neverServed(f *fixture) {
	t := Target("shop.example")
	f.record(t, Failed(t, address, hour(0), inventory.ReachRefused))
	if k := f.one(t); !k.Chain.IsZero() || !k.LastChain.IsZero() {
		f.Errorf("known = %+v, want no chain", k)
	}
}

// What came beside the last chain stays with it, until another is served.
func besideTheLastChain(f *fixture) {
	t := Target("shop.example")
	serve := func(at time.Time, name string) {
		e := Seen(t, address, at, Chain(name))
		e.Observation.Staple, e.Observation.SCTs = []byte(name), [][]byte{[]byte(name)}
		f.record(t, e)
	}
	fail := func(at time.Time, want string) {
		f.Helper()
		e := Failed(t, address, at, inventory.ReachSTARTTLSMissing)
		e.Observation.Injected = []byte("x")
		f.record(t, e)
		v := f.target(t).Views[0].Facts
		var scts [][]byte
		var staple []byte
		if want != "" {
			scts, staple = [][]byte{[]byte(want)}, []byte(want)
		}
		if !cmp.Equal(v.LastStaple, staple) || !cmp.Equal(v.LastSCTs, scts) || v.Observation.Staple != nil || v.Observation.SCTs != nil || string(v.Observation.Injected) != "x" {
			f.Errorf("at %v: staple %q, SCTs %q, now %+v; want those of %q", at, v.LastStaple, v.LastSCTs, v.Observation, want)
		}
	}
	serve(hour(0), "a")
	fail(hour(1), "a")
	fail(hour(2), "a")
	serve(hour(3), "b")
	fail(hour(4), "b")
	f.record(t, Seen(t, address, hour(5), Chain("b")))
	fail(hour(6), "")
}

func pool(f *fixture) {
	t := Target("shop.example")
	both := func(at time.Time, first, second string) inventory.Endpoint {
		e := Seen(t, address, at, Chain(first))
		e.Observation.Alternates = [][][]byte{Chain(second)}
		return e
	}
	f.record(t, Seen(t, address, hour(0), Chain("a")))
	f.record(t, both(hour(1), "b", "a"))
	f.record(t, both(hour(2), "a", "b"))
	spans := f.spans(t)
	if len(spans) != 2 || spans[1].Count != 2 || len(spans[1].Pool) != 1 {
		f.Fatalf("spans = %+v, want the set to be one state", spans)
	}
	v := f.target(t).Views[0].Facts
	if !cmp.Equal(v.Observation.Chain, Chain("a")) || !cmp.Equal(v.Observation.Alternates, [][][]byte{Chain("b")}) {
		f.Error("want the chain that was there first, and the other as alternate")
	}
	if v.PreviousChain != nil {
		f.Error("a chain that still answers is not the previous one")
	}
	if !f.one(t).Flaps {
		f.Error("a pool is worth several handshakes")
	}
}

func flapping(f *fixture) {
	t := Target("shop.example")
	for n, name := range []string{"a", "a", "a", "b", "a"} {
		f.record(t, Seen(t, address, hour(n), Chain(name)))
	}
	if !f.one(t).Flaps {
		f.Error("a state that is back after one examination flaps")
	}
	for n := 5; n < 8; n++ {
		f.record(t, Seen(t, address, hour(n), Chain("a")))
	}
	if f.one(t).Flaps {
		f.Error("three examinations later it does not")
	}
	for n, name := range []string{"b", "b", "b", "b", "a"} {
		f.record(t, Seen(t, address, hour(8+n), Chain(name)))
	}
	if f.one(t).Flaps {
		f.Error("a state that is back after a long time does not flap")
	}
}

func retirement(f *fixture) {
	t := Target("shop.example")
	a, b := "192.0.2.7", "2001:db8::7"
	f.record(t, Resolved([]string{a, b}, Seen(t, a, hour(0), Chain("a")), Seen(t, b, hour(0), Chain("a")))...)
	for n := 1; n <= 2; n++ {
		f.record(t, Resolved([]string{a}, Seen(t, a, hour(n), Chain("a")))...)
	}
	if got := len(f.known(t)); got != 2 {
		f.Errorf("%d current views after two resolutions without it, want 2", got)
	}
	f.record(t, Resolved([]string{a, b}, Seen(t, a, hour(3), Chain("a")))...) // listed, though not examined
	for n := 4; n <= 5; n++ {
		f.record(t, Resolved([]string{a}, Seen(t, a, hour(n), Chain("a")))...)
	}
	if got := len(f.known(t)); got != 2 {
		f.Errorf("%d current views, want 2: it was listed in between", got)
	}
	if got := f.record(t, Resolved([]string{a}, Seen(t, a, hour(6), Chain("a")))...).Retired; got != 1 {
		f.Errorf("%d retired views, want 1", got)
	}
	if got := f.one(t); got.View.Address != a {
		f.Errorf("current view is %v", got.View)
	}
	if got := len(f.target(t).Views); got != 1 {
		f.Errorf("Target has %d views, want the current one", got)
	}
	again, err := f.Rejudged(f.Context(), []inventory.Result{{Target: t, Endpoints: []inventory.Endpoint{{Observation: f.target(t).Views[0].Facts.Observation}}}})
	if err != nil || len(again) != 1 || again[0].Retired != 1 {
		f.Errorf("judged again: %+v, %v; want one retired view", again, err)
	}
	if got := f.record(t, Resolved([]string{b}, Seen(t, b, hour(7), Chain("a")))...).Retired; got != 0 {
		f.Errorf("%d retired views, want none: it came back", got)
	}
	if got := len(f.known(t)); got != 2 {
		f.Errorf("%d current views, want the one that came back too", got)
	}
}

func failedResolution(f *fixture) {
	t := Target("shop.example")
	failed := func(at time.Time) inventory.Endpoint {
		e := Failed(t, "", at, inventory.ReachDNSServFail)
		e.Observation.Resolution = &inventory.Resolution{Name: t.Host, Status: inventory.ReachDNSServFail}
		e.Judgement.Findings = []inventory.Finding{finding(inventory.CodeDNSFailure, e.Observation.View())}
		return e
	}
	f.record(t, Resolved([]string{address}, Seen(t, address, hour(0), Chain("a")))...)
	for n := 1; n <= 4; n++ {
		f.record(t, failed(hour(n)))
	}
	if got := f.known(t); len(got) != 2 || got[0].View.Address != "" || got[0].Reach != inventory.ReachDNSServFail {
		f.Errorf("known = %+v, want the failure and the last address", got)
	}
	if got := f.record(t, Resolved([]string{address}, Seen(t, address, hour(5), Chain("a")))...).Retired; got != 0 {
		f.Errorf("%d retired views, want none: no address is gone", got)
	}
	if got := f.one(t); got.View.Address != address {
		f.Errorf("known = %+v, want the address alone", got)
	}
	if open := all(f, f.OpenFindings(f.Context())); len(open) != 0 {
		f.Errorf("open findings = %+v, want none", open)
	}
}

// partialResolution: the question for AAAA records failed, that for A records
// did not.
func partialResolution(f *fixture) {
	t := Target("shop.example")
	a, b := "192.0.2.7", "2001:db8::7"
	bad := Seen(t, b, hour(0), Chain("b"))
	bad.Judgement.Findings = []inventory.Finding{finding(inventory.CodeExpired, bad.Observation.View())}
	f.record(t, Resolved([]string{a, b}, Seen(t, a, hour(0), Chain("a")), bad)...)
	half := func(n int) inventory.Endpoint {
		e := Resolved([]string{a}, Seen(t, a, hour(n), Chain("a")))[0]
		e.Observation.Resolution.Partial, e.Observation.Resolution.Detail = true, "AAAA: dns_servfail"
		return e
	}
	for n := 1; n <= 4; n++ {
		f.record(t, half(n))
	}
	if open := all(f, f.OpenFindings(f.Context())); len(f.known(t)) != 2 || len(open) != 1 {
		f.Errorf("%d current views and %d open findings, want both addresses and the finding", len(f.known(t)), len(open))
	}
	for n := 5; n <= 6; n++ {
		f.record(t, Resolved([]string{a}, Seen(t, a, hour(n), Chain("a")))...)
	}
	f.record(t, half(7)) // counts neither for nor against it
	if got := f.record(t, Resolved([]string{a}, Seen(t, a, hour(8), Chain("a")))...).Retired; got != 1 {
		f.Errorf("%d retired views after three whole answers without it, want 1", got)
	}
}

func pinned(f *fixture) {
	t := Target("shop.example")
	f.record(t, Seen(t, "192.0.2.1", hour(0), Chain("a")))
	for n := 1; n <= 2; n++ {
		f.record(t, Seen(t, "192.0.2.2", hour(n), Chain("a")))
	}
	if got := len(f.known(t)); got != 2 {
		f.Errorf("%d current views after two examinations elsewhere, want 2", got)
	}
	f.record(t, Seen(t, "192.0.2.2", hour(3), Chain("a")))
	if got := f.one(t); got.View.Address != "192.0.2.2" {
		f.Errorf("current view is %v", got.View)
	}
}

// inTurn: of many addresses that a person gave, each examination takes the next.
func inTurn(f *fixture) {
	t := Target("shop.example")
	for n := range 8 {
		var some []inventory.Endpoint
		for i := range 2 {
			e := Seen(t, fmt.Sprintf("192.0.2.%d", (2*n+i)%8), hour(n), Chain("a"))
			e.Observation.Unexamined = 6
			some = append(some, e)
		}
		f.record(t, some...)
	}
	if got := len(f.known(t)); got != 8 {
		f.Errorf("%d current views, want those of all 8 addresses", got)
	}
}

func twice(f *fixture) {
	t := Target("shop.example")
	f.record(t, Seen(t, address, hour(0), Chain("a")))
	f.record(t, Seen(t, address, hour(0), Chain("a")))
	if spans := f.spans(t); len(spans) != 1 || spans[0].Count != 1 {
		f.Errorf("spans = %+v, want a count of 1", spans)
	}
}

func offers(f *fixture) {
	t := Target("shop.example")
	plain := Seen(t, address, hour(0), Chain("a"))
	bare := Seen(t, address, hour(0), Chain("b"))
	bare.Observation.Offer = inventory.OfferNoSNI
	f.record(t, plain, bare)
	st := f.target(t)
	if len(st.Views) != 2 {
		f.Fatalf("%d views, want 2", len(st.Views))
	}
	for _, v := range st.Views {
		want := Chain("a")
		if v.Facts.Observation.Offer == inventory.OfferDefault {
			want = nil
		}
		if !cmp.Equal(v.Facts.DefaultChain, want) {
			f.Errorf("offer %s: default chain has %d certificates, want %d", v.Facts.Observation.Offer, len(v.Facts.DefaultChain), len(want))
		}
	}
}

// offersApart: what was answered to another offer before a change is compared
// with what the default one was answered then.
func offersApart(f *fixture) {
	t := Target("shop.example")
	seen := func(offer inventory.Offer, n int, chain string) inventory.Endpoint {
		e := Seen(t, address, hour(n), Chain(chain))
		e.Observation.Offer = offer
		return e
	}
	check := func(st inventory.StoredTarget, when string, chain [][]byte) {
		f.Helper()
		for _, v := range st.Views {
			if v.Facts.Observation.Offer == inventory.OfferNoSNI && !cmp.Equal(v.Facts.DefaultChain, chain) {
				f.Errorf("%s: a default chain of %d certificates, and not what it is compared with", when, len(v.Facts.DefaultChain))
			}
		}
	}
	f.record(t, seen(inventory.OfferDefault, 0, "a"))
	f.record(t, seen(inventory.OfferDefault, 1, "a"), seen(inventory.OfferNoSNI, 1, "a"))
	f.record(t, Failed(t, address, hour(2), inventory.ReachTimeout))
	check(f.target(t), "the default offer has no answer", Chain("a"))
	f.record(t, seen(inventory.OfferDefault, 3, "b"))
	f.record(t, seen(inventory.OfferDefault, 4, "c"))
	check(f.target(t), "it was renewed twice", Chain("a"))
	for _, st := range all(f, f.Targets(f.Context(), hour(6))) {
		check(st, "as it was at a time", Chain("a"))
	}
	f.record(t, seen(inventory.OfferDefault, 5, "c"), seen(inventory.OfferNoSNI, 5, "a"))
	check(f.target(t), "both were asked again", Chain("c"))
}

func metadata(f *fixture) {
	t := Target("shop.example")
	f.record(t, Seen(t, address, hour(0), Chain("a")))
	bare := t
	bare.Labels, bare.Sources = nil, []string{"arg"}
	f.record(bare, Seen(t, address, hour(1), Chain("a")))
	got := f.target(t).Target
	if !cmp.Equal(got.Labels, t.Labels) || !cmp.Equal(got.Sources, []string{"arg", "file:domains.txt"}) {
		f.Errorf("after a bare scan: labels %v, sources %v", got.Labels, got.Sources)
	}
	t.Labels = map[string]string{"owner": "mail"}
	f.record(t, Seen(t, address, hour(2), Chain("a")))
	if got := f.target(t).Target; !cmp.Equal(got.Labels, t.Labels) {
		f.Errorf("labels = %v, want the new ones only", got.Labels)
	}
	if st := f.target(t); !st.FirstSeen.Equal(hour(0)) {
		f.Errorf("first seen %v, want %v", st.FirstSeen, hour(0))
	}
	// The sources of the daemon are those that name it now; what a person scanned
	// stays known, and takes nothing from the daemon.
	for n, tt := range []struct{ named, want []string }{
		{[]string{"core", "edge"}, []string{"core", "edge", "file:domains.txt", "arg"}},
		{[]string{"edge"}, []string{"edge", "file:domains.txt", "arg"}},
		{[]string{"stdin"}, []string{"stdin", "edge", "file:domains.txt", "arg"}},
		{[]string{"core"}, []string{"core", "stdin", "file:domains.txt", "arg"}},
	} {
		t.Sources = tt.named
		f.record(t, Seen(t, address, hour(3+n), Chain("a")))
		if got := f.target(t).Target.Sources; !cmp.Equal(got, tt.want) {
			f.Errorf("named by %v: sources %v, want %v", tt.named, got, tt.want)
		}
	}
}

func hostile(f *fixture) {
	t := Target("shop.example")
	t.Labels = map[string]string{"owner": "'); DROP TABLE view; --\x00\x1b[2J"}
	e := Seen(t, address, hour(0), Chain("a"))
	e.Observation.Reach.Detail = "\x1b]0;owned\x07" + strings.Repeat("é", 5000)
	e.Judgement.Certificate.Names = []string{"", strings.Repeat("x", 5000), "*.Shop.Example", "shop.example.", "2001:db8::7", "\xff\xfe", "a..b"}
	e.Judgement.Findings = []inventory.Finding{finding(inventory.CodeNoSAN, e.Observation.View())}
	e.Judgement.Findings[0].Message = strings.Repeat("☠", 5000)
	f.record(t, e)
	st := f.target(t)
	if !cmp.Equal(st.Target.Labels, t.Labels) {
		f.Errorf("labels = %q", st.Target.Labels)
	}
	if d := st.Views[0].Facts.Observation.Reach.Detail; len(d) > 1024 || !strings.HasPrefix(e.Observation.Reach.Detail, d) || !strings.HasSuffix(d, "é") {
		f.Errorf("detail has %d bytes, want the beginning, at most 1024", len(d))
	}
	if open := all(f, f.OpenFindings(f.Context())); len(open) != 1 || len(open[0].Finding.Message) > 1024 {
		f.Errorf("message is not bounded")
	}
	for _, name := range []string{"www.shop.example", "shop.example", "2001:db8::7"} {
		if got, err := f.Where(f.Context(), inventory.Query{Name: name}); err != nil || len(got) != 1 {
			f.Errorf("Where(%s) = %v, %v, want one", name, got, err)
		}
	}
}

func emptyCertificate(f *fixture) {
	t := Target("shop.example")
	for i, none := range [][]byte{nil, {}} { // what a careless decoder made of it, and what a server sent
		e := Seen(t, address, hour(i), append(Chain("a"), none))
		f.record(t, e)
		if got := f.one(t); got.Chain != inventory.ChainID(e.Observation.Chain) {
			f.Errorf("Known = %+v, want the chain served", got)
		}
		chain, err := f.Chain(f.Context(), inventory.ChainID(e.Observation.Chain))
		if n := len(e.Observation.Chain); err != nil || len(chain) != n || len(chain[n-1]) != 0 {
			f.Errorf("Chain = %d certificates, %v; want %d, the last of no length", len(chain), err, n)
		}
	}
}
