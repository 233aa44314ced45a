// Package dashboards holds the Grafana dashboards that belong to certscan's
// metrics, and prints them for the tiers and labels that a team has configured.
//
// It does not talk to Grafana: people import, provision or mount what it prints.
// Its invariant: what Write prints with the zero Options is what is checked in
// beside it, and every query of that has been answered by Prometheus.
package dashboards

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

const day = 24 * time.Hour

// DefaultDocsBase is where the manual is looked for unless it is said where it
// was published.
const DefaultDocsBase = "https://example.com/certscan/docs"

// Options say what the dashboards are printed for.
type Options struct {
	// Tiers are the nominal distances to expiry. Default: 60, 30, 14, 7, 3 days.
	Tiers []time.Duration

	// Reference is the lifetime below which tiers shrink in proportion. Default:
	// 90 days.
	Reference time.Duration

	// AbsoluteTiers keeps tiers at their nominal size whatever the lifetime.
	AbsoluteTiers bool

	// Labels are those of targets that one can choose by, without the prefix
	// "label_" that they have on certscan_target_info. Default: owner,
	// environment, platform. An empty list that is not nil is none.
	Labels []string

	// DocsBase is the address under which docs/ is published, for links to
	// runbooks and findings. Default: DefaultDocsBase.
	DocsBase string
}

// Names returns the names of the dashboards, as they are linked.
func Names() []string { return []string{"fleet", "endpoint", "operations"} }

// Write prints the dashboard of that name, as classic JSON that every Grafana
// from version 10 on can import. An error that is not of w says what is wrong
// with name or opt.
func Write(w io.Writer, name string, opt Options) error {
	opt, err := opt.complete()
	if err != nil {
		return err
	}
	var d dashboard
	switch name {
	case "fleet":
		d = fleet(opt)
	case "endpoint":
		d = endpoint(opt)
	case "operations":
		d = operations(opt)
	default:
		return fmt.Errorf("dashboard %q: want one of %s", name, strings.Join(Names(), ", "))
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(d.encode(opt))
}

// taken are the variables that dashboards have of their own.
func taken() []string {
	return []string{"datasource", "instance", "job", "location", "search", "severity", "target"}
}

var unsafe = regexp.MustCompile(`[\s"'{}$\\]`)

// complete fills in the defaults and checks the rest.
func (opt Options) complete() (Options, error) {
	if opt.Tiers == nil {
		opt.Tiers = inventory.DefaultTiers()
	}
	opt.Tiers = slices.Clone(opt.Tiers)
	slices.Sort(opt.Tiers) // the nearest to the expiry first
	if opt.Reference == 0 {
		opt.Reference = inventory.DefaultReference
	}
	if opt.Labels == nil {
		opt.Labels = inventory.DefaultLabels()
	}
	if opt.DocsBase == "" {
		opt.DocsBase = DefaultDocsBase
	}
	opt.DocsBase = strings.TrimSuffix(opt.DocsBase, "/")
	return opt, opt.check()
}

// check reports everything that is wrong with complete options.
func (opt Options) check() error {
	errs := []error{inventory.CheckTiers(opt.Tiers), inventory.CheckMetricLabels(opt.Labels, taken())}
	if opt.Reference < time.Second {
		errs = append(errs, fmt.Errorf("reference %v: want a lifetime", opt.Reference))
	}
	if u, err := url.Parse(opt.DocsBase); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || unsafe.MatchString(opt.DocsBase) {
		errs = append(errs, fmt.Errorf("docs base %q: want an address such as %s", opt.DocsBase, DefaultDocsBase))
	}
	return errors.Join(errs...)
}

// urgent is the number of tiers that are critical; the next is a warning.
func (opt Options) urgent() int { return min(2, len(opt.Tiers)) }

// tierNames are the tiers as certscan_certificates has them, the nearest first.
func (opt Options) tierNames() []string {
	names := []string{string(inventory.TierExpired)}
	for _, t := range opt.Tiers {
		names = append(names, string(inventory.TierOf(t)))
	}
	return names
}

// tierColor is the color of the i-th of tierNames.
func (opt Options) tierColor(i int) string {
	switch {
	case i == 0:
		return "purple"
	case i == 1:
		return "semi-dark-red"
	case i <= opt.urgent():
		return "light-red"
	case i == opt.urgent()+1:
		return "orange"
	case (i-opt.urgent())%2 == 0:
		return "yellow"
	}
	return "super-light-yellow" // of neighbours each has its own
}

// timeLeft colors a time to expiry in seconds.
func (opt Options) timeLeft() []step {
	steps := []step{{color: "purple"}}
	for i := range opt.Tiers {
		at := 0 * day
		if i > 0 {
			at = opt.Tiers[i-1]
		}
		steps = append(steps, step{at.Seconds(), opt.tierColor(i + 1)})
	}
	last := 0 * day
	if n := len(opt.Tiers); n > 0 {
		last = opt.Tiers[n-1]
	}
	return append(steps, step{last.Seconds(), "green"})
}

// tierWords names the tier of a nominal time to expiry in seconds.
func (opt Options) tierWords() []word {
	// Bands are half-open, as those of the alerts: a tier includes its own
	// distance. Grafana takes the first word that fits.
	words := []word{{from: math.Inf(-1), to: -1e-3, text: string(inventory.TierExpired), color: opt.tierColor(0)}}
	from := 0.0
	for i, t := range opt.Tiers {
		words = append(words, word{from: from, to: t.Seconds(), text: string(inventory.TierOf(t)), color: opt.tierColor(i + 1)})
		from = t.Seconds()
	}
	return append(words, word{from: from, to: math.Inf(1), text: "later", color: "green"})
}
