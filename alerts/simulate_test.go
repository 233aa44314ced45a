package alerts_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/certscan/alerts"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/promtest"
)

// told says which alert each finding raises.
func told() map[string][]inventory.Code {
	return map[string][]inventory.Code{
		"CertificateNotDeployed":         {"not_deployed"},
		"CertificatePartiallyDeployed":   {"partially_deployed"},
		"CertificateRolledBack":          {"rolled_back", "renewal_flapping"},
		"CertificateRenewalBroke":        {"chain_broken", "name_lost"},
		"CertificatesDisagree":           {"addresses_disagree", "locations_disagree"},
		"CertificateUnexpected":          {"unexpected_issuer", "key_reused", "default_certificate_differs"},
		"CertificateNotYetValid":         {"not_yet_valid"},
		"CertificateNameMismatch":        {"name_mismatch", "no_san", "malformed_san", "wildcard_public_suffix", "cn_not_in_san"},
		"CertificateUntrusted":           {"self_signed", "untrusted_root", "unknown_issuer", "expired_in_chain", "anchor_expired", "distrusted_root", "weak_signature", "name_constraint", "bad_eku", "not_a_ca", "path_length", "unhandled_critical_extension"},
		"CertificateChainIncomplete":     {"incomplete_chain", "wrong_order", "extra_certificates"},
		"CertificateMalformed":           {"malformed_certificate"},
		"CertificateTransparencyMissing": {"sct_missing", "sct_insufficient", "sct_invalid", "precertificate_served"},
		"CertificateProfile":             {"profile", "bad_serial", "validity_too_long"},
		"CertificatePolicyViolation":     {"policy"},
		"CertificateRevoked":             {"revoked", "intermediate_revoked"},
		"CertificateStapleBad":           {"staple_invalid", "staple_stale", "must_staple_missing"},
		"CertificateRevocationUnknown":   {"revocation_unknown", "crl_invalid"},
		"CertificateKeyCompromised":      {"compromised_key"},
		"CertificateKeyWeak":             {"weak_key", "forbidden_key", "ca_leaf"},
		"EndpointInsecure":               {"deprecated_tls", "weak_cipher", "starttls_injection"},
		"EndpointUnreachable":            {"unreachable", "dns_failure", "handshake_failed", "not_tls", "starttls_missing", "starttls_refused"},
		"CertificateDNSFault":            {"caa_forbids_issuer", "caa_lookup_failed", "tlsa_mismatch", "challenge_unreachable", "stale_challenge_record"},
		"CertificateRenewalOverdue":      {"renewal_overdue"},
	}
}

// TestFindings lets every finding be open at one target, and closed at another.
// Each raises its alert for the first, with the severity that the finding has,
// and none for the other.
func TestFindings(t *testing.T) {
	t.Parallel()
	promtool := promtest.Find(t, "promtool")
	var series, want strings.Builder
	for alert, codes := range told() {
		for i, code := range codes {
			severity := []inventory.Severity{inventory.Critical, inventory.Warning, inventory.Info}[i%3]
			for target, open := range map[string]string{"bad": "1", "good": "0"} {
				fmt.Fprintf(&series, "  - {series: 'certscan_target_finding{target=\"%s-%s\",code=%q,rule=\"\",severity=%q}', values: '%sx20'}\n", target, code, code, severity, open)
				fmt.Fprintf(&series, "  - {series: 'certscan_target_expiry_timestamp_seconds{target=\"%s-%s\"}', values: '31536000x20'}\n", target, code)
				fmt.Fprintf(&series, "  - {series: 'certscan_target_info{target=\"%s-%s\",label_owner=\"web\"}', values: '1x20'}\n", target, code)
			}
			if alert == "CertificateRenewalOverdue" {
				severity = inventory.Warning
			}
			fmt.Fprintf(&want, "    - {labels: '{alertname=%q,target=\"bad-%s\",severity=%q,owner=\"web\"}', value: 1}\n", alert, code, severity)
		}
	}
	// Three rules of a profile are one alert, whose value is their number.
	for _, rule := range []string{"a", "b", "c"} {
		fmt.Fprintf(&series, "  - {series: 'certscan_target_finding{target=\"three\",code=\"profile\",rule=%q,severity=\"warning\"}', values: '1x20'}\n", rule)
	}
	want.WriteString("    - {labels: '{alertname=\"CertificateProfile\",target=\"three\",severity=\"warning\"}', value: 1}\n")
	dir := write(t, map[string]string{
		"rules.yml": read(t, "certscan.rules.yml"),
		"test.yml": `
rule_files: [rules.yml]
evaluation_interval: 1h
group_eval_order: [certscan-targets, certscan-expiry, certscan-renewal, certscan-deployment, certscan-validity, certscan-revocation, certscan-keys, certscan-reach]
tests:
- interval: 1h
  input_series:
  - {series: 'certscan_build_info', values: '1x20'}
` + series.String() + `  promql_expr_test:
  - expr: 'max by (alertname, target, severity, owner) (ALERTS{alertstate="firing"})'
    eval_time: 10h
    exp_samples:
` + want.String(),
	})
	tool(t, dir, promtool, "test", "rules", "test.yml")
}

