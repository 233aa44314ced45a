package lab

import (
	"crypto/x509"
	"net/netip"
	"time"
)

func goodScenarios() []definition {
	list := []definition{
		{name: "good", about: "A P-256 certificate under one intermediate, as most of the web has it.", build: func(s *site) {
			s.serve(s.good())
		}},
		{name: "good-rsa", about: "An RSA-2048 certificate.", build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, withKey(s.key("rsa-2048-good"))), s.issuing))
		}},
		{name: "good-cross-sign", about: "The root is also sent as cross-signed by an older root; both paths are good.", build: func(s *site) {
			cross := s.crossSign("root", s.root, s.oldRoot)
			s.serve(s.tls(s.leaf(s.issuing, s.host), s.issuing, cross))
		}},
		{name: "good-wildcard", about: "A wildcard certificate for one label.", build: func(s *site) {
			host := "shop." + s.host
			s.add(host, s.tls(s.leaf(s.issuing, "*."+s.host), s.issuing))
			s.target(host)
		}},
		{name: "good-idn", about: "A name outside ASCII, given as people write it.", build: func(s *site) {
			host := "xn--bcher-kva." + s.host
			s.add(host, s.tls(s.leaf(s.issuing, host), s.issuing))
			s.target("bücher." + s.host)
		}},
		{name: "good-short-lived", about: "A certificate of six days with five to go: renewal is not due.", build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, s.valid(-day, 5*day)), s.issuing))
		}},
		{name: "good-addresses-agree", about: "Three addresses that serve the same certificate.", build: func(s *site) {
			h := s.good()
			for range 3 {
				s.serve(h)
			}
		}},
		{name: "good-pinned", about: "A name that does not resolve, with the address to ask in its place.", build: func(s *site) {
			a := s.add("elsewhere."+s.host, s.good())
			s.target(s.host + "@" + a.String())
		}},
		{name: "good-named-elsewhere", about: "A name that does not resolve, with a load balancer's name to ask in its place.", build: func(s *site) {
			s.add("lb-1."+s.host, s.good())
			s.target(s.host + "@lb-1." + s.host)
		}},
		{name: "private-ca", about: "A certificate of five years under a company's root, which no public rule binds.", build: func(s *site) {
			s.out.Private = true
			s.serve(s.tls(s.leaf(s.privateIssuing, s.host, s.valid(-365*day, 4*365*day-time.Hour)), s.privateIssuing))
		}},
		{name: "ip-address", about: "A target without a name, and a certificate for its IP address.", build: func(s *site) {
			s.out.Private = true // no public authority may certify a loopback address
			a := s.addresses.next()
			s.listen(a, s.tls(s.leaf(s.privateIssuing, "", forAddress(a)), s.privateIssuing))
			s.target(a.String())
		}},
	}
	if ln, err := listenAt(netip.IPv6Loopback(), 0); err == nil { // not every machine has it
		ln.Close()
		list = append(list, definition{name: "ip-address-v6", about: "The same with an IPv6 literal.", build: func(s *site) {
			s.out.Private = true
			a := netip.IPv6Loopback()
			s.listen(a, s.tls(s.leaf(s.privateIssuing, "", forAddress(a)), s.privateIssuing))
			s.target("[::1]")
		}})
	}
	return list
}

func forAddress(a netip.Addr) option {
	return func(s *Spec) { s.Names, s.Addresses = nil, []netip.Addr{a} }
}

// crossSign issues a certificate for root's name and key under another root.
// Root is the one that was published as name.
func (b *builder) crossSign(name string, root, under *Certificate, options ...option) *Certificate {
	return b.authority("cross-signed-"+name, under, append([]option{
		b.valid(-4*365*day, 5*365*day), named(name), withKey(root.Key), anyDepth,
	}, options...)...)
}

// named gives an authority the name of another one.
func named(name string) option {
	return func(s *Spec) { s.CommonName = authorityPrefix + name }
}

// anyDepth lets an authority sign others.
func anyDepth(s *Spec) {
	template(func(t *x509.Certificate) { t.MaxPathLenZero = false })(s)
}
