// Package location is where certscan probes from: the process itself, and
// later agents elsewhere.
//
// A location resolves a target's name and examines every address of it. It
// never judges, and it never drops an address because another one answered. Its
// invariant: each observation that it yields says which location made it.
package location

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"time"

	"example.com/certscan/internal/inventory"
)

// MaxAddresses is how many addresses of one name are examined at a time if the
// work does not say. Of a larger set another part is taken each time, and the
// observations say how many were left out.
const MaxAddresses = 16

// A Resolver finds all addresses of a name. A failure is in the resolution.
type Resolver interface {
	Resolve(ctx context.Context, name string) inventory.Resolution
}

// A Prober examines one address with one offer within ctx's deadline.
type Prober interface {
	Probe(ctx context.Context, req inventory.ProbeRequest) inventory.Observation
}

// An Enumerator finds out what a server accepts, with many small connections.
// Before each it calls turn, and tells what that returns how it went.
type Enumerator interface {
	Accepts(ctx context.Context, req inventory.ProbeRequest, timeout time.Duration, turn func(context.Context) (done func(inventory.ReachStatus), err error)) inventory.Accepted
}

// A Gate lets connections through. Enter waits for a turn at the address; the
// caller calls leave with what it saw. A [*LeftAlone] is what was seen before.
// With any other error there is nothing to observe: ctx has ended, or would
// before the turn came, or the address is refused by whoever made the gate, who
// then knows.
type Gate interface {
	Enter(ctx context.Context, addr netip.AddrPort) (leave func(inventory.Observation), err error)
}

// LeftAlone is a [Gate]'s refusal to connect to an address that has failed too
// often in a row; Reach is how it failed.
type LeftAlone struct{ Reach inventory.Reach }

func (l *LeftAlone) Error() string { return "address left alone: " + l.Reach.Detail }

// Options of a [Local]. Resolver and Prober are required.
type Options struct {
	Name     string // defaults to [inventory.LocalLocation]
	Resolver Resolver
	Prober   Prober
	Gate     Gate       // nil: everything passes
	Accepts  Enumerator // nil: what servers accept is not asked
	Now      func() time.Time
}

// Local is this process as a location. It is safe for concurrent use.
type Local struct{ opt Options }

