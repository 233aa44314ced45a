package dashboards

import (
	"fmt"
	"slices"
	"strings"
)

// fleet answers: how are we, what expires next, and whose is it?
func fleet(opt Options) dashboard {
	vars := append(scrapes(), opt.labelVariables()...)
	vars = append(vars, variable{name: "severity", label: "Severity", help: "Of findings", options: []string{"critical", "warning", "info"}, all: ".*"})
	return dashboard{
		name: "fleet", title: "certscan / Fleet", from: "now-7d", refresh: "5m", variables: vars,
		help: "The whole fleet: how many certificates are in which tier, what expires next and whose it is, and what else is wrong.",
		annotations: []annotation{{
			name: "Restarts of certscan", color: "blue", title: "certscan restarted", text: "{{instance}}",
			expr: "changes(" + ofProcess("process_start_time_seconds", "[$__rate_interval]") + ") > 0" + ofCertscan(),
		}},
		sections: []section{
			{title: "The whole fleet", lines: []line{
				{5, fleetNow(opt)}, // at 4 Grafana leaves the course out on narrow screens
				{9, fleetCourse(opt)},
				{10, fleetParts(opt)},
			}},
			{title: "What comes next", lines: []line{
				{9, append([]panel{opt.timeline()}, opt.byLabel()...)},
				{14, []panel{opt.next()}},
				{12, []panel{opt.open()}},
			}},
			{title: "What the fleet depends on", lines: []line{{9, []panel{authorities(opt), sources(opt)}}}},
		},
	}
}

// tierSum adds the certificates in tiers, over all issuers.
func tierSum(matcher string) string {
	return "sum(" + once("max", "issuer, tier", all("certscan_certificates", matcher)) + ")"
}

func fleetNow(opt Options) []panel {
	bad := func(from float64, color string) []step { return []step{{color: "green"}, {from, color}} }
	list := []panel{
		{
			kind: stat, title: "Targets", width: 4, unit: "short", spark: true, steps: []step{{color: "text"}},
			help:    "What is watched: names with a port. The choice of labels above does not apply to totals of the whole fleet.",
			queries: course("sum("+once("max", "tier", all("certscan_targets"))+")", "targets"),
		},
		{
			kind: stat, title: "Certificates", width: 4, unit: "short", spark: true, steps: []step{{color: "text"}},
			help:    "Different leaf certificates that are served.",
			queries: course("sum("+once("max", "issuer, tier", all("certscan_certificates"))+")", "certificates"),
		},
		{
			kind: stat, title: "Expired", width: 4, unit: "short", spark: true, steps: bad(1, "purple"),
			help:    "Certificates that are served although they, or an intermediate above them, have expired.",
			queries: course(tierSum(`tier="expired"`), "expired"), links: []link{opt.runbook("CertificateExpired")},
		},
		{
			kind: stat, title: "Failing endpoints", width: 4, unit: "short", spark: true, steps: bad(1, "orange"),
			help:    "Endpoints that did not answer with TLS at the last examination. Their certificates go on ageing.",
			queries: course("sum("+once("max", "state", all("certscan_endpoints", `state="failing"`))+")", "endpoints"), links: []link{opt.runbook("EndpointUnreachable")},
		},
		{
			kind: stat, title: "Scan lag", width: 4, unit: duration, spark: true, steps: []step{{color: "green"}, {900, "orange"}, {3600, "red"}},
			help:    "How far scanning is behind its schedule. While it is large, or empty, the rest of this page is old news.",
			queries: course("max("+all("certscan_scan_lag_seconds")+")", "lag"), empty: "no certscan", links: []link{opt.runbook("CertscanDown"), opt.runbook("CertscanScanBehind")},
		},
	}
	urgent := opt.tierNames()[1 : opt.urgent()+1]
	if len(urgent) == 0 {
		list[2].width += 4
		return list
	}
	return slices.Insert(list, 3, panel{
		kind: stat, title: "In a critical tier", width: 4, unit: "short", spark: true, steps: bad(1, "red"),
		help:    "Certificates in the tiers " + strings.Join(urgent, " and ") + ": somebody has to act today.",
		queries: course(tierSum(fmt.Sprintf("tier=~%q", strings.Join(urgent, "|"))), "certificates"), links: []link{opt.runbook("CertificateExpiring")},
	})
}

func fleetCourse(opt Options) []panel {
	var tiers []query // one each: they are stacked in this order, and not by the alphabet
	var colors []word
	for i, name := range opt.tierNames() {
		tiers = append(tiers, course(tierSum(fmt.Sprintf("tier=%q", name)), name)...)
		colors = append(colors, word{text: name, color: opt.tierColor(i)})
	}
	return []panel{
		{
			kind: timeseries, title: "Certificates in each tier", width: 12, unit: "short", stack: true, byName: colors,
			help:    "Each certificate counts in the smallest tier that it has entered. A band that grows is a renewal that does not come; short lifetimes have smaller tiers.",
			queries: tiers,
		},
		{
			kind: timeseries, title: "Endpoints by state", width: 12, unit: "short", stack: true,
			help:    "verified: all that it serves is good. flawed: some of it is not. failing: no answer with TLS. unknown: the scanner's own fault, or a name that does not resolve. stale: not examined for too long.",
			queries: course(once("max", "state", all("certscan_endpoints")), "{{state}}"),
			byName:  []word{{text: "verified", color: "green"}, {text: "flawed", color: "red"}, {text: "failing", color: "orange"}, {text: "unknown", color: "text"}, {text: "stale", color: "yellow"}},
		},
	}
}

func fleetParts(opt Options) []panel {
	return []panel{
		{
			kind: barGauge, title: "Findings", width: 9, unit: "short", empty: "none",
			help:    "Targets with an open finding of each kind, the twenty largest.",
			queries: one("topk(20, "+once("max", "code, severity", all("certscan_findings", `severity=~"$severity"`))+" > 0)", "{{code}} ({{severity}})"),
			links:   []link{{"Findings", opt.DocsBase + "/findings.md"}},
		},
		{
			kind: barGauge, title: "Certificates by CA", width: 9, unit: "short",
			help:    "Leaf certificates by their issuer. The smaller ones are together in \"other\".",
			queries: one("topk(20, sum by (issuer) ("+once("max", "issuer, tier", all("certscan_certificates"))+") > 0)", "{{issuer}}"),
		},
		{
			kind: pieChart, title: "Certificates by key", width: 6, unit: "short",
			help:    "Leaf certificates by algorithm and size of their key.",
			queries: one(once("max", "key", all("certscan_keys"))+" > 0", "{{key}}"),
		},
	}
}
