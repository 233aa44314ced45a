package export_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/export"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/lab"
	"example.com/certscan/internal/location"
	"example.com/certscan/internal/probe"
	"example.com/certscan/internal/promtest"
	"example.com/certscan/internal/resolve"
	"example.com/certscan/internal/verify"
)

// compatRules are what people alert on who have the other exporters: those of
// awesome-prometheus-alerts, of the forks of ssl_exporter and of the usual
// tutorials, word for word in what they ask.
const compatRules = `
groups:
- name: ssl_exporter
  rules:
  - {alert: SslCertificateProbeFailed, expr: ssl_probe_success == 0}
  - {alert: SslCertificateOscpStatusUnknown, expr: ssl_ocsp_response_status == 2}
  - {alert: SslCertificateRevoked, expr: ssl_ocsp_response_status == 1}
  - {alert: 'SslCertificateExpiry(<7Days)', expr: 'ssl_verified_cert_not_after{chain_no="0"} - time() < 86400 * 7'}
  - {alert: SSLCertExpired, expr: ssl_cert_not_after < time()}
  - {alert: SSLConnectFailed, expr: ssl_tls_connect_success == 0}
  - {alert: SSLDeprecatedTLSVersion, expr: 'ssl_tls_version_info{version=~"TLS 1.0|TLS 1.1"} == 1'}
- name: blackbox_exporter
  rules:
  - {alert: BlackboxProbeFailed, expr: probe_success == 0}
  - {alert: BlackboxSlowProbe, expr: 'avg_over_time(probe_duration_seconds[1m]) > 5'}
  - {alert: BlackboxSslCertificateWillExpireSoon, expr: '3 <= round((last_over_time(probe_ssl_earliest_cert_expiry[10m]) - time()) / 86400, 0.1) < 20'}
  - {alert: BlackboxSslCertificateExpiresNow, expr: '0 <= round((last_over_time(probe_ssl_earliest_cert_expiry[10m]) - time()) / 86400, 0.1) < 3'}
  - {alert: BlackboxSslCertificateExpired, expr: 'round((last_over_time(probe_ssl_earliest_cert_expiry[10m]) - time()) / 86400, 0.1) < 0'}
  - {alert: MixinCertificateExpiry, expr: 'probe_ssl_earliest_cert_expiry{job="blackbox"} - time() < 21 * 24 * 3600'}
  - {alert: ChainExpiry, expr: 'probe_ssl_last_chain_expiry_timestamp_seconds - time() < 21 * 24 * 3600'}
`

// The endpoints, and what has to be told of each.
func compatEndpoints() map[string]map[string][]string {
	failed := []string{"SSLConnectFailed", "SslCertificateProbeFailed"}
	expiry := "SslCertificateExpiry(<7Days)"
	return map[string]map[string][]string{
		"ssl": {
			"good": nil, "good-rsa": nil, "staple-good": nil,
			"expired":            {"SSLCertExpired", "SSLConnectFailed", expiry, "SslCertificateProbeFailed"},
			"expiring-3d":        {expiry},
			"expiring-14d":       nil,
			"wrong-name":         failed,
			"self-signed":        failed,
			"untrusted-root":     failed,
			"unknown-issuer":     failed,
			"closed":             failed,
			"plain-http":         failed,
			"one-address-dead":   failed,
			"expired-cross-sign": {"SSLCertExpired"}, // it is sent; nobody needs it
			"staple-revoked":     {"SSLConnectFailed", "SslCertificateProbeFailed", "SslCertificateRevoked"},
			"staple-wrong-key":   nil, // proves nothing
		},
		"blackbox": {
			"good": nil, "good-rsa": nil, "expired-cross-sign": nil,
			"expired":                    {"BlackboxProbeFailed", "BlackboxSslCertificateExpired", "ChainExpiry", "MixinCertificateExpiry"},
			"expiring-3d":                {"BlackboxSslCertificateExpiresNow", "ChainExpiry", "MixinCertificateExpiry"},
			"expiring-14d":               {"BlackboxSslCertificateWillExpireSoon", "ChainExpiry", "MixinCertificateExpiry"},
			"intermediate-expires-first": {"ChainExpiry", "MixinCertificateExpiry"},
			"wrong-name":                 {"BlackboxProbeFailed"},
			"self-signed":                {"BlackboxProbeFailed"},
			"untrusted-root":             {"BlackboxProbeFailed"},
			"closed":                     {"BlackboxProbeFailed"},
		},
	}
}

