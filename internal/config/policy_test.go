package config_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/config"
	"example.com/certscan/internal/inventory"
)

func selector(t *testing.T, s string) inventory.Selector {
	t.Helper()
	sel, err := inventory.ParseSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return sel
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	spki := strings.Repeat("0a", 32)
	got, err := config.Read("policy.yaml", strings.NewReader(`
# What we ask for.
policy:
  rules:
    - name: public-issuers
      severity: critical
      targets: environment=prod
      message: see the wiki
      require:
        issuers:
          - organization: "Let's Encrypt"
          - {cn: "Example Issuing CA *", spki: `+spki+`}
        forbidden_issuers: [{organization: Bad CA}]
        keys: [ECDSA P-256, RSA>=3072, Ed25519, ecdsa p-384, RSA 2048]
        min_tls: 1.2
        min_tls_accepted: "TLS 1.2"
        forbidden_ciphers: [cbc, 3des]
        forbidden_accepted: [rc4]
        max_validity: 90d
        min_left: 36h
        labels: [owner, environment]
        names: ["*.Example.com"]
        wildcards: forbidden
        post_quantum: required
        revocation: good
        ct: compliant
        ports: [443, 8443]
    - name: labelled
      severity: info
      require:
        labels: {owner: "team-*"}
  severities:
    - code: expiring
      targets: environment!=prod
      at_most: warning
    - {code: profile, rule: no_aki, severity: info}
waivers:
  - targets: host=legacy.example.com
    code: [expired, policy]
    rule: labelled
    owner: web
    reason: moves on 1 December, OPS-123
    until: 2026-12-01
`), parsers())
	if err != nil {
		t.Fatal(err)
	}
	fp, _ := inventory.ParseFingerprint(spki)
	want := config.Default()
	want.Policy = inventory.Policy{
		Rules: []inventory.PolicyRule{
			{
				Name: "public-issuers", Severity: inventory.Critical, Targets: selector(t, "environment=prod"), Message: "see the wiki",
				Require: inventory.Requirements{
					Issuers:          []inventory.IssuerPattern{{Organization: "Let's Encrypt"}, {CN: "Example Issuing CA *", SPKI: fp}},
					ForbiddenIssuers: []inventory.IssuerPattern{{Organization: "Bad CA"}},
					Keys: []inventory.KeyPattern{
						{Kind: "ECDSA", Param: "P-256"}, {Kind: "RSA", Least: 3072}, {Kind: "Ed25519"}, {Kind: "ECDSA", Param: "P-384"}, {Kind: "RSA", Param: "2048"},
					},
					MinTLS: "TLS 1.2", MinTLSAccepted: "TLS 1.2",
					ForbiddenCiphers:  []inventory.CipherClass{inventory.CipherCBC, inventory.Cipher3DES},
					ForbiddenAccepted: []inventory.CipherClass{inventory.CipherRC4},
					MaxValidity:       90 * 24 * time.Hour, MinLeft: 36 * time.Hour,
					Labels: map[string]string{"owner": "", "environment": ""}, Names: []string{"*.example.com"},
					ForbidWildcards: true, PostQuantum: true, RevocationGood: true, CTCompliant: true, Ports: []uint16{443, 8443},
				},
			},
			{Name: "labelled", Severity: inventory.Info, Require: inventory.Requirements{Labels: map[string]string{"owner": "team-*"}}},
		},
		Severities: []inventory.SeverityRule{
			{Code: inventory.CodeExpiring, Targets: selector(t, "environment!=prod"), AtMost: inventory.Warning},
			{Code: inventory.CodeProfile, Rule: "no_aki", Severity: inventory.Info},
		},
	}
	want.Waivers = []inventory.Waiver{{
		Targets: selector(t, "host=legacy.example.com"), Codes: []inventory.Code{inventory.CodeExpired, inventory.CodePolicy}, Rule: "labelled",
		Owner: "web", Reason: "moves on 1 December, OPS-123",
		Until: time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC), Place: "policy.yaml:38",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if day := got.Waivers[0].LastDay(); day != "2026-12-01" {
		t.Errorf("the last day is %s", day)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       []string // lines of the error, in order
	}{
		{"an empty file", "# nothing\n", []string{"f.yaml: is empty"}},
		{"two documents", "policy: {}\n---\npolicy: {}\n", []string{"f.yaml: has 2 documents: want one"}},
		{"no YAML", "policy: [\n", []string{"f.yaml:1:9: is not YAML: "}},
		{"a list", "- policy\n", []string{"f.yaml:1:1: is a list: want a mapping with keys such as "}},
		{"an unknown key", "polcy: {}\n", []string{`f.yaml:1:1: there is no key "polcy" here: did you mean policy?`}},
		{"a key twice", "waivers: []\nwaivers: []\n", []string{"f.yaml:1:10: waivers: is an empty list", "f.yaml:2:1: waivers: stands there twice"}},
		{"a key without a value", "policy:\n", []string{"f.yaml:1:1: policy: has no value"}},
		{
			"everything at once", "policy:\n  rules:\n    - name: Bad Name\n      severity: fatal\n      require: {keys: [RSA 3k], min_tls: 1.4, max_validity: 90, ports: [0]}\n    - require: {}\n",
			[]string{
				`f.yaml:3:13: policy.rules[0].name: "Bad Name" is not a name`,
				`f.yaml:4:17: policy.rules[0].severity: "fatal" is not known: want one of critical, warning, info`,
				`policy.rules[0].require.keys[0]: "RSA 3k" is not a kind of key`,
				`policy.rules[0].require.min_tls: "1.4" is not a version of TLS`,
				`policy.rules[0].require.max_validity: "90" is not a duration`,
				`policy.rules[0].require.ports[0]: 0 is out of range: want 1 to 65535`,
				`policy.rules[1]: name is missing`,
				`policy.rules[1]: severity is missing`,
				`policy.rules[1].require: demands nothing`,
			},
		},
		{
			"a selector without quotation marks", "waivers:\n  - targets: *.example.com\n    code: expired\n    owner: a\n    reason: b\n    until: 2026-12-01\n",
			[]string{"quotation marks"},
		},
		{"a star without quotation marks", "waivers:\n  - targets: *\n    code: expired\n", []string{"is not YAML", "quotation marks"}},
		{
			"a waiver without an end", "waivers:\n  - targets: a.example\n    code: expird\n    owner: \"\"\n    reason: b\n",
			[]string{
				"f.yaml:2:5: waivers[0]: until is missing",
				`f.yaml:3:11: waivers[0].code: there is no finding "expird": did you mean expired?`,
				"f.yaml:4:12: waivers[0].owner: is empty",
			},
		},
		{
			"a waiver with a bad date and selector", "waivers:\n- {targets: 'port=x', code: expired, owner: a, reason: b, until: 2026-02-30}\n",
			[]string{`waivers[0].targets: selector "port=x": "x" is not a port`, `waivers[0].until: "2026-02-30" is not a date`},
		},
		{
			"rules of one name", "policy:\n  rules:\n  - {name: a, severity: info, require: {ports: [443]}}\n  - {name: a, severity: info, require: {ports: [443]}}\n",
			[]string{`policy.rules[1].name: there is another rule "a"`},
		},
		{
			"a rule that selects by finding", "policy:\n  rules:\n  - {name: a, severity: info, targets: code=expired, require: {ports: [443]}}\n",
			[]string{"code, rule, severity and subject are of findings"},
		},
		{
			"severities", "policy:\n  severities:\n  - {code: expired}\n  - {code: policy, severity: info, at_most: info}\n",
			[]string{"policy.severities[0]: want severity or at_most", "policy.severities[1]: severity and at_most exclude each other"},
		},
		{
			"what is no target's", "policy: {severities: [{code: source_failed, targets: owner=a, severity: info}]}\nwaivers:\n- {targets: '*', code: [expired, location_anomalous], owner: a, reason: b, until: 2026-12-01}\n",
			[]string{"policy.severities[0].targets: source_failed is about no target: leave the key out", "waivers[0].code[1]: location_anomalous is about certscan itself, which nobody can answer for"},
		},
		{
			"a class that no server can be asked about", "policy: {rules: [{name: a, severity: info, require: {forbidden_accepted: [cbc]}}]}\n",
			[]string{`forbidden_accepted[0]: "cbc" is not known: want one of 3des, anonymous, cbc_sha1, des`},
		},
		{"an issuer that is anybody", "policy: {rules: [{name: a, severity: info, require: {issuers: [{}]}}]}\n", []string{"issuers[0]: names no issuer"}},
		{"anchors", "policy: &a\n  rules: []\n", []string{"policy: is an alias or anchor: want a mapping"}},
		{"deep nesting", strings.Repeat("[", 100), []string{"f.yaml: is nested more than 50 deep"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Read("f.yaml", strings.NewReader(tt.text), parsers())
			if _, ok := errors.AsType[config.Problems](err); !ok || cfg != nil {
				t.Fatalf("got %v, %v, want problems", cfg, err)
			}
			rest := err.Error()
			for _, want := range tt.want {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("%q is not in, or not in this order:\n%v", want, err)
				}
				rest = after
			}
		})
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	read := func(name string) *config.Config {
		c, err := config.Read(name, strings.NewReader("policy: {rules: [{name: "+name+", severity: info, require: {ports: [443]}}]}\n"), parsers())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := read("a")
	if err := c.Merge(read("b")); err != nil || len(c.Policy.Rules) != 2 {
		t.Errorf("got %d rules, %v, want both", len(c.Policy.Rules), err)
	}
	if err := c.Merge(read("a")); err == nil || !strings.Contains(err.Error(), `rule "a" stands in two files`) {
		t.Errorf("got %v", err)
	}
}

// Nothing in a file makes reading it fail other than with problems that have a
// place.
func FuzzRead(f *testing.F) {
	f.Add("policy:\n  rules:\n    - {name: a, severity: info, require: {keys: [RSA>=2048], labels: {a: b}}}\n")
	f.Add("waivers:\n  - targets: '*'\n    code: [expired]\n    owner: a\n    reason: b\n    until: 2026-12-01\n")
	f.Add("policy: *a\n? [x]\n: y\n<<: {}\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := config.Read("f.yaml", strings.NewReader(text), parsers())
		problems, ok := errors.AsType[config.Problems](err)
		if err != nil && (!ok || len(problems) == 0) {
			t.Errorf("%v is no problem of the file", err)
		}
	})
}
