package report_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
)

func TestTallyAnswersTheQuestionsOfAnInventory(t *testing.T) {
	t.Parallel()
	tally := report.Tally{Now: now()}
	for _, r := range fleet() {
		tally.Add(r)
	}
	never := target("never.example:443")
	tally.Add(inventory.Result{Target: never})
	want := inventory.Summary{
		Type: "summary", Targets: 13,
		Endpoints:    17, // three offers to one address are one endpoint
		Certificates: 12, // two nodes of shop and three of pool serve the same
		Expired:      1, Within30Days: 4,
		Names: 22, Issuers: 1,
		Unreachable:        3, // not v6, which the scanner has no route to
		TargetsNotExamined: 1,
		Critical:           8, Warning: 2, Info: 1, Ignored: 1,
		OwnFaults: []inventory.OwnFault{}, Findings: []inventory.Finding{},
	}
	if diff := cmp.Diff(want, tally.Summary()); diff != "" {
		t.Errorf("Summary (-want +got):\n%s", diff)
	}
}

func TestTallyOfNothing(t *testing.T) {
	t.Parallel()
	want := inventory.Summary{Type: "summary", OwnFaults: []inventory.OwnFault{}, Findings: []inventory.Finding{}}
	if diff := cmp.Diff(want, new(report.Tally).Summary()); diff != "" {
		t.Errorf("Summary (-want +got):\n%s", diff)
	}
}

func TestAFindingOfACertificateCountsOnce(t *testing.T) {
	t.Parallel()
	f := inventory.Finding{Code: inventory.CodeWeakKey, Severity: inventory.Critical, Subject: inventory.Subject{Kind: inventory.SubjectCertificate, ID: "ab"}}
	tally := report.Tally{Now: now()}
	for i := range 5 {
		x := target(fmt.Sprintf("n%d.example:443", i))
		e := seen(x, "192.0.2.1", leaf("same.example", 50*day))
		e.Judgement.Findings = []inventory.Finding{f}
		tally.Add(result(x, e))
	}
	tally.AddFindings(f)
	if s := tally.Summary(); s.Critical != 1 || len(s.Findings) != 1 {
		t.Errorf("critical %d, findings of the fleet %d, want 1 and 1", s.Critical, len(s.Findings))
	}
}

func TestEdgesOfExpiry(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                  string
		left                  time.Duration
		expired, within, days string
	}{
		{"the second after", -time.Second, "1", "0", "-1"},
		{"the very moment", 0, "0", "1", "0"},
		{"the last second", time.Second, "0", "1", "0"},
		{"a day to the second", day, "0", "1", "1"},
		{"thirty days", 30 * day, "0", "1", "30"},
		{"and a second", 30*day + time.Second, "0", "0", "30"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := target("x.example:443")
			r := result(x, seen(x, "192.0.2.1", leaf("x.example", tt.left)))
			tally := report.Tally{Now: now()}
			tally.Add(r)
			s := tally.Summary()
			days := parseCSV(t, write(t, "csv", report.Options{}, r))[1][6]
			if fmt.Sprint(s.Expired) != tt.expired || fmt.Sprint(s.Within30Days) != tt.within || days != tt.days {
				t.Errorf("expired %d, within 30 days %d, days left %s, want %s, %s, %s", s.Expired, s.Within30Days, days, tt.expired, tt.within, tt.days)
			}
		})
	}
}

// BenchmarkMemory tells how many bytes a target costs until Close.
func BenchmarkMemory(b *testing.B) {
	const n = 20_000
	for _, format := range append(report.Formats(), "tally") {
		b.Run(format, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				tally := report.Tally{Now: now()}
				h, err := report.New("jsonl", discard{}, report.Options{})
				if format != "tally" {
					h, err = report.New(format, discard{}, report.Options{Now: now()})
				}
				if err != nil {
					b.Fatal(err)
				}
				for i := range n {
					x := target(fmt.Sprintf("host-%d.example:443", i))
					r := result(x, with(seen(x, "192.0.2.1", leaf(x.Host, 10*day)), inventory.Warning, inventory.CodeExpiring, fmt.Sprintf("expires in %d days, soon", i)))
					if format == "tally" {
						tally.Add(r)
					} else if err := h.Result(r); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric((heap()-before)/n, "B/target")
				runtime.KeepAlive(h)
				runtime.KeepAlive(&tally)
			}
		})
	}
}

func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
