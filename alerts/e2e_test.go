package alerts_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/certscan/alerts"
	"example.com/certscan/internal/promtest"
)

// An exporter serves what certscan would.
type exporter struct {
	mu      sync.Mutex
	expiry  time.Time
	away    bool // answers 503, as while it loads its history
	scrapes int  // since it is as it is
}

func (e *exporter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scrapes++
	if e.away {
		http.Error(w, "loading", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(w, `certscan_build_info{version="test"} 1
certscan_target_info{target="shop.example.com:443",host="shop.example.com",label_owner="web",label_environment="prod"} 1
certscan_target_expiry_timestamp_seconds{target="shop.example.com:443"} %d
certscan_target_lifetime_seconds{target="shop.example.com:443"} 7776000
`, e.expiry.Unix())
}

// become changes what is served and waits until it was scraped n times.
func (e *exporter) become(t *testing.T, expiry time.Time, away bool, n int) {
	t.Helper()
	e.mu.Lock()
	e.expiry, e.away, e.scrapes = expiry, away, 0
	e.mu.Unlock()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(60 * time.Second); ; {
		select {
		case <-tick.C:
			e.mu.Lock()
			enough := e.scrapes >= n
			e.mu.Unlock()
			if enough {
				return
			}
		case <-timeout:
			t.Fatal("prometheus does not scrape")
		}
	}
}

// startPrometheus scrapes a target every second, and evaluates the rules as they
// are printed by default.
func startPrometheus(t *testing.T, target, alertmanager string) {
	t.Helper()
	dir := write(t, map[string]string{
		"certscan.rules.yml": print(t, alerts.Options{}),
		"prometheus.yml": `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [certscan.rules.yml]
scrape_configs:
- job_name: certscan
  static_configs: [{targets: ['` + target + `']}]
alerting:
  alertmanagers:
  - static_configs: [{targets: ['` + alertmanager + `']}]
`,
	})
	promtest.Prometheus(t, dir)
}

// TestEndToEnd lets a certificate enter a tier, its exporter go away and come
// back, and the certificate be renewed, before the real Prometheus and
// Alertmanager: the owner is told once that it expires, and once that it is over.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	url, messages := receivers(t)
	late := time.Now().Add(13 * day)
	e := &exporter{expiry: late}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	startPrometheus(t, strings.TrimPrefix(server.URL, "http://"), startAlertmanager(t, url))

	title, text, _ := slackText(t, await(t, messages, "/slack"))
	if title != "WARNING CertificateExpiring (web): shop.example.com:443" || !strings.Contains(text, alerts.DefaultRunbookBase+"/CertificateExpiring.md") {
		t.Errorf("title %q, text %q, want that the certificate expires, and the runbook", title, text)
	}
	e.become(t, late, true, 5) // five failed scrapes, and as many evaluations
	e.become(t, late, false, 5)
	select {
	case m := <-messages:
		t.Errorf("the restart was told:\n%s", m.body)
	default:
	}
	e.become(t, time.Now().Add(90*day), false, 1)
	title, text, _ = slackText(t, await(t, messages, "/slack"))
	if !strings.HasPrefix(title, "RESOLVED CertificateExpiring (web)") || !strings.Contains(text, "is not in the 14d tier any more") {
		t.Errorf("title %q, text %q, want that it is over", title, text)
	}
}
