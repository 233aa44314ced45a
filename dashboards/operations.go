package dashboards

import "fmt"

// operations answers: can we rely on what certscan says, and how does it do?
func operations(opt Options) dashboard {
	return dashboard{
		name: "operations", title: "certscan / Operations", from: "now-6h", refresh: "1m",
		help:      "certscan itself: whether it keeps up, why examinations fail, where its targets come from, its history and its process.",
		variables: append(scrapes(), locationVariable()),
		annotations: []annotation{
			{
				name: "Restarts of certscan", color: "blue", title: "certscan restarted", text: "{{instance}}",
				expr: "changes(" + ofProcess("process_start_time_seconds", "[$__rate_interval]") + ") > 0" + ofCertscan(),
			},
			{
				name: "Refused configurations", color: "red", title: "A configuration was refused", text: "{{instance}}",
				// Grafana marks only what is more than 0.
				expr: "1 - " + all("certscan_config_last_reload_successful") + " > 0",
			},
		},
		sections: []section{
			{title: "Can it be relied on?", lines: []line{{4, operationsNow(opt)}, {7, []panel{ownFindings(opt)}}}},
			{title: "Scanning", lines: []line{{8, scanning(opt)}, {8, failing(opt)}}},
			{title: "Sources and history", lines: []line{{8, keeping(opt)}}},
			{title: "Process", lines: []line{{7, processes(opt)}, {7, scrape()}}},
		},
	}
}

// ofProcess selects a metric that every process has; ofCertscan leaves those of
// certscan.
func ofProcess(metric, rest string) string { return all(metric) + rest }

func ofCertscan() string {
	return "\nand on (job, instance) last_over_time(" + all(answered) + "[$__range])"
}

func operationsNow(opt Options) []panel {
	return []panel{
		{
			kind: stat, title: "Scraped", width: 4, unit: "percentunit", steps: []step{{color: "red"}, {1, "green"}}, empty: "no certscan",
			help:    "The share of what was scraped of certscan in this range that Prometheus can scrape now.",
			queries: one("avg("+ofProcess("up", "")+ofCertscan()+")", "up"), links: []link{opt.runbook("CertscanDown"), opt.runbook("CertscanScrapeFailing")},
		},
		{
			kind: stat, title: "Scan lag", width: 4, unit: duration, steps: []step{{color: "green"}, {900, "orange"}, {3600, "red"}}, empty: "not known",
			help:    "The age of the oldest examination that is due and not begun.",
			queries: one("max("+all("certscan_scan_lag_seconds", atLocation)+")", "lag"), links: []link{opt.runbook("CertscanScanBehind")},
		},
		{
			kind: stat, title: "Stale endpoints", width: 4, unit: "short", steps: []step{{color: "green"}, {1, "orange"}}, empty: "not known",
			help:    "Endpoints that were not examined for more than two and a half intervals.",
			queries: one("sum("+once("max", "state", all("certscan_endpoints", `state="stale"`))+")", "stale"), links: []link{opt.runbook("CertscanViewsStale"), opt.runbook("CertscanNotScanning")},
		},
		{
			kind: stat, title: "Configuration", width: 4, unit: "short", words: []word{exactly(1, "as written", "green"), exactly(0, "refused", "red")}, empty: "not known",
			help:    "Whether the last reload was taken. After one that was refused, the configuration before stays in force.",
			queries: one("min("+all("certscan_config_last_reload_successful")+")", "reload"), links: []link{opt.runbook("CertscanConfigReloadFailed")},
		},
		{
			kind: stat, title: "Series left out", width: 4, unit: "short", steps: []step{{color: "green"}, {1, "red"}}, empty: "not known",
			help:    "Series of targets that the cap left out of the last answer. Those that expire last are left out first.",
			queries: one("max("+all("certscan_metrics_series_dropped")+")", "dropped"), links: []link{opt.runbook("CertscanSeriesDropped")},
		},
		{
			kind: stat, title: "Running for", width: 4, unit: duration, steps: []step{{color: "text"}}, empty: "not known",
			help:    "Since the last start of the instance that was started last.",
			queries: one("time() - max("+ofProcess("process_start_time_seconds", "")+ofCertscan()+")", "uptime"),
		},
	}
}

// ownFindings are the faults on certscan's own side.
func ownFindings(opt Options) panel {
	url, tip := opt.toFinding()
	return panel{
		kind: table, title: "Faults on the scanner's own side", width: 24, unit: "short", sortBy: "-Severity", empty: "none",
		help:    "What certscan says of its network, its resolver, its sources, locations, trust stores and logs. While one is open, what it says of endpoints may be wrong or late.",
		queries: one(bySeverity("code, subject", "certscan_own_finding"), ""),
		columns: []column{
			{field: "Value", name: "Severity", width: 100, words: severityWords()},
			{field: "code", name: "Finding", width: 240, url: url, tip: tip},
			{field: "subject", name: "Subject"},
		},
		links: []link{opt.runbook("CertscanOwnFault"), opt.runbook("CertscanTrustStoreStale")},
	}
}

