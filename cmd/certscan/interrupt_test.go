package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/certscan/internal/lab"
)

// A reportLine is what these tests read of a line of jsonl.
type reportLine struct {
	Type      string
	Target    string
	Targets   any // a number in a summary
	Endpoints any
	Partial   bool
}

// aReport is what a report in jsonl says: how often each target and endpoint
// stands in it.
type aReport struct {
	targets, endpoints map[string]int
	summary            *reportLine // nil: the report was cut off
	size               int         // in octets
}

// readReport reads a report, which may end anywhere if it was cut off.
func readReport(t *testing.T, text string) aReport {
	t.Helper()
	r := aReport{targets: map[string]int{}, endpoints: map[string]int{}, size: len(text)}
	for line := range strings.Lines(text) {
		var l reportLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			if strings.HasSuffix(line, "\n") {
				t.Fatalf("not JSON: %v: %s", err, line)
			}
			continue // cut off
		}
		switch l.Type {
		case "endpoint":
			r.endpoints[l.Target]++
		case "target":
			r.targets[l.Target]++
		case "summary":
			r.summary = &l
		}
	}
	return r
}

// checkWhole demands every one of n targets, with its endpoint, once.
func (r aReport) checkWhole(t *testing.T, n int) {
	t.Helper()
	if r.summary == nil || r.summary.Partial || r.summary.Targets != float64(n) || r.summary.Endpoints != float64(n) {
		t.Errorf("the summary is %+v, want %d targets and endpoints, not partial", r.summary, n)
	}
	if len(r.targets) != n || len(r.endpoints) != n {
		t.Errorf("the report has %d targets and %d endpoints, want %d", len(r.targets), len(r.endpoints), n)
	}
	for target, times := range r.endpoints {
		if times != 1 || r.targets[target] != 1 {
			t.Errorf("%s stands in the report %d times, its endpoint %d times", target, r.targets[target], times)
		}
	}
}

// stored is what the history in db has, which has to be sound.
func (f aFleet) stored(t *testing.T, db string) aReport {
	t.Helper()
	if got := certscan(t, t.Context(), t.TempDir(), "", "db", "check", "--db", db); got.out != "ok\n" || got.status != exitOK {
		t.Errorf("check: exit status %d: %s%s", got.status, got.out, got.errors)
	}
	got := certscan(t, t.Context(), t.TempDir(), "", "inventory", "--format", "jsonl", "--roots", f.roots, "--db", db)
	if got.status != exitOK {
		t.Errorf("inventory: exit status %d: %s", got.status, got.errors)
	}
	return readReport(t, got.out)
}

// start starts cmd, and returns its standard output and what it has said on
// standard error when it has ended.
func start(t *testing.T, cmd *exec.Cmd) (io.Reader, *bytes.Buffer) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs := new(bytes.Buffer)
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return out, errs
}

func TestInterruptedScanIsResumed(t *testing.T) {
	t.Parallel()
	const n = 400
	fleet := newFleet(t, lab.Options{Scenarios: []string{}, Endpoints: n, Delay: 50 * time.Millisecond})
	db := filepath.Join(t.TempDir(), "some.db")
	cmd := process(t, "scan", "--quiet", "--format", "jsonl", "--db", db, "--roots", fleet.roots, "--concurrency", "16", "-f", fleet.list)
	out, errs := start(t, cmd)
	r := bufio.NewReader(out)
	first, err := r.ReadString('\n') // something has been seen and told
	if err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitError {
		t.Errorf("the interrupted scan ended with %v, want exit status 1: %s", err, errs)
	}
	partial := readReport(t, first+string(rest))
	seen := len(partial.targets)
	if seen == 0 || seen == n || partial.summary == nil || !partial.summary.Partial || partial.summary.Targets != float64(seen) {
		t.Errorf("the report has %d targets, and the summary %+v, want some and partial", seen, partial.summary)
	}
	want := `^certscan: interrupted: ` + strconv.Itoa(seen) + ` of 400 targets were examined; certscan scan --resume finishes it\n$`
	if !regexp.MustCompile(want).MatchString(errs.String()) {
		t.Errorf("standard error has %q, want a match for %s", errs, want)
	}
	if kept := fleet.stored(t, db); len(kept.targets) != seen {
		t.Errorf("%d targets were reported and %d are stored", seen, len(kept.targets))
	}

	got := certscan(t, t.Context(), t.TempDir(), "", "scan", "--resume", "--db", db, "--quiet")
	if got.status != exitOK || got.errors != "" {
		t.Errorf("resumed: exit status %d: %s", got.status, got.errors)
	}
	readReport(t, got.out).checkWhole(t, n)
	fleet.stored(t, db).checkWhole(t, n)
	checkComplaint(t, certscan(t, t.Context(), t.TempDir(), "", "scan", "--resume", "--db", db), exitError, `nothing to resume`)
}

