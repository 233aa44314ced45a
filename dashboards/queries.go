package dashboards

import (
	"fmt"
	"strings"

	"example.com/certscan/internal/inventory"
)

// from are the matchers of every selector: of which certscan.
const from = `job=~"$job", instance=~"$instance"`

// all selects a metric of the chosen certscans.
func all(metric string, matchers ...string) string {
	return metric + "{" + strings.Join(append([]string{from}, matchers...), ", ") + "}"
}

// ofTarget selects a metric of the chosen target, seen from the chosen
// locations if it has any.
func ofTarget(metric string, matchers ...string) string {
	return all(metric, append([]string{`target="$target"`}, matchers...)...)
}

const atLocation = `location=~"$location"`

// one is a single query, of now.
func one(expr, legend string) []query { return []query{{expr: expr, legend: legend}} }

// course is a single query over the time.
func course(expr, legend string) []query { return []query{{expr: expr, legend: legend, over: true}} }

// once makes one of what several replicas say: the worst counts.
func once(op, by, selector string) string { return fmt.Sprintf("%s by (%s) (%s)", op, by, selector) }

// chosen selects certscan_target_info of the targets that the variables leave.
func (opt Options) chosen() string {
	matchers := []string{`target=~".*$search.*"`}
	for _, l := range opt.Labels {
		matchers = append(matchers, fmt.Sprintf(`label_%s=~"$%[1]s"`, l))
	}
	return all("certscan_target_info", matchers...)
}

// labelNames are the labels of targets as the metrics have them.
func (opt Options) labelNames() []string {
	var names []string
	for _, l := range opt.Labels {
		names = append(names, "label_"+l)
	}
	return names
}

// withLabels gives expr, which has a series per target, the labels of the chosen
// targets. Replicas may disagree about them: then one does for both.
func (opt Options) withLabels(expr string) string {
	return fmt.Sprintf("%s\n* on (target) group_left (%s)\ntopk by (target) (1, max by (%s) (%s))",
		expr, strings.Join(opt.labelNames(), ", "), strings.Join(append([]string{"target"}, opt.labelNames()...), ", "), opt.chosen())
}

// left is the time to expiry of each target.
func left(expiry string) string { return fmt.Sprintf("(%s - time())", once("min", "target", expiry)) }

// nominal is the same in proportion to the lifetime, as tiers are.
func (opt Options) nominal(expiry, lifetime string) string {
	if opt.AbsoluteTiers {
		return left(expiry)
	}
	return fmt.Sprintf("(%s / clamp_max(%s / %d, 1))", left(expiry), once("min", "target", lifetime), int(opt.Reference.Seconds()))
}

// shrinking says which tiers are smaller than their names.
func (opt Options) shrinking() string {
	if opt.AbsoluteTiers {
		return ""
	}
	return fmt.Sprintf(" Tiers of a lifetime below %s are smaller in proportion.", inventory.TierOf(opt.Reference))
}

// answered is the one metric that is in every answer, also where the targets are
// scraped by a job of their own.
const answered = "certscan_metrics_series_dropped"

// variables of every dashboard.
func scrapes() []variable {
	return []variable{
		{name: "job", label: "job", help: "Scrape jobs of certscan; if targets have one of their own, both are needed", expr: "label_values(" + answered + ", job)", all: ".+"},
		{name: "instance", label: "instance", help: "Replicas of certscan; of two, the worse counts", expr: "label_values(" + answered + `{job=~"$job"}, instance)`, all: ".+"},
	}
}

// labelVariables choose targets.
func (opt Options) labelVariables() []variable {
	var list []variable
	for _, l := range opt.Labels {
		list = append(list, variable{
			name: l, label: strings.ToUpper(l[:1]) + strings.ReplaceAll(l[1:], "_", " "), help: "Label of targets; All includes those without it",
			expr: fmt.Sprintf("label_values(%s, label_%s)", all("certscan_target_info"), l), all: ".*",
		})
	}
	return append(list, variable{name: "search", label: "Search", help: "A part of a target's name, or a regular expression", text: true})
}

func locationVariable() variable {
	return variable{name: "location", label: "Location", help: "Where certscan probes from", expr: "label_values(" + all("certscan_scan_lag_seconds") + ", location)", all: ".*"}
}

// runbook is the page of an alert.
func (opt Options) runbook(alert string) link {
	return link{"Runbook " + alert, opt.DocsBase + "/runbooks/" + alert + ".md"}
}

// toEndpoint leads to the dashboard of the target in the same row.
func toEndpoint() (url, tip string) {
	return "/d/" + uid("endpoint") + "?var-target=${__data.fields.target:percentencode}&var-datasource=${datasource}&${__url_time_range}", "This target"
}

// toFinding leads to the explanation of the finding in the same row.
func (opt Options) toFinding() (url, tip string) {
	return opt.DocsBase + "/findings.md#${__data.fields.code:percentencode}", "What it means, and what to do"
}

// severityWords name the weights that sort findings.
func severityWords() []word {
	return []word{exactly(3, "critical", "red"), exactly(2, "warning", "orange"), exactly(1, "info", "blue")}
}

// bySeverity is 3, 2 or 1 for each open finding that nobody has waived, so that
// the worst come first.
func bySeverity(by, metric string, matchers ...string) string {
	var parts []string
	for i, severity := range []string{"critical", "warning", "info"} {
		parts = append(parts, fmt.Sprintf("%d * max by (%s) (%s == 1)", 3-i, by, all(metric, append(matchers, fmt.Sprintf("severity=%q", severity))...)))
	}
	open := strings.Join(parts, "\nor\n")
	if metric != "certscan_target_finding" {
		return open
	}
	return fmt.Sprintf("(%s)\nunless on (target, code, rule) %s", open, all("certscan_target_finding_waived"))
}
