package verify_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// ctJudge judges with the list, or without one.
func ctJudge(tb testing.TB, public bool, list *inventory.LogList, root *issued) *verify.Judge {
	tb.Helper()
	j, err := verify.New(verify.Options{Stores: []inventory.TrustStore{storeOf("test", public, root)}, Logs: list})
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

// ctCodes are the codes about transparency.
func ctCodes(findings []inventory.Finding) []string {
	return slices.DeleteFunc(codes(findings), func(c string) bool { return !strings.HasPrefix(c, "sct_") })
}

// statuses of the SCTs, in order; those that are valid and do not count end in
// a minus.
func statuses(v inventory.CTVerdict) (all []string) {
	for _, s := range v.SCTs {
		if s.Status == "valid" && s.Detail != "" {
			s.Status += "-"
		}
		all = append(all, s.Source+" "+s.Status)
	}
	return all
}

func longLeaf(t *x509.Certificate) { t.NotAfter = t.NotBefore.Add(180*day + time.Second) }

func TestEmbeddedSCTs(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	var (
		a, b, c   = newLog(t, "A"), newLog(t, "B"), newLog(t, "C")
		a2        = newLog(t, "A")
		byRSA     = logWith(t, rsaKey, "R")
		qualified = newLog(t, "Q", inState(inventory.LogQualified, -day))
		readOnly  = newLog(t, "RO", inState(inventory.LogReadOnly, -day))
		pending   = newLog(t, "P", inState(inventory.LogPending, -day))
		rejected  = newLog(t, "X", inState(inventory.LogRejected, -day))
		retired   = newLog(t, "T", inState(inventory.LogRetired, -5*day))
		retired2  = newLog(t, "T2", inState(inventory.LogRetired, -5*day))
		ending    = newLog(t, "E", inState(inventory.LogRetired, 5*day))
		sold      = newLog(t, "A", func(l *inventory.Log) {
			l.Operators = []inventory.LogOperator{{Name: "Zero", Until: now.Add(-400 * day)}, {Name: "B", Until: now.Add(-5 * day)}}
		})
		shard = newLog(t, "S", func(l *inventory.Log) { l.AcceptsFrom, l.AcceptsTo = now.Add(-100*day), now.Add(80*day) })
		next  = newLog(t, "S", func(l *inventory.Log) { l.AcceptsFrom, l.AcceptsTo = now.Add(80*day), now.Add(180*day) })
		tiled = newLog(t, "T", func(l *inventory.Log) { l.Tiled = true })
		alien = newLog(t, "Alien")
		list  = logList(a, b, c, a2, byRSA, qualified, readOnly, pending, rejected, retired, retired2, ending, sold, shard, next, tiled)
	)
	of := func(logs ...*ctLog) (specs []sctSpec) {
		for _, l := range logs {
			specs = append(specs, sctSpec{log: l})
		}
		return specs
	}
	leafIndex := []byte{0, 0, 5, 0, 0, 0, 1, 2}
	flip := func(raw []byte) []byte { raw[len(raw)-1] ^= 1; return raw }
	for _, tt := range []struct {
		name    string
		specs   []sctSpec
		changes []change
		want    string
		scts    string // statuses where they are not all valid
	}{
		{name: "two logs of two operators", specs: of(a, b), want: "compliant"},
		{name: "a log with an RSA key", specs: of(byRSA, b), want: "compliant"},
		{name: "a qualified and a read-only log", specs: of(qualified, readOnly), want: "compliant"},
		{name: "none", want: "missing"},
		{name: "one", specs: of(a), want: "insufficient"},
		{name: "two logs of one operator", specs: of(a, a2), want: "insufficient"},
		{name: "one log twice", specs: []sctSpec{{log: a}, {log: a, at: now.Add(-9 * day)}}, want: "insufficient"},
		{name: "180 days to the second need two", specs: of(a, b), changes: []change{func(t *x509.Certificate) { t.NotAfter = t.NotBefore.Add(180 * day) }}, want: "compliant"},
		{name: "more than 180 days need three", specs: of(a, b), changes: []change{longLeaf}, want: "insufficient"},
		{name: "three logs of two operators", specs: of(a, a2, b), changes: []change{longLeaf}, want: "compliant"},
		{name: "three logs of one operator", specs: of(a, a2, newLogIn(t, list, "A")), changes: []change{longLeaf}, want: "insufficient"},

		{name: "pending logs do not count", specs: of(a, pending), want: "insufficient", scts: "certificate valid,certificate valid-"},
		{name: "rejected logs do not count", specs: of(a, rejected), want: "insufficient", scts: "certificate valid,certificate valid-"},
		{name: "a log that was retired later counts", specs: of(a, retired), want: "compliant"},
		{name: "but not what it signed after that", specs: []sctSpec{{log: a}, {log: retired, at: now.Add(-4 * day)}}, want: "insufficient", scts: "certificate valid,certificate valid-"},
		{name: "one log has to be there still", specs: of(retired, retired2), want: "insufficient"},
		{name: "a log that is to be retired is there still", specs: of(retired, ending), want: "compliant"},

		{name: "the operator is the one of the time", specs: of(sold, b), want: "insufficient"},
		{name: "and not the one of now", specs: of(sold, a), want: "compliant"},
		{name: "a shard for other years does not count", specs: of(a, next), want: "compliant"}, // its interval begins with the very day
		{name: "the end of an interval is outside", specs: of(a, shard), want: "insufficient", scts: "certificate valid,certificate valid-"},
		{name: "a tiled log has to say where", specs: of(a, tiled), want: "insufficient", scts: "certificate valid,certificate valid-"},
		{name: "a tiled log that says where", specs: []sctSpec{{log: a}, {log: tiled, extensions: leafIndex}}, want: "compliant"},
		{name: "extensions are signed", specs: []sctSpec{{log: a}, {log: b, extensions: []byte{9, 0, 1, 7}}}, want: "compliant"},

		{name: "a wrong signature", specs: []sctSpec{{log: a}, {log: b, change: flip}}, want: "invalid", scts: "certificate valid,certificate invalid"},
		{name: "a wrong signature beside enough right ones", specs: []sctSpec{{log: a}, {log: b}, {log: c, change: flip}}, want: "invalid", scts: "certificate valid,certificate valid,certificate invalid"},
		{name: "another hash", specs: []sctSpec{{log: a}, {log: b, change: func(raw []byte) []byte { raw[1+32+8+2] = 5; return raw }}}, want: "invalid", scts: "certificate valid,certificate invalid"},
		{name: "another algorithm", specs: []sctSpec{{log: a}, {log: b, change: func(raw []byte) []byte { raw[1+32+8+3] = 1; return raw }}}, want: "invalid", scts: "certificate valid,certificate invalid"},
		{name: "another time than was signed", specs: []sctSpec{{log: a}, {log: b, change: func(raw []byte) []byte { raw[1+32+7] ^= 1; return raw }}}, want: "invalid", scts: "certificate valid,certificate invalid"},
		{name: "a time to come", specs: []sctSpec{{log: a}, {log: b, at: now.Add(time.Minute)}}, want: "invalid", scts: "certificate valid,certificate invalid"},

		{name: "an unknown log", specs: of(a, alien), want: "unverifiable", scts: "certificate valid,certificate unknown_log"},
		{name: "an unknown log beside enough known ones", specs: of(a, alien, b), want: "compliant", scts: "certificate valid,certificate unknown_log,certificate valid"},
		{name: "a wrong signature of an unknown log", specs: []sctSpec{{log: a}, {log: alien, change: flip}}, want: "unverifiable", scts: "certificate valid,certificate unknown_log"},
		{name: "a version to come", specs: []sctSpec{{log: a}, {log: b, change: func(raw []byte) []byte { raw[0] = 1; return raw }}}, want: "unverifiable", scts: "certificate valid,certificate unverifiable"},
		{name: "a short one", specs: []sctSpec{{log: a}, {log: b, change: func(raw []byte) []byte { return raw[:len(raw)-1] }}}, want: "insufficient", scts: "certificate valid,certificate malformed"},
		{name: "a long one", specs: []sctSpec{{log: a}, {log: b, change: func(raw []byte) []byte { return append(raw, 0) }}}, want: "insufficient", scts: "certificate valid,certificate malformed"},
		{name: "a time beyond all calendars", specs: []sctSpec{{log: a}, {log: b, change: func(raw []byte) []byte { raw[33] = 0xff; return raw }}}, want: "insufficient", scts: "certificate valid,certificate malformed"},
		{name: "a list that is none", changes: []change{extension(false, []byte{4, 2, 0, 9}, 1, 3, 6, 1, 4, 1, 11129, 2, 4, 2)}, want: "insufficient", scts: "certificate malformed"},
		{name: "an empty list", changes: []change{extension(false, []byte{4, 2, 0, 0}, 1, 3, 6, 1, 4, 1, 11129, 2, 4, 2)}, want: "insufficient", scts: "certificate malformed"},

		{name: "issued before the rule", changes: []change{func(t *x509.Certificate) {
			t.NotBefore = time.Date(2018, 4, 30, 23, 59, 59, 0, time.UTC)
		}}, want: "not_applicable"},
		{name: "issued on its first day", changes: []change{func(t *x509.Certificate) {
			t.NotBefore = time.Date(2018, 5, 1, 0, 0, 0, 0, time.UTC)
		}}, want: "missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			leaf := ca.logged(t, tt.specs, tt.changes...)
			got, _ := ctJudge(t, true, list, root).Judge(factsOf(ders(leaf, ca)), nil, now)
			var wantCodes []string
			if slices.Contains([]string{"missing", "insufficient", "invalid"}, tt.want) {
				wantCodes = []string{"sct_" + tt.want}
			}
			v := got.Verdict.CT
			if diff := cmp.Diff(wantCodes, slices.Clip(ctCodes(got.Findings)), cmpEmpty); v.Status != tt.want || diff != "" {
				t.Errorf("status %s (%s), want %s; findings (-want +got):\n%s", v.Status, v.Detail, tt.want, diff)
			}
			if tt.scts == "" {
				tt.scts = strings.TrimSuffix(strings.Repeat("certificate valid,", len(tt.specs)), ",")
			}
			if got := strings.Join(statuses(v), ","); got != tt.scts {
				t.Errorf("SCTs %s, want %s: %+v", got, tt.scts, v.SCTs)
			}
		})
	}
}

