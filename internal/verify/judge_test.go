package verify_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// A scenario is one chain with one defect, and all that is said of it.
type scenario struct {
	name  string
	chain [][]byte
	at    time.Time                // now if zero
	facts func(f *inventory.Facts) // nil: a healthy examination

	codes             []string
	timed, nam, trust string // valid, match and trusted if empty
	tier              inventory.Tier
}

func judgeScenarios(t *testing.T, j *verify.Judge, list []scenario) {
	t.Helper()
	def := func(s, fallback string) string {
		if s == "" {
			return fallback
		}
		return s
	}
	for _, tt := range list {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := factsOf(tt.chain)
			if tt.facts != nil {
				tt.facts(&f)
			}
			at := tt.at
			if at.IsZero() {
				at = now
			}
			got, _ := j.Judge(f, nil, at)
			want := tt.codes
			if want == nil {
				want = []string{}
			}
			if diff := cmp.Diff(want, codes(got.Findings)); diff != "" {
				t.Errorf("codes (-want +got):\n%s", diff)
			}
			if got.Verdict == nil {
				t.Fatal("no verdict")
			}
			have := []string{got.Verdict.Time.Status, got.Verdict.Name.Status, string(got.Verdict.Trust.Status)}
			if diff := cmp.Diff([]string{def(tt.timed, "valid"), def(tt.nam, "match"), def(tt.trust, "trusted")}, have); diff != "" {
				t.Errorf("time, name, trust (-want +got):\n%s\n%+v", diff, got.Verdict.Trust.Stores)
			}
			if got.Tier != tt.tier {
				t.Errorf("tier = %q, want %q", got.Tier, tt.tier)
			}
			for _, f := range got.Findings {
				if f.Message == "" || f.Subject.ID == "" || f.Severity == "" {
					t.Errorf("incomplete finding %+v", f)
				}
			}
			if f := codes(got.Findings); len(f) > 0 {
				t.Logf("%v", got.Findings)
			}
		})
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	soon := root.ca(t, "Short CA", expires(5*day))
	later := root.ca(t, "Later CA", expires(20*day))
	gone := root.ca(t, "Gone CA", expires(-5*day))
	future := root.ca(t, "Future CA", func(c *x509.Certificate) { c.NotBefore = now.Add(day) })
	with := func(ca *issued, leaf ...change) [][]byte { return ders(ca.leaf(t, leaf...), ca) }
	at90 := func(c *x509.Certificate) { c.NotBefore = c.NotAfter.Add(-90 * day) }
	judgeScenarios(t, newJudge(t, storeOf("test", false, root)), []scenario{
		{name: "healthy", chain: with(ca)},
		{name: "expired, and trusted all the same", chain: with(ca, expires(-2*day)), codes: []string{"expired"}, timed: "expired", tier: "expired"},
		{
			name: "expired when its intermediate has expired since", chain: with(gone, expires(-10*day)),
			codes: []string{"expired"}, timed: "expired", tier: "expired",
		},
		{name: "valid through the last second", chain: with(ca, expires(0)), codes: []string{"expiring"}, tier: "3d"},
		{name: "valid within the last second", chain: with(ca, expires(0)), at: now.Add(900 * time.Millisecond), codes: []string{"expiring"}, tier: "3d"},
		{name: "expired a second later", chain: with(ca, expires(0)), at: now.Add(time.Second), codes: []string{"expired"}, timed: "expired", tier: "expired"},
		{
			name: "not yet valid", chain: with(ca, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }),
			codes: []string{"not_yet_valid"}, timed: "not_yet_valid",
		},
		{name: "inside the first tier", chain: with(ca, expires(45*day), at90), codes: []string{"expiring"}, tier: "60d"},
		{name: "inside the last tier", chain: with(ca, expires(2*day), at90), codes: []string{"expiring"}, tier: "3d"},
		{
			name: "a healthy certificate of six days is in its first tier at four", chain: with(ca, expires(4*day), func(c *x509.Certificate) { c.NotBefore = now.Add(-2 * day) }),
			codes: []string{"expiring"}, tier: "60d",
		},
		{
			name: "and in none before", chain: with(ca, expires(4*day+time.Hour), func(c *x509.Certificate) { c.NotBefore = now.Add(-2*day + time.Hour) }),
		},
		{name: "the intermediate ends first", chain: with(soon), codes: []string{"chain_expiring"}, tier: "7d"},
		{name: "in the same tier one renewal cures both", chain: with(soon, expires(6*day), at90), codes: []string{"expiring"}, tier: "7d"},
		{name: "in another tier they are two jobs", chain: with(soon, expires(25*day), at90), codes: []string{"chain_expiring", "expiring"}, tier: "7d"},
		{name: "the leaf ends first", chain: with(later, expires(10*day), at90), codes: []string{"expiring"}, tier: "14d"},
		{name: "the intermediate has expired", chain: with(gone), codes: []string{"expired"}, trust: "expired_chain", tier: "expired"},
		{name: "the intermediate is not valid yet", chain: with(future), codes: []string{"not_yet_valid"}, trust: "expired_chain"},
	})
}

