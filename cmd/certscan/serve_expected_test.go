package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/store"
)

// What a scan with --expect found is not mended by a daemon that expects nothing:
// metrics, log and history say so alike.
func TestServeKeepsWhatWasExpected(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca, leaf, at := servedShop(t)
	target := at.Key()
	db, err := store.Open(t.Context(), filepath.Join(dir, "certscan.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := inventory.Result{Target: at, Endpoints: []inventory.Endpoint{{Observation: inventory.Observation{
		Schema: inventory.ObservationSchema, Target: at.Key(), Address: "127.0.0.1", Location: inventory.LocalLocation, Offer: inventory.OfferDefault,
		Time: now().Add(-time.Minute), Reach: inventory.Reach{Status: inventory.ReachOK}, Chain: leaf.Certificate,
		Capture: &inventory.Capture{Method: inventory.CaptureHandshake, HandshakeComplete: true, PossessionProven: true},
	}}}}
	r.Judgement.Findings = []inventory.Finding{{
		Code: inventory.CodeNotDeployed, Severity: inventory.Critical, Message: "another is expected",
		Subject: inventory.Subject{Kind: inventory.SubjectTarget, ID: at.Key()},
	}}
	if err := db.Record(t.Context(), "", []inventory.Result{r}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, dir, map[string]string{
		"ca.pem": string(ca.PEM()),
		"certscan.yaml": "sources: [{name: a, targets: ['" + target + `']}]
scan: {interval: 30s, offers: default, accepts: false}
trust: {stores: [ca.pem], revocation: "off", profile: private}
web: {listen: "127.0.0.1:0"}
store: {path: certscan.db}
`,
	})
	s := startServe(t, filepath.Join(dir, "certscan.yaml"))
	s.get("/metrics", `certscan_target_finding{target="`+target+`",code="not_deployed",rule="",severity="critical"} 1`)
	s.end()
	if n := s.logs.count(func(l logged) bool { return strings.HasPrefix(l.Msg, "finding") }); n != 0 {
		_, _, text := s.logs.lines()
		t.Errorf("%d findings were told: %s", n, text)
	}
	got := certscan(t, t.Context(), dir, "", "findings", "--db", "DIR/certscan.db", "--format", "jsonl")
	if !strings.Contains(got.out, `"not_deployed"`) {
		t.Errorf("it is not open in the history: %s%s", got.out, got.errors)
	}
}
