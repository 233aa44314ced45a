package inventory_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
)

func TestWaivedKinds(t *testing.T) {
	t.Parallel()
	finding := func(code inventory.Code, rule, ignored, until string) inventory.Finding {
		f := inventory.Finding{Code: code, Rule: rule, Ignored: ignored}
		if until != "" {
			f.Waived = &inventory.Waived{Until: until}
		}
		return f
	}
	day := func(d int) time.Time { return time.Date(2026, 12, d, 0, 0, 0, 0, time.UTC) }
	for _, tt := range []struct {
		name  string
		lists [][]inventory.Finding
		want  []inventory.WaivedKind
	}{
		{"nothing", nil, nil},
		{"what counts", [][]inventory.Finding{{finding("expired", "", "", "")}}, nil},
		{"the earliest of several, in order", [][]inventory.Finding{
			{finding("expired", "", "", "2026-12-09"), finding("policy", "b", "", "2026-12-01")},
			{finding("expired", "", "", "2026-12-03"), finding("policy", "a", "", "2026-12-02")},
		}, []inventory.WaivedKind{{"expired", "", day(4)}, {"policy", "a", day(3)}, {"policy", "b", day(2)}}},
		{"one that counts beside one that is waived", [][]inventory.Finding{
			{finding("expired", "", "", "2026-12-09")}, {finding("expired", "", "", "")},
		}, nil},
		{"one of another rule", [][]inventory.Finding{
			{finding("policy", "a", "", "2026-12-01"), finding("policy", "b", "", "")},
		}, []inventory.WaivedKind{{"policy", "a", day(2)}}},
		{"an ignored one beside one that is waived", [][]inventory.Finding{
			{finding("expired", "", "", "2026-12-09"), finding("expired", "", "flag", "")},
		}, []inventory.WaivedKind{{"expired", "", day(10)}}},
		{"one that is ignored and waived", [][]inventory.Finding{{finding("expired", "", "baseline", "2026-12-09")}}, nil},
		{"a waiver without an end", [][]inventory.Finding{
			{finding("expired", "", "", "2026-12-09"), finding("expired", "", "", "some day")},
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := inventory.WaivedKinds(tt.lists...)
			if len(got)+len(tt.want) > 0 && !cmp.Equal(tt.want, got) {
				t.Errorf("(-want +got)\n%s", cmp.Diff(tt.want, got))
			}
		})
	}
}
