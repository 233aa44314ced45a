package inventory

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Policy is what an organisation asks of its certificates beyond what is right
// for everybody: rules, and what built-in findings mean to it.
type Policy struct {
	Rules      []PolicyRule
	Severities []SeverityRule // the first that selects a finding decides
}

// A PolicyRule demands something of the targets that it selects. What does not
// meet it has a finding [CodePolicy] with the rule's name and severity.
type PolicyRule struct {
	Name     string
	Severity Severity
	Targets  Selector
	Message  string // what to do or where to read more, added to what is wrong; may be empty
	Require  Requirements
}

// Requirements are what a rule demands; the zero value of each demands nothing.
// What is not known is never met.
type Requirements struct {
	// Issuers: a certificate above the leaf on the verified path matches one of
	// these. ForbiddenIssuers: no certificate above the leaf, whether served or
	// on any path, and no issuer that one names, matches any.
	Issuers, ForbiddenIssuers []IssuerPattern

	Keys []KeyPattern // the leaf's key is one of these

	// MinTLS is the least version that may be negotiated, MinTLSAccepted the
	// least that the server may accept at all: "TLS 1.2".
	MinTLS, MinTLSAccepted string

	// ForbiddenCiphers may not be negotiated, ForbiddenAccepted, which are among
	// [AcceptedClasses], not accepted at all.
	ForbiddenCiphers, ForbiddenAccepted []CipherClass

	MaxValidity time.Duration // of the leaf, from not-before to not-after
	MinLeft     time.Duration // until the effective expiry

	// Labels that a target has, with a pattern of [MatchGlob] for the value; ""
	// is any value that is not empty.
	Labels map[string]string

	Names           []string // patterns; each name of the leaf matches one
	ForbidWildcards bool     // in the names of the leaf
	PostQuantum     bool     // the server takes a hybrid key exchange
	RevocationGood  bool     // the leaf is known not to be revoked, or too short-lived for that
	CTCompliant     bool     // its SCTs suffice, or it is not of a public CA
	Ports           []uint16 // that a target may have
}

// An IssuerPattern matches a certificate that has everything that is set.
type IssuerPattern struct {
	CN           string // pattern of [MatchGlob] on the common name of its subject
	Organization string // likewise
	SPKI         Fingerprint
	SHA256       Fingerprint
}

// String names what p matches.
func (p IssuerPattern) String() string {
	var parts []string
	for _, part := range []struct{ name, value string }{
		{"cn", p.CN}, {"organization", p.Organization}, {"spki", p.SPKI.String()}, {"sha256", p.SHA256.String()},
	} {
		if part.value != "" {
			parts = append(parts, part.name+"="+part.value)
		}
	}
	return strings.Join(parts, " ")
}

// A KeyPattern is a kind of key, as in [Certificate.Key], with its size or
// without: "ECDSA P-256", "ECDSA", "RSA>=3072", "RSA 2048", "Ed25519".
type KeyPattern struct {
	Kind  string // "RSA", "ECDSA"
	Param string // "P-256", "2048"; "" is any
	Least int    // bits, of RSA and DSA; 0 is any
}

// ParseKeyPattern reads what [KeyPattern.String] writes.
func ParseKeyPattern(s string) (KeyPattern, error) {
	kind, bits, atLeast := strings.Cut(s, ">=")
	var p KeyPattern
	switch {
	case atLeast:
		n, err := strconv.Atoi(strings.TrimSpace(bits))
		p = KeyPattern{Kind: strings.TrimSpace(kind), Least: n}
		if err != nil || n < 1 || n > 1<<16 || !p.sized() {
			return KeyPattern{}, badKey(s)
		}
	default:
		p.Kind, p.Param, _ = strings.Cut(strings.TrimSpace(s), " ")
		p.Param = strings.TrimSpace(p.Param)
	}
	for _, kind := range keyKinds() {
		if strings.EqualFold(p.Kind, kind) {
			p.Kind = kind
			n, err := strconv.Atoi(p.Param)
			curve := slices.ContainsFunc(curves(), func(c string) bool { return strings.EqualFold(c, p.Param) })
			switch {
			case p.Param == "":
			case kind == "ECDSA" && curve:
				p.Param = strings.ToUpper(p.Param)
			case !p.sized(), err != nil, n < 1:
				return KeyPattern{}, badKey(s)
			}
			return p, nil
		}
	}
	return KeyPattern{}, badKey(s)
}

func keyKinds() []string {
	return []string{"RSA", "RSA-PSS", "ECDSA", "DSA", "Ed25519", "Ed448", "ML-DSA-44", "ML-DSA-65", "ML-DSA-87"}
}

