package scan_test

import (
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
)

// What a scan that expected a certificate found is not mended because the daemon
// expects none.
func TestConfirmKeepsWhatWasExpected(t *testing.T) {
	t.Parallel()
	const none, partly = inventory.CodeNotDeployed, inventory.CodePartiallyDeployed
	for _, tt := range []struct {
		name   string
		code   inventory.Code
		served []string // per examination, the leaves of two addresses; "-" serves none
		closed int      // by which of them; 0: never
	}{
		{"nothing changed", none, []string{"aa", "aa", "aa"}, 0},
		{"the new one is everywhere", none, []string{"aa", "ab", "bb"}, 3},
		{"an older one is everywhere", none, []string{"bb", "aa"}, 0},
		{"of two, the newer is everywhere, which was not it", none, []string{"ab", "bb"}, 0},
		{"no address answers", none, []string{"aa", "--", "b-", "bb"}, 4},
		{"the laggard has the new one as well", partly, []string{"ab", "ab", "bb"}, 3},
		{"it was rolled back", partly, []string{"ab", "aa", "bb"}, 3},
		{"the laggard does not answer", partly, []string{"ab", "-b"}, 0},
		{"both have a newer one", partly, []string{"ab", "cc"}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			target := watched(1)[0]
			f := inventory.Finding{Code: tt.code, Severity: inventory.Critical, Message: "expected", Subject: inventory.Subject{Kind: inventory.SubjectTarget, ID: target.Key()}}
			c := scan.NewConfirm(scan.ConfirmOptions{})
			c.Remember(inventory.FindingSpan{Finding: f, Target: target.Key(), Opened: time.Now().AddDate(0, -1, 0)})
			closed := 0
			for i, leaves := range tt.served {
				r := inventory.Result{Target: target}
				for k, leaf := range leaves {
					e := result(target, time.Now(), "").Endpoints[0]
					if e.Observation.Address = []string{"192.0.2.1", "192.0.2.2"}[k]; leaf != '-' {
						e.Observation.Reach.Status, e.Observation.Chain = inventory.ReachOK, [][]byte{{byte(leaf)}}
						e.Observation.Capture = &inventory.Capture{PossessionProven: true}
						e.Judgement.Certificate = &inventory.Certificate{SHA256: inventory.Fingerprint{byte(leaf)}, NotBefore: time.Unix(int64(leaf)*1e6, 0)}
					}
					r.Endpoints = append(r.Endpoints, e)
				}
				give := c.Examined
				switch {
				case i == 0:
					give = func(r *inventory.Result) scan.Outcome {
						return c.Restore(r, func(inventory.FindingKey) bool { return true }, func(inventory.View) int64 { return 1 })
					}
				case closed > 0:
					continue
				}
				out := give(&r)
				if len(out.Closed) > 0 {
					closed = i + 1
				}
				if (wordsOf(r.Judgement.Findings) == string(tt.code)) == (closed > 0) || len(out.Opened) > 0 {
					t.Errorf("examination %d: told %v, opened %v, closed %v", i+1, r.Judgement.Findings, out.Opened, out.Closed)
				}
			}
			if closed != tt.closed {
				t.Errorf("closed by examination %d, want %d", closed, tt.closed)
			}
		})
	}
}
