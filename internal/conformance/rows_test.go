package conformance_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// A row is one of the table of cases that certscan's verdicts are specified by,
// where neither a case above nor a test of internal/verify is that very case.
type row struct {
	name   string
	make   func(testing.TB) given
	status string // of time, name and trust; "valid match trusted" if empty
	codes  []string
	says   string // something that the findings or the verdict's detail say
}

// target is a target as somebody types it.
func target(tb testing.TB, typed string) string {
	tb.Helper()
	t, err := discover.ParseTarget(typed)
	if err != nil {
		tb.Fatal(err)
	}
	return t.Host
}

func timeRows() []row {
	at := func(from, to time.Time) func(testing.TB) given {
		return direct(nil, with(valid(from, to)))
	}
	typed := func(s string, n ...string) func(testing.TB) given {
		return func(tb testing.TB) given { return named(target(tb, s), n...)(tb) }
	}
	return []row{
		{"row 1: an expired leaf is expired and would be trusted", at(now.Add(-80*day), now.Add(-2*day)), "expired match trusted", found("expired"), "expired 2 days ago"},
		{"row 2: a leaf of the next hours may mean a wrong clock", at(now.Add(time.Hour), now.Add(80*day)), "not_yet_valid match trusted", found("not_yet_valid"), "clock"},
		{"row 4: the year 9999 is no expiry", at(now.Add(-3*365*day), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)), "", found("validity_too_long"), ""},
		{"row 4: two digits from 50 on are of the last century", at(time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1951, 1, 1, 0, 0, 0, 0, time.UTC)), "expired match trusted", found("expired"), "1951-01-01"},
		{"row 4: two digits up to 49 are of this one", at(now.Add(-day), time.Date(2049, 12, 31, 0, 0, 0, 0, time.UTC)), "", found("validity_too_long"), ""},
		{"row 5: the wrong host is told what the certificate is for", named("shop.example.com", dns("www.example.com"), dns("example.com")), "valid mismatch trusted", found("name_mismatch"), `"www.example.com", "example.com"`},
		{"row 6: a wildcard is one label", named("x.example.com", dns("*.example.com")), "", nil, ""},
		{"row 6: and not two", named("x.y.example.com", dns("*.example.com")), "valid mismatch trusted", found("name_mismatch"), ""},
		{"row 6: and not none", named("example.com", dns("*.example.com")), "valid mismatch trusted", found("name_mismatch"), ""},
		{"row 9: a Unicode target is compared as A-labels", typed("bücher.example.com", dns("xn--bcher-kva.example.com")), "", nil, ""},
		{"row 11: an address matches an address", named("192.5.6.30", ip("192.5.6.30")), "", nil, ""},
		{"row 11: and no DNS name", named("192.5.6.30", dns("192.5.6.30")), "valid mismatch trusted", found("name_mismatch", "san_internal_name"), ""},
		{"row 12: a common name alone is no name", direct(nil, with(drop(oidSAN))), "valid no_san trusted", found("no_san"), ""},
		{"row 14: case and a trailing dot do not matter", typed("WWW.Example.COM.", dns("www.example.com")), "", nil, ""},
		{"row 15: what is not of the public Internet", named("printer", dns("printer"), dns("a_b.example.com"), ip("10.1.2.3")), "", found("san_internal_name", "san_reserved_address", "san_underscore"), ""},
		{"row 26: the intermediate ends first, and so does what is told", through(nil, with(valid(now.Add(-day), now.Add(2*day))), nil), "", found("chain_expiring"), "2026-11-24"},
		{"row 72: 200 days to the second", at(now, now.Add(200*day-time.Second)), "", nil, ""},
		{"row 72: and one second more", at(now, now.Add(200*day)), "", found("validity_too_long"), "may be for 200"},
		{"row 72: 398 days before 2026-03-15", at(time.Date(2026, 3, 14, 23, 59, 59, 0, time.UTC), time.Date(2026, 3, 14, 23, 59, 58, 0, time.UTC).Add(398*day)), "", nil, ""},
		{"row 72: and not since", at(time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 14, 23, 59, 59, 0, time.UTC).Add(201*day)), "expired match trusted", found("expired", "validity_too_long"), ""},
		{"row 72: 100 days from 2027-03-15", later("2027-03-15", 100*day-time.Second), "", nil, ""},
		{"row 72: and no longer", later("2027-03-15", 100*day), "", found("validity_too_long"), "may be for 100"},
		{"row 72: 47 days from 2029-03-15", later("2029-03-15", 47*day-time.Second), "", nil, ""},
		{"row 72: and no longer", later("2029-03-15", 47*day), "", found("validity_too_long"), "may be for 47"},
	}
}