var cmpEmpty = cmp.Transformer("empty", func(s []string) string { return strings.Join(s, ",") })

// newLogIn is one more log of the operator in the list.
func newLogIn(tb testing.TB, list *inventory.LogList, operator string) *ctLog {
	tb.Helper()
	l := newLog(tb, operator)
	list.Logs[l.ID] = l.Log
	return l
}

func TestSCTsBesideTheCertificate(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	a, b, a2 := newLog(t, "A"), newLog(t, "B"), newLog(t, "A")
	retired := newLog(t, "T", inState(inventory.LogRetired, -5*day))
	list := logList(a, b, a2, retired)
	leaf, embedding := root.logged(t, nil), root.logged(t, []sctSpec{{log: a}})
	entry := x509Entry(leaf.Raw)
	scts := func(logs ...*ctLog) (all [][]byte) {
		for _, l := range logs {
			all = append(all, sctSpec{log: l}.sct(t, entry))
		}
		return all
	}
	staple := func(leaf *issued, list ...[]byte) []byte {
		return stapleWith(t, leaf.SerialNumber, sctList(t, list...))
	}
	for _, tt := range []struct {
		name   string
		leaf   *issued
		tls    [][]byte
		staple []byte
		want   string
		scts   string
	}{
		{"two by TLS extension", leaf, scts(a, b), nil, "compliant", "tls valid,tls valid"},
		{"two by staple", leaf, nil, staple(leaf, scts(a, b)...), "compliant", "ocsp valid,ocsp valid"},
		{"one of each", leaf, scts(a), staple(leaf, scts(b)...), "compliant", "tls valid,ocsp valid"},
		{"two of one operator", leaf, scts(a, a2), nil, "insufficient", "tls valid,tls valid"},
		{"one", leaf, scts(a), nil, "insufficient", "tls valid"},
		{"a retired log does not count there", leaf, scts(a, retired), nil, "insufficient", "tls valid,tls valid-"},
		{
			"for another certificate", leaf,
			[][]byte{scts(a)[0], sctSpec{log: b}.sct(t, x509Entry(embedding.Raw))},
			nil,
			"invalid", "tls valid,tls invalid",
		},
		{
			"for the precertificate", leaf,
			[][]byte{scts(a)[0], sctSpec{log: b}.sct(t, precertEntry(leaf.RawTBSCertificate, root))},
			nil,
			"invalid", "tls valid,tls invalid",
		},
		{
			"inside and beside are counted apart", embedding,
			[][]byte{sctSpec{log: b}.sct(t, x509Entry(embedding.Raw))},
			nil,
			"insufficient", "certificate valid,tls valid",
		},
		{"a staple for another certificate", leaf, nil, staple(embedding, scts(a, b)...), "missing", ""},
		{"a staple with a broken list", leaf, nil, stapleWith(t, leaf.SerialNumber, []byte{4, 1, 7}), "insufficient", "ocsp malformed"},
		{"a staple that is none", leaf, nil, []byte("stale"), "missing", ""},
		{"an empty one", leaf, [][]byte{{}}, nil, "insufficient", "tls malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := factsOf(ders(tt.leaf))
			f.Observation.SCTs, f.Observation.Staple = tt.tls, tt.staple
			got, _ := ctJudge(t, true, list, root).Judge(f, nil, now)
			if v := got.Verdict.CT; v.Status != tt.want || strings.Join(statuses(v), ",") != tt.scts {
				t.Errorf("status %s (%s) of %v, want %s of %s", v.Status, v.Detail, statuses(v), tt.want, tt.scts)
			}
		})
	}
}

