// Package promtest runs the real Prometheus and Alertmanager for tests of other
// packages.
//
// It asserts nothing about certscan. Its invariant: what it starts listens on
// loopback alone and has ended when the test has, and a program that is missing
// never passes unseen: the test is left out, saying why, or fails where
// CERTSCAN_PEERS=require is in the environment.
package promtest

import (
	"bufio"
	"bytes"
	_ "embed"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// packages are the Debian packages that the programs are from; .ci/run installs
// them.
//
//go:embed packages.txt
var packages string

// Find returns the path of a program: prometheus, promtool,
// prometheus-alertmanager or amtool.
func Find(t *testing.T, program string) string {
	t.Helper()
	pkg := "prometheus"
	if program == "amtool" || program == "prometheus-alertmanager" {
		pkg = "prometheus-alertmanager"
	}
	if !slices.Contains(strings.Fields(packages), pkg) {
		t.Fatalf("packages.txt lacks %q", pkg)
	}
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	why := "no " + program + " here: apt-get install " + pkg
	if os.Getenv("CERTSCAN_PEERS") == "require" {
		t.Fatalf("%s (CERTSCAN_PEERS=require)", why)
	}
	t.Skipf("left out: %s", why)
	return ""
}

// Prometheus runs one in dir, with the prometheus.yml there, until the test ends.
// It returns the address of its API.
func Prometheus(t *testing.T, dir string) string {
	t.Helper()
	return start(t, dir, Find(t, "prometheus"), "--config.file=prometheus.yml",
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
}

// Alertmanager runs one in dir, with the alertmanager.yml there, until the test
// ends. It returns the address of its API.
func Alertmanager(t *testing.T, dir string) string {
	t.Helper()
	return start(t, dir, Find(t, "prometheus-alertmanager"), "--config.file=alertmanager.yml",
		"--storage.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0", "--cluster.listen-address=")
}

// start runs a program that logs where it listens. What it says otherwise is
// told when the test has failed.
func start(t *testing.T, dir, path string, args ...string) (address string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening, done := make(chan string, 1), make(chan struct{})
	var said bytes.Buffer // owned by the goroutine until done is closed
	go func() {
		defer close(done)
		at := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			if m := at.FindStringSubmatch(lines.Text()); m != nil {
				listening <- m[1]
			}
		}
		_, _ = io.Copy(io.Discard, log) // after a line too long for the scanner
	}()
	t.Cleanup(func() {
		<-done
		_ = cmd.Wait() // ended by the context
		if t.Failed() {
			const last = 30
			lines := strings.SplitAfter(said.String(), "\n")
			t.Logf("%s said:\n%s", filepath.Base(path), strings.Join(lines[max(0, len(lines)-last):], ""))
		}
	})
	select {
	case address = <-listening:
	case <-done:
		t.Fatalf("%s ended:\n%s", path, said.String())
	case <-time.After(60 * time.Second):
		t.Fatalf("%s does not listen", path)
	}
	return address
}