// later is a leaf issued on a day to come, and judged on it.
func later(from string, lifetime time.Duration) func(testing.TB) given {
	return func(tb testing.TB) given {
		start, err := time.Parse(time.DateOnly, from)
		if err != nil {
			tb.Fatal(err)
		}
		forever := with(valid(now, now.Add(4000*day)))
		return direct(forever, with(valid(start, start.Add(lifetime))))(tb).when(start)
	}
}

func trustRows() []row {
	return []row{
		{"row 16: a self-signed leaf is called that", func(tb testing.TB) given {
			self := newRoot(tb, subject(dn("example.com")), issuer(dn("example.com")), drop(oidBasicConstraints), usage(true, 0x80))
			return serve(self).under(newRoot(tb))
		}, "valid match self_signed", found("self_signed"), ""},
		{"row 17: a root that is not trusted is named", func(tb testing.TB) given {
			mine := newRoot(tb, subject(dn("my own root")), issuer(dn("my own root")))
			return serve(mine.leaf(), mine).under(newRoot(tb))
		}, "valid match untrusted_root", found("untrusted_root"), "my own root"},
		{"row 21: a later certificate before an earlier one", func(tb testing.TB) given {
			root := newRoot(tb)
			one := root.ca()
			two := one.ca()
			return serve(two.leaf(), one, two).under(root)
		}, "", found("wrong_order"), ""},
		{"row 21: a CA first", func(tb testing.TB) given {
			root := newRoot(tb)
			ca := root.ca()
			return serve(ca, ca.leaf()).under(root)
		}, "", found("ca_leaf", "cn_not_in_san", "eku_missing", "key_usage", "validity_too_long", "wrong_order"), "must come first"},
		{"row 22: what nobody needs", func(tb testing.TB) given {
			root := newRoot(tb)
			ca := root.ca()
			return serve(ca.leaf(), ca, ca, newRoot(tb).ca(), root).under(root)
		}, "", found("extra_certificates"), "1 duplicate, 1 root, 1 unrelated"},
		{"row 29: a hundred CAs of one name and more", func(tb testing.TB) given {
			root, same := newRoot(tb), dn("same")
			served := []*authority(nil)
			last := newRoot(tb, subject(same), issuer(same))
			for range 150 {
				served = append(served, newRoot(tb, subject(same), issuer(same)))
			}
			return serve(append([]*authority{last.leaf()}, served...)...).under(root)
		}, "valid match limit_exceeded", found("unknown_issuer"), "within the limits"},
		{"row 77: a precertificate", direct(nil, with(set("\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x03", true, der(0x05)))), "valid match unhandled_critical", found("precertificate_served"), ""},
		{"row 79: a critical directory name constraint that holds", through(nil, with(nameLimits(list(dir(dn("Example"))), nil)), with(subject(dn("EXAMPLE", "example.com")))), "", found("cn_several"), ""},
		{"row 82: for TLS clients too is worth knowing, and no defect", direct(nil, with(uses(false, serverAuth, clientAuth))), "", found("eku_client_auth"), "(info)"},
		{"row 84: a path that is too long", through(with(limit(0)), nil, nil), "valid match path_length", found("path_length"), ""},
		{"row 85: a negative serial number is shown with its sign", direct(nil, with(serial(big.NewInt(-300)))), "", found("bad_serial"), "-012c"},
		{"row 86: ten thousand names", func(tb testing.TB) given {
			many := make([]string, 10_000)
			for i := range many {
				many[i] = dns(fmt.Sprintf("n%d.example.com", i))
			}
			return named("n9999.example.com", many...)(tb)
		}, "", nil, ""},
		{"row 87: a leaf that cannot be read is recorded", func(tb testing.TB) given {
			g := direct(nil, nil)(tb)
			g.chain[0] = g.chain[0][:len(g.chain[0])-9]
			return g
		}, "valid match malformed", found("malformed_certificate"), "truncated"},
		{"row 88: an extra one that cannot be read hides nothing", func(tb testing.TB) given {
			g := direct(nil, nil)(tb)
			g.chain = append(g.chain, []byte("\x30\x03garbage"))
			return g
		}, "", found("malformed_certificate"), "(warning)"},
	}
}

