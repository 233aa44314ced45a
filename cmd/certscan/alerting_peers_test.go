package main

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"example.com/certscan/alerts"
	"example.com/certscan/internal/promtest"
)

// startPrometheus scrapes certscan every second, over TLS and with a password,
// and evaluates the rules as often. It returns its address.
func startPrometheus(t *testing.T, scraped, alertmanager, configs string) string {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"certscan.rules.yml": scaledRules(t),
		"prometheus.yml": `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [certscan.rules.yml]
scrape_configs:
- job_name: certscan
  scheme: https
  tls_config: {ca_file: ` + filepath.Join(configs, "roots.pem") + `}
  basic_auth: {username: prometheus, password: ` + scrapePassword + `}
  static_configs: [{targets: ['` + scraped + `']}]
alerting:
  alertmanagers:
  - static_configs: [{targets: ['` + alertmanager + `']}]
`,
	})
	return promtest.Prometheus(t, dir)
}

// startAlertmanager groups by owner, waits for moments, keeps what is only
// information from the receiver at url, and inhibits as the example does. It
// returns its address.
func startAlertmanager(t *testing.T, url string) string {
	t.Helper()
	dir := t.TempDir()
	example, err := alerts.Files.ReadFile("alertmanager.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	inhibit := regexp.MustCompile(`(?s)\ninhibit_rules:\n.*?\n\n`).Find(example)
	if inhibit == nil {
		t.Fatal("the example has no inhibit_rules")
	}
	writeFiles(t, dir, map[string]string{"alertmanager.yml": string(inhibit) + `
route:
  receiver: team
  group_by: [alertname, owner, environment]
  group_wait: 2s
  group_interval: 1s
  repeat_interval: 24h
  routes:
  - matchers: [severity="info"]
    receiver: nobody
receivers:
- name: nobody
- name: team
  webhook_configs: [{url: '` + url + `', send_resolved: true}]
`})
	return promtest.Alertmanager(t, dir)
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !is(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after a minute it was not so that %s", what)
		}
	}
}

// ask reads JSON, or leaves answer as it is while there is none.
func ask(ctx context.Context, t *testing.T, url string, answer any) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer res.Body.Close()
	_ = json.NewDecoder(res.Body).Decode(answer)
}
