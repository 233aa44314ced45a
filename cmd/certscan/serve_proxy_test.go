package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/lab"
)

// TestServeBehindAProxy: a proxy replaces the certificates of unrelated public
// names, and goes again. That is told once, of this location.
func TestServeBehindAProxy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	names := []string{"www.example.com", "www.example.org", "www.example.net", "www.example.edu", "www.example.info", "www.example.co.uk"}
	farm := func(ca *lab.Certificate) lab.Handler {
		config := new(tls.Config)
		for _, name := range names {
			config.Certificates = append(config.Certificates, lab.Chain(issue(t, ca, lab.Spec{Names: []string{name}})))
		}
		return lab.TLS(config) // by server name
	}
	ca := issue(t, nil, lab.Spec{CommonName: "Serve Test CA", CA: true})
	direct, proxied := farm(ca), farm(issue(t, nil, lab.Spec{CommonName: "Proxy CA", CA: true}))
	way := lab.NewSwitch(direct)
	addr := netListen(t, func(c net.Conn) { way.Handle(t.Context(), c) })
	_, port, _ := strings.Cut(addr, ":")
	var targets, resolve []string
	for _, name := range names {
		targets, resolve = append(targets, name+":"+port), append(resolve, name+": [127.0.0.1]")
	}
	const config = `
sources: [{name: list, targets: ['%s']}]
scan: {interval: 1s, confirm: 100ms, timeout: 1s, offers: default, accepts: false, resolve: {%s}}
trust: {stores: [ca.pem], revocation: "off", profile: private}
web: {listen: "127.0.0.1:0"}
store: {path: %s.db}
`
	list, addresses := strings.Join(targets, "', '"), strings.Join(resolve, ", ")
	writeFiles(t, dir, map[string]string{
		"ca.pem": string(ca.PEM()), "certscan.yaml": fmt.Sprintf(config, list, addresses, "certscan"), "new.yaml": fmt.Sprintf(config, list, addresses, "new"),
	})
	const told = `certscan_own_finding{code="location_anomalous",subject="local",severity="warning"} 1`
	untold := func(s *served) {
		t.Helper()
		if n := s.logs.count(func(l logged) bool { return l.Msg == "finding opened" && l.Target != "" }); n != 0 {
			_, _, text := s.logs.lines()
			t.Errorf("%d findings of targets were told: %s", n, text)
		}
	}

	s := startServe(t, filepath.Join(dir, "certscan.yaml"))
	s.examined(len(names))
	way.Set(proxied)
	s.wait("finding opened", "", "location_anomalous")
	s.examined(2 * len(names)) // what it takes to confirm
	s.get("/metrics", told)
	untold(s)
	s.end()

	s = startServe(t, filepath.Join(dir, "certscan.yaml"))
	s.get("/metrics", told)
	s.examined(len(names))
	if n := s.logs.count(func(l logged) bool { return strings.HasPrefix(l.Msg, "finding") }); n != 0 {
		_, _, text := s.logs.lines()
		t.Errorf("%d findings after a restart behind the proxy: %s", n, text)
	}
	way.Set(direct)
	s.wait("finding closed", "", "location_anomalous")
	s.examined(len(names))
	untold(s)
	s.end()

	// A daemon that knows nothing else finds it as well.
	way.Set(proxied)
	s = startServe(t, filepath.Join(dir, "new.yaml"))
	s.wait("finding opened", "", "location_anomalous")
	s.examined(2 * len(names))
	untold(s)
	s.end()

	// And so does an audit.
	args := []string{"scan", "--no-store", "--roots", "DIR/ca.pem", "--revocation", "off", "--format", "jsonl"}
	for _, name := range names {
		args = append(args, "--resolve", name+"=127.0.0.1")
	}
	got := certscan(t, t.Context(), dir, "", append(args, targets...)...)
	if got.status != exitError || !strings.Contains(got.out, inventory.FaultInterception) || strings.Contains(got.out, `"code":"unknown_issuer"`) {
		t.Errorf("scan: exit status %d, want %d and one fault: %s%s", got.status, exitError, got.out, got.errors)
	}
	got = certscan(t, t.Context(), dir, "", "findings", "--db", "DIR/certscan.db", "--since", "1h", "--format", "jsonl")
	if strings.Count(got.out, "\n") != 1 || !strings.Contains(got.out, "Proxy CA") {
		t.Errorf("findings, want the one about the proxy: %s", got.out)
	}
}

// examined waits for n further examinations that ended well.
func (s *served) examined(n int) {
	s.t.Helper()
	const metric = `certscan_probes_total{location="local",outcome="ok"} `
	count := func() (n int) {
		for line := range strings.Lines(s.get("/metrics", "certscan_build_info")) {
			if value, found := strings.CutPrefix(line, metric); found {
				n, _ = strconv.Atoi(strings.TrimSpace(value))
			}
		}
		return n
	}
	timeout, again := time.After(30*time.Second), time.NewTicker(20*time.Millisecond)
	defer again.Stop()
	for want := count() + n; count() < want; {
		select {
		case <-again.C:
		case <-timeout:
			s.t.Fatalf("less than %d examinations in 30 s", n)
		}
	}
}
