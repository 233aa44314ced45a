package main

import (
	"crypto/tls"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/lab"
	"example.com/certscan/internal/store"
)

// servedShop is a target that serves leaf, which ca issued.
func servedShop(t *testing.T) (ca *lab.Certificate, leaf tls.Certificate, at inventory.Target) {
	t.Helper()
	ca = issue(t, nil, lab.Spec{CommonName: "Serve Test CA", CA: true})
	leaf = lab.Chain(issue(t, ca, lab.Spec{Names: []string{"shop.example"}}))
	h := lab.TLS(&tls.Config{Certificates: []tls.Certificate{leaf}})
	_, port, _ := strings.Cut(netListen(t, func(c net.Conn) { h(t.Context(), c) }), ":")
	at, err := discover.ParseTarget("shop.example@127.0.0.1:" + port)
	if err != nil {
		t.Fatal(err)
	}
	return ca, leaf, at
}

// What comes and goes is held open, also by a daemon that was started again: it
// tells nothing, and nobody is notified twice.
func TestServeRemembersWhatComesAndGoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, leaf, at := servedShop(t)
	target := at.Key()
	db, err := store.Open(t.Context(), filepath.Join(dir, "certscan.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, ago := range []time.Duration{8 * time.Hour, 7 * time.Hour, 5 * time.Hour, 4 * time.Hour, time.Hour, 10 * time.Minute} {
		e := inventory.Endpoint{Observation: inventory.Observation{
			Schema: inventory.ObservationSchema, Target: at.Key(), Address: "127.0.0.1", Location: inventory.LocalLocation, Offer: inventory.OfferDefault,
			Time: now().Add(-ago), Reach: inventory.Reach{Status: inventory.ReachOK}, Chain: leaf.Certificate,
			Capture: &inventory.Capture{Method: inventory.CaptureHandshake, HandshakeComplete: true, PossessionProven: true},
		}}
		if i%2 == 0 || i == 5 { // the third time it is held open
			e.Judgement.Findings = []inventory.Finding{{
				Code: inventory.CodeNameMismatch, Severity: inventory.Critical, Message: "for another name",
				Subject: inventory.Subject{Kind: inventory.SubjectView, ID: e.Observation.View().ID()},
			}}
		}
		if err := db.Record(t.Context(), "", []inventory.Result{{Target: at, Endpoints: []inventory.Endpoint{e}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	writeFiles(t, dir, map[string]string{
		"ca.pem": string(ca.PEM()),
		"certscan.yaml": "sources: [{name: a, targets: ['" + target + `']}]
scan: {interval: 1h, offers: default, accepts: false}
trust: {stores: [ca.pem], revocation: "off", profile: private}
web: {listen: "127.0.0.1:0"}
store: {path: certscan.db}
`,
	})
	s := startServe(t, filepath.Join(dir, "certscan.yaml"))
	s.get("/metrics", `certscan_target_finding{target="`+target+`",code="name_mismatch",rule="",severity="critical"} 1`)
	s.end()
	if n := s.logs.count(func(l logged) bool { return strings.HasPrefix(l.Msg, "finding") }); n != 0 {
		_, _, text := s.logs.lines()
		t.Errorf("%d findings were told anew: %s", n, text)
	}
	got := certscan(t, t.Context(), dir, "", "findings", "--db", "DIR/certscan.db", "--since", "12h", "--format", "jsonl")
	if n := strings.Count(got.out, `"name_mismatch"`); n != 3 {
		t.Errorf("it was open %d times, want 3: %s%s", n, got.out, got.errors)
	}
}
