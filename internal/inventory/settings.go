package inventory

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// DefaultTiers are the distances before expiry at which somebody is told unless
// others are chosen, the longest first.
func DefaultTiers() []time.Duration {
	const day = 24 * time.Hour
	return []time.Duration{60 * day, 30 * day, 14 * day, 7 * day, 3 * day}
}

// DefaultReference is the lifetime below which tiers shrink in proportion unless
// another is chosen.
const DefaultReference = 90 * 24 * time.Hour

// DefaultLabels are the labels of targets that metrics, rules and dashboards have
// unless others are chosen.
func DefaultLabels() []string { return []string{"owner", "environment", "platform"} }

var metricLabel = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// CheckTiers says what is wrong with tiers that rules and dashboards are to tell
// apart, sorted.
func CheckTiers(tiers []time.Duration) error {
	var errs []error
	for i, t := range tiers {
		switch {
		case t <= 0 || t%time.Second != 0:
			errs = append(errs, fmt.Errorf("tier %v: want a distance before expiry in whole seconds", t))
		case i > 0 && TierOf(t) == TierOf(tiers[i-1]):
			errs = append(errs, fmt.Errorf("tiers %v and %v have the same name %q", tiers[i-1], t, TierOf(t)))
		}
	}
	return errors.Join(errs...)
}

// CheckMetricLabels says what is wrong with names of labels that rules and
// dashboards are to have beside their own, which are taken.
func CheckMetricLabels(labels, taken []string) error {
	var errs []error
	for i, l := range labels {
		switch {
		case !metricLabel.MatchString(l):
			errs = append(errs, fmt.Errorf("label %q: want letters, digits and \"_\", which is what the metrics have for everything else", l))
		case slices.Contains(taken, l) || strings.HasPrefix(l, "__"):
			errs = append(errs, fmt.Errorf("label %q: there is one of that name already", l))
		case slices.Contains(labels[:i], l):
			errs = append(errs, fmt.Errorf("label %q stands there twice", l))
		}
	}
	return errors.Join(errs...)
}
