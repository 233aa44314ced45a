package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The unit runs commands that there are, and systemd, where it is installed,
// finds nothing wrong with it.
func TestUnit(t *testing.T) {
	t.Parallel()
	text := read(t, "examples/certscan.service")
	bin := build(t)
	commands := 0
	for line := range strings.Lines(text) {
		_, command, ok := strings.Cut(strings.TrimSpace(line), "=/usr/bin/certscan ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		commands++
		// With --help after them, flags that are unknown are still refused.
		if out, err := exec.CommandContext(t.Context(), bin, append(strings.Fields(command), "--help")...).CombinedOutput(); err != nil {
			t.Errorf("certscan %s: %v\n%s", command, err, out)
		}
	}
	if commands < 3 {
		t.Errorf("the unit runs certscan %d times", commands)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("no systemd-analyze here")
		return
	}
	path := filepath.Join(t.TempDir(), "certscan.service")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "/usr/bin/certscan", bin)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
