package scan

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/certscan/internal/inventory"
)

const (
	batchSize   = 250                    // results in one store transaction
	batchDelay  = 500 * time.Millisecond // and the longest that one waits for others
	lookAhead   = 64                     // targets read from memory together
	needRounds  = 8                      // how often judging may ask for more evidence: issuers one above the other, a CRL, OCSP, and second addresses
	needWaiters = 1024                   // targets that may wait for evidence, or to be recorded, without holding others up
	workerIdle  = 10 * time.Second       // after which a worker with nothing to do ends
	poolSamples = 6                      // handshakes with an address whose state comes and goes
)

// A Location examines a target and yields what it saw.
type Location interface {
	Examine(ctx context.Context, w inventory.Work) iter.Seq[inventory.Observation]
}

// A Judge says what facts mean. It is pure.
type Judge interface {
	Judge(f inventory.Facts, ev inventory.EvidenceSet, now time.Time) (inventory.Judgement, []inventory.Need)
	JudgeTarget(t inventory.Target, views []inventory.Endpoint, now time.Time) inventory.TargetJudgement
}

// Evidence gets what a judge needs. A failure is in the evidence.
type Evidence interface {
	Get(ctx context.Context, n inventory.Need) inventory.Evidence

	// Shared returns evidence already at hand that many targets need; callers must
	// not modify it. Judging with it first saves a fetch and a second round.
	Shared() inventory.EvidenceSet
}

// A Memory is what earlier examinations saw.
type Memory interface {
	// Prefetch says which targets Known will be asked for next: reading many at
	// once is cheaper.
	Prefetch(ctx context.Context, targets []string) error
	Known(ctx context.Context, target string) ([]inventory.KnownView, error)
	Chain(ctx context.Context, id inventory.Fingerprint) ([][]byte, error)

	// Target is all that is remembered of a target.
	Target(ctx context.Context, key string) (inventory.StoredTarget, error)
}

// A Recorder keeps results and fills in Finding.Since. An error ends the run:
// there is no point in scanning what cannot be remembered.
type Recorder interface {
	Record(ctx context.Context, results []inventory.Result) error
}

// Admission says when another target may be begun.
type Admission interface {
	Admit(ctx context.Context) error
	Done()
}

// Options of an [Engine]. Location, Judge and Admission are required.
type Options struct {
	Location  Location
	Judge     Judge
	Admission Admission
	Evidence  Evidence // nil: unmet needs stay unknown
	Memory    Memory   // nil: nothing is remembered
	Recorder  Recorder // nil: nothing is kept
	OwnSide   *OwnSide // nil: no fault of the scanner's own is looked for

	// Work is asked how to examine a target.
	Work func(inventory.Target) inventory.Work

	// Accepts, if not nil, is asked whether to find out also what the target's
	// servers accept; last is the oldest time any of those that answer was asked,
	// zero if one never was.
	Accepts func(t inventory.Target, last time.Time) bool

	// LookAhead is how many targets are taken before the first of them is begun,
	// to read together what is known of them; default 64. Where targets come when
	// they are due it has to be 1.
	LookAhead int

	// Now is the time at which things are judged; defaults to time.Now.
	Now func() time.Time
}

// An Engine sees targets through: examined, judged, recorded, reported.
type Engine struct {
	opt     Options
	waiting chan struct{} // a place for each target that waits for evidence or to be recorded
}

