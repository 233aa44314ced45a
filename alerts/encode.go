package alerts

import (
	"fmt"
	"strconv"
	"strings"

	"example.com/certscan/internal/inventory"
)

// A group is rules that Prometheus evaluates one after the other, at one time.
type group struct {
	name    string
	comment string
	rules   []rule
}

// A rule records a series or raises an alert.
type rule struct {
	comment string
	record  string // or
	alert   string

	expr   string
	hold   string // for: how long expr has to be true
	linger string // keep_firing_for: how long it is told after it was last true

	severity    inventory.Severity // "" where the series say it
	tier        inventory.Tier
	summary     string
	description string
	notes       []note // more annotations
}

type note struct{ name, text string }

// encode writes YAML. Expressions are block literals, so that people can read
// them; everything else that is not ours to choose is quoted.
func encode(opt Options, all []group) string {
	var b strings.Builder
	b.WriteString("# Printed by \"certscan rules\"; change its flags and not this file.\n")
	b.WriteString("# Needs Prometheus 2.42 or newer (keep_firing_for).\n")
	indent := ""
	if opt.Format == FormatOperator {
		b.WriteString("apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: certscan\n" +
			"  labels:\n    app.kubernetes.io/name: certscan\nspec:\n")
		indent = "  "
	}
	b.WriteString(indent + "groups:\n")
	for i, g := range all {
		if i > 0 {
			b.WriteString("\n")
		}
		text := comment(g.comment, "") + "- name: " + g.name + "\n  rules:\n"
		for _, r := range g.rules {
			text += r.encode(opt)
		}
		for line := range strings.Lines(text) {
			b.WriteString(indent + "  " + line)
		}
	}
	return b.String()
}

func (r rule) encode(opt Options) string {
	var b strings.Builder
	b.WriteString(comment(r.comment, "  "))
	if r.record != "" {
		fmt.Fprintf(&b, "  - record: %s\n", r.record)
	} else {
		fmt.Fprintf(&b, "  - alert: %s\n", r.alert)
	}
	b.WriteString("    expr: |-\n")
	for line := range strings.Lines(r.expr) {
		b.WriteString("      " + line)
	}
	b.WriteString("\n")
	if r.record != "" {
		return b.String()
	}
	optional := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "    %s: %s\n", name, value)
		}
	}
	optional("for", r.hold)
	optional("keep_firing_for", r.linger)
	if r.severity != "" {
		b.WriteString("    labels:\n")
		optional("  severity", string(r.severity))
		optional("  tier", string(r.tier))
	}
	b.WriteString("    annotations:\n")
	annotate := func(name, text string) { fmt.Fprintf(&b, "      %s: %s\n", name, quote(text)) }
	annotate("summary", r.summary)
	annotate("description", r.description)
	for _, n := range r.notes {
		annotate(n.name, n.text)
	}
	annotate("runbook_url", opt.RunbookBase+"/"+r.alert+".md")
	return b.String()
}

// quote makes a scalar of text on one line, in single quotes if that is enough:
// templates are full of double ones.
func quote(text string) string {
	if strings.ContainsAny(text, "\n\t\\") {
		return strconv.Quote(text)
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

func comment(text, indent string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(indent + "# " + line)
	}
	if text != "" {
		b.WriteString("\n")
	}
	return b.String()
}
