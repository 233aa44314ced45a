package verify

import (
	"encoding/base64"
	"reflect"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// Words for what is not known, besides those of [inventory].
const (
	unknownNotFetched = inventory.EvidenceNotFetched
	unknownNotKept    = "not_kept"
	unknownNoPointer  = "no_pointer"
	unknownNoIssuer   = "no_issuer"
)

// Bounds on what one certificate can have us ask. Addresses beyond the first
// are asked only where those before did not answer.
const (
	maxCRLs       = 2
	maxOCSPURLs   = 2
	maxBelow      = 8 // intermediates of a path that are asked about
	maxAlternates = 4 // paths that are tried in place of one with a revoked intermediate
)

// A revocation is what is known of one certificate: all answers, and the one
// that decides. Revoked wins over good, and good over unknown; what is unknown
// never becomes good.
type revocation struct {
	cert    *cert
	answers []inventory.RevocationAnswer
	decides inventory.RevocationAnswer
	before  bool // the last of answers is remembered, and nobody gives it now
}

// add takes an answer into account. Of several that are unknown the first
// decides that could be had at all.
func (r *revocation) add(a inventory.RevocationAnswer) {
	r.answers = append(r.answers, a)
	switch was, is := revocationRank(r.decides.Status), revocationRank(a.Status); {
	case is > was, is == was && r.decides.Reason == unknownNotFetched:
		r.decides = a
	}
}

// settled reports whether nobody else needs to be asked.
func (r *revocation) settled() bool {
	return r.decides.Status == inventory.RevocationGood || r.revoked()
}

func (r *revocation) revoked() bool { return r.decides.Status == inventory.RevocationRevoked }

func revocationRank(status string) int {
	return slices.Index([]string{inventory.RevocationUnknown, inventory.RevocationGood, inventory.RevocationRevoked}, status)
}

// asksRevocation reports whether revocation is judged at all.
func (j *Judge) asksRevocation() bool {
	return j.opt.Revocation == inventory.RevocationSoft || j.opt.Revocation == inventory.RevocationHard
}

// judgeRevocation says what is known of revocation of the leaf and of the
// intermediates on the best path. If one of those is revoked, and with it every
// path, so is the whole.
func (x *exam) judgeRevocation(ev inventory.EvidenceSet) {
	v := &x.verdict.Revocation
	if !x.judge.asksRevocation() {
		v.Status = inventory.NotChecked
		return
	}
	leaf := x.askLeaf(ev)
	decides, suffix := leaf.decides, ""
	for i := range x.above {
		a := &x.above[i]
		v.Intermediates = append(v.Intermediates, inventory.IntermediateRevocation{
			SHA256: a.cert.info.SHA256, Subject: a.cert.info.Subject, Answers: a.answers,
			Status: a.decides.Status, Source: a.decides.Source, Reason: a.decides.Reason, RevokedAt: a.decides.RevokedAt,
		})
		if a.revoked() && decides.Status != inventory.RevocationRevoked {
			decides, suffix = a.decides, "the intermediate "+a.cert.called()+" is revoked"
		}
	}
	v.Status, v.Source, v.Reason, v.Detail = decides.Status, decides.Source, decides.Reason, decides.Detail
	v.RevokedAt, v.CheckedAt, v.Answers = decides.RevokedAt, decides.ThisUpdate, leaf.answers
	if suffix != "" {
		v.Detail = suffix
	}
	x.reportRevocation(&leaf)
}

// askLeaf asks about the leaf. Without a path its issuer is whoever is at hand
// and signed it: that a certificate is revoked is worth knowing also where it is
// not trusted.
func (x *exam) askLeaf(ev inventory.EvidenceSet) revocation {
	q := question{cert: x.leaf, leaf: true}
	if best := x.answer.best; best != nil && len(best.tail) == 0 {
		return revocation{cert: x.leaf, decides: inventory.RevocationAnswer{
			Status: inventory.RevocationNotApplicable, Reason: "trust_anchor", Detail: "the certificate is itself trusted, and no issuer can revoke it",
		}}
	} else if best != nil {
		q.issuer = best.tail[0]
	} else {
		q.issuer = x.issuerOf(x.leaf, ev)
	}
	return x.ask(q, ev)
}

// avoidRevoked asks about the intermediates of the best path. If one is revoked
// it looks for a path without, which then is the best; if there is none, the
// answer stays, and the verdict tells.
func (x *exam) avoidRevoked(a answer, ev inventory.EvidenceSet) answer {
	if !x.judge.asksRevocation() || a.best == nil {
		return a
	}
	x.above = x.askIntermediates(a.best, ev)
	bad := revokedOf(x.above)
	if len(bad) == 0 {
		return a
	}
	goesThrough := func(p *path) bool {
		return slices.ContainsFunc(p.intermediates(), func(c *cert) bool { return slices.Contains(bad, c) })
	}
	for tries := 0; tries < maxAlternates; tries++ {
		i := slices.IndexFunc(a.paths, func(p *path) bool { return !goesThrough(p) })
		if i < 0 {
			return a
		}
		above := x.askIntermediates(a.paths[i], ev)
		if more := revokedOf(above); len(more) > 0 {
			bad = append(bad, more...)
			continue
		}
		x.avoided, x.above = bad, above
		a.best = a.paths[i]
		a.paths = slices.DeleteFunc(slices.Clone(a.paths), goesThrough)
		if a.status == inventory.Trusted || a.status == inventory.TrustIncomplete {
			a.status, a.detail = inventory.Trusted, ""
			if a.best.lacking != nil {
				a.status, a.detail = inventory.TrustIncomplete, lackingDetail(x.leaf, a.best)
			}
		}
		return a
	}
	return a
}

func revokedOf(list []revocation) []*cert {
	var bad []*cert
	for i := range list {
		if list[i].revoked() {
			bad = append(bad, list[i].cert)
		}
	}
	return bad
}

func (x *exam) askIntermediates(p *path, ev inventory.EvidenceSet) []revocation {
	var out []revocation
	for i, c := range p.intermediates() {
		if i < maxBelow {
			out = append(out, x.ask(question{cert: c, issuer: p.tail[i+1]}, ev))
		}
	}
	return out
}

// A question is whether a certificate is revoked.
type question struct {
	cert   *cert
	issuer *cert // nil if nobody knows it
	leaf   bool
}

func (q question) selfSigned() bool { return q.issuer != nil && q.issuer.key.id == q.cert.key.id }

// ask collects the answers about one certificate: what is known of it, what was
// given and served, its CRL, and where that does not settle it, OCSP. What is
// not there yet it asks for, one address after the other.
func (x *exam) ask(q question, ev inventory.EvidenceSet) revocation {
	r := revocation{cert: q.cert}
	c := q.cert
	if x.judge.onecrl.has(c) {
		r.add(inventory.RevocationAnswer{
			Source: inventory.SourceOneCRL, Status: inventory.RevocationRevoked, Reason: "unspecified",
			Detail: "it is on the list of revoked intermediates (OneCRL)",
		})
		return r
	}
	if q.leaf {
		for _, a := range x.facts.Given.Unreadable {
			r.add(a)
		}
	}
	if q.issuer != nil {
		signers := x.siblings(q.issuer, ev)
		x.askGiven(&r, q, signers)
		if q.leaf {
			x.askStaple(&r, q)
		}
		if !r.revoked() && !q.selfSigned() {
			x.askFetched(&r, q, signers, ev)
		}
	}
	if a, ok := x.revokedBefore(c); ok && !r.revoked() {
		r.add(a)
		r.before = true
	}
	if r.decides.Status == "" {
		r.decides = x.unasked(q)
	}
	return r
}

// revokedBefore is what was once said of c, for good, whoever can be asked now.
func (x *exam) revokedBefore(c *cert) (inventory.RevocationAnswer, bool) {
	if x.judge.opt.Revoked == nil {
		return inventory.RevocationAnswer{}, false
	}
	a, ok := x.judge.opt.Revoked.Revoked(c.info.SHA256)
	if !ok || a.RevokedAt.After(x.now) {
		return a, false
	}
	a.Detail = "it said so on " + date(a.ThisUpdate) + ", and what is revoked stays so"
	return a, true
}

// unasked says why there is not one answer.
func (x *exam) unasked(q question) inventory.RevocationAnswer {
	a := inventory.RevocationAnswer{Status: inventory.RevocationUnknown}
	switch {
	case q.selfSigned():
		a.Status, a.Reason = inventory.RevocationNotApplicable, "self_signed"
		a.Detail = "it is signed with its own key, and whoever has that can say anything of it"
	case !q.cert.pointsToRevocation() && q.leaf && q.cert.shortLived():
		a.Status, a.Reason = inventory.RevocationNotApplicable, "short_lived"
		a.Detail = "it is valid for so short a time that nobody is told of its revocation"
	case !q.cert.pointsToRevocation():
		a.Reason, a.Detail = unknownNoPointer, "it names neither a CRL nor an OCSP responder"
	case q.issuer == nil:
		a.Reason, a.Detail = unknownNoIssuer, "its issuer is not known, and without it no answer can be believed"
	default:
		a.Reason, a.Detail = "unsupported_pointer", "it names no HTTP address of a CRL or of an OCSP responder"
	}
	return a
}

// pointsToRevocation reports whether c says where to ask.
func (c *cert) pointsToRevocation() bool {
	has, _ := c.ext.has(oidCRLPoints)
	return has || len(c.info.OCSPURLs) > 0
}

// shortLived reports whether c is a short-lived certificate (Baseline
// Requirements, section 1.6.1), about whose revocation nobody has to be told.
// The second that both ends make is forgiven.
func (c *cert) shortLived() bool {
	const day = 24 * time.Hour
	limit := 7 * day
	if c.info.NotBefore.Before(time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)) {
		limit = 10 * day
	}
	return c.dated && c.info.Lifetime() <= limit
}

