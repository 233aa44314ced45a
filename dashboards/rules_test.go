package dashboards_test

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/dashboards"
)

// every runs a test for every dashboard, for all options that change one.
func every(t *testing.T, f func(t *testing.T, name string, d dashboard)) {
	t.Helper()
	for variant, opt := range variants() {
		for _, name := range dashboards.Names() {
			t.Run(name+" "+variant, func(t *testing.T) {
				t.Parallel()
				f(t, name, parse(t, name, opt))
			})
		}
	}
}

// The rules of Grafana's dashboard linter, first those about a dashboard and its
// variables.
func TestLintTemplates(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, name string, d dashboard) {
		if d.UID != "certscan-"+name || d.Title == "" || d.Description == "" || !slices.Contains(d.Tags, "certscan") {
			t.Errorf("uid %q, title %q, description %q, tags %q", d.UID, d.Title, d.Description, d.Tags)
		}
		if d.Editable == nil || *d.Editable || d.SchemaVersion < 39 {
			t.Errorf("editable %v, schema version %d: want false, and a current one", d.Editable, d.SchemaVersion)
		}
		vars := make(map[string]variable)
		for _, v := range d.Templating.List {
			if _, twice := vars[v.Name]; twice || v.Label == "" {
				t.Errorf("variable %q is there twice or has no label", v.Name)
			}
			vars[v.Name] = v
			if v.Type == "query" && (v.Datasource.UID != "${datasource}" || v.Refresh != 2 || !strings.HasPrefix(v.Query, "label_values(")) {
				t.Errorf("variable %s: data source %q, refresh %d, query %q", v.Name, v.Datasource.UID, v.Refresh, v.Query)
			}
			if v.IncludeAll != (v.AllValue != "") || v.IncludeAll != v.Multi {
				t.Errorf("variable %s: All is %q, several %v", v.Name, v.AllValue, v.Multi)
			}
		}
		if v := vars["datasource"]; v.Type != "datasource" || v.Query != "prometheus" || v.Label != "Data source" {
			t.Errorf("no variable for the data source: %+v", v)
		}
		for _, n := range []string{"job", "instance"} {
			if v := vars[n]; v.Type != "query" || v.Label != n || v.AllValue != ".+" {
				t.Errorf("variable %s: %+v", n, v)
			}
		}
		for _, q := range d.questions() {
			for _, m := range regexp.MustCompile(`=(~?)"[^"]*\$(\w+)[^"]*"`).FindAllStringSubmatch(q.expr, -1) {
				if v, ok := vars[m[2]]; !ok || v.Multi && m[1] == "" {
					t.Errorf("%s: %s, which is no variable, or has several values", q.where, m[0])
				}
			}
		}
	})
}

// kinds are the types of panels that Grafana has, and that have a future.
func kinds() []string {
	return []string{"row", "stat", "timeseries", "table", "bargauge", "barchart", "piechart", "state-timeline"}
}

// units are those of Grafana that are used; the linter has them all.
func units() []string {
	return []string{"short", "percentunit", "s", "dtdurations", "dateTimeAsIso", "bytes", "ops"}
}

