package lab

import (
	"sync/atomic"
	"time"

	"example.com/certscan/internal/inventory"
)

// older is a certificate that was good, and that a newer one has replaced
// everywhere but here. It is in no tier yet.
func (s *site) older() *Certificate {
	return s.leaf(s.issuing, s.host, s.valid(-25*day, 65*day))
}

func fleetScenarios() []definition {
	return []definition{
		{name: "one-stale-node", about: "Three addresses, one of which still serves the certificate before.", want: wants(inventory.CodeAddressesDisagree), build: func(s *site) {
			renewed := s.good()
			s.serve(renewed)
			s.serve(s.tls(s.older(), s.issuing))
			s.serve(renewed)
		}},
		{name: "one-expired-node", about: "Three addresses, one of which serves a certificate that has expired: the outage that nobody sees.", want: wants(inventory.CodeAddressesDisagree, inventory.CodeExpired), build: func(s *site) {
			renewed := s.good()
			s.serve(renewed)
			s.serve(s.tls(s.leaf(s.issuing, s.host, s.valid(-91*day, -day)), s.issuing))
			s.serve(renewed)
		}},
		{name: "pool", about: "One address with two servers behind it, one of which still serves the certificate before.", want: wants(inventory.CodeAddressesDisagree), build: func(s *site) {
			s.out.Samples = 4
			s.serve(Alternate(s.good(), s.tls(s.older(), s.issuing)))
		}},
		{name: "rotating-addresses", about: "Six addresses, of which DNS gives two at a time; all serve the same.", build: func(s *site) {
			h := s.good()
			for range 6 {
				s.serve(h)
			}
			s.entry(s.host).rotation = 2
		}},
		{name: "not-deployed", about: "A certificate was renewed and never installed.", want: wants(inventory.CodeNotDeployed), build: func(s *site) {
			s.out.Expect = s.leaf(s.issuing, s.host, s.valid(-time.Hour, 90*day)).DER
			h := s.tls(s.older(), s.issuing)
			s.serve(h)
			s.serve(h)
		}},
		{name: "partially-deployed", about: "A certificate was renewed and installed on two addresses of three.", want: wants(inventory.CodeAddressesDisagree, inventory.CodePartiallyDeployed), build: func(s *site) {
			renewed := s.leaf(s.issuing, s.host, s.valid(-time.Hour, 90*day-time.Hour))
			s.out.Expect = renewed.DER
			h := s.tls(renewed, s.issuing)
			s.serve(h)
			s.serve(s.tls(s.older(), s.issuing))
			s.serve(h)
		}},
		{name: "deployed", about: "A certificate was renewed and installed everywhere.", build: func(s *site) {
			renewed := s.leaf(s.issuing, s.host, s.valid(-time.Hour, 90*day-time.Hour))
			s.out.Expect = renewed.DER
			h := s.tls(renewed, s.issuing)
			s.serve(h)
			s.serve(h)
		}},
	}
}

// inTurn returns a function that calls one of the steps each time, beginning
// again after the last.
func inTurn(steps ...func()) func() {
	var n atomic.Uint64
	return func() { steps[(n.Add(1)-1)%uint64(len(steps))]() }
}

// changingScenarios are in two steps.
func changingScenarios() []definition {
	ok := ends(inventory.ReachOK)
	// then serves before, and after the change what change returns.
	then := func(name, about string, reach []inventory.ReachStatus, after []inventory.Code, change func(*site, *Certificate) Handler) definition {
		return definition{name: name, about: about, build: func(s *site) {
			leaf := s.older()
			good := s.tls(leaf, s.issuing)
			h := NewSwitch(good)
			s.serve(h.Handle)
			changed := change(s, leaf)
			s.out.Leaves = s.out.Leaves[:1] // of the first step
			s.out.Change = inTurn(func() { h.Set(changed) }, func() { h.Set(good) })
			s.out.WantAfter, s.out.ReachAfter = after, reach
		}}
	}
	return []definition{
		then("renewed", "The certificate is renewed in place, which is no defect.", ok, nil, func(s *site, _ *Certificate) Handler {
			return s.good()
		}),
		then("chain-broken", "The certificate stays, and the intermediate is lost.", ok,
			wants(inventory.CodeChainBroken, inventory.CodeIncompleteChain), func(s *site, leaf *Certificate) Handler {
				return s.tls(leaf)
			}),
		then("goes-silent", "The server stops to answer; its certificate goes on expiring.", ends(inventory.ReachTimeout),
			wants(inventory.CodeUnreachable), func(*site, *Certificate) Handler { return Silent }),
		then("goes-plain", "The server loses its TLS configuration.", ends(inventory.ReachNotTLS),
			wants(inventory.CodeNotTLS), func(*site, *Certificate) Handler { return Answer(plainHTTP) }),
		{name: "renewed-one-node", about: "The certificate is renewed on one of two addresses, and the other one is forgotten.", build: func(s *site) {
			old := s.tls(s.older(), s.issuing)
			first, second := NewSwitch(old), NewSwitch(old)
			s.serve(first.Handle)
			s.serve(second.Handle)
			renewed := s.good()
			s.out.Leaves = s.out.Leaves[:1] // of the first step
			s.out.Change = inTurn(func() { first.Set(renewed) }, func() { second.Set(renewed) }, func() { first.Set(old); second.Set(old) })
			s.out.WantAfter, s.out.ReachAfter = wants(inventory.CodeAddressesDisagree), ok
		}},
	}
}
