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

// choice are numbers about the chosen targets.
func (opt Options) choice() []panel {
	expiry := all("certscan_target_expiry_timestamp_seconds", `target=~".*$search.*"`)
	list := []panel{opt.timeline(expiry)}
	for _, l := range opt.Labels[:min(1, len(opt.Labels))] {
		list = append(list, panel{
			kind: barGauge, title: "In a tier, by " + l, width: 8, unit: "short", empty: "none",
			help: "Who has the most targets inside any tier, the ten first." + partial,
			queries: one(fmt.Sprintf("topk(10, label_replace(count by (label_%[1]s) (\n%[2]s\n), \"label_%[1]s\", \"none\", \"label_%[1]s\", \"\"))", l,
				opt.withLabels(once("max", "target", all("certscan_target_expiry_tier_seconds", `target=~".*$search.*"`)))), "{{label_"+l+"}}"),
		})
	}
	verified := once("min", "target", all("certscan_target_verified", `target=~".*$search.*"`))
	among := "\nand on (target) " + opt.chosen()
	list = append(list, panel{
		kind: pieChart, title: "Verified", width: 8, unit: "short",
		help: "verified: everything that the target serves is in time, for the name, trusted and not revoked. flawed: something is not. never examined: nothing is known." + partial,
		queries: []query{
			{expr: orNone("count("+verified+" == 1"+among+")", opt.chosen()), legend: "verified"},
			{expr: orNone("count("+verified+" == 0"+among+")", opt.chosen()), legend: "flawed"},
			{expr: orNone("count("+once("max", "target", opt.chosen())+"\nunless on (target) "+all("certscan_target_verified")+")", opt.chosen()), legend: "never examined"},
		},
		byName: []word{{text: "verified", color: "green"}, {text: "flawed", color: "red"}, {text: "never examined", color: "text"}},
	})
	list[0].width = 24 - 8*(len(list)-1)
	return list
}

// timeline counts targets by when they expire.
func (opt Options) timeline(expiry string) panel {
	const week = 7 * 86400
	p := panel{
		kind: barGauge, title: "Expiry timeline", unit: "short", steps: []step{{color: "blue"}},
		help:   "How many targets expire when, by the earliest end over their addresses. A tall bar is a day of many renewals to come." + partial,
		byName: []word{{text: "expired", color: opt.tierColor(0)}},
	}
	for _, b := range []struct {
		from, to int // seconds
		name     string
	}{
		{-1, 0, "expired"},
		{0, week, "this week"},
		{week, 2 * week, "next week"},
		{2 * week, 4 * week, "2 to 4 weeks"},
		{4 * week, 8 * week, "4 to 8 weeks"},
		{8 * week, 13 * week, "8 to 13 weeks"},
		{13 * week, 26 * week, "3 to 6 months"},
		{26 * week, -1, "later"},
	} {
		band := left(expiry)
		if b.from >= 0 {
			band += fmt.Sprintf(" >= %d", b.from)
		}
		if b.to >= 0 {
			band += fmt.Sprintf(" < %d", b.to)
		}
		p.queries = append(p.queries, query{expr: orNone("count("+band+"\nand on (target) "+opt.chosen()+")", opt.chosen()), legend: b.name})
	}
	return p
}

// next are the targets that expire next.
func (opt Options) next() panel {
	expiry := all("certscan_target_expiry_timestamp_seconds", `target=~".*$search.*"`)
	nominal := opt.nominal(expiry, all("certscan_target_lifetime_seconds", `target=~".*$search.*"`))
	first := fmt.Sprintf("bottomk(%d, %s and on (target) %s)", limit, nominal, opt.chosen())
	url, tip := toEndpoint()
	p := panel{
		kind: table, title: "What expires next", width: 24, unit: "dtdurations", sortBy: "Tier",
		help:  fmt.Sprintf("The first %d targets by tier: short lifetimes are measured in proportion, so that a certificate of six days with two left stands beside one of 90 with 30. A click on a target opens its page.", limit) + partial,
		empty: "no target",
		queries: []query{
			{expr: opt.withLabels(left(expiry)) + "\nand on (target) " + first},
			{expr: first},
		},
		columns: []column{
			{field: "target", name: "target", url: url, tip: tip},
			{field: "Value #B", name: "Tier", width: 100, words: opt.tierWords()},
			{field: "Value #A", name: "Time left", unit: "dtdurations", width: 220},
		},
	}
	p.columns = append(p.columns, opt.labelColumns()...)
	return p
}

// labelColumns show the labels of targets.
func (opt Options) labelColumns() []column {
	var list []column
	for _, l := range opt.Labels {
		list = append(list, column{field: "label_" + l, name: strings.ToUpper(l[:1]) + strings.ReplaceAll(l[1:], "_", " ")})
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
			{field: "target", name: "target", url: toTarget, tip: target},
			{field: "code", name: "code", url: toFinding, tip: finding},
			{field: "rule", name: "Rule"},
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
			{field: "Value #A", name: "Time left", unit: "dtdurations", width: 220, steps: []step{{color: "purple"}, {0, "red"}, {year / 12, "orange"}, {year / 4, "text"}}},
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
			{field: "Value #C", name: "Last read", unit: "dtdurations", width: 220},
		},
		links: []link{opt.runbook("CertscanSourceFailing"), opt.runbook("CertscanSourceShrunk")},
	}
}
