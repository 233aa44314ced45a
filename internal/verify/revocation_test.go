package verify_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

const (
	crlURL  = "http://crl.example/ca.crl"
	ocspURL = "http://ocsp.example"
)

func asksCRL(t *x509.Certificate)  { t.CRLDistributionPoints = []string{crlURL} }
func asksOCSP(t *x509.Certificate) { t.OCSPServer = []string{ocspURL} }

func mustStaple(t *x509.Certificate) {
	extension(false, []byte{0x30, 3, 2, 1, 5}, 1, 3, 6, 1, 5, 5, 7, 1, 24)(t)
}

type table map[string]inventory.RevokedEntry

func (t table) Lookup(serial []byte) (inventory.RevokedEntry, bool) {
	e, ok := t[string(serial)]
	return e, ok
}
func (t table) Len() int   { return len(t) }
func (t table) Bytes() int { return len(t) }

// revokes is a list of ca that revokes some certificates for keyCompromise.
func (a *issued) revokes(tb testing.TB, certs ...*issued) *inventory.CRL {
	tb.Helper()
	return a.revokesAt(tb, now.Add(-time.Hour), now.Add(5*day), certs...)
}

func (a *issued) revokesAt(tb testing.TB, this, next time.Time, certs ...*issued) *inventory.CRL {
	tb.Helper()
	template := &x509.RevocationList{Number: big.NewInt(7), ThisUpdate: this, NextUpdate: next}
	entries := make(table)
	for _, c := range certs {
		e := x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: now.Add(-2 * day), ReasonCode: 1}
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, e)
		der, err := asn1.Marshal(c.SerialNumber)
		if err != nil {
			tb.Fatal(err)
		}
		var serial asn1.RawValue
		if _, err := asn1.Unmarshal(der, &serial); err != nil {
			tb.Fatal(err)
		}
		entries[string(serial.Bytes)] = inventory.RevokedEntry{RevokedAt: e.RevocationTime, Reason: 1}
	}
	der, err := x509.CreateRevocationList(rand.Reader, template, a.Certificate, a.key)
	if err != nil {
		tb.Fatal(err)
	}
	var raw rawCertificate // a list has the same three parts
	if _, err := asn1.Unmarshal(der, &raw); err != nil {
		tb.Fatal(err)
	}
	digest := sha256.Sum256(raw.TBS.FullBytes)
	return &inventory.CRL{
		SHA256: inventory.FingerprintOf(der), Size: int64(len(der)), Issuer: a.RawSubject,
		ThisUpdate: this.Truncate(time.Second), NextUpdate: next.Truncate(time.Second), Number: []byte{7},
		Algorithm: raw.Algorithm.FullBytes, Hash: crypto.SHA256, Digest: digest[:], Signature: raw.Signature.Bytes, Entries: entries,
	}
}

// evidence answers the needs of a judge from what is there by URL.
type evidence struct {
	crls  map[string]*inventory.CRL
	ocsp  map[string][]byte
	words map[string]string // why there is nothing
	asked []string
}

func (e *evidence) get(n inventory.Need) inventory.Evidence {
	e.asked = append(e.asked, n.URL)
	out := inventory.Evidence{Need: n, CRL: e.crls[n.URL], OCSP: e.ocsp[n.URL], FetchedAt: now}
	if out.CRL == nil && out.OCSP == nil {
		out.Error, out.ErrorWord = "nothing at "+n.URL, e.words[n.URL]
	}
	return out
}

// judged is what j says in the end.
func (e *evidence) judged(tb testing.TB, j *verify.Judge, f inventory.Facts) inventory.Judgement {
	tb.Helper()
	ev := make(inventory.EvidenceSet)
	for range 20 {
		got, needs := j.Judge(f, ev, now)
		if len(needs) == 0 {
			return got
		}
		for _, n := range needs {
			ev[n] = e.get(n)
		}
	}
	tb.Fatal("it never stops asking")
	return inventory.Judgement{}
}

