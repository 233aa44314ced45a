package verify_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

const day = 24 * time.Hour

// now is when the tests judge, unless they say otherwise.
var now = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// issued is a certificate with its key.
type issued struct {
	*x509.Certificate
	key crypto.Signer
}

func newKey(tb testing.TB) crypto.Signer {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

type change func(*x509.Certificate)

// sign makes a certificate of the template, signed by parent or by itself.
func sign(tb testing.TB, template *x509.Certificate, parent *issued, key crypto.Signer) *issued {
	tb.Helper()
	signer, by := key, template
	if parent != nil {
		signer, by = parent.key, parent.Certificate
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), signer)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		// What the library refuses to read is a certificate all the same.
		c = &x509.Certificate{Raw: der, SerialNumber: template.SerialNumber, Subject: template.Subject, NotBefore: template.NotBefore, NotAfter: template.NotAfter}
	}
	return &issued{c, key}
}

func serial(tb testing.TB) *big.Int {
	tb.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		tb.Fatal(err)
	}
	return n.SetBit(n, 120, 1)
}

func caTemplate(tb testing.TB, name string) *x509.Certificate {
	tb.Helper()
	return &x509.Certificate{
		SerialNumber: serial(tb), Subject: pkix.Name{CommonName: name, Organization: []string{"Test"}},
		NotBefore: now.Add(-1000 * day), NotAfter: now.Add(1000 * day),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId: []byte("key of " + name),
	}
}

func newRoot(tb testing.TB, name string, changes ...change) *issued {
	tb.Helper()
	t := caTemplate(tb, name)
	for _, c := range changes {
		c(t)
	}
	return sign(tb, t, nil, newKey(tb))
}

func (a *issued) ca(tb testing.TB, name string, changes ...change) *issued {
	tb.Helper()
	t := caTemplate(tb, name)
	t.NotBefore, t.NotAfter = now.Add(-500*day), now.Add(500*day)
	for _, c := range changes {
		c(t)
	}
	return sign(tb, t, a, newKey(tb))
}

func leafTemplate(tb testing.TB) *x509.Certificate {
	tb.Helper()
	return &x509.Certificate{
		SerialNumber: serial(tb), Subject: pkix.Name{CommonName: "www.shop.example"},
		NotBefore: now.Add(-10 * day), NotAfter: now.Add(80 * day),
		DNSNames: []string{"www.shop.example", "shop.example"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		ExtraExtensions: []pkix.Extension{someSCTs()},
	}
}

func (a *issued) leaf(tb testing.TB, changes ...change) *issued {
	tb.Helper()
	t := leafTemplate(tb)
	for _, c := range changes {
		c(t)
	}
	return sign(tb, t, a, newKey(tb))
}

func expires(in time.Duration) change {
	return func(c *x509.Certificate) { c.NotAfter = now.Add(in) }
}

func extension(critical bool, value []byte, oid ...int) change {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier(oid), Critical: critical, Value: value})
	}
}

func ders(chain ...*issued) [][]byte {
	var out [][]byte
	for _, c := range chain {
		out = append(out, c.Raw)
	}
	return out
}

func storeOf(name string, public bool, anchors ...*issued) inventory.TrustStore {
	s := inventory.TrustStore{Name: name, Date: "2026-10-30", Public: public}
	for _, a := range anchors {
		s.Anchors = append(s.Anchors, inventory.Anchor{DER: a.Raw})
	}
	return s
}

func newJudge(tb testing.TB, stores ...inventory.TrustStore) *verify.Judge {
	tb.Helper()
	j, err := verify.New(verify.Options{Stores: stores})
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

// factsOf is what a healthy examination of www.shop.example saw.
func factsOf(chain [][]byte) inventory.Facts {
	t := inventory.Target{Host: "www.shop.example", Port: 443, Protocol: inventory.TLS}
	method := inventory.CaptureHandshake
	for _, der := range chain {
		if _, err := x509.ParseCertificate(der); err != nil {
			method = inventory.CaptureTranscript // crypto/tls would not hand it over
		}
	}
	return inventory.Facts{Target: t, Observation: inventory.Observation{
		Schema: 1, Target: t.Key(), Address: "192.0.2.7", Location: "local", Offer: inventory.OfferDefault, Time: now,
		Reach:   inventory.Reach{Status: inventory.ReachOK},
		Capture: &inventory.Capture{Method: method, HandshakeComplete: true, PossessionProven: true},
		TLS:     &inventory.TLSFacts{Version: "TLS 1.3", CipherSuite: "TLS_AES_128_GCM_SHA256"},
		Chain:   chain,
	}}
}

func codes(findings []inventory.Finding) []string {
	out := []string{}
	for _, f := range findings {
		s := string(f.Code)
		if f.Rule != "" {
			s += "/" + f.Rule
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}
