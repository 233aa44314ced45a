package resolve

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"example.com/certscan/internal/inventory"
)

// maxAliases is how many CNAME records are followed.
const maxAliases = 10

// A question is one record type of a name, and what is known of it so far.
type question struct {
	qtype uint16
	asked string   // the name that was meant; fully qualified
	name  string   // the name to ask for now: asked, or the last of aliases
	alias []string // CNAME targets in order; fully qualified

	// answered: a server said something usable about name. Then either status
	// is set, or name is another one to ask for.
	answered bool
	status   inventory.ReachStatus // "" while open
	detail   string
	addrs    []netip.Addr
	server   string
	ttl      uint32 // seconds: the least of the records used, or how long their absence holds
	hasTTL   bool
}

// fail notes why a server was of no use. What servers say counts for more than
// their silence, and both for more than our own trouble.
func (q *question) fail(status inventory.ReachStatus, detail string) {
	if rank(status) > rank(q.status) {
		q.status, q.detail = status, detail
	}
}

func rank(s inventory.ReachStatus) int {
	return slices.Index([]inventory.ReachStatus{"", inventory.ReachLocalError, inventory.ReachDNSTimeout, inventory.ReachDNSServFail}, s)
}

// settle ends a question with what a server said.
func (q *question) settle(status inventory.ReachStatus, server, detail string) {
	q.answered, q.status, q.server, q.detail = true, status, server, detail
}

func (q *question) least(ttl uint32) {
	if !q.hasTTL || ttl < q.ttl {
		q.ttl, q.hasTTL = ttl, true
	}
}

// lookup asks for both families of a name, and says how long the answer is
// worth remembering.
func (r *Resolver) lookup(ctx context.Context, name string) (inventory.Resolution, time.Duration) {
	fqdn := dns.Fqdn(name)
	v4 := &question{qtype: dns.TypeA, asked: fqdn, name: fqdn}
	v6 := &question{qtype: dns.TypeAAAA, asked: fqdn, name: fqdn}
	// One budget for the whole name, aliases included.
	end := time.Now().Add(r.timeout * time.Duration(r.attempts*len(r.servers)))
	for open := []*question{v4, v6}; len(open) > 0; {
		r.ask(ctx, open, end)
		open = slices.DeleteFunc(open, func(q *question) bool { return q.status != "" })
		for _, q := range open {
			q.answered = false // follow the alias
		}
	}
	return combine(name, v4, v6)
}

// ask asks the servers in turn until every question has an answer or a status.
func (r *Resolver) ask(ctx context.Context, questions []*question, end time.Time) {
	open := slices.Clone(questions)
	for range r.attempts {
		begun := time.Now()
		for _, s := range r.order() {
			if ctx.Err() == nil && time.Now().Before(end) {
				r.exchange(ctx, s, open, end)
			}
			open = slices.DeleteFunc(open, func(q *question) bool { return q.answered })
			if len(open) == 0 {
				return
			}
		}
		// An answer that came at once, such as SERVFAIL, would come again.
		if !pause(ctx, r.timeout/10-time.Since(begun)) {
			break
		}
	}
	for _, q := range open {
		if q.status == "" { // nobody was asked
			q.fail(inventory.ReachDNSTimeout, "no answer in time")
		}
	}
}

// pause reports whether ctx lasted that long.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
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

// accept reads an answer to q with response code NOERROR or NXDOMAIN. Records
// of names that q did not lead to are ignored.
func (q *question) accept(m *dns.Msg, server string) {
	before := len(q.alias)
	for {
		var next *dns.CNAME
		for _, rr := range m.Answer {
			h := rr.Header()
			if h.Class != dns.ClassINET || !strings.EqualFold(h.Name, q.name) {
				continue
			}
			switch rr := rr.(type) {
			case *dns.A:
				q.add(rr.A, h)
			case *dns.AAAA:
				q.add(rr.AAAA, h)
			case *dns.CNAME:
				next = rr
			}
		}
		if len(q.addrs) > 0 {
			q.settle(inventory.ReachOK, server, "")
			return
		}
		if next == nil {
			break
		}
		target := strings.ToLower(next.Target)
		q.least(next.Hdr.Ttl)
		seen := target == q.asked || slices.Contains(q.alias, target)
		q.alias, q.name = append(q.alias, target), target
		switch {
		case seen:
			q.settle(inventory.ReachDNSServFail, server, "CNAME loop: "+q.path())
			return
		case len(q.alias) > maxAliases:
			q.settle(inventory.ReachDNSServFail, server, fmt.Sprintf("more than %d CNAME records: %s", maxAliases, q.path()))
			return
		}
	}
	negative, referral := authority(m)
	switch {
	case m.Rcode == dns.RcodeNameError:
		q.negative(negative)
		q.settle(inventory.ReachDNSNXDomain, server, q.missing("does not exist"))
	case negative == nil && len(q.alias) > before:
		// The server did not follow the alias: ask for its target.
		q.answered, q.status, q.detail = true, "", ""
	case referral:
		q.fail(inventory.ReachDNSServFail, server+" is not a resolver for us: it sent a referral")
	default:
		q.negative(negative)
		q.settle(inventory.ReachDNSNoAddress, server, q.missing(fmt.Sprintf("has no %s record", dns.TypeToString[q.qtype])))
	}
}

