package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"example.com/certscan/internal/lab"
)

// What the API says of a target is what show says of it.
func TestAPI(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := issue(t, nil, lab.Spec{CommonName: "API Test CA", CA: true})
	served := lab.NewSwitch(lab.TLS(&tls.Config{Certificates: []tls.Certificate{lab.Chain(issue(t, ca, lab.Spec{Names: []string{"shop.example"}}))}}))
	addr := netListen(t, func(c net.Conn) { served.Handle(t.Context(), c) })
	_, port, _ := strings.Cut(addr, ":")
	target := "other.example@127.0.0.1:" + port // a name that the certificate is not for
	writeFiles(t, dir, map[string]string{"ca.pem": string(ca.PEM()), "certscan.yaml": `
sources:
  - name: core
    targets: [{target: ` + target + `, labels: {owner: web}}, tls://late.example@127.0.0.1:1]
scan: {interval: 1h, timeout: 1s, confirm: 100ms, offers: default, accepts: false}
trust: {stores: [ca.pem], revocation: "off", profile: private}
web: {listen: "127.0.0.1:0"}
store: {path: certscan.db}
`})
	s := startServe(t, dir+"/certscan.yaml")
	s.wait("finding opened", target, "name_mismatch")
	var got struct {
		Target    struct{ Labels map[string]string }
		Endpoints []map[string]any
	}
	read := func(path, want string, v any) {
		t.Helper()
		if err := json.Unmarshal([]byte(s.get(path, want)), v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	read("/api/v1/targets/"+url.PathEscape(target), "name_mismatch", &got)
	if len(got.Endpoints) != 1 || got.Target.Labels["owner"] != "web" {
		t.Fatalf("got %v", got)
	}
	show := certscan(t, t.Context(), dir, "", "show", "--db", "DIR/certscan.db", "--profile", "private", "--format", "json", target)
	var shown struct{ Endpoints []map[string]any }
	if err := json.Unmarshal([]byte(show.out), &shown); err != nil || len(shown.Endpoints) != 1 {
		t.Fatalf("show: %v: %s%s", err, show.out, show.errors)
	}
	for _, key := range []string{"target", "address", "labels", "reach", "certificate", "chain", "verdict", "expiry", "tier"} {
		if !reflect.DeepEqual(got.Endpoints[0][key], shown.Endpoints[0][key]) {
			t.Errorf("%s is %v for the API and %v for show", key, got.Endpoints[0][key], shown.Endpoints[0][key])
		}
	}
	leaf, _ := got.Endpoints[0]["certificate"].(map[string]any)
	sha, _ := leaf["sha256"].(string)
	s.get("/api/v1/certificates/"+sha, target)
	s.get("/api/v1/findings?code=name_mismatch&selector=owner%3Dweb", target)
	s.get("/api/v1/targets?selector=owner%3D%22%22", "late.example@127.0.0.1:1")
	s.get("/api/v1/summary", `"targets":2`)
	s.get("/api/v1/sources", `"name":"core"`)
	s.get("/sd?selector=owner%3Dweb", `"__meta_certscan_target":"`+target+`"`)
	s.get("/", "name_mismatch")
	s.end()
}

// Whoever asks for probes that are too short learns nothing, and hides nothing:
// the next one connects, although several failed in a row.
func TestProbeConnectsAfterFailures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := issue(t, nil, lab.Spec{CommonName: "Probe Test CA", CA: true})
	handler := lab.TLS(&tls.Config{Certificates: []tls.Certificate{lab.Chain(issue(t, ca, lab.Spec{Names: []string{"shop.example"}}))}})
	answer := make(chan struct{})
	addr := netListen(t, func(c net.Conn) {
		select {
		case <-answer:
			lab.NewSwitch(handler).Handle(t.Context(), c)
		case <-t.Context().Done():
		}
	})
	_, port, _ := strings.Cut(addr, ":")
	target := "shop.example@127.0.0.1:" + port
	writeFiles(t, dir, map[string]string{"ca.pem": string(ca.PEM()), "certscan.yaml": `
sources: [{name: core, targets: ["` + target + `"]}]
scan: {interval: 1h, timeout: 5s, offers: default, accepts: false}
trust: {stores: [ca.pem], revocation: "off"}
web: {listen: "127.0.0.1:0"}
store: {path: certscan.db}
`})
	s := startServe(t, dir+"/certscan.yaml")
	for range 6 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.base+"/probe?target="+url.QueryEscape(target), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "1.5")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if want := "\ncertscan_endpoint_up{"; err != nil || !strings.Contains(string(body), want) {
			t.Errorf("a probe whose time is up does not say %q: %v\n%s", want, err, body)
		}
	}
	close(answer)
	s.get("/probe?target="+url.QueryEscape(target), "\ncertscan_probe_success 1")
	s.end()
}

// A web configuration that breaks while certscan runs refuses everybody, and
// nobody but the log can say why.
func TestWebConfigurationThatBreaks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "web.yml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	d := &daemon{log: slog.New(slog.NewTextHandler(&log, nil))}
	said := ""
	for _, step := range []struct {
		name, text, want string
	}{
		{"in good order", "basic_auth_users: {}\n", ""},
		{"broken", "garbage: [\n", path},
		{"still broken, which was said", "garbage: [\n", ""},
		{"mended", "basic_auth_users: {}\n", "right again"},
	} {
		log.Reset()
		write(step.text)
		said = d.checkWeb(t.Context(), path, said)
		if got := log.String(); (got == "") != (step.want == "") || !strings.Contains(got, step.want) {
			t.Errorf("%s: the log says %q, want %q", step.name, got, step.want)
		}
	}
}

// A history that was removed under the daemon is told once, until it changes.
func TestHistoryThatIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, aside := filepath.Join(dir, "certscan.db"), filepath.Join(dir, "aside")
	if err := os.WriteFile(path, []byte("history"), 0o600); err != nil {
		t.Fatal(err)
	}
	opened, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	d := &daemon{log: slog.New(slog.NewTextHandler(&log, nil)), dbPath: path, dbFile: opened}
	nothing := func() error { return nil }
	said := ""
	for _, step := range []struct {
		name string
		do   func() error
		want string
		size bool
	}{
		{"in its place", nothing, "", true},
		{"moved", func() error { return os.Rename(path, aside) }, "it was removed", false},
		{"still gone, which was said", nothing, "", false},
		{"another", func() error { return os.WriteFile(path, []byte("new"), 0o600) }, "another file is in its place", false},
		{"still the other", nothing, "", false},
		{"put back", func() error { return os.Rename(aside, path) }, "in its place again", true},
	} {
		log.Reset()
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		said = d.checkHistory(t.Context(), said)
		if got := log.String(); (got == "") != (step.want == "") || !strings.Contains(got, step.want) {
			t.Errorf("%s: the log says %q, want %q", step.name, got, step.want)
		}
		if _, known := historySize(path, opened); known != step.size {
			t.Errorf("%s: the size is known: %t", step.name, known)
		}
	}
}
