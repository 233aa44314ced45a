package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/lab"
)

// labReport is what the lab's tests read of a report in json.
type labReport struct {
	Endpoints []inventory.EndpointRecord
	Targets   []struct {
		Target   string
		Findings []inventory.Finding
	}
	Findings []inventory.Finding
}

// scanLab scans scenarios in one go and returns what was found. The flags are
// those of the first; scenarios that go together have the same.
func scanLab(t *testing.T, fleet *lab.Lab, scenarios []lab.Scenario, db string) labReport {
	t.Helper()
	var out, errs bytes.Buffer
	io := streams{in: strings.NewReader(""), out: &out, err: &errs, env: os.Getenv}
	_, f := scanCommand(io)
	first := scenarios[0]
	f.format, f.quiet, f.db, f.failOn = "json", true, db, "never"
	f.timeout = 10 * time.Second
	f.resolver, f.allowFetch = []string{fleet.Resolver()}, fleet.AllowFetch()
	f.samples = max(1, first.Samples)
	if len(first.Offers) > 0 {
		var offers []string
		for _, o := range first.Offers {
			offers = append(offers, string(o))
		}
		f.offers = strings.Join(offers, ",")
	}
	if first.Expect != nil {
		path := filepath.Join(t.TempDir(), "expected.der")
		if err := os.WriteFile(path, first.Expect, 0o600); err != nil {
			t.Fatal(err)
		}
		f.expect = []string{path}
	}
	store := fleet.Public()
	if first.Private {
		store = fleet.Private()
	}
	list, err := fleet.WriteLogList(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	logs, err := (&transparencyFlags{list}).load(t.Errorf)
	if err != nil {
		t.Fatal(err)
	}
	job := &scanJob{io: io, flags: f, started: now(), trust: &trust{stores: []inventory.TrustStore{store}, logs: logs}}
	defer job.close()
	var targets []string
	for _, s := range scenarios {
		targets = append(targets, s.Targets...)
	}
	err = job.openStore(t.Context())
	if err == nil {
		err = job.prepare(t.Context(), targets)
	}
	if err == nil {
		err = job.wire(t.Context())
	}
	if err == nil {
		err = job.run(t.Context())
	}
	if err != nil {
		t.Fatalf("scan: %v\n%s", err, errs.String())
	}
	var rep labReport
	if err := json.Unmarshal(out.Bytes(), &rep); err != nil {
		t.Fatalf("report: %v", err)
	}
	return rep
}

// of returns the codes and reaches that concern one scenario, and the leaves
// that were recorded for it.
func (r labReport) of(s lab.Scenario) (codes []inventory.Code, reach []inventory.ReachStatus, leaves []inventory.Fingerprint) {
	keys := make(map[string]bool)
	for _, target := range s.Targets {
		key, err := targetKey(target)
		if err != nil {
			codes = append(codes, inventory.Code(err.Error()))
		}
		keys[key] = true
	}
	add := func(findings []inventory.Finding) {
		for _, f := range findings {
			codes = append(codes, f.Code)
		}
	}
	for _, e := range r.Endpoints {
		if !keys[e.Target] {
			continue
		}
		add(e.Findings)
		reach = append(reach, e.Reach.Status)
		if e.Certificate != nil {
			leaves = append(leaves, e.Certificate.SHA256)
		}
		for _, a := range e.Alternates {
			leaves = append(leaves, a.SHA256)
		}
	}
	for _, tr := range r.Targets {
		if keys[tr.Target] {
			add(tr.Findings)
		}
	}
	for _, f := range r.Findings {
		if f.Subject.Kind == inventory.SubjectCertificate && slices.ContainsFunc(leaves, func(l inventory.Fingerprint) bool { return l.String() == f.Subject.ID }) {
			codes = append(codes, f.Code)
		}
	}
	slices.Sort(codes)
	slices.Sort(reach)
	return slices.Compact(codes), slices.Compact(reach), leaves
}

// TestScenarios is the specification in one table: every scenario of the lab
// yields exactly its codes, ends as it should, and every certificate that a
// server sent is recorded.
func TestScenarios(t *testing.T) {
	t.Parallel()
	fleet, err := lab.Start(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fleet.Close() })
	if n := len(fleet.Scenarios()); n < 40 {
		t.Errorf("the lab has %d scenarios, want at least 40", n)
	}

	together := make(map[string][]lab.Scenario)
	for _, s := range fleet.Scenarios() {
		key, err := json.Marshal([]any{s.Private, s.Offers, s.Samples})
		if err != nil {
			t.Fatal(err)
		}
		if s.Change != nil || s.Expect != nil {
			key = []byte(s.Name)
		}
		together[string(key)] = append(together[string(key)], s)
	}
	for _, scenarios := range together {
		db := filepath.Join(t.TempDir(), "lab.db")
		rep := scanLab(t, fleet, scenarios, db)
		for _, s := range scenarios {
			t.Run(s.Name, func(t *testing.T) {
				codes, reach, leaves := rep.of(s)
				checkScenario(t, s, codes, s.Want, reach, s.Reach)
				for _, want := range s.Leaves {
					if !slices.Contains(leaves, want) {
						t.Errorf("%s: the certificate %s was sent and is not recorded", s.About, want)
					}
				}
				if s.Change == nil {
					return
				}
				s.Change()
				codes, reach, _ = scanLab(t, fleet, scenarios, db).of(s)
				checkScenario(t, s, codes, s.WantAfter, reach, s.ReachAfter)
			})
		}
	}
}

func checkScenario(t *testing.T, s lab.Scenario, codes, wantCodes []inventory.Code, reach, wantReach []inventory.ReachStatus) {
	t.Helper()
	if diff := cmp.Diff(slices.Clip(append([]inventory.Code{}, wantCodes...)), append([]inventory.Code{}, codes...)); diff != "" {
		t.Errorf("%s: findings (-want +got):\n%s", s.About, diff)
	}
	if diff := cmp.Diff(append([]inventory.ReachStatus{}, wantReach...), append([]inventory.ReachStatus{}, reach...)); diff != "" {
		t.Errorf("%s: reach (-want +got):\n%s", s.About, diff)
	}
}
