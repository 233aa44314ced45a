package inventory

import "time"

// A Distrusted is an authority that is not to be trusted, whatever a trust
// store says of it: stores and builds are older than the news. One of
// Certificate, Key, KeyID and Issuer says who is meant.
type Distrusted struct {
	Certificate Fingerprint // SHA-256 of a certificate
	Key         Fingerprint // SHA-256 of a SubjectPublicKeyInfo: every certificate of the key
	KeyID       []byte      // subject key identifier
	Issuer      string      // an authority's name in any form that [ParseName] reads, or else its common name; letter case does not count

	// After, if not zero, spares the chains whose leaf was issued (notBefore)
	// until then.
	After time.Time

	Name   string // what to call it, "" where the certificate's own name does
	Date   string // YYYY-MM-DD of the decision
	Reason string
	Source string // where that is written: an address, or a document's name
}

// A DistrustList is a named and dated list of [Distrusted].
type DistrustList struct {
	Name    string // "built-in" or the file's path
	Date    string // YYYY-MM-DD of the latest decision in it, "" if unknown
	Entries []Distrusted
}
