package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/store"
	"example.com/certscan/internal/storetest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(victimEnv); path != "" {
		os.Exit(victim(path))
	}
	goleak.VerifyTestMain(m)
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, path string)
		opt     store.Options
		want    []string
	}{
		{
			name:    "a file that is not SQLite",
			prepare: func(t *testing.T, path string) { write(t, path, "domain,port\n") },
			want:    []string{"not a SQLite database"},
		},
		{
			name:    "a database of another program",
			prepare: func(t *testing.T, path string) { edit(t, path, `PRAGMA application_id = 42`) },
			want:    []string{"another program"},
		},
		{
			name:    "a newer schema",
			prepare: func(t *testing.T, path string) { edit(t, path, `PRAGMA user_version = 99`) },
			want:    []string{"schema 99", "this one knows 6", "newer certscan"},
		},
		{
			name:    "a newer schema, for reading",
			prepare: func(t *testing.T, path string) { edit(t, path, `PRAGMA user_version = 99`) },
			opt:     store.Options{ReadOnly: true},
			want:    []string{"schema 99", "newer certscan"},
		},
		{
			name:    "an empty file, for reading",
			prepare: func(t *testing.T, path string) { write(t, path, "") },
			opt:     store.Options{ReadOnly: true},
			want:    []string{"nothing is in it yet"},
		},
		{
			name: "a directory",
			prepare: func(t *testing.T, path string) {
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"is a directory"},
		},
		{
			name: "a damaged file",
			prepare: func(t *testing.T, path string) {
				edit(t, path, `PRAGMA user_version`)
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				copy(b[100:], bytes.Repeat([]byte{0xff}, 2000))
				write(t, path, string(b))
			},
			want: []string{"damaged", "backup"},
		},
		{
			name: "another writer",
			prepare: func(t *testing.T, path string) {
				db, err := store.Open(t.Context(), path, store.Options{Command: "certscan serve -c certscan.yaml"})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { db.Close() })
			},
			want: []string{"in use by process " + fmt.Sprint(os.Getpid()), "certscan serve -c certscan.yaml"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "some?name#%20.db")
			tt.prepare(t, path)
			db, err := store.Open(t.Context(), path, tt.opt)
			if err == nil {
				db.Close()
				t.Fatal("no error")
			}
			for _, want := range append(tt.want, fmt.Sprintf("%q", path)) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q is more than one line", err)
			}
			if another := !strings.Contains(tt.name, "empty"); errors.Is(err, store.ErrUnusable) != another {
				t.Errorf("error %q: another file would do: %v, want %v", err, !another, another)
			}
			if strings.Contains(err.Error(), "--") {
				t.Errorf("error %q names a flag, and a store has none", err)
			}
		})
	}
}

func TestNoFileForReading(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none", "certscan.db")
	if _, err := store.Open(t.Context(), path, store.Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want one that is fs.ErrNotExist", err)
	}
	if _, err := os.Stat(filepath.Dir(path)); err == nil {
		t.Error("a reader has made a directory")
	}
}

