package verify_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

func TestParse(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	c := root.leaf(t, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: ` a,b+"c" `, Organization: []string{"#1; <Shop>"}, Country: []string{"DE"}}
		c.IPAddresses = []net.IP{net.ParseIP("2001:db8::7")}
		c.IssuingCertificateURL = []string{"http://aia.example/ca.cer"}
		c.OCSPServer = []string{"http://ocsp.example"}
		c.CRLDistributionPoints = []string{"http://crl.example/1.crl"}
		c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: []byte{0x30, 3, 2, 1, 5}}}
	})
	want := inventory.Certificate{
		SHA256: inventory.FingerprintOf(c.Raw), Serial: fmt.Sprintf("%032x", c.SerialNumber),
		Subject: `CN=\ a\,b\+\"c\"\ ,O=\#1\; \<Shop\>,C=DE`, Issuer: "CN=Root,O=Test",
		Names: []string{"www.shop.example", "shop.example", "2001:db8::7"}, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		Key: "ECDSA P-256", SPKI: inventory.FingerprintOf(c.RawSubjectPublicKeyInfo), Signature: "ECDSA-SHA256",
		SubjectCN: ` a,b+"c" `, IssuerCN: "Root", IssuerOrg: "Test",
		IssuerURLs: c.IssuingCertificateURL, OCSPURLs: c.OCSPServer, CRLURLs: c.CRLDistributionPoints,
		TBS: inventory.FingerprintOf(c.RawTBSCertificate), MustStaple: true, PublicKeyBits: 256,
	}
	if diff := cmp.Diff(want, verify.Parse(c.Raw)); diff != "" {
		t.Errorf("certificate (-want +got):\n%s", diff)
	}
}

// TestParseAgreesWithTheLibrary compares what crypto/x509 reads too, of every
// root that Mozilla trusts.
func TestParseAgreesWithTheLibrary(t *testing.T) {
	t.Parallel()
	for root := range bundle.Roots() {
		c, err := x509.ParseCertificate(root.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		got := verify.Parse(c.Raw)
		want := got
		want.NotBefore, want.NotAfter = c.NotBefore, c.NotAfter
		want.IsCA, want.SPKI = c.IsCA, inventory.FingerprintOf(c.RawSubjectPublicKeyInfo)
		want.Signature, want.SubjectCN = c.SignatureAlgorithm.String(), c.Subject.CommonName
		want.TBS, want.ParseError = inventory.FingerprintOf(c.RawTBSCertificate), ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-library +own):\n%s", c.Subject, diff)
		}
	}
}

func TestPrecertificateAndCertificateShareTheirTBS(t *testing.T) {
	t.Parallel()
	root, key := newRoot(t, "Root"), newKey(t)
	template := leafTemplate(t)
	template.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}, Critical: true, Value: []byte{5, 0}}}
	pre := verify.Parse(sign(t, template, root, key).Raw)
	template.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: []byte{4, 2, 0, 0}}}
	final := verify.Parse(sign(t, template, root, key).Raw)
	template.ExtraExtensions = nil
	plain := sign(t, template, root, key)
	want := inventory.FingerprintOf(plain.RawTBSCertificate)
	if pre.TBS != want || final.TBS != want {
		t.Errorf("TBS = %s and %s, want %s", pre.TBS, final.TBS, want)
	}
	if !pre.Precert || final.Precert {
		t.Errorf("precertificate = %t and %t, want true and false", pre.Precert, final.Precert)
	}
}

// TestParseReadsWhatTheLibraryRefuses changes single bytes of a certificate into
// what real ones have, and expects everything but the change to be read.
func TestParseReadsWhatTheLibraryRefuses(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	der := root.leaf(t).Raw
	const p256, date1 = "\x2a\x86\x48\xce\x3d\x03\x01\x07", "\x17\x0d261112080000Z"
	for _, tt := range []struct {
		name     string
		der      []byte
		get      func(inventory.Certificate) string
		want     string
		accepted bool // by the library
	}{
		{"P-192", replace(der, p256, "\x2a\x86\x48\xce\x3d\x03\x01\x01"), key, "ECDSA P-192", false},
		{"unknown curve", replace(der, p256, "\x2a\x86\x48\xce\x3d\x03\x01\x09"), key, "ECDSA 1.2.840.10045.3.1.9", false},
		{"trailing byte", append(bytes.Clone(der), 0), key, "ECDSA P-256", false},
		{"cut in the signature", der[:len(der)-20], key, "ECDSA P-256", false},
		{"cut behind the names", der[:len(der)-200], subject, "CN=www.shop.example", false},
		{"time with an offset", replace(der, date1, "\x17\x0d2611120800+0"), subject, "CN=www.shop.example", false},
		{"invalid UTF-8", replace(der, "www.shop", "w\xffw.shop"), subject, `CN=w\ffw.shop.example`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := verify.Parse(tt.der)
			if s := tt.get(got); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
			if (got.ParseError == "") != tt.accepted {
				t.Errorf("parse error = %q", got.ParseError)
			}
			if got.SHA256 != inventory.FingerprintOf(tt.der) {
				t.Error("wrong SHA-256")
			}
		})
	}
}