// NewLocal returns a Local.
func NewLocal(opt Options) (*Local, error) {
	if opt.Resolver == nil || opt.Prober == nil {
		return nil, errors.New("location: resolver and prober are required")
	}
	if opt.Name == "" {
		opt.Name = inventory.LocalLocation
	}
	if opt.Gate == nil {
		opt.Gate = open{}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Local{opt}, nil
}

type open struct{}

func (open) Enter(context.Context, netip.AddrPort) (func(inventory.Observation), error) {
	return func(inventory.Observation) {}, nil
}

// Examine yields an observation for each address and offer of w, in no
// particular order of addresses, or a single one without an address if the name
// could not be resolved. Once ctx has ended it yields nothing more; what it has
// yielded until then is not all.
func (l *Local) Examine(ctx context.Context, w inventory.Work) iter.Seq[inventory.Observation] {
	return func(yield func(inventory.Observation) bool) {
		start := l.opt.Now()
		res, all := l.addresses(ctx, w)
		addrs := some(w, all)
		if ctx.Err() != nil {
			return
		}
		base := inventory.Observation{
			Schema: inventory.ObservationSchema, Target: w.Target.Key(), Location: l.opt.Name,
			Slot: w.Slot, Attempt: w.Attempt, Resolution: res, Unexamined: len(all) - len(addrs),
			Timings: inventory.Timings{Resolve: l.opt.Now().Sub(start)},
		}
		if len(addrs) == 0 {
			base.Offer, base.Time = inventory.OfferDefault, start
			base.Reach = inventory.Reach{Status: res.Status, Detail: res.Detail}
			yield(base)
			return
		}
		if res == nil {
			base.Timings.Resolve = 0
		}
		if len(addrs) == 1 {
			l.address(ctx, w, base, addrs[0], yield)
			return
		}
		l.all(ctx, w, base, addrs, yield)
	}
}

// all examines the addresses side by side, so that a dead one does not make the
// others wait.
func (l *Local) all(ctx context.Context, w inventory.Work, base inventory.Observation, addrs []netip.Addr, yield func(inventory.Observation) bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := make(chan inventory.Observation)
	var wg sync.WaitGroup
	for _, a := range addrs {
		wg.Go(func() {
			l.address(ctx, w, base, a, func(o inventory.Observation) bool {
				select {
				case seen <- o:
					return true
				case <-ctx.Done():
					return false
				}
			})
		})
	}
	go func() { wg.Wait(); close(seen) }()
	for o := range seen {
		if !yield(o) {
			cancel()
			for range seen { // until every goroutine has gone
			}
			return
		}
	}
}

// addresses says where to connect, and what the resolver said if it was asked.
func (l *Local) addresses(ctx context.Context, w inventory.Work) (*inventory.Resolution, []netip.Addr) {
	if len(w.Addresses) > 0 {
		return nil, w.Addresses
	}
	if a, err := netip.ParseAddr(w.Target.DialName()); err == nil {
		return nil, []netip.Addr{a}
	}
	rctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	res := l.opt.Resolver.Resolve(rctx, w.Target.DialName())
	return &res, res.Addresses
}

// some picks the addresses to examine now.
func some(w inventory.Work, all []netip.Addr) []netip.Addr {
	most := w.Limit
	if most <= 0 {
		most = MaxAddresses
	}
	switch {
	case w.FirstOnly && len(all) > 1:
		return all[:1]
	case len(all) > most:
		turn := uint64(w.Slot)
		if w.Turn != 0 {
			turn = uint64(w.Turn) * uint64(most)
		}
		first := int(turn % uint64(len(all)))
		return append(slices.Clone(all[first:]), all[:first]...)[:most]
	}
	return all
}

// address examines one address with every offer, one after the other: they are
// for the same machine.
func (l *Local) address(ctx context.Context, w inventory.Work, base inventory.Observation, a netip.Addr, yield func(inventory.Observation) bool) {
	if w.Mode == inventory.ModeCensus {
		if o, ok := l.probe(ctx, w, base, a, inventory.OfferCensus); ok {
			yield(o)
		}
		return
	}
	offers := w.Offers
	if len(offers) == 0 {
		offers = []inventory.Offer{inventory.OfferDefault}
	}
	for i, offer := range offers {
		if offer == inventory.OfferNoSNI && w.Target.IsIP() {
			continue // the default offer has no server name either
		}
		o, ok := l.probe(ctx, w, base, a, offer)
		if !ok {
			return
		}
		if offer == inventory.OfferDefault {
			l.sample(ctx, w, base, a, &o)
			l.accepts(ctx, w, a, &o)
		} else if len(o.Chain) == 0 && len(offers) > 1 && o.Reach.Status != inventory.ReachTLSAlert {
			continue // says nothing of whether the server has such a certificate
		}
		if !yield(o) {
			return
		}
		if i == 0 && len(o.Chain) == 0 {
			return // an address that did not answer the first offer is not tried with the others
		}
	}
}

// sample makes further handshakes with the default offer and adds the chains
// that differ. A proof of possession is then one of all of them.
func (l *Local) sample(ctx context.Context, w inventory.Work, base inventory.Observation, a netip.Addr, o *inventory.Observation) {
	if len(o.Chain) == 0 {
		return
	}
	seen := []inventory.Fingerprint{inventory.ChainID(o.Chain)}
	for range w.Samples - 1 {
		next, ok := l.probe(ctx, w, base, a, inventory.OfferDefault)
		if !ok {
			return
		}
		if id := inventory.ChainID(next.Chain); len(next.Chain) > 0 && !slices.Contains(seen, id) {
			seen = append(seen, id)
			o.Alternates = append(o.Alternates, next.Chain)
			if o.Capture != nil && next.Capture != nil && o.Capture.PossessionProven && !next.Capture.PossessionProven {
				c := *o.Capture
				c.PossessionProven = false
				o.Capture, o.Reach.Detail = &c, cmp.Or(o.Reach.Detail, next.Reach.Detail)
			}
		}
	}
}

// accepts adds what the server accepts, if the work asks for it and there is a
// server. Each connection takes its turn like any other.
func (l *Local) accepts(ctx context.Context, w inventory.Work, a netip.Addr, o *inventory.Observation) {
	if !w.Accepts || l.opt.Accepts == nil || o.TLS == nil || len(o.Chain) == 0 {
		return
	}
	to := netip.AddrPortFrom(a, w.Target.Port)
	req := inventory.ProbeRequest{Target: w.Target, Address: a, Offer: inventory.OfferDefault, Mode: inventory.ModeFull}
	found := l.opt.Accepts.Accepts(ctx, req, w.Timeout, func(ctx context.Context) (func(inventory.ReachStatus), error) {
		leave, err := l.opt.Gate.Enter(ctx, to)
		if err != nil {
			return nil, err
		}
		return func(s inventory.ReachStatus) {
			leave(inventory.Observation{Address: a.String(), Time: l.opt.Now(), Reach: inventory.Reach{Status: s}})
		}, nil
	})
	if ctx.Err() == nil {
		found.Apply(o.TLS)
	}
}

// probe makes one probe, retries included, inside one budget. It is not ok when
// the gate let nothing through or ctx has ended: there is nothing to record.
func (l *Local) probe(ctx context.Context, w inventory.Work, base inventory.Observation, a netip.Addr, offer inventory.Offer) (inventory.Observation, bool) {
	leave, err := l.opt.Gate.Enter(ctx, netip.AddrPortFrom(a, w.Target.Port))
	if alone, ok := errors.AsType[*LeftAlone](err); ok {
		o := base
		o.Address, o.Offer, o.Time, o.Reach = a.String(), offer, l.opt.Now(), alone.Reach
		return o, true
	}
	if err != nil {
		return inventory.Observation{}, false
	}
	pctx, cancel := context.WithTimeout(ctx, w.Timeout)
	defer cancel()
	req := inventory.ProbeRequest{Target: w.Target, Address: a, Offer: offer, Mode: w.Mode}
	o := l.opt.Prober.Probe(pctx, req)
	for n := 0; n < w.Retries && len(o.Chain) == 0 && passing(o.Reach.Status) && pause(pctx, 100*time.Millisecond<<n); n++ {
		o = l.opt.Prober.Probe(pctx, req)
	}
	leave(o)
	if ctx.Err() != nil {
		return inventory.Observation{}, false
	}
	o.Schema, o.Target, o.Location, o.Slot, o.Attempt = base.Schema, base.Target, base.Location, base.Slot, base.Attempt
	o.Resolution, o.Unexamined, o.Timings.Resolve = base.Resolution, base.Unexamined, base.Timings.Resolve
	return o, true
}

// passing reports whether a failure may be gone a moment later. A refusal is an
// answer, and a timeout has used the budget up.
func passing(s inventory.ReachStatus) bool {
	return s == inventory.ReachReset || s == inventory.ReachEOF || s == inventory.ReachUnreachable
}

// pause waits for d and reports whether ctx is still alive then.
func pause(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