func TestLintPanels(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, _ string, d dashboard) {
		titles := make(map[string]int)
		for i, p := range d.Panels {
			if p.ID != i+1 {
				t.Errorf("panel %q has the ID %d", p.Title, p.ID)
			}
			if !slices.Contains(kinds(), p.Type) || p.Title == "" {
				t.Errorf("panel %q is a %q", p.Title, p.Type)
			}
			if p.Type == "row" {
				continue
			}
			titles[p.Title]++
			if len(p.Description) < 10 || !strings.HasSuffix(p.Description, ".") {
				t.Errorf("panel %q: description %q", p.Title, p.Description)
			}
			if p.Datasource.UID != "${datasource}" || p.Datasource.Type != "prometheus" {
				t.Errorf("panel %q: data source %+v", p.Title, p.Datasource)
			}
			if !slices.Contains(units(), p.FieldConfig.Defaults.Unit) {
				t.Errorf("panel %q: unit %q", p.Title, p.FieldConfig.Defaults.Unit)
			}
			// A number that is not known has no color that says good or bad.
			if m := p.FieldConfig.Defaults.Mappings; p.Type == "stat" && (len(m) == 0 || m[len(m)-1].Type != "special" || m[len(m)-1].Options.Match != "null+nan" || m[len(m)-1].Options.Result.Color != "text") {
				t.Errorf("panel %q shows what is not known in the color of its first step", p.Title)
			}
			if d := p.FieldConfig.Defaults; d.Unit == "dtdurations" && d.Decimals != 1 {
				t.Errorf("panel %q rounds to the largest unit", p.Title)
			}
			for _, o := range p.FieldConfig.Overrides {
				for i, prop := range o.Properties {
					if string(prop.Value) == `"dtdurations"` && (i+1 == len(o.Properties) || o.Properties[i+1].ID != "decimals" || string(o.Properties[i+1].Value) != "1") {
						t.Errorf("panel %q rounds a column to the largest unit", p.Title)
					}
					if unit := strings.Trim(string(prop.Value), `"`); prop.ID == "unit" && !slices.Contains(units(), unit) {
						t.Errorf("panel %q: unit %q of a column", p.Title, unit)
					}
				}
			}
			if len(p.Targets) == 0 {
				t.Errorf("panel %q asks nothing", p.Title)
			}
			for i, q := range p.Targets {
				over := p.Type == "timeseries" || p.Type == "state-timeline"
				if q.Datasource.UID != "${datasource}" || q.RefID != string(rune('A'+i)) || q.Instant == q.Range || over && !q.Range || (q.Format == "table") != (p.Type == "table" || p.Type == "barchart") {
					t.Errorf("panel %q: query %+v", p.Title, q)
				}
				if p.Type != "table" && q.Legend == "" {
					t.Errorf("panel %q: query %s has no legend", p.Title, q.RefID)
				}
			}
		}
		for title, n := range titles {
			if n > 1 {
				t.Errorf("%d panels are called %q", n, title)
			}
		}
	})
}

var (
	metric   = regexp.MustCompile(`\b((?:certscan|process|go|scrape)_[a-z_]+|up)\{([^}]*)\}(\[[^\]]*\])?`)
	function = regexp.MustCompile(`\b(rate|irate|increase|changes)\(`)
)

func TestLintQueries(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, _ string, d dashboard) {
		for _, q := range d.questions() {
			found := metric.FindAllStringSubmatchIndex(q.expr, -1)
			if len(found) == 0 && q.expr != "certscan_metrics_series_dropped" {
				t.Errorf("%s reads no metric: %s", q.where, q.expr)
			}
			for _, at := range found {
				name, matchers := q.expr[at[2]:at[3]], q.expr[at[4]:at[5]]
				if !strings.HasPrefix(matchers, `job=~"$job"`) || !strings.Contains(matchers, `instance=~"$instance"`) && !strings.HasPrefix(q.where, "variable instance") {
					t.Errorf("%s: %s is of any job or instance", q.where, name)
				}
				before := q.expr[:at[0]]
				if counts := strings.HasSuffix(name, "_total") || strings.HasSuffix(name, "_bucket"); counts && !strings.HasSuffix(before, "rate(") {
					t.Errorf("%s: %s is a counter and has no rate", q.where, name)
				}
				if function.MatchString(before[max(0, len(before)-len("increase(")):]) && q.expr[at[6]:at[7]] != "[$__rate_interval]" {
					t.Errorf("%s: the range of %s is not $__rate_interval", q.where, name)
				}
			}
			if strings.Contains(q.expr, "vector(0)") {
				t.Errorf("%s: what is absent is not 0", q.where)
			}
		}
	})
}

