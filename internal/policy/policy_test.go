package policy_test

import (
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/policy"
)

const day = 24 * time.Hour

func at() time.Time { return time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC) }

func selector(t *testing.T, s string) inventory.Selector {
	t.Helper()
	sel, err := inventory.ParseSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return sel
}

func print(b byte) inventory.Fingerprint { return inventory.FingerprintOf([]byte{b}) }

// A view that meets every requirement.
func sample() (inventory.Facts, inventory.Judgement) {
	yes := true
	leaf := inventory.Certificate{
		SHA256: print(1), SPKI: print(11), Key: "ECDSA P-256", Names: []string{"shop.example.com"}, Subject: "CN=shop", SubjectCN: "shop",
		Issuer: "CN=R1,O=Good CA", IssuerCN: "R1", IssuerOrg: "Good CA", IssuerKey: print(12),
		NotBefore: at().Add(-30 * day), NotAfter: at().Add(60 * day),
	}
	intermediate := inventory.Certificate{
		SHA256: print(2), SPKI: print(12), Subject: leaf.Issuer, SubjectCN: "R1", Issuer: "CN=Root X,O=Good Root", IssuerCN: "Root X", IssuerOrg: "Good Root",
	}
	root := inventory.Certificate{
		SHA256: print(3), SPKI: print(13), Subject: intermediate.Issuer, SubjectCN: "Root X", Issuer: intermediate.Issuer,
		IssuerCN: "Root X", IssuerOrg: "Good Root", SelfIssued: true,
	}
	f := inventory.Facts{
		Target: inventory.Target{
			Host: "shop.example.com", Port: 443, Protocol: inventory.TLS, Labels: map[string]string{"owner": "team-web", "environment": "prod"},
		},
		Observation: inventory.Observation{
			Target: "shop.example.com:443", Address: "192.0.2.7", Location: "local", Offer: inventory.OfferDefault, Chain: [][]byte{{1}, {2}},
			Reach:   inventory.Reach{Status: inventory.ReachOK},
			Capture: &inventory.Capture{Method: inventory.CaptureHandshake},
			TLS: &inventory.TLSFacts{
				Version: "TLS 1.3", CipherSuite: "TLS_AES_128_GCM_SHA256", PostQuantum: &yes, Accepts: []string{"TLS 1.2"},
			},
		},
	}
	return f, inventory.Judgement{
		Certificate: &leaf, Chain: []inventory.Certificate{intermediate}, Issuers: [][]*inventory.Certificate{{&intermediate, &root}},
		Expiry: &inventory.Expiry{At: leaf.NotAfter},
		Verdict: &inventory.Verdict{
			Trust:      inventory.TrustVerdict{Status: inventory.Trusted, Stores: []inventory.StoreVerdict{{Paths: [][]inventory.Fingerprint{{print(1), print(9), print(8)}}}}},
			Revocation: inventory.RevocationVerdict{Status: inventory.RevocationGood}, CT: inventory.CTVerdict{Status: inventory.CTCompliant},
		},
	}
}

