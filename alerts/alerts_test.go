package alerts_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/alerts"
	"example.com/certscan/internal/inventory"
)

var update = flag.Bool("update", false, "write the rule files anew")

const day = 24 * time.Hour

// print returns the rules for opt.
func print(t *testing.T, opt alerts.Options) string {
	t.Helper()
	var b strings.Builder
	if err := alerts.Write(&b, opt); err != nil {
		t.Fatalf("Write(%+v): %v", opt, err)
	}
	return b.String()
}

// checkedIn are the rule files that are printed.
func checkedIn() map[string]alerts.Options {
	return map[string]alerts.Options{
		"certscan.rules.yml": {},
		"fleet.rules.yml":    {Detail: alerts.DetailNone},
	}
}

// TestCheckedIn keeps the files to what is printed. After a change:
// go test ./alerts -update.
func TestCheckedIn(t *testing.T) {
	t.Parallel()
	for name, opt := range checkedIn() {
		want := print(t, opt)
		if *update {
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(want, read(t, name)); diff != "" {
			t.Errorf("%s is not what certscan rules prints; go test ./alerts -update (-printed +file):\n%s", name, diff)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opt  alerts.Options
		want string // what the error says; "" for none
	}{
		{"one tier", alerts.Options{Tiers: []time.Duration{10 * day}}, ""},
		{"no labels", alerts.Options{Labels: []string{}}, ""},
		{"a tier that is none", alerts.Options{Tiers: []time.Duration{0}}, `tier 0s: want a distance`},
		{"a tier twice", alerts.Options{Tiers: []time.Duration{day, day}}, `same name "1d"`},
		{"a label with a hyphen", alerts.Options{Labels: []string{"cost-centre"}}, `label "cost-centre": want letters`},
		{"a label that alerts have", alerts.Options{Labels: []string{"severity"}}, `label "severity": there is one of that name already`},
		{"a label twice", alerts.Options{Labels: []string{"owner", "owner"}}, `twice`},
		{"a runbook base that is a path", alerts.Options{RunbookBase: "docs/runbooks"}, `runbook base "docs/runbooks": want an address`},
		{"a runbook base that would break the file", alerts.Options{RunbookBase: "https://a/'{{"}, `want an address`},
		{"a job that is no expression", alerts.Options{Job: "("}, `job "(": want a regular expression`},
		{"a job that ends its string", alerts.Options{Job: `a"} or vector(1`}, `want a regular expression`},
		{"a reference that is no lifetime", alerts.Options{Reference: -day}, `reference -24h0m0s: want a lifetime`},
		{"a negative age", alerts.Options{StaleAfter: -time.Hour}, `stale after -1h0m0s`},
		{"a detail that is none of them", alerts.Options{Detail: "some"}, `detail "some": want all or none`},
		{"a format that is none of them", alerts.Options{Format: "xml"}, `format "xml": want prometheus or operator`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := alerts.Write(io.Discard, tt.opt)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Write: %v, want %q", err, tt.want)
			}
		})
	}
}

// When pipelines renew does not depend on the tiers of a team.
func TestOverdueWhateverTheTiers(t *testing.T) {
	t.Parallel()
	const left = "certscan:target_time_left_seconds:joined\n/ on (target) group_left ()\nclamp_max(certscan:target_lifetime_seconds:min / %d, 1)"
	indented := func(rules, s string) bool {
		plain := regexp.MustCompile(`(?m)^ +`)
		return strings.Contains(plain.ReplaceAllString(rules, ""), s)
	}
	for _, tt := range []struct {
		name  string
		opt   alerts.Options
		tiers string // "" if they do not shrink
	}{
		{"by default", alerts.Options{}, fmt.Sprintf(left, 7776000)},
		{"another reference", alerts.Options{Reference: 200 * day}, fmt.Sprintf(left, 17280000)},
		{"absolute tiers", alerts.Options{AbsoluteTiers: true}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expiring, overdue, _ := strings.Cut(print(t, tt.opt), "- name: certscan-renewal")
			if tt.tiers == "" && strings.Contains(expiring, "clamp_max(certscan:target_lifetime") || !indented(expiring, tt.tiers) {
				t.Errorf("the tiers are not by %q:\n%s", tt.tiers, expiring)
			}
			overdue, _, _ = strings.Cut(overdue, "alert: IssuerExpiring")
			if tt.tiers != fmt.Sprintf(left, 7776000) && !indented(overdue, "("+fmt.Sprintf(left, 7776000)) {
				t.Errorf("overdue is not by a quarter of the lifetime:\n%s", overdue)
			}
			if !strings.Contains(overdue, "< 1944000") {
				t.Errorf("overdue is not by a quarter of 90 days:\n%s", overdue)
			}
		})
	}
}

