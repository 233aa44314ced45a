package main

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"example.com/certscan/internal/lab"
)

// TestNoGoroutineIsLeft runs commands against peers of every kind, also until an
// interruption, and looks at what is left of them. It is not parallel, so that
// nothing else runs meanwhile.
func TestNoGoroutineIsLeft(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { // the last of all: the peers have gone, too
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	fleet, err := lab.Start(t.Context(), lab.Options{Scenarios: []string{
		"good", "one-stale-node", "incomplete", "expired", "smtp-good", "smtp-injected", "postgres-good", "tls10-only",
		"closed", "silent", "drip", "endless", "garbage", "reset", "plain-http", "reset-after-certificate-tls12", "silent-after-certificate",
		"dns-no-such-name", "dns-truncated",
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer fleet.Close()
	roots, _, err := fleet.WriteRoots(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list strings.Builder
	for _, s := range fleet.Scenarios() {
		list.WriteString(strings.Join(s.Targets, "\n") + "\n")
	}
	writeFiles(t, dir, map[string]string{"list.txt": list.String()})
	scan := []string{
		"scan", "--db", "DIR/some.db", "--roots", roots, "--resolver", fleet.Resolver(), "--allow-fetch", fleet.AllowFetch()[0],
		"--timeout", "500ms", "--offers", "all", "--fail-on", "never", "-f", "DIR/list.txt", "-o", filepath.Join(dir, "out"),
	}
	for _, args := range [][]string{
		scan,
		append([]string{}, append(scan, "--mode", "census")...),
		{"inventory", "--db", "DIR/some.db"},
		{"show", "--db", "DIR/some.db", fleet.Scenarios()[0].Targets[0], "--pem", "-o", filepath.Join(dir, "good.pem")},
		{"verify", "--fetch", "--fail-on", "never", "DIR/good.pem"},
		{"db", "check", "--db", "DIR/some.db"},
	} {
		if got := certscan(t, t.Context(), dir, "", append([]string{}, args...)...); got.status != exitOK {
			t.Errorf("%v: exit status %d: %s", args, got.status, got.errors)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	addr := netListen(t, func(conn net.Conn) { // interrupts the scan in the middle of a probe of its own
		cancel()
		io.Copy(io.Discard, conn)
	})
	if got := certscan(t, ctx, dir, "", append(scan, addr)...); got.status != exitError || !strings.Contains(got.errors, "interrupted: ") {
		t.Errorf("interrupted: exit status %d: %s", got.status, got.errors)
	}
}