func scanning(opt Options) []panel {
	return []panel{
		{
			kind: timeseries, title: "Scan lag by location", width: 8, unit: "s", steps: []step{{color: "green"}, {900, "orange"}, {3600, "red"}},
			help:    "The age of the oldest examination that is due and not begun, from each location. It should return to nearly nothing.",
			queries: course(once("max", "location", all("certscan_scan_lag_seconds", atLocation)), "{{location}}"), links: []link{opt.runbook("CertscanScanBehind")},
		},
		{
			kind: timeseries, title: "Examinations", width: 8, unit: "ops", stack: true,
			help: "Examinations per second, by how the connection ended.",
			// What is good comes first and gets the first color, which is green.
			queries: []query{
				{expr: "sum by (outcome) (rate(" + all("certscan_probes_total", atLocation, `outcome="ok"`) + "[$__rate_interval]))", legend: "{{outcome}}", over: true},
				{expr: "sum by (outcome) (rate(" + all("certscan_probes_total", atLocation, `outcome!="ok"`) + "[$__rate_interval])) > 0", legend: "{{outcome}}", over: true},
			},
		},
		{
			kind: timeseries, title: "How long an examination takes", width: 8, unit: "s",
			help:    "From resolving the name to the end of the handshake: the median, and what one in ten and one in a hundred takes longer than.",
			queries: quantiles(all("certscan_probe_duration_seconds_bucket", atLocation), 50, 90, 99),
		},
	}
}

func failing(opt Options) []panel {
	return []panel{
		{
			kind: timeseries, title: "Failing endpoints by reason", width: 16, unit: "short", stack: true,
			help:    "Endpoints whose last examination ended with this reason. Many at once have one cause: a network, a firewall, a resolver, or the scanner itself.",
			queries: course(once("max", "location, reason", all("certscan_failing_endpoints", atLocation))+" > 0", "{{reason}} {{location}}"), empty: "none",
			links: []link{opt.runbook("EndpointFailuresRising"), opt.runbook("EndpointUnreachable")},
		},
		{
			kind: barGauge, title: "Failing now", width: 8, unit: "short", empty: "none",
			help:    "The ten most frequent reasons.",
			queries: one("topk(10, sum by (reason) ("+once("max", "location, reason", all("certscan_failing_endpoints", atLocation))+") > 0)", "{{reason}}"),
		},
	}
}

func keeping(opt Options) []panel {
	named := sources(opt)
	named.width = 12
	return []panel{
		named,
		{
			kind: timeseries, title: "Targets by source", width: 6, unit: "short",
			help:    "A source that suddenly names far fewer keeps its last set, and says so.",
			queries: course(once("max", "source", all("certscan_source_targets")), "{{source}}"), links: []link{opt.runbook("CertscanSourceShrunk")},
		},
		{
			kind: timeseries, title: "History", width: 6, unit: "bytes",
			help:    "The size of the database with its log. It grows with change and not with scanning; retention is a setting.",
			queries: course(all("certscan_store_size_bytes"), "{{instance}}"),
		},
	}
}

func processes(_ Options) []panel {
	return []panel{
		{
			kind: timeseries, title: "CPU", width: 8, unit: "percentunit",
			help:    "Of one core.",
			queries: course("rate("+ofProcess("process_cpu_seconds_total", "[$__rate_interval]")+")"+ofCertscan(), "{{instance}}"),
		},
		{
			kind: timeseries, title: "Memory", width: 8, unit: "bytes",
			help: "Resident, and what Go's heap has of it.",
			queries: []query{
				{expr: ofProcess("process_resident_memory_bytes", "") + ofCertscan(), legend: "resident {{instance}}", over: true},
				{expr: ofProcess("go_memstats_alloc_bytes", "") + ofCertscan(), legend: "heap {{instance}}", over: true},
			},
		},
		{
			kind: timeseries, title: "Goroutines and files", width: 8, unit: "short",
			help: "Both follow the number of handshakes in flight and should not grow beyond that.",
			queries: []query{
				{expr: ofProcess("go_goroutines", "") + ofCertscan(), legend: "goroutines {{instance}}", over: true},
				{expr: ofProcess("process_open_fds", "") + ofCertscan(), legend: "files {{instance}}", over: true},
			},
		},
	}
}

func scrape() []panel {
	return []panel{
		{
			kind: timeseries, title: "Writes to the history", width: 8, unit: "s",
			help:    "How long it takes to write a batch of results: the median, and what one in a hundred takes longer than.",
			queries: quantiles(all("certscan_store_write_duration_seconds_bucket"), 50, 99),
		},
		{
			kind: timeseries, title: "Scrape duration", width: 8, unit: "s",
			help:    "How long Prometheus takes to read the metrics. It has to stay well below the scrape timeout.",
			queries: course(ofProcess("scrape_duration_seconds", "")+ofCertscan(), "{{job}} {{instance}} {{shard}}"),
		},
		{
			kind: timeseries, title: "Series", width: 8, unit: "short",
			help:    "Series in one scrape. metrics.detail and the cap bound them.",
			queries: course(ofProcess("scrape_samples_scraped", "")+ofCertscan(), "{{job}} {{instance}} {{shard}}"),
		},
	}
}

// quantiles are those of a histogram, in percent.
func quantiles(buckets string, percents ...int) []query {
	var list []query
	for _, p := range percents {
		list = append(list, query{
			expr:   fmt.Sprintf("histogram_quantile(%g, sum by (le) (rate(%s[$__rate_interval])))", float64(p)/100, buckets),
			legend: fmt.Sprintf("p%d", p), over: true,
		})
	}
	return list
}
