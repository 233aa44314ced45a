package scan

import (
	"slices"
	"sync"
	"time"

	"example.com/certscan/internal/inventory"
)

const (
	failuresToTell = 3 // examinations in a row without a connection before that is told
	sightingsTell  = 2 // and examinations that saw anything else that is wrong

	flapOpenings  = 3  // a finding that opened so often
	flapIntervals = 12 // within so many intervals comes and goes: it is held open
	calmIntervals = 4  // until it stayed away for so many

	absences = 4 // examinations of a target without an address, after which its failures are forgotten
)

// ConfirmOptions say how a [Confirm] decides.
type ConfirmOptions struct {
	Location string        // which examines; defaults to [inventory.LocalLocation]
	Interval time.Duration // between two examinations of a target; default 1h

	// Sample asks for examinations of up to n targets that were well, to find out
	// whether a failure is theirs or ours; nil: nobody is asked.
	Sample func(n int)
}

// Confirm holds findings back until they are confirmed.
//
// A failure to connect is told after three examinations in a row, anything else
// that an examination saw for the first time after two, so it has to be followed
// by others soon. What is only information is told at once, and so is what needs
// no examination to become true: time passed, or something is judged otherwise.
//
// A finding that opened three times within twelve intervals is held open until
// it stayed away for four. While most targets that were well fail at once, no
// failure to connect is told, but that one thing about our own side; and no
// unknown issuer while a proxy replaces certificates.
//
// It keeps no facts and changes none. It is safe for concurrent use.
type Confirm struct {
	opt ConfirmOptions

	mu      sync.Mutex
	targets map[string]*targetState
	own     ownFailure
	names   resolverFailure
	proxy   interception
	round   uint64 // counts results
}

// A targetState is what is known of the findings of one target.
type targetState struct {
	well     bool               // it answered, and no failure to connect was told since
	issuer   string             // unknown and not told, when a certificate was seen last
	failures map[string]*streak // by address; "" is of resolving
	findings map[inventory.FindingKey]*findingState
}

// A streak is of failures at one address.
type streak struct {
	since    time.Time // of the first that is known
	failures int       // in a row
	absent   int       // examinations of the target in a row for which it had no such address
}

// A findingState is what is known of one finding.
type findingState struct {
	open  bool
	seen  int    // examinations in a row that found it, until it is open
	found uint64 // round of the result that had it last

	opened    []time.Time       // lately; for what comes and goes
	finding   inventory.Finding // as found last
	heldSince time.Time         // since when it is held open although it is not found
	served    issued            // when it was first looked for in vain, if it is of an expectation
}

// An Outcome is what became of the findings of a result.
type Outcome struct {
	Opened, Closed []inventory.Finding // of those that are closed, only the key

	// Again: something is held back until the target is examined again.
	Again bool

	// Own: the findings about our own side are others than before.
	Own bool
}

// NewConfirm returns a Confirm that knows of nothing.
func NewConfirm(opt ConfirmOptions) *Confirm {
	if opt.Location == "" {
		opt.Location = inventory.LocalLocation
	}
	if opt.Interval <= 0 {
		opt.Interval = time.Hour
	}
	return &Confirm{opt: opt, targets: make(map[string]*targetState)}
}

// Configure changes the interval.
func (c *Confirm) Configure(interval time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opt.Interval = interval
}

// How a result came about.
type origin int

const (
	restored origin = iota
	rejudged
	examined
)

// Examined takes the findings off r that are not confirmed.
func (c *Confirm) Examined(r *inventory.Result) Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	ts := c.state(r.Target.Key())
	failing, proxied := c.observe(r, ts), c.sight(r, ts, examined)
	silent := c.resolution(r, ts, examined)
	out := c.confirm(r, ts, examined)
	out.Own = failing || proxied || silent
	return out
}

// Rejudged takes those findings off r that wait for an examination, when r was
// judged again without one.
func (c *Confirm) Rejudged(r *inventory.Result) Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.confirm(r, c.state(r.Target.Key()), rejudged)
}

// Memory is how far back it counts what was told.
func (c *Confirm) Memory() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return flapIntervals * c.opt.Interval
}

