package inventory

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Severity is how bad a finding is.
type Severity string

// The severities, worst first.
const (
	Critical Severity = "critical"
	Warning  Severity = "warning"
	Info     Severity = "info"
)

// AtLeast reports whether s is as bad as limit or worse.
func (s Severity) AtLeast(limit Severity) bool { return s.rank() <= limit.rank() && s.rank() < 3 }

func (s Severity) rank() int {
	i := slices.Index([]Severity{Critical, Warning, Info}, s)
	if i < 0 {
		return 3
	}
	return i
}

// CompareSeverity sorts the worst first.
func CompareSeverity(a, b Severity) int { return a.rank() - b.rank() }

// A SubjectKind says what a finding is about.
type SubjectKind string

// The kinds of subject.
const (
	SubjectView        SubjectKind = "view"        // id: [View.ID]
	SubjectTarget      SubjectKind = "target"      // id: [Target.Key]
	SubjectCertificate SubjectKind = "certificate" // id: SHA-256
	SubjectUnit        SubjectKind = "unit"
	SubjectSource      SubjectKind = "source"
	SubjectLocation    SubjectKind = "location"
	SubjectLog         SubjectKind = "log"
)

// A Subject is what a finding is about.
type Subject struct {
	Kind SubjectKind `json:"kind"`
	ID   string      `json:"id"`
}

// A Code names a kind of finding. The list is closed: a new one is added to the
// design first.
type Code string

// The finding codes.
const (
	CodeExpired       Code = "expired"
	CodeNotYetValid   Code = "not_yet_valid"
	CodeExpiring      Code = "expiring"
	CodeChainExpiring Code = "chain_expiring"

	CodeNameMismatch         Code = "name_mismatch"
	CodeNoSAN                Code = "no_san"
	CodeMalformedSAN         Code = "malformed_san"
	CodeWildcardPublicSuffix Code = "wildcard_public_suffix"
	CodeCNNotInSAN           Code = "cn_not_in_san"

	CodeSelfSigned           Code = "self_signed"
	CodeUntrustedRoot        Code = "untrusted_root"
	CodeUnknownIssuer        Code = "unknown_issuer"
	CodeIncompleteChain      Code = "incomplete_chain"
	CodeWrongOrder           Code = "wrong_order"
	CodeExtraCertificates    Code = "extra_certificates"
	CodeExpiredInChain       Code = "expired_in_chain"
	CodeAnchorExpired        Code = "anchor_expired"
	CodeDistrustedRoot       Code = "distrusted_root"
	CodeWeakSignature        Code = "weak_signature"
	CodeNameConstraint       Code = "name_constraint"
	CodeBadEKU               Code = "bad_eku"
	CodeNotACA               Code = "not_a_ca"
	CodePathLength           Code = "path_length"
	CodeUnhandledCritical    Code = "unhandled_critical_extension"
	CodeMalformedCertificate Code = "malformed_certificate"

	CodeRevoked             Code = "revoked"
	CodeIntermediateRevoked Code = "intermediate_revoked"
	CodeRevocationUnknown   Code = "revocation_unknown"
	CodeStapleInvalid       Code = "staple_invalid"
	CodeStapleStale         Code = "staple_stale"
	CodeMustStapleMissing   Code = "must_staple_missing"
	CodeCRLInvalid          Code = "crl_invalid"

	CodeWeakKey         Code = "weak_key"
	CodeCompromisedKey  Code = "compromised_key"
	CodeForbiddenKey    Code = "forbidden_key"
	CodeCALeaf          Code = "ca_leaf"
	CodeBadSerial       Code = "bad_serial"
	CodeValidityTooLong Code = "validity_too_long"
	CodeProfile         Code = "profile"

	CodeSCTMissing           Code = "sct_missing"
	CodeSCTInsufficient      Code = "sct_insufficient"
	CodeSCTInvalid           Code = "sct_invalid"
	CodePrecertificateServed Code = "precertificate_served"

	CodeDeprecatedTLS Code = "deprecated_tls"
	CodeWeakCipher    Code = "weak_cipher"

	CodeUnreachable       Code = "unreachable"
	CodeDNSFailure        Code = "dns_failure"
	CodeHandshakeFailed   Code = "handshake_failed"
	CodeNotTLS            Code = "not_tls"
	CodeSTARTTLSMissing   Code = "starttls_missing"
	CodeSTARTTLSRefused   Code = "starttls_refused"
	CodeSTARTTLSInjection Code = "starttls_injection"

	CodeNotDeployed               Code = "not_deployed"
	CodePartiallyDeployed         Code = "partially_deployed"
	CodeRolledBack                Code = "rolled_back"
	CodeRenewalFlapping           Code = "renewal_flapping"
	CodeChainBroken               Code = "chain_broken"
	CodeNameLost                  Code = "name_lost"
	CodeAddressesDisagree         Code = "addresses_disagree"
	CodeLocationsDisagree         Code = "locations_disagree"
	CodeRenewalOverdue            Code = "renewal_overdue"
	CodeUnexpectedIssuer          Code = "unexpected_issuer"
	CodeKeyReused                 Code = "key_reused"
	CodeDefaultCertificateDiffers Code = "default_certificate_differs"

	// Of the scanner's own side, as [Code.OwnSide] says.
	CodeSourceFailed      Code = "source_failed"
	CodeSourceShrunk      Code = "source_shrunk"
	CodeLocationAnomalous Code = "location_anomalous"

	CodePolicy Code = "policy"
)