// askGiven looks at what a person handed over: the lists of the certificate's
// issuer and the responses about it. What is about nothing in the path was meant
// for the leaf, and is told of there.
func (x *exam) askGiven(r *revocation, q question, signers []*cert) {
	given := &x.facts.Given
	var others []inventory.RevocationAnswer
	for _, list := range given.CRLs {
		of := name{raw: list.Issuer}
		mine := of.equal(&q.cert.issuer)
		if !mine && (!q.leaf || slices.ContainsFunc(x.above, func(a revocation) bool { return of.equal(&a.cert.issuer) })) {
			continue
		}
		a := x.judge.judgeCRL(list, "", q.cert, q.issuer, signers, x.now)
		if mine {
			r.add(x.timed(x.released(a, list, q, signers)))
		} else {
			others = append(others, a)
		}
	}
	for i, response := range given.OCSP {
		a := x.judge.judgeOCSP(response, inventory.SourceOCSP, "", q.cert, q.issuer, x.now)
		switch {
		case !a.ThisUpdate.IsZero():
			r.add(x.timed(a))
			x.used = append(x.used, i)
		case q.leaf && !slices.Contains(x.used, i):
			others = append(others, a)
		}
	}
	if len(r.answers) == 0 {
		for _, a := range others {
			r.add(a)
		}
	}
}

