package verify

import "example.com/certscan/internal/inventory"

// judgeCT judges the signed certificate timestamps that were served.
func (x *exam) judgeCT() {
	x.verdict.CT.Status = inventory.NotChecked
}
