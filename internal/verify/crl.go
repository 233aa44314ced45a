package verify

import (
	"time"

	"example.com/certscan/internal/inventory"
)

// judgeCRL says what one list, from url or given if that is empty, says of c.
// The signature has to be by issuer, or by one of signers with the same name;
// the caller knows a valid path for each of them.
func (j *Judge) judgeCRL(list *inventory.CRL, url string, c, issuer *cert, signers []*cert, now time.Time) inventory.RevocationAnswer {
	return inventory.RevocationAnswer{Source: inventory.SourceCRL, URL: url, Status: inventory.RevocationUnknown}
}