func TestName(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	names := func(cn string, dns ...string) [][]byte {
		return ders(ca.leaf(t, func(c *x509.Certificate) { c.Subject.CommonName, c.DNSNames = cn, dns }), ca)
	}
	host := func(h string) func(*inventory.Facts) { return func(f *inventory.Facts) { f.Target.Host = h } }
	sans := func(der string) [][]byte {
		return ders(ca.leaf(t, func(c *x509.Certificate) { c.DNSNames = nil }, extension(false, []byte(der), 2, 5, 29, 17)), ca)
	}
	addr := ders(ca.leaf(t, func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = []string{"192.0.2.1"}, []net.IP{net.ParseIP("192.0.2.7"), net.ParseIP("2001:db8::7")}
		c.Subject.CommonName = "an address"
	}), ca)
	mismatch := []string{"name_mismatch"}
	judgeScenarios(t, newJudge(t, storeOf("test", false, root)), []scenario{
		{name: "exact, whatever the case", chain: names("", "WWW.Shop.Example")},
		{name: "another host", chain: names("", "www.other.example"), codes: mismatch, nam: "mismatch"},
		{name: "wildcard for one label", chain: names("", "*.shop.example")},
		{name: "wildcard for two labels", chain: names("", "*.shop.example"), facts: host("a.b.shop.example"), codes: mismatch, nam: "mismatch"},
		{name: "wildcard for none", chain: names("", "*.shop.example"), facts: host("shop.example"), codes: mismatch, nam: "mismatch"},
		{name: "partial wildcard", chain: names("", "w*.shop.example"), codes: mismatch, nam: "mismatch"},
		{name: "inner wildcard", chain: names("", "www.*.example"), codes: mismatch, nam: "mismatch"},
		{name: "bare wildcard", chain: names("", "*"), facts: host("localhost"), codes: mismatch, nam: "mismatch"},
		{name: "trailing dot in the target", chain: names("", "www.shop.example"), facts: host("www.shop.example.")},
		{name: "wildcard on a public suffix", chain: names("", "*.co.uk"), facts: host("shop.co.uk"), codes: []string{"wildcard_public_suffix"}},
		{name: "common name only", chain: names("www.shop.example"), codes: []string{"no_san"}, nam: "no_san"},
		{name: "common name that is not listed", chain: names("old.shop.example", "www.shop.example"), codes: []string{"cn_not_in_san"}},
		{name: "common name that is a title", chain: names("The Shop", "www.shop.example")},
		{name: "common name under the wildcard", chain: names("www.shop.example", "*.shop.example")},
		{name: "IPv4 address", chain: addr, facts: host("192.0.2.7")},
		{name: "IPv6 address", chain: addr, facts: host("2001:db8::7")},
		{name: "an address in a DNS name does not count", chain: addr, facts: host("192.0.2.1"), codes: mismatch, nam: "mismatch"},
		{name: "no target, no comparison", chain: names("", "www.shop.example"), facts: host(""), nam: "not_checked"},
		{
			name: "a name that is not ASCII", chain: sans("\x30\x13\x82\x0bsh\xc3\xb6p.exampl\x82\x04shop"),
			codes: []string{"malformed_san"}, nam: "malformed",
		},
		{
			name: "an address of five octets", chain: sans("\x30\x07\x87\x05\x01\x02\x03\x04\x05"),
			codes: []string{"malformed_san"}, nam: "malformed",
		},
	})
}

