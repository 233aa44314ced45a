package inventory

import "time"

// What a server may accept besides what it negotiates: the words of
// [TLSFacts.Accepts], a closed list.
const (
	AcceptsSSL30 = "SSL 3.0"
	AcceptsTLS10 = "TLS 1.0"
	AcceptsTLS11 = "TLS 1.1"
	AcceptsTLS12 = "TLS 1.2"
	AcceptsTLS13 = "TLS 1.3"

	Accepts3DES           = "3DES"
	AcceptsRC4            = "RC4"
	AcceptsDES            = "DES"
	AcceptsExport         = "export"
	AcceptsNULL           = "NULL"
	AcceptsAnonymous      = "anonymous"
	AcceptsRSAKeyExchange = "RSA key exchange"
	AcceptsCBCSHA1        = "CBC-SHA1"
	AcceptsSmallDH        = "DHE below 2048 bits"
)

// AcceptsWords returns every word, in the order in which lists have them.
func AcceptsWords() []string {
	return []string{
		AcceptsSSL30, AcceptsTLS10, AcceptsTLS11, AcceptsTLS12, AcceptsTLS13,
		Accepts3DES, AcceptsRC4, AcceptsDES, AcceptsExport, AcceptsNULL, AcceptsAnonymous,
		AcceptsRSAKeyExchange, AcceptsCBCSHA1, AcceptsSmallDH,
	}
}

// Accepted is what one enumeration found. A word that is in neither list is
// refused.
type Accepted struct {
	At          time.Time `json:"at"`
	Words       []string  `json:"words"`             // accepted
	Unknown     []string  `json:"unknown,omitempty"` // there was no clear answer: not to be taken for absence
	PostQuantum *bool     `json:"post_quantum"`      // nil: no clear answer
}

// Apply writes what was found into t.
func (a Accepted) Apply(t *TLSFacts) {
	t.Accepts, t.AcceptsUnknown, t.AcceptsAt = a.Words, a.Unknown, a.At
	if a.PostQuantum != nil {
		t.PostQuantum = a.PostQuantum
	}
}

// acceptsEvery is how often what a server accepts is worth asking again.
const acceptsEvery = 24 * time.Hour

// AcceptsDue reports whether what a server accepts is to be asked at a time:
// it never was (the zero time), or not within a day.
func AcceptsDue(last, now time.Time) bool { return last.IsZero() || now.Sub(last) >= acceptsEvery }