func TestRevocationPolicy(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	leaf := ca.leaf(t, asksCRL, asksOCSP)
	onlyCRL, onlyOCSP, neither := ca.leaf(t, asksCRL), ca.leaf(t, asksOCSP), ca.leaf(t)
	short := ca.leaf(t, func(c *x509.Certificate) { c.NotBefore = now.Add(-day); c.NotAfter = c.NotBefore.Add(7 * day) })
	longer := ca.leaf(t, func(c *x509.Certificate) { c.NotBefore = now.Add(-day); c.NotAfter = c.NotBefore.Add(8 * day) })
	ldap := ca.leaf(t, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"ldap://dir.example/cn=ca"} })
	two := ca.leaf(t, asksOCSP, func(c *x509.Certificate) {
		c.CRLDistributionPoints = []string{"http://first.example/", crlURL, "http://third.example/"}
	})
	crls := func(list *inventory.CRL) map[string]*inventory.CRL { return map[string]*inventory.CRL{crlURL: list} }
	says := func(c *issued, status []byte) map[string][]byte {
		return map[string][]byte{ocspURL: response{by: ca, singles: []single{{of: c, issuer: ca, status: status}}}.der(t)}
	}
	revoked := ocspRevoked(now.Add(-3*day), 4)

	tests := []struct {
		name   string
		leaf   *issued
		ev     evidence
		given  inventory.Given
		staple []byte
		mode   inventory.RevocationMode // soft if empty
		want   string                   // status, source and reason
		asked  string
		codes  string
	}{
		{name: "off asks nobody and says nothing", leaf: leaf, mode: inventory.RevocationOff, want: "not_checked", staple: []byte("junk")},
		{name: "good by the CRL is enough", leaf: leaf, ev: evidence{crls: crls(ca.revokes(t)), ocsp: says(leaf, revoked)}, want: "good crl", asked: crlURL},
		{name: "revoked by the CRL", leaf: leaf, ev: evidence{crls: crls(ca.revokes(t, leaf))}, want: "revoked crl keyCompromise", asked: crlURL, codes: "revoked"},
		{
			name: "OCSP where the CRL is out of reach", leaf: leaf, ev: evidence{ocsp: says(leaf, ocspGood)},
			want: "good ocsp", asked: crlURL + " " + ocspURL,
		},
		{
			name: "revoked by OCSP where the CRL is by somebody else", leaf: leaf, ev: evidence{crls: crls(root.revokes(t)), ocsp: says(leaf, revoked)},
			want: "revoked ocsp superseded", asked: crlURL + " " + ocspURL, codes: "crl_invalid revoked",
		},
		{
			name: "the reason is that of the CRL where both fail", leaf: leaf, ev: evidence{words: map[string]string{crlURL: "timeout", ocspURL: "http"}},
			want: "unknown crl timeout", asked: crlURL + " " + ocspURL, codes: "revocation_unknown",
		},
		{name: "out of reach", leaf: onlyCRL, want: "unknown crl unreachable", asked: crlURL, codes: "revocation_unknown"},
		{name: "out of reach and hard", leaf: onlyCRL, mode: inventory.RevocationHard, want: "unknown crl unreachable", asked: crlURL, codes: "revocation_unknown!"},
		{name: "the responder does not know it", leaf: onlyOCSP, ev: evidence{ocsp: says(onlyOCSP, ocspUnknown)}, want: "unknown ocsp unknown", asked: ocspURL, codes: "revocation_unknown"},
		{name: "the second address of a list", leaf: two, ev: evidence{crls: crls(ca.revokes(t))}, want: "good crl", asked: "http://first.example/ " + crlURL},
		{name: "no more than two", leaf: two, ev: evidence{ocsp: says(two, ocspGood)}, want: "good ocsp", asked: "http://first.example/ " + crlURL + " " + ocspURL},
		{name: "a list that is no list", leaf: onlyCRL, ev: evidence{words: map[string]string{crlURL: "malformed"}}, want: "unknown crl malformed", asked: crlURL, codes: "crl_invalid revocation_unknown"},
		{name: "a list that is too old", leaf: onlyCRL, ev: evidence{crls: crls(ca.revokesAt(t, now.Add(-9*day), now.Add(-day)))}, want: "unknown crl stale", asked: crlURL, codes: "revocation_unknown"},
		{name: "revoked by a list that is too old", leaf: onlyCRL, ev: evidence{crls: crls(ca.revokesAt(t, now.Add(-9*day), now.Add(-day), onlyCRL))}, want: "revoked crl keyCompromise", asked: crlURL, codes: "revoked"},

		{name: "a good staple, and the CRL all the same", leaf: leaf, ev: evidence{crls: crls(ca.revokes(t, leaf))}, staple: says(leaf, ocspGood)[ocspURL], want: "revoked crl keyCompromise", asked: crlURL, codes: "revoked"},
		{name: "a good staple where the CRL is out of reach", leaf: leaf, staple: says(leaf, ocspGood)[ocspURL], want: "good staple", asked: crlURL},
		{name: "a staple that revokes is enough", leaf: leaf, staple: says(leaf, revoked)[ocspURL], want: "revoked staple superseded", codes: "revoked"},

		{name: "nobody to ask, of a private CA", leaf: neither, want: "unknown no_pointer"},
		{name: "nobody to ask, and hard", leaf: neither, mode: inventory.RevocationHard, want: "unknown no_pointer", codes: "revocation_unknown!"},
		{name: "nobody to ask for a week", leaf: short, want: "not_applicable short_lived"},
		{name: "nobody to ask for a week, and hard, but for the intermediate", leaf: short, mode: inventory.RevocationHard, want: "not_applicable short_lived", codes: "revocation_unknown!"},
		{name: "nobody to ask for eight days", leaf: longer, want: "unknown no_pointer"},
		{name: "nobody who speaks HTTP", leaf: ldap, want: "unknown unsupported_pointer", codes: "revocation_unknown"},

		{name: "good by a given list", leaf: leaf, given: inventory.Given{CRLs: []*inventory.CRL{ca.revokes(t)}}, want: "good crl"},
		{name: "revoked by a given list", leaf: neither, given: inventory.Given{CRLs: []*inventory.CRL{root.revokes(t), ca.revokes(t, neither)}}, want: "revoked crl keyCompromise", codes: "revoked"},
		{name: "a given list of somebody else", leaf: neither, given: inventory.Given{CRLs: []*inventory.CRL{newRoot(t, "Stranger").revokes(t)}}, want: "unknown crl wrong_issuer", codes: "revocation_unknown"},
		{name: "good by a given response", leaf: neither, given: inventory.Given{OCSP: [][]byte{says(neither, ocspGood)[ocspURL]}}, want: "good ocsp"},
		{name: "the given list and response disagree", leaf: neither, given: inventory.Given{CRLs: []*inventory.CRL{ca.revokes(t)}, OCSP: [][]byte{says(neither, revoked)[ocspURL]}}, want: "revoked ocsp superseded", codes: "revoked"},
		{name: "and the other way round", leaf: neither, given: inventory.Given{CRLs: []*inventory.CRL{ca.revokes(t, neither)}, OCSP: [][]byte{says(neither, ocspGood)[ocspURL]}}, want: "revoked crl keyCompromise", codes: "revoked"},
		{name: "a given response for another", leaf: neither, given: inventory.Given{OCSP: [][]byte{says(leaf, ocspGood)[ocspURL]}}, want: "unknown ocsp other_certificate", codes: "revocation_unknown"},
		{
			name: "what was given and is neither", leaf: short, want: "unknown crl malformed", codes: "crl_invalid revocation_unknown",
			given: inventory.Given{Unreadable: []inventory.RevocationAnswer{{Source: "crl", Status: "unknown", Reason: "malformed", Detail: "a.crl"}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mode := tt.mode
			if mode == "" {
				mode = inventory.RevocationSoft
			}
			j := revocationJudge(t, verify.Options{Stores: []inventory.TrustStore{storeOf("test", false, root)}, Revocation: mode})
			f := factsOf(ders(tt.leaf, ca))
			f.Given, f.Observation.Staple = tt.given, tt.staple
			got := tt.ev.judged(t, j, f)
			v := got.Verdict.Revocation
			if have := words(v.Status, v.Source, v.Reason); have != tt.want {
				t.Errorf("verdict = %q, want %q: %+v", have, tt.want, v.Answers)
			}
			if have := strings.Join(tt.ev.asked, " "); have != tt.asked {
				t.Errorf("asked %q, want %q", have, tt.asked)
			}
			if have := revocationCodes(got); have != tt.codes {
				t.Errorf("codes = %q, want %q: %v", have, tt.codes, got.Findings)
			}
		})
	}
}

