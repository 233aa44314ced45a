package scan

import (
	"container/heap"
	"context"
	"hash/fnv"
	"iter"
	"sync"
	"time"

	"example.com/certscan/internal/inventory"
)

// clockCheck is how long a [Schedule] sleeps at most: the wall clock may be set
// meanwhile, and timers do not notice.
const clockCheck = time.Minute

// ScheduleOptions say how often. The zero value has the defaults.
type ScheduleOptions struct {
	Interval time.Duration // between two examinations of a target; default 1h

	// Extras is the time between two examinations with everything that costs
	// further connections: all offers, and what the server accepts. Default 24h;
	// negative is never.
	Extras time.Duration

	// Work is how to examine, without the target and the slot. Of its offers all
	// but the default one are extras, and so is Accepts.
	Work inventory.Work
}

// A Schedule says which target is due when.
//
// Each target has slots: a hash of its identity, as a part of the interval, and
// then one interval after the other, by the wall clock. So the fleet is spread
// evenly, and a restart changes nothing. The interval of a target is
//
//   - halved when a third of the certificate's lifetime is left, and quartered
//     when a tenth is, until a tenth of the lifetime past expiry;
//   - quartered after a failure, doubling again from the fourth in a row on.
//
// A slot that was missed runs once, and no slot comes sooner than half an
// interval after the last examination.
type Schedule struct {
	mu    sync.Mutex
	opt   ScheduleOptions
	slots map[string]*slot
	due   itemHeap[*slot] // those that are not under way
	past  map[string]past
	seen  time.Time // latest reading of the clock
	wake  chan struct{}
}

// A slot is the next examination of a target. It belongs to the schedule's mu.
type slot struct {
	target inventory.Target
	key    string
	hash   uint64
	at     time.Time // when it is due, or was while it is under way
	index  int       // in the heap; -1 while it is under way
	again  time.Time // asked for while it is under way: Done brings the next slot forward to it, and clears it
	turn   int64     // counts examinations, raised by next; begins with the intervals since 1970, so that a restart goes on
	past

	owed  bool // the extras are to be asked: set by next, and by Done after a change; Done clears it when an address answered them
	asked bool // set by Work: the examination under way asks them
}

// past is what earlier examinations mean for the next one.
type past struct {
	last     time.Time // zero: never examined
	failures int       // examinations in a row with an endpoint that did not answer
	expiry   time.Time
	lifetime time.Duration
}

// NewSchedule returns a Schedule without targets.
func NewSchedule(opt ScheduleOptions) *Schedule {
	s := &Schedule{slots: make(map[string]*slot), past: make(map[string]past), wake: make(chan struct{}, 1)}
	s.opt = opt.withDefaults()
	return s
}

func (o ScheduleOptions) withDefaults() ScheduleOptions {
	if o.Interval <= 0 {
		o.Interval = time.Hour
	}
	if o.Extras == 0 {
		o.Extras = 24 * time.Hour
	}
	return o
}

// Configure changes the options. Targets move to their new slots.
func (s *Schedule) Configure(opt ScheduleOptions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.opt
	s.opt = opt.withDefaults()
	if s.opt.Interval == old.Interval {
		return
	}
	now := time.Now()
	for _, e := range s.due {
		s.place(e, now)
	}
	heap.Init(&s.due)
	s.poke()
}

// Restore tells what is remembered of a target from before the schedule began,
// or knows it. It comes before [Schedule.Set].
func (s *Schedule) Restore(r inventory.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var p past
	p.learn(r)
	s.past[r.Target.Key()] = p
}

// Set replaces the targets, and returns those that are no longer among them.
// Targets that were never examined are due at once. Those that missed a slot
// are due within a quarter of their interval, first those that did not answer
// the last time, so that their timeouts pass while others answer.
func (s *Schedule) Set(targets []inventory.Target) (removed []inventory.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	keep := make(map[string]bool, len(targets))
	for _, t := range targets {
		key := t.Key()
		keep[key] = true
		if e := s.slots[key]; e != nil {
			e.target = t // labels and sources may be others
			continue
		}
		e := &slot{target: t, key: key, hash: hashOf(key), past: s.past[key]}
		e.turn = now.UnixNano() / int64(s.opt.Interval)
		delete(s.past, key)
		s.slots[key] = e
		s.place(e, now)
		heap.Push(&s.due, e)
	}
	for key, e := range s.slots {
		if keep[key] {
			continue
		}
		removed = append(removed, e.target)
		delete(s.slots, key)
		if e.index >= 0 {
			heap.Remove(&s.due, e.index)
		}
	}
	s.poke()
	return removed
}

