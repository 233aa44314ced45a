package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/lab"
)

// waitLine waits until something was logged of which the text has all of parts.
func (s *served) waitLine(msg string, parts ...string) map[string]any {
	s.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		_, more, text := s.logs.lines()
	next:
		for line := range strings.Lines(text) {
			for _, p := range append(parts, `"msg":"`+msg+`"`) {
				if !strings.Contains(line, p) {
					continue next
				}
			}
			got := map[string]any{}
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				s.t.Fatal(err)
			}
			return got
		}
		select {
		case <-more:
		case <-timeout:
			s.t.Fatalf("nothing like %q %q was logged in 30 s: %s", msg, parts, text)
		}
	}
}

const logConfig = `
sources:
  - name: lists
    files: [targets.txt]
    refresh: 1h
scan: {interval: 1s, confirm: 200ms, timeout: 1s, offers: default, accepts: false}
trust: {stores: [ca.pem], revocation: "off", profile: private}
web: {listen: "127.0.0.1:0"}
store: {path: certscan.db}
waivers:
  - {code: name_mismatch, targets: waived.example, until: 2099-01-01, owner: web, reason: "it is going away"}
`

// Another certificate is told with its address and its own end, also when the
// old one ends first; the same with another chain is told as that.
func TestServeTellsWhatIsServed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := issue(t, nil, lab.Spec{CommonName: "Log Test CA", CA: true})
	end := time.Now().Add(40 * 24 * time.Hour).UTC().Truncate(time.Second)
	leaf := func(name string, end time.Time) *lab.Certificate {
		return issue(t, ca, lab.Spec{Names: []string{name}, Template: func(c *x509.Certificate) {
			if !end.IsZero() {
				c.NotAfter = end
			}
		}})
	}
	serve := func(certs ...*lab.Certificate) lab.Handler {
		return lab.TLS(&tls.Config{Certificates: []tls.Certificate{lab.Chain(certs...)}})
	}
	start := func(h lab.Handler) (*lab.Switch, string) {
		sw := lab.NewSwitch(h)
		_, port, _ := strings.Cut(netListen(t, func(c net.Conn) { sw.Handle(t.Context(), c) }), ":")
		return sw, "@127.0.0.1:" + port
	}
	first, second := leaf("shop.example", time.Time{}), leaf("shop.example", end)
	shop, at := start(serve(first))
	shopTarget := "shop.example" + at
	_, at = start(serve(leaf("other.example", time.Time{})))
	writeFiles(t, dir, map[string]string{
		"certscan.yaml": logConfig, "ca.pem": string(ca.PEM()),
		"targets.txt": shopTarget + "\nwrong.example" + at + "\nwaived.example" + at + "\n",
	})
	s := startServe(t, filepath.Join(dir, "certscan.yaml"))

	// Findings are as loud as they are severe.
	for target, level := range map[string]string{"wrong.example": "ERROR", "waived.example": "INFO"} {
		if got := s.wait("finding opened", target, "name_mismatch"); got.Level != level {
			t.Errorf("%s is told as %s, want %s", target, got.Level, level)
		}
	}

	shop.Set(serve(first, ca))
	s.waitLine("other chain served", shopTarget, "127.0.0.1", inventory.FingerprintOf(first.DER).String())
	if n := s.logs.count(func(l logged) bool { return l.Msg == "other certificate served" }); n != 0 {
		t.Errorf("the same certificate is told as another %d times", n)
	}
	shop.Set(serve(second, ca))
	got := s.waitLine("other certificate served", shopTarget)
	for key, want := range map[string]string{
		"address": "127.0.0.1", "expires": end.Format(time.RFC3339),
		"before": inventory.FingerprintOf(first.DER).String(), "certificate": inventory.FingerprintOf(second.DER).String(),
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %s", key, got[key], want)
		}
	}
	if interval := s.waitLine("watching")["interval"]; interval != "1s" {
		t.Errorf("the interval is %v", interval)
	}

	// Targets that come are told, as are those that go.
	writeFiles(t, dir, map[string]string{"targets.txt": shopTarget + "\nlate.example" + at + "\n"})
	if status, answer := s.reload(); status != 200 {
		t.Fatalf("reload: %d %s", status, answer)
	}
	if got := s.waitLine("targets added"); got["count"] != 1.0 || !strings.Contains(got["among"].(string), "late.example") {
		t.Errorf("%v", got)
	}
	s.end()
}

// Who sees warnings alone sees that nothing is watched.
func TestServeTellsThatNothingIsWatched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := issue(t, nil, lab.Spec{CommonName: "Log Test CA", CA: true})
	writeFiles(t, dir, map[string]string{"certscan.yaml": logConfig, "ca.pem": string(ca.PEM())})
	s := startServe(t, filepath.Join(dir, "certscan.yaml"))
	for msg, code := range map[string]string{"finding opened": "source_failed", "there is nothing to watch: no source has a target": ""} {
		if got := s.wait(msg, "", code); got.Level != "WARN" {
			t.Errorf("%q is told as %s", msg, got.Level)
		}
	}
	s.end()
}
