package verify_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

func TestTarget(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ca := root.ca(t, "CA")
	old := ders(ca.leaf(t, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-80*day), now.Add(10*day) }), ca)
	fresh := ders(ca.leaf(t), ca)
	freshRSA := ders(sign(t, leafTemplate(t), ca, rsaKey), ca)
	oldTemplate := leafTemplate(t)
	oldTemplate.NotBefore, oldTemplate.NotAfter = now.Add(-80*day), now.Add(10*day)
	oldRSA := ders(sign(t, oldTemplate, ca, rsaKey), ca)
	expected := []inventory.Certificate{verify.Parse(fresh[0])}
	byDigest := []inventory.Certificate{{SHA256: inventory.FingerprintOf(fresh[0])}}
	type seen struct {
		addr  string
		chain [][]byte
		set   func(*inventory.Facts)
	}
	down := func(f *inventory.Facts) { f.Observation.Reach.Status = inventory.ReachTimeout }
	noRoute := func(f *inventory.Facts) { f.Observation.Reach.Status = inventory.ReachNoRoute }
	noFile := func(f *inventory.Facts) {
		f.Observation.Reach = inventory.Reach{Status: inventory.ReachLocalError, Detail: "connect: too many open files"}
	}
	census := func(f *inventory.Facts) {
		f.Observation.Offer = inventory.OfferCensus
		f.Observation.Capture = &inventory.Capture{Method: inventory.CaptureCensus}
	}
	unproven := func(f *inventory.Facts) {
		f.Observation.Capture = &inventory.Capture{Method: inventory.CaptureRawHello}
	}
	offer := func(o inventory.Offer) func(*inventory.Facts) {
		return func(f *inventory.Facts) { f.Observation.Offer = o }
	}
	noRSA := func(f *inventory.Facts) {
		f.Observation.Offer, f.Observation.Reach.Status = inventory.OfferRSA, inventory.ReachTLSAlert
	}
	lastSeen := func(f *inventory.Facts) { down(f); f.LastChain, f.LastSeen = old, now.Add(-day) }
	yes, no := new(true), new(false)
	for _, tt := range []struct {
		name     string
		expect   []inventory.Certificate
		views    []seen
		codes    []string
		mentions string
		tier     inventory.Tier
		verified *bool
	}{
		{name: "agree", views: []seen{{"192.0.2.1", fresh, nil}, {"192.0.2.2", fresh, nil}}, verified: yes},
		{
			name: "disagree", views: []seen{{"192.0.2.1", fresh, nil}, {"192.0.2.2", old, nil}},
			codes: []string{"addresses_disagree"}, mentions: "192.0.2.2 lags behind", tier: "14d", verified: yes,
		},
		{
			name: "a pool disagrees with itself", codes: []string{"addresses_disagree"}, verified: yes, tier: "14d",
			views: []seen{{"192.0.2.1", fresh, func(f *inventory.Facts) { f.Observation.Alternates = [][][]byte{old} }}},
		},
		{name: "a second key type is no disagreement", views: []seen{{"192.0.2.1", fresh, nil}, {"192.0.2.1", old, offer(inventory.OfferRSA)}}, tier: "14d", verified: yes},
		{name: "a census proves nothing", views: []seen{{"192.0.2.1", fresh, census}, {"192.0.2.2", old, census}}, tier: "14d", verified: yes},
		{name: "nobody proved to have the key", views: []seen{{"192.0.2.1", fresh, nil}, {"192.0.2.2", fresh, unproven}}, verified: nil},
		{name: "not proven, and another address is down", views: []seen{{"192.0.2.1", fresh, unproven}, {"192.0.2.2", nil, down}}, verified: no},
		{
			name: "what is not proven is no deployment", expect: expected, views: []seen{{"192.0.2.1", fresh, unproven}},
			codes: []string{"not_deployed"}, mentions: "unknown at 192.0.2.1", verified: nil,
		},
		{name: "down, and counting down", views: []seen{{"192.0.2.1", nil, lastSeen}}, tier: "14d", verified: no},
		{name: "never seen", views: []seen{{"192.0.2.1", nil, down}}, verified: no},
		{name: "one family without route", views: []seen{{"192.0.2.1", fresh, nil}, {"2001:db8::1", nil, noRoute}}, verified: yes},
		{name: "no way there", views: []seen{{"2001:db8::1", nil, noRoute}}, codes: []string{"unreachable"}, mentions: "not examined"},
		{name: "no file to connect with", views: []seen{{"192.0.2.1", nil, noFile}}},
		{name: "no file, and no way", views: []seen{{"192.0.2.1", nil, noFile}, {"2001:db8::1", nil, noRoute}}},
		{name: "no RSA key is no failure", views: []seen{{"192.0.2.1", fresh, nil}, {"192.0.2.1", nil, noRSA}}, verified: yes},
		{name: "no views", views: nil},

		{name: "deployed everywhere", expect: expected, views: []seen{{"192.0.2.1", fresh, nil}, {"192.0.2.2", fresh, nil}}, verified: yes},
		{
			name: "deployed nowhere", expect: expected, views: []seen{{"192.0.2.1", old, nil}},
			codes: []string{"not_deployed"}, mentions: "until 2026-12-02", tier: "14d", verified: yes,
		},
		{
			name: "deployed on one of two", expect: expected, views: []seen{{"192.0.2.1", fresh, nil}, {"192.0.2.2", old, nil}},
			codes: []string{"addresses_disagree", "partially_deployed"}, mentions: "but not by 192.0.2.2:", tier: "14d", verified: yes,
		},
		{
			name: "another key type is no business of the expectation", expect: expected, tier: "14d", verified: yes,
			views: []seen{{"192.0.2.1", fresh, nil}, {"192.0.2.1", oldRSA, offer(inventory.OfferRSA)}},
		},
		{
			name: "an old RSA certificate beside a new ECDSA one", expect: append(expected, verify.Parse(freshRSA[0])), tier: "14d", verified: yes,
			views: []seen{{"192.0.2.1", fresh, nil}, {"192.0.2.1", oldRSA, offer(inventory.OfferRSA)}, {"192.0.2.2", fresh, nil}, {"192.0.2.2", freshRSA, offer(inventory.OfferRSA)}},
			codes: []string{"partially_deployed"}, mentions: "but not by 192.0.2.1:",
		},
		{
			name: "an old RSA certificate that was not asked for again", expect: append(expected, verify.Parse(freshRSA[0])), tier: "14d", verified: yes,
			views: []seen{{"192.0.2.1", fresh, nil}, {"192.0.2.1", oldRSA, func(f *inventory.Facts) {
				f.Observation.Offer = inventory.OfferRSA
				f.Observation.Time = f.Observation.Time.Add(-time.Hour)
			}}},
		},
		{
			name: "both key types deployed", expect: append(expected, verify.Parse(freshRSA[0])), verified: yes,
			views: []seen{{"192.0.2.1", fresh, nil}, {"192.0.2.1", freshRSA, offer(inventory.OfferRSA)}},
		},
		{
			name: "the old certificate has another key type", expect: expected, tier: "14d", verified: yes,
			views: []seen{{"192.0.2.1", oldRSA, nil}, {"192.0.2.2", fresh, nil}},
			codes: []string{"addresses_disagree", "partially_deployed"}, mentions: "but not by 192.0.2.1:",
		},
		{
			name: "expected by its digest alone", expect: byDigest, tier: "14d", verified: yes,
			views: []seen{{"192.0.2.1", fresh, nil}, {"192.0.2.1", old, offer(inventory.OfferECDSA)}},
			codes: []string{"not_deployed"},
		},
		{
			name: "not every address was examined", expect: expected, verified: nil,
			views: []seen{{"192.0.2.1", fresh, func(f *inventory.Facts) { f.Observation.Unexamined = 8 }}},
			codes: []string{"partially_deployed"}, mentions: "8 further addresses were not examined",
		},
		{
			name: "the name resolves in part", expect: expected, verified: nil,
			views: []seen{{"192.0.2.1", fresh, func(f *inventory.Facts) {
				f.Observation.Resolution = &inventory.Resolution{Status: inventory.ReachOK, Partial: true, Detail: "AAAA: dns_servfail"}
			}}},
			codes: []string{"dns_failure", "partially_deployed"}, mentions: "AAAA: dns_servfail",
		},
		{
			name: "what a resolver adds to a whole answer is no failure", expect: expected, verified: yes,
			views: []seen{{"192.0.2.1", fresh, func(f *inventory.Facts) {
				f.Observation.Resolution = &inventory.Resolution{Status: inventory.ReachOK, Detail: "from the hosts file"}
			}}},
		},
		{
			name: "a pool with one laggard", expect: expected, tier: "14d", verified: yes,
			views: []seen{{"192.0.2.1", fresh, func(f *inventory.Facts) { f.Observation.Alternates = [][][]byte{old} }}},
			codes: []string{"addresses_disagree", "not_deployed"},
		},
		{
			name: "unknown is not deployed", expect: expected, views: []seen{{"192.0.2.1", nil, down}},
			codes: []string{"not_deployed"}, mentions: "unknown at 192.0.2.1", verified: no,
		},
		{
			name: "a census is no deployment", expect: expected, views: []seen{{"192.0.2.1", fresh, census}},
			codes: []string{"not_deployed"}, mentions: "unknown at 192.0.2.1", verified: yes,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j, err := verify.New(verify.Options{Stores: []inventory.TrustStore{storeOf("test", false, root)}, Expect: tt.expect})
			if err != nil {
				t.Fatal(err)
			}
			var views []inventory.Endpoint
			target := factsOf(nil).Target
			for _, s := range tt.views {
				f := factsOf(s.chain)
				f.Observation.Address = s.addr
				if s.set != nil {
					s.set(&f)
				}
				judged, _ := j.Judge(f, nil, now)
				views = append(views, inventory.Endpoint{Observation: f.Observation, Judgement: judged})
			}
			got := j.JudgeTarget(target, views, now)
			want := tt.codes
			if want == nil {
				want = []string{}
			}
			if diff := cmp.Diff(want, codes(got.Findings)); diff != "" {
				t.Errorf("codes (-want +got):\n%s", diff)
			}
			if text := fmt.Sprint(got.Findings); !strings.Contains(text, tt.mentions) {
				t.Errorf("findings do not say %q: %s", tt.mentions, text)
			}
			if got.Tier != tt.tier {
				t.Errorf("tier = %q, want %q", got.Tier, tt.tier)
			}
			if diff := cmp.Diff(tt.verified, got.Verified); diff != "" {
				t.Errorf("verified (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMissingIssuersAreAskedFor(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	upper := root.ca(t, "Upper", func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://aia.example/root.cer"} })
	lower := upper.ca(t, "Lower", func(c *x509.Certificate) {
		c.IssuingCertificateURL = []string{"ldap://aia.example/upper", "http://aia.example/upper.cer"}
	})
	leaf := lower.leaf(t, func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://aia.example/lower.cer"} })
	need := func(name string) inventory.Need {
		return inventory.Need{Kind: inventory.NeedIssuer, URL: "http://aia.example/" + name + ".cer"}
	}
	has := func(c *issued) inventory.Evidence { return inventory.Evidence{Certificates: ders(c)} }
	fails := inventory.Evidence{Error: "HTTP status 404"}
	j := newJudge(t, storeOf("test", false, root))
	for _, tt := range []struct {
		name   string
		chain  [][]byte
		ev     inventory.EvidenceSet
		trust  inventory.TrustStatus
		needs  []inventory.Need
		detail string
	}{
		{"asks for the issuer", ders(leaf), nil, "unknown_issuer", []inventory.Need{need("lower")}, "has not been fetched"},
		{
			"and for the next", ders(leaf),
			inventory.EvidenceSet{need("lower"): has(lower)},
			"unknown_issuer",
			[]inventory.Need{need("upper")},
			`"CN=Upper,O=Test"`,
		},
		{
			"until there is a path", ders(leaf),
			inventory.EvidenceSet{need("lower"): has(lower), need("upper"): has(upper)},
			"incomplete", nil, "http://aia.example/lower.cer",
		},
		{"asks for nothing that was served", ders(leaf, lower), nil, "unknown_issuer", []inventory.Need{need("upper")}, ""},
		{"says why it failed", ders(leaf), inventory.EvidenceSet{need("lower"): fails}, "unknown_issuer", nil, "HTTP status 404"},
		{"asks for nothing with a path", ders(leaf, lower, upper), nil, "trusted", nil, ""},
		{
			"is not led astray", ders(leaf),
			inventory.EvidenceSet{need("lower"): has(newRoot(t, "Lower"))},
			"unknown_issuer", nil, "its key did not sign",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, needs := j.Judge(factsOf(tt.chain), tt.ev, now)
			if s := got.Verdict.Trust; s.Status != tt.trust || !strings.Contains(s.Stores[0].Detail, tt.detail) {
				t.Errorf("trust = %s (%s), want %s and %q", s.Status, s.Stores[0].Detail, tt.trust, tt.detail)
			}
			if diff := cmp.Diff(tt.needs, needs); diff != "" {
				t.Errorf("needs (-want +got):\n%s", diff)
			}
			for _, f := range got.Findings {
				t.Log(f.Message)
			}
		})
	}
}