func TestWhatCannotBeKnownAboutSCTs(t *testing.T) {
	t.Parallel()
	root, other := newRoot(t, "Root"), newRoot(t, "Other")
	ca := root.ca(t, "CA")
	a, b := newLog(t, "A"), newLog(t, "B")
	good, bare := ca.logged(t, []sctSpec{{log: a}, {log: b}}), ca.logged(t, nil)
	list := logList(a, b)
	stale, undated, empty := logList(a, b), logList(a, b), logList()
	stale.Date, undated.Date = now.Add(-70*day-time.Second), time.Time{}
	last := stale.Date.Add(2 * time.Second)
	fresh := logList(a, b)
	fresh.Date = last
	wrong := ca.logged(t, []sctSpec{{log: a}, {log: b, change: func(raw []byte) []byte { raw[len(raw)-1] ^= 1; return raw }}})
	for _, tt := range []struct {
		name   string
		public bool
		list   *inventory.LogList
		facts  inventory.Facts
		want   string
		detail string
		scts   int
	}{
		{"no list", true, nil, factsOf(ders(good, ca)), "unverifiable", "--ct-log-list", 2},
		{"no list and no SCT", true, nil, factsOf(ders(bare, ca)), "missing", "none in the certificate", 0},
		{"an empty list", true, empty, factsOf(ders(good, ca)), "unverifiable", "2 more cannot be verified", 2},
		{"a list of 70 days", true, fresh, factsOf(ders(good, ca)), "compliant", "", 2},
		{"a list older than that", true, stale, factsOf(ders(good, ca)), "unverifiable", "too old", 2},
		{"a signature is as wrong by an old list", true, stale, factsOf(ders(wrong, ca)), "invalid", "no signature of the log", 2},
		{"a list without a date", true, undated, factsOf(ders(good, ca)), "compliant", "", 2},
		{"a private root", false, list, factsOf(ders(bare, ca)), "not_applicable", "public root", 0},
		{"SCTs under a private root", false, list, factsOf(ders(good, ca)), "not_applicable", "public root", 2},
		{"under a private root without a list", false, nil, factsOf(ders(good, ca)), "not_applicable", "public root", 0},
		{"no issuer", true, list, factsOf(ders(good)), "not_applicable", "public root", 2},
		{"a chain that was seen earlier", true, list, earlier(factsOf(ders(bare, ca))), "unverifiable", "not kept", 0},
		{"SCTs in a chain that was seen earlier", true, list, earlier(factsOf(ders(good, ca))), "compliant", "", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, _ := ctJudge(t, tt.public, tt.list, root).Judge(tt.facts, nil, now)
			v := got.Verdict.CT
			if v.Status != tt.want || !strings.Contains(v.Detail, tt.detail) || tt.detail == "" && v.Detail != "" || len(v.SCTs) != tt.scts {
				t.Errorf("%+v, want %s, %q and %d SCTs", v, tt.want, tt.detail, tt.scts)
			}
			if want := slices.Contains([]string{"missing", "invalid"}, tt.want); want != (len(ctCodes(got.Findings)) > 0) {
				t.Errorf("findings %v", ctCodes(got.Findings))
			}
		})
	}
	t.Run("the issuer's key is part of it", func(t *testing.T) {
		t.Parallel()
		twin := other.ca(t, "CA")
		moved := sign(t, withSCTs(t, good), twin, good.key)
		got, _ := ctJudge(t, true, list, other).Judge(factsOf(ders(moved, twin)), nil, now)
		if got.Verdict.CT.Status != "invalid" {
			t.Errorf("%+v", got.Verdict.CT)
		}
	})
	t.Run("a precertificate has none yet", func(t *testing.T) {
		t.Parallel()
		pre := ca.logged(t, nil, extension(true, []byte{5, 0}, 1, 3, 6, 1, 4, 1, 11129, 2, 4, 3))
		got, _ := ctJudge(t, true, list, root).Judge(factsOf(ders(pre, ca)), nil, now)
		found := codes(got.Findings)
		if !slices.Contains(found, "precertificate_served") || len(ctCodes(got.Findings)) > 0 || got.Verdict.CT.Status != "missing" {
			t.Errorf("%s, findings %v", got.Verdict.CT.Status, found)
		}
	})
}