func TestTrust(t *testing.T) {
	t.Parallel()
	root, stranger := newRoot(t, "Root"), newRoot(t, "Stranger")
	old := newRoot(t, "Old Root", expires(-day))
	ca, foreign, under := root.ca(t, "CA"), stranger.ca(t, "Foreign CA"), old.ca(t, "CA under old")
	below := ca.ca(t, "CA below")
	limited := root.ca(t, "Limited", func(c *x509.Certificate) { c.MaxPathLenZero = true })
	beyond := limited.ca(t, "Beyond")
	constrained := root.ca(t, "Constrained", func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"shop.example"}, true
	})
	client := root.ca(t, "Client CA", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	anyUse := root.ca(t, "Any CA", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })
	odd := root.ca(t, "Odd CA", extension(true, []byte{5, 0}, 1, 3, 6, 1, 4, 1, 99999, 1))
	noCA := root.leaf(t, func(c *x509.Certificate) { c.Subject.CommonName = "no CA"; c.DNSNames = []string{"x.example"} })
	noSign := root.ca(t, "No Sign", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })
	impostor := newRoot(t, "CA") // has the name of ca
	oldCross := sign(t, func() *x509.Certificate {
		c := caTemplate(t, "Root")
		c.NotAfter = now.Add(-day)
		return c
	}(), stranger, root.key)
	self := sign(t, leafTemplate(t), nil, newKey(t))
	leaf := ca.leaf(t)
	dn := func(critical bool, org string) *issued {
		subtree := "\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x0a\x0c\x04" + org
		v := "\x30\x17\xa0\x15\x30\x13\xa4\x11" + subtree
		return root.ca(t, "DN CA", extension(critical, []byte(v), 2, 5, 29, 30))
	}
	good, wrong := dn(true, "Shop"), dn(true, "Else")
	inShop := func(c *x509.Certificate) { c.Subject = pkix.Name{Organization: []string{"SHOP"}} }

	judgeScenarios(t, newJudge(t, storeOf("test", false, root, old, self)), []scenario{
		{name: "two intermediates", chain: ders(below.leaf(t), below, ca)},
		{name: "the certificate is itself the anchor", chain: ders(self)},
		{name: "self-signed", chain: ders(sign(t, leafTemplate(t), nil, newKey(t))), codes: []string{"self_signed"}, trust: "self_signed"},
		{name: "root that is not in the store", chain: ders(foreign.leaf(t), foreign, stranger), codes: []string{"untrusted_root"}, trust: "untrusted_root"},
		{name: "issuer not served", chain: ders(leaf), codes: []string{"unknown_issuer"}, trust: "unknown_issuer"},
		{name: "issuer of the issuer not served", chain: ders(foreign.leaf(t), foreign), codes: []string{"unknown_issuer"}, trust: "unknown_issuer"},
		{name: "another key under the issuer's name", chain: ders(leaf, impostor), codes: []string{"unknown_issuer"}, trust: "unknown_issuer"},
		{name: "both keys under the issuer's name", chain: ders(leaf, impostor, ca), codes: []string{"extra_certificates"}},
		{name: "wrong order", chain: ders(below.leaf(t), ca, below), codes: []string{"wrong_order"}},
		{name: "reversed", chain: ders(ca, leaf), codes: []string{"ca_leaf", "no_san", "wrong_order"}, nam: "no_san"},
		{name: "root served", chain: ders(leaf, ca, root), codes: []string{"extra_certificates"}},
		{name: "twice the same", chain: ders(leaf, ca, ca), codes: []string{"extra_certificates"}},
		{name: "unrelated", chain: ders(leaf, ca, foreign), codes: []string{"extra_certificates"}},
		{name: "an expired cross-sign beside the path", chain: ders(leaf, ca, oldCross), codes: []string{"expired_in_chain"}},
		{name: "expired anchor", chain: ders(under.leaf(t), under), codes: []string{"anchor_expired"}, trust: "anchor_expired"},
		{name: "too many intermediates", chain: ders(beyond.leaf(t), beyond, limited), codes: []string{"path_length"}, trust: "path_length"},
		{name: "within its constraints", chain: ders(constrained.leaf(t), constrained)},
		{
			name:  "outside its constraints",
			chain: ders(constrained.leaf(t, func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "www.other.example") }), constrained),
			codes: []string{"name_constraint"}, trust: "name_constraint",
		},
		{name: "a critical directory name constraint that holds", chain: ders(good.leaf(t, inShop), good)},
		{name: "and one that does not", chain: ders(wrong.leaf(t, inShop), wrong), codes: []string{"name_constraint"}, trust: "name_constraint"},
		{name: "CA for clients only", chain: ders(client.leaf(t), client), codes: []string{"bad_eku"}, trust: "bad_eku"},
		{name: "CA for any use", chain: ders(anyUse.leaf(t), anyUse)},
		{
			name: "certificate for clients only", codes: []string{"bad_eku"}, trust: "bad_eku",
			chain: ders(ca.leaf(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), ca),
		},
		{name: "issued by no CA", chain: ders(noCA.leaf(t), noCA), codes: []string{"not_a_ca"}, trust: "not_a_ca"},
		{name: "issued by a CA that may not sign", chain: ders(noSign.leaf(t), noSign), codes: []string{"not_a_ca"}, trust: "not_a_ca"},
		{name: "critical extension of an issuer", chain: ders(odd.leaf(t), odd), codes: []string{"unhandled_critical_extension"}, trust: "unhandled_critical"},
		{
			name: "critical extension", codes: []string{"unhandled_critical_extension"}, trust: "unhandled_critical",
			chain: ders(ca.leaf(t, extension(true, []byte{5, 0}, 1, 3, 6, 1, 4, 1, 99999, 1)), ca),
		},
		{
			name: "precertificate", codes: []string{"precertificate_served"}, trust: "unhandled_critical",
			chain: ders(ca.leaf(t, extension(true, []byte{5, 0}, 1, 3, 6, 1, 4, 1, 11129, 2, 4, 3)), ca),
		},
		{
			name: "garbage behind a good chain", codes: []string{"malformed_certificate"},
			chain: append(ders(leaf, ca), []byte("garbage")),
		},
		{name: "garbage", chain: [][]byte{[]byte("garbage")}, codes: []string{"malformed_certificate"}, timed: "not_checked", nam: "malformed", trust: "malformed"},
		{
			name: "broken chain after a renewal", chain: ders(leaf),
			facts: func(f *inventory.Facts) { f.PreviousChain = ders(ca.leaf(t, expires(10*day)), ca) },
			codes: []string{"chain_broken", "unknown_issuer"}, trust: "unknown_issuer",
		},
		{
			name: "broken chain that was broken before", chain: ders(leaf),
			facts: func(f *inventory.Facts) { f.PreviousChain = ders(ca.leaf(t)) },
			codes: []string{"unknown_issuer"}, trust: "unknown_issuer",
		},
	})
}

