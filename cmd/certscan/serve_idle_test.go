package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/lab"
)

// TestServeTellsWhatIsIdle: what is for none of the targets is told once for
// each configuration, when all sources were read, and not at each refresh.
func TestServeTellsWhatIsIdle(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := issue(t, nil, lab.Spec{CommonName: "Serve Test CA", CA: true})
	handler := leafOf(t, ca, "shop.example", "late.example")
	_, port, _ := strings.Cut(netListen(t, func(c net.Conn) { handler(t.Context(), c) }), ":")
	const config = `
sources:
  - {name: lists, files: [targets.txt], refresh: 1s, labels: {environment: prod}}
scan: {interval: 6h, timeout: 1s, offers: default, accepts: false}
trust:
  stores: [ca.pem]
  revocation: "off"
  profile: private
  distrust: [distrust.yml]
  roots_for: [{targets: environment=internal, store: corp.pem}]
policy:
  rules:
    - {name: right, severity: info, targets: environment=prod, require: {labels: [owner]}}
    - {name: wrong, severity: info, targets: RULE, require: {labels: [owner]}}
  severities:
    - {code: expiring, targets: platform=vm, at_most: warning}
waivers:
  - {targets: host=gone.example, code: [expired], owner: web, reason: replaced, until: 2099-01-01}
web: {listen: "127.0.0.1:0"}
store: {path: certscan.db}
`
	writeFiles(t, dir, map[string]string{
		"ca.pem": string(ca.PEM()), "corp.pem": string(issue(t, nil, lab.Spec{CommonName: "Corp CA", CA: true}).PEM()),
		"targets.txt": "shop.example@127.0.0.1:" + port + "\n", "certscan.yaml": strings.Replace(config, "RULE", "environment=production", 1),
		"distrust.yml": "distrust:\n- {issuer: 'C = XX, O = Certscan Lab, CN = Serve Test CA', reason: stolen}\n- {issuer: CN = Nobody, reason: stolen}\n",
	})
	s := startServe(t, filepath.Join(dir, "certscan.yaml"))
	const unmet = `: no chain and no trust store has "CN = Nobody"`
	idle := func() (keys []string) {
		list, _, _ := s.logs.lines()
		for _, l := range list {
			switch {
			case l.Msg == "for none of the targets":
				keys = append(keys, l.Key)
			case strings.HasSuffix(l.Msg, unmet):
				keys = append(keys, "trust.distrust")
			}
		}
		return keys
	}
	want := []string{"policy.rules[1]", "policy.severities[0]", "waivers[0]", "trust.roots_for[0]", "trust.distrust"}
	s.wait("distrust list "+filepath.Join(dir, "distrust.yml")+unmet, "", "")
	if got := idle(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}

	// A refresh repeats nothing.
	writeFiles(t, dir, map[string]string{"targets.txt": "shop.example@127.0.0.1:" + port + "\nlate.example@127.0.0.1:" + port + "\n"})
	s.get("/metrics", `certscan_endpoint_up{target="late.example@127.0.0.1:`+port+`",address="127.0.0.1",location="local"} 1`)
	if got := idle(); !slices.Equal(got, want) {
		t.Errorf("after a refresh told %q, want %q", got, want)
	}

	// A reload tells what is still for nobody.
	writeFiles(t, dir, map[string]string{"certscan.yaml": strings.Replace(config, "RULE", "environment=prod", 1), "distrust.yml": "distrust: []\n"})
	if status, answer := s.reload(); status != http.StatusOK {
		t.Fatalf("reload: %d %s", status, answer)
	}
	want = append(want, want[1:4]...)
	timeout := time.After(30 * time.Second)
	for _, more, _ := s.logs.lines(); len(idle()) < len(want); _, more, _ = s.logs.lines() {
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("told %q in 30 s, want %q", idle(), want)
		}
	}
	if got := idle(); !slices.Equal(got, want) {
		t.Errorf("after a reload told %q, want %q", got, want)
	}
	s.end()
}

// leafOf serves a certificate of ca.
func leafOf(t *testing.T, ca *lab.Certificate, names ...string) lab.Handler {
	return lab.TLS(&tls.Config{Certificates: []tls.Certificate{lab.Chain(issue(t, ca, lab.Spec{Names: names}))}})
}
