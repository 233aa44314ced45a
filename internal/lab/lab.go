package lab

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"example.com/certscan/internal/inventory"
)

// Domain is the parent of all names in the lab but those that a scenario needs
// elsewhere. It is under a real top-level domain, because the Baseline
// Requirements forbid certificates for any other, and reserved (RFC 2606).
const Domain = "lab.example.com"

// Options say what to start.
type Options struct {
	// Now is what certificates are dated relative to; defaults to [time.Now].
	Now time.Time

	// Scenarios are the names of those to start; all of them if nil, none if
	// empty.
	Scenarios []string

	// Endpoints is the size of the scale fleet: so many names with as many
	// certificates and keys, made when they are first asked for. At most a million.
	Endpoints int

	// Addresses is how many loopback addresses the scale fleet is spread over;
	// defaults to 250.
	Addresses int

	// Chain is what the scale fleet's certificates stand under; defaults to
	// [ChainP256].
	Chain ChainKind

	// Lists is how many CRLs the scale fleet's certificates share, 1 to 1000, and
	// ListEntries how many others are revoked on each. Defaults to one that is
	// empty.
	Lists, ListEntries int

	// Delay is how long the scale fleet takes before it answers a ClientHello,
	// and so how long a handshake with it takes.
	Delay time.Duration

	// DeadFraction, from 0 to 1, is the share of the scale fleet that is dead.
	// Which endpoints, and how, is the same in every lab.
	DeadFraction float64
}

// A Lab is running. Its methods may be called from several goroutines.
type Lab struct {
	farm      *farm
	cancel    context.CancelFunc
	builder   *builder
	fleet     *fleet
	resolver  string
	issuers   netip.Addr
	scenarios []Scenario
}

// Start starts what opt says. The lab ends with ctx, but is only known to have
// ended when Close returns. It fails if a scenario is unknown or where the
// system does not give all of 127.0.0.0/8 to loopback.
func Start(ctx context.Context, opt Options) (*Lab, error) {
	if opt.Now.IsZero() {
		opt.Now = time.Now()
	}
	chosen, err := choose(opt.Scenarios)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &Lab{farm: &farm{ctx: ctx}, cancel: cancel}
	if err := l.start(opt, chosen); err != nil {
		return nil, errors.Join(fmt.Errorf("lab: %w", err), l.Close())
	}
	return l, nil
}

func (l *Lab) start(opt Options, chosen []definition) error {
	addresses := newAddresses(netip.AddrFrom4([4]byte{127, 7, 0, 0}))
	l.issuers = addresses.next()
	if err := l.startIssuers(opt.Now); err != nil {
		return err
	}
	zone := make(map[string]*entry)
	var sites []*site
	for _, d := range chosen {
		s := &site{builder: l.builder, addresses: addresses, zone: zone, definition: d, host: d.name + "." + Domain}
		if d.build(s); l.builder.err != nil {
			return fmt.Errorf("scenario %q: %w", d.name, l.builder.err)
		}
		sites = append(sites, s)
	}
	port, err := l.listen(sites)
	if err != nil {
		return err
	}
	for _, s := range sites {
		l.scenarios = append(l.scenarios, s.scenario(port))
	}
	if l.fleet, err = newFleet(l.builder, opt); err != nil {
		return err
	}
	if err := l.fleet.start(l.farm); err != nil {
		return err
	}
	return l.startDNS(zone)
}

// Close ends all that was started and waits for it. The error is always nil; it
// is there so that a Lab is an [io.Closer].
func (l *Lab) Close() error {
	l.cancel()
	l.farm.wg.Wait()
	return nil
}

// Scenarios returns those that were started, in the order that they were asked
// for.
func (l *Lab) Scenarios() []Scenario { return slices.Clone(l.scenarios) }

// Resolver is the address and port of the lab's DNS server.
func (l *Lab) Resolver() string { return l.resolver }

// AllowFetch returns the networks that have to be allowed for its AIA server.
func (l *Lab) AllowFetch() []string { return []string{netip.PrefixFrom(l.issuers, 32).String()} }

