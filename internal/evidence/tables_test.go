package evidence_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
)

// large returns a list whose table takes 2 MiB.
func large() string { return "crl 864000 " + strings.Repeat("x", 2<<20) }

// Who waits for one list and holds another must not make others run out of
// memory: what does not fit is unknown, and says why.
func TestHeldTablesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &network{urls: map[string]answerFunc{"*": body(large(), -1), list("small").URL: body("crl 864000", -1)}}
		s := newSource(t, evidence.Options{Fetcher: n, ReadCRL: new(reader).ReadCRL, HeldBytes: 8 << 20})
		var held []inventory.Evidence
		for i := range 5 {
			got := s.Get(t.Context(), list(fmt.Sprint(i)))
			held = append(held, got)
			if i < 3 && !is(got, large()) {
				t.Fatalf("list %d of three: %+v", i, got)
			}
			if i >= 3 && (got.CRL != nil || got.ErrorWord != inventory.EvidenceLocal || !strings.HasPrefix(got.Error, "too many large lists at a time")) {
				t.Errorf("list %d, for which there is no memory: %+v", i, got)
			}
		}
		if took := time.Since(start); took < 20*time.Second || took > 21*time.Second {
			t.Errorf("two lists waited for %v, want ten seconds each", took)
		}
		if got := s.Get(t.Context(), list("small")); !is(got, "crl 864000") {
			t.Errorf("a small list: %+v", got)
		}
		runtime.KeepAlive(held)
	})
}

// What was held and is no more makes room at once, also what is remembered.
func TestTablesThatNobodyHoldsMakeRoom(t *testing.T) {
	t.Parallel()
	n := &network{urls: map[string]answerFunc{"*": body(large(), -1)}}
	s := newSource(t, evidence.Options{Fetcher: n, ReadCRL: new(reader).ReadCRL, HeldBytes: 8 << 20, TableBytes: 7 << 20, Now: func() time.Time { return start }})
	for i := range 10 {
		if got := s.Get(t.Context(), list(fmt.Sprint(i))); !is(got, large()) {
			t.Fatalf("list %d: %+v", i, got)
		}
	}
}

// A kept list for which there is no memory just now is neither damaged nor
// fetched again, and is read later.
func TestAKeptListWaitsForMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		n := &network{urls: map[string]answerFunc{"*": body("crl 864000", -1)}}
		open := func(held int64, offline bool) *evidence.Source {
			return newSource(t, evidence.Options{Fetcher: n, ReadCRL: new(reader).ReadCRL, CRLDir: dir, HeldBytes: held, Offline: offline})
		}
		open(1<<20, false).Get(t.Context(), list("a"))
		for _, offline := range []bool{false, true} {
			if got := open(1, offline).Get(t.Context(), list("a")); got.ErrorWord != inventory.EvidenceLocal || !strings.HasPrefix(got.Error, "too many large lists at a time") {
				t.Errorf("offline %v: %+v", offline, got)
			}
		}
		if got := open(1<<20, false).Get(t.Context(), list("a")); !is(got, "crl 864000") || n.count() != 1 {
			t.Errorf("later: %+v after %d fetches", got, n.count())
		}

		// A list that has not changed is fetched whole only where it is damaged.
		time.Sleep(day)
		n.set("*", func(context.Context) (evidence.Answer, error) { return evidence.Answer{NotModified: true}, nil })
		if got := open(1, false).Get(t.Context(), list("a")); got.ErrorWord != inventory.EvidenceLocal || n.count() != 2 {
			t.Errorf("not modified: %+v after %d fetches", got, n.count())
		}
	})
}