func TestFilesAreForNobodyElse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state", "certscan", "certscan.db")
	reopen(t, path)
	for name, want := range map[string]fs.FileMode{path: 0o600, path + ".lock": 0o600, path + "-wal": 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestLockIsReleased(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certscan.db")
	for range 2 {
		db, err := store.Open(t.Context(), path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Open(t.Context(), path, store.Options{}); !errors.Is(err, store.ErrLocked) {
			t.Errorf("second writer: %v, want ErrLocked", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadersDoNotWait(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certscan.db")
	db := reopen(t, path)
	recordAll(t, db, storetest.Fleet(100, storetest.Start))
	r, err := store.Open(t.Context(), path, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	for st, err := range r.Targets(t.Context(), time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 { // while it reads, others write; it sees what was there when it began
			recordAll(t, db, storetest.Fleet(200, storetest.Start.Add(time.Hour)))
		}
		if !st.Views[0].LastProbe.Before(storetest.Start.Add(time.Hour)) {
			t.Errorf("%s was examined at %v, after the reader began", st.Target, st.Views[0].LastProbe)
		}
		n++
	}
	if n != 100 {
		t.Errorf("%d targets, want the 100 that were there", n)
	}
	if err := r.Record(t.Context(), "", storetest.Fleet(1, storetest.Start)); err == nil {
		t.Error("a reader can write")
	}
}

func TestUnchangedScanDoesNotGrowTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certscan.db")
	scan := func(at time.Time) (size int64, spans int) {
		db, err := store.Open(t.Context(), path, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		id := at.Format(time.RFC3339)
		results := storetest.Fleet(10_000, at)
		if err := db.BeginScan(t.Context(), inventory.ScanInfo{ID: id, Started: at}); err != nil {
			t.Fatal(err)
		}
		for len(results) > 0 {
			n := min(batchSize, len(results))
			if err := db.Record(t.Context(), id, results[:n]); err != nil {
				t.Fatal(err)
			}
			results = results[n:]
		}
		if err := db.EndScan(t.Context(), id, at.Add(time.Minute), false); err != nil {
			t.Fatal(err)
		}
		if spans, err = db.Rows(t.Context(), "span"); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil { // checkpoints the log
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size(), spans
	}
	first, _ := scan(storetest.Start)
	for n := range 2 {
		size, spans := scan(storetest.Start.Add(time.Duration(n+1) * time.Hour))
		if spans != 0 {
			t.Errorf("%d rows in span, want none", spans)
		}
		if grown := float64(size-first) / float64(first); grown >= 0.01 {
			t.Errorf("scan %d: the file grew from %d to %d bytes, by %.2f %%", n+2, first, size, 100*grown)
		}
	}
}

func TestDiskFullLosesOnlyTheBatch(t *testing.T) {
	t.Parallel()
	db := open(t)
	results := storetest.Fleet(300, storetest.Start)
	recordAll(t, db, results[:100])
	if err := db.LimitPages(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	err := db.Record(t.Context(), "", results[100:])
	if err == nil || !strings.Contains(err.Error(), "the disk is full: make room") {
		t.Fatalf("Record on a full disk: %v", err)
	}
	if err := db.LimitPages(t.Context(), 100_000); err != nil {
		t.Fatal(err)
	}
	if n := countTargets(t, db); n != 100 {
		t.Errorf("%d targets after a full disk, want 100", n)
	}
	recordAll(t, db, results) // the same connection goes on, and knows what is stored
	if n := countTargets(t, db); n != 300 {
		t.Errorf("%d targets, want 300", n)
	}
	wantSound(t, db)
}

func countTargets(t *testing.T, db *store.DB) (n int) {
	t.Helper()
	for _, err := range db.Targets(t.Context(), time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func wantSound(t *testing.T, db *store.DB) {
	t.Helper()
	problems, err := db.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("Check: %s", p)
	}
}

func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		`UPDATE certificate SET der = x'00' WHERE id = 1`:              "other content",
		`DELETE FROM certificate WHERE id = 1`:                         "is missing",
		`UPDATE chain SET certificates = zeroblob(32) WHERE 1`:         "other content",
		`UPDATE view SET reach = 'timeout' WHERE id = 1`:               "other content",
		`UPDATE span SET until = until + 1000000`:                      "overlap",
		`UPDATE view SET seq = 7 WHERE id = 2`:                         "out of order",
		`DELETE FROM target`:                                           "refers to nothing",
		`UPDATE view SET previous_chain = x'00' WHERE id = 1`:          "remembers a chain that is missing",
		`UPDATE view SET retired = last_seen, missed = 3 WHERE id = 1`: "not current",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			results := storetest.Fleet(2, storetest.Start)
			v := results[0].Endpoints[0].Observation.View()
			results[0].Endpoints[0].Judgement.Findings = []inventory.Finding{{
				Code: inventory.CodeWeakKey, Severity: inventory.Critical, Subject: inventory.Subject{Kind: inventory.SubjectView, ID: v.ID()},
			}}
			recordAll(t, db, results)
			other := storetest.Fleet(2, storetest.Start.Add(time.Hour))[1]
			other.Endpoints[0].Observation.TLS.Version = "TLS 1.2"
			recordAll(t, db, []inventory.Result{other})
			wantSound(t, db)
			if err := db.Exec(t.Context(), query); err != nil {
				t.Fatal(err)
			}
			problems, err := db.Check(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(problems, "\n"), want) {
				t.Errorf("after %s: %q, want %q among them", query, problems, want)
			}
		})
	}
}

func TestBackupWhileWriting(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certscan.db")
	db := reopen(t, path)
	results := storetest.Fleet(2000, storetest.Start)
	recordAll(t, db, results[:500])
	reader, err := store.Open(t.Context(), path, store.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	copied := filepath.Join(t.TempDir(), "copy.db")
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := reader.Backup(t.Context(), copied); err != nil {
			t.Errorf("Backup: %v", err)
		}
	})
	recordAll(t, db, results[500:])
	wg.Wait()

	if err := reader.Backup(t.Context(), copied); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("second Backup: %v, want a refusal to overwrite", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(copied), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if info, err := os.Stat(copied); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("copy has mode %v, %v, want 600", info.Mode(), err)
	}
	backup := reopen(t, copied)
	wantSound(t, backup)
	if n := countTargets(t, backup); n < 500 || (n-500)%batchSize != 0 && n != 2000 {
		t.Errorf("the copy has %d targets, want whole batches", n)
	}
}

func TestCanceledRecordStoresNothing(t *testing.T) {
	t.Parallel()
	db := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Record(ctx, "", storetest.Fleet(1, storetest.Start)); !errors.Is(err, context.Canceled) {
		t.Errorf("Record: %v, want context.Canceled", err)
	}
	if n := countTargets(t, db); n != 0 {
		t.Errorf("%d targets, want none", n)
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	db := open(t)
	results := storetest.Fleet(50, storetest.Start)
	results[7].Endpoints[0].Judgement.Certificate.IssuerKey = inventory.Fingerprint{}
	recordAll(t, db, results)
	s, err := db.Signatures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Len() != 51 { // 49 leaves and two issuers
		t.Errorf("%d signatures, want 51", s.Len())
	}
	leaf := func(i int) inventory.Fingerprint {
		return inventory.FingerprintOf(results[i].Endpoints[0].Observation.Chain[0])
	}
	for i := range 50 {
		if got, want := s.Verified(leaf(i), storetest.IssuerKey()), i != 7; got != want {
			t.Errorf("leaf %d verified = %v, want %v", i, got, want)
		}
	}
	if s.Verified(leaf(0), inventory.Fingerprint{}) || s.Verified(leaf(0), leaf(1)) || s.Verified(inventory.Fingerprint{}, storetest.IssuerKey()) {
		t.Error("verified with a key that did not sign")
	}
	recordAll(t, db, storetest.Fleet(50, storetest.Start.Add(time.Hour))) // now the issuer of 7 is known
	if s, err = db.Signatures(t.Context()); err != nil || !s.Verified(leaf(7), storetest.IssuerKey()) {
		t.Errorf("a signature that was verified later is not known: %v", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	db := open(t)
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for round := range 5 {
				results := storetest.Fleet(60, storetest.Start.Add(time.Duration(round)*time.Hour))[n*10 : n*10+30]
				for _, r := range results {
					if _, err := db.Known(t.Context(), r.Target.Key()); err != nil {
						t.Error(err)
					}
				}
				if err := db.Record(t.Context(), "", results); err != nil {
					t.Error(err)
				}
				for _, err := range db.Targets(t.Context(), time.Time{}) {
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	wantSound(t, db)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// edit makes a store at path and changes it.
func edit(t *testing.T, path, query string) {
	t.Helper()
	db, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Exec(t.Context(), query), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestKnownInAnyOrder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certscan.db")
	first := storetest.Fleet(600, storetest.Start)
	db, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	recordAll(t, db, first)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = reopen(t, path)
	random := rand.New(rand.NewPCG(1, 2))
	for round, order := range map[int][]int{1: ascending(600), 2: descending(600), 3: random.Perm(600), 4: ascending(600)} {
		for n, i := range order {
			r := first[i]
			if n%50 == 0 && round != 2 {
				if err := db.Prefetch(t.Context(), keysOf(first, order[n:n+50])); err != nil {
					t.Fatal(err)
				}
			}
			known, err := db.Known(t.Context(), r.Target.Key())
			if err != nil || len(known) != 1 || known[0].View != r.Endpoints[0].Observation.View() {
				t.Fatalf("round %d: Known(%s) = %+v, %v", round, r.Target, known, err)
			}
			if n%7 != 0 {
				continue
			}
			chain := storetest.Chain(fmt.Sprint(round, i))
			e := storetest.Seen(r.Target, known[0].View.Address, known[0].LastSeen.Add(time.Minute), chain)
			recordAll(t, db, []inventory.Result{{Target: r.Target, Endpoints: []inventory.Endpoint{e}}})
			if known, err = db.Known(t.Context(), r.Target.Key()); err != nil || known[0].Chain != inventory.ChainID(chain) {
				t.Fatalf("round %d: Known(%s) after a change = %+v, %v", round, r.Target, known, err)
			}
		}
	}
	if known, err := db.Known(t.Context(), "unknown.example:443"); err != nil || known != nil {
		t.Errorf("Known of nobody = %v, %v", known, err)
	}
	wantSound(t, db)
}

func keysOf(results []inventory.Result, order []int) []string {
	keys := make([]string, 0, len(order))
	for _, i := range order {
		keys = append(keys, results[i].Target.Key())
	}
	return keys
}

func ascending(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

func descending(n int) []int {
	order := ascending(n)
	slices.Reverse(order)
	return order
}
