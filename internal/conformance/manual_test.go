package conformance_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every rule of the profile stands in the manual with its source.
func TestRulesAreExplained(t *testing.T) {
	t.Parallel()
	names := func(pattern string, files ...string) []string {
		var all []string
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
				all = append(all, m[1])
			}
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	sources, err := filepath.Glob("../verify/[a-z]*[a-z].go")
	if err != nil {
		t.Fatal(err)
	}
	code := names(`(?:b\.(?:add|note)\(|CodeProfile, |KeyID, |AIA, )"([a-z0-9_]+)"`, sources...)
	manual := names("(?m)^\\| `([a-z0-9_]+)` \\| (?:all|leaf|CA|root|leaf, intermediate) \\| .* \\| .*[0-9]", "../../docs/findings.md")
	if len(code) < 30 {
		t.Errorf("found %d rules in the code: this does not look like it", len(code))
	}
	if diff := cmp.Diff(code, manual); diff != "" {
		t.Errorf("rules (-code +manual):\n%s", diff)
	}
}