// New returns an Engine.
func New(opt Options) (*Engine, error) {
	if opt.Location == nil || opt.Judge == nil || opt.Admission == nil || opt.Work == nil {
		return nil, errors.New("scan: location, judge, admission and work are required")
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.LookAhead <= 0 {
		opt.LookAhead = lookAhead
	}
	return &Engine{opt: opt, waiting: make(chan struct{}, needWaiters)}, nil
}

// Run examines targets in their order, as many at a time as are admitted, and
// gives each result to report after it was recorded; report is never called
// concurrently. The sequence has to end with the context that targets is given.
// When ctx ends, Run begins nothing new, records what is complete and returns
// ctx's cause. What cannot be recorded or reported ends it, too: that is the
// error, and what is under way is given up.
func (e *Engine) Run(ctx context.Context, targets func(context.Context) iter.Seq[inventory.Target], report func(inventory.Result) error) error {
	results := make(chan inventory.Result, batchSize)
	g, gctx := errgroup.WithContext(ctx)
	gctx, stop := context.WithCancel(gctx)
	defer stop()
	g.Go(func() error {
		defer close(results)
		return e.examineAll(gctx, targets(gctx), results)
	})
	// What has been seen is kept, also when the scan is being interrupted.
	g.Go(func() error {
		err := e.record(context.WithoutCancel(ctx), results, report)
		stop()
		for range results { // after an error, so that nobody waits to be read
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

func (e *Engine) examineAll(ctx context.Context, targets iter.Seq[inventory.Target], results chan<- inventory.Result) error {
	g, gctx := errgroup.WithContext(ctx)
	// Workers are begun as they are needed and stay while there is work: a
	// goroutine that has made a handshake has the stack for the next one.
	work := make(chan inventory.Result)
	err := e.admitted(gctx, targets, func(r inventory.Result) {
		select {
		case work <- r:
			return
		default:
		}
		g.Go(func() error {
			idle := time.NewTimer(workerIdle)
			defer idle.Stop()
			for more := true; more; {
				if err := e.one(gctx, r, results); err != nil {
					return err
				}
				idle.Reset(workerIdle)
				select {
				case r, more = <-work:
				case <-idle.C:
					return nil
				}
			}
			return nil
		})
	})
	close(work)
	if failed := g.Wait(); failed != nil {
		return failed
	}
	return unlessEnded(ctx, err)
}

// admitted gives begin the result to be of each target once it is admitted, until
// ctx ends.
func (e *Engine) admitted(ctx context.Context, targets iter.Seq[inventory.Target], begin func(inventory.Result)) error {
	for ahead := range chunks(targets, e.opt.LookAhead) {
		begun := time.Now() // waiting for admission may take long
		if err := e.prefetch(ctx, ahead); err != nil {
			return err
		}
		for _, t := range ahead {
			if err := e.opt.Admission.Admit(ctx); err != nil {
				return err
			}
			begin(inventory.Result{Target: t, Begun: begun})
		}
	}
	return nil
}

// one sees an admitted target through.
func (e *Engine) one(ctx context.Context, r inventory.Result, results chan<- inventory.Result) error {
	done := sync.OnceFunc(e.opt.Admission.Done)
	defer done()
	known, err := e.examine(ctx, &r)
	if err == nil && ctx.Err() == nil {
		select {
		case e.waiting <- struct{}{}:
			defer func() { <-e.waiting }()
			done() // the network is free for the next one while we judge
		default: // too many wait for evidence or the recorder: hold on to the admission, so that no more come
		}
		err = e.judgeAll(ctx, &r, known)
	}
	switch {
	case ctx.Err() != nil:
		return nil // interrupted: --resume begins it again
	case err != nil:
		return fmt.Errorf("%s: %w", r.Target, err)
	}
	results <- r // is read until it is closed, whatever happens
	return nil
}

// chunks is [slices.Chunk] for a sequence.
func chunks(seq iter.Seq[inventory.Target], n int) iter.Seq[[]inventory.Target] {
	return func(yield func([]inventory.Target) bool) {
		var chunk []inventory.Target
		for t := range seq {
			if chunk = append(chunk, t); len(chunk) == n {
				if !yield(chunk) {
					return
				}
				chunk = nil
			}
		}
		if len(chunk) > 0 {
			yield(chunk)
		}
	}
}

func (e *Engine) prefetch(ctx context.Context, targets []inventory.Target) error {
	if e.opt.Memory == nil {
		return nil
	}
	keys := make([]string, len(targets))
	for i, t := range targets {
		keys[i] = t.Key()
	}
	if err := e.opt.Memory.Prefetch(ctx, keys); err != nil {
		return fmt.Errorf("what is known: %w", err)
	}
	return nil
}

// examine probes r's target, and returns what is known of it.
func (e *Engine) examine(ctx context.Context, r *inventory.Result) ([]inventory.KnownView, error) {
	known, err := e.known(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	w := e.opt.Work(r.Target)
	for _, k := range known {
		if k.Flaps {
			w.Samples = max(w.Samples, poolSamples)
		}
	}
	if e.opt.Accepts != nil {
		w.Accepts = e.opt.Accepts(r.Target, lastAsked(known))
	}
	for o := range e.opt.Location.Examine(ctx, w) {
		if o.Offer.Further() && len(w.Offers) > 1 && len(o.Chain) == 0 && !knows(known, o.View()) {
			continue // the server has no such certificate, and never had: there is no such view
		}
		r.Endpoints = append(r.Endpoints, inventory.Endpoint{Observation: o})
	}
	slices.SortStableFunc(r.Endpoints, byAddress) // not by who answered first
	return known, nil
}

func knows(known []inventory.KnownView, v inventory.View) bool {
	return slices.ContainsFunc(known, func(k inventory.KnownView) bool { return k.View == v })
}

// byAddress orders endpoints by address, those of one address as they were made.
func byAddress(a, b inventory.Endpoint) int {
	x, _ := netip.ParseAddr(a.Observation.Address) // no address sorts first
	y, _ := netip.ParseAddr(b.Observation.Address)
	return x.Compare(y)
}

// unlessEnded keeps an error that is only the echo of an interruption from
// being taken for a failure.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// lastAsked is the earliest time at which a view that answers was last asked what
// its server accepts; zero if there is one that never was. The dead cannot be
// asked, and the others need not be for them.
func lastAsked(known []inventory.KnownView) (last time.Time) {
	for _, k := range known {
		if k.View.Offer != inventory.OfferDefault || k.Chain.IsZero() {
			continue
		}
		if k.Accepted == nil {
			return time.Time{}
		}
		if last.IsZero() || k.Accepted.At.Before(last) {
			last = k.Accepted.At
		}
	}
	return last
}

func (e *Engine) known(ctx context.Context, t inventory.Target) ([]inventory.KnownView, error) {
	if e.opt.Memory == nil {
		return nil, nil
	}
	known, err := e.opt.Memory.Known(ctx, t.Key())
	if err != nil {
		return nil, fmt.Errorf("what is known: %w", err)
	}
	return known, nil
}

// record keeps results in batches and reports them.
func (e *Engine) record(ctx context.Context, results <-chan inventory.Result, report func(inventory.Result) error) error {
	var batch []inventory.Result
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		if e.opt.Recorder != nil {
			if err := e.opt.Recorder.Record(ctx, batch); err != nil {
				return fmt.Errorf("record: %w", err)
			}
		}
		for _, r := range batch {
			if err := report(r); err != nil {
				return fmt.Errorf("report: %w", err)
			}
		}
		clear(batch)
		batch = batch[:0]
		return nil
	}
	timer := time.NewTimer(batchDelay)
	defer timer.Stop()
	for {
		select {
		case r, more := <-results:
			if e.opt.OwnSide != nil {
				if more {
					batch = append(batch, e.opt.OwnSide.Pass(r)...)
				} else {
					batch = append(batch, e.opt.OwnSide.Rest()...)
				}
			} else if more {
				batch = append(batch, r)
			}
			if !more {
				return flush()
			}
			if len(batch) >= batchSize {
				if err := flush(); err != nil {
					return err
				}
			}
		case <-timer.C:
			if err := flush(); err != nil {
				return err
			}
			timer.Reset(batchDelay)
		}
	}
}
