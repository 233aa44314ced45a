package alerts_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/certscan/alerts"
	"example.com/certscan/internal/promtest"
)

// tool runs a program in dir, which has to succeed, and returns what it says.
func tool(t *testing.T, dir, path string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(path), strings.Join(args, " "), err, tail(out.String()))
	}
	return out.String()
}

// tail is the end of a long output.
func tail(text string) string {
	const limit = 12_000
	if len(text) > limit {
		text = "…" + text[len(text)-limit:]
	}
	return text
}

// write puts files into a new folder, by name.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRulesAreValid(t *testing.T) {
	t.Parallel()
	promtool := promtest.Find(t, "promtool")
	_, textfile, _ := strings.Cut(read(t, "../docs/prometheus-textfile.md"), "\n```yaml\n")
	textfile, _, _ = strings.Cut(textfile, "```")
	files := map[string]string{"compat.yml": read(t, "compat.rules.yml"), "textfile.yml": textfile}
	for name, opt := range map[string]alerts.Options{
		"defaults.yml":  {},
		"fleet.yml":     {Detail: alerts.DetailNone},
		"one-tier.yml":  {Tiers: []time.Duration{10 * day}, Labels: []string{}},
		"absolute.yml":  {AbsoluteTiers: true, Labels: []string{"team"}},
		"reference.yml": {Reference: 200 * day},
		"quotes.yml":    {RunbookBase: "https://wiki.example.com/a?b=c&d=e", Job: `cert\w+|a'b`},
		"hours.yml":     {Tiers: []time.Duration{36 * time.Hour, 12 * time.Hour, time.Hour}},
		"no-tiers.yml":  {Tiers: []time.Duration{}},
		"operator.yml":  {Format: alerts.FormatOperator},
		"operator2.yml": {Format: alerts.FormatOperator, Detail: alerts.DetailNone},
	} {
		text := print(t, opt)
		if opt.Format == alerts.FormatOperator {
			head, spec, ok := strings.Cut(text, "\nspec:\n")
			if !ok || !strings.Contains(head, "\nkind: PrometheusRule\n") {
				t.Fatalf("%s is no PrometheusRule:\n%s", name, head)
			}
			text = strings.ReplaceAll("\n"+spec, "\n  ", "\n") // a spec is a rule file
		}
		files[name] = text
	}
	dir := write(t, files)
	args := []string{"check", "rules", "--lint=all", "--lint-fatal"}
	for name := range files {
		args = append(args, name)
	}
	tool(t, dir, promtool, args...)
}

// TestUnits runs the unit tests that people wrote: bands, outages, owners, the
// scanner's own alerts, compatibility.
func TestUnits(t *testing.T) {
	t.Parallel()
	promtool := promtest.Find(t, "promtool")
	files, err := filepath.Glob("tests/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("find the unit tests: %v", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".rules.yml") {
			continue // what a unit test reads
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			tool(t, "tests", promtool, "test", "rules", filepath.Base(file))
		})
	}
}