// released is a, what list says of the certificate, but not a hold that a later
// list by the same issuer with the same scope no longer has.
func (x *exam) released(a inventory.RevocationAnswer, list *inventory.CRL, q question, signers []*cert) inventory.RevocationAnswer {
	if a.Status != inventory.RevocationRevoked || a.Reason != revocationReason(reasonHold) {
		return a
	}
	for _, later := range x.facts.Given.CRLs {
		if !later.ThisUpdate.After(list.ThisUpdate) || !reflect.DeepEqual(later.Point, list.Point) {
			continue
		}
		if b := x.judge.judgeCRL(later, "", q.cert, q.issuer, signers, x.now); b.Status == inventory.RevocationGood {
			a.Status, a.Reason, a.RevokedAt = inventory.RevocationUnknown, inventory.UnknownStale, time.Time{}
			a.Detail = "the hold is over by the list of " + instant(later.ThisUpdate)
			return a
		}
	}
	return a
}

// ownStaple is the response that came with the chain being judged, now or when
// that was last served.
func (x *exam) ownStaple() (staple []byte, last bool) {
	o := &x.facts.Observation
	chain, staple, last := o.Chain, o.Staple, false
	if len(chain) == 0 {
		chain, staple, last = x.facts.LastChain, x.facts.LastStaple, true
	}
	if len(chain) == 0 || x.leaf.info.SHA256 != inventory.FingerprintOf(chain[0]) {
		return nil, false
	}
	return staple, last
}