// earlier is what is known when the endpoint no longer answers.
func earlier(f inventory.Facts) inventory.Facts {
	f.LastChain, f.LastSeen = f.Observation.Chain, now.Add(-day)
	f.Observation.Chain, f.Observation.Capture, f.Observation.TLS = nil, nil, nil
	f.Observation.Reach.Status = inventory.ReachTimeout
	return f
}

// withSCTs is a template for the same certificate with the same SCTs.
func withSCTs(tb testing.TB, c *issued) *x509.Certificate {
	tb.Helper()
	t := leafTemplate(tb)
	t.ExtraExtensions = nil
	t.SerialNumber, t.AuthorityKeyId = c.SerialNumber, c.AuthorityKeyId
	for _, e := range c.Extensions {
		if e.Id.String() == "1.3.6.1.4.1.11129.2.4.2" {
			t.ExtraExtensions = append(t.ExtraExtensions, e)
		}
	}
	return t
}

// What a later judgement differs in is known beforehand.
func TestTransparencyChangesWithTime(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	a, ending := newLog(t, "A"), newLog(t, "E", inState(inventory.LogRetired, 3*day))
	leaf := root.logged(t, []sctSpec{{log: a, at: now.Add(time.Hour)}, {log: ending}}, expires(170*day))
	list := logList(a, ending)
	list.Date = now.Add(-60 * day)
	j := ctJudge(t, true, list, root)
	at, seen := now, []string{}
	for range 4 {
		got, _ := j.Judge(factsOf(ders(leaf)), nil, at)
		seen = append(seen, fmt.Sprintf("%s %s", at.Sub(now), got.Verdict.CT.Status))
		at = got.ValidUntil
	}
	want := []string{"0s invalid", "1h0m0s compliant", "72h0m0s compliant", "240h0m1s unverifiable"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("judgements (-want +got):\n%s", diff)
	}
}