func TestPathsAreListedBestFirst(t *testing.T) {
	t.Parallel()
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	ca := root.ca(t, "CA", expires(40*day))
	template := caTemplate(t, "CA")
	template.NotAfter = now.Add(400 * day)
	cross := sign(t, template, other, ca.key)
	template = caTemplate(t, "CA")
	template.NotAfter = now.Add(-day)
	expired := sign(t, template, other, ca.key)
	leaf := ca.leaf(t)
	got, _ := newJudge(t, storeOf("test", false, root, other), storeOf("only", false, root)).
		Judge(factsOf(ders(leaf, ca, expired, cross)), nil, now)
	id := func(c *issued) inventory.Fingerprint { return inventory.FingerprintOf(c.Raw) }
	want := []inventory.StoreVerdict{
		{
			Name: "test", Date: "2026-10-30", Status: "trusted",
			Paths: [][]inventory.Fingerprint{{id(leaf), id(cross), id(other)}, {id(leaf), id(ca), id(root)}},
		},
		{Name: "only", Date: "2026-10-30", Status: "trusted", Paths: [][]inventory.Fingerprint{{id(leaf), id(ca), id(root)}}},
	}
	if diff := cmp.Diff(want, got.Verdict.Trust.Stores); diff != "" {
		t.Errorf("stores (-want +got):\n%s", diff)
	}
	if got.Expiry.By != "leaf" || !got.Expiry.At.Equal(leaf.NotAfter) {
		t.Errorf("expiry = %+v, want the leaf's: the best path outlives it", got.Expiry)
	}
	if diff := cmp.Diff([]string{"expired_in_chain"}, codes(got.Findings)); diff != "" {
		t.Errorf("codes (-want +got):\n%s", diff)
	}
	if spki := inventory.FingerprintOf(ca.RawSubjectPublicKeyInfo); got.Certificate.IssuerKey != spki {
		t.Errorf("issuer key = %s, want %s", got.Certificate.IssuerKey, spki)
	}
}