// codes is every code, as [Codes] says.
var codes = [...]CodeInfo{
	{CodeExpired, Critical},
	{CodeNotYetValid, Critical},
	{CodeExpiring, Warning},
	{CodeChainExpiring, Warning},
	{CodeNameMismatch, Critical},
	{CodeNoSAN, Critical},
	{CodeMalformedSAN, Critical},
	{CodeWildcardPublicSuffix, Critical},
	{CodeCNNotInSAN, Warning},
	{CodeSelfSigned, Critical},
	{CodeUntrustedRoot, Critical},
	{CodeUnknownIssuer, Critical},
	{CodeIncompleteChain, Critical},
	{CodeWrongOrder, Warning},
	{CodeExtraCertificates, Info},
	{CodeExpiredInChain, Warning},
	{CodeAnchorExpired, Warning},
	{CodeDistrustedRoot, Critical},
	{CodeWeakSignature, Critical},
	{CodeNameConstraint, Critical},
	{CodeBadEKU, Critical},
	{CodeNotACA, Critical},
	{CodePathLength, Critical},
	{CodeUnhandledCritical, Critical},
	{CodeMalformedCertificate, Critical},
	{CodeRevoked, Critical},
	{CodeIntermediateRevoked, Critical},
	{CodeRevocationUnknown, Info},
	{CodeStapleInvalid, Critical},
	{CodeStapleStale, Warning},
	{CodeMustStapleMissing, Critical},
	{CodeCRLInvalid, Warning},
	{CodeWeakKey, Critical},
	{CodeCompromisedKey, Critical},
	{CodeForbiddenKey, Warning},
	{CodeCALeaf, Critical},
	{CodeBadSerial, Warning},
	{CodeValidityTooLong, Warning},
	{CodeProfile, Warning},
	{CodeSCTMissing, Warning},
	{CodeSCTInsufficient, Warning},
	{CodeSCTInvalid, Critical},
	{CodePrecertificateServed, Critical},
	{CodeDeprecatedTLS, Warning},
	{CodeWeakCipher, Warning},
	{CodeUnreachable, Critical},
	{CodeDNSFailure, Critical},
	{CodeHandshakeFailed, Warning},
	{CodeNotTLS, Critical},
	{CodeSTARTTLSMissing, Critical},
	{CodeSTARTTLSRefused, Critical},
	{CodeSTARTTLSInjection, Critical},
	{CodeNotDeployed, Critical},
	{CodePartiallyDeployed, Critical},
	{CodeChainBroken, Critical},
	{CodeAddressesDisagree, Warning},
	{CodeRenewalOverdue, Warning},
	{CodeKeyReused, Warning},
	{CodeDefaultCertificateDiffers, Info},
	{CodeSourceFailed, Warning},
	{CodeSourceShrunk, Warning},
	{CodeLocationAnomalous, Warning},
	{CodePolicy, Warning},
}

// Codes returns every code that this build can produce, sorted as the design
// lists them, with its default severity.
func Codes() []CodeInfo { return slices.Clone(codes[:]) }

// CodeInfo is a code with its default severity.
type CodeInfo struct {
	Code     Code
	Severity Severity
}

// DefaultSeverity returns the severity that the design gives c.
func (c Code) DefaultSeverity() Severity {
	for _, i := range codes {
		if i.Code == c {
			return i.Severity
		}
	}
	return Warning
}

// OwnSide reports whether c is about the scanner's own side: about no endpoint,
// and so nothing that somebody waives.
func (c Code) OwnSide() bool {
	return c == CodeSourceFailed || c == CodeSourceShrunk || c == CodeLocationAnomalous
}

// A Finding is a judgement. It is identified by code, rule and subject; the
// rest are attributes that may change while it stays open.
type Finding struct {
	Code     Code     `json:"code"`
	Rule     string   `json:"rule"` // only for profile and policy
	Subject  Subject  `json:"subject"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`

	// Since is when it was first found, zero if that is now and nothing is kept.
	Since time.Time `json:"since,omitzero"`

	// Ignored findings were waved through by --ignore or a baseline: shown, but
	// they do not count.
	Ignored string `json:"ignored,omitempty"` // "flag" or "baseline"

	// Waived findings are answered for by somebody: shown likewise, and they do
	// not count.
	Waived *Waived `json:"waived,omitempty"`
}

// Counts reports whether f counts: it was neither ignored nor waived.
func (f Finding) Counts() bool { return f.Ignored == "" && f.Waived == nil }

// FindingKey identifies a finding.
type FindingKey struct {
	Code    Code
	Rule    string
	Subject Subject
}

// Key returns the identity of f.
func (f Finding) Key() FindingKey { return FindingKey{f.Code, f.Rule, f.Subject} }

// A Tier is a distance to expiry at which somebody is told, by its nominal
// size: "60d". "expired" is past it and "" is outside of all.
type Tier string

// TierExpired is the tier of what has expired.
const TierExpired Tier = "expired"

// A tierUnit is what the sizes in names of tiers are counted in.
type tierUnit struct {
	name string
	size time.Duration
}

var tierUnits = [...]tierUnit{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} // largest first

// TierOf names a nominal tier of whole seconds, in the largest unit of which it
// is a whole number, so that different tiers have different names.
func TierOf(d time.Duration) Tier {
	for _, u := range tierUnits {
		if d%u.size == 0 {
			return Tier(strconv.FormatInt(int64(d/u.size), 10) + u.name)
		}
	}
	return Tier(d.String())
}

// Size is the nominal size of t, 0 if expired; ok is false for what is outside
// of all tiers.
func (t Tier) Size() (size time.Duration, ok bool) {
	if t == TierExpired {
		return 0, true
	}
	for _, u := range tierUnits {
		if n, found := strings.CutSuffix(string(t), u.name); found {
			v, err := strconv.ParseInt(n, 10, 32)
			return time.Duration(v) * u.size, err == nil
		}
	}
	return 0, false
}
