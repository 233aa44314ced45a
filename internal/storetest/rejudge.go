package storetest

import (
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
)

// stored is a result of t as it is stored, to be judged again.
func (f *fixture) stored(t inventory.Target) inventory.Result {
	f.Helper()
	r := inventory.Result{Target: t}
	for _, v := range f.target(t).Views {
		r.Endpoints = append(r.Endpoints, inventory.Endpoint{Observation: v.Facts.Observation})
	}
	return r
}

func (f *fixture) rejudge(results ...inventory.Result) []inventory.Result {
	f.Helper()
	stored, err := f.Rejudged(f.Context(), results)
	if err != nil {
		f.Fatalf("Rejudged: %v", err)
	}
	return stored
}

func rejudged(f *fixture) {
	t := Target("shop.example")
	f.record(t, Seen(t, address, hour(0), Chain("a")))
	r := f.stored(t)
	view := inventory.Finding{
		Code: inventory.CodeExpired, Severity: inventory.Critical, Message: "expired",
		Subject: inventory.Subject{Kind: inventory.SubjectView, ID: r.Endpoints[0].Observation.View().ID()},
	}
	target := inventory.Finding{
		Code: inventory.CodeAddressesDisagree, Severity: inventory.Warning,
		Subject: inventory.Subject{Kind: inventory.SubjectTarget, ID: t.Key()},
	}
	r.Endpoints[0].Judgement.Findings = []inventory.Finding{view}
	r.Judgement.Findings = []inventory.Finding{target}
	got := f.rejudge(r)
	if len(got) != 1 || !got[0].Endpoints[0].Judgement.Findings[0].Since.Equal(Now()) || !got[0].Judgement.Findings[0].Since.Equal(Now()) {
		f.Errorf("rejudged = %+v, want both findings open since %v", got, Now())
	}
	if open := all(f, f.OpenFindings(f.Context())); len(open) != 2 {
		f.Errorf("%d findings are open, want 2", len(open))
	}
	if spans := f.spans(t); len(spans) != 1 || spans[0].Count != 1 || !spans[0].LastSeen.Equal(hour(0)) {
		f.Errorf("spans = %+v: to judge again is no examination", spans)
	}
	f.rejudge(f.stored(t))
	if open := all(f, f.OpenFindings(f.Context())); len(open) != 0 {
		f.Errorf("%d findings are open that were not found again", len(open))
	}
}

func rejudgedTooLate(f *fixture) {
	t, gone := Target("shop.example"), Target("gone.example")
	f.record(t, Seen(t, address, hour(0), Chain("a")))
	f.record(gone, Seen(gone, address, hour(0), Chain("b")))
	late, forgotten := f.stored(t), f.stored(gone)
	late.Judgement.Findings = []inventory.Finding{{
		Code: inventory.CodeAddressesDisagree, Severity: inventory.Warning,
		Subject: inventory.Subject{Kind: inventory.SubjectTarget, ID: t.Key()},
	}}
	forgotten.Judgement.Findings = late.Judgement.Findings
	f.record(t, Seen(t, address, hour(0).Add(time.Minute), Chain("a")))
	if _, err := f.Forget(f.Context(), gone.Key()); err != nil {
		f.Fatal(err)
	}
	unknown := inventory.Result{Target: Target("never.example")}
	if got := f.rejudge(late, forgotten, unknown); len(got) != 0 {
		f.Errorf("%d results were stored that are about what was", len(got))
	}
	if open := all(f, f.OpenFindings(f.Context())); len(open) != 0 {
		f.Errorf("%d findings are open, want none", len(open))
	}
	f.record(t, Seen(t, address, hour(1), Chain("a")), Seen(t, "192.0.2.8", hour(1), Chain("a")))
	part := f.stored(t)
	part.Endpoints = part.Endpoints[:1]
	if got := f.rejudge(part); len(got) != 0 {
		f.Error("a target was judged by a part of its views")
	}
	if got := f.rejudge(f.stored(t)); len(got) != 1 {
		f.Errorf("%d results were stored of what is, want 1", len(got))
	}
}

func listed(f *fixture) {
	shop, gone, api := Target("shop.example"), Target("gone.example"), Target("api.example")
	for _, t := range []inventory.Target{shop, gone, api} {
		f.record(t, Seen(t, address, hour(0), Chain("a")))
	}
	if _, err := f.Forget(f.Context(), gone.Key()); err != nil {
		f.Fatal(err)
	}
	if diff := cmp.Diff([]inventory.Target{api, shop}, all(f, f.List(f.Context()))); diff != "" {
		f.Errorf("List (-want +got):\n%s", diff)
	}
	for range f.List(f.Context()) {
		break // and no connection is left open
	}
}
