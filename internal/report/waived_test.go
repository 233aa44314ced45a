package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
)

// waived is a target with one finding that counts, one that is waived and one
// that is ignored.
func waived() inventory.Result {
	t := target("waived.example:443")
	t.Labels = map[string]string{"owner": "web"}
	e := with(seen(t, "192.0.2.99", leaf(t.Host, -2*day)), inventory.Critical, inventory.CodeExpired, "expired 2 days ago")
	e = with(e, inventory.Warning, inventory.CodeDeprecatedTLS, "TLS 1.0 was negotiated")
	e = with(e, inventory.Critical, inventory.CodePolicy, "the key is RSA 1024")
	f := e.Judgement.Findings
	f[0].Waived = &inventory.Waived{Owner: "web", Reason: "moves, OPS-1", Until: "2026-12-01"}
	f[1].Ignored = "baseline"
	f[2].Rule = "keys"
	return result(t, e)
}

func TestWaivedFindingsAreShownInEveryFormat(t *testing.T) {
	t.Parallel()
	for format, wants := range map[string][]string{
		"table": {
			"policy:keys,expired(waived),ignored:deprecated_tls",
			"\nWaived\n  waived.example:443: expired 2 days ago (until 2026-12-01, web: moves, OPS-1)\n",
			"Findings  1 critical, 0 warnings, 0 notes, 1 waived, 1 ignored\n",
		},
		"json":  {`"waived":{"owner":"web","reason":"moves, OPS-1","until":"2026-12-01"}`, `"waived":1`},
		"jsonl": {`"waived":{"owner":"web","reason":"moves, OPS-1","until":"2026-12-01"}`, `"waived":1`},
		"csv":   {"policy:keys expired(waived) ignored:deprecated_tls"},
		"prometheus": {
			`certscan_target_finding{target="waived.example:443",code="expired",rule="",severity="critical"} 1`,
			`certscan_target_finding_waived{target="waived.example:443",code="expired",rule=""} 1796169600`,
		},
		"sarif": {`"suppressions":[{"kind":"external","status":"accepted","justification":"waived until 2026-12-01 by web: moves, OPS-1"}]`},
		"junit": {`<skipped message="waived until 2026-12-01 by web: moves, OPS-1 (expired 2 days ago)"/>`},
	} {
		out := string(write(t, format, report.Options{FailOn: inventory.Critical}, waived()))
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("%s does not say %q:\n%s", format, want, out)
			}
		}
	}
	out := string(write(t, "table", report.Options{OnlyProblems: true}, waived()))
	if !strings.Contains(out, "expired(waived)") {
		t.Errorf("with problems alone it is hidden:\n%s", out)
	}
}

// A series of a waiver silences alerts for its code at its target, so a finding
// beside it that counts must not have one.
func TestAWaiverOfOneEndpointSilencesNoOther(t *testing.T) {
	t.Parallel()
	r := waived()
	other := with(seen(r.Target, "192.0.2.98", leaf(r.Target.Host, -2*day)), inventory.Critical, inventory.CodeExpired, "expired 2 days ago")
	r.Endpoints = append(r.Endpoints, other)
	if out := string(write(t, "prometheus", report.Options{}, r)); strings.Contains(out, "finding_waived") {
		t.Errorf("it does:\n%s", out)
	}
	// One that is ignored has no series, so it does not count here either.
	other.Judgement.Findings[0].Ignored = "flag"
	if out := string(write(t, "prometheus", report.Options{}, r)); !strings.Contains(out, "finding_waived") {
		t.Errorf("what is waived has no series beside what is ignored:\n%s", out)
	}
}

func TestFindingsAreEncodedAsTheLibraryWould(t *testing.T) {
	t.Parallel()
	var line struct{ Findings []inventory.Finding }
	first, _, _ := bytes.Cut(write(t, "jsonl", report.Options{}, waived()), []byte("\n"))
	if err := json.Unmarshal(first, &line); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(waived().Endpoints[0].Judgement.Findings, line.Findings); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// sarifLog is what the schema of SARIF 2.1.0 requires of what is written, and
// what code-scanning services ask for beyond it.
type sarifLog struct {
	Schema  string `json:"$schema"`
	Version string
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name  string
				Rules []struct {
					ID                     string
					HelpURI                string `json:"helpUri"`
					ShortDescription, Help struct{ Text string }
					DefaultConfiguration   struct{ Level string }
				}
			}
		}
		Results []struct {
			RuleID              string `json:"ruleId"`
			RuleIndex           *int
			Level               string
			Message             struct{ Text string }
			PartialFingerprints map[string]string
			Suppressions        []struct{ Kind, Status, Justification string }
			Locations           []struct {
				PhysicalLocation *struct {
					ArtifactLocation struct{ URI, URIBaseID string }
					Region           *struct{ StartLine int }
				}
				LogicalLocations []struct{ Name, FullyQualifiedName, Kind string }
			}
		}
		Invocations []struct {
			ExecutionSuccessful        *bool
			StartTimeUTC               string
			ToolExecutionNotifications []struct{ Level string }
		}
	}
}

