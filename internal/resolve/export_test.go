package resolve

import (
	"io"
	"net/netip"

	"github.com/miekg/dns"

	"example.com/certscan/internal/inventory"
)

// ParseHosts is for fuzzing.
var ParseHosts = parseHosts

// MaxCached is the size of the cache.
const MaxCached = maxCached

// Cached is how many names r remembers.
func Cached(r *Resolver) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.cache.entries)
}

// Fill makes r remember names without asking.
func Fill(r *Resolver, names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range names {
		r.cache.put(n, inventory.Resolution{Name: n}, r.now(), minTTL)
	}
}

// TakeAnswer reads b as the answer to an A question for name. It has the
// question's number whatever b says.
func TakeAnswer(name string, b []byte) (res inventory.Resolution, took bool) {
	v4 := &question{qtype: dns.TypeA, asked: name, name: name}
	d := &datagram{q: v4}
	if err := d.send(io.Discard, false); err != nil {
		return res, false
	}
	if len(b) > 2 {
		copy(b, d.wire[:2])
	}
	if !d.answeredBy(b) {
		return res, false
	}
	if err := d.take(io.Discard, newServer(netip.AddrPort{}), b); err != nil {
		return res, false
	}
	v6 := &question{qtype: dns.TypeAAAA, asked: name, name: name, answered: true, status: inventory.ReachDNSNoAddress}
	res, _ = combine(name, v4, v6)
	return res, d.done && !d.overTCP && v4.status != ""
}
