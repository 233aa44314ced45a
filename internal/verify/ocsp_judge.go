package verify

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/sha1"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// How old an OCSP answer may be. The Baseline Requirements (section 4.9.10) give
// a response about a subscriber's certificate ten days at most and have one
// about a CA renewed every twelve months. A response without nextUpdate says
// that there is always newer information (RFC 6960, section 2.4); the limit is
// then that of a CRL without one.
const (
	maxOCSPAge        = 10 * 24 * time.Hour
	maxOCSPAgeCA      = 366 * 24 * time.Hour
	maxOCSPAgeWithout = 7 * 24 * time.Hour
	maxOCSPClockAhead = time.Minute // that a responder's clock may be ahead (RFC 5019, section 4)
)

// Words for what is not known from a response, besides those of [inventory] and
// of [ocspStatus].
const (
	unknownUnauthorizedResponder = "unauthorized_responder"
	unknownOtherCertificate      = "other_certificate"
)

// maxResponders bounds the certificates in a response that are looked at.
const maxResponders = 16

// judgeOCSP says what a response, served or from url, says of c. The issuer of c
// is known.
//
// SHA-1 is accepted as the hash of a CertID, where it identifies and proves
// nothing, and in the signature of the response, as browsers do: old responders
// still sign so, and an attacker has no say in what they sign when no nonce is
// sent. It is not accepted in the signature on a responder's certificate.
func (j *Judge) judgeOCSP(response []byte, source, url string, c, issuer *cert, now time.Time) inventory.RevocationAnswer {
	a := inventory.RevocationAnswer{Source: source, URL: url, Status: inventory.RevocationUnknown}
	unknown := func(reason, format string, args ...any) inventory.RevocationAnswer {
		a.Reason, a.Detail = reason, fmt.Sprintf(format, args...)
		return a
	}
	r, err := parseOCSP(response)
	switch {
	case err != nil:
		return unknown(inventory.UnknownMalformed, "%v", err)
	case r.status != 0:
		word, text := ocspStatus(r.status)
		return unknown(word, "the responder answered: %s", text)
	case r.kind != oidOCSPBasic:
		return unknown("unsupported", "the response is of the type %s, which is not known", oidString([]byte(r.kind)))
	}
	list := r.about(c, issuer)
	if len(list) == 0 {
		return unknown(unknownOtherCertificate, "the response is not about this certificate")
	}
	a.ThisUpdate, a.NextUpdate = list[0].thisUpdate, list[0].nextUpdate
	if r.critical != "" {
		return unknown(inventory.UnknownUnhandledCritical, "the response has a critical extension that is not understood: %s", r.critical)
	}
	responder, reason, detail := j.responder(r, issuer, now)
	if reason != "" {
		return unknown(reason, "%s", detail)
	}
	// Of what is in time the worst counts. What is not says nothing, but that what
	// was revoked stays so, unless it was on hold.
	var worst *ocspSingle
	late, critical := "", ""
	for _, s := range list {
		reason, why := s.outOfTime(c, now)
		if reason != "" && (reason != inventory.UnknownStale || s.status != ocspRevoked || s.reason == reasonHold) {
			a.ThisUpdate, a.NextUpdate = s.thisUpdate, s.nextUpdate
			unknown(reason, "%s", why)
			continue
		}
		if worst == nil || s.rank() > worst.rank() {
			worst, late = s, why
		}
		critical = cmp.Or(critical, s.critical)
	}
	if worst == nil {
		return a
	}
	a.ThisUpdate, a.NextUpdate = worst.thisUpdate, worst.nextUpdate
	if reason, why := r.producedOutOfTime(c, responder, issuer, now); reason != "" {
		return unknown(reason, "%s", why)
	}
	if critical != "" && (worst.status != ocspRevoked || worst.critical != "") {
		return unknown(inventory.UnknownUnhandledCritical, "what is said of the certificate has a critical extension that is not understood: %s", critical)
	}
	a = worst.answer(a)
	if late != "" {
		a.Detail = "the response is out of date (" + late + "), but what is revoked stays so"
	}
	return a
}

// about returns what r says of c.
func (r *ocspResponse) about(c, issuer *cert) []*ocspSingle {
	var list []*ocspSingle
	for i := range r.singles {
		if s := &r.singles[i]; s.isFor(c, issuer) {
			list = append(list, s)
		}
	}
	return list
}

