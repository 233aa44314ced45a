package lab

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/miekg/dns"
)

// recordTTL in seconds: long enough for one scan, short enough to see changes.
const recordTTL = 5

// An entry is what the lab's DNS server says of one name.
type entry struct {
	addresses []netip.Addr
	cname     string // the alias's target, without a final dot
	rcode     int

	silent   bool // never answers
	overTCP  bool // answers whole over TCP only
	rotation int  // answers with so many addresses, each time with others; 0 is all

	asked atomic.Uint32
}

// A nameServer answers for the lab's names and says NXDOMAIN to all others.
type nameServer struct {
	zone  map[string]*entry // by name without a final dot; not changed while serving
	fleet func(name string) *entry
}

// serveDNS runs d until the farm ends.
func (f *farm) serveDNS(d *dns.Server) error {
	started, ended := make(chan struct{}), make(chan error, 1)
	d.NotifyStartedFunc = func() { close(started) }
	f.wg.Go(func() { ended <- d.ActivateAndServe() })
	select {
	case <-started:
	case err := <-ended:
		return fmt.Errorf("serve DNS: %w", err)
	}
	f.wg.Go(func() {
		<-f.ctx.Done()
		_ = d.Shutdown()
	})
	return nil
}

// ServeDNS implements [dns.Handler].
func (s *nameServer) ServeDNS(w dns.ResponseWriter, r *dns.Msg) {
	m := new(dns.Msg).SetReply(r)
	m.Authoritative, m.RecursionAvailable = true, true
	if opt := r.IsEdns0(); opt != nil {
		m.SetEdns0(1232, false)
	}
	if len(r.Question) != 1 {
		m.Rcode = dns.RcodeFormatError
		_ = w.WriteMsg(m)
		return
	}
	_, overUDP := w.RemoteAddr().(*net.UDPAddr)
	if s.answer(m, r.Question[0], overUDP) {
		_ = w.WriteMsg(m)
	}
}

// answer follows the aliases of the question and fills m. It reports false if
// the server is to say nothing.
func (s *nameServer) answer(m *dns.Msg, q dns.Question, overUDP bool) bool {
	owner := q.Name
	for range len(s.zone) + 1 { // an alias loop ends
		e := s.entry(owner)
		if e == nil {
			m.Rcode = dns.RcodeNameError
			return true
		}
		switch {
		case e.silent:
			return false
		case e.overTCP && overUDP:
			m.Truncated = true
			return true
		case e.cname != "":
			m.Answer = append(m.Answer, &dns.CNAME{
				Hdr: header(owner, dns.TypeCNAME), Target: dns.Fqdn(e.cname),
			})
			owner = dns.Fqdn(e.cname)
			continue
		}
		m.Rcode = e.rcode
		m.Answer = append(m.Answer, e.records(owner, q.Qtype)...)
		return true
	}
	m.Rcode = dns.RcodeServerFailure
	return true
}

func (s *nameServer) entry(owner string) *entry {
	name := dns.CanonicalName(owner)
	name = name[:len(name)-1]
	if e := s.zone[name]; e != nil {
		return e
	}
	return s.fleet(name)
}

// records returns the addresses of the family that qtype asks for.
func (e *entry) records(owner string, qtype uint16) []dns.RR {
	var rrs []dns.RR
	for _, a := range e.addresses {
		switch {
		case qtype == dns.TypeA && a.Is4():
			rrs = append(rrs, &dns.A{Hdr: header(owner, qtype), A: a.AsSlice()})
		case qtype == dns.TypeAAAA && a.Is6():
			rrs = append(rrs, &dns.AAAA{Hdr: header(owner, qtype), AAAA: a.AsSlice()})
		}
	}
	if e.rotation == 0 || len(rrs) <= e.rotation {
		return rrs
	}
	first := int(e.asked.Add(1)-1) * e.rotation
	some := make([]dns.RR, e.rotation)
	for i := range some {
		some[i] = rrs[(first+i)%len(rrs)]
	}
	return some
}

func header(owner string, rrtype uint16) dns.RR_Header {
	return dns.RR_Header{Name: owner, Rrtype: rrtype, Class: dns.ClassINET, Ttl: recordTTL}
}
