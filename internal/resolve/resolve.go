// Package resolve finds all addresses of a host name: every A and every AAAA
// record, with the aliases on the way and the reason when there is none.
//
// It asks the system's resolvers or those it is told to, and never a public one
// on its own. Search domains are not applied, since a name in an inventory is
// fully qualified: "www" is asked for as "www.". Its invariant: "there is no
// address" is said only when a server said so; silence, refusal and nonsense
// each keep their own status.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"example.com/certscan/internal/inventory"
)

// Options says whom to ask and how patiently. The zero value asks the system's
// resolvers.
type Options struct {
	// Servers are the resolvers to ask, in order: "192.0.2.53",
	// "192.0.2.53:5353", "2001:db8::53" or "[2001:db8::53]:5353". Empty means
	// those of ResolvConf.
	Servers []string

	// ResolvConf is read by New if Servers is empty. Defaults to
	// /etc/resolv.conf.
	ResolvConf string

	// HostsFile is read by New; its names are not asked for. Defaults to
	// /etc/hosts if Servers is empty, else to none.
	HostsFile string

	// Timeout is how long one server has for an answer. Defaults to 2 seconds.
	Timeout time.Duration

	// Attempts is how often each server is asked before giving up. The default
	// is 3: two would lose one name in a thousand where 2 % of packets get lost
	// on each way.
	Attempts int

	// MaxInFlight bounds the names asked for at a time, each of which has one
	// socket. Defaults to 256.
	MaxInFlight int

	// Now is the clock of the cache. Defaults to [time.Now].
	Now func() time.Time
}

// A Resolver asks and remembers. It is safe for concurrent use, and leaves no
// goroutine behind: whoever calls Resolve does the work.
type Resolver struct {
	servers  []*server
	hosts    map[string][]netip.Addr
	timeout  time.Duration
	attempts int
	now      func() time.Time
	slots    chan struct{} // one is held for each name asked for
	buffers  sync.Pool     // of *[bufferSize]byte

	mu      sync.Mutex
	cache   cache              // under mu
	flights map[string]*flight // under mu: names that are being asked for
}

// A flight is a name that somebody asks for while others wait for the answer.
type flight struct {
	landed chan struct{}
	res    inventory.Resolution // after landed
	failed bool                 // after landed: who asked gave up, so there is no answer
}

