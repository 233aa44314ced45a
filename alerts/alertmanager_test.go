package alerts_test

import (
	"strings"
	"testing"

	"example.com/certscan/internal/promtest"
)

// configured puts the example and its template into a folder, as a user would.
func configured(t *testing.T) string {
	t.Helper()
	return write(t, map[string]string{
		"alertmanager.yml": read(t, "alertmanager.example.yml"),
		"certscan.tmpl":    read(t, "certscan.tmpl"),
	})
}

func TestAlertmanagerExampleIsValid(t *testing.T) {
	t.Parallel()
	amtool := promtest.Find(t, "amtool")
	out := tool(t, configured(t), amtool, "check-config", "alertmanager.yml")
	for _, want := range []string{" - 1 templates", "SUCCESS"} {
		if !strings.Contains(out, want) {
			t.Errorf("amtool check-config does not say %q:\n%s", want, out)
		}
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	amtool := promtest.Find(t, "amtool")
	dir := configured(t)
	for _, tt := range []struct {
		name   string
		labels string
		want   string // receivers, in order
	}{
		{"a critical alert pages its owner", "alertname=CertificateExpired severity=critical owner=web environment=prod", "web-page,web"},
		{"a critical alert without an environment does, too", "alertname=CertificateRevoked severity=critical owner=web", "web-page,web"},
		{"a test system pages nobody", "alertname=CertificateExpired severity=critical owner=web environment=test", "web"},
		{"a warning goes to its owner's channel", "alertname=CertificateExpiring severity=warning owner=web tier=14d", "web"},
		{"information waits for the digest", "alertname=CertificateExpiring severity=info owner=web tier=60d", "digest"},
		{"information without an owner does, too", "alertname=CertificateExpiring severity=info", "digest"},
		{"a late renewal also goes to the pipeline", "alertname=CertificateRenewalOverdue severity=warning owner=web", "pipeline,web"},
		{"so does what is not deployed, and it pages", "alertname=CertificateNotDeployed severity=critical owner=web environment=prod", "pipeline,web-page,web"},
		{"a late renewal of an owner without a route reaches a person, too", "alertname=CertificateRenewalOverdue severity=warning owner=pay", "pipeline,platform"},
		{"a late renewal of nobody's does, too", "alertname=CertificateRenewalOverdue severity=warning", "pipeline,platform"},
		{"so does what is not deployed on somebody's test system", "alertname=CertificateNotDeployed severity=critical owner=pay environment=test", "pipeline,platform"},
		{"what is not deployed and nobody's pages the platform", "alertname=CertificateNotDeployed severity=critical", "pipeline,platform-page,platform"},
		{"an owner without a route is the platform's", "alertname=CertificateExpired severity=critical owner=pay environment=prod", "platform-page,platform"},
		{"a warning of nobody's is the platform's", "alertname=CertificateExpiring severity=warning tier=14d", "platform"},
		{"a dead certscan pages those who run it", "alertname=CertscanDown severity=critical", "platform-page,platform"},
		{"the fault that stands for a thousand endpoints pages", "alertname=CertscanOwnFault severity=warning code=location_anomalous", "platform-page,platform"},
		{"certscan's own warnings go to those who run it", "alertname=CertscanSourceFailing severity=warning", "platform"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"config", "routes", "test", "--config.file=alertmanager.yml", "--verify.receivers=" + tt.want}, strings.Fields(tt.labels)...)
			tool(t, dir, amtool, args...)
		})
	}
}