func curves() []string { return []string{"P-224", "P-256", "P-384", "P-521"} }

func badKey(s string) error {
	return fmt.Errorf("%q is not a kind of key: want such as ECDSA P-256, RSA>=3072, RSA 2048 or Ed25519", s)
}

// sized reports whether such keys differ by their number of bits.
func (p KeyPattern) sized() bool {
	return slices.Contains([]string{"RSA", "RSA-PSS", "DSA"}, strings.ToUpper(p.Kind))
}

// String is the pattern as it is written in a policy.
func (p KeyPattern) String() string {
	switch {
	case p.Least > 0:
		return p.Kind + ">=" + strconv.Itoa(p.Least)
	case p.Param != "":
		return p.Kind + " " + p.Param
	}
	return p.Kind
}

// Match reports whether key, as in [Certificate.Key], is of that kind.
func (p KeyPattern) Match(key string) bool {
	kind, param, _ := strings.Cut(key, " ")
	if kind != p.Kind {
		return false
	}
	if p.Least > 0 {
		n, err := strconv.Atoi(param)
		return err == nil && n >= p.Least
	}
	return p.Param == "" || param == p.Param
}

// A CipherClass is a weakness that cipher suites have in common.
type CipherClass string

// The cipher classes, worst first.
const (
	CipherNull      CipherClass = "null"
	CipherAnonymous CipherClass = "anonymous"
	CipherExport    CipherClass = "export"
	CipherRC4       CipherClass = "rc4"
	CipherDES       CipherClass = "des"
	Cipher3DES      CipherClass = "3des"
	CipherRSAKex    CipherClass = "rsa_key_exchange" // no forward secrecy
	CipherCBC       CipherClass = "cbc"              // no authenticated encryption
	CipherCBCSHA1   CipherClass = "cbc_sha1"         // the part of it that is asked about
	CipherSmallDH   CipherClass = "small_dh"         // DHE below 2048 bits
)

// CipherClasses returns the classes that the name of a suite tells.
func CipherClasses() []CipherClass {
	return []CipherClass{CipherNull, CipherAnonymous, CipherExport, CipherRC4, CipherDES, Cipher3DES, CipherRSAKex, CipherCBC}
}

// AcceptedClasses returns the classes that servers can be asked about, with the
// word of [AcceptsWords] for each.
func AcceptedClasses() map[CipherClass]string {
	return map[CipherClass]string{
		CipherNull: AcceptsNULL, CipherAnonymous: AcceptsAnonymous, CipherExport: AcceptsExport, CipherRC4: AcceptsRC4,
		CipherDES: AcceptsDES, Cipher3DES: Accepts3DES, CipherRSAKex: AcceptsRSAKeyExchange, CipherCBCSHA1: AcceptsCBCSHA1,
		CipherSmallDH: AcceptsSmallDH,
	}
}

// Has reports whether the suite with this IANA name is of class c.
func (c CipherClass) Has(suite string) bool {
	part := map[CipherClass]string{
		CipherNull: "_NULL_", CipherAnonymous: "_anon_", CipherExport: "EXPORT", CipherRC4: "_RC4_", CipherDES: "_DES_",
		Cipher3DES: "_3DES_", CipherRSAKex: "TLS_RSA_", CipherCBC: "_CBC_",
	}[c]
	return part != "" && strings.Contains(suite, part)
}

// TLSVersions are the versions that a policy may ask for, the oldest first.
func TLSVersions() []string {
	return []string{"SSL 2.0", "SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3"}
}

// A SeverityRule says how bad a finding is, instead of the built-in severity:
// exactly Severity, or AtMost where that is set.
type SeverityRule struct {
	Code     Code
	Rule     string // of the finding; "" is any
	Targets  Selector
	Severity Severity
	AtMost   Severity
}

// A Waiver says that somebody answers for a finding until a day.
type Waiver struct {
	Targets Selector
	Codes   []Code
	Rule    string // of the finding; "" is any
	Owner   string
	Reason  string
	Until   time.Time // midnight, in UTC, at the end of the last day
	Place   string    // where it is written: "policy.yaml:12"
}

// LastDay is the last day, in UTC, on which w holds: YYYY-MM-DD.
func (w Waiver) LastDay() string { return w.Until.Add(-time.Nanosecond).UTC().Format(time.DateOnly) }

// A Waived says who answers for a finding, why, and until when. The finding is
// shown and does not count.
type Waived struct {
	Owner  string `json:"owner"`
	Reason string `json:"reason"`
	Until  string `json:"until"` // last day, YYYY-MM-DD
}
