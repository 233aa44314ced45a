package inventory

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// What a store says when it is asked for something that it does not hold.
// Callers match them with [errors.Is].
var (
	ErrUnknownTarget      = errors.New("unknown target")
	ErrUnknownScan        = errors.New("unknown scan")
	ErrUnknownCertificate = errors.New("unknown certificate")
	ErrNothingToResume    = errors.New("nothing to resume")
)

// MinDigest is the fewest hexadecimal digits that name a certificate.
const MinDigest = 8

// A Query asks which views serve a certificate. A certificate matches if any
// field that is set does.
type Query struct {
	// Digest is the lower-case hexadecimal SHA-256 of a certificate or of its
	// key (SubjectPublicKeyInfo), or the first digits of one, at least
	// [MinDigest].
	Digest string

	// Name is a DNS name or an IP address that the leaf is for, by a name of its
	// own or by a wildcard. ".example.com" and "*.example.com" are everything
	// below example.com.
	Name string
}

// ParseQuery reads what a person typed: digits of a SHA-256, with or without
// colons, or a name. What can be either is both.
func ParseQuery(s string) (Query, error) {
	name := strings.ToLower(strings.TrimSuffix(strings.TrimSpace(s), "."))
	if name == "" || name == "*" {
		return Query{}, fmt.Errorf("%q is neither a name nor a SHA-256", s)
	}
	q := Query{Name: name}
	digest := strings.ReplaceAll(name, ":", "")
	if strings.Trim(digest, "0123456789abcdef") != "" {
		return q, nil
	}
	switch {
	case len(digest) > 2*len(Fingerprint{}):
		return Query{}, fmt.Errorf("%q is too long for a SHA-256: want 64 hexadecimal digits", s)
	case len(digest) >= MinDigest:
		q.Digest = digest
	case !strings.ContainsAny(name, ".:"):
		return Query{}, fmt.Errorf("%q is too short: want at least %d digits of a SHA-256", s, MinDigest)
	}
	return q, nil
}

// A Serving says that a view serves a certificate.
type Serving struct {
	View        View        `json:"view"`
	Certificate Fingerprint `json:"sha256"`
	Position    int         `json:"position"` // in the chain as served; 0 is the leaf
	FirstSeen   time.Time   `json:"first_seen"`
	LastSeen    time.Time   `json:"last_seen"`

	// LastKnown: the view serves nothing at present, and this is what it served
	// when it last did, at LastSeen.
	LastKnown bool `json:"last_known"`

	Labels map[string]string `json:"labels"` // of the target

	// Via, if not zero, is the certificate above this leaf for which the chain
	// was asked for. It need not have been served.
	Via Fingerprint `json:"via"`
}

// A ChangeKind says what is different about a view.
type ChangeKind string

// The kinds of change, in the order in which they are looked for.
const (
	ChangeAppeared    ChangeKind = "appeared"
	ChangeVanished    ChangeKind = "vanished"
	ChangeUnreachable ChangeKind = "unreachable" // it served a certificate and does not any more
	ChangeReachable   ChangeKind = "reachable"
	ChangeCertificate ChangeKind = "certificate" // another leaf
	ChangeChain       ChangeKind = "chain"       // the same leaf with other certificates after it
	ChangeConnection  ChangeKind = "connection"  // version, suite, group, ALPN, client certificate, or how it fails
)

// A Change is what is different about a view between two moments.
type Change struct {
	Kind   ChangeKind
	View   View
	At     time.Time // when the later state was first seen, or the view vanished
	Before *Span     // nil if it appeared
	After  *Span     // nil if it vanished
}

// A Renewal is that another, newer certificate was served in place of one.
type Renewal struct {
	At        time.Time // when the new one was first seen
	NotBefore time.Time // of the new one

	// Left is what the old one had left then, and Lifetime what it had in all.
	Left, Lifetime time.Duration
}

// A FindingStep is what a finding was before it changed while it stayed open.
type FindingStep struct {
	Until    time.Time `json:"until"`
	Severity Severity  `json:"severity"`
	Tier     Tier      `json:"tier"`
}
