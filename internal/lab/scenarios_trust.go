package lab

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"

	"example.com/certscan/internal/inventory"
)

func trustScenarios() []definition {
	return []definition{
		{name: "self-signed", about: "A certificate that vouches for itself.", want: wants(inventory.CodeSelfSigned), build: func(s *site) {
			s.serve(s.tls(s.leaf(nil, s.host, func(spec *Spec) { spec.CommonName = s.host })))
		}},
		{name: "untrusted-root", about: "A whole chain up to a root that nobody trusts.", want: wants(inventory.CodeUntrustedRoot), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.strangeIssuing, s.host), s.strangeIssuing, s.strangeRoot))
		}},
		{name: "unknown-issuer", about: "No intermediate, and no address where there might be one.", want: wants(inventory.CodeUnknownIssuer), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.strangeIssuing, s.host, withIssuerURL())))
		}},
		{name: "anchor-expired", about: "A good chain to a root that is trusted and has expired.", want: wants(inventory.CodeAnchorExpired), build: func(s *site) {
			ca := s.authority("under-expired-root", s.expiredRoot)
			s.serve(s.tls(s.leaf(ca, s.host), ca))
		}},
		{name: "distrusted-root", about: "A good chain to a root that the store distrusts.", want: wants(inventory.CodeDistrustedRoot), build: func(s *site) {
			ca := s.authority("under-distrusted-root", s.distrustedRoot)
			s.serve(s.tls(s.leaf(ca, s.host), ca))
		}},
		{name: "sha1-leaf", about: "A leaf that was signed with SHA-1.", want: wants(inventory.CodeWeakSignature), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, signedWith(crypto.SHA1)), s.issuing))
		}},
		{name: "sha1-intermediate", about: "An intermediate that was signed with SHA-1.", want: wants(inventory.CodeWeakSignature), build: func(s *site) {
			ca := s.authority("sha1-issuing", s.root, signedWith(crypto.SHA1))
			s.serve(s.tls(s.leaf(ca, s.host), ca))
		}},
		{name: "name-constraint", about: "An intermediate that may sign for another domain only.", want: wants(inventory.CodeNameConstraint), build: func(s *site) {
			ca := s.authority("constrained-issuing", s.root, template(func(t *x509.Certificate) {
				t.PermittedDNSDomains, t.PermittedDNSDomainsCritical = []string{"example.net"}, true
			}))
			s.serve(s.tls(s.leaf(ca, s.host), ca))
		}},
		{name: "client-certificate", about: "A certificate that is good for clients only.", want: wants(inventory.CodeBadEKU), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, template(func(t *x509.Certificate) {
				t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			})), s.issuing))
		}},
		{name: "not-a-ca", about: "A leaf that was signed by another leaf, and so names no CRL.", want: wants(inventory.CodeNotACA, inventory.CodeProfile), build: func(s *site) {
			other := s.leaf(s.issuing, "issuer."+s.host, func(spec *Spec) { spec.CommonName = "issuer." + s.host })
			s.serve(s.tls(s.leaf(other, s.host), other, s.issuing))
		}},
		{name: "path-length", about: "An intermediate below one that may sign leaves only.", want: wants(inventory.CodePathLength), build: func(s *site) {
			upper := s.authority("last-issuing", s.root)
			lower := s.authority("too-low-issuing", upper)
			s.serve(s.tls(s.leaf(lower, s.host), lower, upper))
		}},
		{name: "unknown-critical-extension", about: "A critical extension that nobody knows.", want: wants(inventory.CodeUnhandledCritical), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, template(func(t *x509.Certificate) {
				t.ExtraExtensions = []pkix.Extension{{Id: oidNobodys, Critical: true, Value: []byte{5, 0}}}
			})), s.issuing))
		}},
	}
}

// signedWith makes the issuer sign with hash, which nobody should.
func signedWith(hash crypto.Hash) option { return func(s *Spec) { s.Hash = hash } }

func servedScenarios() []definition {
	return []definition{
		{name: "wrong-order", about: "Two intermediates in the wrong order.", want: wants(inventory.CodeWrongOrder), build: func(s *site) {
			upper := s.authority("upper", s.root, anyDepth)
			lower := s.authority("lower", upper)
			s.serve(s.tls(s.leaf(lower, s.host), upper, lower))
		}},
		{name: "root-included", about: "The root is sent along.", want: wants(inventory.CodeExtraCertificates), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host), s.issuing, s.root))
		}},
		{name: "duplicate", about: "The intermediate is sent twice.", want: wants(inventory.CodeExtraCertificates), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host), s.issuing, s.issuing))
		}},
		{name: "unrelated", about: "An intermediate that signed nothing here is sent along.", want: wants(inventory.CodeExtraCertificates), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host), s.issuing, s.strangeIssuing))
		}},
	}
}

// issuerScenarios leave the intermediate out and differ in what is at the
// address in the leaf where it might be.
func issuerScenarios() []definition {
	found := func(name, about, suffix string) definition {
		return definition{name: name, about: about, want: wants(inventory.CodeIncompleteChain), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, withIssuerURL(s.issuing.url+suffix))))
		}}
	}
	// Nothing else in the lab shows this authority, so that it cannot be known
	// from another chain.
	lost := func(name, about, path string) definition {
		return definition{name: name, about: about, want: wants(inventory.CodeUnknownIssuer), build: func(s *site) {
			ca := s.authority("lost-"+name, s.root)
			s.serve(s.tls(s.leaf(ca, s.host, withIssuerURL(s.issuers.base+path))))
		}}
	}
	return []definition{
		found("incomplete", "No intermediate; its address gives it as DER.", ".cer"),
		found("incomplete-pkcs7", "No intermediate; its address gives it as PKCS #7.", ".p7c"),
		found("incomplete-pem", "No intermediate; its address gives it as PEM.", ".pem"),
		{name: "incomplete-twice", about: "Two intermediates are missing; the first one's address leads to the second's.", want: wants(inventory.CodeIncompleteChain), build: func(s *site) {
			upper := s.authority("missing-upper", s.root, anyDepth)
			lower := s.authority("missing-lower", upper)
			s.serve(s.tls(s.leaf(lower, s.host)))
		}},
		lost("issuer-not-found", "No intermediate; nothing is at its address.", "/gone.cer"),
		lost("issuer-is-html", "No intermediate; a web page is at its address.", "/html"),
		lost("issuer-is-a-loop", "No intermediate; its address redirects to itself.", "/loop"),
		lost("issuer-is-endless", "No intermediate; what its address gives has no end.", "/endless"),
	}
}