// Due yields targets when they are due, the longest overdue first, until ctx
// ends. A target does not come again before [Schedule.Done] was told of it.
func (s *Schedule) Due(ctx context.Context) iter.Seq[inventory.Target] {
	return func(yield func(inventory.Target) bool) {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for ctx.Err() == nil {
			t, wait := s.next()
			if wait <= 0 {
				if !yield(t) {
					return
				}
				continue
			}
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-s.wake:
			case <-ctx.Done():
			}
		}
	}
}

// next takes the target that is due, or says how long to wait.
func (s *Schedule) next() (inventory.Target, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Round(0).Before(s.seen.Add(-clockCheck)) { // the clock was set back: what lies far ahead would wait for it
		for _, e := range s.due {
			s.place(e, now)
		}
		heap.Init(&s.due)
	}
	s.seen = now.Round(0) // the wall clock alone
	if len(s.due) == 0 {
		return inventory.Target{}, clockCheck
	}
	e := s.due[0]
	if wait := e.at.Sub(s.seen); wait > 0 {
		return inventory.Target{}, min(wait, clockCheck)
	}
	heap.Pop(&s.due)
	e.turn++
	if x := s.opt.Extras; x > 0 && !e.last.IsZero() && !slotAfter(e.hash, x, x, e.last).After(now) {
		e.owed = true
	}
	return e.target, 0
}

// Work says how to examine a target that is under way.
func (s *Schedule) Work(t inventory.Target) inventory.Work {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.opt.Work
	w.Target, w.Slot = t, time.Now().Unix()
	e := s.slots[t.Key()]
	if e != nil {
		w.Slot, w.Turn = e.at.Unix(), e.turn
		e.asked = e.owed
	}
	if e == nil || !e.asked {
		w.Offers, w.Accepts = []inventory.Offer{inventory.OfferDefault}, false
	}
	return w
}

// Target returns a target by its key.
func (s *Schedule) Target(key string) (inventory.Target, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.slots[key]
	if e == nil {
		return inventory.Target{}, false
	}
	return e.target, true
}

// Done tells what an examination gave, and sets the target's next slot. After a
// change of the chain the next examination asks the extras.
func (s *Schedule) Done(r inventory.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.slots[r.Target.Key()]
	if e == nil {
		return // removed meanwhile
	}
	answered := e.learn(r)
	switch {
	case e.asked && answered:
		e.owed = false
	case r.Changed && s.opt.Extras > 0:
		e.owed = true // the other certificates may be new as well
	}
	e.asked = false
	now := time.Now()
	d := s.every(e, now)
	e.at = slotAfter(e.hash, s.opt.Interval, d, now.Add(d/2))
	if !e.again.IsZero() && e.again.Before(e.at) {
		e.at = e.again
	}
	e.again = time.Time{}
	if e.index < 0 {
		heap.Push(&s.due, e)
	} else {
		heap.Fix(&s.due, e.index)
	}
	s.poke()
}

// Now asks for an examination of a target at once. It reports whether the
// target is known.
func (s *Schedule) Now(target string) bool { return s.Soon(target, 0) }

// Soon asks for an examination of a target after d at the latest.
func (s *Schedule) Soon(target string, d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.slots[target]
	if e == nil {
		return false
	}
	s.advance(e, time.Now().Add(d))
	s.poke()
	return true
}

// advance moves a slot forward. Called under mu.
func (s *Schedule) advance(e *slot, at time.Time) {
	at = at.Round(0)
	switch {
	case e.index < 0: // under way: after that
		if e.again.IsZero() || at.Before(e.again) {
			e.again = at
		}
	case at.Before(e.at):
		e.at = at
		heap.Fix(&s.due, e.index)
	}
}