func keyRows() []row {
	size := func(bits int) func(testing.TB) given {
		return func(tb testing.TB) given {
			k, err := rsaOf(tb, bits)
			if err != nil {
				tb.Fatal(err)
			}
			return direct(nil, with(k))(tb)
		}
	}
	spki := func(s string) func(testing.TB) given { return direct(nil, with(withSPKI(s))) }
	curve := func(id string, octets int) func(testing.TB) given {
		return direct(nil, with(curveKey(id, octets)))
	}
	on := func(c elliptic.Curve) func(testing.TB) given {
		return func(tb testing.TB) given {
			k, err := ecdsa.GenerateKey(c, rand.Reader)
			if err != nil {
				tb.Fatal(err)
			}
			return direct(nil, with(withKey(k)))(tb)
		}
	}
	modulus := sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	exponent := func(e *big.Int) func(testing.TB) given {
		return func(tb testing.TB) given {
			k, err := modulus()
			if err != nil {
				tb.Fatal(err)
			}
			key := seq(integer(tb, k.N), integer(tb, e))
			return spki(seq(seq(oid("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"), der(0x05)), der(0x03, "\x00"+key)))(tb)
		}
	}
	okp := func(id string, octets int) string {
		return seq(seq(oid(id)), der(0x03, "\x00"+strings.Repeat("\x01", octets)))
	}
	return []row{
		{"row 66: RSA 512", size(512), "", found("weak_key"), "(critical)"},
		{"row 66: RSA 1024", size(1024), "", found("weak_key"), ""},
		{"row 66: RSA 2047, which is too few and no multiple of 8", size(2047), "", found("rsa_modulus", "weak_key"), ""},
		{"row 66: RSA 2048", size(2048), "", nil, ""},
		{"row 67: P-224", on(elliptic.P224()), "", found("weak_key"), "(critical)"},
		{"row 67: P-192", curve("\x2a\x86\x48\xce\x3d\x03\x01\x01", 48), "", found("weak_key"), "(critical)"},
		{"row 67: secp256k1", curve("\x2b\x81\x04\x00\x0a", 64), "", found("forbidden_key"), "(critical)"},
		{"row 67: brainpoolP384r1", curve("\x2b\x24\x03\x03\x02\x08\x01\x01\x0b", 96), "", found("forbidden_key"), "(critical)"},
		{"row 67: P-521 is fine", on(elliptic.P521()), "", nil, ""},
		{"row 67: explicit parameters", spki(seq(seq(oid("\x2a\x86\x48\xce\x3d\x02\x01"), seq(der(0x02, "\x01"))), der(0x03, "\x00\x04"+string(make([]byte, 64))))), "", found("malformed_certificate"), "(critical)"},
		{"row 68: Ed25519", func(tb testing.TB) given {
			pub, _, err := ed25519.GenerateKey(rand.Reader)
			if err != nil {
				tb.Fatal(err)
			}
			b, err := x509.MarshalPKIXPublicKey(pub)
			if err != nil {
				tb.Fatal(err)
			}
			return spki(string(b))(tb)
		}, "", found("forbidden_key"), "(warning)"},
		{"row 68: Ed448", spki(okp("\x2b\x65\x71", 57)), "", found("forbidden_key"), "(warning)"},
		{"row 68: ML-DSA-65", spki(okp("\x60\x86\x48\x01\x65\x03\x04\x03\x12", 1952)), "", found("forbidden_key"), "(warning)"},
		{"row 68: DSA", func(tb testing.TB) given { return direct(nil, with(dsaKey(tb, 2048)))(tb) }, "", found("forbidden_key"), "(warning)"},
		{"row 69: an exponent of 257 bits", exponent(new(big.Int).SetBit(big.NewInt(1), 256, 1)), "", found("compromised_key"), "(critical)"},
		{"row 69: an exponent of 1", exponent(big.NewInt(1)), "", found("compromised_key"), "(critical)"},
		{"row 69: an even exponent", exponent(big.NewInt(65538)), "", found("compromised_key"), "(critical)"},
		{"row 69: an exponent of 3 is against a recommendation only", exponent(big.NewInt(3)), "", found("rsa_exponent"), "(info)"},
	}
}

