package verify

import (
	"time"

	"example.com/certscan/internal/inventory"
)

// AskCRL is what the judge has from one list about one certificate.
func (j *Judge) AskCRL(list *inventory.CRL, c, issuer []byte, now time.Time, signers ...[]byte) inventory.RevocationAnswer {
	var certs []*cert
	for _, der := range signers {
		certs = append(certs, j.cert(der, false))
	}
	return j.judgeCRL(list, "", j.cert(c, false), j.cert(issuer, false), certs, now)
}

// ParseTime is parseTime of an element with the tag and content given.
func ParseTime(tag byte, content string) (time.Time, bool) {
	return parseTime(element{tag: tag, content: []byte(content)})
}
