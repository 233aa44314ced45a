package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// defaultBudget bounds a probe whose context has no deadline.
const defaultBudget = 10 * time.Second

// A Dialer opens the TCP connections of probes.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Options configures a [Prober]. The zero value is ready to use.
type Options struct {
	Dialer Dialer           // opens connections; nil is the system's TCP
	Now    func() time.Time // dates observations; nil is time.Now
}

// A Prober makes probes. It is safe for concurrent use.
type Prober struct {
	dial   func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	now    func() time.Time
	routed func(netip.AddrPort) error // why the scanner itself cannot send there; nil if it can
	suites []uint16                   // every suite of TLS 1.2 and before that crypto/tls knows
}

// New returns a Prober.
func New(opt Options) *Prober {
	p := &Prober{now: opt.Now, dial: dialTCP, routed: routed}
	if p.now == nil {
		p.now = time.Now
	}
	if d := opt.Dialer; d != nil {
		p.dial = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			return d.DialContext(ctx, "tcp", to.String())
		}
	}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		p.suites = append(p.suites, s.ID)
	}
	return p
}

// Probe examines the endpoint of req with one offer. The deadline of ctx is the
// budget of the whole probe, further connections included; without one it is 10
// seconds. An endpoint that cannot be reached is data, not an error. A probe
// whose ctx was canceled, as opposed to expired, says local_error "canceled".
//
// The caller fills what Probe cannot know: Target, Location, Slot, Attempt,
// Resolution and the time spent on it.
func (p *Prober) Probe(ctx context.Context, req inventory.ProbeRequest) inventory.Observation {
	o := inventory.Observation{
		Schema:  inventory.ObservationSchema,
		Address: req.Address.String(),
		Offer:   req.Offer,
		Time:    p.now(),
	}
	if o.Offer == "" {
		o.Offer = inventory.OfferDefault
	}
	if req.Mode == inventory.ModeCensus {
		o.Offer = inventory.OfferCensus
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(defaultBudget)
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}

	j := job{p: p, ctx: ctx, deadline: deadline, req: req, offer: o.Offer}
	if j.req.Target.Protocol == "" {
		j.req.Target.Protocol = inventory.TLS
	}
	if j.offer != inventory.OfferNoSNI {
		j.serverName = req.Target.ServerName()
	}
	out := j.guarded()
	if errors.Is(ctx.Err(), context.Canceled) && out.reach.Status != inventory.ReachOK {
		out = outcome{reach: inventory.Reach{Status: inventory.ReachLocalError, Detail: "canceled"}}
	}

	o.Reach = inventory.Reach{Status: out.reach.Status, Detail: cut(out.reach.Detail)}
	o.TLS = out.tls
	if len(out.chain) > 0 {
		o.Capture, o.Chain, o.Staple, o.SCTs = &out.capture, out.chain, out.staple, out.scts
		o.TLS.Stapled = len(out.staple) > 0
	}
	o.Injected, o.Timings = j.injected, j.timings
	return o
}

// A job is one probe under way. It is used by one goroutine.
type job struct {
	p          *Prober
	ctx        context.Context
	deadline   time.Time
	req        inventory.ProbeRequest
	offer      inventory.Offer
	serverName string // to send in the server_name extension; empty is none

	injected []byte
	timings  inventory.Timings // summed over all connections of the probe
}

// guarded climbs, and lets no defect in reading what a stranger sent take down
// more than this one probe.
func (j *job) guarded() (out outcome) {
	defer func() {
		if p := recover(); p != nil {
			out = outcome{reach: inventory.Reach{
				Status: inventory.ReachLocalError,
				Detail: fmt.Sprintf("a defect of certscan, please report it: %v, %s", p, origin()),
			}}
		}
	}()
	return j.climb()
}

// origin is where in this package a panic began that is being recovered from.
func origin() string {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "/internal/probe.") {
			return fmt.Sprintf("in %s:%d", filepath.Base(f.File), f.Line)
		}
		if !more {
			return "elsewhere"
		}
	}
}

// spent reports whether the budget leaves nothing for a further connection.
func (j *job) spent() bool {
	return j.ctx.Err() != nil || !time.Now().Before(j.deadline)
}

// An outcome is what one connection gave.
type outcome struct {
	reach   inventory.Reach
	capture inventory.Capture // means something only with a chain
	tls     *inventory.TLSFacts
	chain   [][]byte
	staple  []byte
	scts    [][]byte

	next  further // what may still get a certificate
	unfit bool    // what the server said broke the rules or bounds of clients
	alert int     // the server's alert that ended the handshake; -1 if none did
}
