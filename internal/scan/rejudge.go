package scan

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"example.com/certscan/internal/inventory"
)

const (
	rejudgeBatch = 250         // targets judged together
	rejudgePause = time.Second // at least, between two judgements of a target
)

// A Rejudge says when what is stored of a target has to be judged again, without
// an examination: when time alone changes the judgement, or when everything is
// judged otherwise. It holds a time for each target and no result. It is safe
// for concurrent use.
type Rejudge struct {
	mu      sync.Mutex
	targets map[string]*deadline
	due     itemHeap[*deadline]
	all     time.Time // when All was called last
	wake    chan struct{}
}

type deadline struct {
	target string
	at     time.Time
	index  int // in the heap; -1 if nothing is due by itself

	now   time.Time // when Now was called last
	asked bool      // since it was taken: whatever comes in meanwhile may be of before
}

// NewRejudge returns a Rejudge without targets.
func NewRejudge() *Rejudge {
	return &Rejudge{targets: make(map[string]*deadline), wake: make(chan struct{}, 1)}
}

// Set takes the time from a new judgement of a target. One that was begun before
// [Rejudge.Now] or [Rejudge.All] is due at once.
func (j *Rejudge) Set(r inventory.Result) {
	until := validUntil(r)
	j.mu.Lock()
	defer j.mu.Unlock()
	d := j.deadline(r.Target.Key())
	switch {
	case !r.Begun.IsZero() && !r.Begun.After(later(d.now, j.all)):
		j.ask(d)
	case d.asked:
	case until.IsZero():
		j.move(d, until)
	default:
		j.move(d, later(until, time.Now().Add(rejudgePause)).Round(0))
	}
	j.poke()
}

// deadline returns that of a target. Called under mu.
func (j *Rejudge) deadline(target string) *deadline {
	d := j.targets[target]
	if d == nil {
		d = &deadline{target: target, index: -1}
		j.targets[target] = d
	}
	return d
}

// validUntil is when time alone may change what is said of r; zero if never.
func validUntil(r inventory.Result) (until time.Time) {
	if at := r.Judgement.RenewalDue; at.After(time.Now()) {
		until = at.Add(time.Second)
	}
	for _, views := range [][]inventory.Endpoint{r.Endpoints, r.Carried} {
		for i := range views {
			if at := views[i].Judgement.ValidUntil; !at.IsZero() && (until.IsZero() || at.Before(until)) {
				until = at
			}
		}
	}
	return until
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Now makes targets due, those whose first examination is under way after that.
func (j *Rejudge) Now(targets []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range targets {
		judged := j.targets[t] != nil
		d := j.deadline(t)
		if d.now = time.Now(); judged {
			j.ask(d)
		}
	}
	j.poke()
}

// All makes every target due, those whose first examination is under way after
// that.
func (j *Rejudge) All() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = time.Now()
	for _, d := range j.targets {
		j.ask(d)
	}
	j.poke()
}

// ask makes d due now. Called under mu.
func (j *Rejudge) ask(d *deadline) {
	d.asked = true
	j.move(d, time.Now().Round(0))
}

// Forget drops targets.
func (j *Rejudge) Forget(targets []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, t := range targets {
		if d := j.targets[t]; d != nil {
			j.move(d, time.Time{})
			delete(j.targets, t)
		}
	}
}

// move sets the time of d; zero is never. Called under mu.
func (j *Rejudge) move(d *deadline, at time.Time) {
	d.at = at
	switch {
	case at.IsZero() && d.index >= 0:
		heap.Remove(&j.due, d.index)
	case at.IsZero():
	case d.index >= 0:
		heap.Fix(&j.due, d.index)
	default:
		heap.Push(&j.due, d)
	}
}

func (j *Rejudge) poke() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Run gives judge the targets that are due, some at a time, until ctx ends or
// judge fails. Judge gives the new results to [Rejudge.Set].
func (j *Rejudge) Run(ctx context.Context, judge func(ctx context.Context, targets []string) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		targets, wait := j.take()
		if len(targets) > 0 {
			if err := judge(ctx, targets); err != nil {
				return unlessEnded(ctx, err)
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-j.wake:
		case <-ctx.Done():
		}
	}
	return nil
}

// take removes what is due from the heap, or says how long to wait.
func (j *Rejudge) take() (targets []string, wait time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now().Round(0)
	for len(j.due) > 0 && len(targets) < rejudgeBatch && !j.due[0].at.After(now) {
		d := j.due[0]
		d.asked = false
		j.move(d, time.Time{})
		targets = append(targets, d.target)
	}
	wait = clockCheck
	if len(j.due) > 0 {
		wait = min(wait, j.due[0].at.Sub(now))
	}
	return targets, wait
}

func (d *deadline) before(o *deadline) bool { return d.at.Before(o.at) }
func (d *deadline) position() *int          { return &d.index }