func checkSARIF(t *testing.T, text []byte) sarifLog {
	t.Helper()
	var log sarifLog
	if err := json.Unmarshal(text, &log); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, text)
	}
	if log.Version != "2.1.0" || !strings.HasSuffix(log.Schema, "sarif-schema-2.1.0.json") || len(log.Runs) != 1 {
		t.Fatalf("version %q, schema %q, %d runs", log.Version, log.Schema, len(log.Runs))
	}
	run := log.Runs[0]
	levels := regexp.MustCompile(`^(none|note|warning|error)$`)
	ids := map[string]bool{}
	for _, r := range run.Tool.Driver.Rules {
		if r.ID == "" || ids[r.ID] || r.ShortDescription.Text == "" || r.Help.Text == "" || !strings.HasPrefix(r.HelpURI, "https://") || !levels.MatchString(r.DefaultConfiguration.Level) {
			t.Errorf("rule %+v lacks something, or stands there twice", r)
		}
		ids[r.ID] = true
	}
	for _, r := range run.Results {
		switch {
		case r.Message.Text == "", !levels.MatchString(r.Level), len(r.PartialFingerprints) == 0, r.Suppressions == nil:
			t.Errorf("result %+v lacks something", r)
		case r.RuleIndex == nil || *r.RuleIndex < 0 || *r.RuleIndex >= len(run.Tool.Driver.Rules) || run.Tool.Driver.Rules[*r.RuleIndex].ID != r.RuleID:
			t.Errorf("result %+v does not point to its rule", r)
		}
		for _, s := range r.Suppressions {
			if s.Kind != "external" || s.Status != "accepted" {
				t.Errorf("suppression %+v", s)
			}
		}
		for _, l := range r.Locations {
			if p := l.PhysicalLocation; p != nil && (p.ArtifactLocation.URI == "" || p.Region != nil && p.Region.StartLine < 1) {
				t.Errorf("location %+v", *p)
			}
		}
	}
	if run.Tool.Driver.Name != "certscan" || len(run.Invocations) != 1 || run.Invocations[0].ExecutionSuccessful == nil {
		t.Errorf("run: %+v, %+v", run.Tool.Driver.Name, run.Invocations)
	}
	return log
}

func TestSARIF(t *testing.T) {
	t.Parallel()
	locate := func(file string, x inventory.Target) int {
		if file == "domains.txt" && x.Host == "waived.example" {
			return 7
		}
		return 0
	}
	text := write(t, "sarif", report.Options{Locate: locate}, append(fleet(), waived(), hostile())...)
	run := checkSARIF(t, text).Runs[0]
	got := map[string]string{}
	prints := map[string]bool{}
	for _, r := range run.Results {
		line, place := 0, ""
		for _, l := range r.Locations {
			place = l.LogicalLocations[0].Name
			if l.PhysicalLocation == nil {
				if !strings.HasPrefix(place, "certificate ") {
					t.Errorf("%s is in no file", place)
				}
				continue
			}
			if r := l.PhysicalLocation.Region; r != nil {
				line = r.StartLine
			}
			if l.PhysicalLocation.ArtifactLocation.URI != "domains.txt" || l.PhysicalLocation.ArtifactLocation.URIBaseID != "%SRCROOT%" {
				t.Errorf("%s is in %+v", place, l.PhysicalLocation.ArtifactLocation)
			}
		}
		got[place+" "+r.RuleID] = fmt.Sprintf("%s %d %d", r.Level, line, len(r.Suppressions))
		if p := r.PartialFingerprints["certscan/v1"]; prints[p] {
			t.Errorf("%s has the fingerprint of another", r.Message.Text)
		} else {
			prints[p] = true
		}
	}
	for key, want := range map[string]string{
		"waived.example:443 expired":          "error 7 1",
		"waived.example:443 policy/keys":      "error 7 0",
		"waived.example:443 deprecated_tls":   "warning 7 1",
		"shop.example:443 partially_deployed": "error 0 0",
		"accepted.example:443 self_signed":    "error 0 1",
		"nowhere.example:443 dns_failure":     "error 0 0",
		"dual.example:443 expiring":           "warning 0 0",
	} {
		if got[key] != want {
			t.Errorf("%s: level, line and suppressions are %q, want %q", key, got[key], want)
		}
	}
	again := write(t, "sarif", report.Options{Locate: locate}, append(fleet(), waived(), hostile())...)
	if !bytes.Equal(text, again) {
		t.Error("a second run is not the same")
	}
}

func TestSARIFWithoutFindings(t *testing.T) {
	t.Parallel()
	run := checkSARIF(t, write(t, "sarif", report.Options{})).Runs[0]
	if run.Results == nil || len(run.Results) != 0 {
		t.Errorf("results are %v, want an empty list", run.Results)
	}
}

type junitSuite struct {
	Name     string `xml:"name,attr"`
	Tests    int    `xml:"tests,attr"`
	Failures int    `xml:"failures,attr"`
	Errors   int    `xml:"errors,attr"`
	Skipped  int    `xml:"skipped,attr"`
	Cases    []struct {
		Name    string    `xml:"name,attr"`
		Class   string    `xml:"classname,attr"`
		File    string    `xml:"file,attr"`
		Failure *struct{} `xml:"failure"`
		Error   *struct{} `xml:"error"`
		Skipped *struct{} `xml:"skipped"`
	} `xml:"testcase"`
}