func TestWeakSignature(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	root := sign(t, caTemplate(t, "Root"), nil, key)
	leaf := root.leaf(t)
	// The library does not sign with SHA-1 any more: the certificate is signed
	// by hand, and once more with a signature that is wrong.
	right := resign(t, leaf.Raw, key, true)
	wrong := resign(t, leaf.Raw, key, false)
	judgeScenarios(t, newJudge(t, storeOf("test", false, root)), []scenario{
		{name: "SHA-1", chain: [][]byte{right}, codes: []string{"weak_signature"}, trust: "weak_signature"},
		{name: "SHA-1 and not by that key", chain: [][]byte{wrong}, codes: []string{"unknown_issuer"}, trust: "unknown_issuer"},
	})
}

func TestDistrust(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	s := storeOf("test", false, root)
	limit := now.Add(-15 * day)
	s.Anchors[0].Constraint = func(chain []*x509.Certificate) error {
		if chain[0].NotBefore.After(limit) {
			return errors.New("certificates issued after 2026-11-07 are distrusted")
		}
		return nil
	}
	judgeScenarios(t, newJudge(t, s), []scenario{
		{name: "issued since", chain: ders(ca.leaf(t), ca), codes: []string{"distrusted_root"}, trust: "distrusted_root"},
		{name: "issued before", chain: ders(ca.leaf(t, func(c *x509.Certificate) { c.NotBefore = now.Add(-16 * day) }), ca)},
	})
}

