package dashboards

import "fmt"

// endpoint answers, of one target: what does each address serve, since when, and
// what is wrong with it?
func endpoint(opt Options) dashboard {
	vars := append(scrapes(), opt.labelVariables()...)
	vars = append(vars, variable{
		name: "target", label: "Target", help: "One target; in a large fleet choose or search first",
		expr: "label_values(" + opt.chosen() + ", target)",
	}, locationVariable())
	served := once("max", "address, location, fingerprint", ofTarget("certscan_endpoint_certificate_info", atLocation))
	earlier := func(by string) string {
		return once("max", by, ofTarget("certscan_endpoint_certificate_info", atLocation)+" offset $__interval")
	}
	return dashboard{
		name: "endpoint", title: "certscan / Endpoint", from: "now-30d", refresh: "1m", variables: vars,
		help: "One target: what each of its addresses serves, what it served before, and what is wrong with it.",
		annotations: []annotation{{
			name: "Certificate changes", color: "purple", title: "{{address}} serves another certificate", text: "{{fingerprint}} ({{location}})",
			expr: served + "\nunless\n" + earlier("address, location, fingerprint") + "\nand on (address, location)\n" + earlier("address, location"),
		}},
		sections: []section{
			{title: "$target now", lines: []line{
				{4, endpointNow(opt)},
				{8, []panel{views(opt)}},
				{8, []panel{endpoints(opt), targetFindings(opt)}},
			}},
			{title: "$target before", lines: []line{
				{8, endpointCourse(opt)},
				{10, endpointStates(opt)},
			}},
		},
	}
}

func endpointNow(opt Options) []panel {
	expiry, lifetime := ofTarget("certscan_target_expiry_timestamp_seconds"), ofTarget("certscan_target_lifetime_seconds")
	const unknown = "not known"
	return []panel{
		{
			kind: stat, title: "Time left", width: 4, unit: duration, steps: opt.timeLeft(), empty: unknown,
			help:    "Until the earliest certificate ends that one of its addresses serves, or an intermediate above it. What was known last counts on while an address does not answer.",
			queries: one("min("+expiry+") - time()", "left"), links: []link{opt.runbook("CertificateExpiring"), opt.runbook("CertificateExpired")},
		},
		{
			kind: stat, title: "Expires", width: 4, unit: "dateTimeAsIso", steps: []step{{color: "text"}}, empty: unknown,
			help: "The same as a date, in the time zone of the dashboard.", queries: one("min("+expiry+") * 1000", "expires"),
		},
		{
			kind: stat, title: "Tier", width: 3, unit: "short", words: opt.tierWords(), empty: unknown,
			help: "The smallest tier entered." + opt.shrinking(), queries: one(opt.nominal(expiry, lifetime), "tier"),
		},
		{
			kind: stat, title: "Verified", width: 3, unit: "short", words: []word{exactly(1, "yes", "green"), exactly(0, "no", "red")}, empty: "never examined",
			help:    "Whether all that it serves is in time, for the name, trusted and not revoked.",
			queries: one("min("+ofTarget("certscan_target_verified")+")", "verified"), links: []link{opt.runbook("CertificateUntrusted"), opt.runbook("CertificateNameMismatch")},
		},
		{
			kind: stat, title: "Answering", width: 3, unit: "percentunit", steps: []step{{color: "red"}, {0.001, "orange"}, {1, "green"}}, empty: unknown,
			help:    "The share of its addresses that answered with TLS at the last examination.",
			queries: one("avg("+once("max", "address, location", ofTarget("certscan_endpoint_up", atLocation))+")", "answering"), links: []link{opt.runbook("EndpointUnreachable")},
		},
		{
			kind: stat, title: "Certificates", width: 3, unit: "short", steps: []step{{color: "green"}, {2, "orange"}}, empty: unknown,
			help:    "Different leaf certificates that its addresses serve. More than one may be a renewal that did not arrive everywhere.",
			queries: one("max("+ofTarget("certscan_target_distinct_certificates")+")", "certificates"), links: []link{opt.runbook("CertificatesDisagree"), opt.runbook("CertificatePartiallyDeployed")},
		},
		{
			kind: stat, title: "Stale", width: 2, unit: "short", steps: []step{{color: "green"}, {1, "orange"}}, empty: "?",
			help:    "Addresses that were not examined in time. They count for nothing where addresses are compared.",
			queries: one("max("+ofTarget("certscan_target_stale_views")+")", "stale"), links: []link{opt.runbook("CertscanViewsStale")},
		},
		{
			kind: stat, title: "Retired", width: 2, unit: "short", steps: []step{{color: "text"}}, empty: "?",
			help:    "Views at addresses that its name no longer has. They count for nothing, and stay in the history.",
			queries: one("max("+ofTarget("certscan_target_retired")+")", "retired"),
		},
	}
}

