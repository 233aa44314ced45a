package peers_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
)

// A pki is a root and an intermediate that sign the certificates of one test.
type pki struct {
	root, intermediate *authority
}

type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	root := issue(t, nil, ecdsaKey(t), &x509.Certificate{
		Subject: pkix.Name{CommonName: "peers root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
	intermediate := issue(t, root, ecdsaKey(t), &x509.Certificate{
		Subject: pkix.Name{CommonName: "peers intermediate"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
	return &pki{root: root, intermediate: intermediate}
}

// A leaf is a certificate with its key, and what is to be served before and after.
type leaf struct {
	*authority
	pki *pki
}

func (p *pki) leaf(t *testing.T, name string, key crypto.Signer) *leaf {
	t.Helper()
	return p.pointingLeaf(t, name, key, nil, nil)
}

// pointingLeaf is a leaf that names CRLs and OCSP responders.
func (p *pki) pointingLeaf(t *testing.T, name string, key crypto.Signer, lists, responders []string) *leaf {
	t.Helper()
	return &leaf{pki: p, authority: issue(t, p.intermediate, key, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		DNSNames:    []string{name},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},

		CRLDistributionPoints: lists,
		OCSPServer:            responders,
	})}
}

// chain is the leaf and its intermediate, as a server should send them.
func (l *leaf) chain() [][]byte { return [][]byte{l.cert.Raw, l.pki.intermediate.cert.Raw} }

// files writes the certificates as they are to be served, and the key, and
// returns the paths. Who runs the server may read both.
func (l *leaf) files(t *testing.T, dir string, served ...[]byte) (certFile, keyFile string) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(l.key)
	if err != nil {
		t.Fatal(err)
	}
	certs := toPEM(served...)
	base := filepath.Join(dir, inventory.FingerprintOf([]byte(certs)).String()[:16])
	write(t, base+".crt", certs)
	write(t, base+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	if err := os.Chmod(base+".key", 0o600); err != nil { // PostgreSQL insists
		t.Fatal(err)
	}
	return base + ".crt", base + ".key"
}

func toPEM(certs ...[]byte) string {
	var b strings.Builder
	for _, der := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return b.String()
}

func issue(t *testing.T, by *authority, key crypto.Signer, template *x509.Certificate) *authority {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(30 * 24 * time.Hour)
	if by == nil {
		by = &authority{cert: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key}
}

func ecdsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
