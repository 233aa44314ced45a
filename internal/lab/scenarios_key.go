package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"

	"example.com/certscan/internal/inventory"
)

func keyScenarios() []definition {
	return []definition{
		{name: "rsa-1024", about: "An RSA key of 1024 bits.", want: wants(inventory.CodeWeakKey), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, withKey(s.key("rsa-1024"))), s.issuing))
		}},
		{name: "close-primes", about: "An RSA key that Fermat's method breaks.", want: wants(inventory.CodeCompromisedKey), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, withKey(s.key(closePrimes))), s.issuing))
		}},
		{name: "p224", about: "An ECDSA key on P-224.", want: wants(inventory.CodeWeakKey), build: func(s *site) {
			config := s.config(s.leaf(s.issuing, s.host, withKey(s.newKey(elliptic.P224()))), s.issuing)
			s.serve(TLS(tune(config, upTo12))) // TLS 1.3 has no signature scheme for it
		}},
		{name: "ed25519", about: "An Ed25519 key, which public authorities may not certify.", want: wants(inventory.CodeForbiddenKey), build: func(s *site) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			s.err = errors.Join(s.err, err)
			s.serve(s.tls(s.leaf(s.issuing, s.host, withKey(key)), s.issuing))
		}},
		{name: "secp256k1", about: "A key on a curve that crypto/x509 cannot read.", want: wants(inventory.CodeForbiddenKey, inventory.CodeHandshakeFailed), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, onCurve(1, 3, 132, 0, 10)), s.issuing))
		}},
		{name: "brainpool", about: "A key on brainpoolP256r1.", want: wants(inventory.CodeForbiddenKey, inventory.CodeHandshakeFailed), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, onCurve(1, 3, 36, 3, 3, 2, 8, 1, 1, 7)), s.issuing))
		}},
		{name: "ca-leaf", about: "A server certificate that is also an authority's.", want: wants(inventory.CodeCALeaf), build: func(s *site) {
			ca := s.authority("issuing-authorities", s.root, anyDepth)
			s.serve(s.tls(s.leaf(ca, s.host, template(func(t *x509.Certificate) {
				t.IsCA, t.KeyUsage = true, t.KeyUsage|x509.KeyUsageCertSign
			})), ca))
		}},
		{name: "negative-serial", about: "A serial number below zero.", want: wants(inventory.CodeBadSerial), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, tbs(func(t *TBS) { t.Serial.Neg(t.Serial) })), s.issuing))
		}},
		{name: "zero-serial", about: "A serial number of zero.", want: wants(inventory.CodeBadSerial), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, tbs(func(t *TBS) { t.Serial = new(big.Int) })), s.issuing))
		}},
		{name: "long-serial", about: "A serial number of 21 octets.", want: wants(inventory.CodeBadSerial), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, tbs(func(t *TBS) { t.Serial.Lsh(t.Serial, 8*(21-serialSize)) })), s.issuing))
		}},
		{name: "valid-too-long", about: "A public certificate of 400 days.", want: wants(inventory.CodeValidityTooLong), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, s.valid(-10*day, 390*day)), s.issuing))
		}},
		{name: "key-reused", about: "Two names with a certificate each, and one key for both.", want: wants(inventory.CodeKeyReused), build: func(s *site) {
			key := s.newKey(elliptic.P256())
			for _, host := range []string{"a." + s.host, "b." + s.host} {
				s.add(host, s.tls(s.leaf(s.issuing, host, withKey(key)), s.issuing))
				s.target(host)
			}
		}},
	}
}

func (s *site) newKey(curve elliptic.Curve) crypto.Signer {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	s.err = errors.Join(s.err, err)
	return key
}

// onCurve says that the leaf's key is on another curve than it is. The server
// still signs its handshakes with a P-256 key, but nobody who could tell gets
// that far.
func onCurve(curve ...int) option {
	return tbs(func(t *TBS) {
		var spki struct {
			Algorithm struct{ Kind, Curve asn1.ObjectIdentifier }
			Point     asn1.BitString
		}
		if _, err := asn1.Unmarshal(t.PublicKey.FullBytes, &spki); err != nil {
			return
		}
		spki.Algorithm.Curve = curve
		if raw, err := asn1.Marshal(spki); err == nil {
			t.PublicKey = asn1.RawValue{FullBytes: raw}
		}
	})
}

// malformedScenarios serve what crypto/x509 refuses to read, so that no
// handshake with it proves who has the key.
func malformedScenarios() []definition {
	return []definition{
		{name: "malformed-leaf", about: "A certificate whose last bytes are missing.", want: wants(inventory.CodeHandshakeFailed, inventory.CodeMalformedCertificate), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, func(spec *Spec) {
				spec.DER = func(der []byte) []byte { return der[:len(der)-20] }
			}), s.issuing))
		}},
		{name: "malformed-extra", about: "A good chain, and something after it that is not a certificate.", want: wants(inventory.CodeHandshakeFailed, inventory.CodeMalformedCertificate), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host), s.issuing, &Certificate{DER: []byte("this is not a certificate")}))
		}},
		{name: "duplicate-extension", about: "The same extension twice, rightly signed.", want: wants(inventory.CodeHandshakeFailed, inventory.CodeMalformedCertificate), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, tbs(func(t *TBS) {
				t.Extensions = append(t.Extensions, *t.Extension(oidBasic))
			})), s.issuing))
		}},
		{name: "version-four", about: "A certificate of a version that there is not.", want: wants(inventory.CodeHandshakeFailed, inventory.CodeMalformedCertificate), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, tbs(func(t *TBS) { t.Version = 3 })), s.issuing))
		}},
	}
}
