package export_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/promtest"
)

// A server is a Prometheus that runs.
type server struct{ address string }

// start runs Prometheus with a configuration, and rules, until the test ends.
func start(t *testing.T, config, rules string) server {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"prometheus.yml": config, "rules.yml": rules} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return server{promtest.Prometheus(t, dir)}
}

// A sample is one element of an answer.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

func (s sample) value() string { return fmt.Sprint(s.Value[1]) }

// query asks until there is an answer that is not empty.
func (s server) query(t *testing.T, q string) []sample {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(60 * time.Second); ; {
		if got := s.ask(t, q); len(got) > 0 {
			return got
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("prometheus has nothing for %s", q)
		}
	}
}

// ask asks once.
func (s server) ask(t *testing.T, q string) []sample {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.address+"/api/v1/query?query="+url.QueryEscape(q), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil // not ready yet
	}
	defer answer.Body.Close()
	var got struct {
		Status, Error string
		Data          struct{ Result []sample }
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err == nil && got.Status == "error" {
		t.Fatalf("%s: %s", q, got.Error)
	}
	return got.Data.Result
}

// TestRealPrometheus has the real one scrape what is served, compressed.
func TestRealPrometheus(t *testing.T) {
	t.Parallel()
	c := &clock{time.Now()}
	e := everything(t, c)
	hostile := target("hostile.example")
	cert := leaf("hostile.example", 80*day)
	cert.SubjectCN, cert.IssuerOrg = "\"} 1\n\\\x1b\xff{,=", strings.Repeat("ü", 300)
	e.Update([]inventory.Result{result(hostile, "", seen(hostile, "192.0.2.1", cert))})
	e.Update(fleet(1000))
	var compressed atomic.Bool
	mux := http.NewServeMux()
	mux.Handle("/metrics", e.Metrics())
	mux.Handle("/metrics/targets", e.Targets())
	exporter := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r)
		compressed.Store(compressed.Load() || w.Header().Get("Content-Encoding") == "gzip")
	}))
	t.Cleanup(exporter.Close)
	at := strings.TrimPrefix(exporter.URL, "http://")
	p := start(t, `
global: {scrape_interval: 1s}
scrape_configs:
- job_name: whole
  static_configs: [{targets: ['`+at+`']}]
- job_name: part
  metrics_path: /metrics/targets
  params: {shard: ['1'], shards: ['3']}
  static_configs: [{targets: ['`+at+`']}]
`, "")
	for job, url := range map[string]string{"whole": "/metrics", "part": "/metrics/targets?shard=1&shards=3"} {
		p.query(t, `up{job="`+job+`"} == 1`) // a busy machine may miss the first second
		n := 0
		for line := range strings.Lines(scrape(t, mux, url)) {
			if line[0] != '#' {
				n++
			}
		}
		if got := p.query(t, `scrape_samples_scraped{job="`+job+`"} > 0`)[0].value(); got != fmt.Sprint(n) {
			t.Errorf("%s: prometheus took %s samples of %d", job, got, n)
		}
		if got := p.query(t, `scrape_samples_post_metric_relabeling{job="`+job+`"} > 0`)[0].value(); got != fmt.Sprint(n) {
			t.Errorf("%s: prometheus kept %s samples of %d", job, got, n)
		}
	}
	if !compressed.Load() {
		t.Error("prometheus was not answered with gzip")
	}
	got := p.query(t, `certscan_certificate_info{job="whole",fingerprint="`+cert.SHA256.String()+`"}`)[0].Metric
	if got["subject_cn"] != `"} 1\x0a\\x1b\xff{,=` || got["issuer_organization"] != strings.Repeat("ü", 200)+"…" {
		t.Errorf("hostile text arrived as %q", got)
	}
	join := p.query(t, `certscan_target_expiry_timestamp_seconds{job="whole"} * on (target) group_left (label_owner) certscan_target_info{job="whole",label_owner="web"}`)
	if len(join) != 1 || join[0].Metric["label_owner"] != "web" {
		t.Errorf("joined with the owner: %v", join)
	}
}

// TestPromtool lets the real linter see what is served.
func TestPromtool(t *testing.T) {
	t.Parallel()
	path := promtest.Find(t, "promtool")
	cmd := exec.CommandContext(t.Context(), path, "check", "metrics")
	cmd.Stdin = strings.NewReader(metrics(t, everything(t, &clock{now()})))
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