// TestResumeTakesFlags: what is given with --resume goes before what the
// interrupted scan was given.
func TestResumeTakesFlags(t *testing.T) {
	t.Parallel()
	const n = 300
	fleet := newFleet(t, lab.Options{Scenarios: []string{}, Endpoints: n, Delay: 50 * time.Millisecond})
	dir := t.TempDir()
	db, old := filepath.Join(dir, "some.db"), filepath.Join(dir, "old.jsonl")
	cmd := process(t, "scan", "--format", "jsonl", "--db", db, "--roots", fleet.roots, "--concurrency", "16", "--label", "owner=web", "-f", fleet.list)
	out, errs := start(t, cmd)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	got := certscan(t, t.Context(), dir, "", "scan", "--resume", "--db", db, "--format", "csv", "-o", old)
	if got.status != exitOK || got.out != "" || !strings.Contains(got.errors, "certscan: resuming the scan that began at ") {
		t.Errorf("exit status %d, %q, %q", got.status, got.out, got.errors)
	}
	if text := readFile(t, old); strings.Count(text, "\n") != n+1 || strings.Count(text, ",web,") != n {
		t.Errorf("the report has %d lines, and %d with the label", strings.Count(text, "\n"), strings.Count(text, ",web,"))
	}
}

// TestSecondInterrupt: a process that cannot end, because nobody reads what it
// has to say, ends with the second Ctrl-C.
func TestSecondInterrupt(t *testing.T) {
	t.Parallel()
	const n = 300
	fleet := newFleet(t, lab.Options{Scenarios: []string{}, Endpoints: n})
	db := filepath.Join(t.TempDir(), "some.db")
	cmd := process(t, "scan", "--quiet", "--format", "jsonl", "--db", db, "--roots", fleet.roots, "-f", fleet.list)
	out, errs := start(t, cmd)
	if _, err := out.Read(make([]byte, 1)); err != nil { // it has begun to tell, and that is more than a pipe holds
		t.Fatalf("%v: %s", err, errs)
	}
	waited := make(chan error, 1)
	go func() {
		_, err := cmd.Process.Wait()
		waited <- err
	}()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for signals := 0; ; {
		select {
		case <-again.C:
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				continue // it has ended, and is about to be waited for
			}
			signals++
		case <-waited:
			if signals < 2 {
				t.Errorf("the process ended after %d signals: it was not stuck", signals)
			}
			fleet.stored(t, db)
			return
		}
	}
}

// TestDemoStays until it is told to end, and has done well then.
func TestDemoStays(t *testing.T) {
	t.Parallel()
	cmd := process(t, "demo", "--stay", "--endpoints", "5", "--format", "json", "-o", filepath.Join(t.TempDir(), "out"))
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() && !strings.Contains(lines.Text(), "stays up until Ctrl-C") {
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the demo ended with %v, want exit status 0", err)
	}
}

// TestKilledScans kills scans twenty times at random moments. Each time the
// history is sound and has not lost anything, and in the end it is whole.
func TestKilledScans(t *testing.T) {
	t.Parallel()
	const (
		n     = 1200
		kills = 20
	)
	fleet := newFleet(t, lab.Options{Scenarios: []string{}, Endpoints: n, Delay: time.Millisecond})
	db := filepath.Join(t.TempDir(), "some.db")
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
	fresh := []string{"scan", "--quiet", "--format", "jsonl", "--db", db, "--roots", fleet.roots, "-f", fleet.list}
	resume := []string{"scan", "--resume", "--quiet", "--db", db}
	args, had, told, midway := fresh, 0, 0, 0
	killed := 0
	for attempts := 0; killed < kills; attempts++ {
		if attempts == 3*kills {
			t.Fatalf("only %d scans were killed in %d attempts", killed, attempts)
		}
		cmd := process(t, args...)
		out, errs := start(t, cmd)
		// Some are killed by the clock, before they have told anything, and most
		// when they have told somewhat more than is stored, or little of a second scan.
		limit := int64(told + random.IntN(1<<18))
		if killed%4 == 3 {
			limit = 1 << 62
			timer := time.AfterFunc(time.Duration(random.IntN(300))*time.Millisecond, func() { cmd.Process.Kill() })
			defer timer.Stop()
		}
		if _, err := io.CopyN(io.Discard, out, limit); err == nil || err == io.EOF {
			cmd.Process.Kill()
		} else {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // how it ended is looked at next
		args = resume
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		switch {
		case status.Signaled() && status.Signal() == syscall.SIGKILL:
			killed++
		case status.ExitStatus() == exitOK:
			args, had, told = fresh, n, 0 // it was done before we were
			continue
		case strings.Contains(errs.String(), "nothing to resume"):
			args = fresh // the last one was killed before it had begun
			continue
		default:
			t.Fatalf("exit status %d: %s", status.ExitStatus(), errs)
		}
		if _, err := os.Stat(db); err != nil {
			args = fresh
			continue // killed before it was made
		}
		kept := fleet.stored(t, db)
		if len(kept.targets) < had {
			t.Errorf("after kill %d there are %d targets, and there were %d", killed, len(kept.targets), had)
		}
		if len(kept.targets) > had && len(kept.targets) < n {
			midway++
		}
		had, told = len(kept.targets), kept.size
		if had == n {
			told = 0 // what a second scan has seen cannot be seen here
		}
	}
	if midway < 3 {
		t.Errorf("only after %d of %d kills there was something new, and not all", midway, kills)
	}
	got := certscan(t, t.Context(), t.TempDir(), "", args...)
	if got.status != exitOK {
		t.Errorf("resumed: exit status %d: %s", got.status, got.errors)
	}
	readReport(t, got.out).checkWhole(t, n)
	fleet.stored(t, db).checkWhole(t, n)
}