// real examines with what the product examines with.
func real(t *testing.T, l *lab.Lab) examine {
	t.Helper()
	resolver, err := resolve.New(resolve.Options{Servers: []string{l.Resolver()}})
	if err != nil {
		t.Fatal(err)
	}
	place, err := location.NewLocal(location.Options{Resolver: resolver, Prober: probe.New(probe.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	judge, err := verify.New(verify.Options{Stores: []inventory.TrustStore{l.Public()}, Revocation: inventory.RevocationSoft})
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, target inventory.Target, timeout time.Duration, _ func(netip.Addr) error) (inventory.Result, error) {
		r := inventory.Result{Target: target}
		for o := range place.Examine(ctx, inventory.Work{Target: target, Mode: inventory.ModeFull, Timeout: timeout}) {
			j, _ := judge.Judge(inventory.Facts{Target: target, Observation: o}, nil, time.Now())
			r.Endpoints = append(r.Endpoints, inventory.Endpoint{Observation: o, Judgement: j})
		}
		r.Judgement = judge.JudgeTarget(target, r.Endpoints, time.Now())
		return r, nil
	}
}

// TestOthersRulesAndDashboards has the real Prometheus probe good and bad
// endpoints in the names of other exporters, under the rules and with the
// queries that people have for those.
func TestOthersRulesAndDashboards(t *testing.T) {
	t.Parallel()
	promtest.Find(t, "prometheus")
	names := make(map[string]bool)
	for _, endpoints := range compatEndpoints() {
		for name := range endpoints {
			names[name] = true
		}
	}
	l, err := lab.Start(t.Context(), lab.Options{Scenarios: slices.Collect(maps.Keys(names))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	targets := make(map[string]string) // by scenario
	for _, s := range l.Scenarios() {
		targets[s.Name] = s.Targets[0]
	}
	opt := export.ProbeOptions{Examine: real(t, l), Known: func(string) bool { return true }, PerSecond: 1000, InFlight: 100, Now: time.Now}
	mux := http.NewServeMux()
	mux.Handle("/probe", newProbe(t, opt))
	exporter := httptest.NewServer(mux)
	t.Cleanup(exporter.Close)

	var config strings.Builder
	// A scrape is a whole examination, and a machine may be busy: as much time as
	// the test can wait.
	config.WriteString("global: {scrape_interval: 4s, scrape_timeout: 4s, evaluation_interval: 1s}\nrule_files: [rules.yml]\nscrape_configs:\n")
	count := 0
	for job, module := range map[string]string{"ssl": "tcp", "blackbox": "http_2xx"} {
		fmt.Fprintf(&config, "- job_name: %s\n  metrics_path: /probe\n  params: {module: [%s]}\n  static_configs:\n", job, module)
		for name := range compatEndpoints()[job] {
			if targets[name] == "" {
				t.Fatalf("the lab has no scenario %s", name)
			}
			fmt.Fprintf(&config, "  - {targets: ['%s'], labels: {scenario: '%s'}}\n", targets[name], name)
			count++
		}
		fmt.Fprintf(&config, "  relabel_configs:\n  - {source_labels: [__address__], target_label: __param_target}\n"+
			"  - {source_labels: [__param_target], target_label: instance}\n  - {target_label: __address__, replacement: '%s'}\n", strings.TrimPrefix(exporter.URL, "http://"))
	}
	p := start(t, config.String(), compatRules)
	// Every endpoint was scraped, and the rules were evaluated since.
	p.query(t, fmt.Sprintf("count(up == 1) == %d", count))
	p.query(t, fmt.Sprintf("count(min_over_time(timestamp(up)[1h:1s]) < time() - 5) == %d", count))

	for job, endpoints := range compatEndpoints() {
		got := make(map[string][]string)
		for _, s := range p.ask(t, `ALERTS{job="`+job+`",alertstate="firing"}`) {
			name, alert := s.Metric["scenario"], s.Metric["alertname"]
			if !slices.Contains(got[name], alert) {
				got[name] = append(got[name], alert)
			}
		}
		for name, want := range endpoints {
			slices.Sort(got[name])
			if diff := cmp.Diff(want, got[name]); diff != "" {
				t.Errorf("%s, alerts of %s (-want +got):\n%s", job, name, diff)
			}
		}
	}
	for _, q := range []string{
		// The dashboard of ssl_exporter.
		`count(max(ssl_cert_not_after{instance=~".*",job=~"ssl"}) by (issuer_cn,serial_no))`,
		`count(max(ssl_cert_not_after{instance=~".*",job=~"ssl"}) by (instance))`,
		`(up{job=~"ssl", instance=~".*"} == 0 or ssl_probe_success{job=~"ssl", instance=~".*"} == 0)^0`,
		`ssl_probe_success{instance=~".*",job=~"ssl"} == 0`,
		`((ssl_cert_not_after{instance=~".*",job=~"ssl"} - time())/24/60/60)`,
		// What its README proposes.
		`ssl_cert_not_after - time() < 86400 * 7 * 1000`, `ssl_prober`, `ssl_tls_version_info`, `ssl_ocsp_response_stapled == 1`,
		`ssl_cert_not_after{dnsnames=~".*,good[.]lab[.]example[.]com,.*"}`,
		`ssl_verified_cert_not_after * on (instance) group_left (version) ssl_tls_version_info`,
		// Dashboards of blackbox_exporter.
		`min(probe_ssl_earliest_cert_expiry{job="blackbox"} - time()) by (instance) / 86400`,
		`avg(probe_duration_seconds) by (instance)`, `avg(probe_dns_lookup_time_seconds) by (instance)`, `probe_success == 1`, `probe_http_ssl == 1`,
		`sum(probe_http_duration_seconds) by (instance, phase)`, `probe_tls_version_info{version="TLS 1.3"}`, `probe_ip_protocol == 4`,
		`probe_ssl_last_chain_info * on (instance) group_left () probe_success`,
	} {
		if len(p.ask(t, q)) == 0 {
			t.Errorf("nothing for %s", q)
		}
	}
	for name, want := range map[string]int{"expired": 1, "wrong-name": 1, "self-signed": 1, "closed": 0} {
		if got := len(p.ask(t, `probe_ssl_earliest_cert_expiry{scenario="`+name+`"}`)); got != want {
			t.Errorf("%s: %d dates, want %d", name, got, want)
		}
		if got := len(p.ask(t, `ssl_cert_not_after{scenario="`+name+`"}`)); (got > 0) != (want > 0) {
			t.Errorf("%s: %d dates of ssl_exporter", name, got)
		}
	}
}

// The rules above are as promtool wants them.
func TestCompatRulesAreValid(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(path, []byte(compatRules), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtest.Find(t, "promtool"), "check", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}
