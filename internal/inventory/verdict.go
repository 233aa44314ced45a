package inventory

import (
	"crypto/x509"
	"time"
)

// The values of [Verdict.Time].
const (
	TimeValid       = "valid"
	TimeExpired     = "expired"
	TimeNotYetValid = "not_yet_valid"
)

// The values of [Verdict.Name].
const (
	NameMatch      = "match"
	NameMismatch   = "mismatch"
	NameNoSAN      = "no_san"
	NameMalformed  = "malformed"
	NameNotChecked = "not_checked"
)

// NotChecked is the status of a fact that nobody looked at. It is never good.
const NotChecked = "not_checked"

// TrustStatus is the answer of one trust store about a chain, judged apart from
// time and name.
type TrustStatus string

// The trust statuses.
const (
	Trusted                TrustStatus = "trusted"
	TrustIncomplete        TrustStatus = "incomplete" // the missing issuer was found by AIA
	TrustSelfSigned        TrustStatus = "self_signed"
	TrustUntrustedRoot     TrustStatus = "untrusted_root"
	TrustUnknownIssuer     TrustStatus = "unknown_issuer"
	TrustExpiredChain      TrustStatus = "expired_chain"
	TrustAnchorExpired     TrustStatus = "anchor_expired"
	TrustDistrustedRoot    TrustStatus = "distrusted_root"
	TrustWeakSignature     TrustStatus = "weak_signature"
	TrustNameConstraint    TrustStatus = "name_constraint"
	TrustBadEKU            TrustStatus = "bad_eku"
	TrustNotACA            TrustStatus = "not_a_ca"
	TrustPathLength        TrustStatus = "path_length"
	TrustUnhandledCritical TrustStatus = "unhandled_critical"
	TrustMalformed         TrustStatus = "malformed"
	TrustLimitExceeded     TrustStatus = "limit_exceeded"
)

// Verdict is what was judged of one endpoint: independent facts, never one
// lumped answer.
type Verdict struct {
	Time       StatusOnly        `json:"time"`
	Name       StatusOnly        `json:"name"`
	Trust      TrustVerdict      `json:"trust"`
	Revocation RevocationVerdict `json:"revocation"`
	CT         CTVerdict         `json:"ct"`
}

// StatusOnly is a fact that is one word.
type StatusOnly struct {
	Status string `json:"status"`
}

// TrustVerdict is the answer of the store that decides, and of all others.
type TrustVerdict struct {
	Status    TrustStatus    `json:"status"`
	DecidedBy string         `json:"decided_by"` // name of the store
	Stores    []StoreVerdict `json:"stores"`
}

// StoreVerdict is what one named, dated trust store says.
type StoreVerdict struct {
	Name   string          `json:"name"`
	Date   string          `json:"date"` // YYYY-MM-DD, "" if unknown
	Status TrustStatus     `json:"status"`
	Detail string          `json:"detail,omitempty"`
	Paths  [][]Fingerprint `json:"paths"` // every verified path, leaf to anchor, best first
}

// Expiry is the effective one: the earliest not-after on the best path.
type Expiry struct {
	At      time.Time `json:"at"`
	By      string    `json:"by"` // "leaf" or "intermediate"
	Subject string    `json:"subject"`
}

// Facts are what judging is given of one view.
type Facts struct {
	Target      Target
	Observation Observation

	// LastChain is what the view served when it last served anything. It is set
	// only when Observation has no chain; LastSeen is when that was.
	LastChain [][]byte
	LastSeen  time.Time

	// LastStaple and LastSCTs are what came with LastChain beside it.
	LastStaple []byte
	LastSCTs   [][]byte

	// Past: the observation is of a time before the latest examination, and what
	// is kept of that alone (staple, SCTs of the handshake) is not known.
	Past bool

	// PreviousChain is what the view served before its present chain, nil when
	// it has never served another.
	PreviousChain [][]byte

	// DefaultChain is what the same address served to the default offer at the
	// time of the observation: what was seen before a change is never compared
	// with what was seen after it. It is set for the other offers only.
	DefaultChain [][]byte

	// Given is what a person handed over to judge by.
	Given Given
}

// A Judgement is all that is said of one view.
type Judgement struct {
	Certificate *Certificate  // the leaf, also a last known one; nil if none was ever seen
	Chain       []Certificate // every certificate after the leaf, as served
	Verdict     *Verdict      // nil when there is no certificate
	Expiry      *Expiry       // nil when there is no certificate
	Lifetime    time.Duration // of the certificate that Expiry is of
	Tier        Tier
	LastSeen    time.Time // set when Certificate is not from this observation
	Unproven    bool      // the server that sent it did not show that it has the key, as it should have
	Findings    []Finding

	// Alternates are the leaves of further chains seen at the same address.
	Alternates []Certificate

	// Issuers are, for Certificate and then for each of Alternates, the
	// certificates above it on the best path that was verified to the store that
	// decides, the anchor last; nil without one. They are shared, so nobody may
	// change them.
	Issuers [][]*Certificate

	// ValidUntil is when time alone may change this judgement; zero if never.
	ValidUntil time.Time
}

