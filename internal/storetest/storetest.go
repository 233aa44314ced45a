// Package storetest is what every store of certscan has to pass.
//
// It knows a store only by the interface that it declares, so that a second
// implementation is held to what the first one does and not to how.
package storetest

import (
	"context"
	"iter"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
)

// A Store is what is tested.
type Store interface {
	BeginScan(ctx context.Context, info inventory.ScanInfo) error
	EndScan(ctx context.Context, id string, ended time.Time, partial bool) error
	Scan(ctx context.Context, id string) (inventory.ScanInfo, error)
	Scans(ctx context.Context) ([]inventory.ScanInfo, error)
	Resumable(ctx context.Context) (inventory.ScanInfo, func(target string) bool, error)

	Prefetch(ctx context.Context, targets []string) error
	Known(ctx context.Context, target string) ([]inventory.KnownView, error)
	Chain(ctx context.Context, id inventory.Fingerprint) ([][]byte, error)
	LastFailed(ctx context.Context) (map[string]bool, error)
	Record(ctx context.Context, scanID string, results []inventory.Result) error
	RecordFleet(ctx context.Context, findings []inventory.Finding) error
	Rejudged(ctx context.Context, results []inventory.Result) ([]inventory.Result, error)

	Renewals(ctx context.Context, key string) (map[string][]inventory.Renewal, error)
	List(ctx context.Context) iter.Seq2[inventory.Target, error]
	Targets(ctx context.Context, at time.Time) iter.Seq2[inventory.StoredTarget, error]
	Target(ctx context.Context, key string) (inventory.StoredTarget, error)
	Spans(ctx context.Context, target string) ([]inventory.Span, error)
	Where(ctx context.Context, q inventory.Query) ([]inventory.Serving, error)
	ChainsTo(ctx context.Context, match func(chain [][]byte) (via inventory.Fingerprint, ok bool, err error)) ([]inventory.Serving, error)
	Certificate(ctx context.Context, sha256 string) (der []byte, firstSeen time.Time, err error)
	Findings(ctx context.Context, since, until time.Time) iter.Seq2[inventory.FindingSpan, error]
	OpenFindings(ctx context.Context) iter.Seq2[inventory.FindingSpan, error]
	Changes(ctx context.Context, from, to time.Time) iter.Seq2[inventory.Change, error]

	Evidence(ctx context.Context, n inventory.Need) (inventory.Evidence, bool, error)
	PutEvidence(ctx context.Context, ev inventory.Evidence) error

	Forget(ctx context.Context, target string) (int, error)
	Forgotten(ctx context.Context, key string) (inventory.StoredTarget, time.Time, error)
	Prune(ctx context.Context, before time.Time) error
	Check(ctx context.Context) ([]string, error)
}

// Now is the clock of the stores under test: later than all that is recorded.
func Now() time.Time { return Start.Add(30 * 24 * time.Hour) }

// Run tests stores. open gives each test an empty one, whose clock is [Now].
func Run(t *testing.T, open func(t *testing.T) Store) {
	for _, tt := range []struct {
		name string
		run  func(*fixture)
	}{
		{"what was observed comes back as it was", roundTrip},
		{"a certificate of no length is kept like any other", emptyCertificate},
		{"an unchanged view is touched and gets no span", unchanged},
		{"a change makes a span of the past", changed},
		{"chains that differ only after the leaf are a change", intermediates},
		{"an unreachable view keeps its last chain", unreachable},
		{"a store in which nothing was ever served is sound", neverServed},
		{"what came beside the last chain", besideTheLastChain},
		{"a pool behind one address is a set", pool},
		{"a state that comes back soon flaps", flapping},
		{"an address retires after three resolutions without it", retirement},
		{"a failed resolution keeps the last addresses", failedResolution},
		{"a resolution of one family keeps the addresses of the other", partialResolution},
		{"addresses that are not resolved retire by examinations", pinned},
		{"addresses that are examined in turn do not retire", inTurn},
		{"an observation delivered late is left out", late},
		{"a clock that was ahead leaves nothing in the time to come", ahead},
		{"an observation delivered twice counts once", twice},
		{"views by other offers know the default chain", offers},
		{"and the one of their own time", offersApart},
		{"labels and sources of a target", metadata},
		{"findings open, change, and close", findings},
		{"findings of views that were not judged stay open", unjudged},
		{"findings of the fleet", fleetFindings},
		{"findings of the fleet while no scan runs are of now", fleetNow},
		{"renewals are learned from what was served", renewals},
		{"the list of targets is of those that are live", listed},
		{"what is judged again changes findings alone", rejudged},
		{"what was examined meanwhile is not judged by what was", rejudgedTooLate},
		{"the past can be asked for", past},
		{"the past of what was examined last", pastAndLatest},
		{"two moments can be compared", changes},
		{"where a certificate is served", where},
		{"certificates by a part of their hash", certificates},
		{"scans are listed and resumed", scans},
		{"who failed last", lastFailed},
		{"evidence is kept until it is replaced", evidence},
		{"a forgotten target is gone and its history is not", forget},
		{"pruning keeps what is current", prune},
		{"foreign text is bounded and kept as it is", hostile},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := &fixture{T: t, Store: open(t)}
			tt.run(f)
			problems, err := f.Check(t.Context())
			if err != nil {
				t.Fatalf("Check: %v", err)
			}
			for _, p := range problems {
				t.Errorf("Check: %s", p)
			}
		})
	}
}

// A fixture is a test with its store.
type fixture struct {
	*testing.T
	Store
}

// record records one result of t.
func (f *fixture) record(t inventory.Target, endpoints ...inventory.Endpoint) inventory.Result {
	f.Helper()
	r := []inventory.Result{{Target: t, Endpoints: endpoints}}
	f.recordAll(r...)
	return r[0]
}

func (f *fixture) recordAll(results ...inventory.Result) {
	f.Helper()
	if err := f.Record(f.Context(), "", results); err != nil {
		f.Fatalf("Record: %v", err)
	}
}

func (f *fixture) known(t inventory.Target) []inventory.KnownView {
	f.Helper()
	known, err := f.Known(f.Context(), t.Key())
	if err != nil {
		f.Fatalf("Known(%s): %v", t, err)
	}
	return known
}

// one is known for a target that has one current view.
func (f *fixture) one(t inventory.Target) inventory.KnownView {
	f.Helper()
	known := f.known(t)
	if len(known) != 1 {
		f.Fatalf("%d current views of %s, want 1: %+v", len(known), t, known)
	}
	return known[0]
}

func (f *fixture) spans(t inventory.Target) []inventory.Span {
	f.Helper()
	spans, err := f.Spans(f.Context(), t.Key())
	if err != nil {
		f.Fatalf("Spans(%s): %v", t, err)
	}
	return spans
}

func (f *fixture) target(t inventory.Target) inventory.StoredTarget {
	f.Helper()
	st, err := f.Target(f.Context(), t.Key())
	if err != nil {
		f.Fatalf("Target(%s): %v", t, err)
	}
	return st
}

// all collects a sequence that must not fail.
func all[V any](f *fixture, seq iter.Seq2[V, error]) []V {
	f.Helper()
	var got []V
	for v, err := range seq {
		if err != nil {
			f.Fatalf("after %d: %v", len(got), err)
		}
		got = append(got, v)
	}
	return got
}

// hour is n hours after [Start].
func hour(n int) time.Time { return Start.Add(time.Duration(n) * time.Hour) }
