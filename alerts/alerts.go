// Package alerts holds the Prometheus rules, the Alertmanager example and the
// message template that belong to certscan's metrics, and prints the rules for
// the tiers and labels that a team has configured.
//
// It does not evaluate, deliver or silence anything: that is what Prometheus and
// Alertmanager are for. Its invariant: what Write prints with the zero Options
// is what is checked in beside it and what promtool has tested.
package alerts

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// Files are what is checked in: the rules as Write prints them by default, the
// series of common tutorials, and the example for Alertmanager.
//
//go:embed *.rules.yml alertmanager.example.yml certscan.tmpl metrics.txt
var Files embed.FS

// The values of [Options.Detail]: how much the exporter is configured to show.
const (
	DetailAll  = "all"  // targets, also if only those that need attention
	DetailNone = "none" // fleet totals
)

// The values of [Options.Format].
const (
	FormatPrometheus = "prometheus" // a rule file
	FormatOperator   = "operator"   // a PrometheusRule of the Prometheus operator
)

const (
	day = 24 * time.Hour

	// reference is the lifetime below which tiers shrink in proportion, unless
	// another is configured.
	reference = inventory.DefaultReference

	// overdue is the nominal time left at which a renewal is late: a quarter of
	// the reference. Pipelines renew with a third left, and spread that over less
	// than a twelfth of the lifetime.
	overdue = reference / 4
)

// Options say what the rules are printed for.
type Options struct {
	// Tiers are the nominal distances to expiry. Default: 60, 30, 14, 7, 3 days.
	Tiers []time.Duration

	// Reference is the lifetime below which tiers shrink in proportion. Default:
	// 90 days.
	Reference time.Duration

	// AbsoluteTiers keeps tiers at their nominal size whatever the lifetime.
	AbsoluteTiers bool

	// Labels are those of targets that alerts carry, without the prefix "label_"
	// that they have on certscan_target_info. Default: owner, environment,
	// platform. An empty list that is not nil is none.
	Labels []string

	// RunbookBase is the address under which docs/runbooks is published. Default:
	// DefaultRunbookBase.
	RunbookBase string

	// Job is a regular expression for the scrape jobs of certscan. Default:
	// "certscan.*".
	Job string

	// StaleAfter is how old the newest probe of a location may be: 2.5 scan
	// intervals. Default: 2h30m.
	StaleAfter time.Duration

	Detail string // default: DetailAll
	Format string // default: FormatPrometheus
}

// DefaultRunbookBase is where the runbooks are looked for unless it is said
// where they were published.
const DefaultRunbookBase = "https://example.com/certscan/docs/runbooks"

// Write prints the rules. An error that is not of w names what in opt is wrong.
func Write(w io.Writer, opt Options) error {
	opt, err := opt.complete()
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, encode(opt, groups(opt)))
	return err
}

// Names returns the names of all alerts that Write can print, sorted.
func Names() []string {
	seen := make(map[string]bool)
	for _, detail := range []string{DetailAll, DetailNone} {
		opt, err := Options{Detail: detail}.complete()
		if err != nil {
			continue // the zero Options are complete
		}
		for _, g := range groups(opt) {
			for _, r := range g.rules {
				seen[r.alert] = r.alert != ""
			}
		}
	}
	var names []string
	for name, is := range seen {
		if is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// taken are the labels that alerts have of their own.
func taken() []string {
	return []string{
		"address", "alertname", "alertstate", "code", "fingerprint", "instance", "job", "location", "outcome",
		"reason", "rule", "severity", "source", "subject", "subject_cn", "target", "tier",
	}
}

var unsafe = regexp.MustCompile(`[\s"'{}\\]`)

// complete fills in the defaults and checks the rest.
func (opt Options) complete() (Options, error) {
	if opt.Tiers == nil {
		opt.Tiers = inventory.DefaultTiers()
	}
	opt.Tiers = slices.Clone(opt.Tiers)
	slices.Sort(opt.Tiers)
	slices.Reverse(opt.Tiers) // largest first, as they are entered
	if opt.Reference == 0 {
		opt.Reference = reference
	}
	if opt.Labels == nil {
		opt.Labels = inventory.DefaultLabels()
	}
	if opt.RunbookBase == "" {
		opt.RunbookBase = DefaultRunbookBase
	}
	opt.RunbookBase = strings.TrimSuffix(opt.RunbookBase, "/")
	if opt.Job == "" {
		opt.Job = "certscan.*"
	}
	if opt.StaleAfter == 0 {
		opt.StaleAfter = 150 * time.Minute
	}
	if opt.Detail == "" {
		opt.Detail = DetailAll
	}
	if opt.Format == "" {
		opt.Format = FormatPrometheus
	}
	return opt, opt.check()
}

// check reports everything that is wrong with complete options.
func (opt Options) check() error {
	errs := []error{inventory.CheckTiers(opt.Tiers), inventory.CheckMetricLabels(opt.Labels, taken())}
	if opt.Reference < time.Second {
		errs = append(errs, fmt.Errorf("reference %v: want a lifetime", opt.Reference))
	}
	if u, err := url.Parse(opt.RunbookBase); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || unsafe.MatchString(opt.RunbookBase) {
		errs = append(errs, fmt.Errorf("runbook base %q: want an address such as %s", opt.RunbookBase, DefaultRunbookBase))
	}
	if _, err := regexp.Compile(opt.Job); err != nil || strings.ContainsAny(opt.Job, "\"\n") {
		errs = append(errs, fmt.Errorf("job %q: want a regular expression for the names of scrape jobs, such as certscan.*", opt.Job))
	}
	if opt.StaleAfter < time.Minute {
		errs = append(errs, fmt.Errorf("stale after %v: want 2.5 scan intervals, and no less than a minute", opt.StaleAfter))
	}
	if opt.Detail != DetailAll && opt.Detail != DetailNone {
		errs = append(errs, fmt.Errorf("detail %q: want %s or %s", opt.Detail, DetailAll, DetailNone))
	}
	if opt.Format != FormatPrometheus && opt.Format != FormatOperator {
		errs = append(errs, fmt.Errorf("format %q: want %s or %s", opt.Format, FormatPrometheus, FormatOperator))
	}
	return errors.Join(errs...)
}

// severity of the i-th of n tiers, largest first: the two nearest to the expiry
// are critical, the next is a warning, the others are information.
func severity(i, n int) inventory.Severity {
	switch {
	case i >= n-2:
		return inventory.Critical
	case i == n-3:
		return inventory.Warning
	}
	return inventory.Info
}
