package store_test

import (
	"path/filepath"
	"slices"
	"testing"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/store"
	"example.com/certscan/internal/storetest"
)

func open(t *testing.T) *store.DB {
	t.Helper()
	return reopen(t, filepath.Join(t.TempDir(), "certscan.db"))
}

func reopen(t *testing.T, path string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), path, store.Options{Now: storetest.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Store { return open(t) })
}

const batchSize = 400

// recordAll records results as an engine does.
func recordAll(tb testing.TB, db *store.DB, results []inventory.Result) {
	tb.Helper()
	for batch := range slices.Chunk(results, batchSize) {
		if err := db.Record(tb.Context(), "", batch); err != nil {
			tb.Fatal(err)
		}
	}
}
