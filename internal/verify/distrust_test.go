package verify_test

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

func TestDistrustList(t *testing.T) {
	t.Parallel()
	root, other := newRoot(t, "Root"), newRoot(t, "Other Root")
	ca := root.ca(t, "CA")
	leaf := ca.leaf(t)
	// The same authority, certified by the other root as well.
	crossTemplate := caTemplate(t, "CA")
	cross := sign(t, crossTemplate, other, ca.key)

	of := func(c *issued) inventory.Certificate { return verify.Parse(c.Raw) }
	both := storeOf("both", false, root, other)
	one := storeOf("one", false, root)
	none := storeOf("none", false, newRoot(t, "Unrelated"))
	news := func(e inventory.Distrusted) inventory.Distrusted {
		e.Reason, e.Date, e.Source = "its key was stolen", "2026-10-19", "https://news.example/1"
		return e
	}
	for _, tt := range []struct {
		name  string
		entry inventory.Distrusted
		store inventory.TrustStore
		chain [][]byte
		want  inventory.TrustStatus
	}{
		{"a root by its certificate", inventory.Distrusted{Certificate: of(root).SHA256}, one, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"a root by its key", inventory.Distrusted{Key: of(root).SPKI}, one, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"a root by its key identifier", inventory.Distrusted{KeyID: root.SubjectKeyId}, one, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"a root by its name in other letters", inventory.Distrusted{Issuer: "cn=root,o=TEST"}, one, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"a root by its name as openssl prints it", inventory.Distrusted{Issuer: "O = Test, CN = Root"}, one, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"a root by its common name", inventory.Distrusted{Issuer: "root"}, one, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"a part of its common name", inventory.Distrusted{Issuer: "roo"}, one, ders(leaf, ca), inventory.Trusted},
		{"a part of its name", inventory.Distrusted{Issuer: "O=Test"}, one, ders(leaf, ca), inventory.Trusted},
		{"a common name that only the leaf has", inventory.Distrusted{Issuer: of(leaf).SubjectCN}, one, ders(leaf, ca), inventory.Trusted},
		{"an intermediate by its certificate", inventory.Distrusted{Certificate: of(ca).SHA256}, one, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"an intermediate by its key", inventory.Distrusted{Key: of(ca).SPKI}, one, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"an intermediate by its name", inventory.Distrusted{Issuer: of(ca).Subject}, one, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"a leaf by its key", inventory.Distrusted{Key: of(leaf).SPKI}, one, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"a name that only the leaf has", inventory.Distrusted{Issuer: of(leaf).Subject}, one, ders(leaf, ca), inventory.Trusted},
		{"somebody else", inventory.Distrusted{Key: of(other).SPKI}, one, ders(leaf, ca), inventory.Trusted},

		{"one of two roots", inventory.Distrusted{Key: of(root).SPKI}, both, ders(leaf, ca, cross), inventory.Trusted},
		{"one of two certificates of an intermediate", inventory.Distrusted{Certificate: of(ca).SHA256}, both, ders(leaf, ca, cross), inventory.Trusted},
		{"the key of both certificates of an intermediate", inventory.Distrusted{Key: of(ca).SPKI}, both, ders(leaf, ca, cross), inventory.TrustDistrustedRoot},
		{"one of two roots, and the way to the other was not served", inventory.Distrusted{Key: of(root).SPKI}, both, ders(leaf, ca), inventory.TrustDistrustedRoot},

		{"a root that the store has dropped", inventory.Distrusted{Key: of(root).SPKI}, none, ders(leaf, ca, root), inventory.TrustDistrustedRoot},
		{"a dropped root that was not served, by name", inventory.Distrusted{Issuer: of(root).Subject}, none, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"a dropped root that was not served, by common name", inventory.Distrusted{Issuer: "Root"}, none, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"a dropped root that was not served, by key identifier", inventory.Distrusted{KeyID: root.SubjectKeyId}, none, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"an intermediate of a root that the store has dropped", inventory.Distrusted{Key: of(ca).SPKI}, none, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"an intermediate that the store trusts by itself, under a distrusted name", inventory.Distrusted{Issuer: of(root).Subject}, storeOf("ca", false, ca), ders(leaf, ca), inventory.Trusted},

		{"issued after the date", inventory.Distrusted{Key: of(root).SPKI, After: now.Add(-11 * day)}, one, ders(leaf, ca), inventory.TrustDistrustedRoot},
		{"issued before the date", inventory.Distrusted{Key: of(root).SPKI, After: now.Add(-9 * day)}, one, ders(leaf, ca), inventory.Trusted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j, err := verify.New(verify.Options{Stores: []inventory.TrustStore{tt.store}, Distrust: []inventory.Distrusted{news(tt.entry)}})
			if err != nil {
				t.Fatal(err)
			}
			got, _ := j.Judge(factsOf(tt.chain), nil, now)
			if got.Verdict.Trust.Status != tt.want {
				t.Fatalf("trust = %s (%s), want %s", got.Verdict.Trust.Status, got.Verdict.Trust.Stores[0].Detail, tt.want)
			}
			if tt.want != inventory.TrustDistrustedRoot {
				return
			}
			if got := codes(got.Findings); len(got) != 1 || got[0] != "distrusted_root" {
				t.Errorf("findings = %q, want distrusted_root alone", got)
			}
			for _, want := range []string{"is distrusted", "(decided 2026-10-19)", "its key was stolen", "https://news.example/1"} {
				if detail := got.Verdict.Trust.Stores[0].Detail; !strings.Contains(detail, want) {
					t.Errorf("detail %q does not say %q", detail, want)
				}
			}
		})
	}
}

