package alerts

import (
	"fmt"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// issuers tells of CA certificates that end while endpoints depend on them.
func issuers() group {
	const (
		expiry    = "certscan:issuer_expiry_timestamp_seconds:min"
		lifetime  = "certscan:issuer_lifetime_seconds:min"
		targets   = "certscan:issuer_targets:max"
		left      = "certscan:issuer_time_left_seconds:min"
		nominal   = "certscan:issuer_nominal_time_left_seconds:min"
		year      = 365 * day
		firstWord = 90 * day
		lastWord  = 30 * day
	)
	g := group{
		name: "certscan-issuers",
		comment: "CA certificates above what is served. Proportional below a lifetime of a year: an issuer\n" +
			"of a company may live for days.",
		rules: []rule{
			{record: expiry, expr: held(expiry, "min by (fingerprint, subject_cn) (last_over_time(certscan_issuer_expiry_timestamp_seconds[1h]))")},
			{record: lifetime, expr: held(lifetime, "min by (fingerprint) (last_over_time(certscan_issuer_lifetime_seconds[1h]))")},
			{record: targets, expr: held(targets, "max by (fingerprint) (last_over_time(certscan_issuer_targets[1h]))")},
			{record: left, expr: expiry + " - time()"},
			{
				record: nominal,
				expr: fmt.Sprintf("%s\n/ on (fingerprint) group_left ()\nclamp_max(%s / %d, 1)\nor\n%[1]s",
					left, lifetime, seconds(year)),
			},
		},
	}
	used := "\nand on (fingerprint) " + targets + " > 0"
	for _, band := range []struct {
		condition string
		severity  inventory.Severity
	}{
		{fmt.Sprintf("(%s <= %d > %d)", nominal, seconds(firstWord), seconds(lastWord)), inventory.Warning},
		{fmt.Sprintf("(%s <= %d)", nominal, seconds(lastWord)), inventory.Critical},
	} {
		g.rules = append(g.rules, rule{
			alert:    "IssuerExpiring",
			expr:     left + "\nand on (fingerprint) " + band.condition + used,
			severity: band.severity,
			summary:  "CA certificate {{ $labels.subject_cn }} expires in {{ $value | humanizeDuration }}",
			description: `{{ range printf "` + targets + `{fingerprint=%q}" $labels.fingerprint | query }}{{ .Value }} targets depend on it; all fail on that day, whatever their own certificates say. {{ end }}` +
				"Have them served with a newer one. Which: certscan where {{ $labels.fingerprint }}",
		})
	}
	return g
}

// endpoints tells what no single endpoint can: many fail at once.
func endpoints() group {
	return group{
		name: "certscan-endpoints",
		comment: "Against the same reason's own average of the day before: twice that, and five endpoints or\n" +
			"one in a hundred more.",
		rules: []rule{{
			alert: "EndpointFailuresRising",
			expr: `max by (location, reason) (certscan_failing_endpoints)
>
    2 * max by (location, reason) (avg_over_time(certscan_failing_endpoints[1d] offset 1h))
  +
    scalar(clamp_min(max(sum by (job, instance) (certscan_endpoints)) / 100 or vector(5), 5))`,
			hold:        "15m",
			linger:      "15m",
			severity:    inventory.Warning,
			summary:     "{{ $value }} endpoints fail with {{ $labels.reason }}, seen from {{ $labels.location }}",
			description: "That is more than twice as many as on the day before. One cause is likelier than many: a network, a firewall, a resolver, a load balancer, or the scanner itself. Which: certscan inventory --finding unreachable",
		}},
	}
}

// scanner tells when certscan itself cannot be relied on.
func scanner(opt Options) group {
	g := group{
		name:    "certscan-scanner",
		comment: "certscan itself: while one of these fires, the silence of the others means less.",
		rules: []rule{
			{
				alert: "CertscanDown", expr: "absent(certscan_build_info)", hold: "15m", severity: inventory.Critical,
				summary:     "certscan is down: nobody watches the certificates",
				description: "No certscan has been scraped for 15 minutes. Alerts about certificates go on with what was known last; what has changed since is not seen.",
			},
			{
				// While no certscan is there at all, CertscanDown says so, and this would
				// only be told late, when it is over.
				alert: "CertscanScrapeFailing", expr: fmt.Sprintf("up{job=~%q} == 0\nunless on () absent(certscan_build_info)", opt.Job), hold: "15m", severity: inventory.Warning,
				summary:     "{{ $labels.instance }}: Prometheus cannot scrape certscan",
				description: "Job {{ $labels.job }}, instance {{ $labels.instance }}. It is down, still loading, too slow for the scrape timeout, or refuses the credentials.",
			},
			{
				alert: "CertscanScanBehind", expr: "max by (location) (certscan_scan_lag_seconds) > 3600", hold: "15m", linger: "15m", severity: inventory.Warning,
				summary:     "{{ $labels.location }}: scanning is {{ $value | humanizeDuration }} behind its schedule",
				description: "What is due is not examined in time, so changes are seen late. Too many endpoints for the limits, many that time out, or a full disk.",
			},
		},
	}
	if opt.Detail == DetailAll {
		g.rules = append(g.rules, rule{
			alert: "CertscanNotScanning",
			expr: fmt.Sprintf("time() - max by (location) (last_over_time(certscan_endpoint_last_probe_timestamp_seconds[1h])) > %d",
				seconds(opt.StaleAfter)),
			hold: "15m", severity: inventory.Critical,
			summary:     "{{ $labels.location }}: nothing has been examined for {{ $value | humanizeDuration }}",
			description: fmt.Sprintf("certscan answers Prometheus, and its newest probe from {{ $labels.location }} is older than %s. Expiry still counts down; everything else is old news.", short(opt.StaleAfter)),
		}, rule{
			alert: "CertscanViewsStale",
			expr:  "count(max by (target) (last_over_time(certscan_target_stale_views[1h])) > 0)",
			hold:  "6h", severity: inventory.Warning,
			summary:     "{{ $value }} targets were not examined in time from everywhere",
			description: "Their stale views count for nothing where addresses and locations are compared, so a forgotten node among them goes unseen. A location is offline, or addresses are left alone because they refuse.",
		})
	}
	g.rules = slices.Concat(g.rules, sources(), faults())
	return g
}

// sources tells that the list of what is watched cannot be relied on.
func sources() []rule {
	return []rule{
		{
			alert: "CertscanSourceFailing", expr: "max by (source) (last_over_time(certscan_source_up[1h])) == 0", hold: "1h", severity: inventory.Warning,
			summary:     "{{ $labels.source }}: the source of targets fails",
			description: "The targets that it named last are still watched; new ones are not found.",
		},
		{
			alert: "CertscanSourceShrunk",
			expr: `max by (source) (label_replace(
  max by (subject) (last_over_time(certscan_own_finding{code="source_shrunk"}[1h])) == 1,
  "source", "$1", "subject", "(.*)"
))
or
  (
      max by (source) (certscan_source_targets) < 0.5 * max by (source) (max_over_time(certscan_source_targets[1d] offset 5m))
    and
      max by (source) (max_over_time(certscan_source_targets[1d] offset 5m)) - max by (source) (certscan_source_targets) >= 5
  )`,
			hold: "15m", linger: "15m", severity: inventory.Warning,
			summary:     "{{ $labels.source }}: the source names far fewer targets than before",
			description: "Either they are gone, or the source lost them. What is not named is not watched for long.",
		},
		{
			alert: "CertscanTrustStoreStale", expr: ownFinding(`code="trust_store_stale"`), hold: "1h",
			summary:     "{{ $labels.subject }}: the trust store is old",
			description: "Verdicts on trust are those of an old day: roots that were removed since still count. Update certscan, or the file or system package.",
		},
	}
}

// faults tells what certscan says of itself.
func faults() []rule {
	return []rule{
		{
			alert: "CertscanOwnFault", expr: ownFinding(`code!~"source_failed|source_shrunk|trust_store_stale"`), hold: "5m", linger: "15m",
			summary:     "certscan: {{ $labels.code }}{{ with $labels.subject }}, {{ . }}{{ end }}",
			description: "The fault is on the scanner's own side: its network, its resolver, one of its locations, or a log that it relies on. What it says of endpoints may be wrong or late until that is mended.",
		},
		{
			alert: "CertscanConfigReloadFailed", expr: "min by (job, instance) (certscan_config_last_reload_successful) == 0", hold: "5m", severity: inventory.Warning,
			summary:     "{{ $labels.instance }}: the last change of the configuration was refused",
			description: "certscan runs on with the one before. What is wrong: certscan config check",
		},
		{
			alert: "CertscanSeriesDropped", expr: "max by (job, instance) (certscan_metrics_series_dropped) > 0", hold: "15m", severity: inventory.Warning,
			summary:     "{{ $labels.instance }}: {{ $value }} series do not fit under the cap",
			description: "Targets that expire last have no series, so their other findings raise no alert. Raise the cap, shard the scrape, or show less detail.",
		},
	}
}

// ownFinding is the findings about the scanner's own side that are open.
func ownFinding(selector string) string {
	return "max by (code, subject, severity) (last_over_time(certscan_own_finding{" + selector + "}[1h])) == 1"
}

// fleet is for exporters that show totals only: it tells that there is
// something, and the command line tells what.
func fleet(opt Options) group {
	total := func(selector string) string {
		return "sum by (tier) (max by (issuer, tier) (last_over_time(certscan_certificates{" + selector + "}[1h]))) > 0"
	}
	g := group{
		name: "certscan-fleet",
		comment: "Totals, for metrics.detail: none. They say how many and not which, and they stop with\n" +
			"certscan: the tiers are as it counted them last.",
	}
	for i, t := range opt.Tiers {
		tier := inventory.TierOf(t)
		g.rules = append(g.rules, rule{
			alert: "FleetCertificatesExpiring", expr: total(fmt.Sprintf("tier=%q", tier)), severity: severity(i, len(opt.Tiers)), tier: tier,
			summary:     fmt.Sprintf("{{ $value }} certificates are inside the %s tier", tier),
			description: fmt.Sprintf("Which, and whose they are: certscan inventory --tier %s", tier),
		})
	}
	g.rules = append(g.rules, rule{
		alert: "FleetCertificatesExpired", expr: total(`tier="expired"`), severity: inventory.Critical,
		summary:     "{{ $value }} certificates that are served have expired",
		description: "Which, and whose they are: certscan inventory --tier expired",
	}, rule{
		alert: "FleetFindings",
		expr:  `max by (code, severity) (last_over_time(certscan_findings{severity=~"critical|warning",code!~"expired|expiring|chain_expiring"}[1h])) > 0`,
		hold:  "15m", linger: "15m",
		summary:     "{{ $value }} findings: {{ $labels.code }}",
		description: "Which targets, and whose they are: certscan inventory --finding {{ $labels.code }}",
	})
	return g
}

// short prints d without zeros at its end: 2h30m, not 2h30m0s.
func short(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d%time.Minute == 0 && d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d%time.Minute == 0:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return d.String()
}