func TestKeysAndProfile(t *testing.T) {
	t.Parallel()
	critical := func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions,
			pkix.Extension{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}})
	}
	root := newRoot(t, "Root", critical)
	ca := root.ca(t, "CA", critical)
	shop := func(c *x509.Certificate) {
		c.DNSNames, c.Subject = []string{"www.shop.com"}, pkix.Name{CommonName: "www.shop.com"}
		c.AuthorityKeyId = ca.SubjectKeyId
	}
	leaf := func(changes ...change) [][]byte { return ders(ca.leaf(t, append([]change{shop}, changes...)...), ca) }
	host := func(f *inventory.Facts) { f.Target.Host = "www.shop.com" }
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	template := leafTemplate(t)
	shop(template)
	long := func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-day), now.Add(200*day) }
	list := func(public bool) []scenario {
		only := func(codes ...string) []string {
			if public {
				return codes
			}
			return nil
		}
		return []scenario{
			{name: "healthy", chain: leaf(), facts: host},
			{name: "short RSA key", chain: ders(sign(t, template, ca, weak), ca), facts: host, codes: []string{"weak_key"}},
			{name: "CA as server", chain: leaf(func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }), facts: host, codes: []string{"ca_leaf"}},
			{
				name: "201 days", chain: leaf(long), facts: host, codes: only("validity_too_long"),
			},
			{name: "200 days", chain: leaf(long, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(200*day - time.Second) }), facts: host},
			{
				name: "no extended key usage", chain: leaf(func(c *x509.Certificate) { c.ExtKeyUsage = nil }), facts: host, codes: only("profile/eku_missing"),
			},
			{
				name: "underscore and internal name", facts: host, codes: only("profile/san_internal_name", "profile/san_underscore"),
				chain: leaf(func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "a_b.shop.com", "printer") }),
			},
			{
				name: "private address", facts: host, codes: only("profile/san_reserved_address"),
				chain: leaf(func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} }),
			},
			{
				name: "common name in another case", facts: host, codes: only("cn_not_in_san"),
				chain: leaf(func(c *x509.Certificate) { c.Subject.CommonName = "WWW.shop.com" }),
			},
			{
				name: "serial of 21 octets", facts: host, codes: []string{"bad_serial"},
				chain: leaf(func(c *x509.Certificate) { c.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 160) }),
			},
		}
	}
	t.Run("public", func(t *testing.T) {
		t.Parallel()
		judgeScenarios(t, newJudge(t, storeOf("test", true, root)), list(true))
	})
	t.Run("private", func(t *testing.T) {
		t.Parallel()
		judgeScenarios(t, newJudge(t, storeOf("test", false, root)), list(false))
	})
}

// TestProfileOfIssuers gives one public root or intermediate at a time a flaw
// that path validation lets pass.
func TestProfileOfIssuers(t *testing.T) {
	t.Parallel()
	strict := extension(true, []byte{0x30, 0x03, 0x01, 0x01, 0xff}, 2, 5, 29, 19)
	constraint := func(subtree string, critical bool) change {
		return extension(critical, []byte("\x30"+string(rune(len(subtree)+4))+"\xa0"+string(rune(len(subtree)+2))+"\x30"+string(rune(len(subtree)))+subtree), 2, 5, 29, 30)
	}
	for _, tt := range []struct {
		name  string
		flaw  change
		rules []string
	}{
		{"none", func(*x509.Certificate) {}, []string{}},
		{"no key usage", func(c *x509.Certificate) { c.KeyUsage = 0 }, []string{"profile/ca_key_usage"}},
		{"no subject", func(c *x509.Certificate) { c.Subject = pkix.Name{} }, []string{"profile/ca_subject", "profile/issuer_empty"}},
		{"constraints that are not critical", constraint("\x82\x08shop.com", false), []string{"profile/name_constraints_critical"}},
		{"constraints with a leading dot", constraint("\x82\x09.shop.com", true), []string{"profile/name_constraints_dot"}},
		{"policy constraints that are not critical", extension(false, []byte{0x30, 3, 0x81, 1, 0}, 2, 5, 29, 36), []string{"profile/policy_constraints"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			leaf := func(ca *issued) *issued {
				return ca.leaf(t, func(c *x509.Certificate) {
					c.Subject, c.DNSNames = pkix.Name{CommonName: "www.shop.com"}, []string{"www.shop.com"}
					c.AuthorityKeyId = []byte("the key of the issuer")
				})
			}
			root := newRoot(t, "Root", strict)
			flawed := newRoot(t, "Flawed", strict, tt.flaw)
			under := root.ca(t, "Flawed", strict, tt.flaw)
			j := newJudge(t, storeOf("test", true, root, flawed))
			for where, chain := range map[string][][]byte{"root": ders(leaf(flawed)), "intermediate": ders(leaf(under), under)} {
				f := factsOf(chain)
				f.Target.Host = "www.shop.com"
				got, _ := j.Judge(f, nil, now)
				if diff := cmp.Diff(tt.rules, codes(got.Findings)); diff != "" {
					t.Errorf("%s: codes (-want +got):\n%s%v", where, diff, got.Verdict.Trust)
				}
			}
		})
	}
}