func (q *question) add(ip []byte, h *dns.RR_Header) {
	if addr, ok := netip.AddrFromSlice(ip); ok && h.Rrtype == q.qtype {
		q.addrs = append(q.addrs, addr)
		q.least(h.Ttl)
	}
}

// negative takes the time that an absence holds from the SOA record, RFC 2308.
func (q *question) negative(soa *dns.SOA) {
	if soa != nil {
		q.least(min(soa.Hdr.Ttl, soa.Minttl))
	}
}

// missing says what is missing of which name, if an alias led to another.
func (q *question) missing(what string) string {
	if len(q.alias) == 0 {
		return what
	}
	return plain(q.name) + ", which it is an alias of, " + what
}

func (q *question) path() string {
	names := append([]string{plain(q.asked)}, plainAll(q.alias)...)
	return strings.Join(names, " → ")
}

// authority looks for what the authority section has to say about an answer
// without records: it is final (a SOA record), or it is somebody else's to give.
func authority(m *dns.Msg) (soa *dns.SOA, referral bool) {
	for _, rr := range m.Ns {
		switch rr := rr.(type) {
		case *dns.SOA:
			return rr, false
		case *dns.NS:
			referral = !m.Authoritative && !m.RecursionAvailable
		}
	}
	return nil, referral
}

// combine makes one resolution of two families.
func combine(name string, v4, v6 *question) (inventory.Resolution, time.Duration) {
	res := inventory.Resolution{Name: name, CNAMEs: plainAll(v4.alias), Server: v4.server}
	if len(v4.alias) == 0 {
		res.CNAMEs = plainAll(v6.alias)
	}
	if v4.server == "" {
		res.Server = v6.server
	}
	res.Addresses = tidy(slices.Concat(v4.addrs, v6.addrs))
	both := []*question{v4, v6}
	ttl := leastTTL(both)
	res.TTL = ttl

	if len(res.Addresses) > 0 {
		res.Status = inventory.ReachOK
		// How long the other family's absence holds is for the cache to know.
		res.TTL = leastTTL(slices.DeleteFunc(slices.Clone(both), func(q *question) bool { return len(q.addrs) == 0 }))
		for _, q := range both {
			if len(q.addrs) > 0 || q.status == inventory.ReachDNSNoAddress || q.status == inventory.ReachDNSNXDomain {
				continue // to say that a name which exists does not is a way to say that it lacks the record; see below
			}
			res.Partial = true
			res.Detail = fmt.Sprintf("%s: %s: %s", dns.TypeToString[q.qtype], q.status, q.detail)
			ttl = 0 // ask again soon
		}
		return res, clamp(ttl, maxTTL)
	}

	worst := v4
	switch {
	// Some load balancers say NXDOMAIN to every AAAA question (RFC 4074, section
	// 4.2), so only that of an A question speaks for the name.
	case v4.status == inventory.ReachDNSNXDomain && v6.status != inventory.ReachDNSNoAddress:
	case v4.answered && v6.answered && v4.status != inventory.ReachDNSServFail && v6.status != inventory.ReachDNSServFail:
		if v4.status != v6.status { // the name exists, as one of them says
			res.Status = inventory.ReachDNSNoAddress
		}
		if v4.status == inventory.ReachDNSNXDomain {
			worst = v6
		}
	case v4.answered && v4.status != inventory.ReachDNSServFail, rank(v6.status) > rank(v4.status):
		worst = v6 // what one family lacks says nothing of the other
	}
	if res.Status == "" {
		res.Status = worst.status
	}
	res.Detail = worst.detail
	switch res.Status {
	case inventory.ReachDNSNoAddress:
		if len(worst.alias) == 0 {
			res.Detail = "has neither an A nor an AAAA record"
		} else {
			res.Detail = plain(worst.name) + ", which it is an alias of, has neither an A nor an AAAA record"
		}
		return res, clamp(ttl, maxNegative)
	case inventory.ReachDNSNXDomain:
		return res, clamp(ttl, maxNegative)
	}
	res.TTL = 0 // of an answer that there is not
	if res.Status == inventory.ReachLocalError {
		return res, 0
	}
	return res, failureTTL
}

// leastTTL is the least TTL of what servers said, in seconds; 0 if they said
// nothing of it.
func leastTTL(questions []*question) uint32 {
	var all question
	for _, q := range questions {
		if q.answered && q.hasTTL {
			all.least(q.ttl)
		}
	}
	return all.ttl
}

func clamp(ttl uint32, most time.Duration) time.Duration {
	return min(max(time.Duration(ttl)*time.Second, minTTL), most)
}

// plain drops the root's dot.
func plain(name string) string { return strings.TrimSuffix(name, ".") }

func plainAll(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = plain(n)
	}
	return out
}
