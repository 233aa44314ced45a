package verify

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// How old a list may be for absence from it to mean that a certificate is not
// revoked. That is not for its nextUpdate alone to say: an issuer that names a
// day years ahead promises nothing, and whoever replays such a list hides years
// of revocations.
//
// A promise of a month and less is believed, which covers the ten days of the
// Baseline Requirements (section 4.9.7) and the thirty that private authorities
// like. Beyond it, or without any, a list is good for the seven days after which
// those requirements want the next one, and one for a CA certificate for the
// twelve months that they give it.
const (
	maxCRLPromise    = 35 * 24 * time.Hour
	maxCRLAge        = 7 * 24 * time.Hour
	maxCRLAgeCA      = 366 * 24 * time.Hour
	maxCRLClockAhead = time.Minute // that an issuer's clock may be ahead of ours
)

// usageCRLSign is that bit of keyUsage, as it stands in its first octet.
const usageCRLSign = 0x02

// judgeCRL says what one list, from url or given if that is empty, says of c.
// The signature has to be by issuer, or by one of signers with the same name;
// the caller knows a valid path for each of them.
//
// It is the part of RFC 5280, section 6.3.3, that needs one list. What limits a
// list, in form, scope or age, says what absence from it is worth, and never
// takes anything back that its issuer signed: a serial number is unique for the
// issuer, so one that is listed is that of c, and c is revoked (X.509, section
// 7.3, for extensions that are not understood). Only a hold ends with the list
// that tells of it. All that is costly is remembered, so that a list that
// thousands share is checked once.
func (j *Judge) judgeCRL(list *inventory.CRL, url string, c, issuer *cert, signers []*cert, now time.Time) inventory.RevocationAnswer {
	a := inventory.RevocationAnswer{
		Source: inventory.SourceCRL, URL: url, Status: inventory.RevocationUnknown,
		ThisUpdate: list.ThisUpdate, NextUpdate: list.NextUpdate,
	}
	suspicion := ""
	unknown := func(reason, detail string) inventory.RevocationAnswer {
		a.Reason, a.Detail, a.Listed = reason, detail+suspicion, suspicion != ""
		return a
	}
	if of := (name{raw: list.Issuer}); !of.equal(&c.issuer) {
		attrs, _ := attributes(list.Issuer)
		return unknown(inventory.UnknownWrongIssuer, "the list is by "+quote(distinguishedName(attrs))+", and the certificate by "+quote(c.info.Issuer))
	}
	alg, reason, detail := j.checkSigner(list, issuer, signers)
	if reason != "" {
		return unknown(reason, detail)
	}
	if len(c.serial) == 0 {
		return unknown(inventory.UnknownMalformed, "the certificate has no serial number to look for")
	}
	entry, listed := list.Entries.Lookup(shortest(c.serial))
	if listed && entry.Reason != reasonRemoveFromCRL { // also where it is not to be believed, it is worth a look
		suspicion = "; it does list the certificate as revoked (" + revocationReason(entry.Reason) + ", " + date(entry.RevokedAt) + ")"
	}
	stale := staleness(list, c, now)
	limit, why := limits(list, c)
	switch {
	case now.Add(maxCRLClockAhead).Before(list.ThisUpdate):
		return unknown(inventory.UnknownNotYetValid, "the list is of "+instant(list.ThisUpdate)+", which is still to come")
	case list.Point != nil && list.Point.OnlyAttributeCerts: // they have serial numbers of their own
		return unknown(limit, why)
	case suspicion != "" && (stale == "" || entry.Reason != reasonHold):
		a.Status, a.Reason, a.RevokedAt = inventory.RevocationRevoked, revocationReason(entry.Reason), entry.RevokedAt
		switch {
		case limit != "":
			a.Detail = why + "; its absence from the list would say nothing, but it is there"
		case stale != "":
			a.Detail = "the list is out of date (" + stale + "), but what is revoked stays so"
		}
		return a
	case limit != "":
		return unknown(limit, why)
	case listed && entry.Reason == reasonRemoveFromCRL:
		return unknown(inventory.UnknownMalformed, "the list gives a reason that only a delta list may give")
	case alg.weak():
		return unknown(inventory.UnknownWeakSignature, "the list is signed with "+alg.label+", which can be forged")
	case stale != "":
		return unknown(inventory.UnknownStale, stale)
	}
	a.Status = inventory.RevocationGood
	return a
}

// The values of CRLReason that judging tells apart.
const (
	reasonHold          = 6
	reasonRemoveFromCRL = 8
)

// shortest is an INTEGER in its only form by DER, which lists keep to and
// certificates may not.
func shortest(b []byte) []byte {
	for len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		b = b[1:]
	}
	return b
}