// Remember takes up a finding of the history that was open within
// [Confirm.Memory]: what came and went before a restart still does. Findings come
// in the order in which they opened, and before [Confirm.Restore].
//
// Since when one is held open is not in the history: it is from now on.
func (c *Confirm) Remember(s inventory.FindingSpan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ts, key := c.state(s.Target), s.Finding.Key()
	if !s.Closed.IsZero() && s.Reason != inventory.ReasonGone {
		delete(ts.findings, key) // with its subject
		return
	}
	fs := ts.finding(key)
	fs.open, fs.finding = s.Closed.IsZero(), s.Finding
	fs.opened = lately(append(fs.opened, s.Opened), time.Now().Add(-flapIntervals*c.opt.Interval))
}

// Restore takes up a result that was judged from what is stored. open reports
// whether a finding is open in the store, and count how many examinations in a
// row saw the present state of a view. Failures to connect wait for an examination:
// whether they were held back for our own fault is known when all are restored,
// after which comes [Confirm.Restored].
func (c *Confirm) Restore(r *inventory.Result, open func(inventory.FindingKey) bool, count func(inventory.View) int64) Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	ts := c.state(r.Target.Key())
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		ts.well = ts.well || e.Judgement.Certificate != nil
		if !answered(&e.Observation) {
			ts.fail(e.Observation.Address, int(count(e.Observation.View())))
		}
	}
	all(r, func(_ inventory.Subject, e *inventory.Endpoint, findings *[]inventory.Finding) {
		for _, f := range *findings {
			switch fs := ts.finding(f.Key()); {
			case open(f.Key()):
				fs.open = true
				ts.well = ts.well && !ofConnecting(f.Code)
			case e != nil:
				fs.seen = int(count(e.Observation.View()))
			default:
				fs.seen = sightingsTell // of the target as a whole: by its views, which were looked at
			}
		}
	})
	if ts.well && len(r.Endpoints) > 0 {
		a := answer{target: r.Target.Key(), failed: failed(r)}
		for i := range r.Endpoints {
			a.at = later(a.at, r.Endpoints[i].Observation.Time)
		}
		c.own.last = append(c.own.last, a)
	}
	c.resolution(r, ts, restored)
	c.sight(r, ts, restored)
	return c.confirm(r, ts, restored)
}

// Hide takes the findings off r that are held back, when r is only shown.
func (c *Confirm) Hide(r *inventory.Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ts := c.targets[r.Target.Key()]
	if ts == nil {
		return
	}
	all(r, func(_ inventory.Subject, _ *inventory.Endpoint, findings *[]inventory.Finding) {
		held := func(f inventory.Finding) bool { fs := ts.findings[f.Key()]; return fs != nil && !fs.open }
		if slices.ContainsFunc(*findings, held) {
			*findings = slices.DeleteFunc(slices.Clone(*findings), held)
		}
	})
}

// Forget drops what is known of targets.
func (c *Confirm) Forget(targets []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range targets {
		delete(c.targets, t)
		c.own.forget(t)
		c.names.forget(t)
		c.proxy.forget(t)
	}
	if c.names.judge() {
		c.recount()
	}
	c.own.judge(c.sample(), c.opt.Interval)
}

func (c *Confirm) state(target string) *targetState {
	ts := c.targets[target]
	if ts == nil {
		ts = new(targetState)
		c.targets[target] = ts
	}
	return ts
}

func (ts *targetState) finding(key inventory.FindingKey) *findingState {
	if ts.findings == nil {
		ts.findings = make(map[inventory.FindingKey]*findingState)
	}
	fs := ts.findings[key]
	if fs == nil {
		fs = new(findingState)
		ts.findings[key] = fs
	}
	return fs
}

func (ts *targetState) fail(address string, n int) {
	if ts.failures == nil {
		ts.failures = make(map[string]*streak)
	}
	if ts.failures[address] == nil {
		ts.failures[address] = &streak{since: time.Now()}
	}
	ts.failures[address].failures += n
}