// views are what each address serves.
func views(opt Options) panel {
	const by = "address, location, offer, fingerprint"
	const about = "subject_cn, issuer_cn, key, serial"
	view := once("max", by, ofTarget("certscan_endpoint_certificate_info", atLocation))
	return panel{
		kind: table, title: "Views", width: 24, unit: "short", sortBy: "Address", empty: "no certificate was ever seen",
		help: "What each address serves, or served when it was last seen, by what the handshake asked with: servers may hold one certificate for ECDSA and another for RSA.",
		queries: one(fmt.Sprintf("%s\n* on (fingerprint) group_left (%s)\ntopk by (fingerprint) (1, max by (fingerprint, %[2]s) (%s))\nor on (%s)\n%[1]s",
			view, about, all("certscan_certificate_info"), by), ""),
		columns: []column{
			{field: "address", name: "Address", width: 200},
			{field: "location", name: "Location", width: 100},
			{field: "offer", name: "Offer", width: 90},
			{field: "subject_cn", name: "Subject"},
			{field: "issuer_cn", name: "Issuer"},
			{field: "key", name: "Key", width: 120},
			{field: "serial", name: "Serial"},
			{field: "fingerprint", name: "SHA-256"},
			{field: "Value"},
		},
	}
}

// endpoints are how each address is reached.
func endpoints(opt Options) panel {
	const by = "address, location"
	age := func(metric string) string { return "time() - " + once("max", by, ofTarget(metric, atLocation)) }
	return panel{
		kind: table, title: "Addresses", width: 14, unit: "short", sortBy: "State", empty: "no address is known",
		help: "How each address answered at the last examination. \"unknown\" is the scanner's own fault, or a name that does not resolve any more.",
		queries: []query{
			{expr: once("max", by, ofTarget("certscan_endpoint_up", atLocation))},
			{expr: age("certscan_endpoint_last_probe_timestamp_seconds")},
			{expr: age("certscan_endpoint_last_success_timestamp_seconds")},
			{expr: once("max", by+", reason", ofTarget("certscan_endpoint_failure", atLocation))},
		},
		columns: []column{
			{field: "address", name: "Address"},
			{field: "location", name: "Location", width: 100},
			{field: "Value #A", name: "State", width: 90, empty: "unknown", words: []word{exactly(1, "up", "green"), exactly(0, "down", "red")}},
			{field: "reason", name: "Reason", width: 140},
			{field: "Value #B", name: "Examined", unit: "s", width: 110},
			{field: "Value #C", name: "Answered", unit: "s", width: 110, empty: "never"},
			{field: "Value #D"},
		},
		links: []link{opt.runbook("EndpointUnreachable")},
	}
}

// targetFindings are what is wrong.
func targetFindings(opt Options) panel {
	url, tip := opt.toFinding()
	return panel{
		kind: table, title: "Open findings", width: 10, unit: "short", sortBy: "-Severity", empty: "no finding",
		help:    "What is wrong with the target, the worst first. A click leads to what it means and how to mend it.",
		queries: one(bySeverity("target, code, rule", "certscan_target_finding", `target="$target"`), ""),
		columns: []column{
			{field: "Value", name: "Severity", width: 100, words: severityWords()},
			{field: "code", name: "Finding", url: url, tip: tip},
			{field: "rule", name: "Rule"},
			{field: "target"},
		},
	}
}

func endpointCourse(opt Options) []panel {
	return []panel{
		{
			kind: timeseries, title: "Renewals", width: 12, unit: "s", steps: opt.timeLeft(),
			help:    "A saw: it falls by a day a day, and each renewal lifts it. A tooth that is longer than the others is a late renewal.",
			queries: course("min("+ofTarget("certscan_target_expiry_timestamp_seconds")+") - time()", "left"),
		},
		{
			kind: timeseries, title: "Probe phases", width: 12, unit: "s", stack: true,
			help:    "What the phases of an examination take, for the slowest address: name resolution, connection, STARTTLS, TLS handshake.",
			queries: course(once("max", "phase", ofTarget("certscan_endpoint_phase_seconds", atLocation)), "{{phase}}"),
		},
	}
}

func endpointStates(opt Options) []panel {
	short := func(expr string) string {
		return `label_replace(` + expr + `, "certificate", "$1", "fingerprint", "(.{12}).*")`
	}
	return []panel{
		{
			kind: stateTimeline, title: "Certificates served", width: 8, unit: "short", words: []word{exactly(1, "served", "blue")},
			help:    "From when to when each address served which certificate, by the first digits of its SHA-256. At a renewal one bar ends and another begins, at all addresses.",
			queries: course(short(once("max", "address, location, fingerprint", ofTarget("certscan_endpoint_certificate_info", atLocation))), "{{address}} {{location}} {{certificate}}"),
		},
		{
			kind: stateTimeline, title: "Reachability", width: 8, unit: "short", words: []word{exactly(1, "up", "green"), exactly(0, "down", "red")},
			help:    "Whether each address answered with TLS.",
			queries: course(once("max", "address, location", ofTarget("certscan_endpoint_up", atLocation)), "{{address}} {{location}}"),
			links:   []link{opt.runbook("EndpointUnreachable")},
		},
		{
			kind: stateTimeline, title: "Findings", width: 8, unit: "short", words: []word{exactly(1, "open", "red"), exactly(0, "closed", "green")}, empty: "no finding",
			help:    "From when to when each finding was open. One that closes shows that for an hour.",
			queries: course(once("max", "code, rule", ofTarget("certscan_target_finding")), "{{code}} {{rule}}"),
			links:   []link{{"Findings", opt.DocsBase + "/findings.md"}},
		},
	}
}