func TestValidUntil(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	j := newJudge(t, storeOf("test", false, root))
	leaf := ca.leaf(t, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(-10*day), now.Add(80*day) })
	f := factsOf(ders(leaf, ca))
	at := now.Add(-11 * day)
	var steps []string
	for range 20 {
		got, _ := j.Judge(f, nil, at)
		if got.ValidUntil.IsZero() {
			break
		}
		if !got.ValidUntil.After(at) {
			t.Fatalf("valid until %v, judged at %v", got.ValidUntil, at)
		}
		// Nothing may change right before, and the moment itself must count.
		before, _ := j.Judge(f, nil, got.ValidUntil.Add(-time.Nanosecond))
		if before.Tier != got.Tier || before.Verdict.Time != got.Verdict.Time {
			t.Errorf("tier %q %s becomes %q %s before %v", got.Tier, got.Verdict.Time.Status, before.Tier, before.Verdict.Time.Status, got.ValidUntil)
		}
		at = got.ValidUntil
		steps = append(steps, fmt.Sprint(got.Tier, " ", got.Verdict.Time.Status))
	}
	want := []string{" not_yet_valid", " valid", "60d valid", "30d valid", "14d valid", "7d valid", "3d valid", "expired expired", "expired expired"}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
}

func TestKeyReuse(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	key := newKey(t)
	with := func(names ...string) inventory.Certificate {
		c := leafTemplate(t)
		c.DNSNames = names
		return verify.Parse(sign(t, c, root, key).Raw)
	}
	one, again, other := with("a.example", "b.example"), with("b.example", "a.example"), with("c.example")
	result := func(host string, leaf inventory.Certificate) inventory.Result {
		target := inventory.Target{Host: host, Port: 443, Protocol: inventory.TLS}
		return inventory.Result{Target: target, Endpoints: []inventory.Endpoint{{
			Observation: inventory.Observation{Offer: inventory.OfferDefault},
			Judgement:   inventory.Judgement{Certificate: &leaf},
		}}}
	}
	for _, tt := range []struct {
		name string
		add  []inventory.Result
		want int
	}{
		{"one certificate everywhere", []inventory.Result{result("a.example", one), result("b.example", one)}, 0},
		{"a key kept over a renewal", []inventory.Result{result("a.example", one), result("b.example", again)}, 0},
		{"a key of two services", []inventory.Result{result("a.example", one), result("c.example", other), result("d.example", other)}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := verify.NewFleet()
			for _, r := range tt.add {
				f.Add(r)
			}
			got := f.Findings()
			if len(got) != tt.want {
				t.Fatalf("findings = %v, want %d", got, tt.want)
			}
			if tt.want > 0 && !strings.Contains(got[0].Message, "a.example:443, c.example:443, d.example:443") {
				t.Errorf("message %q does not name the targets", got[0].Message)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	store := []inventory.TrustStore{{Name: "empty"}}
	for _, tt := range []struct {
		name string
		opt  verify.Options
		want string
	}{
		{"no store", verify.Options{}, "a trust store is required"},
		{"a tier after expiry", verify.Options{Stores: store, Tiers: []time.Duration{-time.Hour}}, "not a distance before expiry"},
		{"a negative reference", verify.Options{Stores: store, Reference: -1}, "is negative"},
		{"an unknown profile", verify.Options{Stores: store, Profile: "strict"}, `profile "strict" is not known`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := verify.New(tt.opt); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want %q", err, tt.want)
			}
		})
	}
}