func TestDistrustBeforeDates(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	// Every path over an expired intermediate is judged like any other.
	ca := root.ca(t, "CA", func(c *x509.Certificate) { c.NotAfter = now.Add(-day) })
	j, err := verify.New(verify.Options{
		Stores:   []inventory.TrustStore{storeOf("one", false, root)},
		Distrust: []inventory.Distrusted{{Key: verify.Parse(root.Raw).SPKI}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := j.Judge(factsOf(ders(ca.leaf(t), ca)), nil, now)
	if got.Verdict.Trust.Status != inventory.TrustDistrustedRoot {
		t.Errorf("trust = %s, want distrusted_root before expired_chain", got.Verdict.Trust.Status)
	}
}

func TestDistrusts(t *testing.T) {
	t.Parallel()
	bad, good, late := newRoot(t, "Bad"), newRoot(t, "Good"), newRoot(t, "Late")
	store := storeOf("old", true, bad, good, late)
	found := verify.Distrusts([]inventory.Distrusted{
		{Key: verify.Parse(bad.Raw).SPKI},
		{Key: verify.Parse(late.Raw).SPKI, After: now},
	}, store)
	if len(found) != 1 || found[0].SubjectCN != "Bad" {
		t.Errorf("Distrusts = %v, want the root that is distrusted without reserve", found)
	}
}

func TestUnmetDistrust(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	j, err := verify.New(verify.Options{
		Stores: []inventory.TrustStore{storeOf("one", false, root, newRoot(t, "Idle"))},
		Distrust: []inventory.Distrusted{
			{Issuer: "Nobody"},
			{Issuer: "CA"},
			{Key: verify.Parse(ca.Raw).SPKI}, // after another that is about the same
			{Issuer: "O = Test, CN = Idle"},  // of the store
			{Issuer: "Root", After: now.Add(day)},
			{Key: inventory.FingerprintOf([]byte("nobody"))},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	j.Judge(factsOf(ders(ca.leaf(t), ca)), nil, now)
	if got := j.UnmetDistrust(); !slices.Equal(got, []int{0, 5}) {
		t.Errorf("not met: %v, want 0 and 5", got)
	}
}
