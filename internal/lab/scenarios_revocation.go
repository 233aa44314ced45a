package lab

import (
	"crypto/x509"
	"math/big"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"

	"example.com/certscan/internal/inventory"
)

// revocationScenarios are to be judged with revocation soft. Each is about the
// leaf's own list or responder; those of all others say good.
func revocationScenarios() []definition {
	return append(append(listScenarios(), responderScenarios()...), stapleScenarios()...)
}

// serveListed serves a leaf whose CRL is what issue makes of it.
func (s *site) serveListed(issue func(leaf *Certificate, url string) []byte) {
	url := s.issuers.listURL(s.name)
	leaf := s.leaf(s.issuing, s.host, withLists(url))
	if issue != nil {
		s.issuers.publishList(s.name, issue(leaf, url))
	}
	s.serve(s.tls(leaf, s.issuing))
}

func listScenarios() []definition {
	unknown := wants(inventory.CodeRevocationUnknown)
	invalid := wants(inventory.CodeCRLInvalid, inventory.CodeRevocationUnknown)
	listed := func(name, about string, want []inventory.Code, spec func(s *site, leaf *Certificate, url string) listSpec) definition {
		return definition{name: name, about: about, want: want, build: func(s *site) {
			s.serveListed(func(leaf *Certificate, url string) []byte { return s.list(s.issuing, spec(s, leaf, url)) })
		}}
	}
	return []definition{
		listed("crl-revoked", "A certificate that was revoked two days ago, says the CRL.", wants(inventory.CodeRevoked), func(_ *site, leaf *Certificate, _ string) listSpec {
			return listSpec{revoked: []*Certificate{leaf}}
		}),
		listed("crl-partition", "A CRL for the certificates that name its URL.", nil, func(_ *site, _ *Certificate, url string) listSpec {
			return listSpec{point: url}
		}),
		listed("crl-partition-revoked", "Such a CRL, with the certificate on it.", wants(inventory.CodeRevoked), func(_ *site, leaf *Certificate, url string) listSpec {
			return listSpec{point: url, revoked: []*Certificate{leaf}}
		}),
		listed("crl-partition-of-others", "A CRL for the certificates that name another URL.", invalid, func(_ *site, _ *Certificate, url string) listSpec {
			return listSpec{point: url + "2"}
		}),
		listed("crl-expired", "A CRL that ended an hour ago.", unknown, func(*site, *Certificate, string) listSpec {
			return listSpec{thisUpdate: -3 * day, nextUpdate: -time.Hour}
		}),
		listed("crl-not-yet-valid", "A CRL that begins tomorrow.", unknown, func(*site, *Certificate, string) listSpec {
			return listSpec{thisUpdate: day}
		}),
		listed("crl-wrong-key", "A CRL in the name of the issuer and by another key.", invalid, func(s *site, _ *Certificate, _ string) listSpec {
			return listSpec{key: s.strangeIssuing.Key}
		}),
		{name: "crl-wrong-issuer", about: "A CRL of another issuer.", want: invalid, build: func(s *site) {
			s.serveListed(func(*Certificate, string) []byte { return s.list(s.privateIssuing, listSpec{}) })
		}},
		{name: "crl-malformed", about: "A web page where the CRL should be.", want: invalid, build: func(s *site) {
			s.serveListed(func(*Certificate, string) []byte { return []byte("<!DOCTYPE html><title>CRL</title>") })
		}},
		{name: "crl-trailing-bytes", about: "A CRL with something after its end.", want: invalid, build: func(s *site) {
			s.serveListed(func(*Certificate, string) []byte { return append(s.list(s.issuing, listSpec{}), 0) })
		}},
		{name: "crl-not-found", about: "No CRL where the certificate says that it is.", want: unknown, build: func(s *site) {
			s.serveListed(nil)
		}},
		{name: "crl-host-dead", about: "A CRL on a host where nothing listens.", want: unknown, build: func(s *site) {
			const discard = 9 // a port that nobody is given
			here := netip.MustParseAddrPort(strings.TrimPrefix(s.issuers.base, "http://")).Addr()
			url := "http://" + netip.AddrPortFrom(here, discard).String() + "/list.crl"
			s.serve(s.tls(s.leaf(s.issuing, s.host, withLists(url)), s.issuing))
		}},
		{name: "crl-metadata-address", about: "A CRL at the address where clouds keep secrets.", want: unknown, build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, withLists("http://169.254.169.254/latest/meta-data/")), s.issuing))
		}},
		{name: "crl-intermediate-revoked", about: "A good certificate of an intermediate that was revoked.", want: wants(inventory.CodeIntermediateRevoked), build: func(s *site) {
			url := s.issuers.listURL(s.name)
			ca := s.authority("revoked-issuing", s.root, withLists(url))
			s.issuers.publishList(s.name, s.list(s.root, listSpec{revoked: []*Certificate{ca}}))
			s.serve(s.tls(s.leaf(ca, s.host), ca))
		}},
		{name: "revocation-nobody-to-ask", about: "A certificate of five days that names neither a CRL nor a responder.", build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, withLists(), s.valid(-day, 4*day)), s.issuing))
		}},
	}
}

// serveAnswered serves a leaf without a CRL whose OCSP responder spec describes.
func (s *site) serveAnswered(spec responderSpec, options ...option) {
	s.issuers.publishResponder(s.name, func(serial *big.Int) ([]byte, error) { return s.respond(s.issuing, serial, spec) })
	options = append([]option{withLists(), withResponder(s.issuers.responderURL(s.name))}, options...)
	s.serve(s.tls(s.leaf(s.issuing, s.host, options...), s.issuing))
}

