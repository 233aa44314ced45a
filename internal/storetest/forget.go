package storetest

import (
	"errors"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
)

func forget(f *fixture) {
	t := Target("shop.example")
	f.record(t, expiring(t, address, hour(0), "7d", inventory.Critical))
	before := f.target(t)
	if _, _, err := f.Forgotten(f.Context(), t.Key()); !errors.Is(err, inventory.ErrUnknownTarget) {
		f.Errorf("Forgotten of a live target: %v", err)
	}
	if n, err := f.Forget(f.Context(), t.Key()); n != 1 || err != nil {
		f.Errorf("Forget = %d, %v, want 1", n, err)
	}
	if got, since, err := f.Forgotten(f.Context(), t.Key()); err != nil || !since.Equal(Now()) || !cmp.Equal(got, before) {
		f.Errorf("Forgotten = %v, %v, want %v and as it was: %s", since, err, Now(), cmp.Diff(before, got))
	}
	if _, err := f.Forget(f.Context(), t.Key()); !errors.Is(err, inventory.ErrUnknownTarget) {
		f.Errorf("Forget again: %v", err)
	}
	if _, err := f.Target(f.Context(), t.Key()); !errors.Is(err, inventory.ErrUnknownTarget) {
		f.Errorf("Target: %v", err)
	}
	if got := all(f, f.Targets(f.Context(), time.Time{})); len(got) != 0 {
		f.Errorf("%d targets left", len(got))
	}
	if got := all(f, f.Findings(f.Context(), time.Time{}, time.Time{})); len(got) != 1 || got[0].Reason != "forgotten" {
		f.Errorf("findings = %+v", got)
	}
	if len(f.known(t)) != 0 || len(f.spans(t)) != 1 {
		f.Error("want no view and the history")
	}
	f.record(t, Seen(t, address, Now().Add(time.Hour), Chain("a")))
	if len(f.target(t).Views) != 1 || len(f.target(t).Target.Labels) != 2 {
		f.Error("an examination brings it back")
	}
	if _, _, err := f.Forgotten(f.Context(), t.Key()); !errors.Is(err, inventory.ErrUnknownTarget) {
		f.Errorf("Forgotten of what came back: %v", err)
	}
	if _, err := f.Spans(f.Context(), "nobody.example:443"); !errors.Is(err, inventory.ErrUnknownTarget) {
		f.Errorf("Spans of nobody: %v", err)
	}
}

func prune(f *fixture) {
	t, u := Target("shop.example"), Target("gone.example")
	f.record(t, expiring(t, address, hour(0), "7d", inventory.Critical))
	f.record(t, Seen(t, address, hour(1), Chain("b")))
	f.record(t, Seen(t, address, hour(2), Chain("c")))
	f.record(u, Seen(u, address, hour(0), Chain("u")))
	if _, err := f.Forget(f.Context(), u.Key()); err != nil {
		f.Fatal(err)
	}
	begin(f, "old", hour(0))
	if err := f.EndScan(f.Context(), "old", hour(1), false); err != nil {
		f.Fatal(err)
	}
	if err := f.Prune(f.Context(), hour(3)); err != nil {
		f.Fatal(err)
	}
	if spans := f.spans(t); len(spans) != 1 || spans[0].Count != 1 {
		f.Errorf("spans = %+v, want the present one", spans)
	}
	if !cmp.Equal(f.target(t).Views[0].Facts.PreviousChain, Chain("b")) {
		f.Error("the previous chain is still wanted")
	}
	if got := all(f, f.Findings(f.Context(), time.Time{}, time.Time{})); len(got) != 0 {
		f.Errorf("findings = %+v", got)
	}
	id := inventory.FingerprintOf(Chain("a")[0]).String()
	if _, _, err := f.Certificate(f.Context(), id); !errors.Is(err, inventory.ErrUnknownCertificate) {
		f.Errorf("certificate that nothing refers to: %v", err)
	}
	if got, err := f.Scans(f.Context()); err != nil || len(got) != 0 {
		f.Errorf("Scans = %v, %v", got, err)
	}
	if _, err := f.Spans(f.Context(), u.Key()); err != nil {
		f.Errorf("a target that was forgotten later: %v", err)
	}
	if err := f.Prune(f.Context(), Now().Add(time.Hour)); err != nil {
		f.Fatal(err)
	}
	if _, err := f.Spans(f.Context(), u.Key()); !errors.Is(err, inventory.ErrUnknownTarget) {
		f.Errorf("a target that was forgotten before: %v", err)
	}
	f.record(t, Seen(t, address, hour(4), Chain("a"))) // what was pruned is stored again
	if _, _, err := f.Certificate(f.Context(), id); err != nil {
		f.Error(err)
	}
}