// checkSigner looks for who signed the list, and may. If there is nobody, reason
// says why.
func (j *Judge) checkSigner(list *inventory.CRL, issuer *cert, signers []*cert) (alg sigAlg, reason, detail string) {
	id, _ := single(list.Algorithm, tagSequence)
	alg = signatureAlgorithm(id)
	reason, detail = inventory.UnknownBadSignature, "the list is not signed by the key of "+issuer.called()
	for i := -1; i < len(signers); i++ {
		by := issuer
		if i >= 0 {
			if by = signers[i]; !by.subject.equal(&issuer.subject) {
				continue
			}
		}
		switch err := j.signedList(list, alg, by); {
		case errors.Is(err, errBadSignature):
		case err != nil:
			if reason == inventory.UnknownBadSignature {
				reason = inventory.UnknownUnsupportedSignature
				detail = fmt.Sprintf("the signature on the list (%s, by a key %s) cannot be verified here", alg.label, by.key.label)
			}
		case by.ext.hasKU && by.ext.keyUsage&usageCRLSign == 0, i >= 0 && !by.ext.isCA && !by.ext.hasKU:
			reason = inventory.UnknownUnauthorizedSigner
			detail = by.called() + " signed the list, and may not by its key usage"
		default:
			return alg, "", ""
		}
	}
	return alg, reason, detail
}

// signedList checks the signature of by's key on the list, once.
func (j *Judge) signedList(list *inventory.CRL, alg sigAlg, by *cert) error {
	e := edge{list.SHA256, by.key.id}
	if err, known := j.edges.get(e); known {
		return err
	}
	err := errUnsupportedAlgorithm
	if alg.hash == list.Hash && (list.Digest != nil || list.TBS != nil) {
		err = verifyDigest(&by.key, alg, list.Digest, list.TBS, list.Signature)
	}
	j.edges.put(e, err)
	return err
}

// limits says why absence from a rightly signed list says nothing of c, whatever
// the list's age.
func limits(list *inventory.CRL, c *cert) (reason, detail string) {
	switch {
	case list.NumberCritical:
		return inventory.UnknownMalformed, "the list's CRL number is critical, which RFC 5280, section 5.2.3, forbids"
	case list.HasAuthorityKeyID && list.Number == nil:
		// The profile demands both of every list. One with neither is older or
		// simpler than that, as those of version 1 are; with one it breaks the
		// rules that it claims to follow, and cannot be told from its successors.
		return inventory.UnknownMalformed, "the list has no CRL number, which RFC 5280, section 5.2.3, demands"
	case len(list.UnknownCritical) > 0:
		return inventory.UnknownUnhandledCritical, "the list has a critical extension that is not understood: " + strings.Join(list.UnknownCritical, ", ")
	case list.Delta:
		return inventory.UnknownUnsupportedCRL, "it is a delta list, which is worth nothing alone"
	case c.pointsElsewhere():
		return inventory.UnknownUnsupportedCRL, "the certificate names only lists of another issuer or for some reasons"
	case list.Point != nil:
		return outOfScope(&listPoint{list.Point, list.Issuer}, c)
	}
	return "", ""
}

// outOfScope says why a list for the point p does not cover c (RFC 5280,
// sections 5.2.5 and 6.3.3).
func outOfScope(p *listPoint, c *cert) (reason, detail string) {
	scopes := 0
	for _, only := range []bool{p.OnlyUserCerts, p.OnlyCACerts, p.OnlyAttributeCerts} {
		if only {
			scopes++
		}
	}
	switch {
	case scopes > 1:
		return inventory.UnknownMalformed, "the list says that it holds only one kind of certificates, and only another"
	case p.Indirect:
		return inventory.UnknownUnsupportedCRL, "the list is indirect: it holds certificates of several issuers"
	case p.OnlySomeReasons:
		return inventory.UnknownUnsupportedCRL, "the list holds only what was revoked for some reasons"
	case p.OnlyAttributeCerts:
		return inventory.UnknownOutOfScope, "the list is for attribute certificates"
	case scopes > 0 && c.version < 3:
		return inventory.UnknownOutOfScope, "the list is for some kind of certificates, and one of version 1 does not say which it is"
	case p.OnlyUserCerts && c.ext.isCA:
		return inventory.UnknownOutOfScope, "the list is not for CA certificates"
	case p.OnlyCACerts && !c.ext.isCA:
		return inventory.UnknownOutOfScope, "the list is for CA certificates only"
	case p.HasName && !p.distributes(c):
		where := "under a name that is no address"
		if len(p.URIs) > 0 {
			where = "at " + quote(printable(p.URIs[0]))
		}
		return inventory.UnknownIDPMismatch, "the list is for certificates that point to the one " + where + ", and this one does not"
	}
	return "", ""
}

// staleness says why absence from the list means nothing any more.
func staleness(list *inventory.CRL, c *cert, now time.Time) string {
	age, kind := maxCRLAge, ""
	if c.ext.isCA {
		age, kind = maxCRLAgeCA, " about a CA certificate"
	}
	promised := !list.NextUpdate.IsZero()
	tooOld := !now.Before(list.ThisUpdate.Add(age + time.Second))
	switch {
	case promised && !now.Before(list.NextUpdate.Add(time.Second)):
		return "the list was to be renewed by " + instant(list.NextUpdate)
	case promised && list.NextUpdate.Sub(list.ThisUpdate) <= maxCRLPromise:
		return ""
	case !promised && !now.Before(list.ThisUpdate.Add(maxCRLAge+time.Second)):
		return fmt.Sprintf("the list is of %s and does not say when the next is due, so it was good for %d days", date(list.ThisUpdate), maxCRLAge/(24*time.Hour))
	case tooOld:
		return fmt.Sprintf("the list is of %s, and one%s is good for %d days, though it names %s for the next", date(list.ThisUpdate), kind, age/(24*time.Hour), date(list.NextUpdate))
	}
	return ""
}
