package probe_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// A certSpec says what a test certificate is like; the zero value is an
// ordinary P-256 one.
type certSpec struct {
	key       crypto.Signer             // P-256 if nil
	template  func(t *x509.Certificate) // changes the template
	der       func(der []byte) []byte   // changes the result
	chainTail [][]byte                  // served after the leaf
}

func newKey(tb testing.TB) crypto.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// issue makes a self-signed certificate to spec.
func issue(tb testing.TB, spec certSpec) tls.Certificate {
	tb.Helper()
	if spec.key == nil {
		spec.key = newKey(tb)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(0x1234),
		Subject:      pkix.Name{CommonName: "shop.example"},
		DNSNames:     []string{"shop.example"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	if spec.template != nil {
		spec.template(t)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, spec.key.Public(), spec.key)
	if err != nil {
		tb.Fatal(err)
	}
	if spec.der != nil {
		der = spec.der(der)
	}
	return tls.Certificate{Certificate: append([][]byte{der}, spec.chainTail...), PrivateKey: spec.key}
}
