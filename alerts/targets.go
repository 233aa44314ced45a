package alerts

import (
	"fmt"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// groups are all rules for the options, one group per concern.
func groups(opt Options) []group {
	if opt.Detail == DetailNone {
		return []group{fleet(opt), issuers(), endpoints(), scanner(opt)}
	}
	all := []group{targets(opt), expiry(opt), renewal(opt)}
	all = append(all, findings(opt)...)
	return append(all, issuers(), endpoints(), scanner(opt))
}

// held is fresh, or what was recorded last while no certscan is there at all. A
// certificate goes on ageing when nobody looks, and an alert that ends because
// the scanner died would be a lie.
func held(record, fresh string) string {
	return fresh + "\nor\n(last_over_time(" + record + "[1h]) unless on () group(last_over_time(certscan_build_info[20m] offset 10m)))"
}

// joined gives the series of expr the labels of their target, and leaves them
// without where there are none: an alert must not depend on who is told.
func joined(opt Options, expr string) string {
	if len(opt.Labels) == 0 {
		return expr
	}
	return fmt.Sprintf("%[1]s\n+ on (target) group_left (%s)\n0 * certscan:target_labels:last_seen\nor on (target)\n%[1]s",
		expr, strings.Join(opt.Labels, ", "))
}

// targets are the series that all alerts about targets are made of.
func targets(opt Options) group {
	record := func(name, op, by, metric string) rule {
		return rule{record: name, expr: held(name, fmt.Sprintf("%s by (%s) (last_over_time(%s[1h]))", op, by, metric))}
	}
	g := group{
		name: "certscan-targets",
		comment: "What is known of each target, over all replicas and shards. A restart or a failed scrape\n" +
			"changes nothing for an hour; after that the last known values stay for as long as no\n" +
			"certscan is there at all, so alerts neither end nor repeat themselves.",
		rules: []rule{
			record("certscan:target_expiry_timestamp_seconds:min", "min", "target", "certscan_target_expiry_timestamp_seconds"),
			record("certscan:target_lifetime_seconds:min", "min", "target", "certscan_target_lifetime_seconds"),
			record("certscan:target_renewal_due_timestamp_seconds:max", "max", "target", "certscan_target_renewal_due_timestamp_seconds"),
			record("certscan:target_finding:max", "max", "target, code, rule, severity", "certscan_target_finding"),
		},
	}
	if len(opt.Labels) > 0 {
		g.rules = append(g.rules, labels(opt))
	}
	g.rules = append(g.rules, waivers(), rule{
		record: "certscan:target_open_finding:joined",
		expr:   joined(opt, "(certscan:target_finding:max == 1 unless on (target, code, rule) "+waivedUntil+")"),
	})
	return g
}

const (
	waivedUntil = "certscan:target_finding_waived:max"
	openFinding = "certscan:target_open_finding:joined"

	endsSoon = `{code=~"expiring|chain_expiring"}`
)

// waivers are held for whom a scrape fails, and no longer than they were given:
// one that is withdrawn, or does not cover another address, counts at once.
func waivers() rule {
	return rule{
		comment: "When the waivers end. That of a target that is scraped counts as it is now.",
		record:  waivedUntil,
		expr: "(\n" + held(waivedUntil, "max by (target, code, rule) (certscan_target_finding_waived)\nor\n"+
			"(max by (target, code, rule) (last_over_time(certscan_target_finding_waived[1h])) unless on (target) certscan_target_info)") +
			"\n) > time()",
	}
}

// unlessWaived leaves out the targets of whose findings of the codes some are
// open and somebody answers for all of them; not those that one of but has.
func unlessWaived(codes string, but ...string) string {
	waived := waivedUntil + codes
	for _, not := range append(but, openFinding+codes) {
		waived += " unless on (target) " + not
	}
	return "\nunless on (target) (" + waived + ")"
}

// labels are those of each target as they were last seen.
func labels(opt Options) rule {
	by, expr := "target", "timestamp(certscan_target_info)"
	for _, l := range opt.Labels {
		by += ", " + l
		expr = fmt.Sprintf("label_replace(%s, %q, \"$1\", %q, \"(.*)\")", expr, l, "label_"+l)
	}
	return rule{
		comment: "One series per target: of two, which a change of labels leaves behind, the newer. They\n" +
			"are forgotten a week after the target.",
		record: "certscan:target_labels:last_seen",
		expr: "topk by (target) (1,\n  max by (" + by + ") (\n    " + expr + "\n  )\n" +
			"  or\n  last_over_time(certscan:target_labels:last_seen[1h]) > time() - 604800\n)",
	}
}

// who says whom a target belongs to.
func who(opt Options) string {
	text := ""
	for _, l := range opt.Labels {
		text += fmt.Sprintf(" %s: {{ with $labels.%s }}{{ . }}{{ else }}not known{{ end }}.", strings.ToUpper(l[:1])+l[1:], l)
	}
	return text
}

const (
	timeLeft    = "certscan:target_time_left_seconds:joined"
	nominalLeft = "certscan:target_nominal_time_left_seconds:joined"
)

// inProportion is the time left as if each lifetime were at least reference.
func inProportion(reference time.Duration) string {
	return fmt.Sprintf("%s\n/ on (target) group_left ()\nclamp_max(certscan:target_lifetime_seconds:min / %d, 1)\nor\n%[1]s", timeLeft, seconds(reference))
}

// expiry tells each target's distance to its effective expiry. The series are
// recorded here and not beside the others, because they hold the time: only
// within one group do all rules see the same one.
func expiry(opt Options) group {
	nominal, size := timeLeft, "they are the same for every lifetime."
	if !opt.AbsoluteTiers {
		nominal = inProportion(opt.Reference)
		size = fmt.Sprintf("below a lifetime of %s they shrink in proportion.", inventory.TierOf(opt.Reference))
	}
	g := group{
		name: "certscan-expiry",
		comment: "Computed from timestamps, so they are true also when certscan has stopped. No \"for\": a\n" +
			"certificate does not enter a tier by chance. The tiers are half-open bands, so a target is\n" +
			"in one of them at a time; " + size,
		rules: []rule{
			{record: timeLeft, expr: joined(opt, "(certscan:target_expiry_timestamp_seconds:min - time())")},
			{record: nominalLeft, expr: nominal},
		},
	}
	for i, t := range opt.Tiers {
		band := fmt.Sprintf("(%s <= %d > %d)", nominalLeft, seconds(t), seconds(append(opt.Tiers, 0)[i+1]))
		if i == len(opt.Tiers)-1 {
			band = fmt.Sprintf("(%s <= %d >= 0)", nominalLeft, seconds(t))
		}
		g.rules = append(g.rules, rule{
			alert:    "CertificateExpiring",
			expr:     timeLeft + "\nand on (target) " + band + unlessWaived(endsSoon),
			severity: severity(i, len(opt.Tiers)),
			tier:     inventory.TierOf(t),
			summary:  "{{ $labels.target }}: the certificate expires in {{ $value | humanizeDuration }}",
			description: fmt.Sprintf("{{ $labels.target }} is inside its %s tier: the earliest certificate that one of its addresses serves, or an intermediate above it, ends in {{ $value | humanizeDuration }}.%s Renew it, install it everywhere, and look with: certscan scan --no-store {{ $labels.target }}",
				inventory.TierOf(t), who(opt)),
		})
	}
	g.rules = append(g.rules, rule{
		comment: "Of one address it is accepted that its certificate has expired, and that of another will.",
		alert:   "CertificateExpiring",
		expr: openFinding + endsSoon + "\nand on (target) " + timeLeft + " < 0\n" +
			"and on (target) " + waivedUntil + `{code="expired"}`,
		summary: "{{ $labels.target }}: another certificate than the waived one expires",
		description: "One certificate of {{ $labels.target }} has expired, which is waived. Another one, or an intermediate above it, is inside a tier. Finding: {{ $labels.code }}." + who(opt) +
			" Which: certscan show {{ $labels.target }}",
	}, rule{
		comment: "For ten minutes certscan may not have judged yet what was waived until then.",
		alert:   "CertificateExpired",
		expr: "-" + timeLeft + " > 0" + unlessWaived(`{code="expired"}`) +
			"\nunless on (target) (" + waivedUntil + endsSoon + " and on (target) " + timeLeft + " > -600)",
		severity:    inventory.Critical,
		summary:     "{{ $labels.target }}: the certificate expired {{ $value | humanizeDuration }} ago",
		description: "What one of the addresses of {{ $labels.target }} serves, or an intermediate above it, expired {{ $value | humanizeDuration }} ago; clients refuse it." + who(opt) + " Which address: certscan show {{ $labels.target }}",
	})
	return g
}

// renewal tells that a renewal did not come when it should have. When pipelines
// renew does not depend on what tiers are configured.
func renewal(opt Options) group {
	left := nominalLeft
	if opt.AbsoluteTiers || opt.Reference != reference {
		left = "(" + inProportion(reference) + ")"
	}
	return group{
		name: "certscan-renewal",
		comment: "By the target's own history where certscan knows it, else by its lifetime: with a quarter\n" +
			"left, or the 22.5 days that are a quarter of 90, because pipelines renew with a third left\n" +
			"and spread that by up to a twelfth.",
		rules: []rule{{
			alert: "CertificateRenewalOverdue",
			expr: fmt.Sprintf(`%s >= 0
and on (target) (
    certscan:target_open_finding:joined{code="renewal_overdue"}
  or
    time() > certscan:target_renewal_due_timestamp_seconds:max
  or
    (%s < %d unless on (target) certscan:target_renewal_due_timestamp_seconds:max)
)
unless on (target) %s{code="renewal_overdue"}%s`,
				timeLeft, left, seconds(overdue), waivedUntil, unlessWaived(endsSoon, "certscan:target_renewal_due_timestamp_seconds:max")),
			hold:        "1h",
			severity:    inventory.Warning,
			summary:     "{{ $labels.target }}: the renewal is overdue, {{ $value | humanizeDuration }} are left",
			description: "{{ $labels.target }} is usually renewed with more time left than it has now, or has less than a quarter of its lifetime left. The pipeline that renews it has probably stopped." + who(opt) + " What it did before: certscan history {{ $labels.target }}",
		}},
	}
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