// inRow is how often e's address failed in a row; 0 if e is nil.
func (ts *targetState) inRow(e *inventory.Endpoint) int {
	if e == nil {
		return 0
	}
	if s := ts.failures[e.Observation.Address]; s != nil {
		return s.failures
	}
	return 0
}

// dropAbsent drops the failures of addresses that the target no longer has. A
// name that could not be resolved has those of before.
func (ts *targetState) dropAbsent(r *inventory.Result) {
	if len(ts.failures) == 0 || ts.failures[""] != nil {
		return
	}
	has := make(map[string]bool)
	for _, views := range [][]inventory.Endpoint{r.Endpoints, r.Carried} {
		for i := range views {
			o := &views[i].Observation
			has[o.Address] = true
			if o.Resolution == nil {
				continue
			}
			for _, a := range o.Resolution.Addresses { // not all are examined each time
				has[a.String()] = true
			}
		}
	}
	for address, s := range ts.failures {
		if s.absent++; has[address] {
			s.absent = 0
		}
		if s.absent >= absences {
			delete(ts.failures, address)
		}
	}
}

// all calls f with the findings of every subject of r, and with the endpoint if
// it was examined.
func all(r *inventory.Result, f func(s inventory.Subject, e *inventory.Endpoint, findings *[]inventory.Finding)) {
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		f(viewSubject(e), e, &e.Judgement.Findings)
	}
	for i := range r.Carried {
		e := &r.Carried[i]
		f(viewSubject(e), nil, &e.Judgement.Findings)
	}
	f(inventory.Subject{Kind: inventory.SubjectTarget, ID: r.Target.Key()}, nil, &r.Judgement.Findings)
}

func viewSubject(e *inventory.Endpoint) inventory.Subject {
	return inventory.Subject{Kind: inventory.SubjectView, ID: e.Observation.View().ID()}
}

// confirm decides over every finding of r.
func (c *Confirm) confirm(r *inventory.Result, ts *targetState, from origin) (out Outcome) {
	now := time.Now()
	late := from == examined && outdated(r, now)
	lost := slices.ContainsFunc(r.Endpoints, unresolved)
	behind := c.proxy.behind(r)
	c.round++
	judged := make(map[inventory.Subject]*[]inventory.Finding)
	all(r, func(s inventory.Subject, e *inventory.Endpoint, findings *[]inventory.Finding) {
		judged[s] = findings
		kept := (*findings)[:0:0]
		for _, f := range *findings {
			fs := ts.finding(f.Key())
			again := fs.found == c.round // twice in one result
			fs.found = c.round
			fs.finding, fs.heldSince = f, time.Time{}
			if from == examined && !again && (e != nil || s.Kind == inventory.SubjectTarget) {
				fs.seen++
			}
			if fs.holds(f, behind[s]) {
				continue
			}
			if !fs.open && !c.tell(f, fs, ts, e, from) {
				unseen := lost && e == nil && s.Kind == inventory.SubjectView // nor will it be soon
				out.Again = out.Again || !unseen && c.again(f, ts, e, from)
				continue
			}
			if !fs.open {
				fs.open = true
				fs.opened = append(lately(fs.opened, now.Add(-flapIntervals*c.opt.Interval)), now)
				if ofConnecting(f.Code) {
					ts.well = false
					c.own.forget(r.Target.Key())
				}
				out.Opened = append(out.Opened, f)
			}
			kept = append(kept, f)
		}
		if len(kept) < len(*findings) {
			*findings = kept
		}
	})
	for key, fs := range ts.findings {
		if fs.found == c.round {
			continue
		}
		findings, spoken := judged[key.Subject]
		if !spoken && from != examined {
			continue // else the view is not current any more: all that are come with an examination
		}
		if fs.open && spoken && (fs.awaits(key.Code, r) || late && ofTime(key.Code) || c.comesAndGoes(fs, now)) {
			*findings = append(slices.Clip(*findings), fs.finding)
			continue
		}
		if fs.open {
			out.Closed = append(out.Closed, inventory.Finding{Code: key.Code, Rule: key.Rule, Subject: key.Subject})
		}
		fs.open, fs.seen = false, 0
		if fs.opened = lately(fs.opened, now.Add(-flapIntervals*c.opt.Interval)); len(fs.opened) == 0 || !spoken {
			delete(ts.findings, key)
		}
	}
	return out
}