// words joins those that are not empty.
func words(list ...string) string {
	return strings.Join(slices.DeleteFunc(list, func(s string) bool { return s == "" }), " ")
}

// revocationCodes are the codes that were found, each with a mark if its
// severity is not the one it has by default.
func revocationCodes(j inventory.Judgement) string {
	var out []string
	for _, f := range j.Findings {
		s := string(f.Code)
		if f.Rule != "" {
			s += "/" + f.Rule
		}
		if f.Severity != f.Code.DefaultSeverity() {
			s += "!"
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestRevokedIntermediates(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	key := newKey(t)
	cross := func(from *issued) *issued {
		c := caTemplate(t, "CA")
		c.CRLDistributionPoints = []string{"http://" + from.Subject.CommonName + ".example/"}
		return sign(t, c, from, key)
	}
	second := newRoot(t, "Second")
	ca, again := cross(root), cross(second)
	leaf := ca.leaf(t)
	lists := func(root *inventory.CRL) evidence {
		return evidence{crls: map[string]*inventory.CRL{"http://Root.example/": root, "http://Second.example/": second.revokes(t)}}
	}
	by := func(e inventory.OneCRLEntry) verify.Options {
		return verify.Options{OneCRL: []inventory.OneCRLEntry{e}}
	}
	spki := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
	tests := []struct {
		name   string
		opt    verify.Options
		chain  [][]byte
		stores []*issued
		ev     evidence
		want   string // of the verdict
		above  string // of the intermediate that counts
		codes  string
		paths  int
	}{
		{name: "a good one", chain: ders(leaf, ca), stores: []*issued{root}, ev: lists(root.revokes(t)), want: "unknown no_pointer", above: "good", paths: 1},
		{name: "a revoked one", chain: ders(leaf, ca), stores: []*issued{root}, ev: lists(root.revokes(t, ca)), want: "revoked crl keyCompromise", above: "revoked", codes: "intermediate_revoked", paths: 1},
		{
			name: "a revoked one, and there is another path", chain: ders(leaf, ca, again), stores: []*issued{root, second}, ev: lists(root.revokes(t, ca)),
			want: "unknown no_pointer", above: "good", codes: "intermediate_revoked!", paths: 1,
		},
		{name: "unknown", chain: ders(leaf, ca), stores: []*issued{root}, want: "unknown no_pointer", above: "unknown", codes: "revocation_unknown", paths: 1},
		{name: "OneCRL by serial number", opt: by(inventory.OneCRLEntry{Issuer: root.RawSubject, Serial: ca.SerialNumber.Bytes()}), chain: ders(leaf, ca), stores: []*issued{root}, want: "revoked onecrl unspecified", above: "revoked", codes: "intermediate_revoked", paths: 1},
		{name: "OneCRL by key", opt: by(inventory.OneCRLEntry{Subject: ca.RawSubject, KeyHash: spki[:]}), chain: ders(leaf, ca, again), stores: []*issued{root, second}, want: "revoked onecrl unspecified", above: "revoked", codes: "intermediate_revoked", paths: 2},
		{name: "OneCRL by the serial number of another issuer", opt: by(inventory.OneCRLEntry{Issuer: second.RawSubject, Serial: ca.SerialNumber.Bytes()}), chain: ders(leaf, ca), stores: []*issued{root}, ev: lists(root.revokes(t)), want: "unknown no_pointer", above: "good", paths: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.opt.Stores, tt.opt.Revocation = []inventory.TrustStore{storeOf("test", false, tt.stores...)}, inventory.RevocationSoft
			got := tt.ev.judged(t, revocationJudge(t, tt.opt), factsOf(tt.chain))
			v := got.Verdict.Revocation
			if have := words(v.Status, v.Source, v.Reason); have != tt.want {
				t.Errorf("verdict = %q, want %q", have, tt.want)
			}
			if len(v.Intermediates) != 1 || v.Intermediates[0].Status != tt.above {
				t.Errorf("intermediates = %+v, want %q", v.Intermediates, tt.above)
			}
			if have := revocationCodes(got); have != tt.codes {
				t.Errorf("codes = %q, want %q: %v", have, tt.codes, got.Findings)
			}
			if n := len(got.Verdict.Trust.Stores[0].Paths); n != tt.paths {
				t.Errorf("%d paths, want %d", n, tt.paths)
			}
			if got.Verified() == (v.Status == inventory.RevocationRevoked) {
				t.Errorf("verified = %v", got.Verified())
			}
		})
	}
}

func TestStaples(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	leaf, must, another := ca.leaf(t), ca.leaf(t, mustStaple), ca.leaf(t)
	r := func(c *issued, s single) []byte {
		s.of, s.issuer = c, ca
		return response{by: ca, singles: []single{s}}.der(t)
	}
	old := single{this: now.Add(-5 * day), next: now.Add(-day)}
	aged := func(c *issued, status []byte) []byte {
		s := old
		s.of, s.issuer, s.status = c, ca, status
		return response{by: ca, produced: s.this, singles: []single{s}}.der(t)
	}
	tests := []struct {
		name   string
		leaf   *issued
		staple []byte
		facts  func(o *inventory.Observation)
		gone   time.Duration // since when nothing is served
		past   bool
		want   string
		says   string // one of the findings
		codes  string
	}{
		{name: "revoked, and then nobody answers", leaf: leaf, staple: r(leaf, single{status: ocspRevoked(now.Add(-6*day), -1)}), gone: day, want: "revoked staple unspecified", codes: "revoked unreachable"},
		{name: "revoked, and nobody has answered since it was in date", leaf: leaf, staple: aged(leaf, ocspRevoked(now.Add(-6*day), -1)), gone: 2 * day, want: "revoked staple unspecified", codes: "revoked unreachable"},
		{name: "on hold, and nobody has answered since it was in date", leaf: leaf, staple: aged(leaf, ocspRevoked(now.Add(-6*day), 6)), gone: 2 * day, want: "unknown no_pointer", codes: "unreachable"},
		{name: "in date when it was last served", leaf: must, staple: aged(must, nil), gone: 2 * day, want: "unknown no_pointer", codes: "unreachable"},
		{name: "out of date when it was last served", leaf: leaf, staple: r(leaf, old), gone: time.Hour, want: "unknown staple stale", codes: "revocation_unknown staple_stale unreachable"},
		{name: "of a time of which it is not kept", leaf: must, past: true, facts: func(o *inventory.Observation) { o.Capture = nil }, want: "unknown no_pointer"},
		{name: "none is normal", leaf: leaf, want: "unknown no_pointer"},
		{name: "good", leaf: must, staple: r(must, single{}), want: "good staple"},
		{name: "none, and it must be", leaf: must, want: "unknown no_pointer", codes: "must_staple_missing"},
		{name: "none in a census", leaf: must, facts: func(o *inventory.Observation) { o.Capture.Method = inventory.CaptureCensus }, want: "unknown no_pointer"},
		{name: "none in a handshake that broke off", leaf: must, facts: func(o *inventory.Observation) { o.Capture.HandshakeComplete = false }, want: "unknown no_pointer"},
		{name: "none in a file", leaf: must, facts: func(o *inventory.Observation) { o.Capture, o.TLS = nil, nil }, want: "unknown no_pointer"},
		{name: "for another certificate", leaf: leaf, staple: r(another, single{}), want: "unknown staple other_certificate", codes: "revocation_unknown staple_invalid"},
		{name: "not a response", leaf: leaf, staple: []byte{0x30, 1}, want: "unknown staple malformed", codes: "revocation_unknown staple_invalid"},
		{name: "an error", leaf: leaf, staple: response{status: 3}.der(t), want: "unknown staple try_later", codes: "revocation_unknown staple_invalid"},
		{name: "out of date", leaf: leaf, staple: r(leaf, old), want: "unknown staple stale", codes: "revocation_unknown staple_stale"},
		{
			name: "of the future", leaf: leaf, staple: r(leaf, single{this: now.Add(day), next: now.Add(2 * day)}),
			want: "unknown staple not_yet_valid", codes: "revocation_unknown staple_stale", says: "the clock of the responder",
		},
		{name: "out of date, and it must be there", leaf: must, staple: r(must, old), want: "unknown staple stale", codes: "revocation_unknown staple_stale!"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := factsOf(ders(tt.leaf, ca))
			f.Observation.Staple, f.Observation.TLS.Stapled = tt.staple, tt.staple != nil
			if tt.facts != nil {
				tt.facts(&f.Observation)
			}
			if o := &f.Observation; tt.gone > 0 {
				f.LastChain, f.LastStaple, f.LastSeen = o.Chain, o.Staple, now.Add(-tt.gone)
				o.Chain, o.Staple, o.TLS, o.Capture, o.Reach.Status = nil, nil, nil, nil, inventory.ReachRefused
			}
			f.Past = tt.past
			got, _ := softJudge(t, storeOf("test", false, root)).Judge(f, nil, now)
			v := got.Verdict.Revocation
			if have := words(v.Status, v.Source, v.Reason); have != tt.want {
				t.Errorf("verdict = %q, want %q", have, tt.want)
			}
			if have := revocationCodes(got); have != tt.codes {
				t.Errorf("codes = %q, want %q: %v", have, tt.codes, got.Findings)
			}
			if !slices.ContainsFunc(got.Findings, func(f inventory.Finding) bool { return strings.Contains(f.Message, tt.says) }) && tt.says != "" {
				t.Errorf("no finding says %q: %+v", tt.says, got.Findings)
			}
			if told := slices.ContainsFunc(v.Answers, func(a inventory.RevocationAnswer) bool { return a.Reason == "not_kept" }); told != tt.past {
				t.Errorf("answers %+v; want it said that the staple is not kept: %v", v.Answers, tt.past)
			}
		})
	}
}

// A memory knows certificates that were once revoked.
type memory map[inventory.Fingerprint]inventory.RevocationAnswer

func (m memory) Revoked(cert inventory.Fingerprint) (inventory.RevocationAnswer, bool) {
	a, ok := m[cert]
	return a, ok
}

// What was once revoked stays so, also where the lists of now say otherwise; but
// not before it was, and it is no staple of now.
func TestWhatWasRevokedStaysSo(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	leaf := ca.leaf(t, mustStaple)
	said := inventory.RevocationAnswer{
		Source: inventory.SourceStaple, Status: inventory.RevocationRevoked, Reason: "keyCompromise", RevokedAt: now.Add(-2 * day), ThisUpdate: now.Add(-day),
	}
	j, err := verify.New(verify.Options{
		Stores: []inventory.TrustStore{storeOf("test", false, root)}, Revocation: inventory.RevocationSoft,
		Revoked: memory{inventory.FingerprintOf(leaf.Raw): said},
	})
	if err != nil {
		t.Fatal(err)
	}
	f := factsOf(ders(leaf, ca))
	f.Given.CRLs = []*inventory.CRL{ca.revokes(t)}
	got, _ := j.Judge(f, nil, now)
	v := got.Verdict.Revocation
	if have, want := words(v.Status, v.Source, v.Reason), "revoked staple keyCompromise"; have != want || len(v.Answers) != 2 {
		t.Errorf("%q by %+v, want %q", have, v.Answers, want)
	}
	if have, want := revocationCodes(got), "must_staple_missing revoked"; have != want {
		t.Errorf("codes = %q, want %q", have, want)
	}
	before, _ := j.Judge(f, nil, now.Add(-3*day))
	if v := before.Verdict.Revocation; v.Status == inventory.RevocationRevoked {
		t.Errorf("before it was revoked: %+v", v)
	}
}

// What is not trusted can be revoked all the same.
func TestRevocationWithoutTrust(t *testing.T) {
	t.Parallel()
	stranger, trusted := newRoot(t, "Stranger"), newRoot(t, "Trusted")
	leaf := stranger.leaf(t)
	j := softJudge(t, storeOf("test", false, trusted))
	f := factsOf(ders(leaf))
	f.Given.CRLs = []*inventory.CRL{stranger.revokes(t, leaf)}
	got, _ := j.Judge(f, nil, now)
	if v := got.Verdict.Revocation; v.Status != "unknown" {
		t.Errorf("without its issuer: %q", v.Status)
	}
	f.Given.Issuers = ders(newRoot(t, "Stranger"), stranger)
	got, _ = j.Judge(f, nil, now)
	if v := got.Verdict.Revocation; v.Status != "revoked" || got.Verdict.Trust.Status == inventory.Trusted {
		t.Errorf("with its issuer: %q, trust %q", v.Status, got.Verdict.Trust.Status)
	}
}

// What a self-signed certificate says of itself is not worth a question.
func TestRevocationOfSelfSigned(t *testing.T) {
	t.Parallel()
	own := sign(t, func() *x509.Certificate { c := leafTemplate(t); asksCRL(c); return c }(), nil, newKey(t))
	for anchor, want := range map[*issued]string{own: "trust_anchor", newRoot(t, "Root"): "self_signed"} {
		got, needs := softJudge(t, storeOf("test", false, anchor)).Judge(factsOf(ders(own)), nil, now)
		if v := got.Verdict.Revocation; v.Status != "not_applicable" || v.Reason != want || len(needs) > 0 {
			t.Errorf("%s %s, needs %v; want %s", v.Status, v.Reason, needs, want)
		}
	}
}

// A list is signed by the issuer's other key, and somebody vouches for it.
func TestRevocationAfterRollover(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	old, renewed := root.ca(t, "CA"), root.ca(t, "CA")
	leaf := old.leaf(t)
	forged := newRoot(t, "CA")
	oldByNew := func() *issued {
		c := caTemplate(t, "CA")
		return sign(t, c, renewed, newKey(t))
	}()
	tests := []struct {
		name  string
		list  *inventory.CRL
		given []*issued
		want  string
	}{
		{"by the same key", old.revokes(t), nil, "good"},
		{"by a key that is not at hand", renewed.revokes(t, leaf), nil, "unknown"},
		{"by a key that the same root vouches for", renewed.revokes(t), []*issued{renewed}, "good"},
		{"by a key that the same root vouches for, revoked", renewed.revokes(t, leaf), []*issued{renewed}, "revoked"},
		{"by a key of the same name that nobody vouches for", forged.revokes(t), []*issued{forged}, "unknown"},
		{"by a key that only the other key vouches for", oldByNew.revokes(t), []*issued{oldByNew}, "unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := factsOf(ders(leaf, old))
			f.Given = inventory.Given{CRLs: []*inventory.CRL{tt.list}, Issuers: ders(tt.given...)}
			got, _ := softJudge(t, storeOf("test", false, root)).Judge(f, nil, now)
			if v := got.Verdict.Revocation; v.Status != tt.want {
				t.Errorf("status = %q (%s: %s), want %q", v.Status, v.Reason, v.Detail, tt.want)
			}
		})
	}
}