// bounded are the metrics whose number does not follow the fleet's: only they
// may be read over a range of time, unless it is of one target. A range of
// 100,000 series has more samples than Prometheus answers with.
func bounded() []string {
	return []string{
		"certscan_certificates", "certscan_config_last_reload_successful", "certscan_endpoints", "certscan_failing_endpoints",
		"certscan_findings", "certscan_keys", "certscan_metrics_series_dropped", "certscan_own_finding", "certscan_probe_duration_seconds_bucket",
		"certscan_probes_total", "certscan_scan_lag_seconds", "certscan_source_last_success_timestamp_seconds", "certscan_source_targets",
		"certscan_source_up", "certscan_store_size_bytes", "certscan_store_write_duration_seconds_bucket", "certscan_targets", "certscan_targets_expiring",
		"go_goroutines", "go_memstats_alloc_bytes", "process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes",
		"process_start_time_seconds", "scrape_duration_seconds", "scrape_samples_scraped", "up",
	}
}

func TestNothingBreaksALargeFleet(t *testing.T) {
	t.Parallel()
	outer := regexp.MustCompile(`^\(*(sum|min|max|avg|count|topk|bottomk|0 \*)\b`)
	every(t, func(t *testing.T, name string, d dashboard) {
		costly := 0 // each takes Prometheus a second or more at 100,000 targets
		for _, q := range d.questions() {
			if name == "fleet" && !strings.HasPrefix(q.where, "variable") && slices.ContainsFunc(metric.FindAllStringSubmatch(q.expr, -1), func(m []string) bool { return !slices.Contains(bounded(), m[1]) }) {
				costly++
			}
			for _, m := range metric.FindAllStringSubmatch(q.expr, -1) {
				one := strings.Contains(m[2], `target="$target"`)
				if q.over && !one && !slices.Contains(bounded(), m[1]) {
					t.Errorf("%s reads %s of all targets over the time", q.where, m[1])
				}
				if name == "operations" && !slices.Contains(bounded(), m[1]) {
					t.Errorf("%s reads %s, which metrics.detail may leave out", q.where, m[1])
				}
			}
		}
		if name != "fleet" {
			return
		}
		if costly > 6 {
			t.Errorf("%d queries read every target, want fewer", costly)
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				if p.Type == "table" && p.Title != "Sources" && !strings.Contains(q.Expr, "topk(") && !strings.Contains(q.Expr, "bottomk(") {
					t.Errorf("table %q has as many rows as there are targets", p.Title)
				}
				if p.Type != "table" && !outer.MatchString(q.Expr) {
					t.Errorf("panel %q has as many series as there are targets: %s", p.Title, q.Expr)
				}
			}
		}
	})
}

// Panels lie beside each other, without a gap or an overlap.
func TestGrid(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, _ string, d dashboard) {
		bottom := 0
		for _, p := range d.Panels {
			bottom = max(bottom, p.Place.Y+p.Place.H)
		}
		cells := make([]string, 24*bottom)
		for _, p := range d.Panels {
			for y := p.Place.Y; y < p.Place.Y+p.Place.H; y++ {
				for x := p.Place.X; x < p.Place.X+p.Place.W; x++ {
					if x < 0 || x >= 24 || cells[24*y+x] != "" {
						t.Fatalf("panel %q reaches into %d, %d, where the edge or panel %q is", p.Title, x, y, cells[24*y+x])
					}
					cells[24*y+x] = p.Title
				}
			}
		}
		for i, title := range cells {
			if title == "" {
				t.Fatalf("nothing is at %d, %d, below %q", i%24, i/24, cells[max(0, i-24)])
			}
		}
	})
}

