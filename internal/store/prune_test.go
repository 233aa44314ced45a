package store_test

import (
	"context"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/storetest"
)

// A patient is a context that ends when it was asked a number of times whether it
// has.
type patient struct {
	context.Context
	left int
}

func (p *patient) Err() error {
	if p.left--; p.left < 0 {
		return context.Canceled
	}
	return p.Context.Err()
}

// Others can write between the parts of pruning, and it can end after each: the
// store is whole then.
func TestPruneInParts(t *testing.T) {
	t.Parallel()
	db := open(t)
	hour := func(n int) time.Time { return storetest.Start.Add(time.Duration(n) * time.Hour) }
	record := func(target inventory.Target, at time.Time, chain string) {
		t.Helper()
		e := storetest.Seen(target, "192.0.2.7", at, storetest.Chain(chain))
		if err := db.Record(t.Context(), "", []inventory.Result{{Target: target, Endpoints: []inventory.Endpoint{e}}}); err != nil {
			t.Fatal(err)
		}
	}
	here, gone := storetest.Target("shop.example"), storetest.Target("gone.example")
	for i, chain := range []string{"a", "b", "c"} {
		record(here, hour(i), chain)
	}
	record(gone, hour(0), "u")
	if _, err := db.Forget(t.Context(), gone.Key()); err != nil {
		t.Fatal(err)
	}
	parts := 0
	for ; ; parts++ {
		err := db.Prune(&patient{t.Context(), parts}, storetest.Now().Add(time.Hour))
		wantSound(t, db)
		if err == nil {
			break
		}
		record(here, hour(3+parts), []string{"a", "b", "c"}[parts%3]) // of which parts are gone
		wantSound(t, db)
	}
	if parts < 2 {
		t.Errorf("pruned in %d parts, want more", parts)
	}
}
