package dashboards

import (
	"fmt"
	"strings"
)

// limit is the number of rows of a table: a page that lists more helps nobody,
// and 100,000 rows stop a browser.
const limit = 100

// partial says what the configuration may keep from target panels.
const partial = " With metrics.detail: attention only targets that need attention are known here, with none no target."

// byLabel counts the chosen targets that are in a tier by their first label.
func (opt Options) byLabel() []panel {
	if len(opt.Labels) == 0 {
		return nil
	}
	l := opt.Labels[0]
	return []panel{{
		kind: barGauge, title: "In a tier, by " + l, width: 8, unit: "short", empty: "none",
		help: "Who has the most targets inside any tier, the ten first. The choice of labels above applies." + partial,
		queries: one(fmt.Sprintf("topk(10, label_replace(count by (label_%[1]s) (\n%[2]s\n), \"label_%[1]s\", \"none\", \"label_%[1]s\", \"\"))", l,
			opt.withLabels(once("max", "target", all("certscan_target_expiry_tier_seconds", `target=~".*$search.*"`)))), "{{label_"+l+"}}"),
	}}
}

// timeline shows how much expires when.
func (opt Options) timeline() panel {
	return panel{
		kind: barChart, title: "Expiry timeline", width: 24 - 8*len(opt.byLabel()), unit: "short", steps: []step{{color: "blue"}}, sortBy: "weeks",
		help:    "How many targets of the whole fleet expire in how many weeks, by the earliest end over their addresses. A tall bar is a week of many renewals to come; what has expired is not among them.",
		queries: one(once("max", "weeks", all("certscan_targets_expiring")), "targets"),
		columns: []column{{field: "weeks", name: "weeks"}, {field: "Value", name: "Targets"}},
	}
}

// next are the targets that expire next.
func (opt Options) next() panel {
	expiry := all("certscan_target_expiry_timestamp_seconds", `target=~".*$search.*"`)
	nominal := opt.nominal(expiry, all("certscan_target_lifetime_seconds", `target=~".*$search.*"`))
	first := fmt.Sprintf("bottomk(%d, %s and on (target) %s)", limit, nominal, opt.chosen())
	url, tip := toEndpoint()
	p := panel{
		kind: table, title: "What expires next", width: 24, unit: duration, sortBy: "Tier",
		help:  fmt.Sprintf("The first %d targets by tier: short lifetimes are measured in proportion, so that a certificate of six days with two left stands beside one of 90 with 30. A click on a target opens its page.", limit) + partial,
		empty: "no target",
		queries: []query{
			{expr: opt.withLabels(left(expiry)) + "\nand on (target) " + first},
			{expr: first},
		},
		columns: []column{
			{field: "target", name: "Target", url: url, tip: tip},
			{field: "Value #B", name: "Tier", width: 100, words: opt.tierWords()},
			{field: "Value #A", name: "Time left", unit: duration, width: 220},
		},
	}
	p.columns = append(p.columns, opt.labelColumns()...)
	return p
}

// labelColumns show the labels of targets.
func (opt Options) labelColumns() []column {
	var list []column
	for _, l := range opt.Labels {
		list = append(list, column{field: "label_" + l, name: strings.ToUpper(l[:1]) + strings.ReplaceAll(l[1:], "_", " "), width: 150})
	}
	return list
}

// open are the open findings.
func (opt Options) open() panel {
	toTarget, target := toEndpoint()
	toFinding, finding := opt.toFinding()
	findings := bySeverity("target, code, rule", "certscan_target_finding", `target=~".*$search.*"`, `severity=~"$severity"`)
	p := panel{
		kind: table, title: "Open findings", width: 24, unit: "short", sortBy: "-Severity", empty: "no finding",
		help:    fmt.Sprintf("The worst %d. A click on a target opens its page, on a finding its explanation.", limit) + partial,
		queries: one(fmt.Sprintf("topk(%d,\n%s\n)", limit, opt.withLabels("("+findings+")")), ""),
		columns: []column{
			{field: "Value", name: "Severity", width: 100, words: severityWords()},
			{field: "target", name: "Target", url: toTarget, tip: target},
			{field: "code", name: "Finding", width: 220, url: toFinding, tip: finding},
			{field: "rule", name: "Rule", width: 150},
		},
	}
	p.columns = append(p.columns, opt.labelColumns()...)
	return p
}

// authorities are the CA certificates that end first.
func authorities(opt Options) panel {
	used := all("certscan_issuer_targets")
	expiry := once("min", "fingerprint, subject_cn", all("certscan_issuer_expiry_timestamp_seconds")) + " - time()"
	needed := "\nand on (fingerprint) " + used + " > 0"
	const year = 365 * 86400
	return panel{
		kind: table, title: "CA certificates", width: 12, unit: "short", sortBy: "Time left", empty: "none",
		help: "CA certificates above what is served, the 20 that end first. On that day every target fails that depends on one, whatever its own certificate says.",
		queries: []query{
			{expr: "bottomk(20, " + expiry + needed + ")"},
			{expr: once("max", "fingerprint", used) + "\nand on (fingerprint) bottomk(20, " + expiry + needed + ")"},
		},
		columns: []column{
			{field: "subject_cn", name: "CA"},
			{field: "Value #A", name: "Time left", unit: duration, width: 220, steps: []step{{color: "purple"}, {0, "red"}, {year / 12, "orange"}, {year / 4, "text"}}},
			{field: "Value #B", name: "Targets", width: 90},
			{field: "fingerprint", name: "SHA-256", width: 120},
		},
		links: []link{opt.runbook("IssuerExpiring")},
	}
}

// sources are where the targets come from.
func sources(opt Options) panel {
	return panel{
		kind: table, title: "Sources", width: 12, unit: "short", sortBy: "State", empty: "none",
		help: "Where the targets come from. One that fails keeps its last set: nothing is forgotten, and nothing new is found.",
		queries: []query{
			{expr: once("min", "source", all("certscan_source_up"))},
			{expr: once("max", "source", all("certscan_source_targets"))},
			{expr: "time() - " + once("max", "source", all("certscan_source_last_success_timestamp_seconds"))},
		},
		columns: []column{
			{field: "source", name: "Source"},
			{field: "Value #A", name: "State", width: 90, words: []word{exactly(1, "read", "green"), exactly(0, "failing", "red")}},
			{field: "Value #B", name: "Targets", width: 90},
			{field: "Value #C", name: "Last read", unit: duration, width: 220, empty: "never"},
		},
		links: []link{opt.runbook("CertscanSourceFailing"), opt.runbook("CertscanSourceShrunk")},
	}
}
