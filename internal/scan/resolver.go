package scan

import (
	"fmt"
	"time"

	"example.com/certscan/internal/inventory"
)

// resolverFailure finds out that names are not resolved for our own fault: each
// of at least three got no answer when it was asked for last. It ends with the
// first answer. Owned by [Confirm], under its mu.
type resolverFailure struct {
	since  time.Time // zero: somebody was answered, or there are too few names
	detail string    // of the last before

	last     map[string]lookup // by target
	silent   int               // of those
	answered time.Time         // when a name was answered last
	asked    time.Time
}

// A lookup is how the name of a target was last asked for.
type lookup struct {
	name   string
	silent bool
}

// hostsFile is the server of a name that needs no resolver.
const hostsFile = "hosts file"

// silence reports whether o says that nobody answered for its name, and whether
// a resolver was asked for it at all.
func silence(o *inventory.Observation) (silent, asked bool) {
	switch s := o.Reach.Status; {
	case o.Address == "" && (s == inventory.ReachDNSTimeout || s == inventory.ReachDNSServFail):
		return true, true
	case o.Resolution == nil || o.Resolution.Server == "" || o.Resolution.Server == hostsFile:
		return false, false
	}
	return false, true
}

// add takes over whether a target's name was answered.
func (f *resolverFailure) add(target inventory.Target, silent bool, at time.Time) {
	if f.last == nil {
		f.last = make(map[string]lookup)
	}
	f.forget(target.Key())
	if f.last[target.Key()] = (lookup{target.DialName(), silent}); silent {
		f.silent++
	} else {
		f.answered = later(f.answered, at)
	}
}

func (f *resolverFailure) forget(target string) {
	if f.last[target].silent {
		f.silent--
	}
	delete(f.last, target)
}

// several reports whether there are names enough to judge by.
func (f *resolverFailure) several() bool {
	names := make(map[string]bool)
	for _, l := range f.last {
		if names[l.name] = true; len(names) == fewTargets {
			return true
		}
	}
	return false
}

// judge says since when nobody answers, and whether that has just ended.
func (f *resolverFailure) judge() (ended bool) {
	switch all := f.silent == len(f.last) && f.several(); {
	case all && f.since.IsZero():
		f.since = time.Now()
	case !all && !f.since.IsZero():
		f.since = time.Time{}
		return true
	}
	return false
}

// resolution takes into account whether r's name was answered. It reports
// whether the findings about our own side are others now.
func (c *Confirm) resolution(r *inventory.Result, ts *targetState, from origin) bool {
	for i := range r.Endpoints {
		o := &r.Endpoints[i].Observation
		silent, asked := silence(o)
		if !asked {
			continue
		}
		was, at := c.names.since, time.Now()
		if from == restored {
			at = o.Time
		}
		if c.names.add(r.Target, silent, at); silent && was.IsZero() {
			c.names.detail = o.Reach.Detail
		}
		if from == restored {
			return false // what that means is known when all are
		}
		if c.names.judge() {
			c.recount()
		}
		if silent && c.opt.Sample != nil && c.names.since.IsZero() && c.undecided(ts) && time.Since(c.names.asked) >= askEvery {
			c.names.asked = time.Now()
			c.opt.Sample(c.sample())
		}
		return c.names.since.IsZero() != was.IsZero()
	}
	return false
}

// undecided reports whether a name that was not answered, and one more time now
// at least, may be so for our fault: nobody else was answered meanwhile.
func (c *Confirm) undecided(ts *targetState) bool {
	s := ts.failures[""]
	return s != nil && s.failures >= failuresToTell-1 && !c.names.answered.After(s.since) && c.names.several()
}

// recount begins the counts of names that were not answered anew: what failed
// for our fault, or was under way when that ended, shows nothing.
func (c *Confirm) recount() {
	for _, ts := range c.targets {
		delete(ts.failures, "")
		for key, fs := range ts.findings {
			if key.Code == inventory.CodeDNSFailure && !fs.open {
				fs.seen = 0
			}
		}
	}
}

// silenced reports whether a failure to resolve is held back for the resolver:
// nobody is answered, or it is not known yet whether anybody is.
func (c *Confirm) silenced(f inventory.Finding, ts *targetState, e *inventory.Endpoint) bool {
	if f.Code != inventory.CodeDNSFailure || e == nil {
		return false
	}
	silent, _ := silence(&e.Observation)
	return silent && (!c.names.since.IsZero() || c.undecided(ts))
}

// words say what is wrong.
func (f *resolverFailure) words() string {
	return fmt.Sprintf("no resolver answers: of the names of %d targets none is resolved (the last one: %q). Check this machine's network, or scan.resolvers. "+
		"Until one is, no further name is told of", len(f.last), f.detail)
}