// New returns a Resolver. The error says what to do when there is nobody to ask.
func New(opt Options) (*Resolver, error) {
	r := &Resolver{
		timeout: opt.Timeout, attempts: opt.Attempts, now: opt.Now,
		flights: make(map[string]*flight),
	}
	if r.timeout <= 0 {
		r.timeout = 2 * time.Second
	}
	if r.attempts <= 0 {
		r.attempts = 3
	}
	if r.now == nil {
		r.now = time.Now
	}
	if opt.MaxInFlight <= 0 {
		opt.MaxInFlight = 256
	}
	r.slots = make(chan struct{}, opt.MaxInFlight)
	r.buffers.New = func() any { return new([bufferSize]byte) }

	servers, hostsFile := opt.Servers, opt.HostsFile
	if len(servers) == 0 {
		var err error
		if servers, err = systemServers(opt.ResolvConf); err != nil {
			return nil, err
		}
		if hostsFile == "" {
			hostsFile = "/etc/hosts"
		}
	}
	for _, s := range servers {
		addr, err := parseServer(s)
		if err != nil {
			return nil, err
		}
		r.servers = append(r.servers, newServer(addr))
	}
	if hostsFile != "" {
		var err error
		// A machine without /etc/hosts is fine; a file that was asked for is not.
		if r.hosts, err = readHosts(hostsFile, opt.HostsFile == ""); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// systemServers are the resolvers that the machine is set up to use.
func systemServers(file string) ([]string, error) {
	if file == "" {
		file = "/etc/resolv.conf"
	}
	c, err := dns.ClientConfigFromFile(file)
	if err != nil {
		return nil, fmt.Errorf("system's DNS resolvers: %w (name one with --resolver ADDRESS)", err)
	}
	if len(c.Servers) == 0 {
		return nil, fmt.Errorf("system's DNS resolvers: %s names none (name one with --resolver ADDRESS)", file)
	}
	return c.Servers, nil
}

// parseServer reads an address with or without a port.
func parseServer(s string) (netip.AddrPort, error) {
	const port = 53
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")); err == nil {
		return netip.AddrPortFrom(a.Unmap(), port), nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil || ap.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("DNS resolver %q is not an IP address: write 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:5353", s)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}

// Servers are the resolvers that are asked, for messages.
func (r *Resolver) Servers() []string {
	names := make([]string, len(r.servers))
	for i, s := range r.servers {
		names[i] = s.name
	}
	return names
}

// Resolve finds all addresses of name, IPv4 before IPv6 and each ascending. A
// name without addresses is a result, not an error: see Status and Detail. If
// one family has addresses and the other could not be found out, the status is
// ok and Detail tells. If ctx ends first, the status is dns_timeout, and nothing
// is remembered.
//
// The answer is remembered for its TTL, but at least 30 seconds and at most an
// hour (five minutes if there is no address, 5 seconds if nobody knows); those
// who ask for one name at the same time share one question.
func (r *Resolver) Resolve(ctx context.Context, name string) inventory.Resolution {
	key := canonical(name)
	if res, ok := r.known(key); ok {
		return res
	}
	for {
		r.mu.Lock()
		if res, ok := r.cache.get(key, r.now()); ok {
			r.mu.Unlock()
			return private(res)
		}
		f, asked := r.flights[key]
		if !asked {
			f = &flight{landed: make(chan struct{})}
			r.flights[key] = f
		}
		r.mu.Unlock()
		if !asked {
			return private(r.fly(ctx, key, f))
		}
		select {
		case <-f.landed:
			if !f.failed {
				return private(f.res)
			}
			// Whoever asked gave up; that is no reason for us to.
		case <-ctx.Done():
			return r.gaveUp(ctx, key)
		}
	}
}

// fly asks for a name, and lands the flight also if it panics: others wait.
func (r *Resolver) fly(ctx context.Context, key string, f *flight) inventory.Resolution {
	var ttl time.Duration
	f.failed = true
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.flights, key)
		if !f.failed && ttl > 0 {
			r.cache.put(key, f.res, r.now(), ttl)
		}
		close(f.landed)
	}()
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return r.gaveUp(ctx, key)
	}
	res, remember := r.lookup(ctx, key)
	if ctx.Err() != nil && res.Status != inventory.ReachOK {
		return r.gaveUp(ctx, key)
	}
	f.res, f.failed, ttl = res, false, remember
	return res
}

// known answers what no server needs to be asked.
func (r *Resolver) known(name string) (inventory.Resolution, bool) {
	res := inventory.Resolution{Name: name, Status: inventory.ReachOK}
	if a, err := netip.ParseAddr(name); err == nil {
		res.Addresses = []netip.Addr{a.Unmap()}
		return res, true
	}
	addrs := r.hosts[name]
	if name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761, section 6.3
		addrs = slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !a.IsLoopback() })
		if len(addrs) == 0 {
			addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
		}
	}
	if len(addrs) > 0 {
		res.Addresses, res.Server = slices.Clone(addrs), "hosts file"
		return res, true
	}
	if _, ok := dns.IsDomainName(name); !ok || name == "" {
		res.Status, res.Detail = inventory.ReachDNSNXDomain, fmt.Sprintf("%q is not a domain name", name)
		return res, true
	}
	return res, false
}

func (r *Resolver) gaveUp(ctx context.Context, name string) inventory.Resolution {
	detail := "given up: " + context.Cause(ctx).Error()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		detail = "no answer in time from " + strings.Join(r.Servers(), ", ")
	}
	return inventory.Resolution{Name: name, Status: inventory.ReachDNSTimeout, Detail: detail}
}

// private copies what is shared with the cache.
func private(res inventory.Resolution) inventory.Resolution {
	res.Addresses, res.CNAMEs = slices.Clone(res.Addresses), slices.Clone(res.CNAMEs)
	return res
}

// tidy sorts addresses and drops duplicates.
func tidy(addrs []netip.Addr) []netip.Addr {
	if len(addrs) == 0 {
		return nil
	}
	out := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		out[i] = a.Unmap()
	}
	slices.SortFunc(out, netip.Addr.Compare) // puts IPv4 first
	return slices.Compact(out)
}

func canonical(name string) string {
	return strings.TrimSuffix(strings.ToLower(name), ".")
}