// answer is a with what s says.
func (s *ocspSingle) answer(a inventory.RevocationAnswer) inventory.RevocationAnswer {
	a.Reason, a.Detail = "", ""
	switch s.status {
	case ocspGood:
		a.Status = inventory.RevocationGood
	case ocspRevoked:
		a.Status, a.RevokedAt, a.Reason = inventory.RevocationRevoked, s.revokedAt, revocationReason(s.reason)
	default:
		a.Reason, a.Detail = "unknown", "the responder does not know the certificate"
	}
	return a
}

func (s *ocspSingle) rank() int {
	return slices.Index([]byte{ocspGood, ocspUnknown, ocspRevoked}, s.status)
}

// isFor reports whether s is about c (RFC 6960, section 4.1.1).
func (s *ocspSingle) isFor(c, issuer *cert) bool {
	if len(c.serial) == 0 || !bytes.Equal(s.serial, shortest(c.serial)) {
		return false
	}
	var h crypto.Hash
	switch s.hash {
	case "\x2b\x0e\x03\x02\x1a":
		h = crypto.SHA1
	case "\x60\x86\x48\x01\x65\x03\x04\x02\x01":
		h = crypto.SHA256
	case "\x60\x86\x48\x01\x65\x03\x04\x02\x02":
		h = crypto.SHA384
	case "\x60\x86\x48\x01\x65\x03\x04\x02\x03":
		h = crypto.SHA512
	default:
		return false
	}
	// The name is that in c; some responders take it from the issuer's
	// certificate, where the same name may be encoded differently.
	return bytes.Equal(s.issuerHash, digest(h, issuer.key.point)) &&
		(bytes.Equal(s.nameHash, digest(h, c.issuer.raw)) || bytes.Equal(s.nameHash, digest(h, issuer.subject.raw)))
}

// ocspAge is how old what s says of c may be.
func (s *ocspSingle) ocspAge(c *cert) time.Duration {
	switch {
	case s.nextUpdate.IsZero():
		return maxOCSPAgeWithout
	case c.ext.isCA:
		return maxOCSPAgeCA
	}
	return maxOCSPAge
}

// outOfTime says why s does not count now, if it does not.
func (s *ocspSingle) outOfTime(c *cert, now time.Time) (reason, detail string) {
	age := s.ocspAge(c)
	switch {
	case s.thisUpdate.After(now.Add(maxOCSPClockAhead)):
		return inventory.UnknownNotYetValid, "it is for a time from " + instant(s.thisUpdate) + " on, which is still to come"
	case !s.nextUpdate.IsZero() && s.nextUpdate.Before(s.thisUpdate):
		return inventory.UnknownMalformed, "it was to be replaced before it was made"
	case !s.nextUpdate.IsZero() && now.After(s.nextUpdate):
		return inventory.UnknownStale, "it was to be replaced by " + instant(s.nextUpdate)
	case now.Sub(s.thisUpdate) > age:
		return inventory.UnknownStale, fmt.Sprintf("it is of %s, more than %s ago", instant(s.thisUpdate), span(age))
	}
	return "", ""
}

// producedOutOfTime says why a response cannot have been made when it says, if
// so: nothing is said about a certificate before it is there or after it ended,
// nor by whom was not authorised yet.
func (r *ocspResponse) producedOutOfTime(c, responder, issuer *cert, now time.Time) (reason, detail string) {
	outside := func(c *cert) bool { return !during([]time.Time{r.producedAt}, c.info.NotBefore, c.info.NotAfter) }
	at := "it was produced at " + instant(r.producedAt)
	switch {
	case r.producedAt.After(now.Add(maxOCSPClockAhead)):
		return inventory.UnknownNotYetValid, at + ", which is still to come"
	case c.dated && outside(c):
		return inventory.UnknownStale, at + ", when the certificate was not valid"
	case responder != issuer && outside(responder):
		return inventory.UnknownStale, at + ", when the responder's certificate was not valid"
	}
	return "", ""
}

// responder finds who signed the response: the issuer itself, or somebody whom
// it authorised with a certificate in the response (RFC 6960, section 4.2.2.2).
// If nobody did, reason says why in a word.
func (j *Judge) responder(r *ocspResponse, issuer *cert, now time.Time) (c *cert, reason, detail string) {
	reason, detail = unknownUnauthorizedResponder, "who signed the response is neither the issuer nor shown to be authorised by it"
	if r.names(issuer) {
		if reason, detail = j.signedOCSP(r, issuer); reason == "" {
			return issuer, "", ""
		}
	}
	for i, der := range r.certs {
		if i >= maxResponders {
			break
		}
		c := j.cert(der, false)
		if c.key.id == issuer.key.id || !r.names(c) {
			continue // the issuer was asked above; of others there may be any number
		}
		if why := j.unauthorised(c, issuer, now); why != "" {
			reason, detail = unknownUnauthorizedResponder, "the responder "+c.called()+" "+why
		} else if reason, detail = j.signedOCSP(r, c); reason == "" {
			return c, "", ""
		}
	}
	return nil, reason, detail
}

