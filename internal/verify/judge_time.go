package verify

import (
	"fmt"
	"strconv"
	"time"

	"example.com/certscan/internal/inventory"
)

func ordinal(n int) string { return strconv.Itoa(n) }

// judgeTime judges the leaf's dates, and the effective expiry: the earliest
// not-after of leaf and intermediates on the best path.
//
// One fact is one finding. The leaf is "expired" or "expiring". Where an
// intermediate ends first, that is "chain_expiring" if it is nearer than the
// leaf by a tier; in the same tier the renewal that is due anyway brings a new
// chain, and "expiring" says so. Both are found only where they are two jobs.
// An intermediate that has expired is a fact of trust.
func (x *exam) judgeTime() {
	leaf, now := &x.leaf.info, x.now
	if !x.leaf.dated {
		x.verdict.Time.Status = inventory.NotChecked // and no expiry: unknown is not year 1
		return
	}
	end := leaf.NotAfter.Add(time.Second)
	x.changes(leaf.NotBefore)
	x.changes(end)
	x.expiry = &inventory.Expiry{At: leaf.NotAfter, By: "leaf", Subject: leaf.Subject}
	x.lifetime = leaf.Lifetime()
	if best := x.answer.best; best != nil && best.first != nil && best.ends.Before(leaf.NotAfter) {
		c := &best.first.info
		x.expiry = &inventory.Expiry{At: c.NotAfter, By: "intermediate", Subject: c.Subject}
		x.lifetime = c.Lifetime()
	}
	x.tier = x.judge.tier(x.expiry.At, x.lifetime, now)
	own := x.judge.tier(leaf.NotAfter, leaf.Lifetime(), now)
	x.tierChanges(leaf.NotAfter, leaf.Lifetime())
	x.tierChanges(x.expiry.At, x.lifetime)

	early, late := now.Before(leaf.NotBefore), !now.Before(end)
	if early {
		x.verdict.Time.Status = inventory.TimeNotYetValid
		hint := ""
		if leaf.NotBefore.Sub(now) < 24*time.Hour {
			hint = "; if it was just issued, a clock is wrong, there or here"
		}
		x.find(inventory.CodeNotYetValid, "the certificate is not valid before %s, in %s%s", date(leaf.NotBefore), span(leaf.NotBefore.Sub(now)), hint)
	}
	if late { // and perhaps early, too: of the two states this one never passes
		x.verdict.Time.Status = inventory.TimeExpired
		x.find(inventory.CodeExpired, "expired %s ago, on %s", span(now.Sub(leaf.NotAfter)), date(leaf.NotAfter))
	}
	if early || late {
		return
	}
	x.verdict.Time.Status = inventory.TimeValid
	if x.tier == inventory.TierExpired {
		return
	}
	byChain := x.expiry.By == "intermediate"
	if byChain && x.tier != "" && x.tier != own {
		severity := inventory.CodeChainExpiring.DefaultSeverity()
		if s := x.judge.tierSeverity(x.tier); s.AtLeast(severity) {
			severity = s
		}
		x.add(inventory.CodeChainExpiring, "", severity, fmt.Sprintf("the intermediate %s expires in %s, on %s, before the certificate itself (%s); send a newer one",
			quote(x.expiry.Subject), span(x.expiry.At.Sub(now)), date(x.expiry.At), date(leaf.NotAfter)))
	}
	if own != "" {
		also := ""
		if byChain && x.tier == own {
			also = fmt.Sprintf("; its intermediate already on %s", date(x.expiry.At))
		}
		x.add(inventory.CodeExpiring, "", x.judge.tierSeverity(own), fmt.Sprintf("expires in %s, on %s%s", span(leaf.NotAfter.Sub(now)), date(leaf.NotAfter), also))
	}
}

// effective is the size of a nominal tier for a certificate of the lifetime.
func (j *Judge) effective(tier, lifetime time.Duration) time.Duration {
	if j.opt.AbsoluteTiers || lifetime >= j.opt.Reference {
		return tier
	}
	return time.Duration(float64(tier) * (float64(max(lifetime, 0)) / float64(j.opt.Reference)))
}

// tier is the smallest tier that has been entered.
func (j *Judge) tier(expiry time.Time, lifetime time.Duration, now time.Time) inventory.Tier {
	if !now.Before(expiry.Add(time.Second)) {
		return inventory.TierExpired
	}
	left := expiry.Sub(now)
	for _, t := range j.opt.Tiers { // smallest first
		if left <= j.effective(t, lifetime) {
			return inventory.TierOf(t)
		}
	}
	return ""
}

// tierSeverity: the two smallest tiers are critical, the next is a warning, the
// others are information.
func (j *Judge) tierSeverity(t inventory.Tier) inventory.Severity {
	for i, size := range j.opt.Tiers {
		switch {
		case inventory.TierOf(size) != t:
		case i < 2:
			return inventory.Critical
		case i == 2:
			return inventory.Warning
		}
	}
	return inventory.Info
}

func (x *exam) tierChanges(expiry time.Time, lifetime time.Duration) {
	for _, t := range x.judge.opt.Tiers {
		x.changes(expiry.Add(-x.judge.effective(t, lifetime)))
	}
	x.changes(expiry.Add(time.Second))
}