// Whatever is found about a target raises one alert, or is told from timestamps.
func TestEveryFindingIsTold(t *testing.T) {
	t.Parallel()
	rules := regexp.MustCompile(`(?m)^ *unless .*$`).ReplaceAllString(print(t, alerts.Options{}), "")
	fromTime := []inventory.Code{inventory.CodeExpired} // the others are told so, too
	told := make(map[string]int)
	for _, m := range regexp.MustCompile(`certscan:target_open_finding:joined\{code=~?"([^"]+)"\}`).FindAllStringSubmatch(rules, -1) {
		for _, code := range strings.Split(m[1], "|") {
			told[code]++
		}
	}
	for _, c := range inventory.Codes() {
		want := 1
		if slices.Contains(fromTime, c.Code) || c.Code.OwnSide() { // of which other metrics tell
			want = 0
		}
		if got := told[string(c.Code)]; got != want {
			t.Errorf("finding %s raises %d alerts, want %d", c.Code, got, want)
		}
	}
}

// A person who is woken opens the page of the alert.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	const folder = "../docs/runbooks/"
	sections := []string{"Meaning", "Impact", "Check", "Fix", "Escalate"}
	var pages []string
	found, err := filepath.Glob(folder + "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		name := strings.TrimSuffix(filepath.Base(path), ".md")
		if name == "README" {
			continue
		}
		pages = append(pages, name)
		page := read(t, path)
		if !strings.HasPrefix(page, "# "+name+"\n") {
			t.Errorf("%s does not begin with its name", path)
		}
		var got []string
		for _, m := range regexp.MustCompile(`(?m)^## (.*)\n\n(\S)`).FindAllStringSubmatch(page, -1) {
			got = append(got, m[1])
		}
		if diff := cmp.Diff(sections, got); diff != "" {
			t.Errorf("%s: sections with text in them (-want +got):\n%s", path, diff)
		}
		_, check, _ := strings.Cut(page, "\n## Check\n")
		if check, _, _ = strings.Cut(check, "\n## "); !strings.Contains(check, "\n```sh\n") {
			t.Errorf("%s: Check has no command", path)
		}
		if !strings.Contains(read(t, folder+"README.md"), "("+name+".md)") {
			t.Errorf("%sREADME.md does not list %s", folder, name)
		}
	}
	slices.Sort(pages)
	if diff := cmp.Diff(alerts.Names(), pages); diff != "" {
		t.Errorf("alerts and their pages (-alerts +pages):\n%s", diff)
	}
}

var (
	metricName = regexp.MustCompile(`\b(certscan_[a-z_]+|up)\b[{\[) ]`)
	listed     = regexp.MustCompile(`(?m)^([a-z_]+) +(.*)$`)
)

// TestMetrics holds the list of metrics, which the exporter follows, against
// what is used.
func TestMetrics(t *testing.T) {
	t.Parallel()
	known := make(map[string]string)
	for _, m := range listed.FindAllStringSubmatch(read(t, "metrics.txt"), -1) {
		known[m[1]] = m[2]
	}
	used := make(map[string]bool)
	for _, file := range []string{"certscan.rules.yml", "fleet.rules.yml", "compat.rules.yml"} {
		for line := range strings.Lines(read(t, file)) {
			if strings.HasPrefix(strings.TrimSpace(line), "#") || strings.Contains(line, " summary: ") {
				continue
			}
			for _, m := range metricName.FindAllStringSubmatch(strings.TrimSuffix(line, "\n")+" ", -1) {
				used[m[1]] = true
			}
		}
	}
	for name := range used {
		if known[name] == "" {
			t.Errorf("metrics.txt lacks %s", name)
		}
	}
	for name := range known {
		if !used[name] {
			t.Errorf("metrics.txt has %s, which no rule reads", name)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