func (x *exam) askStaple(r *revocation, q question) {
	staple, last := x.ownStaple()
	switch {
	case len(staple) > 0:
		a := x.judge.judgeOCSP(staple, inventory.SourceStaple, "", q.cert, q.issuer, x.now)
		if last && a.Status == inventory.RevocationUnknown &&
			x.judge.judgeOCSP(staple, inventory.SourceStaple, "", q.cert, q.issuer, x.facts.LastSeen).Status != inventory.RevocationUnknown {
			return // what has become of it since is not the fault of who serves nothing
		}
		r.add(x.timed(a))
	case x.facts.Past:
		r.answers = append(r.answers, inventory.RevocationAnswer{
			Source: inventory.SourceStaple, Status: inventory.RevocationUnknown, Reason: unknownNotKept,
			Detail: "what was stapled then is not kept: only that of the latest examination is",
		})
	}
}

// askFetched goes through the addresses that the certificate names until one
// settles it.
func (x *exam) askFetched(r *revocation, q question, signers []*cert, ev inventory.EvidenceSet) {
	fromCRL := slices.ContainsFunc(r.answers, func(a inventory.RevocationAnswer) bool {
		return a.Source == inventory.SourceCRL && a.Status == inventory.RevocationGood
	})
	if !fromCRL { // a good staple may be days old
		for i, url := range httpOnly(q.cert.info.CRLURLs) {
			if i >= maxCRLs {
				break
			}
			a, answered := x.fetchedCRL(url, q, signers, ev)
			r.add(x.timed(a))
			if !answered {
				return
			}
			if a.Status != inventory.RevocationUnknown {
				break
			}
		}
	}
	for i, url := range httpOnly(q.cert.info.OCSPURLs) {
		if i >= maxOCSPURLs || r.settled() {
			return
		}
		a, answered := x.fetchedOCSP(url, q, ev)
		r.add(x.timed(a))
		if !answered {
			return
		}
	}
}

// fetchedCRL is what the list at url says; it is not answered while nobody has
// fetched it.
func (x *exam) fetchedCRL(url string, q question, signers []*cert, ev inventory.EvidenceSet) (a inventory.RevocationAnswer, answered bool) {
	need := inventory.Need{Kind: inventory.NeedCRL, URL: url}
	e, ok := x.look(need, ev)
	if !ok || e.CRL == nil {
		return unfetched(inventory.SourceCRL, url, e, ok), ok
	}
	return x.judge.judgeCRL(e.CRL, url, q.cert, q.issuer, signers, x.now), true
}

func (x *exam) fetchedOCSP(url string, q question, ev inventory.EvidenceSet) (a inventory.RevocationAnswer, answered bool) {
	need := inventory.Need{Kind: inventory.NeedOCSP, URL: url, Request: base64.StdEncoding.EncodeToString(ocspRequest(q.cert, q.issuer))}
	e, ok := x.look(need, ev)
	if !ok || len(e.OCSP) == 0 {
		return unfetched(inventory.SourceOCSP, url, e, ok), ok
	}
	return x.judge.judgeOCSP(e.OCSP, inventory.SourceOCSP, url, q.cert, q.issuer, x.now), true
}

// look finds evidence, or asks for it.
func (x *exam) look(need inventory.Need, ev inventory.EvidenceSet) (inventory.Evidence, bool) {
	e, ok := ev[need]
	if !ok && !slices.Contains(x.needs, need) {
		x.needs = append(x.needs, need)
	}
	return e, ok
}

// unfetched is the answer of a source that did not give any.
func unfetched(source, url string, e inventory.Evidence, asked bool) inventory.RevocationAnswer {
	a := inventory.RevocationAnswer{Source: source, URL: url, Status: inventory.RevocationUnknown, Reason: unknownNotFetched, Detail: "it has not been fetched"}
	if asked {
		a.Reason, a.Detail = inventory.EvidenceUnreachable, printable(cutText(e.Error, 200))
		if e.ErrorWord != "" {
			a.Reason = printable(cutText(e.ErrorWord, 40))
		}
	}
	return a
}

// timed notes when time alone may change an answer, and returns it.
func (x *exam) timed(a inventory.RevocationAnswer) inventory.RevocationAnswer {
	if a.ThisUpdate.IsZero() {
		return a
	}
	x.changes(a.ThisUpdate)
	for _, age := range [...]time.Duration{maxCRLAge, maxCRLPromise, maxCRLAgeCA, maxOCSPAgeWithout, maxOCSPAge, maxOCSPAgeCA} {
		x.changes(a.ThisUpdate.Add(age + time.Second))
	}
	if !a.NextUpdate.IsZero() {
		x.changes(a.NextUpdate.Add(time.Second))
	}
	return a
}
