package verify

import "example.com/certscan/internal/inventory"

// judgeRevocation asks what is known of revocation of the leaf and of the
// intermediates on the best path.
func (x *exam) judgeRevocation(_ inventory.EvidenceSet) {
	x.verdict.Revocation.Status = inventory.NotChecked
}