func responderScenarios() []definition {
	unknown := wants(inventory.CodeRevocationUnknown)
	answered := func(name, about string, want []inventory.Code, spec func(*site) responderSpec, options ...option) definition {
		return definition{name: name, about: about, want: want, build: func(s *site) { s.serveAnswered(spec(s), options...) }}
	}
	plainly := func(spec responderSpec) func(*site) responderSpec { return func(*site) responderSpec { return spec } }
	return []definition{
		answered("ocsp-good", "No CRL, and an OCSP responder that says good.", nil, plainly(responderSpec{})),
		answered("ocsp-revoked", "An OCSP responder that says revoked.", wants(inventory.CodeRevoked), plainly(responderSpec{status: ocsp.Revoked})),
		answered("ocsp-unknown", "An OCSP responder that does not know the certificate.", unknown, plainly(responderSpec{status: ocsp.Unknown})),
		answered("ocsp-stale", "An OCSP response that ended an hour ago.", unknown, plainly(responderSpec{thisUpdate: -3 * day, nextUpdate: -time.Hour})),
		answered("ocsp-try-later", "An OCSP responder that has no time.", unknown, plainly(responderSpec{answer: ocsp.TryLaterErrorResponse})),
		answered("ocsp-malformed", "A web page where the OCSP response should be.", unknown, plainly(responderSpec{answer: []byte("<html>")})),
		answered("ocsp-delegated", "An OCSP responder with a certificate for that.", nil, func(s *site) responderSpec {
			return responderSpec{delegate: s.delegate(s.issuing, x509.ExtKeyUsageOCSPSigning)}
		}),
		answered("ocsp-delegated-wrongly", "An OCSP responder with a server's certificate.", unknown, func(s *site) responderSpec {
			return responderSpec{delegate: s.delegate(s.issuing, x509.ExtKeyUsageServerAuth)}
		}),
		answered("ocsp-delegated-by-another", "An OCSP responder whose certificate is by another issuer.", unknown, func(s *site) responderSpec {
			return responderSpec{delegate: s.delegate(s.privateIssuing, x509.ExtKeyUsageOCSPSigning)}
		}),
		answered("ocsp-instead-of-crl", "A CRL that is not there, and an OCSP responder that says good.", nil, plainly(responderSpec{}),
			func(s *Spec) { s.CRLURLs = []string{s.IssuerURLs[0] + "/not-there.crl"} }),
	}
}

// serveStapled serves a leaf with the staple that make makes for it, none if
// that is nil.
func (s *site) serveStapled(staple func(leaf *Certificate) []byte, options ...option) {
	leaf := s.leaf(s.issuing, s.host, append([]option{withResponder(s.issuers.responderURL("good"))}, options...)...)
	config := s.config(leaf, s.issuing)
	if staple != nil {
		config = stapled(config, staple(leaf))
	}
	s.serve(TLS(config))
}

func stapleScenarios() []definition {
	about := func(spec responderSpec) func(*site) func(*Certificate) []byte {
		return func(s *site) func(*Certificate) []byte {
			return func(leaf *Certificate) []byte { return s.staple(s.issuing, leaf, spec) }
		}
	}
	sends := func(name, text string, want []inventory.Code, staple func(*site) func(*Certificate) []byte, options ...option) definition {
		return definition{name: name, about: text, want: want, build: func(s *site) { s.serveStapled(staple(s), options...) }}
	}
	none := func(*site) func(*Certificate) []byte { return nil }
	stale := responderSpec{thisUpdate: -9 * day, nextUpdate: -2 * day}
	return []definition{
		sends("staple-good", "A server that staples.", nil, about(responderSpec{})),
		sends("staple-revoked", "A server that staples that its certificate was revoked.", wants(inventory.CodeRevoked), about(responderSpec{status: ocsp.Revoked})),
		sends("staple-stale", "A staple that was not renewed for nine days.", wants(inventory.CodeStapleStale), about(stale)),
		sends("staple-of-another", "A staple about another certificate.", wants(inventory.CodeStapleInvalid), func(s *site) func(*Certificate) []byte {
			return func(*Certificate) []byte {
				return s.staple(s.issuing, s.leaf(s.issuing, "other."+s.host), responderSpec{})
			}
		}),
		sends("staple-wrong-key", "A staple that is not signed by the issuer.", wants(inventory.CodeStapleInvalid), func(s *site) func(*Certificate) []byte {
			return func(leaf *Certificate) []byte {
				return s.staple(s.issuing, leaf, responderSpec{delegate: s.delegate(s.strangeIssuing, x509.ExtKeyUsageOCSPSigning)})
			}
		}),
		sends("staple-malformed", "A staple that is no OCSP response.", wants(inventory.CodeStapleInvalid), func(*site) func(*Certificate) []byte {
			return func(*Certificate) []byte { return []byte("staple") }
		}),
		sends("must-staple-good", "A certificate that demands a staple, and has one.", nil, about(responderSpec{}), mustStaple()),
		sends("must-staple-missing", "A certificate that demands a staple, and has none.", wants(inventory.CodeMustStapleMissing), none, mustStaple()),
		sends("must-staple-stale", "A certificate that demands a staple, and has an old one.", wants(inventory.CodeStapleStale), about(stale), mustStaple()),
	}
}