// only keeps those groups of a rule file that a long simulation needs.
func only(rules string, groups ...string) string {
	head, rest, _ := strings.Cut(rules, "groups:\n")
	text := head + "groups:\n"
	for part := range strings.SplitSeq(rest, "  - name: ") {
		name, _, _ := strings.Cut(part, "\n")
		if slices.Contains(groups, name) {
			text += "  - name: " + part
		}
	}
	return text
}

// renewals writes the expiry of a certificate over a year in steps: it is
// renewed with a share of its lifetime left, give or take the jitter, in shares
// of the lifetime.
func renewals(target string, lifetime time.Duration, share, jitter float64, step time.Duration, steps int, r *rand.Rand) string {
	var values strings.Builder
	left := func() time.Duration { // until the renewal
		return time.Duration(float64(lifetime) * (1 - share + jitter*(2*r.Float64()-1)))
	}
	from := -time.Duration(r.Float64() * float64(lifetime) / 2)
	next := from + left()
	run, last := 0, time.Duration(0)
	flush := func() {
		if run > 0 {
			fmt.Fprintf(&values, "%dx%d ", int64(last/time.Second), run-1)
		}
	}
	for i := range steps {
		now := time.Duration(i) * step
		if now >= next {
			from = now
			next = from + left()
		}
		if end := from + lifetime; end != last {
			flush()
			run, last = 0, end
		}
		run++
	}
	flush()
	return fmt.Sprintf("  - {series: 'certscan_target_expiry_timestamp_seconds{target=%q}', values: '%s'}\n"+
		"  - {series: 'certscan_target_lifetime_seconds{target=%q}', values: '%dx%d'}\n",
		target, strings.TrimSpace(values.String()), target, int64(lifetime/time.Second), steps-1)
}

// TestAHealthyYear renews certificates of 90, 47 and 6 days as pipelines do, for
// a year, and nobody is told anything that needs a person. One pipeline that
// stops shows that somebody would be.
func TestAHealthyYear(t *testing.T) {
	t.Parallel()
	promtool := promtest.Find(t, "promtool")
	const (
		step  = 6 * time.Hour
		steps = int(365 * day / step)
	)
	r := rand.New(rand.NewPCG(4, 2026))
	var series strings.Builder
	for _, days := range []int{90, 47, 6} {
		lifetime := time.Duration(days) * day
		series.WriteString(renewals(fmt.Sprintf("%dd", days), lifetime, 1./3, 0.04, step, steps, r))
		series.WriteString(renewals(fmt.Sprintf("%dd-spread", days), lifetime, 1./3, 0.08, step, steps, r))
		series.WriteString(renewals(fmt.Sprintf("%dd-half", days), lifetime, 1./2, 0.05, step, steps, r))
		fmt.Fprintf(&series, "  - {series: 'certscan_target_expiry_timestamp_seconds{target=\"%dd-stopped\"}', values: '%dx%d'}\n"+
			"  - {series: 'certscan_target_lifetime_seconds{target=\"%[1]dd-stopped\"}', values: '%[2]dx%[3]d'}\n", days, int64(lifetime/time.Second), int(lifetime*3/2/step))
	}
	dir := write(t, map[string]string{
		"rules.yml": only(print(t, alerts.Options{}), "certscan-targets", "certscan-expiry", "certscan-renewal") + `
  - name: test
    rules:
    - record: test:tiers_at_once
      expr: max(count by (target) (ALERTS{alertname=~"CertificateExpiring|CertificateExpired",alertstate="firing"}))
`,
		"test.yml": `
rule_files: [rules.yml]
evaluation_interval: 6h
group_eval_order: [certscan-targets, certscan-expiry, certscan-renewal, test]
tests:
- interval: 6h
  input_series:
` + series.String() + `  promql_expr_test:
  - expr: 'count by (alertname, severity) (count by (alertname, severity, tier) (count_over_time(ALERTS{alertstate="firing",target!~".*-stopped"}[366d])))'
    eval_time: 364d
    exp_samples: [{labels: '{alertname="CertificateExpiring",severity="info"}', value: 2}]
  - expr: 'count by (alertname) (count by (alertname, target) (count_over_time(ALERTS{alertstate="firing",target=~".*-stopped",severity!="info"}[366d])))'
    eval_time: 364d
    exp_samples:
    - {labels: '{alertname="CertificateExpiring"}', value: 3}
    - {labels: '{alertname="CertificateExpired"}', value: 3}
    - {labels: '{alertname="CertificateRenewalOverdue"}', value: 3}
  - expr: 'max_over_time(test:tiers_at_once[366d])'
    eval_time: 364d
    exp_samples: [{labels: '{}', value: 1}]
`,
	})
	tool(t, dir, promtool, "test", "rules", "test.yml")
}
