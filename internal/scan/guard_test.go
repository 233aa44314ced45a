package scan_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
)

// clumsy fails at one certificate.
type clumsy struct{ literal }

func (c clumsy) Judge(f inventory.Facts, ev inventory.EvidenceSet, now time.Time) (inventory.Judgement, []inventory.Need) {
	if f.Target.Host == "n00001.site1.com" {
		panic("index out of range")
	}
	return c.literal.Judge(f, ev, now)
}

func TestADefectInJudgingCostsOneView(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got, err := run(t, t.Context(), scan.Options{Location: &fleet{answer: healthy}, Judge: clumsy{}}, 3)
		if err != nil || len(got) != 3 {
			t.Fatalf("%d results, %v; want three", len(got), err)
		}
		for host, r := range got {
			j := r.Endpoints[0].Judgement
			failed := host == "n00001.site1.com"
			if failed != (len(j.Findings) == 1 && strings.Contains(j.Findings[0].Message, "a defect of certscan") && !j.Verified()) {
				t.Errorf("%s: %+v", host, j)
			}
		}
	})
}
