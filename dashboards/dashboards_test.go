package dashboards_test

import (
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"example.com/certscan/dashboards"
)

var update = flag.Bool("update", false, "write the dashboards anew")

const day = 24 * time.Hour

// print returns a dashboard for opt.
func print(t *testing.T, name string, opt dashboards.Options) string {
	t.Helper()
	var b strings.Builder
	if err := dashboards.Write(&b, name, opt); err != nil {
		t.Fatalf("Write(%q, %+v): %v", name, opt, err)
	}
	return b.String()
}

// TestCheckedIn keeps the files to what is printed. After a change:
// go test ./dashboards -update.
func TestCheckedIn(t *testing.T) {
	t.Parallel()
	for _, name := range dashboards.Names() {
		want := print(t, name, dashboards.Options{})
		if *update {
			if err := os.WriteFile(name+".json", []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(want, read(t, name+".json")); diff != "" {
			t.Errorf("%s.json is not what certscan dashboards prints; go test ./dashboards -update (-printed +file):\n%s", name, diff)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opt  dashboards.Options
		want string // what the error says; "" for none
	}{
		{"one tier", dashboards.Options{Tiers: []time.Duration{10 * day}}, ""},
		{"no tiers", dashboards.Options{Tiers: []time.Duration{}}, ""},
		{"no labels", dashboards.Options{Labels: []string{}}, ""},
		{"a tier that is none", dashboards.Options{Tiers: []time.Duration{0}}, `tier 0s: want a distance`},
		{"a label with a hyphen", dashboards.Options{Labels: []string{"cost-centre"}}, `label "cost-centre": want letters`},
		{"a label that is a variable", dashboards.Options{Labels: []string{"job"}}, `label "job": there is one of that name already`},
		{"a label twice", dashboards.Options{Labels: []string{"owner", "owner"}}, `twice`},
		{"a docs base that is a path", dashboards.Options{DocsBase: "docs"}, `docs base "docs": want an address`},
		{"a docs base with a variable", dashboards.Options{DocsBase: "https://a/${__data}"}, `want an address`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, name := range dashboards.Names() {
				err := dashboards.Write(io.Discard, name, tt.opt)
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Write(%q): %v, want %q", name, err, tt.want)
				}
			}
		})
	}
	if err := dashboards.Write(io.Discard, "all", dashboards.Options{}); err == nil || !strings.Contains(err.Error(), "fleet, endpoint, operations") {
		t.Errorf("Write of an unknown dashboard: %v, want the names", err)
	}
}

// What a team configures arrives.
func TestConfigured(t *testing.T) {
	t.Parallel()
	opt := dashboards.Options{
		Tiers: []time.Duration{36 * time.Hour, 10 * day}, AbsoluteTiers: true, Labels: []string{"team"},
		DocsBase: "https://wiki.example.com/certs/",
	}
	text := print(t, "fleet", opt)
	for _, want := range []string{`label_team=~\"$team\"`, `"text": "36h"`, `tier=~\"36h|10d\"`, "https://wiki.example.com/certs/runbooks/CertificateExpired.md"} {
		if !strings.Contains(text, want) {
			t.Errorf("the dashboard lacks %q", want)
		}
	}
	for _, no := range []string{"owner", "60d", "/ 7776000", dashboards.DefaultDocsBase} {
		if strings.Contains(text, no) {
			t.Errorf("the dashboard has %q", no)
		}
	}
}

// variants are options that change queries.
func variants() map[string]dashboards.Options {
	return map[string]dashboards.Options{
		"default":           {},
		"no labels":         {Labels: []string{}},
		"one label":         {Labels: []string{"team"}},
		"no tiers":          {Tiers: []time.Duration{}},
		"one tier":          {Tiers: []time.Duration{10 * day}},
		"absolute tiers":    {AbsoluteTiers: true},
		"another reference": {Reference: 200 * day},
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

// sorted is a sorted copy without repetitions.
func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// The example is what Grafana reads, and fits what the manual says.
func TestProvisioning(t *testing.T) {
	t.Parallel()
	var file struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type, Folder string
			DisableDeletion    bool `yaml:"disableDeletion"`
			AllowUIUpdates     bool `yaml:"allowUiUpdates"`
			UpdateInterval     int  `yaml:"updateIntervalSeconds"`
			Options            struct{ Path string }
		}
	}
	d := yaml.NewDecoder(strings.NewReader(read(t, "../docs/examples/grafana-provisioning.yaml")), yaml.Strict())
	if err := d.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if file.APIVersion != 1 || len(file.Providers) != 1 || file.Providers[0].Type != "file" {
		t.Fatalf("not what Grafana provisions: %+v", file)
	}
	if cmd := "certscan dashboards -c /etc/certscan/certscan.yaml -o " + file.Providers[0].Options.Path + "\n"; !strings.Contains(read(t, "../docs/dashboards.md"), cmd) {
		t.Errorf("docs/dashboards.md does not say %q", cmd)
	}
}