func checkJUnit(t *testing.T, text []byte) map[string]junitSuite {
	t.Helper()
	var doc struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &doc); err != nil {
		t.Fatalf("not XML: %v\n%s", err, text)
	}
	suites := map[string]junitSuite{}
	for _, s := range doc.Suites {
		var failures, broken, skipped int
		names := map[string]bool{}
		for _, c := range s.Cases {
			if names[c.Name] || c.Name == "" || c.Class != s.Name {
				t.Errorf("%s: case %+v has no name of its own", s.Name, c)
			}
			names[c.Name] = true
			if c.Failure != nil {
				failures++
			}
			if c.Error != nil {
				broken++
			}
			if c.Skipped != nil {
				skipped++
			}
		}
		if s.Tests != len(s.Cases) || s.Failures != failures || s.Errors != broken || s.Skipped != skipped {
			t.Errorf("%s counts %d, %d, %d, %d, has %d, %d, %d, %d", s.Name, s.Tests, s.Failures, s.Errors, s.Skipped, len(s.Cases), failures, broken, skipped)
		}
		suites[s.Name] = s
	}
	return suites
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	results := append(fleet(), waived(), hostile())
	for _, tt := range []struct {
		failOn inventory.Severity
		want   map[string]string // tests, failures, errors, skipped
	}{
		{inventory.Critical, map[string]string{
			"quiet.example:443": "1 0 0 0", "expired.example:443": "1 1 0 0", "shop.example:443": "4 2 0 0", "dual.example:443": "3 0 0 0",
			"gone.example:443": "1 0 1 0", "nowhere.example:443": "1 0 1 0", "waived.example:443": "3 1 0 2", "accepted.example:443": "1 0 0 1",
			"v6.example:443": "2 0 1 0", "fleet": "2 0 0 0",
		}},
		{inventory.Warning, map[string]string{"dual.example:443": "3 1 0 0", "waived.example:443": "3 1 0 2"}},
		{"", map[string]string{"expired.example:443": "1 0 0 0", "gone.example:443": "1 0 0 0", "v6.example:443": "2 0 1 0"}},
	} {
		suites := checkJUnit(t, write(t, "junit", report.Options{FailOn: tt.failOn}, results...))
		for name, want := range tt.want {
			s := suites[name]
			if got := fmt.Sprint(s.Tests, s.Failures, s.Errors, s.Skipped); got != want {
				t.Errorf("fail on %q: %s has tests, failures, errors, skipped %s, want %s", tt.failOn, name, got, want)
			}
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	files := []report.File{
		{Path: "good cert.pem", Line: 3, Name: "CN=good"},
		{Path: "bad.pem", Line: 1, Name: "CN=bad", Findings: waived().Endpoints[0].Judgement.Findings},
		{Path: "/abs/broken.pem", Problem: "no PEM <here>"},
	}
	var b bytes.Buffer
	if err := report.Files(&b, "sarif", files, scanInfo(), report.Options{Now: now()}); err != nil {
		t.Fatal(err)
	}
	run := checkSARIF(t, b.Bytes()).Runs[0]
	if len(run.Results) != 3 || run.Results[0].Locations[0].PhysicalLocation.ArtifactLocation.URI != "bad.pem" {
		t.Errorf("results: %+v", run.Results)
	}
	if *run.Invocations[0].ExecutionSuccessful || len(run.Invocations[0].ToolExecutionNotifications) != 1 {
		t.Errorf("nothing says that a file could not be read: %+v", run.Invocations)
	}
	b.Reset()
	if err := report.Files(&b, "junit", files, scanInfo(), report.Options{FailOn: inventory.Critical}); err != nil {
		t.Fatal(err)
	}
	suites := checkJUnit(t, b.Bytes())
	for name, want := range map[string]string{"good cert.pem:3": "1 0 0 0", "bad.pem:1": "3 1 0 2", "/abs/broken.pem": "1 0 1 0"} {
		s := suites[name]
		if got := fmt.Sprint(s.Tests, s.Failures, s.Errors, s.Skipped); got != want {
			t.Errorf("%s has %s, want %s", name, got, want)
		}
	}
	if err := report.Files(&b, "csv", nil, scanInfo(), report.Options{}); err == nil {
		t.Error("csv is no format of files")
	}
}

// Also those codes that this build cannot produce yet.
func TestEveryCodeIsExplained(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("..", "inventory", "finding.go"))
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^\tCode\w+ +Code = "(\w+)"`).FindAllSubmatch(source, -1)
	if len(codes) < len(inventory.Codes()) {
		t.Fatalf("%d codes were found in the source, and there are %d", len(codes), len(inventory.Codes()))
	}
	for _, m := range codes {
		c := inventory.Code(m[1])
		if report.Explain(c) == strings.ReplaceAll(string(c), "_", " ")+"." {
			t.Errorf("%s is not explained", c)
		}
	}
}
