package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// A Fingerprint is a SHA-256. The zero value means unknown and prints as "".
type Fingerprint [sha256.Size]byte

// FingerprintOf returns the SHA-256 of b.
func FingerprintOf(b []byte) Fingerprint { return sha256.Sum256(b) }

// ParseFingerprint reads 64 hexadecimal digits, with or without colons.
func ParseFingerprint(s string) (Fingerprint, error) {
	var f Fingerprint
	raw := make([]byte, 0, len(s))
	for _, c := range []byte(s) {
		if c != ':' {
			raw = append(raw, c)
		}
	}
	if hex.DecodedLen(len(raw)) != len(f) {
		return f, fmt.Errorf("%q is not a SHA-256: want 64 hexadecimal digits", s)
	}
	if _, err := hex.Decode(f[:], raw); err != nil {
		return Fingerprint{}, fmt.Errorf("%q is not a SHA-256: %w", s, err)
	}
	return f, nil
}

// IsZero reports whether f is unknown.
func (f Fingerprint) IsZero() bool { return f == Fingerprint{} }

// String is lower-case hexadecimal, or "" for the zero value.
func (f Fingerprint) String() string {
	if f.IsZero() {
		return ""
	}
	return hex.EncodeToString(f[:])
}

// MarshalText is [Fingerprint.String].
func (f Fingerprint) MarshalText() ([]byte, error) {
	if f.IsZero() {
		return []byte{}, nil
	}
	return hex.AppendEncode(make([]byte, 0, hex.EncodedLen(len(f))), f[:]), nil
}

// UnmarshalText is the inverse of MarshalText.
func (f *Fingerprint) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*f = Fingerprint{}
		return nil
	}
	v, err := ParseFingerprint(string(b))
	*f = v
	return err
}

// A Certificate is what could be read of one certificate. It is filled as far
// as possible also when the certificate is malformed: ParseError then says what
// is wrong, and SHA256 is always right. Text comes from the network.
type Certificate struct {
	SHA256    Fingerprint `json:"sha256"`
	Serial    string      `json:"serial"`  // lower-case hex of the DER integer, as many digits as octets need; "-" in front if negative
	Subject   string      `json:"subject"` // RFC 4514
	Issuer    string      `json:"issuer"`  // RFC 4514
	Names     []string    `json:"names"`   // DNS names, then IP addresses, of the subjectAltName, in order
	NotBefore time.Time   `json:"not_before"`
	NotAfter  time.Time   `json:"not_after"`
	Key       string      `json:"key"` // "ECDSA P-256", "RSA 2048", "Ed25519"
	SPKI      Fingerprint `json:"spki_sha256"`
	Signature string      `json:"signature"` // "ECDSA-SHA256"
	IsCA      bool        `json:"is_ca"`

	ParseError string `json:"parse_error"`

	// Further facts, for indexes and messages.
	SubjectCN     string      `json:"subject_cn,omitempty"`
	IssuerCN      string      `json:"issuer_cn,omitempty"`
	IssuerOrg     string      `json:"issuer_organization,omitempty"`
	SelfIssued    bool        `json:"self_issued,omitempty"`    // issuer and subject are the same name
	IssuerURLs    []string    `json:"issuer_urls,omitempty"`    // AIA caIssuers
	OCSPURLs      []string    `json:"ocsp_urls,omitempty"`      // AIA ocsp
	CRLURLs       []string    `json:"crl_urls,omitempty"`       // CRL distribution points
	IssuerKey     Fingerprint `json:"issuer_spki_sha256"`       // SPKI of the key whose signature on it was verified
	TBS           Fingerprint `json:"tbs_sha256"`               // TBSCertificate without poison and SCT list (RFC 6962 joins on it)
	Precert       bool        `json:"precertificate,omitempty"` // carries the poison extension
	MustStaple    bool        `json:"must_staple,omitempty"`    // RFC 7633 status_request
	PublicKeyBits int         `json:"key_bits,omitempty"`
}

// Lifetime is the time between NotBefore and NotAfter.
func (c Certificate) Lifetime() time.Duration { return c.NotAfter.Sub(c.NotBefore) }

// ChainID identifies a chain by its certificates in the order served.
func ChainID(chain [][]byte) Fingerprint {
	h := sha256.New()
	for _, der := range chain {
		f := FingerprintOf(der)
		h.Write(f[:])
	}
	var id Fingerprint
	h.Sum(id[:0])
	return id
}
