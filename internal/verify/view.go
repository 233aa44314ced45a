package verify

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// A view collects what is said of one view.
type view struct {
	judge *Judge
	facts inventory.Facts
	now   time.Time

	out   inventory.Judgement
	needs []inventory.Need
	id    string // the view's identity, once a finding needed it
}

// find adds a finding about the view with its default severity. One code and
// rule is found once: of two chains at one address the worse speaks.
func (v *view) find(code inventory.Code, format string, args ...any) {
	v.add(code, "", code.DefaultSeverity(), fmt.Sprintf(format, args...))
}

func (v *view) add(code inventory.Code, rule string, s inventory.Severity, message string) {
	if v.id == "" {
		v.id = v.facts.Observation.View().ID()
	}
	f := inventory.Finding{
		Code: code, Rule: rule, Severity: s, Message: message,
		Subject: inventory.Subject{Kind: inventory.SubjectView, ID: v.id},
	}
	if code == inventory.CodeDNSFailure {
		f.Subject = inventory.Subject{Kind: inventory.SubjectTarget, ID: v.facts.Target.Key()}
	}
	same := func(o inventory.Finding) bool { return o.Key() == f.Key() }
	switch i := slices.IndexFunc(v.out.Findings, same); {
	case i < 0:
		v.out.Findings = append(v.out.Findings, f)
	case inventory.CompareSeverity(f.Severity, v.out.Findings[i].Severity) < 0:
		v.out.Findings[i] = f
	}
}

// changes notes a moment at which time alone changes what is said.
func (v *view) changes(at time.Time) {
	if at.Year() > 9999 { // "no well-defined expiry" (RFC 5280), and nothing that JSON can hold
		return
	}
	if at.After(v.now) && (v.out.ValidUntil.IsZero() || at.Before(v.out.ValidUntil)) {
		v.out.ValidUntil = at
	}
}

// run judges the view.
func (v *view) run(ev inventory.EvidenceSet) (inventory.Judgement, []inventory.Need) {
	o := &v.facts.Observation
	chain := o.Chain
	if len(chain) == 0 && !v.withdrawn() {
		chain, v.out.LastSeen = v.facts.LastChain, v.facts.LastSeen
	}
	v.out.Unproven = v.unproven()
	v.judgeReach(len(chain) > 0)
	v.judgeTLS()
	if len(chain) > 0 {
		v.judgeChains(chain, ev)
	}
	if len(chain) == 0 {
		v.out.LastSeen = time.Time{}
	}
	if o.Offer == inventory.OfferNoSNI {
		// What a client without a server name gets is worth knowing and nobody's
		// promise: no defect of it is a finding.
		v.out.Findings = nil
		v.judgeDefaultCertificate()
	}
	if restricted(o.Offer) && len(o.Chain) > 0 && sameChain(o.Chain, v.facts.DefaultChain) {
		v.out.Findings = nil // they are found once, with the default offer
	}
	return v.out, v.needs
}

