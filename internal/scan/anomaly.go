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
)

// ownFailure finds out that failures are our own: more than half of the targets
// that were well, and were examined last, do not answer any more. It ends when
// three quarters answer. Owned by [Confirm], under its mu.
type ownFailure struct {
	is    bool
	since time.Time

	last  []answer // of distinct targets, the latest at the end
	inRow int      // failures since the last answer
	asked time.Time
}

// An answer, or none, of a target that was well.
type answer struct {
	target string
	failed bool
}

func (o *ownFailure) forget(target string) {
	o.last = slices.DeleteFunc(o.last, func(a answer) bool { return a.target == target })
}

// observe takes an examination into account: how often addresses failed in a
// row, and whether it is for our side. It reports whether the findings about
// our own side are others now.
func (c *Confirm) observe(r *inventory.Result, v *vigil) bool {
	failed := true
	for i := range r.Endpoints {
		o := &r.Endpoints[i].Observation
		switch {
		case o.Reach.Status == inventory.ReachNoRoute:
		case !answered(o):
			if o.Offer == inventory.OfferDefault || o.Offer == inventory.OfferCensus {
				v.fail(o.Address, 1)
			}
		default:
			failed = false
			delete(v.failures, o.Address)
		}
		if o.Address != "" {
			delete(v.failures, "") // the name was resolved
		}
	}
	switch {
	case len(r.Endpoints) == 0:
		return false
	case !failed:
		v.well = true
	case !v.well:
		return false
	}
	return c.own.add(answer{r.Target.Key(), failed}, min(max(len(c.targets)/20, leastSample), mostSample), c.opt.Sample)
}

// add judges our side by a further answer, with the last n. It reports whether
// the judgement changed.
func (o *ownFailure) add(a answer, n int, ask func(int)) bool {
	o.forget(a.target)
	o.last = append(o.last, a)
	o.last = slices.Delete(o.last, 0, max(0, len(o.last)-n))
	failed := 0
	for _, l := range o.last {
		if l.failed {
			failed++
		}
	}
	if o.inRow++; !a.failed {
		o.inRow = 0
	}
	was, now := o.is, time.Now()
	switch {
	case len(o.last) < leastSample:
	case !o.is && 2*failed > len(o.last):
		o.is, o.since = true, now
	case o.is && 4*failed <= len(o.last):
		o.is = false
	}
	if ask != nil && (o.is || o.inRow >= suspicious) && now.Sub(o.asked) >= askEvery {
		o.asked = now
		ask(n)
	}
	return o.is != was
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
	if c.own.is {
		f.Since = c.own.since.UTC()
		what = append(what, fmt.Sprintf("most targets that were well do not answer any more (of the last %d, more than half): check this machine and its network. Until they do, no further target is called unreachable", len(c.own.last)))
	}
	if c.proxy.issuer == "" {
		c.proxy.begin() // by what was restored
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