// Sample brings forward up to n targets that answered the last time, to find
// out whether they still do.
func (s *Schedule) Sample(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, e := range s.slots { // in any order, which is what is wanted
		if n == 0 {
			break
		}
		if e.failures == 0 && !e.last.IsZero() && e.index >= 0 && e.at.After(now) {
			s.advance(e, now)
			n--
		}
	}
	s.poke()
}

// Len is the number of targets.
func (s *Schedule) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.slots)
}

// Lag is the age of the oldest slot that is due and was not begun; 0 if there
// is none.
func (s *Schedule) Lag() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.due) == 0 {
		return 0
	}
	return max(0, time.Now().Round(0).Sub(s.due[0].at))
}

// poke wakes Due, as something may be due sooner.
func (s *Schedule) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// place sets the slot of a target by what is known of its past.
func (s *Schedule) place(e *slot, now time.Time) {
	now = now.Round(0)
	if e.last.IsZero() {
		e.at = now
		return
	}
	d := s.every(e, now)
	if last := e.last.Add(d / 2); last.Before(now) || last.Sub(now) <= d {
		if e.at = slotAfter(e.hash, s.opt.Interval, d, last); e.at.After(now) {
			return
		}
	}
	// A slot was missed, or the last examination lies in the future by a clock
	// that was wrong.
	e.at = slotAfter(e.hash, s.opt.Interval, d, now)
	spread := d / 4
	if e.failures > 0 {
		spread /= 10
	}
	if soon := now.Add(part(e.hash<<32|e.hash>>32, spread)); soon.Before(e.at) {
		e.at = soon
	}
}

// every is the interval of a target.
func (s *Schedule) every(e *slot, now time.Time) time.Duration {
	d := s.opt.Interval
	if e.lifetime > 0 {
		switch left := e.expiry.Sub(now); {
		case left < -e.lifetime/10:
		case left <= e.lifetime/10:
			d /= 4
		case left <= e.lifetime/3:
			d /= 2
		}
	}
	if n := e.failures; n > 0 && n < 5 {
		d = min(d, s.opt.Interval/4<<max(0, n-3))
	}
	return max(d, time.Millisecond)
}

// learn takes over what an examination gave, and reports whether some address
// answered: the extras were asked there, and a dead one beside it does not owe
// them for ever.
func (p *past) learn(r inventory.Result) (answered bool) {
	failed := len(r.Endpoints) == 0
	for i := range r.Endpoints {
		o := &r.Endpoints[i].Observation
		if o.Time.After(p.last) {
			p.last = o.Time.Round(0)
		}
		if o.Offer != inventory.OfferDefault && o.Offer != inventory.OfferCensus {
			continue
		}
		if len(o.Chain) > 0 {
			answered = true
		} else {
			failed = failed || o.Reach.Status != inventory.ReachNoRoute
		}
	}
	if failed {
		p.failures++
	} else {
		p.failures = 0
	}
	p.expiry, p.lifetime = time.Time{}, 0
	if x := r.Judgement.Expiry; x != nil {
		p.expiry, p.lifetime = x.At, r.Judgement.Lifetime
	}
	return answered
}

func hashOf(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	x := h.Sum64() // whose high bits hardly depend on the last octets
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// part is the part of d that a hash stands for.
func part(hash uint64, d time.Duration) time.Duration {
	return time.Duration(float64(hash>>11) / (1 << 53) * float64(d))
}

// slotAfter is the first slot after a time, where slots are every d, and some
// of them are those of the whole interval.
func slotAfter(hash uint64, interval, d time.Duration, after time.Time) time.Time {
	phase := part(hash, interval) % d
	since := (after.UnixNano() - int64(phase)) % int64(d)
	return time.Unix(0, after.UnixNano()-since+int64(d)).UTC()
}

// before has the earliest slot first, and of those the one that failed.
func (e *slot) before(o *slot) bool {
	if !e.at.Equal(o.at) {
		return e.at.Before(o.at)
	}
	if (e.failures > 0) != (o.failures > 0) {
		return e.failures > 0
	}
	return e.hash < o.hash
}

func (e *slot) position() *int { return &e.index }