// Links lead to pages that exist, and no text of strangers can change where.
func TestLinks(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, _ string, d dashboard) {
		seen := 0
		check := func(where, to string) {
			seen++
			page, local := strings.CutPrefix(to, dashboards.DefaultDocsBase+"/")
			for _, m := range regexp.MustCompile(`\$\{__data[^}]*\}`).FindAllString(to, -1) {
				if !strings.HasSuffix(m, ":percentencode}") {
					t.Errorf("%s: %s stands in an address as it is", where, m)
				}
			}
			if uid, ok := strings.CutPrefix(to, "/d/certscan-"); ok {
				uid, _, _ = strings.Cut(uid, "?")
				if !slices.Contains(dashboards.Names(), uid) {
					t.Errorf("%s: %s: no such dashboard", where, to)
				}
				return
			}
			page, _, _ = strings.Cut(page, "#")
			if _, err := os.Stat("../docs/" + page); !local || err != nil {
				t.Errorf("%s: link to %s: no such page", where, to)
			}
			if _, err := url.Parse(to); err != nil {
				t.Errorf("%s: %v", where, err)
			}
		}
		for _, l := range d.Links {
			if l.Type == "dashboards" {
				if diff := cmp.Diff([]string{"certscan"}, l.Tags); diff != "" {
					t.Errorf("the links between dashboards (-want +got):\n%s", diff)
				}
				continue
			}
			check("dashboard", l.URL)
		}
		for _, p := range d.Panels {
			for _, l := range p.Links {
				check(p.Title, l.URL)
			}
			for _, o := range p.FieldConfig.Overrides {
				for _, prop := range o.Properties {
					if prop.ID == "links" {
						for _, m := range regexp.MustCompile(`"url":\s*"([^"]*)"`).FindAllStringSubmatch(string(prop.Value), -1) {
							check(p.Title, strings.ReplaceAll(m[1], `\u0026`, "&"))
						}
					}
				}
			}
		}
		if seen < 5 {
			t.Errorf("found %d links, want more", seen)
		}
	})
}

// TestMetrics holds the list of metrics against what is read.
func TestMetrics(t *testing.T) {
	t.Parallel()
	var listed, used []string
	for _, m := range regexp.MustCompile(`(?m)^(certscan_\w+)`).FindAllStringSubmatch(read(t, "metrics.txt"), -1) {
		listed = append(listed, m[1])
	}
	for _, name := range dashboards.Names() {
		for _, q := range parse(t, name, dashboards.Options{}).questions() {
			for _, m := range regexp.MustCompile(`\bcertscan_[a-z_]+`).FindAllString(q.expr, -1) {
				used = append(used, strings.TrimSuffix(m, "_bucket"))
			}
		}
	}
	if diff := cmp.Diff(sorted(used), sorted(listed)); diff != "" {
		t.Errorf("metrics.txt and what is read (-read +metrics.txt):\n%s", diff)
	}
	// Prometheus adds these to each scrape; all others certscan promises to serve.
	promised := []string{"up", "scrape_duration_seconds", "scrape_samples_scraped"}
	for _, m := range regexp.MustCompile(`(?m)^(\w+)\t`).FindAllStringSubmatch(read(t, "../internal/export/testdata/metrics.txt"), -1) {
		promised = append(promised, m[1])
	}
	every(t, func(t *testing.T, _ string, d dashboard) {
		for _, q := range d.questions() {
			for _, m := range metric.FindAllStringSubmatch(q.expr, -1) {
				if !slices.Contains(promised, strings.TrimSuffix(m[1], "_bucket")) {
					t.Errorf("%s reads %s, which nobody promises", q.where, m[1])
				}
			}
		}
	})
}

// columns of a table that nobody named would stand there with a raw name.
func TestColumns(t *testing.T) {
	t.Parallel()
	every(t, func(t *testing.T, _ string, d dashboard) {
		for _, p := range d.Panels {
			if p.Type != "table" {
				continue
			}
			// Grafana writes the text for no rows into each cell without a value, too.
			if first := p.FieldConfig.Overrides[0]; first.Matcher.ID != "byRegexp" || first.Properties[0].ID != "noValue" || string(first.Properties[0].Value) != `"–"` {
				t.Errorf("table %q: cells without a value say what an empty table says", p.Title)
			}
			last := p.Transformations[len(p.Transformations)-1]
			known := last.Options
			if last.ID != "organize" || !known.Exclude["Time"] || (len(p.Targets) > 1) != (p.Transformations[0].ID == "merge") {
				t.Errorf("table %q: transformations %+v", p.Title, p.Transformations)
			}
			want := []string{"Value"}
			if len(p.Targets) > 1 {
				want = nil
				for _, q := range p.Targets {
					want = append(want, fmt.Sprintf("Value #%s", q.RefID))
				}
			}
			for _, field := range want {
				if known.Rename[field] == "" && !known.Exclude[field] {
					t.Errorf("table %q has a column %q", p.Title, field)
				}
			}
		}
	})
}
