package export

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"example.com/certscan/internal/inventory"
)

// An allowance is what may be examined besides the inventory.
type allowance struct {
	names    []string // globs
	networks []netip.Prefix
	special  func(netip.Addr) string
}

func parseAllow(list []string, special func(netip.Addr) string) (allowance, error) {
	a := allowance{special: special}
	for i, s := range list {
		if p, err := netip.ParsePrefix(s); err == nil {
			a.networks = append(a.networks, p.Masked())
			continue
		}
		if addr, err := netip.ParseAddr(s); err == nil {
			a.networks = append(a.networks, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		if s == "" || strings.ContainsAny(s, "/:@ ") {
			return a, fmt.Errorf("web.probe.allow[%d]: %q is neither a network, nor an address, nor a host name", i, s)
		}
		a.names = append(a.names, strings.ToLower(s))
	}
	return a, nil
}

// A refusal says that something may not be examined, and what would change that.
type refusal struct{ what, line string }

func (r *refusal) Error() string {
	return fmt.Sprintf("%s may not be probed: it is not in the inventory. To allow it, add to web.probe.allow:\n  - %q", r.what, r.line)
}

// A guard is asked before each connection that one probe makes. Its nil allows
// everything.
type guard struct {
	allowance
	target inventory.Target
	named  bool // the name to connect to is allowed, at public addresses

	mu  sync.Mutex
	was error // the first refusal
}

// guard returns what decides about the addresses of t, or a refusal if none can
// be allowed.
func (a allowance) guard(t inventory.Target) (*guard, error) {
	g := &guard{allowance: a, target: t}
	name := t.DialName()
	if addr, err := netip.ParseAddr(name); err == nil {
		for _, n := range a.names {
			g.named = g.named || n == "*"
		}
		return g, g.check(addr)
	}
	for _, n := range a.names {
		g.named = g.named || inventory.MatchGlob(n, name)
	}
	if !g.named && len(a.networks) == 0 {
		return nil, &refusal{clean(t.Key()), clean(name)}
	}
	return g, nil
}

// check decides about an address.
func (g *guard) check(addr netip.Addr) error {
	addr = addr.WithZone("").Unmap()
	what := g.special(addr)
	for _, p := range g.networks {
		// 0.0.0.0/0 is meant to be the internet, and not the machine's own network.
		if p.Contains(addr) && (what == "" || g.special(p.Addr()) != "" && p.Bits() >= 7) {
			return nil
		}
	}
	switch line := netip.PrefixFrom(addr, addr.BitLen()).String(); {
	case what != "":
		return &refusal{fmt.Sprintf("%s at %s, which is %s,", clean(g.target.Key()), addr, what), line}
	case g.named:
		return nil
	case g.target.DialName() == addr.String():
		return &refusal{clean(g.target.Key()), line}
	default:
		return &refusal{fmt.Sprintf("%s at %s", clean(g.target.Key()), addr), clean(g.target.DialName())}
	}
}

// hook is what [ProbeOptions.Examine] is given.
func (g *guard) hook() func(netip.Addr) error {
	if g == nil {
		return nil
	}
	return func(addr netip.Addr) error {
		err := g.check(addr)
		if err != nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.was == nil {
				g.was = err
			}
		}
		return err
	}
}

// refused is the first refusal there was.
func (g *guard) refused() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.was
}
