package scan

import (
	"fmt"
	"time"

	"example.com/certscan/internal/inventory"
)

// guarded judges, and lets no defect in that cost more than one view: what is
// said of a fleet does not depend on what one server made of its certificate.
func guarded(judge Judge, f inventory.Facts, ev inventory.EvidenceSet, now time.Time) (j inventory.Judgement, needs []inventory.Need) {
	defer func() {
		if p := recover(); p != nil {
			j, needs = inventory.Judgement{Findings: []inventory.Finding{{
				Code: inventory.CodeMalformedCertificate, Severity: inventory.CodeMalformedCertificate.DefaultSeverity(),
				Subject: inventory.Subject{Kind: inventory.SubjectView, ID: f.Observation.View().ID()},
				Message: fmt.Sprintf("nothing is known of what was served: a defect of certscan, please report it with the certificate: %v", p),
			}}}, nil
		}
	}()
	return judge.Judge(f, ev, now)
}
