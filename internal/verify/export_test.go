package verify

import (
	"time"

	"example.com/certscan/internal/inventory"
)

// AskCRL is what the judge has from one list about one certificate.
func (j *Judge) AskCRL(list *inventory.CRL, c, issuer []byte, now time.Time) inventory.RevocationAnswer {
	return j.judgeCRL(list, "", j.cert(c, false), j.cert(issuer, false), nil, now)
}
