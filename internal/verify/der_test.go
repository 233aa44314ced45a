package verify_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/asn1"
	"testing"
)

type rawCertificate struct {
	TBS       asn1.RawValue
	Algorithm asn1.RawValue
	Signature asn1.BitString
}

// resign signs a certificate anew with SHA-1, or with a wrong signature.
func resign(tb testing.TB, der []byte, key *rsa.PrivateKey, right bool) []byte {
	tb.Helper()
	const sha256RSA, sha1RSA = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05"
	swapped := replace(der, sha256RSA, sha1RSA)
	var c rawCertificate
	if _, err := asn1.Unmarshal(swapped, &c); err != nil {
		tb.Fatal(err)
	}
	sum := sha1.Sum(c.TBS.FullBytes)
	if !right {
		sum[0] ^= 1
	}
	sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA1, sum[:])
	if err != nil {
		tb.Fatal(err)
	}
	c.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	out, err := asn1.Marshal(c)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// replace swaps strings of equal length.
func replace(der []byte, from, to string) []byte {
	out := append([]byte(nil), der...)
	for i := range len(out) - len(from) + 1 {
		if string(out[i:i+len(from)]) == from {
			copy(out[i:], to)
		}
	}
	return out
}

// withKey puts another SubjectPublicKeyInfo into a certificate and has it signed
// again.
func withKey(tb testing.TB, der, spki []byte, by *issued) []byte {
	tb.Helper()
	var c rawCertificate
	if _, err := asn1.Unmarshal(der, &c); err != nil {
		tb.Fatal(err)
	}
	var fields []asn1.RawValue
	if _, err := asn1.Unmarshal(c.TBS.FullBytes, &fields); err != nil {
		tb.Fatal(err)
	}
	fields[6] = asn1.RawValue{FullBytes: spki}
	tbs, err := asn1.Marshal(fields)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(tbs)
	sig, err := by.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		tb.Fatal(err)
	}
	c.TBS = asn1.RawValue{FullBytes: tbs}
	c.Signature = asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}
	out, err := asn1.Marshal(c)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}
