package export_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

var update = flag.Bool("update", false, "write testdata/metrics.txt and docs/metrics.md anew")

// A listed metric is one that others may rely on.
type listed struct{ name, kind, labels, help string }

func (l listed) String() string {
	return strings.Join([]string{l.name, l.kind, l.labels, l.help}, "\t")
}

// reliable are the metrics of the process that dashboards may use: client_golang
// has many more, and changes them.
func reliable(name string) bool {
	return strings.HasPrefix(name, "certscan_") || strings.HasPrefix(name, "promhttp_") || slices.Contains([]string{
		"process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds", "process_open_fds", "process_max_fds",
		"go_goroutines", "go_memstats_alloc_bytes", "go_info",
	}, name)
}

// list describes what is served.
func list(families map[string]*dto.MetricFamily) (all []listed) {
	for name, f := range families {
		if !reliable(name) {
			continue
		}
		var labels []string
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if !slices.Contains(labels, l.GetName()) {
					labels = append(labels, l.GetName())
				}
			}
		}
		all = append(all, listed{name, strings.ToLower(f.GetType().String()), cmpOr(strings.Join(labels, ","), "-"), f.GetHelp()})
	}
	slices.SortFunc(all, func(a, b listed) int { return strings.Compare(a.name, b.name) })
	return all
}

func cmpOr(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

const goldenHead = "# Every metric that certscan serves and that others may rely on: name, type, labels, help. Tests hold it against what is\n" +
	"# rendered; go test ./internal/export -update writes it anew.\n"

func TestGolden(t *testing.T) {
	t.Parallel()
	text := metrics(t, everything(t, &clock{now()}))
	all := list(parse(t, text))
	var golden strings.Builder
	golden.WriteString(goldenHead)
	for _, l := range all {
		fmt.Fprintln(&golden, l)
	}
	page := docs(all)
	if *update {
		for path, text := range map[string]string{"testdata/metrics.txt": golden.String(), "../../docs/metrics.md": page} {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	if diff := cmp.Diff(read(t, "testdata/metrics.txt"), golden.String()); diff != "" {
		t.Errorf("testdata/metrics.txt is not what is served; go test ./internal/export -update (-file +served):\n%s", diff)
	}
	if diff := cmp.Diff(read(t, "../../docs/metrics.md"), page); diff != "" {
		t.Errorf("docs/metrics.md is not what is served; go test ./internal/export -update (-page +served):\n%s", diff)
	}
}

// docs is docs/metrics.md: the text that is there, and the table anew.
func docs(all []listed) string {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		return err.Error()
	}
	const begin, end = "<!-- table: written by go test ./internal/export -update -->\n", "<!-- end of table -->\n"
	head, rest, _ := strings.Cut(string(page), begin)
	_, tail, _ := strings.Cut(rest, end)
	var b strings.Builder
	b.WriteString(head + begin + "\n| metric | type | labels | |\n|---|---|---|---|\n")
	for _, l := range all {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", l.name, l.kind, strings.ReplaceAll(strings.ReplaceAll(l.labels, "-", "–"), ",", ", "), l.help)
	}
	b.WriteString("\n" + end + tail)
	return b.String()
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReadersHaveTheirMetrics holds what rules and dashboards read against what
// is served.
func TestReadersHaveTheirMetrics(t *testing.T) {
	t.Parallel()
	served := parse(t, metrics(t, everything(t, &clock{now()})))
	text := read(t, "../../alerts/metrics.txt") + read(t, "../../dashboards/metrics.txt")
	for _, m := range regexp.MustCompile(`(?m)^(certscan_[a-z_]+) +(.*)$`).FindAllStringSubmatch(text, -1) {
		f := served[m[1]]
		if f == nil {
			t.Errorf("somebody reads %s, which is not served", m[1])
			continue
		}
		labels, _, _ := strings.Cut(m[2], "  ")
		for _, want := range strings.Fields(labels) {
			if want == "-" {
				continue
			}
			if !slices.ContainsFunc(f.Metric, func(s *dto.Metric) bool {
				return slices.ContainsFunc(s.Label, func(l *dto.LabelPair) bool { return l.GetName() == want })
			}) {
				t.Errorf("somebody reads the label %s of %s, which it has not", want, m[1])
			}
		}
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	e := everything(t, &clock{now()})
	for _, text := range []string{metrics(t, e), scrape(t, e.Targets(), "/metrics/targets")} {
		problems, err := promlint.New(strings.NewReader(text)).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// What is written is what the reference writer makes of what it says, byte for
// byte, if that were to write in our order.
func TestTextIsExact(t *testing.T) {
	t.Parallel()
	text := metrics(t, everything(t, &clock{now()}))
	families := parse(t, text)
	var order []string
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ = strings.Cut(name, " ")
			if slices.Contains(order, name) {
				t.Errorf("the series of %s stand apart", name)
			}
			order = append(order, name)
		}
	}
	var want bytes.Buffer
	for _, name := range order {
		if _, err := expfmt.MetricFamilyToText(&want, families[name]); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(normal(want.String()), normal(text)); diff != "" {
		t.Errorf("-reference +ours:\n%s", diff)
	}
}

// normal writes timestamps without an exponent, as the reference writer does
// not.
func normal(text string) string {
	return regexp.MustCompile(`(?m) [0-9.e+]+$`).ReplaceAllStringFunc(text, func(s string) string {
		var f float64
		if _, err := fmt.Sscan(s, &f); err != nil {
			return s
		}
		return fmt.Sprintf(" %g", f)
	})
}
