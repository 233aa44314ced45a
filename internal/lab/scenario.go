package lab

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"strconv"

	"example.com/certscan/internal/inventory"
)

// A Scenario is one thing that can be right or wrong with an endpoint, running,
// and what a scan of it has to find: these codes and no others.
type Scenario struct {
	Name  string // "expired"
	About string // one sentence: what is served

	// Targets are what to give to scan, in its own grammar. Most scenarios have one.
	Targets []string

	// Addresses are what the lab's DNS server says of the scenario's names, for
	// who would rather not ask it. Rotating answers are whole here; names that
	// do not resolve are missing.
	Addresses map[string][]netip.Addr

	// Private: to be judged with [Lab.Private] and not with [Lab.Public].
	Private bool

	// Offers that the defect needs to be seen; nil is the default one. Samples
	// are how many handshakes per address it needs; 0 is 1.
	Offers  []inventory.Offer
	Samples int

	// Expect, if not nil, is the DER of the certificate that ought to be
	// deployed, for scan --expect.
	Expect []byte

	// Want are the codes of all findings about the endpoints, the targets and
	// the fleet, sorted, each once.
	Want []inventory.Code

	// Reach are the ways in which connections end, sorted, each once.
	Reach []inventory.ReachStatus

	// Leaves are the first certificates of all chains that servers send, also
	// of those that cannot be parsed: a scan must have recorded these.
	Leaves []inventory.Fingerprint

	// Change, if not nil, changes the servers after a first scan. WantAfter and
	// ReachAfter are what a second scan finds, with the first one in mind. Called
	// again it mends what it broke, and so on in turn.
	Change     func()
	WantAfter  []inventory.Code
	ReachAfter []inventory.ReachStatus
}

// A definition is a scenario before it has started.
type definition struct {
	name, about string
	want        []inventory.Code
	reach       []inventory.ReachStatus // nil is ok
	build       func(*site)
}

// definitions returns all scenarios.
func definitions() []definition {
	return slices.Concat(
		goodScenarios(), timeScenarios(), nameScenarios(), trustScenarios(), servedScenarios(), issuerScenarios(),
		keyScenarios(), malformedScenarios(), transparencyScenarios(), tlsScenarios(), reachScenarios(), dnsScenarios(), fleetScenarios(),
		changingScenarios(), starttlsScenarios(), revocationScenarios(),
	)
}

// Tour returns the names of the scenarios that show best what a scan finds, few
// enough for a person to look at. All are judged with [Lab.Public] and need no
// other offer than the default one.
func Tour() []string {
	return []string{
		"good", "good-rsa", "good-cross-sign", "good-wildcard", "good-idn", "good-short-lived", "good-addresses-agree",
		"expired", "not-yet-valid", "expiring-60d", "expiring-30d", "expiring-14d", "expiring-7d", "expiring-3d",
		"intermediate-expires-first", "expired-intermediate", "expired-cross-sign",
		"wrong-name", "no-san", "wildcard-public-suffix", "self-signed", "untrusted-root", "unknown-issuer", "incomplete",
		"crl-revoked", "crl-expired", "crl-intermediate-revoked", "ocsp-good", "staple-stale", "must-staple-missing",
		"wrong-order", "distrusted-root", "sha1-leaf", "client-certificate", "close-primes", "rsa-1024", "key-reused",
		"valid-too-long", "sct-missing", "sct-invalid", "malformed-leaf", "malformed-extra", "tls10-only", "client-certificate-required-tls13",
		"one-stale-node", "one-expired-node",
		"smtp-good", "smtp-expired", "imap-injected", "postgres-good", "mysql-missing",
		"closed", "silent", "plain-http", "reset-after-certificate-tls12", "one-address-dead", "dns-no-such-name",
	}
}

func wants(codes ...inventory.Code) []inventory.Code { return codes }

func ends(statuses ...inventory.ReachStatus) []inventory.ReachStatus { return statuses }

// A site is what one scenario is built with.
type site struct {
	*builder
	definition
	addresses *addresses
	zone      map[string]*entry
	host      string // the scenario's own name under [Domain]

	out       Scenario
	targets   []string // without port
	names     []string // that the scenario put into the zone
	endpoints []endpoint
}

// add gives a new address to h and makes host resolve to it.
func (s *site) add(host string, h Handler) netip.Addr {
	a := s.addresses.next()
	s.listen(a, h)
	e := s.entry(host)
	e.addresses = append(e.addresses, a)
	return a
}

// listen lets h answer at a; nothing does if h is nil.
func (s *site) listen(a netip.Addr, h Handler) { s.endpoints = append(s.endpoints, endpoint{a, h}) }

// entry returns what DNS says of host.
func (s *site) entry(host string) *entry {
	if s.zone[host] == nil {
		s.zone[host] = new(entry)
		s.names = append(s.names, host)
	}
	return s.zone[host]
}

// serve gives a new address of the scenario's own name to h.
func (s *site) serve(h Handler) netip.Addr { return s.add(s.host, h) }

// tls is a server that sends the given chain, recorded as one that a scan must
// see.
func (s *site) tls(certs ...*Certificate) Handler { return TLS(s.config(certs...)) }

func (s *site) config(certs ...*Certificate) *tls.Config {
	s.out.Leaves = append(s.out.Leaves, inventory.FingerprintOf(certs[0].DER))
	return &tls.Config{
		Certificates:           []tls.Certificate{Chain(certs...)},
		SessionTicketsDisabled: true,
	}
}

// good is an ordinary server for the scenario's name.
func (s *site) good() Handler { return s.tls(s.leaf(s.issuing, s.host), s.issuing) }

// tune returns config after change.
func tune(config *tls.Config, change func(*tls.Config)) *tls.Config {
	change(config)
	return config
}

// target adds a target other than the scenario's name. It has no port yet.
func (s *site) target(t string) { s.targets = append(s.targets, t) }

// scenario is the finished site on port.
func (s *site) scenario(port uint16) Scenario {
	out := s.out
	out.Name, out.About = s.name, s.about
	out.Want, out.Reach = sorted(s.want), sorted(s.reach)
	out.WantAfter, out.ReachAfter = sorted(out.WantAfter), sorted(out.ReachAfter)
	if s.reach == nil {
		out.Reach = ends(inventory.ReachOK)
	}
	if s.targets == nil {
		s.targets = []string{s.host}
	}
	for _, t := range s.targets {
		out.Targets = append(out.Targets, t+":"+strconv.Itoa(int(port)))
	}
	out.Addresses = make(map[string][]netip.Addr)
	for _, name := range s.names {
		e := s.zone[name]
		for e.cname != "" && s.zone[e.cname] != nil {
			e = s.zone[e.cname]
		}
		if len(e.addresses) > 0 && !e.silent {
			out.Addresses[name] = slices.Clone(e.addresses)
		}
	}
	return out
}

func sorted[T ~string](list []T) []T {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}
