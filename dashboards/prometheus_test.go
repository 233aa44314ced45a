package dashboards_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/promtest"
)

// A prometheus scrapes five times a second.
type prometheus struct{ address string }

// startPrometheus scrapes the addresses until the test ends.
func startPrometheus(t *testing.T, scraped ...string) prometheus {
	t.Helper()
	return startPrometheusWith(t, fmt.Sprintf("scrape_configs:\n- job_name: certscan\n  static_configs: [{targets: ['%s']}]\n", strings.Join(scraped, "', '")))
}

// startPrometheusWith scrapes as the configuration says.
func startPrometheusWith(t *testing.T, config string) prometheus {
	t.Helper()
	dir := t.TempDir()
	config = "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n" + config
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	a := promtest.Prometheus(t, dir)
	until(t, "prometheus is ready", func() bool {
		resp, err := http.Get("http://" + a + "/-/ready")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return prometheus{a}
}

// A series is one element of an answer.
type series struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"`  // of an instant
	Values [][2]any          `json:"values"` // of a range
}

func (s series) value() string { return fmt.Sprint(s.Value[1]) }

// ask asks the API for JSON.
func (p prometheus) ask(t *testing.T, path string, args url.Values, answer any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.address+path+"?"+args.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", path, args, body)
	}
	if err := json.Unmarshal(body, answer); err != nil {
		t.Fatalf("%s: %v\n%s", path, err, body)
	}
}

// query asks for now, or for the time since begin.
func (p prometheus) query(t *testing.T, expr string, over bool, begin time.Time) []series {
	t.Helper()
	var answer struct {
		Data struct {
			Result []series `json:"result"`
		} `json:"data"`
	}
	if over {
		p.ask(t, "/api/v1/query_range", url.Values{
			"query": {expr}, "step": {"1"}, "start": {fmt.Sprint(begin.Unix())}, "end": {fmt.Sprint(time.Now().Unix())},
		}, &answer)
	} else {
		p.ask(t, "/api/v1/query", url.Values{"query": {expr}}, &answer)
	}
	return answer.Data.Result
}

// values are those of a label, as a variable takes them.
func (p prometheus) values(t *testing.T, label, selector string) []string {
	t.Helper()
	var answer struct {
		Data []string `json:"data"`
	}
	p.ask(t, "/api/v1/label/"+label+"/values", url.Values{"match[]": {selector}}, &answer)
	return answer.Data
}

// until asks again until ok, for at most 30 seconds.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(30 * time.Second); !ok(); {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("%s: not within 30 seconds", what)
		}
	}
}

// substitute is expr with All for every variable, and one target.
func substitute(expr, target string) string {
	return strings.NewReplacer(
		"$__rate_interval", "4s", "$__interval", "1s", "$__range", "1m",
		"$job", ".+", "$instance", ".+", "$location", ".*", "$severity", ".*", "$search", "", "$target", target,
		"$owner", ".*", "$environment", ".*", "$platform", ".*", "$team", ".*",
	).Replace(expr)
}

// labels are those that any of the series has.
func labels(all []series) []string {
	var names []string
	for _, s := range all {
		for name := range s.Metric {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
