package peers_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/crl"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// TestOpenSSLAgreesAboutCRLs has openssl judge the same lists: what it accepts
// is good, what it calls revoked is revoked, and what it refuses for any other
// reason is not known.
func TestOpenSSLAgreesAboutCRLs(t *testing.T) {
	t.Parallel()
	openssl := find(t, "openssl", "openssl")
	authorityOf := func(usage x509.KeyUsage) *authority {
		return issue(t, nil, rsaKey(t), &x509.Certificate{
			Subject: pkix.Name{CommonName: "peers CRL"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: usage, SubjectKeyId: []byte{1},
		})
	}
	ca, mute := authorityOf(x509.KeyUsageCertSign|x509.KeyUsageCRLSign), authorityOf(x509.KeyUsageCertSign)
	stranger := authorityOf(x509.KeyUsageCertSign | x509.KeyUsageCRLSign)
	const here = "http://crl.example/1.crl"
	leafOf := func(by *authority) *authority {
		return issue(t, by, ecdsaKey(t), &x509.Certificate{
			DNSNames: []string{"shop.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, CRLDistributionPoints: []string{here},
		})
	}
	one, two := leafOf(ca), leafOf(mute)
	revoked := func(reason int) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.RevokedCertificateEntries = []x509.RevocationListEntry{
				{SerialNumber: big.NewInt(3), RevocationTime: l.ThisUpdate},
				{SerialNumber: one.cert.SerialNumber, RevocationTime: l.ThisUpdate, ReasonCode: reason},
			}
		}
	}
	period := func(this, next time.Duration) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = time.Now().Add(this), time.Now().Add(next) }
	}
	with := func(critical bool, value []byte, id ...int) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier(id), Critical: critical, Value: value})
		}
	}
	point := func(url string) []byte {
		n := byte(len(url))
		return append([]byte{0x30, n + 6, 0xa0, n + 4, 0xa0, n + 2, 0x86, n}, url...)
	}
	for _, tt := range []struct {
		name    string
		leaf    *authority
		by, key *authority
		change  func(*x509.RevocationList)
	}{
		{"good", one, ca, ca, nil},
		{"revoked", one, ca, ca, revoked(1)},
		{"on hold", one, ca, ca, revoked(6)},
		{"expired", one, ca, ca, period(-6*24*time.Hour, -time.Hour)},
		{"to come", one, ca, ca, period(time.Hour, 24*time.Hour)},
		{"for the address of the certificate", one, ca, ca, with(true, point(here), 2, 5, 29, 28)},
		{"for another address", one, ca, ca, with(true, point("http://crl.example/2.crl"), 2, 5, 29, 28)},
		{"for CAs", one, ca, ca, with(true, []byte{0x30, 3, 0x82, 1, 0xff}, 2, 5, 29, 28)},
		{"for users", one, ca, ca, with(true, []byte{0x30, 3, 0x81, 1, 0xff}, 2, 5, 29, 28)},
		{"for attributes", one, ca, ca, with(true, []byte{0x30, 3, 0x85, 1, 0xff}, 2, 5, 29, 28)},
		{"with an unknown extension", one, ca, ca, with(false, []byte{5, 0}, 1, 2, 3, 4)},
		{"with an unknown critical extension", one, ca, ca, with(true, []byte{5, 0}, 1, 2, 3, 4)},
		{"by another key", one, ca, stranger, nil},
		{"by an issuer that may not sign lists", two, mute, mute, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := &x509.RevocationList{Number: big.NewInt(1)}
			period(-time.Hour, 24*time.Hour)(l)
			if tt.change != nil {
				tt.change(l)
			}
			issuer := *tt.by.cert
			issuer.KeyUsage |= x509.KeyUsageCRLSign // else the library refuses
			issuer.PublicKey = tt.key.cert.PublicKey
			der, err := x509.CreateRevocationList(rand.Reader, l, &issuer, tt.key.key)
			if err != nil {
				t.Fatal(err)
			}
			want := opensslOnCRL(t, openssl, tt.by, tt.leaf, der)
			if got := oursOnCRL(t, tt.by, tt.leaf, der); got.Status != want {
				t.Errorf("%s %s (%s), openssl says %s", got.Status, got.Reason, got.Detail, want)
			}
		})
	}
}

// opensslOnCRL is our word for what openssl makes of the list.
func opensslOnCRL(t *testing.T, openssl string, ca, leaf *authority, der []byte) string {
	t.Helper()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	cmd := exec.CommandContext(t.Context(), openssl, "verify", "-crl_check",
		"-CAfile", file("ca.pem", toPEM(ca.cert.Raw)),
		"-CRLfile", file("list.pem", string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))),
		file("leaf.pem", toPEM(leaf.cert.Raw)))
	cmd.Env = append(cmd.Environ(), "OPENSSL_CONF=/dev/null")
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return inventory.RevocationGood
	case strings.Contains(string(out), "certificate revoked"):
		return inventory.RevocationRevoked
	case strings.Contains(string(out), "verification failed"):
		return inventory.RevocationUnknown
	}
	t.Fatalf("openssl: %v: %s", err, out)
	return ""
}

func oursOnCRL(t *testing.T, ca, leaf *authority, der []byte) inventory.RevocationVerdict {
	t.Helper()
	list, err := crl.Read(bytes.NewReader(der), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	store := inventory.TrustStore{Name: "peers", Anchors: []inventory.Anchor{{DER: ca.cert.Raw}}}
	j, err := verify.New(verify.Options{Stores: []inventory.TrustStore{store}, Revocation: inventory.RevocationSoft})
	if err != nil {
		t.Fatal(err)
	}
	var f inventory.Facts
	f.Target.Host = "shop.example"
	f.Observation.Chain = [][]byte{leaf.cert.Raw}
	f.Given.CRLs = []*inventory.CRL{list}
	got, _ := j.Judge(f, nil, time.Now())
	return got.Verdict.Revocation
}