// The worse of two servers behind an address speaks.
func TestTransparencyOfAlternates(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	a, b := newLog(t, "A"), newLog(t, "B")
	good, poor := root.logged(t, []sctSpec{{log: a}, {log: b}}), root.logged(t, []sctSpec{{log: a}})
	f := factsOf(ders(good))
	f.Observation.Alternates = [][][]byte{ders(poor)}
	got, _ := ctJudge(t, true, logList(a, b), root).Judge(f, nil, now)
	if got.Verdict.CT.Status != "unverifiable" { // it may have had more in its handshake
		t.Errorf("%+v", got.Verdict.CT)
	}
}

// Signatures are checked once. Not parallel: it counts allocations.
func TestSCTsAreRemembered(t *testing.T) { //nolint:paralleltest // see above
	root := newRoot(t, "Root")
	a, b := newLog(t, "A"), newLog(t, "B")
	leaf := root.logged(t, []sctSpec{{log: a}, {log: b}})
	j, f := ctJudge(t, true, logList(a, b), root), factsOf(ders(leaf))
	first, _ := j.Judge(f, nil, now)
	allocs := testing.AllocsPerRun(20, func() { j.Judge(f, nil, now) })
	second, _ := j.Judge(f, nil, now)
	if diff := cmp.Diff(first.Verdict.CT, second.Verdict.CT); diff != "" {
		t.Errorf("verdict (-first +second):\n%s", diff)
	}
	if allocs > 60 { // an ECDSA signature alone would take some 30 more
		t.Errorf("%.0f allocations to judge again", allocs)
	}
}

