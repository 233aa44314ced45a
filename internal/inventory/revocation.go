package inventory

import (
	"crypto"
	"time"
)

// The values of [RevocationVerdict.Status]. Unknown never becomes good.
const (
	RevocationGood          = "good"
	RevocationRevoked       = "revoked"
	RevocationUnknown       = "unknown"
	RevocationNotApplicable = "not_applicable" // short-lived, and nothing to ask
)

// The values of [RevocationAnswer.Source].
const (
	SourceCRL    = "crl"
	SourceOCSP   = "ocsp"
	SourceStaple = "staple"
	SourceOneCRL = "onecrl"
)

// Why the answer of a list is not known: values of [RevocationAnswer.Reason]
// where its status is [RevocationUnknown].
const (
	UnknownUnreachable          = "unreachable"           // nobody answered
	UnknownStale                = "stale"                 // too old for absence to mean anything
	UnknownNotYetValid          = "not_yet_valid"         // its time is still to come
	UnknownWrongIssuer          = "wrong_issuer"          // it is by another issuer than the certificate
	UnknownBadSignature         = "bad_signature"         // it is not signed by any key of the issuer
	UnknownUnsupportedSignature = "unsupported_signature" // the algorithm or the key is not known here
	UnknownUnauthorizedSigner   = "unauthorized_signer"   // the key may not sign lists
	UnknownWeakSignature        = "weak_signature"        // MD5 or SHA-1, and no revocation
	UnknownMalformed            = "malformed"             // it breaks the rules for its form
	UnknownUnhandledCritical    = "unhandled_critical"    // it has a critical extension that is not understood
	UnknownUnsupportedCRL       = "unsupported_crl"       // indirect, a delta, or for some reasons only
	UnknownOutOfScope           = "out_of_scope"          // it is for another kind of certificates
	UnknownIDPMismatch          = "idp_mismatch"          // it is for certificates that point elsewhere
)

// RevocationVerdict says what is known of revocation of the leaf, and of the
// intermediates on the path that counts.
type RevocationVerdict struct {
	Status string `json:"status"` // a Revocation constant, or [NotChecked]
	Source string `json:"source"` // which answer decided, "" if none did

	// Reason is the CRLReason (RFC 5280, section 5.3.1) of what is revoked, such
	// as "keyCompromise"; why it is not known, in one word such as
	// "unreachable", "stale" or "idp_mismatch"; or why it does not apply.
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"` // the same as a sentence

	RevokedAt time.Time `json:"revoked_at,omitzero"`
	CheckedAt time.Time `json:"checked_at,omitzero"` // thisUpdate of the answer that decided

	// Answers are all that were looked at, also those that did not decide.
	Answers []RevocationAnswer `json:"answers,omitempty"`

	// Intermediates are those of the best path that were asked for.
	Intermediates []IntermediateRevocation `json:"intermediates,omitempty"`
}

// A RevocationAnswer is what one source says of one certificate.
type RevocationAnswer struct {
	Source     string    `json:"source"`
	URL        string    `json:"url,omitempty"` // "" if it was served or given
	Status     string    `json:"status"`
	Reason     string    `json:"reason"`
	Detail     string    `json:"detail,omitempty"`
	Listed     bool      `json:"listed,omitempty"` // on a list of the issuer, although the status is not known
	RevokedAt  time.Time `json:"revoked_at,omitzero"`
	ThisUpdate time.Time `json:"this_update,omitzero"`
	NextUpdate time.Time `json:"next_update,omitzero"`
}

// IntermediateRevocation is the verdict about one intermediate.
type IntermediateRevocation struct {
	SHA256    Fingerprint        `json:"sha256"`
	Subject   string             `json:"subject"`
	Status    string             `json:"status"`
	Source    string             `json:"source"`
	Reason    string             `json:"reason"`
	RevokedAt time.Time          `json:"revoked_at,omitzero"`
	Answers   []RevocationAnswer `json:"answers,omitempty"`
}

// A CRL is what one certificate revocation list says (RFC 5280, section 5),
// read strictly. That it is whole is known; whether its signature is right, who
// may have signed it and what it covers are for judging.
type CRL struct {
	SHA256 Fingerprint // of the whole DER
	Size   int64       // octets

	Issuer     []byte // the Name's DER
	ThisUpdate time.Time
	NextUpdate time.Time // zero if the list has none
	Number     []byte    // the INTEGER's octets, nil without the extension

	NumberCritical    bool   // the CRL number is marked critical, which RFC 5280 forbids
	HasAuthorityKeyID bool   // the extension is there
	AuthorityKeyID    []byte // nil without the extension or without a keyIdentifier

	Point *IssuingDistributionPoint
	Delta bool // the list has a delta CRL indicator

	// UnknownCritical are critical extensions, of the list or of its entries,
	// that this build does not know, dotted.
	UnknownCritical []string

	// Algorithm is the signature's AlgorithmIdentifier, the same inside and
	// outside. Digest is the TBSCertList's under Hash; where the algorithm signs
	// the whole text and no digest of it, Hash is 0 and TBS the text; where the
	// algorithm is not known, there is neither.
	Algorithm []byte
	Hash      crypto.Hash
	Digest    []byte
	TBS       []byte
	Signature []byte

	Entries RevokedEntries
}

// RevokedEntries is the table of a [CRL]. What an indirect list says of the
// certificates of others than its own issuer is not in it.
type RevokedEntries interface {
	// Lookup finds the entry of a serial number, given as the octets of its
	// INTEGER.
	Lookup(serial []byte) (RevokedEntry, bool)
	Len() int
	Bytes() int // of memory that the table holds
}

// A RevokedEntry is one line of a [CRL].
type RevokedEntry struct {
	RevokedAt time.Time
	Reason    int // CRLReason; -1 if the entry has none
}

// An IssuingDistributionPoint says what a [CRL] covers (RFC 5280, section
// 5.2.5).
type IssuingDistributionPoint struct {
	Critical bool
	URIs     []string // of the fullName, each as encoded
	Names    [][]byte // DER of every GeneralName of the fullName, URIs among them
	Relative []byte   // content of nameRelativeToCRLIssuer, nil if absent
	HasName  bool     // a distributionPoint is there

	OnlyUserCerts      bool
	OnlyCACerts        bool
	OnlySomeReasons    bool
	Indirect           bool
	OnlyAttributeCerts bool
}

// Given is revocation material and issuers that a person handed over, as with
// files on the command line. It is believed no more than what is fetched.
type Given struct {
	CRLs    []*CRL
	OCSP    [][]byte // DER of OCSP responses
	Issuers [][]byte // DER of certificates that may have issued others

	// Unreadable is what was given as a CRL or an OCSP response and is neither,
	// as the answers that are not known for that.
	Unreadable []RevocationAnswer
}

// A OneCRLEntry names one revoked intermediate as Mozilla's list does: by issuer
// and serial number, or by subject and key.
type OneCRLEntry struct {
	Issuer []byte // the Name's DER
	Serial []byte // the INTEGER's octets

	Subject []byte // the Name's DER
	KeyHash []byte // SHA-256 of the SubjectPublicKeyInfo
}

// A RevocationMode says what is asked about revocation.
type RevocationMode string

// Soft tells what could not be found out as information, hard as critical, off
// asks nobody.
const (
	RevocationSoft RevocationMode = "soft"
	RevocationHard RevocationMode = "hard"
	RevocationOff  RevocationMode = "off"
)
