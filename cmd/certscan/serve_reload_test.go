package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/lab"
)

// openDaemon opens a daemon by the configuration in dir. Nothing of it runs.
func openDaemon(t *testing.T, dir string) (*daemon, *logs) {
	t.Helper()
	f := serveFlags{config: filepath.Join(dir, "certscan.yaml")}
	cfg, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	said := new(logs)
	d := &daemon{
		io: streams{env: func(string) string { return "" }}, log: slog.New(slog.NewJSONHandler(said, nil)), atStart: cfg, reread: f.load,
	}
	t.Cleanup(d.close)
	if err := d.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d, said
}

const reloadConfig = `
sources: [{name: a, targets: [shop.example]}]
trust: {stores: [mozilla], revocation: "off"}
store: {path: certscan.db}
`

// A reload is made whole or not at all: also when whoever asked for it has hung
// up, and when the history cannot be written.
func TestReloadIsWhole(t *testing.T) {
	t.Parallel()
	for name, hinder := range map[string]func(t *testing.T, d *daemon) context.Context{
		"who asked is gone": func(t *testing.T, _ *daemon) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		},
		"the history cannot be written": func(t *testing.T, d *daemon) context.Context {
			if err := d.db.Close(); err != nil {
				t.Fatal(err)
			}
			return t.Context()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeFiles(t, dir, map[string]string{"certscan.yaml": reloadConfig})
			d, said := openDaemon(t, dir)
			writeFiles(t, dir, map[string]string{"certscan.yaml": reloadConfig + "scan: {confirm: 7s}\ntiers: {list: [5d]}\n"})
			before := d.judge.bench.Load()
			if err := d.reload(hinder(t, d)); err != nil {
				t.Errorf("refused: %v", err)
			}
			if d.judge.bench.Load() == before || d.present().Scan.Confirm != 7*time.Second || len(d.sources.Names()) != 1 {
				_, _, text := said.lines()
				t.Errorf("some of it was not taken over: %s", text)
			}
		})
	}
}

// The log says at each reload what waits for the next start; /probe does not.
func TestWhatAReloadReplaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"certscan.yaml": reloadConfig})
	d, said := openDaemon(t, dir)
	address := netListen(t, func(c net.Conn) { lab.Break(t.Context(), c) })
	probe := func() int {
		rec := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/probe?target="+url.QueryEscape(address), nil)
		(*d.probe.Load()).ServeHTTP(rec, r)
		return rec.Code
	}
	reload := func(more string) {
		t.Helper()
		writeFiles(t, dir, map[string]string{"certscan.yaml": reloadConfig + more})
		if err := d.reload(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	told := func(what string) int {
		_, _, text := said.lines()
		return strings.Count(text, what)
	}
	const waits = `takes effect with the next start"`
	if got := probe(); got != http.StatusForbidden {
		t.Errorf("a probe that is not allowed: %d", got)
	}
	reload("web: {probe: {allow: [127.0.0.0/8]}}\nscan: {timeout: 2s}\nmetrics: {labels: [team]}\n")
	if got := probe(); got != http.StatusOK {
		t.Errorf("a probe that is allowed by now: %d", got)
	}
	if n := told(waits); n != 0 {
		t.Errorf("%d changes wait, and all took effect", n)
	}
	reload("web: {profiling: true}\n")
	reload("web: {profiling: true}\nscan: {concurrency: 7}\n")
	if web, all := told(waits+`,"key":"web"`), told(waits); web != 2 || all != 3 {
		t.Errorf("told %d times that web waits, and %d times of anything, want 2 and 3", web, all)
	}
	reload("")
	if told(waits) != 3 {
		t.Error("what is as it was at the start waits")
	}
}

// What is due daily, and a reload that hangs, hold up neither the signs of life
// nor what is asked under the ledger's lock.
func TestSignsOfLifeWhileOtherThingsTakeLong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"certscan.yaml": reloadConfig})
	d, _ := openDaemon(t, dir)
	d.notify = notifier{socket: filepath.Join(dir, "notify"), every: time.Millisecond}
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: d.notify.socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	if err := systemd.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	daily, upkeep := make(chan error, 1), make(chan error, 1)
	d.reloading.Lock()
	go func() { daily <- d.daily(ctx) }()
	go func() { upkeep <- d.upkeep(ctx) }()
	d.soon("shop.example:443")
	for range 3 {
		buf := make([]byte, 100)
		if n, err := systemd.Read(buf); err != nil || string(buf[:n]) != notifyAlive {
			t.Errorf("systemd was told %q (%v), want %q", buf[:n], err, notifyAlive)
		}
	}
	d.reloading.Unlock()
	if err := <-daily; err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-upkeep; err != nil {
		t.Error(err)
	}
}