func TestPublicCertificatesWithoutPointers(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	j := softJudge(t, storeOf("mozilla", true, root))
	has := func(c *issued) bool {
		got, _ := j.Judge(factsOf(ders(c)), nil, now)
		return slices.Contains(codes(got.Findings), "profile/revocation_pointer")
	}
	short := func(c *x509.Certificate) { c.NotBefore = now.Add(-day); c.NotAfter = c.NotBefore.Add(6 * day) }
	if !has(root.leaf(t)) || has(root.leaf(t, asksCRL)) || has(root.leaf(t, asksOCSP)) || has(root.leaf(t, short)) {
		t.Errorf("found %v, %v, %v, %v; want it for the first alone", has(root.leaf(t)), has(root.leaf(t, asksCRL)), has(root.leaf(t, asksOCSP)), has(root.leaf(t, short)))
	}
}

func TestOCSPNeed(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	leaf := root.leaf(t, asksOCSP)
	_, needs := softJudge(t, storeOf("test", false, root)).Judge(factsOf(ders(leaf)), nil, now)
	if len(needs) != 1 || needs[0].Kind != inventory.NeedOCSP || needs[0].URL != ocspURL {
		t.Fatalf("needs = %+v", needs)
	}
	der, err := base64.StdEncoding.DecodeString(needs[0].Request)
	if err != nil {
		t.Fatal(err)
	}
	id := single{of: leaf, issuer: root}.der(t)
	certID := id[2 : 2+2+int(id[3])] // the first element in it
	if diff := cmp.Diff(tlv(0x30, tlv(0x30, tlv(0x30, tlv(0x30, certID)))), der); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestRevocationChangesWithTime(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	leaf := root.leaf(t)
	j := softJudge(t, storeOf("test", false, root))
	f := factsOf(ders(leaf))
	next := now.Add(26 * time.Hour)
	f.Observation.Staple = response{by: root, singles: []single{{of: leaf, issuer: root, next: next}}}.der(t)
	got, _ := j.Judge(f, nil, now)
	if got.ValidUntil.After(next.Add(time.Second)) || got.ValidUntil.Before(next) {
		t.Fatalf("valid until %v, want %v", got.ValidUntil, next)
	}
	then, _ := j.Judge(f, nil, got.ValidUntil)
	if v := then.Verdict.Revocation; v.Status != "unknown" || v.Reason != "stale" {
		t.Errorf("then: %s %s", v.Status, v.Reason)
	}
}

// BenchmarkJudgeRevocation is what an endpoint costs whose CRL many share, once
// everything is there. Without is the same without asking.
func BenchmarkJudgeRevocation(b *testing.B) {
	root := newRoot(b, "Root")
	ca := root.ca(b, "CA", asksCRL)
	list, above := ca.revokes(b), root.revokes(b)
	var facts []inventory.Facts
	for range 200 {
		facts = append(facts, factsOf(ders(ca.leaf(b, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://crl.example/leaf.crl"} }), ca)))
	}
	ev := make(inventory.EvidenceSet)
	for url, l := range map[string]*inventory.CRL{crlURL: above, "http://crl.example/leaf.crl": list} {
		need := inventory.Need{Kind: inventory.NeedCRL, URL: url}
		ev[need] = inventory.Evidence{Need: need, CRL: l}
	}
	for name, mode := range map[string]inventory.RevocationMode{"with": inventory.RevocationSoft, "without": inventory.RevocationOff} {
		b.Run(name, func(b *testing.B) {
			j := revocationJudge(b, verify.Options{Stores: []inventory.TrustStore{storeOf("test", false, root)}, Revocation: mode})
			for i := range facts {
				if got, needs := j.Judge(facts[i], ev, now); len(needs) > 0 || mode == inventory.RevocationSoft && got.Verdict.Revocation.Status != "good" {
					b.Fatal(needs, got.Verdict.Revocation)
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				j.Judge(facts[i%len(facts)], ev, now)
			}
		})
	}
}
