package verify

import (
	"fmt"
	"slices"

	"example.com/certscan/internal/inventory"
)

// reportRevocation turns what was answered into findings.
func (x *exam) reportRevocation(leaf *revocation) {
	if leaf.revoked() {
		x.find(inventory.CodeRevoked, "the certificate %s", revokedText(leaf.decides))
	}
	for i := range x.above {
		if a := &x.above[i]; a.revoked() {
			x.find(inventory.CodeIntermediateRevoked, "the intermediate %s %s, and every path needs it; have the certificate replaced by one that another intermediate issues",
				a.cert.called(), revokedText(a.decides))
		}
	}
	for _, c := range x.avoided {
		x.add(inventory.CodeIntermediateRevoked, "", inventory.Warning,
			"the intermediate "+c.called()+" is revoked; the chain holds over another, but clients that build no other path fail: stop sending it")
	}
	x.reportUnknown(leaf)
	x.reportStaple(leaf)
	all := []*revocation{leaf}
	for i := range x.above {
		all = append(all, &x.above[i])
	}
	x.reportCRL(all...)
	x.reportPointers()
}

func revokedText(a inventory.RevocationAnswer) string {
	when := ""
	if !a.RevokedAt.IsZero() {
		when = " on " + date(a.RevokedAt)
	}
	why := ""
	if a.Reason != "" && a.Reason != revocationReason(0) {
		why = " (" + a.Reason + ")"
	}
	return "was revoked" + when + why + ", says " + sourceText(a)
}

// sourceText names who gave an answer.
func sourceText(a inventory.RevocationAnswer) string {
	what := map[string]string{
		inventory.SourceCRL: "the CRL", inventory.SourceOCSP: "the OCSP response",
		inventory.SourceStaple: "the stapled OCSP response", inventory.SourceOneCRL: "OneCRL",
	}[a.Source]
	switch {
	case a.URL != "":
		what += " from " + quote(a.URL)
	case a.Source == inventory.SourceCRL, a.Source == inventory.SourceOCSP:
		what += " that was given"
	}
	return what
}

// reportUnknown says that revocation could not be found out. That there is
// nobody to ask is worth no word where only what was asked in vain is.
func (x *exam) reportUnknown(leaf *revocation) {
	hard := x.judge.opt.Revocation == inventory.RevocationHard
	tell := func(who string, r *revocation) bool {
		d := &r.decides
		if d.Status != inventory.RevocationUnknown || !hard && (d.Reason == unknownNoPointer || d.Reason == unknownNoIssuer) {
			return false
		}
		severity := inventory.CodeRevocationUnknown.DefaultSeverity()
		if hard {
			severity = inventory.Critical
		}
		from := ""
		if d.Source != "" {
			from = " from " + sourceText(*d)
		}
		x.add(inventory.CodeRevocationUnknown, "", severity, fmt.Sprintf("whether %s is revoked is not known%s (%s): %s", who, from, d.Reason, d.Detail))
		return true
	}
	if tell("the certificate", leaf) {
		return
	}
	for i := range x.above {
		if a := &x.above[i]; tell("the intermediate "+a.cert.called(), a) {
			return
		}
	}
}

// reportStaple judges what the server stapled, and whether it had to.
func (x *exam) reportStaple(leaf *revocation) {
	answers := leaf.answers
	if leaf.before {
		answers = answers[:len(answers)-1]
	}
	i := slices.IndexFunc(answers, func(a inventory.RevocationAnswer) bool { return a.Source == inventory.SourceStaple })
	must := x.leaf.info.MustStaple
	if i < 0 {
		if must && x.couldStaple() {
			x.find(inventory.CodeMustStapleMissing, "the certificate demands a stapled OCSP response and the server sent none; Firefox refuses that: switch stapling on, or renew without the demand")
		}
		return
	}
	switch a := answers[i]; {
	case a.Status != inventory.RevocationUnknown, a.Reason == unknownNotKept:
	case a.Reason == inventory.UnknownStale:
		severity := inventory.CodeStapleStale.DefaultSeverity()
		if must {
			severity = inventory.Critical
		}
		x.add(inventory.CodeStapleStale, "", severity, "the stapled OCSP response is out of date: "+a.Detail+"; the server does not renew it")
	case a.Reason == inventory.UnknownNotYetValid:
		severity := inventory.CodeStapleStale.DefaultSeverity()
		if must {
			severity = inventory.Critical
		}
		x.add(inventory.CodeStapleStale, "", severity, "the stapled OCSP response is of the future: "+a.Detail+"; the clock of the responder or of this machine is wrong")
	default:
		x.find(inventory.CodeStapleInvalid, "the stapled OCSP response is of no use, and some clients refuse the connection for it (%s): %s", a.Reason, a.Detail)
	}
}

// couldStaple reports whether the handshake went so far that a staple would
// have been seen. All of ours ask for one, but a census stops before it, and a
// chain that was got in another way says nothing of it.
func (x *exam) couldStaple() bool {
	o := &x.facts.Observation
	return len(o.Chain) > 0 && x.leaf.info.SHA256 == inventory.FingerprintOf(o.Chain[0]) && len(o.Staple) == 0 &&
		o.TLS != nil && !o.TLS.Stapled && o.Offer != inventory.OfferCensus &&
		o.Capture != nil && o.Capture.Method == inventory.CaptureHandshake && o.Capture.HandshakeComplete
}

// reportCRL tells of lists that were got and that nobody can use: that is the
// authority's defect, or whoever gave the file took the wrong one.
func (x *exam) reportCRL(list ...*revocation) {
	for _, r := range list {
		for _, a := range r.answers {
			switch {
			case a.Source != inventory.SourceCRL || a.Status != inventory.RevocationUnknown || !a.Listed && !crlAtFault(a.Reason):
			case a.URL == "" && (r.settled() || a.Reason == inventory.UnknownWrongIssuer): // it was given for another certificate
			default:
				x.find(inventory.CodeCRLInvalid, "%s cannot be used (%s): %s", sourceText(a), a.Reason, a.Detail)
				return
			}
		}
	}
}

// reportPointers finds public certificates that nobody can ask about (Baseline
// Requirements, section 7.1.2.11.2).
func (x *exam) reportPointers() {
	if x.public && !x.leaf.pointsToRevocation() && !x.leaf.shortLived() && x.leaf.flaw == "" {
		x.add(inventory.CodeProfile, "revocation_pointer", inventory.CodeProfile.DefaultSeverity(),
			"it names neither a CRL nor an OCSP responder, and is valid for too long for that")
	}
}

// worseRevocation reports whether status a is worse than b.
func worseRevocation(a, b string) bool {
	order := []string{
		inventory.RevocationRevoked, inventory.RevocationUnknown, inventory.NotChecked, inventory.RevocationGood, inventory.RevocationNotApplicable,
	}
	return slices.Index(order, a) < slices.Index(order, b)
}

// crlAtFault reports whether the reason is a defect of the list, and not of the
// way to it, of its age or of what is supported here.
func crlAtFault(reason string) bool {
	switch reason {
	case inventory.UnknownMalformed, inventory.UnknownWrongIssuer, inventory.UnknownBadSignature, inventory.UnknownUnauthorizedSigner,
		inventory.UnknownWeakSignature, inventory.UnknownOutOfScope, inventory.UnknownIDPMismatch:
		return true
	}
	return false
}