// names reports whether c is the responder that r names.
func (r *ocspResponse) names(c *cert) bool {
	if r.name != nil {
		return c.subject.equal(&name{raw: r.name})
	}
	sum := sha1.Sum(c.key.point)
	return bytes.Equal(r.keyHash, sum[:])
}

// signedOCSP checks the signature of c's key on the response, and remembers the
// answer. If it is not known to be right, reason says why.
func (j *Judge) signedOCSP(r *ocspResponse, c *cert) (reason, detail string) {
	e := edge{inventory.FingerprintOf(slices.Concat(r.signed, r.sig)), c.key.id}
	err, known := j.edges.get(e)
	switch {
	case known:
	case r.alg.hash == crypto.MD5:
		err = errUnsupportedAlgorithm
	default:
		err = verifySignature(&c.key, r.alg, r.signed, r.sig)
		j.edges.put(e, err)
	}
	switch {
	case err == nil:
		return "", ""
	case errors.Is(err, errBadSignature):
		return inventory.UnknownBadSignature, "the signature on the response is not by " + c.called()
	}
	return inventory.UnknownUnsupportedSignature, fmt.Sprintf("the signature on the response (%s, by a key %s) cannot be verified here", r.alg.label, c.key.label)
}

// unauthorised says why c may not sign OCSP responses in the name of issuer, if
// so.
func (j *Judge) unauthorised(c, issuer *cert, now time.Time) string {
	const notIssued = "was not issued by the certificate's issuer"
	switch {
	case c.flaw != "":
		return "is malformed: " + c.flaw
	case !slices.Contains(c.ext.eku, oidOCSPSigning): // anyExtendedKeyUsage does not delegate
		return "may not sign OCSP responses by its extended key usage"
	case c.ext.hasKU && c.ext.keyUsage&usageDigitalSignature == 0:
		return "may not sign by its key usage"
	case len(c.ext.critical) > 0:
		return "has a critical extension that is not understood: " + c.ext.critical[0]
	case !during([]time.Time{now}, c.info.NotBefore, c.info.NotAfter):
		return fmt.Sprintf("is valid from %s to %s", date(c.info.NotBefore), date(c.info.NotAfter))
	case !c.issuer.equal(&issuer.subject):
		return notIssued
	case c.alg.weak():
		return "is signed with " + c.alg.label
	}
	err, known := j.remembered(c, &issuer.key)
	if !known {
		err = j.verify(c, &issuer.key)
	}
	if err != nil {
		return notIssued
	}
	return ""
}

// ocspStatus is an OCSPResponseStatus that is not a success.
func ocspStatus(n int) (word, text string) {
	switch n {
	case 1:
		return "malformed_request", "malformedRequest (1)"
	case 2:
		return "internal_error", "internalError (2)"
	case 3:
		return "try_later", "tryLater (3)"
	case 5:
		return "signature_required", "sigRequired (5)"
	case 6:
		return "unauthorized", "unauthorized (6): it does not answer for this certificate"
	}
	return inventory.UnknownMalformed, fmt.Sprintf("the status %d, which there is not", n)
}

// revocationReason names a CRLReason (RFC 5280, section 5.3.1). To give none is
// to leave it unspecified.
func revocationReason(n int) string {
	names := []string{
		"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation",
		"certificateHold", "", "removeFromCRL", "privilegeWithdrawn", "aACompromise",
	}
	if n < 0 || n >= len(names) || names[n] == "" {
		return names[0]
	}
	return names[n]
}

// instant is a moment in UTC, as messages have it.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// ocspRequest is the DER of a request for the status of c, with the SHA-1 CertID
// that every responder understands and without a nonce, so that an answer can be
// prepared and cached (RFC 5019, section 2.1).
func ocspRequest(c, issuer *cert) []byte {
	nameHash, keyHash := sha1.Sum(c.issuer.raw), sha1.Sum(issuer.key.point)
	id := appendElement(nil, tagSequence,
		[]byte("\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00"),
		appendElement(nil, tagOctetString, nameHash[:]),
		appendElement(nil, tagOctetString, keyHash[:]),
		appendElement(nil, tagInteger, shortest(c.serial)))
	for range 4 { // Request, requestList, TBSRequest, OCSPRequest
		id = appendElement(nil, tagSequence, id)
	}
	return id
}