// Targets returns the scale fleet: each target, with its address pinned, and how
// a connection to it ends.
func (l *Lab) Targets() iter.Seq2[string, inventory.ReachStatus] { return l.fleet.targets }

// Requests is the URL that says, in JSON, how often each CRL was asked for.
func (l *Lab) Requests() string { return l.builder.issuers.base + "/requests" }

func (l *Lab) startIssuers(now time.Time) error {
	ln, err := listenAt(l.issuers, 0)
	if err != nil {
		return err
	}
	server := newIssuerServer(ln, now)
	l.farm.wg.Go(func() { server.run(l.farm.ctx, ln) })
	l.builder = newBuilder(now, server)
	return l.builder.err
}

func (l *Lab) startDNS(zone map[string]*entry) error {
	server := &nameServer{zone: zone, fleet: l.fleet.lookup}
	var udp net.PacketConn
	tcp, err := retry(func() (net.Listener, error) {
		ln, err := listenAt(l.issuers, 0)
		if err != nil {
			return nil, err
		}
		l.resolver = ln.Addr().String()
		if udp, err = new(net.ListenConfig).ListenPacket(l.farm.ctx, "udp", l.resolver); err != nil {
			ln.Close()
		}
		return ln, err
	})
	if err != nil {
		return err
	}
	for _, d := range []*dns.Server{{PacketConn: udp, Handler: server}, {Listener: tcp, Handler: server}} {
		if err := l.farm.serveDNS(d); err != nil {
			udp.Close()
			tcp.Close()
			return err
		}
	}
	return nil
}

// listen opens one port on all addresses of the sites.
func (l *Lab) listen(sites []*site) (port uint16, err error) {
	var all []endpoint
	for _, s := range sites {
		all = append(all, s.endpoints...)
	}
	if len(all) == 0 {
		return 0, nil
	}
	return l.farm.listenAll(all)
}

// An endpoint is an address and what answers there, nil if nothing does.
type endpoint struct {
	address netip.Addr
	handler Handler
}

// listenAll serves all endpoints on one port, which no other socket on their
// addresses has.
func (f *farm) listenAll(endpoints []endpoint) (port uint16, err error) {
	open, err := retry(func() (map[netip.Addr]net.Listener, error) { return listenTogether(endpoints) })
	if err != nil {
		return 0, err
	}
	for _, e := range endpoints {
		ln := open[e.address]
		port = netip.MustParseAddrPort(ln.Addr().String()).Port()
		if e.handler == nil {
			ln.Close() // it was only to see that the port is free
			continue
		}
		f.serve(ln, e.handler)
	}
	return port, nil
}

func listenTogether(endpoints []endpoint) (map[netip.Addr]net.Listener, error) {
	var port uint16
	open := make(map[netip.Addr]net.Listener, len(endpoints))
	for _, e := range endpoints {
		ln, err := listenAt(e.address, port)
		if err != nil {
			for _, ln := range open {
				ln.Close()
			}
			return nil, err
		}
		open[e.address] = ln
		port = netip.MustParseAddrPort(ln.Addr().String()).Port()
	}
	return open, nil
}

// retry asks for ports until one is free everywhere.
func retry[T any](open func() (T, error)) (T, error) {
	const attempts = 20
	for n := 1; ; n++ {
		v, err := open()
		if err == nil || n == attempts {
			return v, err
		}
	}
}

func listenAt(addr netip.Addr, port uint16) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", net.JoinHostPort(addr.String(), strconv.Itoa(int(port))))
	if err != nil {
		return nil, fmt.Errorf("%w (the lab needs all of 127.0.0.0/8, as on Linux)", err)
	}
	return ln, nil
}

// addresses hands out loopback addresses.
type addresses struct{ last netip.Addr }

func newAddresses(network netip.Addr) *addresses { return &addresses{network} }

func (a *addresses) next() netip.Addr {
	a.last = a.last.Next()
	return a.last
}

// choose returns the definitions of the named scenarios, all if names is nil.
func choose(names []string) ([]definition, error) {
	all := definitions()
	if names == nil {
		return all, nil
	}
	var chosen []definition
	for _, name := range names {
		i := slices.IndexFunc(all, func(d definition) bool { return d.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no scenario is called %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