func sameChain(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

// withdrawn reports whether an answer says that the server no longer has a
// certificate for a restricted offer, which is not the same as being down.
func (v *view) withdrawn() bool {
	o := &v.facts.Observation
	return restricted(o.Offer) && o.Reach.Status == inventory.ReachTLSAlert
}

// restricted reports whether o asks for one kind of key only.
func restricted(o inventory.Offer) bool { return o == inventory.OfferRSA || o == inventory.OfferECDSA }

// judgeChains judges the chain and every further one seen at the same address.
// The verdict is the worst of each fact, the expiry the earliest: one stale
// node behind an address must not hide.
func (v *view) judgeChains(chain [][]byte, ev inventory.EvidenceSet) {
	x := v.examine(chain, ev)
	info := x.leaf.info
	info.IssuerKey = x.built.issuerKey(info.SHA256)
	v.out.Certificate = &info
	v.out.Issuers = append(v.out.Issuers, x.issuers())
	v.out.Chain = make([]inventory.Certificate, len(x.rest))
	for i, c := range x.rest {
		v.out.Chain[i] = c.info
		v.out.Chain[i].IssuerKey = x.built.issuerKey(c.info.SHA256)
	}
	verdict := x.verdict
	v.out.Expiry, v.out.Lifetime, v.out.Tier = x.expiry, x.lifetime, x.tier
	for _, more := range v.facts.Observation.Alternates {
		if len(more) == 0 {
			continue
		}
		y := v.examine(more, ev)
		other := y.leaf.info
		other.IssuerKey = y.built.issuerKey(other.SHA256)
		v.out.Alternates = append(v.out.Alternates, other)
		v.out.Issuers = append(v.out.Issuers, y.issuers())
		if verdict.Time.Status == inventory.TimeValid || y.verdict.Time.Status == inventory.TimeExpired {
			verdict.Time = y.verdict.Time
		}
		if verdict.Name.Status == inventory.NameMatch {
			verdict.Name = y.verdict.Name
		}
		if verdict.Trust.Status == inventory.Trusted {
			verdict.Trust = y.verdict.Trust
		}
		if worseRevocation(y.verdict.Revocation.Status, verdict.Revocation.Status) {
			verdict.Revocation = y.verdict.Revocation
		}
		verdict.CT = worseCT(verdict.CT, y.verdict.CT)
		if y.expiry != nil && (v.out.Expiry == nil || y.expiry.At.Before(v.out.Expiry.At)) {
			v.out.Expiry, v.out.Lifetime, v.out.Tier = y.expiry, y.lifetime, y.tier
		}
	}
	v.out.Verdict = &verdict
}

// issuers are the certificates above the leaf on the best path.
func (x *exam) issuers() []*inventory.Certificate {
	if x.answer.best == nil {
		return nil
	}
	out := make([]*inventory.Certificate, len(x.answer.best.tail))
	for i, c := range x.answer.best.tail {
		out[i] = &c.info
	}
	return out
}

// An exam is one chain being judged.
type exam struct {
	*view
	leaf *cert
	rest []*cert // as served

	jury   jury
	built  *built
	answer answer // of the store that decides
	public bool   // the Baseline Requirements bind the leaf

	above   []revocation // of the intermediates on the best path
	avoided []*cert      // revoked intermediates, where another path is there
	used    []int        // the given OCSP responses that are about somebody

	verdict  inventory.Verdict
	expiry   *inventory.Expiry // nil if the leaf's dates cannot be read
	lifetime time.Duration
	tier     inventory.Tier
}

func (v *view) examine(chain [][]byte, ev inventory.EvidenceSet) *exam {
	// crypto/tls hands over no chain that crypto/x509 cannot read.
	capture := v.facts.Observation.Capture
	accepted := capture != nil && capture.Method == inventory.CaptureHandshake && len(v.facts.Observation.Chain) > 0 && &chain[0] == &v.facts.Observation.Chain[0]
	x := &exam{view: v, jury: v.judge.juryOf(v.facts.Target), leaf: v.judge.cert(chain[0], accepted), rest: make([]*cert, 0, len(chain)-1)}
	for _, der := range chain[1:] {
		x.rest = append(x.rest, v.judge.cert(der, accepted))
	}
	x.judgeTrust(ev)
	x.judgeTime()
	x.judgeName()
	x.judgeServed()
	x.judgeKeys()
	x.judgeProfile()
	x.judgeRevocation(ev)
	x.judgeCT()
	return x
}

// date is a day in UTC, as messages have it.
func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// span is a distance in time in the unit that suits it.
func span(d time.Duration) string {
	n, unit := int64(d/(24*time.Hour)), "day"
	switch {
	case d < time.Minute:
		return "less than a minute"
	case d < time.Hour:
		n, unit = int64(d/time.Minute), "minute"
	case d < 48*time.Hour:
		n, unit = int64(d/time.Hour), "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
