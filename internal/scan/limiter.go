package scan

import (
	"context"
	"maps"
	"math"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"example.com/certscan/internal/inventory"
)

const (
	firstLimit   = 64                     // connections in flight to start with
	leastLimit   = 16                     // and never fewer, however slow the answers
	window       = 100 * time.Millisecond // how often the limit is set anew
	leastSamples = 10                     // answers that make a window worth a decision
	tolerance    = 2                      // median over least median that means "too many"
	parked       = 256                    // targets beyond the limit that may wait for their address
)

// LimiterOptions bounds a [Limiter]. Zero values mean the defaults.
type LimiterOptions struct {
	Max        int     // connections in flight, the most that the limiter may find; default 256
	PerAddress int     // connections in flight to one address; default 2
	PerNetwork int     // connections in flight to one /24 or /48, loopback excepted; default 64
	PerSecond  float64 // connections a second to one address; default 100
	GiveUp     int     // failures in a row after which an address and port is left alone; default 5
	Rest       time.Duration
	Now        func() time.Time
}

// A Limiter lets as many connections be in flight as the machine and the peers
// take without slowing down, and is polite to each of them.
//
// It finds the number by itself: every 100 ms it compares the median time of
// the answered handshakes with the least median it has seen. Twice that means
// that connections wait for each other, here or there, so there are too many,
// and the next ones would time out although the endpoints are well. Failures
// say nothing about that and are left out.
type Limiter struct {
	opt LimiterOptions

	mu       sync.Mutex
	limit    float64
	inFlight int
	targets  int             // admitted
	entering []chan struct{} // waiting for a place in flight, first come first served
	admitted []chan struct{} // waiting for admission

	samples     []time.Duration // of this window
	windowStart time.Time
	saturated   bool // the limit was reached in this window
	leastMedian time.Duration

	places  map[netip.Prefix]*place // addresses and networks that somebody visits, or did just now
	failing map[netip.AddrPort]*failure
	sweepAt int // size of places and failing at which what is over is dropped
}

type place struct {
	users  int // holding or waiting
	turns  chan struct{}
	second *rate.Limiter // nil for networks
}

type failure struct {
	inARow int
	reach  inventory.Reach
	until  time.Time
}

// NewLimiter returns a Limiter.
func NewLimiter(opt LimiterOptions) *Limiter {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&opt.Max, 256)
	set(&opt.PerAddress, 2)
	set(&opt.PerNetwork, 64)
	set(&opt.GiveUp, 5)
	if opt.PerSecond <= 0 {
		opt.PerSecond = 100
	}
	if opt.Rest <= 0 {
		opt.Rest = time.Minute
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Limiter{
		opt: opt, limit: float64(min(firstLimit, opt.Max)), windowStart: opt.Now(),
		places: make(map[netip.Prefix]*place), failing: make(map[netip.AddrPort]*failure), sweepAt: 1024,
	}
}

// Limit is how many connections may be in flight now, and how many are.
func (l *Limiter) Limit() (limit, inFlight int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.limit), l.inFlight
}

// Admit waits until another target may be begun: the number under way follows
// the limit, so that a large --concurrency costs no memory that is not used.
func (l *Limiter) Admit(ctx context.Context) error {
	return l.wait(ctx, &l.admitted, &l.targets, parked)
}

// Done says that an admitted target is no longer under way.
func (l *Limiter) Done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.targets--
	l.wake()
}

// wait takes a place under the limit plus extra, counted in n.
func (l *Limiter) wait(ctx context.Context, queue *[]chan struct{}, n *int, extra int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	if len(*queue) == 0 && *n < int(l.limit)+extra {
		*n++
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{}) // closed, under mu, by whoever counted us in
	*queue = append(*queue, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(*queue, turn); i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
		return ctx.Err()
	}
	*n-- // we had our turn in the same moment, and do not use it
	l.wake()
	return ctx.Err()
}

// wake lets the next ones in, as many as there is room for. Called under mu.
func (l *Limiter) wake() {
	next := func(queue *[]chan struct{}, n *int, room int) {
		for len(*queue) > 0 && *n < room {
			*n++
			close((*queue)[0])
			*queue = (*queue)[1:]
		}
	}
	next(&l.entering, &l.inFlight, int(l.limit))
	next(&l.admitted, &l.targets, int(l.limit)+parked)
}