func TestReachAndTLS(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	chain, other := ders(ca.leaf(t), ca), ders(ca.leaf(t), ca)
	expired := ders(ca.leaf(t, expires(-day)), ca)
	j := newJudge(t, storeOf("test", false, root))
	raw := func(f *inventory.Facts) {
		f.Observation.Capture = &inventory.Capture{Method: inventory.CaptureRawHello}
	}
	for _, tt := range []struct {
		name     string
		reach    inventory.ReachStatus
		offer    inventory.Offer
		chain    [][]byte
		change   func(*inventory.Facts)
		codes    []string
		mentions string
		seen     bool // judged by what was last seen
		unproven bool
	}{
		{name: "fine", chain: chain},
		{name: "refused", reach: "refused", codes: []string{"unreachable"}},
		{name: "timeout", reach: "timeout", codes: []string{"unreachable"}},
		{name: "alert", reach: "tls_alert", codes: []string{"unreachable"}},
		{name: "no such name", reach: "dns_nxdomain", codes: []string{"dns_failure"}},
		{name: "not TLS", reach: "not_tls", codes: []string{"not_tls"}},
		{name: "no STARTTLS", reach: "starttls_missing", codes: []string{"starttls_missing"}},
		{name: "STARTTLS refused", reach: "starttls_refused", codes: []string{"starttls_refused"}},
		{name: "no route is ours", reach: "no_route"},
		{name: "no descriptors is ours", reach: "local_error"},
		{name: "handshake failed after the certificate", reach: "eof", chain: chain, codes: []string{"handshake_failed"}},
		{
			name: "somebody's certificate, to a hand-made hello", chain: chain, codes: []string{"handshake_failed"}, mentions: "the default hello got", unproven: true,
			change: func(f *inventory.Facts) {
				f.Observation.Capture = &inventory.Capture{Method: inventory.CaptureRawHello}
				f.Observation.Reach.Detail = "the default hello got: tls_alert handshake failure"
			},
		},
		{
			name: "a client certificate where the key is not used before", chain: chain, codes: []string{"handshake_failed", "weak_cipher"}, mentions: "without a client certificate", unproven: true,
			change: func(f *inventory.Facts) {
				f.Observation.Capture = &inventory.Capture{Method: inventory.CaptureHandshake}
				f.Observation.TLS = &inventory.TLSFacts{Version: "TLS 1.2", CipherSuite: "TLS_RSA_WITH_AES_128_CBC_SHA", ClientCertificateRequired: true}
				f.Observation.Reach.Detail = "handshake_failure (40)"
			},
		},
		{
			name: "a client certificate, and the key was used", chain: chain,
			change: func(f *inventory.Facts) {
				f.Observation.Capture = &inventory.Capture{Method: inventory.CaptureHandshake, PossessionProven: true}
				f.Observation.TLS.ClientCertificateRequired = true
			},
		},
		{name: "the end after the certificate", reach: "eof", chain: chain, codes: []string{"handshake_failed"}, mentions: "did not complete", unproven: true, change: raw},
		{name: "one kind of key, not proven", offer: inventory.OfferRSA, chain: chain, codes: []string{"handshake_failed"}, unproven: true, change: func(f *inventory.Facts) {
			raw(f)
			f.Observation.TLS.Version = "TLS 1.2"
		}},
		{name: "one kind of key under TLS 1.3 cannot be proven", offer: inventory.OfferRSA, chain: chain, unproven: true, change: raw},
		{name: "what the default offer gets is proven there", offer: inventory.OfferRSA, chain: chain, change: func(f *inventory.Facts) {
			raw(f)
			f.DefaultChain = chain
		}},
		{name: "a census does not ask for proof", offer: inventory.OfferCensus, chain: chain, change: func(f *inventory.Facts) {
			f.Observation.Capture = &inventory.Capture{Method: inventory.CaptureCensus}
		}},
		{name: "a file was not received", chain: chain, change: func(f *inventory.Facts) { f.Observation.Capture = nil }},
		{name: "injected text", chain: chain, change: func(f *inventory.Facts) { f.Observation.Injected = []byte("x") }, codes: []string{"starttls_injection"}},
		{name: "old TLS", chain: chain, change: func(f *inventory.Facts) { f.Observation.TLS.Version = "TLS 1.0" }, codes: []string{"deprecated_tls"}},
		{
			name: "weak cipher", chain: chain, codes: []string{"weak_cipher"},
			change: func(f *inventory.Facts) { f.Observation.TLS.CipherSuite = "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA" },
		},
		{name: "a census judges no TLS", offer: inventory.OfferCensus, chain: chain, change: func(f *inventory.Facts) { f.Observation.TLS.Version = "TLS 1.0" }},
		{name: "no RSA key there", offer: inventory.OfferRSA, reach: "tls_alert"},
		{name: "a stale RSA key there", offer: inventory.OfferRSA, chain: expired, codes: []string{"expired"}},
		{
			name: "an RSA key that is gone", offer: inventory.OfferRSA, reach: "tls_alert",
			change: func(f *inventory.Facts) { f.LastChain, f.LastSeen = expired, now.Add(-day) },
		},
		{
			name: "down, and expired meanwhile", reach: "timeout", codes: []string{"expired", "unreachable"}, seen: true,
			change: func(f *inventory.Facts) { f.LastChain, f.LastSeen = expired, now.Add(-2*day) },
		},
		{
			name: "the same without a server name", offer: inventory.OfferNoSNI, chain: chain,
			change: func(f *inventory.Facts) { f.DefaultChain = chain },
		},
		{
			name: "another without a server name", offer: inventory.OfferNoSNI, chain: expired, codes: []string{"default_certificate_differs"},
			change: func(f *inventory.Facts) { f.DefaultChain = chain },
		},
		{
			name: "a stale node in a pool", chain: chain, codes: []string{"expired"},
			change: func(f *inventory.Facts) { f.Observation.Alternates = [][][]byte{other, expired} },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := factsOf(tt.chain)
			if tt.reach != "" {
				f.Observation.Reach = inventory.Reach{Status: tt.reach, Detail: "what the peer said"}
			}
			if tt.offer != "" {
				f.Observation.Offer = tt.offer
			}
			if tt.change != nil {
				tt.change(&f)
			}
			got, _ := j.Judge(f, nil, now)
			want := tt.codes
			if want == nil {
				want = []string{}
			}
			if diff := cmp.Diff(want, codes(got.Findings)); diff != "" {
				t.Errorf("codes (-want +got):\n%s", diff)
			}
			if seen := !got.LastSeen.IsZero(); seen != tt.seen {
				t.Errorf("LastSeen = %v", got.LastSeen)
			}
			if got.Verified() && len(tt.codes) > 0 && strings.Contains(tt.codes[0], "expired") {
				t.Error("verified with an expired certificate")
			}
			if text := fmt.Sprint(got.Findings); !strings.Contains(text, tt.mentions) {
				t.Errorf("findings do not say %q: %s", tt.mentions, text)
			}
			if got.Unproven != tt.unproven || got.Verified() && tt.unproven {
				t.Errorf("unproven = %t, verified = %t, want unproven %t", got.Unproven, got.Verified(), tt.unproven)
			}
		})
	}
}

// An intermediate that was renewed after the leaf expired makes the path good,
// although there is no instant at which both are valid.
func TestExpiredLeafUnderARenewedIntermediate(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA", func(c *x509.Certificate) { c.NotBefore = now.Add(-day) })
	leaf := ca.leaf(t, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-100*day), now.Add(-10*day) })
	got, _ := newJudge(t, storeOf("test", false, root)).Judge(factsOf(ders(leaf, ca)), nil, now)
	if diff := cmp.Diff([]string{"expired"}, codes(got.Findings)); diff != "" || got.Verdict.Trust.Status != inventory.Trusted {
		t.Errorf("trust %s, codes (-want +got):\n%s", got.Verdict.Trust.Status, diff)
	}
}
