package lab_test

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/lab"
)

func authority(t *testing.T) *lab.Certificate {
	t.Helper()
	now := time.Now()
	ca, err := lab.Issue(nil, lab.Spec{CA: true, CommonName: "Test", NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func TestIssue(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	root, err := x509.ParseCertificate(ca.DER)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	spec := lab.Spec{
		Names: []string{"a.example.com"}, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.9")},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(time.Minute),
	}
	t.Run("a plain leaf verifies", func(t *testing.T) {
		t.Parallel()
		leaf, err := lab.Issue(ca, spec)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(leaf.DER)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(root)
		for _, name := range []string{"a.example.com", "127.0.0.9"} {
			if _, err := c.Verify(x509.VerifyOptions{Roots: pool, DNSName: name}); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("what is signed again is signed rightly", func(t *testing.T) {
		t.Parallel()
		leaf, err := lab.Issue(ca, with(spec, func(s *lab.Spec) {
			s.TBS = func(tbs *lab.TBS) { tbs.Serial = big.NewInt(0x7f) }
		}))
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(leaf.DER)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.CheckSignatureFrom(root); err != nil || c.SerialNumber.Int64() != 0x7f {
			t.Errorf("serial %v, signature %v", c.SerialNumber, err)
		}
	})
	t.Run("a hash that nobody should use", func(t *testing.T) {
		t.Parallel()
		leaf, err := lab.Issue(ca, with(spec, func(s *lab.Spec) { s.Hash = crypto.SHA1 }))
		if err != nil {
			t.Fatal(err)
		}
		if c, err := x509.ParseCertificate(leaf.DER); err != nil || c.SignatureAlgorithm != x509.ECDSAWithSHA1 {
			t.Errorf("%v, %v", c, err)
		}
	})
	t.Run("a key that cannot sign so", func(t *testing.T) {
		t.Parallel()
		_, err := lab.Issue(ca, with(spec, func(s *lab.Spec) { s.Hash = crypto.MD5 }))
		if err == nil || !strings.HasPrefix(err.Error(), `issue certificate for "a.example.com": sign with`) {
			t.Errorf("%v, want an error that names the certificate", err)
		}
	})
}

func TestIssueWhatIsRefusedElsewhere(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	spec := lab.Spec{Names: []string{"a.example.com"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	t.Run("in writing and in reading", func(t *testing.T) {
		t.Parallel()
		for want, change := range map[string]func(*lab.TBS){
			"invalid version":     func(tbs *lab.TBS) { tbs.Version = 3 },
			"duplicate extension": func(tbs *lab.TBS) { tbs.Extensions = append(tbs.Extensions, tbs.Extensions[0]) },
			"SAN": func(tbs *lab.TBS) {
				tbs.Extension(asn1.ObjectIdentifier{2, 5, 29, 17}).Value = []byte{0x30, 3, 0x82, 1, 0xff}
			},
		} {
			leaf, err := lab.Issue(ca, with(spec, func(s *lab.Spec) { s.TBS = change }))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := x509.ParseCertificate(leaf.DER); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("ParseCertificate: %v, want %q in it", err, want)
			}
		}
	})
}

func with(s lab.Spec, change func(*lab.Spec)) lab.Spec {
	change(&s)
	return s
}

// Leaves without a defect are what a public authority issues, so that no rule
// about them finds what a scenario does not mean.
func TestGoodLeafKeepsThePublicRules(t *testing.T) {
	t.Parallel()
	c := leafOf(t, one(t, "good"))
	switch {
	case len(c.DNSNames) != 1 || c.Subject.CommonName != "":
		t.Errorf("names %q, common name %q", c.DNSNames, c.Subject.CommonName)
	case c.NotAfter.Sub(c.NotBefore) > 100*24*time.Hour:
		t.Errorf("valid from %v to %v", c.NotBefore, c.NotAfter)
	case len(c.AuthorityKeyId) == 0 || len(c.SubjectKeyId) == 0:
		t.Error("no key identifiers")
	case len(c.IssuingCertificateURL) != 1 || len(c.CRLDistributionPoints) != 1:
		t.Errorf("issuer at %q, CRL at %q", c.IssuingCertificateURL, c.CRLDistributionPoints)
	case len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageServerAuth || c.KeyUsage != x509.KeyUsageDigitalSignature:
		t.Errorf("extended key usage %v, key usage %v", c.ExtKeyUsage, c.KeyUsage)
	case len(c.PolicyIdentifiers) != 1 || c.PolicyIdentifiers[0].String() != "2.23.140.1.2.1":
		t.Errorf("policies %v", c.PolicyIdentifiers)
	case c.SerialNumber.Sign() <= 0 || c.SerialNumber.BitLen() < 64 || c.SerialNumber.BitLen() > 159:
		t.Errorf("serial number %x", c.SerialNumber)
	case !c.BasicConstraintsValid || c.IsCA:
		t.Errorf("basic constraints %v, authority %v", c.BasicConstraintsValid, c.IsCA)
	}
}
