package verify

import (
	"time"

	"example.com/certscan/internal/inventory"
)

const (
	fewestRenewals = 2        // before anything is learned of them
	lastRenewals   = 5        // that count
	renewalMargin  = 1. / 12. // of the lifetime: pipelines spread renewals by as much
)

// UsualLeft is the part of its lifetime that a certificate had left at least,
// when it was renewed the last times; 0 if nothing can be learned of them.
func UsualLeft(renewals []inventory.Renewal) float64 {
	renewals = renewals[max(0, len(renewals)-lastRenewals):]
	if len(renewals) < fewestRenewals {
		return 0
	}
	least := 1.0
	for _, r := range renewals {
		least = min(least, float64(r.Left)/float64(r.Lifetime))
	}
	return max(0, least)
}

// RenewalDue is when a certificate that expires at a time becomes overdue, if
// it is usually renewed with a part of its lifetime left; zero if nothing usual
// is known, or leaves no margin.
func RenewalDue(usual float64, expires time.Time, lifetime time.Duration) time.Time {
	part := usual - renewalMargin
	if part <= 0 || lifetime <= 0 {
		return time.Time{}
	}
	return expires.Add(-time.Duration(part * float64(lifetime))).UTC().Truncate(time.Second)
}
