//go:build unix

package store_test

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"example.com/certscan/internal/store"
	"example.com/certscan/internal/storetest"
)

const benchEndpoints = 10_000

// cpu is the time that this process has spent on all processors.
func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // cannot fail with these arguments
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func openBench(b *testing.B) (*store.DB, string) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "certscan.db")
	db, err := store.Open(b.Context(), path, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return db, path
}

// least keeps the best of several runs: what disturbs a run only adds to it.
func least(best, run time.Duration) time.Duration {
	if best == 0 {
		return run
	}
	return min(best, run)
}

func reportEach(b *testing.B, best time.Duration) {
	b.ReportMetric(float64(best.Nanoseconds())/1000/benchEndpoints, "cpu-us/endpoint")
}

// BenchmarkRecordNew is the first sight of 10,000 endpoints with certificates
// of their own.
func BenchmarkRecordNew(b *testing.B) {
	results := storetest.Fleet(benchEndpoints, storetest.Start)
	var best time.Duration
	for range b.N {
		db, path := openBench(b)
		before := cpu()
		recordAll(b, db, results)
		if err := db.Close(); err != nil { // with the checkpoint
			b.Fatal(err)
		}
		best = least(best, cpu()-before)
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/benchEndpoints, "file-B/endpoint")
	}
	reportEach(b, best)
}

// BenchmarkRecordSame is a scan in which nothing changed, with the questions
// that an engine asks before it.
func BenchmarkRecordSame(b *testing.B) {
	for _, bm := range []struct {
		name string
		ask  func(b *testing.B, db *store.DB, keys []string)
	}{
		{"record", func(*testing.B, *store.DB, []string) {}},
		{"prefetch, known and record", func(b *testing.B, db *store.DB, keys []string) {
			if err := db.Prefetch(b.Context(), keys); err != nil {
				b.Fatal(err)
			}
			known(b, db, keys)
		}},
		{"known and record", known},
	} {
		b.Run(bm.name, func(b *testing.B) {
			db, _ := openBench(b)
			defer db.Close()
			recordAll(b, db, storetest.Fleet(benchEndpoints, storetest.Start))
			var best time.Duration
			for i := range b.N {
				results := storetest.Fleet(benchEndpoints, storetest.Start.Add(time.Duration(i+1)*time.Hour))
				before := cpu()
				for batch := range slices.Chunk(results, batchSize) {
					keys := make([]string, len(batch))
					for i := range batch {
						keys[i] = batch[i].Target.Key()
					}
					bm.ask(b, db, keys)
					if err := db.Record(b.Context(), "", batch); err != nil {
						b.Fatal(err)
					}
				}
				best = least(best, cpu()-before)
			}
			reportEach(b, best)
		})
	}
}

func known(b *testing.B, db *store.DB, keys []string) {
	for _, key := range keys {
		if views, err := db.Known(b.Context(), key); err != nil || len(views) != 1 {
			b.Fatalf("Known(%s) = %d views, %v", key, len(views), err)
		}
	}
}