// outdated reports whether a moment has passed at which time alone changes what
// r says: it was judged before, and has waited to be recorded.
func outdated(r *inventory.Result, now time.Time) bool {
	passed := func(e inventory.Endpoint) bool {
		return !e.Judgement.ValidUntil.IsZero() && !e.Judgement.ValidUntil.After(now)
	}
	return slices.ContainsFunc(r.Endpoints, passed) || slices.ContainsFunc(r.Carried, passed)
}

// tell decides whether a finding that is not open opens.
func (c *Confirm) tell(f inventory.Finding, fs *findingState, ts *targetState, e *inventory.Endpoint, from origin) bool {
	if !f.Severity.AtLeast(inventory.Warning) {
		return true
	}
	if ofConnecting(f.Code) {
		return from != restored && max(fs.seen, ts.inRow(e)) >= failuresToTell && !c.own.is && !c.silenced(f, ts, e)
	}
	switch {
	case from == restored && ofOthers(f.Code):
		return false // nobody has been asked yet, or looked at
	case fs.seen >= sightingsTell:
		return true
	case from == rejudged:
		return fs.seen == 0 // no examination waits to be confirmed
	case from == restored:
		return ofTime(f.Code)
	}
	return false
}

// again reports whether a finding that is held back needs an examination soon.
func (c *Confirm) again(f inventory.Finding, ts *targetState, e *inventory.Endpoint, from origin) bool {
	switch {
	case ofConnecting(f.Code) && (c.own.is || f.Code == inventory.CodeDNSFailure && !c.names.since.IsZero()):
		return false // a sample is asked, and not everybody: that would be the worst moment
	case from != restored:
		return true
	case ofConnecting(f.Code):
		return ts.inRow(e) < failuresToTell // else it was held back before
	}
	return !ofOthers(f.Code)
}

// comesAndGoes reports whether an open finding that is not there is held open.
func (c *Confirm) comesAndGoes(fs *findingState, now time.Time) bool {
	if fs.opened = lately(fs.opened, now.Add(-flapIntervals*c.opt.Interval)); fs.heldSince.IsZero() {
		if len(fs.opened) < flapOpenings {
			return false
		}
		fs.heldSince = now
	}
	if now.Sub(fs.heldSince) < calmIntervals*c.opt.Interval {
		return true
	}
	fs.opened = nil
	return false
}

// lately drops the times before a time.
func lately(times []time.Time, since time.Time) []time.Time {
	return slices.DeleteFunc(times, func(t time.Time) bool { return t.Before(since) })
}

// ofConnecting reports whether a finding says that there was no connection.
func ofConnecting(c inventory.Code) bool {
	return c == inventory.CodeUnreachable || c == inventory.CodeDNSFailure
}

// ofTime reports whether time alone opens such findings.
func ofTime(c inventory.Code) bool {
	switch c {
	case inventory.CodeExpired, inventory.CodeExpiring, inventory.CodeChainExpiring, inventory.CodeExpiredInChain,
		inventory.CodeAnchorExpired, inventory.CodeStapleStale:
		return true
	}
	return false
}

// ofOthers reports whether asking somebody, or how others are seen, may take
// such a finding away.
func ofOthers(c inventory.Code) bool { return c == inventory.CodeRevocationUnknown || ofIssuer(c) }

// unresolved reports whether e stands for a name that no address was found for.
func unresolved(e inventory.Endpoint) bool {
	return e.Observation.Address == "" && e.Observation.Reach.Status.IsDNS()
}

// answered reports whether there was a connection to whatever o is of.
func answered(o *inventory.Observation) bool {
	switch o.Reach.Status {
	case inventory.ReachOK, inventory.ReachTLSAlert, inventory.ReachNotTLS, inventory.ReachSTARTTLSMissing, inventory.ReachSTARTTLSRefused:
		return true
	}
	return len(o.Chain) > 0
}
