package store_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/store"
	"example.com/certscan/internal/storetest"
)

// victimEnv makes this test binary a process that scans until it is killed.
const victimEnv = "CERTSCAN_STORE_VICTIM"

const (
	victimTargets = 1000
	victimBatch   = 50
)

// victim resumes the scan of the store at path, and says "recorded N" for each
// batch that is safe.
func victim(path string) int {
	ctx := context.Background()
	db, err := store.Open(ctx, path, store.Options{Now: storetest.Now})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	info, done, err := db.Resumable(ctx)
	if err != nil {
		info, done = inventory.ScanInfo{ID: "scan", Started: storetest.Start}, func(string) bool { return false }
	}
	if err := db.BeginScan(ctx, info); err != nil {
		fmt.Println(err)
		return 1
	}
	var batch []inventory.Result
	n := 0
	for _, r := range storetest.Fleet(victimTargets, storetest.Start) {
		if done(r.Target.Key()) {
			n++
			continue
		}
		if batch = append(batch, r); len(batch) < victimBatch {
			continue
		}
		if err := db.Record(ctx, info.ID, batch); err != nil {
			fmt.Println(err)
			return 1
		}
		n += len(batch)
		batch = batch[:0]
		fmt.Println("recorded", n)
	}
	if err := db.Close(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func TestKilledAtAnyPoint(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certscan.db")
	safe := 0
	for round := range 20 {
		safe = max(safe, killOne(t, path, round))
		db, err := store.Open(t.Context(), path, store.Options{Now: storetest.Now})
		if err != nil {
			t.Fatalf("after kill %d: %v", round, err)
		}
		wantSound(t, db)
		if _, done, err := db.Resumable(t.Context()); err == nil {
			n := 0
			for _, r := range storetest.Fleet(victimTargets, storetest.Start) {
				if done(r.Target.Key()) {
					n++
				}
			}
			if stored := countTargets(t, db); n != stored || n < safe || n%victimBatch != 0 {
				t.Errorf("after kill %d: %d targets done and %d stored, want the same whole batches, at least the %d that were safe", round, n, stored, safe)
			}
		} else if safe > 0 {
			t.Errorf("after kill %d: %v", round, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if safe == 0 {
		t.Error("nothing was ever recorded, so nothing was tested")
	}
}

// killOne starts a victim, kills it when it has recorded a batch or a moment
// later, and returns how many targets it said were safe.
func killOne(t *testing.T, path string, round int) (safe int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; n <= round%2 && lines.Scan(); n++ {
		if _, err := fmt.Sscanf(lines.Text(), "recorded %d", &safe); err != nil {
			t.Errorf("victim: %s", lines.Text())
		}
	}
	// Into the middle of the next batch: a different moment each round.
	timer := time.NewTimer(time.Duration(round) * 300 * time.Microsecond)
	defer timer.Stop()
	<-timer.C
	if err := cmd.Process.Kill(); err != nil && !strings.Contains(err.Error(), "finished") {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(out) // what it said before it died
	_ = cmd.Wait()             // was killed
	for line := range strings.Lines(string(rest)) {
		_, _ = fmt.Sscanf(line, "recorded %d", &safe)
	}
	return safe
}
