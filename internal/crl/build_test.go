package crl_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// der is one element: tag, length and the content.
func der(tag byte, content ...[]byte) []byte {
	in := bytes.Join(content, nil)
	head := []byte{tag}
	switch n := len(in); {
	case n < 0x80:
		head = append(head, byte(n))
	case n < 0x100:
		head = append(head, 0x81, byte(n))
	case n < 0x10000:
		head = append(head, 0x82, byte(n>>8), byte(n))
	case n < 0x1000000:
		head = append(head, 0x83, byte(n>>16), byte(n>>8), byte(n))
	default:
		head = append(head, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(head, in...)
}

func seq(content ...[]byte) []byte     { return der(0x30, content...) }
func integer(octets ...byte) []byte    { return der(0x02, octets) }
func utc(s string) []byte              { return der(0x17, []byte(s)) }
func generalized(s string) []byte      { return der(0x18, []byte(s)) }
func oid(octets ...byte) []byte        { return der(0x06, octets) }
func truth() []byte                    { return []byte{0x01, 0x01, 0xff} }
func octets(content ...[]byte) []byte  { return der(0x04, content...) }
func ce(arc byte) []byte               { return oid(0x55, 0x1d, arc) }
func extension(parts ...[]byte) []byte { return seq(parts...) }

// A draft is a list to be put together. What is nil is left out, but for the
// fields that [ordinary] fills.
type draft struct {
	version, alg, issuer, this, next, revoked []byte
	afterTimes, afterRevoked                  []byte
	extensions                                [][]byte // nil: no extensions at all
	afterExtensions                           []byte   // inside [0]
	afterTBS, outerAlg, signature             []byte
	afterSignature, afterAll                  []byte
}

var (
	sha256RSA = seq(oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b), []byte{5, 0})
	sha384RSA = seq(oid(0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c), []byte{5, 0})
)

func ordinary() draft {
	return draft{
		version:   integer(1),
		alg:       sha256RSA,
		outerAlg:  sha256RSA,
		issuer:    seq(der(0x31, seq(ce(3), der(0x0c, []byte("CA"))))),
		this:      utc("261101000000Z"),
		next:      utc("261108000000Z"),
		signature: der(0x03, []byte{0, 1, 2, 3}),
	}
}

func (d draft) tbs() []byte {
	var exts []byte
	if d.extensions != nil {
		exts = der(0xa0, seq(d.extensions...), d.afterExtensions)
	}
	return seq(d.version, d.alg, d.issuer, d.this, d.next, d.afterTimes, d.revoked, d.afterRevoked, exts, d.afterTBS)
}

func (d draft) der() []byte {
	return append(seq(d.tbs(), d.outerAlg, d.signature, d.afterSignature), d.afterAll...)
}

// An authority issues real lists through the library.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(tb testing.TB, edwards bool) authority {
	tb.Helper()
	var key crypto.Signer
	var err error
	if edwards {
		_, key, err = ed25519.GenerateKey(rand.Reader)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCRLSign | x509.KeyUsageCertSign, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
		SubjectKeyId: []byte{1, 2, 3},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(raw)
	if err != nil {
		tb.Fatal(err)
	}
	return authority{cert, key}
}

func (a authority) issue(tb testing.TB, list *x509.RevocationList) []byte {
	tb.Helper()
	raw, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}
