package dashboards_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/dashboards"
	"example.com/certscan/internal/promtest"
)

// quiet are the queries that have no answer here, with the reason.
func quiet() map[string]string {
	return map[string]string{
		"fleet: annotation Restarts of certscan":      "the process of the test does not start again",
		"operations: annotation Restarts of certscan": "the process of the test does not start again",
	}
}

// TestQueries asks a Prometheus, which has scraped certscan, everything that the
// dashboards ask: each query has an answer.
func TestQueries(t *testing.T) {
	t.Parallel()
	promtest.Find(t, "prometheus")
	begin := time.Now()
	c := startCertscan(t)
	p := startPrometheus(t, c.address)
	c.until(t, p, "certscan_build_info offset 2s")
	c.Update(slices.Insert(slices.Clone(c.fleet[1:]), 0, renewed(true)))
	c.Reloaded(false)
	// Two seconds before and after, steps of one second have seen both.
	c.until(t, p, "certscan_config_last_reload_successful offset 2s == 0")

	asked := make(map[string]bool)
	for _, name := range dashboards.Names() {
		d := parse(t, name, dashboards.Options{})
		for _, q := range d.questions() {
			where, expr := name+": "+q.where, substitute(q.expr, shop)
			if strings.Contains(strings.ReplaceAll(expr, `"$1"`, ""), "$") { // $1 is of label_replace
				t.Errorf("%s has a variable that the test does not know: %s", where, expr)
			}
			asked[expr] = true
			got := p.query(t, expr, q.over, begin)
			if strings.HasPrefix(q.where, "annotation ") {
				for _, s := range got {
					if i := slices.IndexFunc(s.Values, func(v [2]any) bool { return strings.Trim(fmt.Sprint(v[1]), "0.-") == "" }); i >= 0 {
						t.Errorf("%s: a value of %v, which Grafana does not mark: %s", where, s.Values[i][1], expr)
					}
				}
			}
			if _, empty := quiet()[where]; empty != (len(got) == 0) {
				t.Errorf("%s: %d series, want %v: %s", where, len(got), map[bool]string{true: "none", false: "some"}[empty], expr)
			}
		}
		for _, v := range d.Templating.List {
			if v.Type == "query" && len(p.values(t, v.label(), substitute(v.selector(), shop))) == 0 {
				t.Errorf("%s: variable %s has no values: %s", name, v.Name, v.Query)
			}
		}
		columns(t, p, name, d)
	}
	if len(asked) < 60 {
		t.Errorf("asked %d queries, want more", len(asked))
	}
	t.Run("answers", func(t *testing.T) { answers(t, p) })
	t.Run("variants", func(t *testing.T) {
		for variant, opt := range variants() {
			for _, name := range dashboards.Names() {
				for _, q := range parse(t, name, opt).questions() {
					expr := substitute(q.expr, shop)
					if !asked[expr] {
						asked[expr] = true
						t.Log(variant, name, q.where) // the last is the one that Prometheus refuses
						p.query(t, expr, q.over, begin)
					}
				}
			}
		}
	})
}

// columns holds the columns of tables against the labels of the answers.
func columns(t *testing.T, p prometheus, name string, d dashboard) {
	t.Helper()
	for _, panel := range d.Panels {
		if panel.Type != "table" {
			continue
		}
		known := panel.Transformations[len(panel.Transformations)-1].Options
		var got []string
		for _, q := range panel.Targets {
			got = append(got, labels(p.query(t, substitute(q.Expr, shop), false, time.Time{}))...)
		}
		for _, label := range sorted(got) {
			if known.Rename[label] == "" && !known.Exclude[label] {
				t.Errorf("%s: table %q has a column %q that nobody named", name, panel.Title, label)
			}
		}
		for field := range known.Rename {
			if !strings.HasPrefix(field, "Value") && !slices.Contains(got, field) && field != "rule" {
				t.Errorf("%s: table %q has a column for %q, which no answer has", name, panel.Title, field)
			}
		}
	}
}