func TestRequirements(t *testing.T) {
	t.Parallel()
	type change func(*inventory.Facts, *inventory.Judgement)
	issuers := func(list ...inventory.IssuerPattern) inventory.Requirements {
		return inventory.Requirements{Issuers: list}
	}
	forbidden := func(list ...inventory.IssuerPattern) inventory.Requirements {
		return inventory.Requirements{ForbiddenIssuers: list}
	}
	keys := inventory.Requirements{Keys: []inventory.KeyPattern{{Kind: "ECDSA", Param: "P-256"}, {Kind: "RSA", Least: 3072}}}
	key := func(k string) change {
		return func(_ *inventory.Facts, j *inventory.Judgement) { j.Certificate.Key = k }
	}
	names := func(n ...string) change {
		return func(_ *inventory.Facts, j *inventory.Judgement) { j.Certificate.Names = n }
	}
	untrusted := func(_ *inventory.Facts, j *inventory.Judgement) {
		j.Issuers = [][]*inventory.Certificate{nil}
		j.Verdict.Trust = inventory.TrustVerdict{Status: inventory.TrustUnknownIssuer}
	}
	for _, tt := range []struct {
		name    string
		require inventory.Requirements
		change  change
		want    string // in the message; "" is met
	}{
		{"the issuer's organization is allowed", issuers(inventory.IssuerPattern{Organization: "Good CA"}), nil, ""},
		{"the root's key is allowed", issuers(inventory.IssuerPattern{SPKI: print(13)}), nil, ""},
		{"the root's name is allowed by a pattern", issuers(inventory.IssuerPattern{CN: "Root *", Organization: "Good Root"}), nil, ""},
		{"one of several", issuers(inventory.IssuerPattern{CN: "No"}, inventory.IssuerPattern{SHA256: print(2)}), nil, ""},
		{"name of one and organization of another", issuers(inventory.IssuerPattern{CN: "R1", Organization: "Good Root"}), nil, `it was issued by "R1" of "Good CA": want cn=R1 organization=Good Root`},
		{"the leaf is not its issuer", issuers(inventory.IssuerPattern{SHA256: print(1)}), nil, "want sha256="},
		{"a name that was not verified does not count", issuers(inventory.IssuerPattern{Organization: "Good CA"}), untrusted, "who issued it is not known"},
		{
			"a self-signed certificate does not name itself", issuers(inventory.IssuerPattern{Organization: "Good CA"}),
			func(f *inventory.Facts, j *inventory.Judgement) { untrusted(f, j); j.Certificate.IssuerKey = print(11) }, "it is self-signed",
		},
		{
			"a self-signed certificate is allowed by its key", issuers(inventory.IssuerPattern{SPKI: print(11)}),
			func(f *inventory.Facts, j *inventory.Judgement) { untrusted(f, j); j.Certificate.IssuerKey = print(11) }, "",
		},
		{"no forbidden issuer", forbidden(inventory.IssuerPattern{Organization: "Bad CA"}), nil, ""},
		{"a forbidden organization", forbidden(inventory.IssuerPattern{Organization: "Good*"}), nil, "forbidden issuer organization=Good*"},
		{"a forbidden root by key", forbidden(inventory.IssuerPattern{SPKI: print(13)}), nil, "forbidden issuer spki="},
		{"a forbidden issuer on another store's path", forbidden(inventory.IssuerPattern{SHA256: print(8)}), nil, "forbidden issuer sha256="},
		{"a forbidden issuer that is only named", forbidden(inventory.IssuerPattern{CN: "Root X"}), untrusted, "forbidden issuer cn=Root X"},
		{"an unknown path hides an issuer", forbidden(inventory.IssuerPattern{CN: "Bad"}), untrusted, "is not known"},
		{"an elliptic key", keys, nil, ""},
		{"a large key", keys, key("RSA 4096"), ""},
		{"a small key", keys, key("RSA 2048"), "the key is RSA 2048: want one of ECDSA P-256, RSA>=3072"},
		{"another curve", keys, key("ECDSA P-384"), "the key is ECDSA P-384"},
		{"a key that cannot be read", keys, key(""), "the key is not known"},
		{
			"a further certificate at the address", keys, func(_ *inventory.Facts, j *inventory.Judgement) {
				j.Alternates = []inventory.Certificate{{SHA256: print(5), Key: "RSA 1024"}}
			}, "at this address: the key is RSA 1024",
		},
		{"version negotiated", inventory.Requirements{MinTLS: "TLS 1.3"}, nil, ""},
		{"old version negotiated", inventory.Requirements{MinTLS: "TLS 1.3"}, func(f *inventory.Facts, _ *inventory.Judgement) { f.Observation.TLS.Version = "TLS 1.2" }, "the negotiated version is TLS 1.2: want TLS 1.3 or later"},
		{"a census does not negotiate", inventory.Requirements{MinTLS: "TLS 1.2"}, func(f *inventory.Facts, _ *inventory.Judgement) {
			f.Observation.Capture.Method = inventory.CaptureCensus
		}, "the negotiated version is not known"},
		{"version accepted", inventory.Requirements{MinTLSAccepted: "TLS 1.2"}, nil, ""},
		{"old version accepted", inventory.Requirements{MinTLSAccepted: "TLS 1.2"}, func(f *inventory.Facts, _ *inventory.Judgement) { f.Observation.TLS.Accepts = []string{"TLS 1.0"} }, "the server accepts TLS 1.0: want TLS 1.2 or later"},
		{"what is accepted is not known", inventory.Requirements{MinTLSAccepted: "TLS 1.2"}, func(f *inventory.Facts, _ *inventory.Judgement) { f.Observation.TLS.Accepts = nil }, "is not known; run with --accepts"},
		{"cipher", inventory.Requirements{ForbiddenCiphers: inventory.CipherClasses()}, nil, ""},
		{"bad cipher", inventory.Requirements{ForbiddenCiphers: []inventory.CipherClass{inventory.CipherCBC}}, func(f *inventory.Facts, _ *inventory.Judgement) {
			f.Observation.TLS.CipherSuite = "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"
		}, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA is cbc"},
		{"no bad cipher accepted", inventory.Requirements{ForbiddenAccepted: []inventory.CipherClass{inventory.Cipher3DES, inventory.CipherRC4}}, nil, ""},
		{"bad cipher accepted", inventory.Requirements{ForbiddenAccepted: []inventory.CipherClass{inventory.Cipher3DES}}, func(f *inventory.Facts, _ *inventory.Judgement) {
			f.Observation.TLS.Accepts = []string{inventory.Accepts3DES}
		}, "the server accepts 3DES: it is forbidden"},
		{"no clear answer about a cipher", inventory.Requirements{ForbiddenAccepted: []inventory.CipherClass{inventory.Cipher3DES}}, func(f *inventory.Facts, _ *inventory.Judgement) {
			f.Observation.TLS.AcceptsUnknown = []string{inventory.Accepts3DES}
		}, "whether the server accepts 3DES is not known"},
		{"no clear answer about a version", inventory.Requirements{MinTLSAccepted: "TLS 1.2"}, func(f *inventory.Facts, _ *inventory.Judgement) {
			f.Observation.TLS.AcceptsUnknown = []string{inventory.AcceptsTLS10, inventory.AcceptsTLS13}
		}, "whether the server accepts TLS 1.0 is not known"},
		{"what is negotiated is accepted", inventory.Requirements{MinTLSAccepted: "TLS 1.2"}, func(f *inventory.Facts, _ *inventory.Judgement) {
			f.Observation.TLS.Version, f.Observation.TLS.Accepts = "TLS 1.1", []string{}
		}, "the server accepts TLS 1.1: want TLS 1.2 or later"},
		{"post-quantum", inventory.Requirements{PostQuantum: true}, nil, ""},
		{"no post-quantum", inventory.Requirements{PostQuantum: true}, func(f *inventory.Facts, _ *inventory.Judgement) { f.Observation.TLS.PostQuantum = new(bool) }, "takes no post-quantum"},
		{"post-quantum not asked", inventory.Requirements{PostQuantum: true}, func(f *inventory.Facts, _ *inventory.Judgement) { f.Observation.TLS.PostQuantum = nil }, "is not known"},
		{"an endpoint that is down has a finding already", inventory.Requirements{MinTLS: "TLS 1.3", PostQuantum: true}, func(f *inventory.Facts, _ *inventory.Judgement) {
			f.Observation.TLS, f.Observation.Reach.Status = nil, inventory.ReachTimeout
		}, ""},
		{"short validity", inventory.Requirements{MaxValidity: 90 * day}, nil, ""},
		{"long validity", inventory.Requirements{MaxValidity: 47 * day}, nil, "it is valid for 90 days: want at most 47 days"},
		{"unreadable dates", inventory.Requirements{MaxValidity: 90 * day}, func(_ *inventory.Facts, j *inventory.Judgement) { j.Certificate.NotAfter = time.Time{} }, "not known"},
		{"enough left", inventory.Requirements{MinLeft: 60 * day}, nil, ""},
		{"too little left", inventory.Requirements{MinLeft: 61 * day}, nil, "60 days is left until 2027-01-21: want at least 61 days"},
		{"names", inventory.Requirements{Names: []string{"*.example.com"}}, names("A.Example.com", "*.example.com"), ""},
		{"names of others", inventory.Requirements{Names: []string{"*.example.com"}}, names("shop.example.com", "evil.test"), `it is for "evil.test"`},
		{"no names", inventory.Requirements{Names: []string{"*"}}, names(), "not known"},
		{"no wildcard", inventory.Requirements{ForbidWildcards: true}, nil, ""},
		{"a wildcard", inventory.Requirements{ForbidWildcards: true}, names("*.example.com"), `wildcard "*.example.com"`},
		{"not revoked", inventory.Requirements{RevocationGood: true}, nil, ""},
		{"revocation unknown", inventory.Requirements{RevocationGood: true}, func(_ *inventory.Facts, j *inventory.Judgement) {
			j.Verdict.Revocation = inventory.RevocationVerdict{Status: inventory.RevocationUnknown, Reason: "stale"}
		}, "revocation is unknown (stale): want good"},
		{"revocation not asked", inventory.Requirements{RevocationGood: true}, func(_ *inventory.Facts, j *inventory.Judgement) {
			j.Verdict.Revocation.Status = inventory.NotChecked
		}, "revocation is not known"},
		{"transparent", inventory.Requirements{CTCompliant: true}, nil, ""},
		{"not transparent", inventory.Requirements{CTCompliant: true}, func(_ *inventory.Facts, j *inventory.Judgement) { j.Verdict.CT.Status = inventory.CTUnverifiable }, "Transparency is unverifiable: want compliant"},
		{"another offer with the same certificate", inventory.Requirements{MaxValidity: day}, func(f *inventory.Facts, _ *inventory.Judgement) {
			f.Observation.Offer, f.DefaultChain = inventory.OfferRSA, f.Observation.Chain
		}, ""},
		{"without a server name", inventory.Requirements{MaxValidity: day}, func(f *inventory.Facts, _ *inventory.Judgement) { f.Observation.Offer = inventory.OfferNoSNI }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, j := sample()
			if tt.change != nil {
				tt.change(&f, &j)
			}
			p := policy.New(inventory.Policy{Rules: []inventory.PolicyRule{{Name: "r", Severity: inventory.Critical, Require: tt.require}}})
			found, _ := p.View(f, j, at())
			switch {
			case tt.want == "" && len(found) > 0:
				t.Errorf("found %q, want nothing", found[0].Message)
			case tt.want != "" && (len(found) != 1 || !strings.Contains(found[0].Message, tt.want)):
				t.Errorf("found %v, want %q", found, tt.want)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	f, j := sample()
	for _, tt := range []struct {
		name string
		rule inventory.PolicyRule
		want string
	}{
		{"labels are there", inventory.PolicyRule{Require: inventory.Requirements{Labels: map[string]string{"owner": "team-*", "environment": ""}}}, ""},
		{"labels are missing", inventory.PolicyRule{Require: inventory.Requirements{Labels: map[string]string{"platform": "", "owner": "db-*"}}}, `the target lacks the label owner (is "team-web", want db-*), platform`},
		{"a port that is allowed", inventory.PolicyRule{Require: inventory.Requirements{Ports: []uint16{443}}}, ""},
		{"a port that is not", inventory.PolicyRule{Require: inventory.Requirements{Ports: []uint16{8443, 25}}}, "port 443 is not among those allowed (8443, 25)"},
		{"the rule is for others", inventory.PolicyRule{Targets: selector(t, "environment!=prod"), Require: inventory.Requirements{Ports: []uint16{25}, MaxValidity: day}}, ""},
		{"a hint", inventory.PolicyRule{Message: "see the wiki", Require: inventory.Requirements{Ports: []uint16{25}}}, "(25); see the wiki"},
	} {
		tt.rule.Name, tt.rule.Severity = "r", inventory.Info
		p := policy.New(inventory.Policy{Rules: []inventory.PolicyRule{tt.rule}})
		found := p.Target(f.Target)
		switch {
		case tt.want == "" && len(found) > 0:
			t.Errorf("%s: found %v", tt.name, found)
		case tt.want != "" && (len(found) != 1 || !strings.Contains(found[0].Message, tt.want) || found[0].Subject.ID != "shop.example.com:443"):
			t.Errorf("%s: found %v, want %q", tt.name, found, tt.want)
		}
		if views, _ := p.View(f, j, at()); len(views) > 0 {
			t.Errorf("%s: found %v of the view", tt.name, views)
		}
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	f, j := sample()
	p := policy.New(inventory.Policy{Rules: []inventory.PolicyRule{
		{Name: "left", Severity: inventory.Warning, Require: inventory.Requirements{MinLeft: 10 * day}},
		{Name: "short", Severity: inventory.Critical, Require: inventory.Requirements{MaxValidity: day, Keys: []inventory.KeyPattern{{Kind: "RSA"}}}},
	}})
	found, until := p.View(f, j, at())
	if len(found) != 1 {
		t.Fatalf("found %v", found)
	}
	got := found[0]
	if got.Code != inventory.CodePolicy || got.Rule != "short" || got.Severity != inventory.Critical || got.Subject.Kind != inventory.SubjectView ||
		got.Subject.ID != f.Observation.View().ID() || got.Message != "the key is ECDSA P-256: want RSA; it is valid for 90 days: want at most 1 day" {
		t.Errorf("found %+v", got)
	}
	if want := at().Add(50*day + time.Second); !until.Equal(want) {
		t.Errorf("the answer holds until %v, want %v", until, want)
	}
	if found, _ = p.View(f, j, until); len(found) != 2 {
		t.Errorf("at that moment found %v, want both rules", found)
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	_, j := sample()
	p := policy.New(inventory.Policy{Rules: []inventory.PolicyRule{
		{Name: "short", Targets: selector(t, "*.example.com"), Require: inventory.Requirements{MaxValidity: day}},
		{Name: "others", Targets: selector(t, "*.example.net"), Require: inventory.Requirements{MaxValidity: day}},
		{Name: "versions", Require: inventory.Requirements{MinTLS: "TLS 1.3", Labels: map[string]string{"owner": ""}}},
	}})
	found := p.File(inventory.Target{}, j, at())
	if len(found) != 1 || found[0].Rule != "short" || found[0].Subject.ID != print(1).String() {
		t.Errorf("found %v", found)
	}
	if found = p.File(inventory.Target{Host: "a.example.net"}, j, at()); len(found) != 1 || found[0].Rule != "others" {
		t.Errorf("with a name found %v", found)
	}
	if names := p.Unselected(inventory.Target{}, []*inventory.Certificate{j.Certificate}); len(names) != 1 || names[0] != "others" {
		t.Errorf("not selected: %v", names)
	}
	if names := p.OfConnections(); len(names) != 1 || names[0] != "versions" {
		t.Errorf("not judged: %v", names)
	}
}

func TestRegrade(t *testing.T) {
	t.Parallel()
	f, _ := sample()
	p := policy.New(inventory.Policy{Severities: []inventory.SeverityRule{
		{Code: inventory.CodeExpiring, Targets: selector(t, "environment=prod"), AtMost: inventory.Warning},
		{Code: inventory.CodeExpiring, Severity: inventory.Info},
		{Code: inventory.CodeProfile, Rule: "no_aki", Severity: inventory.Info},
		{Code: inventory.CodeKeyReused, Severity: inventory.Critical},
	}})
	findings := []inventory.Finding{
		{Code: inventory.CodeExpiring, Severity: inventory.Critical},
		{Code: inventory.CodeExpiring, Severity: inventory.Info},
		{Code: inventory.CodeProfile, Rule: "no_aki", Severity: inventory.Warning},
		{Code: inventory.CodeProfile, Rule: "other", Severity: inventory.Warning},
	}
	p.Regrade(f.Target, findings)
	for i, want := range []inventory.Severity{inventory.Warning, inventory.Info, inventory.Info, inventory.Warning} {
		if findings[i].Severity != want {
			t.Errorf("%v, want %s", findings[i], want)
		}
	}
	fleet := []inventory.Finding{{Code: inventory.CodeKeyReused, Severity: inventory.Warning}}
	if p.RegradeFleet(fleet); fleet[0].Severity != inventory.Critical {
		t.Errorf("%v, want critical", fleet[0])
	}
}

func TestWaiversOfFiles(t *testing.T) {
	t.Parallel()
	until := at().Add(day)
	waivers := []inventory.Waiver{
		{Targets: selector(t, "*.example.com"), Codes: []inventory.Code{inventory.CodeExpired}, Owner: "web", Until: until, Place: "w.yaml:2"},
		{Targets: selector(t, "*.example.net"), Codes: []inventory.Code{inventory.CodeExpired}, Owner: "db", Until: until, Place: "w.yaml:9"},
	}
	severities := policy.New(inventory.Policy{Severities: []inventory.SeverityRule{
		{Code: inventory.CodeExpired, Targets: selector(t, "shop.example.com"), Severity: inventory.Info},
	}})
	_, j := sample()
	for _, tt := range []struct {
		name, host, owner, unused string
		severity                  inventory.Severity
	}{
		{"by a name of the certificate", "", "web", "w.yaml:9", inventory.Info},
		{"by the name that was given", "a.example.net", "db", "w.yaml:2", inventory.Critical},
	} {
		found := []inventory.Finding{{Code: inventory.CodeExpired, Severity: inventory.Critical}}
		w := policy.NewWaivers(waivers, at())
		w.MarkFile(inventory.Target{Host: tt.host}, j.Certificate, found)
		severities.RegradeFile(inventory.Target{Host: tt.host}, j.Certificate, found)
		if found[0].Waived == nil || found[0].Waived.Owner != tt.owner || found[0].Severity != tt.severity {
			t.Errorf("%s: %+v, want it waived by %s, severity %s", tt.name, found[0], tt.owner, tt.severity)
		}
		if got := strings.Join(w.Unused(), " "); got != tt.unused {
			t.Errorf("%s: unused is %q, want %q", tt.name, got, tt.unused)
		}
	}
}

func TestWaivers(t *testing.T) {
	t.Parallel()
	shop := inventory.Target{Host: "shop.example.com", Port: 443}
	waiver := func(name, targets, rule, until string, codes ...inventory.Code) inventory.Waiver {
		end, err := time.Parse(time.DateOnly, until)
		if err != nil {
			t.Fatal(err)
		}
		return inventory.Waiver{Targets: selector(t, targets), Codes: codes, Rule: rule, Owner: name, Reason: "because", Until: end.AddDate(0, 0, 1), Place: "p.yaml:7"}
	}
	list := []inventory.Waiver{
		waiver("web", "shop.example.com", "", "2026-12-01", inventory.CodeExpired, inventory.CodePolicy),
		waiver("later", "*", "keys", "2026-12-05", inventory.CodePolicy),
		waiver("old", "*", "", "2026-11-21", inventory.CodeNotTLS),
		waiver("gone", "*", "", "2026-11-01", inventory.CodeNoSAN),
		waiver("unused", "other.example.com", "", "2028-01-01", inventory.CodeExpired),
	}
	mark := func(now time.Time, fs ...inventory.Finding) (*policy.Waivers, []inventory.Finding) {
		w := policy.NewWaivers(list, now)
		w.Mark(shop, fs)
		return w, fs
	}
	w, got := mark(at(),
		inventory.Finding{Code: inventory.CodeExpired}, inventory.Finding{Code: inventory.CodePolicy, Rule: "keys"},
		inventory.Finding{Code: inventory.CodeNotTLS}, inventory.Finding{Code: inventory.CodeSelfSigned})
	for i, want := range []string{"web 2026-12-01", "later 2026-12-05", "", ""} {
		s := ""
		if v := got[i].Waived; v != nil {
			s = v.Owner + " " + v.Until
		}
		if s != want || got[i].Counts() != (want == "") {
			t.Errorf("%v: waived by %q, want %q", got[i], s, want)
		}
	}
	if !w.Ended(shop, got[2]) || w.Ended(shop, got[0]) || w.Ended(shop, got[3]) {
		t.Error("only the waiver of not_tls has ended")
	}
	notes := strings.Join(w.Notes(true), "\n")
	for _, want := range []string{
		"(owner old) ended on 2026-11-21: what it was for counts again",
		"(owner gone) ended on 2026-11-01 and is for nothing that was found: remove it",
		"(owner unused) is for nothing that was found",
		"(owner unused) ends only on 2028-01-01",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not among the notes:\n%s", want, notes)
		}
	}
	if n := strings.Count(notes, "\n") + 1; n != 4 {
		t.Errorf("%d notes, want 4:\n%s", n, notes)
	}
	last := time.Date(2026, 12, 1, 23, 59, 59, 0, time.UTC)
	if _, got = mark(last, inventory.Finding{Code: inventory.CodeExpired}); got[0].Counts() {
		t.Error("the last day is part of it")
	}
	if _, got = mark(last.Add(time.Second), inventory.Finding{Code: inventory.CodeExpired}); !got[0].Counts() {
		t.Error("the day after counts again")
	}
	fleet := []inventory.Finding{{Code: inventory.CodePolicy, Rule: "keys"}, {Code: inventory.CodeExpired}}
	w.MarkFleet(fleet)
	if fleet[0].Counts() || !fleet[1].Counts() {
		t.Errorf("of the fleet: %v", fleet)
	}
}