// Verified reports whether the certificate was seen now, from a server that has
// its key, is in time, is for the name, and is trusted and not revoked.
func (j Judgement) Verified() bool { return j.Sound() && !j.Unproven }

// Sound is the same whoever sent the certificate: of one that is sound and not
// verified, nobody knows.
func (j Judgement) Sound() bool {
	return j.Verdict != nil && j.LastSeen.IsZero() &&
		j.Verdict.Time.Status == TimeValid && j.Verdict.Name.Status == NameMatch &&
		j.Verdict.Trust.Status == Trusted && j.Verdict.Revocation.Status != RevocationRevoked
}

// An Endpoint is one examined view: what was seen and what is said of it.
type Endpoint struct {
	Observation Observation
	Judgement   Judgement
}

// TargetJudgement is what is said of a target over all its current views.
type TargetJudgement struct {
	Expiry   *Expiry
	Lifetime time.Duration
	Tier     Tier
	Verified *bool // nil: not known
	Findings []Finding

	// RenewalDue is when the target becomes overdue by its own history, margin
	// included; zero where nothing was learned.
	RenewalDue time.Time
}

// A Result is everything that one examination of one target gave.
type Result struct {
	Target    Target
	Endpoints []Endpoint
	Judgement TargetJudgement

	// Carried are current views that this examination did not see: their
	// judgements count in the target's expiry, but are not reported as seen.
	Carried []Endpoint

	// Begun is when the target was taken up to be examined: what it says knows
	// nothing of later changes of labels or configuration. Zero if it was only
	// judged again.
	Begun time.Time

	// Changed: an address answered the default offer with another chain than the
	// last time, so what it was answered to other offers may be of the past.
	Changed bool

	// Replaced has the chains, by address, in place of which the default offer was
	// now answered with another.
	Replaced map[string]Fingerprint

	// Retired is how many views of the target there were besides, whose address
	// is no longer among the answers for its name. The store knows it.
	Retired int
}

// A NeedKind says what kind of evidence is missing.
type NeedKind string

// The kinds of evidence.
const (
	NeedIssuer NeedKind = "issuer" // certificates at a caIssuers URL
	NeedCRL    NeedKind = "crl"
	NeedOCSP   NeedKind = "ocsp"
)

// A Need is evidence that judging asks for.
type Need struct {
	Kind NeedKind `json:"kind"`
	URL  string   `json:"url"`

	// Request is the DER of an OCSP request (RFC 6960, section 4.1) in base64,
	// empty for the other kinds.
	Request string `json:"request,omitempty"`
}

// Evidence is what was got for a [Need], or the reason why not.
type Evidence struct {
	Need         Need      `json:"need"`
	Certificates [][]byte  `json:"certificates,omitempty"` // DER, of an issuer
	CRL          *CRL      `json:"-"`                      // kept beside the evidence, as a file
	OCSP         []byte    `json:"ocsp,omitempty"`         // DER of the response
	Error        string    `json:"error,omitempty"`        // why there is none
	ErrorWord    string    `json:"error_word,omitempty"`   // the same as one word, an Evidence constant
	FetchedAt    time.Time `json:"fetched_at"`             // of a CRL or an OCSP answer: when it was first got
	Expires      time.Time `json:"expires"`                // when it is worth asking again
}

// The values of [Evidence.ErrorWord].
const (
	EvidenceUnreachable = "unreachable" // the host has no address, or nothing answers there
	EvidenceTimeout     = "timeout"     // no complete answer in time
	EvidenceTLS         = "tls"         // the https server's own certificate is not good
	EvidenceHTTP        = "http"        // an error status, too many redirects, or no HTTP
	EvidenceTooLarge    = "too_large"
	EvidenceMalformed   = "malformed"       // the answer is not what it should be
	EvidenceBadURL      = "bad_url"         // not a URL that may be fetched, such as ldap
	EvidenceRefused     = "refused_address" // ours: not a public address, and not allowed
	EvidenceNotFetched  = "not_fetched"     // nobody asked, or nobody waited for the answer
	EvidenceLocal       = "local_error"     // ours: such as no space on the disk
)

// EvidenceSet is the evidence that judging has so far.
type EvidenceSet map[Need]Evidence

// A TrustStore is a named and dated set of trust anchors.
type TrustStore struct {
	Name    string // "system", "mozilla" or the file's path
	Date    string // YYYY-MM-DD of the set, "" if unknown
	Note    string // something to tell once, such as a fallback
	Public  bool   // a store of publicly trusted roots, whose certificates the Baseline Requirements bind
	Anchors []Anchor

	// For are the targets for which this store decides; the first store that a
	// target is among those of does, or else the first store without any. With
	// Only it is asked about no other target.
	For  []Selector
	Only bool
}

// An Anchor is one trusted certificate.
type Anchor struct {
	DER []byte

	// Constraint, if not nil, says why a chain under this anchor is not
	// trusted, such as a distrust date.
	Constraint func(chain []*x509.Certificate) error
}