// TestRows is the table that the verdicts are specified by.
func TestRows(t *testing.T) {
	t.Parallel()
	for _, tt := range slices.Concat(timeRows(), trustRows(), keyRows()) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := judge(t, tt.make(t))
			want := tt.status
			if want == "" {
				want = "valid match trusted"
			}
			v := got.Verdict
			if s := fmt.Sprint(v.Time.Status, " ", v.Name.Status, " ", v.Trust.Status); s != want {
				t.Errorf("%s, want %s (%s)", s, want, v.Trust.Stores[0].Detail)
			}
			if diff := cmp.Diff(tt.codes, codes(got.Findings)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			text := v.Trust.Stores[0].Detail
			for _, f := range got.Findings {
				text += fmt.Sprintf("\n%s (%s)", f.Message, f.Severity)
			}
			if !strings.Contains(text, tt.says) {
				t.Errorf("does not say %q: %s", tt.says, text)
			}
		})
	}
}

// Row 18 and 19: an intermediate that is missing is incomplete where it can be
// had, and unknown where it cannot.
func TestMissingIntermediate(t *testing.T) {
	t.Parallel()
	const url = "http://ca.example.com/ca.cer"
	root := newRoot(t)
	ca := root.ca()
	leaf := ca.leaf(set(oidAIA, false, seq(seq(oid("\x2b\x06\x01\x05\x05\x07\x30\x02"), der(0x86, url)))))
	need := inventory.Need{Kind: inventory.NeedIssuer, URL: url}
	facts := inventory.Facts{
		Target:      inventory.Target{Host: "example.com", Port: 443, Protocol: inventory.TLS},
		Observation: inventory.Observation{Offer: inventory.OfferDefault, Chain: serve(leaf).chain, Reach: inventory.Reach{Status: inventory.ReachOK}},
	}
	j, err := verify.New(verify.Options{Stores: []inventory.TrustStore{{Name: "test", Anchors: []inventory.Anchor{{DER: root.der}}}}})
	if err != nil {
		t.Fatal(err)
	}
	got, needs := j.Judge(facts, nil, now)
	if got.Verdict.Trust.Status != inventory.TrustUnknownIssuer || !slices.Contains(needs, need) {
		t.Errorf("at first trust %s, needs %v", got.Verdict.Trust.Status, needs)
	}
	got, needs = j.Judge(facts, inventory.EvidenceSet{need: {Need: need, Certificates: [][]byte{ca.der}}}, now)
	if got.Verdict.Trust.Status != inventory.TrustIncomplete || len(needs) > 0 {
		t.Errorf("with the issuer trust %s, needs %v", got.Verdict.Trust.Status, needs)
	}
	got, _ = j.Judge(facts, inventory.EvidenceSet{need: {Need: need, Error: "404 Not Found"}}, now)
	if s := got.Verdict.Trust; s.Status != inventory.TrustUnknownIssuer || !strings.Contains(s.Stores[0].Detail, "404") {
		t.Errorf("without trust %s: %s", s.Status, s.Stores[0].Detail)
	}
}