func key(c inventory.Certificate) string     { return c.Key }
func subject(c inventory.Certificate) string { return c.Subject }

func TestManyNames(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	c := root.leaf(t, func(c *x509.Certificate) {
		for i := range 10_000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("host-%d.shop.example", i))
		}
	})
	f := factsOf(ders(c))
	f.Target.Host = "host-9999.shop.example"
	got, _ := newJudge(t, storeOf("test", true, root)).Judge(f, nil, now)
	if n := len(got.Certificate.Names); n != 10_002 || got.Verdict.Name.Status != inventory.NameMatch {
		t.Errorf("%d names, name %s", n, got.Verdict.Name.Status)
	}
}

// TestNothingPanics judges chains with random damage.
func TestNothingPanics(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA", func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.IssuingCertificateURL = []string{"shop.example"}, []string{"http://aia.example"}
	})
	leaf := ca.leaf(t)
	j := newJudge(t, storeOf("test", true, root))
	rng := rand.New(rand.NewPCG(1, 2))
	damage := func(der []byte) []byte {
		out := bytes.Clone(der)
		for range 1 + rng.IntN(3) {
			switch i := rng.IntN(len(out)); rng.IntN(4) {
			case 0:
				out[i] = byte(rng.Uint32())
			case 1:
				out[i] ^= 1 << rng.IntN(8)
			case 2:
				out = append(out[:i], out[min(len(out), i+1+rng.IntN(4)):]...)
			default:
				out = out[:max(i, 1)]
			}
		}
		return out
	}
	for range 3000 {
		f := factsOf([][]byte{damage(leaf.Raw), damage(ca.Raw)})
		got, _ := j.Judge(f, nil, now)
		j.JudgeTarget(f.Target, []inventory.Endpoint{{Observation: f.Observation, Judgement: got}}, now)
		if got.Verified() && len(got.Findings) == 0 {
			t.Fatalf("%x is reported as good", f.Observation.Chain)
		}
	}
}

func FuzzParse(f *testing.F) {
	root := newRoot(f, "Root")
	f.Add(root.Raw)
	f.Add(root.leaf(f).Raw)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, der []byte) {
		got := verify.Parse(der)
		if got.SHA256 != inventory.FingerprintOf(der) {
			t.Error("wrong SHA-256")
		}
		if len(got.Subject) > 1024 || !utf8.ValidString(got.Subject+got.Issuer+strings.Join(got.Names, "")) {
			t.Errorf("text that does not print: %q", got.Subject)
		}
		raw, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var back inventory.Certificate
		if err := json.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, back); diff != "" {
			t.Errorf("changed on the way through JSON (-sent +got):\n%s", diff)
		}
		if c, err := x509.ParseCertificate(der); err == nil && (!c.NotAfter.Equal(got.NotAfter) || c.IsCA != got.IsCA) {
			t.Errorf("not after %v, CA %t; the library reads %v, %t", got.NotAfter, got.IsCA, c.NotAfter, c.IsCA)
		}
	})
}

func TestHostileChainsEndSoon(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	leaf := ca.leaf(t)
	var sameName, mesh []*issued
	for range 120 {
		sameName = append(sameName, newRoot(t, "CA"))
	}
	var cas []*issued
	for range 12 {
		cas = append(cas, newRoot(t, "M"))
	}
	for _, a := range cas {
		for _, b := range cas {
			if a != b {
				mesh = append(mesh, sign(t, caTemplate(t, "M"), b, a.key))
			}
		}
	}
	huge := root.ca(t, "Huge", func(c *x509.Certificate) {
		for i := range 3000 {
			c.ExcludedDNSDomains = append(c.ExcludedDNSDomains, fmt.Sprintf("%d.other.example", i))
		}
	})
	many := huge.leaf(t, func(c *x509.Certificate) {
		for i := range 3000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("%d.shop.example", i))
		}
	})
	for _, tt := range []struct {
		name  string
		chain [][]byte
		trust inventory.TrustStatus
	}{
		{"a hundred keys under the issuer's name", ders(append([]*issued{leaf}, sameName...)...), "limit_exceeded"},
		{"every CA has signed every other", ders(append([]*issued{cas[0].leaf(t)}, mesh...)...), "limit_exceeded"},
		{"names times constraints", ders(many, huge), "limit_exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := newJudge(t, storeOf("test", false, root))
			start := time.Now()
			got, _ := j.Judge(factsOf(tt.chain), nil, now)
			if took := time.Since(start); took > 3*time.Second { // a third of that without other work on the machine
				t.Errorf("took %v", took)
			}
			if s := got.Verdict.Trust; s.Status != tt.trust {
				t.Errorf("trust = %s (%s), want %s", s.Status, s.Stores[0].Detail, tt.trust)
			}
		})
	}
}