// answers are right, and not only there.
func answers(t *testing.T, p prometheus) {
	panels := make(map[string]panel)
	for _, name := range dashboards.Names() {
		for _, p := range parse(t, name, dashboards.Options{}).Panels {
			panels[name+"/"+p.Title] = p
		}
	}
	// rows are the answers to one of a panel's queries, as text.
	rows := func(panel string, query int, labels ...string) (list []string) {
		for _, s := range p.query(t, substitute(panels[panel].Targets[query].Expr, shop), false, time.Time{}) {
			var parts []string
			for _, l := range labels {
				parts = append(parts, s.Metric[l])
			}
			list = append(list, strings.Join(append(parts, s.value()), " "))
		}
		return list
	}
	for _, tt := range []struct {
		panel  string
		query  int
		labels []string
		want   []string // in any order
	}{
		{"fleet/Targets", 0, nil, []string{"6"}},
		{"fleet/Certificates", 0, nil, []string{"6"}}, // shop has two
		{"fleet/Expired", 0, nil, []string{"1"}},
		{"fleet/In a critical tier", 0, nil, []string{"2"}},
		{"fleet/Failing endpoints", 0, nil, []string{"1"}},
		{"fleet/In a tier, by owner", 0, []string{"label_owner"}, []string{"web 2", "none 1"}},
		{"fleet/Certificates by key", 0, []string{"key"}, []string{"ECDSA P-256 4", "RSA 1024 1", "RSA 2048 1"}},
		{"fleet/Open findings", 0, []string{"target", "code", "label_owner"}, []string{
			"shop.example:443 expiring web 3", "shop.example:443 addresses_disagree web 2", "shop.example:443 extra_certificates web 1", "old.example:443 expired  3",
		}}, // and not the one that is waived
		{"endpoint/Verified", 0, nil, []string{"1"}},
		{"endpoint/Answering", 0, nil, []string{"0.5"}},
		{"endpoint/Views", 0, []string{"address", "subject_cn", "key"}, []string{"192.0.2.1 shop.example ECDSA P-256 1", "192.0.2.2 shop.example ECDSA P-256 1"}},
		{"endpoint/Addresses", 0, []string{"address"}, []string{"192.0.2.1 1", "192.0.2.2 0"}},
		{"endpoint/Addresses", 3, []string{"address", "reason"}, []string{"192.0.2.2 refused 1"}},
		{"operations/Scraped", 0, nil, []string{"1"}},
		{"operations/Configuration", 0, nil, []string{"0"}},
		{"operations/Sources", 0, []string{"source"}, []string{"file:domains.txt 1", "file:gone.txt 0"}},
		{"operations/Failing now", 0, []string{"reason"}, []string{"refused 1"}},
	} {
		got := rows(tt.panel, tt.query, tt.labels...)
		slices.Sort(got)
		slices.Sort(tt.want)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s, query %d (-want +got):\n%s", tt.panel, tt.query, diff)
		}
	}
	weeks := make(map[string]string)
	for _, s := range p.query(t, substitute(panels["fleet/Expiry timeline"].Targets[0].Expr, shop), false, time.Time{}) {
		if s.value() != "0" {
			weeks[s.Metric["weeks"]] = s.value()
		}
	}
	if diff := cmp.Diff(map[string]string{"00": "2", "11": "1", "26+": "1"}, weeks); diff != "" {
		t.Errorf("expiry timeline (-want +got):\n%s", diff)
	}
	// By urgency: two days of six are as 30 of 90.
	var order []string
	for _, s := range p.query(t, substitute(panels["fleet/What expires next"].Targets[1].Expr, shop), false, time.Time{}) {
		order = append(order, s.Metric["target"])
	}
	want := []string{"old.example:443", "shop.example:443", "short.example:443", "fine.example:443", "legacy.example:443"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("what expires next (-want +got):\n%s", diff)
	}
}

// TestParts scrapes a fleet in parts, as the manual says: the jobs can be chosen,
// and the one with the targets is seen.
func TestParts(t *testing.T) {
	t.Parallel()
	c := startCertscan(t)
	mux := http.NewServeMux()
	mux.Handle("/metrics", c.Metrics())
	mux.Handle("/metrics/targets", c.Targets())
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	_, manual, _ := strings.Cut(read(t, "../docs/metrics.md"), "### A large fleet in parts\n")
	_, config, _ := strings.Cut(manual, "```yaml\n")
	config, _, _ = strings.Cut(config, "```")
	p := startPrometheusWith(t, strings.ReplaceAll(config, "127.0.0.1:9887", server.Listener.Addr().String()))
	c.until(t, p, `count(certscan_target_info{job="certscan-targets"}) == 6 and on () certscan_build_info{job="certscan"}`)

	want := []string{"certscan", "certscan-targets"}
	for _, name := range dashboards.Names() {
		d := parse(t, name, dashboards.Options{})
		for _, v := range d.Templating.List {
			if v.Name != "job" {
				continue
			}
			if diff := cmp.Diff(want, p.values(t, v.label(), v.selector())); diff != "" {
				t.Errorf("%s: values of job (-want +got):\n%s", name, diff)
			}
		}
		for _, panel := range d.Panels {
			if panel.Title != "Scrape duration" && panel.Title != "Series" {
				continue
			}
			got := make(map[string]int)
			for _, s := range p.query(t, substitute(panel.Targets[0].Expr, shop), false, time.Time{}) {
				got[s.Metric["job"]+" "+s.Metric["shard"]]++
			}
			if diff := cmp.Diff(map[string]int{"certscan ": 1, "certscan-targets 0": 1, "certscan-targets 1": 1}, got); diff != "" {
				t.Errorf("%s: series (-want +got):\n%s", panel.Title, diff)
			}
		}
	}
}
