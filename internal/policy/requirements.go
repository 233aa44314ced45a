package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// certificates asks about what was served, or is last known to have been.
func (e *exam) certificates() {
	j := e.judgement
	if j.Certificate == nil {
		return // which the finding about reach tells
	}
	e.leaf(j.Certificate, e.issuers(0))
	for i := range j.Alternates {
		n := len(e.violations)
		c := &j.Alternates[i]
		e.leaf(c, e.issuers(i+1))
		for k := n; k < len(e.violations); k++ {
			e.violations[k] = fmt.Sprintf("of the further certificate %s at this address: %s", c.SHA256.String()[:16], e.violations[k])
		}
	}
	if left := e.require.MinLeft; left > 0 {
		switch x := j.Expiry; {
		case x == nil:
			e.fail("when it expires is not known: want at least %s left", days(left))
		case x.At.Sub(e.now) < left:
			e.fail("%s is left until %s: want at least %s", days(max(x.At.Sub(e.now), 0)), date(x.At), days(left))
		default:
			e.until = earliest(e.until, x.At.Add(-left).Add(time.Second))
		}
	}
	e.verdict()
}

// verdict asks about what was judged of the chain.
func (e *exam) verdict() {
	v := e.judgement.Verdict
	if v == nil {
		v = new(inventory.Verdict)
	}
	if e.require.RevocationGood {
		switch r := &v.Revocation; r.Status {
		case inventory.RevocationGood, inventory.RevocationNotApplicable:
		default:
			e.fail("revocation is %s: want good", status(r.Status, r.Reason))
		}
	}
	if e.require.CTCompliant {
		switch c := &v.CT; c.Status {
		case inventory.CTCompliant, inventory.CTNotApplicable:
		default:
			e.fail("Certificate Transparency is %s: want compliant", status(c.Status, c.Detail))
		}
	}
}

// status is a status and why, in words.
func status(s, why string) string {
	if s == "" || s == inventory.NotChecked {
		return "not known (it was not checked)"
	}
	s = strings.ReplaceAll(s, "_", " ")
	if why != "" {
		s += " (" + strings.Trim(quote(why), `"`) + ")"
	}
	return s
}

func (e *exam) issuers(i int) []*inventory.Certificate {
	if i < len(e.judgement.Issuers) {
		return e.judgement.Issuers[i]
	}
	return nil
}

// leaf asks about one certificate and who issued it.
func (e *exam) leaf(c *inventory.Certificate, path []*inventory.Certificate) {
	r := e.require
	if len(r.Keys) > 0 && !slices.ContainsFunc(r.Keys, func(p inventory.KeyPattern) bool { return p.Match(c.Key) }) {
		e.fail("the key is %s: want %s", orUnknown(c.Key), oneOf(r.Keys))
	}
	if most := r.MaxValidity; most > 0 {
		switch {
		case c.NotBefore.IsZero() || c.NotAfter.IsZero():
			e.fail("for how long it is valid is not known: want at most %s", days(most))
		case c.Lifetime() > most:
			e.fail("it is valid for %s: want at most %s", days(c.Lifetime()), days(most))
		}
	}
	e.names(c)
	if len(r.Issuers) > 0 {
		e.allowed(c, path)
	}
	if len(r.ForbiddenIssuers) > 0 {
		e.forbidden(c, path)
	}
}

func (e *exam) names(c *inventory.Certificate) {
	r := e.require
	var outside, wild []string
	for _, n := range c.Names {
		if strings.Contains(n, "*") {
			wild = append(wild, n)
		}
		lower := strings.ToLower(n)
		if !slices.ContainsFunc(r.Names, func(p string) bool { return inventory.MatchGlob(p, lower) }) {
			outside = append(outside, n)
		}
	}
	switch {
	case len(r.Names) == 0:
	case len(c.Names) == 0:
		e.fail("for which names it is, is not known: want %s", strings.Join(r.Names, ", "))
	case len(outside) > 0:
		e.fail("it is for %s: want only %s", few(outside), strings.Join(r.Names, ", "))
	}
	switch {
	case !r.ForbidWildcards:
	case c.ParseError != "" && len(c.Names) == 0:
		e.fail("whether it has wildcards is not known")
	case len(wild) > 0:
		e.fail("it has the wildcard %s", few(wild))
	}
}