func BenchmarkJudgeCT(b *testing.B) {
	root := newRoot(b, "Root")
	a, c := newLog(b, "A"), newLog(b, "B")
	var facts []inventory.Facts
	for range 64 {
		facts = append(facts, factsOf(ders(root.logged(b, []sctSpec{{log: a}, {log: c}}))))
	}
	for _, bb := range []struct {
		name string
		list *inventory.LogList
	}{{"without list", nil}, {"with list", logList(a, c)}} {
		b.Run(bb.name, func(b *testing.B) {
			j := ctJudge(b, true, bb.list, root)
			for _, f := range facts {
				j.Judge(f, nil, now)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				j.Judge(facts[i%len(facts)], nil, now)
			}
		})
	}
}

// FuzzSCTs gives hostile bytes to the readers of all three sources.
func FuzzSCTs(f *testing.F) {
	root := newRoot(f, "Root")
	a, b := newLog(f, "A"), newLog(f, "B")
	leaf := root.logged(f, []sctSpec{{log: a}, {log: b}})
	bare := root.logged(f, nil)
	sct := sctSpec{log: a}.sct(f, x509Entry(leaf.Raw))
	f.Add(leaf.Raw, sct, stapleWith(f, leaf.SerialNumber, sctList(f, sct)))
	f.Add(bare.Raw, []byte{}, []byte{0x30, 0x80})
	j := ctJudge(f, true, logList(a, b), root)
	f.Fuzz(func(t *testing.T, der, sct, staple []byte) {
		facts := factsOf([][]byte{der})
		facts.Observation.Capture.Method = inventory.CaptureTranscript
		facts.Observation.SCTs, facts.Observation.Staple = [][]byte{sct}, staple
		got, _ := j.Judge(facts, nil, now)
		if s := got.Verdict.CT.Status; s == "" || s == "compliant" && !bytes.Equal(der, leaf.Raw) && !bytes.Equal(der, bare.Raw) {
			t.Errorf("status %q for something that no log has signed", s)
		}
	})
}