// Enter waits for a turn at addr, first the address's own, then its network's,
// then a place in flight. leave must be called with what was seen.
//
// An address and port that failed several times in a row is not tried for a
// while: last is then how it failed, and leave is nil.
func (l *Limiter) Enter(ctx context.Context, addr netip.AddrPort) (leave func(inventory.Observation), last *inventory.Reach, err error) {
	if f := l.givenUp(addr); f != nil {
		return nil, f, nil
	}
	ip := addr.Addr().Unmap()
	out, err := l.visit(ctx, netip.PrefixFrom(ip, ip.BitLen()), l.opt.PerAddress, l.opt.PerSecond)
	if err != nil {
		return nil, nil, err
	}
	if f := l.givenUp(addr); f != nil { // those before us in the queue found out
		out()
		return nil, f, nil
	}
	exits := []func(){out}
	exit := func() {
		for _, out := range slices.Backward(exits) {
			out()
		}
	}
	if !ip.IsLoopback() {
		bits := 24
		if ip.Is6() {
			bits = 48
		}
		network, _ := ip.Prefix(bits) // cannot fail: bits are in range
		out, err := l.visit(ctx, network, l.opt.PerNetwork, 0)
		if err != nil {
			exit()
			return nil, nil, err
		}
		exits = append(exits, out)
	}
	if err := l.waitInFlight(ctx); err != nil {
		exit()
		return nil, nil, err
	}
	return func(o inventory.Observation) {
		l.left(addr, o)
		exit()
	}, nil, nil
}

func (l *Limiter) waitInFlight(ctx context.Context) error {
	return l.wait(ctx, &l.entering, &l.inFlight, 0)
}

// visit takes one of n turns at where.
func (l *Limiter) visit(ctx context.Context, where netip.Prefix, n int, perSecond float64) (out func(), err error) {
	l.mu.Lock()
	p := l.places[where]
	if p == nil {
		p = &place{turns: make(chan struct{}, n)}
		if perSecond > 0 {
			p.second = rate.NewLimiter(rate.Limit(perSecond), n)
		}
		l.places[where] = p
		l.sweep()
	}
	p.users++
	l.mu.Unlock()
	gone := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		p.users--
	}
	select {
	case p.turns <- struct{}{}:
	case <-ctx.Done():
		gone()
		return nil, ctx.Err()
	}
	if p.second != nil {
		if err := p.second.Wait(ctx); err != nil {
			<-p.turns
			gone()
			return nil, err
		}
	}
	return func() { <-p.turns; gone() }, nil
}

// sweep drops places where nobody is and whose rate has recovered, and failures
// that have rested, once there are twice as many as were left the last time.
// Called under mu.
func (l *Limiter) sweep() {
	if len(l.places)+len(l.failing) < l.sweepAt {
		return
	}
	maps.DeleteFunc(l.places, func(_ netip.Prefix, p *place) bool {
		return p.users == 0 && (p.second == nil || p.second.Tokens() >= float64(p.second.Burst()))
	})
	now := l.opt.Now()
	maps.DeleteFunc(l.failing, func(_ netip.AddrPort, f *failure) bool { return now.After(f.until) })
	l.sweepAt = 2*(len(l.places)+len(l.failing)) + 1024
}

// givenUp returns how addr failed if it is being left alone.
func (l *Limiter) givenUp(addr netip.AddrPort) *inventory.Reach {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.failing[addr]
	if f == nil || f.inARow < l.opt.GiveUp || l.opt.Now().After(f.until) {
		return nil
	}
	r := f.reach
	return &r
}

// left takes a connection out of flight and learns from it.
func (l *Limiter) left(addr netip.AddrPort, o inventory.Observation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	now := l.opt.Now()
	switch {
	case deaf(o):
		f := l.failing[addr]
		if f == nil {
			f = new(failure)
			l.failing[addr] = f
			l.sweep()
		}
		f.inARow++
		f.reach, f.until = o.Reach, now.Add(l.opt.Rest)
	default:
		delete(l.failing, addr)
	}
	if l.inFlight+1 >= int(l.limit) {
		l.saturated = true
	}
	if len(o.Chain) > 0 {
		l.samples = append(l.samples, o.Timings.Connect+o.Timings.Handshake)
	}
	if now.Sub(l.windowStart) >= window && len(l.samples) >= leastSamples {
		l.adjust()
		l.windowStart, l.samples, l.saturated = now, l.samples[:0], false
	}
	l.wake()
}

// deaf reports whether o says that nobody is at the address. A server that took
// the connection and then fell silent may do so for one name only.
func deaf(o inventory.Observation) bool {
	switch o.Reach.Status {
	case inventory.ReachRefused, inventory.ReachUnreachable:
		return true
	case inventory.ReachTimeout:
		return o.Timings.STARTTLS == 0 && o.Timings.Handshake == 0
	}
	return false
}

// adjust sets the limit by the window's median. Called under mu.
func (l *Limiter) adjust() {
	slices.Sort(l.samples)
	median := l.samples[len(l.samples)/2]
	if l.leastMedian == 0 || median < l.leastMedian {
		l.leastMedian = median
	}
	switch ceiling := tolerance * l.leastMedian; {
	case median > ceiling:
		l.limit = max(l.limit*max(0.5, float64(ceiling)/float64(median)), math.Min(leastLimit, float64(l.opt.Max)))
	case l.saturated:
		l.limit = math.Min(l.limit+2*math.Sqrt(l.limit), float64(l.opt.Max))
	}
	// A least median that was luck, or of a nearer part of the fleet, is
	// forgotten bit by bit: a doubling takes half a minute.
	l.leastMedian += l.leastMedian / 500
}