// allowed asks for an issuer among those that were verified: a name alone can be
// written by anybody.
func (e *exam) allowed(c *inventory.Certificate, path []*inventory.Certificate) {
	want := oneOf(e.require.Issuers)
	switch {
	case len(path) > 0:
		below := c
		for _, above := range path {
			id := identity{above.SubjectCN, below.IssuerOrg, above.SPKI, above.SHA256}
			if slices.ContainsFunc(e.require.Issuers, id.is) {
				return
			}
			below = above
		}
		e.fail("it was issued by %s: want %s", issuer(c), want)
	case selfSigned(c):
		id := identity{key: c.SPKI, sha256: c.SHA256} // its name is what it says of itself
		if !slices.ContainsFunc(e.require.Issuers, id.is) {
			e.fail("it is self-signed: want it issued by %s", want)
		}
	default:
		e.fail("no path to a trust anchor was verified, so who issued it is not known: want %s", want)
	}
}

// forbidden asks about every issuer that is verified, served, or only named.
func (e *exam) forbidden(c *inventory.Certificate, path []*inventory.Certificate) {
	all := append([]*inventory.Certificate{c}, path...)
	if c == e.judgement.Certificate { // what was served with another leaf is not known
		for i := range e.judgement.Chain {
			all = append(all, &e.judgement.Chain[i])
		}
	}
	known := len(path) > 0
	for i, below := range all {
		known = known || below.SelfIssued
		ids := []identity{{cn: below.IssuerCN, organization: below.IssuerOrg, key: below.IssuerKey}}
		if i > 0 {
			ids = append(ids, identity{below.SubjectCN, organization(below, all), below.SPKI, below.SHA256})
		}
		for _, id := range ids {
			if k := slices.IndexFunc(e.require.ForbiddenIssuers, id.is); k >= 0 {
				e.fail("its chain has the forbidden issuer %s", e.require.ForbiddenIssuers[k])
				return
			}
		}
	}
	if v := e.judgement.Verdict; v != nil && c == e.judgement.Certificate {
		for _, s := range v.Trust.Stores {
			for _, fp := range slices.Concat(s.Paths...) {
				for _, p := range e.require.ForbiddenIssuers {
					if !p.SHA256.IsZero() && p.SHA256 == fp && fp != c.SHA256 {
						e.fail("its chain has the forbidden issuer %s", p)
						return
					}
				}
			}
		}
	}
	if !known {
		e.fail("no path to a trust anchor was verified, so that no issuer is forbidden is not known")
	}
}

// organization is that of c's subject, which stands in what c issued.
func organization(c *inventory.Certificate, all []*inventory.Certificate) string {
	for _, o := range all {
		if o.Issuer == c.Subject {
			return o.IssuerOrg
		}
	}
	return ""
}

// selfSigned reports whether the signature of c was verified with its own key.
func selfSigned(c *inventory.Certificate) bool { return !c.SPKI.IsZero() && c.IssuerKey == c.SPKI }

// An identity is what is known of an issuer.
type identity struct {
	cn, organization string
	key, sha256      inventory.Fingerprint
}

func (id identity) is(p inventory.IssuerPattern) bool {
	return (p.CN == "" || id.cn != "" && inventory.MatchGlob(p.CN, id.cn)) &&
		(p.Organization == "" || id.organization != "" && inventory.MatchGlob(p.Organization, id.organization)) &&
		(p.SPKI.IsZero() || p.SPKI == id.key) && (p.SHA256.IsZero() || p.SHA256 == id.sha256) &&
		p != inventory.IssuerPattern{}
}

