package scan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

const (
	leastSample = 20          // targets by which our own side is judged
	mostSample  = 200         // in a large fleet
	suspicious  = 3           // failures in a row of targets that were well, after which others are asked
	askEvery    = time.Minute // at most

	mixedIntervals = 12 // in which some answer, after which most others are told although they fail at once
)

// ownFailure finds out that failures are our own: more than half of the targets
// that were well, and were examined last, do not answer any more.
//
// It ends when three quarters answer, or fewer than 20 are left to judge by. It
// also ends when half have answered for an interval, or any for twelve: then what
// still does not answer is told, be it for our fault. Owned by [Confirm], under
// its mu.
type ownFailure struct {
	is    bool
	since time.Time

	last       []answer  // of distinct targets, the latest at the end
	half, some time.Time // since when half of them answer, and any; zero if they do not
	inRow      int       // failures since the last answer
	asked      time.Time
}

// An answer, or none, of a target that was well.
type answer struct {
	target string
	failed bool
	at     time.Time
}

func (o *ownFailure) forget(target string) {
	o.last = slices.DeleteFunc(o.last, func(a answer) bool { return a.target == target })
}

// observe takes an examination into account: how often addresses failed in a
// row, and whether it is for our side. It reports whether the findings about
// our own side are others now.
func (c *Confirm) observe(r *inventory.Result, ts *targetState) bool {
	for i := range r.Endpoints {
		o := &r.Endpoints[i].Observation
		switch {
		case o.Reach.Status.IsOwnFault():
		case !answered(o):
			if o.Offer == inventory.OfferDefault || o.Offer == inventory.OfferCensus {
				ts.fail(o.Address, 1)
			}
		default:
			ts.well = true
			delete(ts.failures, o.Address)
		}
		if o.Address != "" {
			delete(ts.failures, "") // the name was resolved
		}
	}
	ts.dropAbsent(r)
	if len(r.Endpoints) == 0 || !ts.well {
		return false
	}
	was := c.own.is
	c.own.add(answer{r.Target.Key(), failed(r), time.Now()}, c.sample(), c.opt.Interval, c.opt.Sample)
	return c.own.is != was
}

// failed reports whether no endpoint of r answered.
func failed(r *inventory.Result) bool {
	return !slices.ContainsFunc(r.Endpoints, func(e inventory.Endpoint) bool { return answered(&e.Observation) })
}

// sample is the number of targets by which our own side is judged.
func (c *Confirm) sample() int { return min(max(len(c.targets)/20, leastSample), mostSample) }

// add judges our side by a further answer, with the last n.
func (o *ownFailure) add(a answer, n int, interval time.Duration, ask func(int)) {
	o.forget(a.target)
	o.last = append(o.last, a)
	o.judge(n, interval)
	if o.inRow++; !a.failed {
		o.inRow = 0
	}
	if ask != nil && (o.is || o.inRow >= suspicious) && a.at.Sub(o.asked) >= askEvery {
		o.asked = a.at
		ask(n)
	}
}

// judge judges our side by the last n answers.
func (o *ownFailure) judge(n int, interval time.Duration) {
	o.last = slices.Delete(o.last, 0, max(0, len(o.last)-n))
	failed := 0
	for _, a := range o.last {
		if a.failed {
			failed++
		}
	}
	now := time.Now()
	half, some := lasted(&o.half, 2*failed <= len(o.last), now), lasted(&o.some, failed < len(o.last), now)
	switch {
	case !o.is && len(o.last) >= leastSample && 2*failed > len(o.last):
		o.is, o.since, o.some = true, now, time.Time{}
	case !o.is:
	case len(o.last) < leastSample, 4*failed <= len(o.last):
		o.is = false
	case half >= interval, some >= mixedIntervals*interval:
		o.is, o.last = false, nil // what fails still is told now, and counts no more
	}
}

// lasted is how long something has been so, from since on.
func lasted(since *time.Time, so bool, now time.Time) time.Duration {
	switch {
	case !so:
		*since = time.Time{}
		return 0
	case since.IsZero():
		*since = now
	}
	return now.Sub(*since)
}

// Restored judges our own side by all that was restored.
func (c *Confirm) Restored() {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortStableFunc(c.own.last, func(a, b answer) int { return a.at.Compare(b.at) })
	c.own.judge(c.sample(), c.opt.Interval)
	c.own.last = slices.Clone(c.own.last) // all the others are garbage
	c.names.judge()
	c.proxy.begin()
}

// Own returns the findings about our own side.
func (c *Confirm) Own() []inventory.Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := inventory.Finding{
		Code: inventory.CodeLocationAnomalous, Severity: inventory.CodeLocationAnomalous.DefaultSeverity(),
		Subject: inventory.Subject{Kind: inventory.SubjectLocation, ID: c.opt.Location},
	}
	var what []string
	switch {
	case !c.names.since.IsZero():
		f.Since = c.names.since.UTC()
		what = append(what, c.names.words())
	case c.own.is:
		f.Since = c.own.since.UTC()
		what = append(what, fmt.Sprintf("most targets that were well do not answer any more (of the last %d, more than half): check this machine and its network. Meanwhile no further target is called unreachable", len(c.own.last)))
	}
	if p := &c.proxy; p.issuer != "" {
		if f.Since.IsZero() || p.since.Before(f.Since) {
			f.Since = p.since.UTC()
		}
		what = append(what, intercepted(p.issuer, "not in trust.stores")+". Until they are seen with others, no further name is called untrusted for it")
	}
	if len(what) == 0 {
		return nil
	}
	f.Message = strings.Join(what, "; and ")
	return []inventory.Finding{f}
}
