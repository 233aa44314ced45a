package dashboards_test

import (
	"bufio"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/certscan/dashboards"
	"example.com/certscan/internal/promtest"
)

// build compiles the program as a user would. The files are opened so that the
// test cache sees them.
func build(t *testing.T) string {
	t.Helper()
	sources, err := filepath.Glob("../cmd/certscan/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("find the program's files: %v", err)
	}
	for _, name := range sources {
		read(t, name)
	}
	bin := filepath.Join(t.TempDir(), "certscan")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin, "../cmd/certscan").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// startDemo runs the daemon over the lab and returns where it listens.
func startDemo(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), build(t), "demo", "--serve", "--listen", "127.0.0.1:0")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, done := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(done)
		at := regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/`)
		found := false
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if m := at.FindStringSubmatch(lines.Text()); m != nil && !found {
				found = true
				address <- m[1]
			}
		}
		_, _ = io.Copy(io.Discard, log) // after a line too long for the scanner
	}()
	t.Cleanup(func() {
		<-done
		_ = cmd.Wait() // ended by the context
	})
	select {
	case a := <-address:
		return a
	case <-done:
		t.Fatal("certscan demo --serve ended")
	case <-time.After(60 * time.Second):
		t.Fatal("certscan demo --serve does not listen")
	}
	return ""
}

// uneventful are the queries that have no answer while nothing happens to the
// demo; in TestQueries it does.
func uneventful() map[string]string {
	return map[string]string{
		"fleet: annotation Restarts of certscan":         "nobody starts it again",
		"endpoint: annotation Certificate changes":       "the lab renews some time later",
		"operations: annotation Restarts of certscan":    "nobody starts it again",
		"operations: annotation Refused configurations":  "the demo has no file to read again",
		"operations: Faults on the scanner's own side A": "the lab's network has none",
	}
}

// TestDemo asks everything of a Prometheus that scraped the real program, which
// watches the lab. What is of one target may have its answer from any.
func TestDemo(t *testing.T) {
	t.Parallel()
	promtest.Find(t, "prometheus")
	begin := time.Now()
	p := startPrometheus(t, startDemo(t))
	for _, name := range dashboards.Names() {
		for _, q := range parse(t, name, dashboards.Options{}).questions() {
			where := name + ": " + q.where
			if uneventful()[where] != "" {
				continue
			}
			expr := substitute(strings.ReplaceAll(q.expr, `target="$target"`, `target=~".+"`), "")
			until(t, where, func() bool { return len(p.query(t, expr, q.over, begin)) > 0 })
		}
	}
}