// Row 73: browsers ask for SCTs under roots that they know; under a file of
// roots they are asked for only if somebody gave a list of logs.
func TestTransparencyUnderAFile(t *testing.T) {
	t.Parallel()
	g := direct(nil, nil)(t)
	for _, tt := range []struct {
		public bool
		logs   *inventory.LogList
		want   []string
	}{
		{false, nil, nil},
		{false, new(inventory.LogList), found("sct_missing")},
		{true, nil, found("sct_missing")},
	} {
		store := inventory.TrustStore{Name: "test", Public: tt.public, Anchors: []inventory.Anchor{{DER: g.roots[0]}}}
		j, err := verify.New(verify.Options{Stores: []inventory.TrustStore{store}, Profile: verify.ProfilePublic, Logs: tt.logs})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := j.Judge(inventory.Facts{
			Target:      inventory.Target{Host: "example.com", Port: 443, Protocol: inventory.TLS},
			Observation: inventory.Observation{Offer: inventory.OfferDefault, Chain: g.chain, Reach: inventory.Reach{Status: inventory.ReachOK}},
		}, nil, now)
		if diff := cmp.Diff(tt.want, codes(got.Findings)); diff != "" {
			t.Errorf("public %t, logs %t: findings (-want +got):\n%s", tt.public, tt.logs != nil, diff)
		}
	}
}

// Row 24: all paths are told, and the one that holds longest counts.
func TestSeveralPaths(t *testing.T) {
	t.Parallel()
	root := newRoot(t)
	old := newRoot(t, subject(dn("old")), issuer(dn("old")), valid(now.Add(-3000*day), now.Add(-day)))
	cross := old.ca(subject(root.name), withKey(root.key), valid(now.Add(-day), now.Add(10*day)))
	ca := root.ca()
	leaf := ca.leaf()
	got := judge(t, serve(leaf, ca, cross).under(root, old))
	if n := len(got.Verdict.Trust.Stores[0].Paths); got.Verdict.Trust.Status != inventory.Trusted || n != 1 {
		t.Errorf("trust %s over %d paths, want 1 that holds", got.Verdict.Trust.Status, n)
	}
	if !got.Expiry.At.Equal(now.Add(80*day)) || got.Expiry.By != "leaf" {
		t.Errorf("expiry %+v, want the leaf's", got.Expiry)
	}
	young := newRoot(t, subject(dn("young")), issuer(dn("young")))
	cross = young.ca(subject(root.name), withKey(root.key), valid(now.Add(-day), now.Add(10*day)))
	got = judge(t, serve(leaf, ca, cross).under(root, young))
	paths := got.Verdict.Trust.Stores[0].Paths
	if len(paths) != 2 || len(paths[0]) != 3 || !got.Expiry.At.Equal(now.Add(80*day)) {
		t.Errorf("paths %v, expiry %v", paths, got.Expiry)
	}
}

// rsaOf is a key of the size; the library makes none of those that are too weak
// to be made, and for judging any odd number will do.
func rsaOf(tb testing.TB, bits int) (option, error) {
	tb.Helper()
	if bits >= 1024 && bits%8 == 0 {
		return rsaKey(tb, bits), nil
	}
	p, err := rand.Prime(rand.Reader, bits/2)
	if err != nil {
		return nil, err
	}
	for range 100 {
		q, err := rand.Prime(rand.Reader, bits-bits/2)
		if err != nil {
			return nil, err
		}
		if n := new(big.Int).Mul(p, q); n.BitLen() == bits {
			key := seq(integer(tb, n), integer(tb, big.NewInt(65537)))
			return withSPKI(seq(seq(oid("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"), der(0x05)), der(0x03, "\x00"+key))), nil
		}
	}
	return nil, errors.New("no key of that size")
}