// connection asks about what was negotiated, and what the server accepts.
func (e *exam) connection() {
	r, o := e.require, e.observation
	if o.TLS == nil && o.Reach.Status != inventory.ReachOK {
		return // which the finding about reach tells
	}
	t := o.TLS
	if t == nil || o.Offer == inventory.OfferCensus || o.Capture != nil && o.Capture.Method == inventory.CaptureCensus {
		t = new(inventory.TLSFacts) // a census does not ask like an ordinary client
	}
	if r.MinTLS != "" && !notBelow(t.Version, r.MinTLS) {
		e.fail("the negotiated version is %s: want %s or later", orUnknown(t.Version), r.MinTLS)
	}
	for _, c := range r.ForbiddenCiphers {
		switch {
		case t.CipherSuite == "":
			e.fail("the negotiated cipher suite is not known: want none of %s", oneOf(r.ForbiddenCiphers))
		case c.Has(t.CipherSuite):
			e.fail("the negotiated cipher suite %s is %s", strings.Trim(quote(t.CipherSuite), `"`), c)
		}
	}
	if isRestricted(o.Offer) {
		return // what a server accepts is asked once
	}
	e.accepts(o.TLS)
}

// accepts asks about what the server would agree to.
func (e *exam) accepts(t *inventory.TLSFacts) {
	r := e.require
	if t == nil {
		t = new(inventory.TLSFacts)
	}
	if least := r.MinTLSAccepted; least != "" {
		for _, v := range inventory.TLSVersions() {
			if !notBelow(v, least) {
				e.accepted(t, v, t.Version == v, "want "+least+" or later")
			}
		}
	}
	for _, c := range r.ForbiddenAccepted {
		e.accepted(t, inventory.AcceptedClasses()[c], c.Has(t.CipherSuite), "it is forbidden")
	}
	if (r.MinTLSAccepted != "" || len(r.ForbiddenAccepted) > 0) && t.Accepts == nil {
		e.fail("what the server accepts is not known; run with --accepts")
	}
	if r.PostQuantum {
		switch {
		case strings.Contains(t.Group, "MLKEM"):
		case t.PostQuantum == nil:
			e.fail("whether the server takes a post-quantum key exchange is not known; run with --accepts")
		case !*t.PostQuantum:
			e.fail("the server takes no post-quantum key exchange")
		}
	}
}

// accepted says what is wrong if the server accepts word, which it does at any
// rate if that was negotiated.
func (e *exam) accepted(t *inventory.TLSFacts, word string, negotiated bool, why string) {
	switch {
	case negotiated, slices.Contains(t.Accepts, word):
		e.fail("the server accepts %s: %s", word, why)
	case slices.Contains(t.AcceptsUnknown, word):
		e.fail("whether the server accepts %s is not known, it gave no clear answer: %s", word, why)
	}
}

// notBelow reports whether version is known, and least or later.
func notBelow(version, least string) bool {
	versions := inventory.TLSVersions()
	return slices.Index(versions, version) >= slices.Index(versions, least)
}

func issuer(c *inventory.Certificate) string {
	switch {
	case c.IssuerOrg != "" && c.IssuerCN != "":
		return quote(c.IssuerCN) + " of " + quote(c.IssuerOrg)
	case c.IssuerCN != "":
		return quote(c.IssuerCN)
	}
	return quote(c.Issuer)
}

func orUnknown(s string) string {
	if s == "" {
		return "not known"
	}
	return strings.Trim(quote(s), `"`)
}

// oneOf lists what is wanted.
func oneOf[T any](list []T) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = fmt.Sprint(v)
	}
	if len(words) == 1 {
		return words[0]
	}
	return "one of " + strings.Join(words, ", ")
}

// few lists the first of many names.
func few(names []string) string {
	const show = 3
	words := make([]string, 0, show)
	for _, n := range names[:min(show, len(names))] {
		words = append(words, quote(n))
	}
	list := strings.Join(words, ", ")
	if more := len(names) - show; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// days is a duration in days, or in hours below two of them.
func days(d time.Duration) string {
	n, unit := int64(d/(24*time.Hour)), "day"
	if d < 48*time.Hour && d%(24*time.Hour) != 0 {
		n, unit = int64(d/time.Hour), "hour"
	}
	if n != 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}
