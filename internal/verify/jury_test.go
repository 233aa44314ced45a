package verify_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

func selectorOf(tb testing.TB, text string) []inventory.Selector {
	tb.Helper()
	s, err := inventory.ParseSelector(text)
	if err != nil {
		tb.Fatal(err)
	}
	return []inventory.Selector{s}
}

func TestStoreForTarget(t *testing.T) {
	t.Parallel()
	web, corp, lab := newRoot(t, "Web"), newRoot(t, "Corp"), newRoot(t, "Lab")
	mozilla, ours, second := storeOf("mozilla", true, web), storeOf("corp", false, corp), storeOf("lab", false, lab)
	ours.For, ours.Only = selectorOf(t, "environment=internal"), true
	second.For = selectorOf(t, "environment=internal or environment=lab") // and asked everywhere
	j := newJudge(t, ours, mozilla, second)

	byWeb, byCorp, byLab := web.leaf(t), corp.leaf(t), lab.leaf(t)
	for _, tt := range []struct {
		name, environment string
		leaf              *issued
		decidedBy         string
		want              inventory.TrustStatus
		asked             []string
	}{
		{"a public name by a public authority", "prod", byWeb, "mozilla", inventory.Trusted, []string{"mozilla", "lab"}},
		{"a public name by an internal authority", "prod", byCorp, "mozilla", inventory.TrustUnknownIssuer, []string{"mozilla", "lab"}},
		{"a public name by an authority that is asked and does not decide", "prod", byLab, "mozilla", inventory.TrustUnknownIssuer, []string{"mozilla", "lab"}},
		{"an internal name by the internal authority", "internal", byCorp, "corp", inventory.Trusted, []string{"corp", "mozilla", "lab"}},
		{"an internal name by a public authority", "internal", byWeb, "corp", inventory.TrustUnknownIssuer, []string{"corp", "mozilla", "lab"}},
		{"a name of the lab", "lab", byLab, "lab", inventory.Trusted, []string{"mozilla", "lab"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := factsOf(ders(tt.leaf))
			f.Target.Labels = map[string]string{"environment": tt.environment}
			got, _ := j.Judge(f, nil, now)
			trust := got.Verdict.Trust
			var asked []string
			for _, s := range trust.Stores {
				asked = append(asked, s.Name)
				if s.Name == trust.DecidedBy && s.Status != trust.Status {
					t.Errorf("the deciding store says %s and the verdict %s", s.Status, trust.Status)
				}
			}
			if trust.DecidedBy != tt.decidedBy || trust.Status != tt.want || !cmp.Equal(asked, tt.asked) {
				t.Errorf("%s by %s, of %q, want %s by %s, of %q", trust.Status, trust.DecidedBy, asked, tt.want, tt.decidedBy, tt.asked)
			}
		})
	}
}

func TestStoreForTargetRefuses(t *testing.T) {
	t.Parallel()
	s := storeOf("corp", false, newRoot(t, "Corp"))
	s.For = selectorOf(t, "environment=internal")
	if _, err := verify.New(verify.Options{Stores: []inventory.TrustStore{s}}); err == nil {
		t.Error("no store decides for the other targets, and that is no error")
	}
	s.For, s.Only = nil, true
	if _, err := verify.New(verify.Options{Stores: []inventory.TrustStore{s, storeOf("all", false, newRoot(t, "All"))}}); err == nil {
		t.Error("a store for nobody is no error")
	}
}
