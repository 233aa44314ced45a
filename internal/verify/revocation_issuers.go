package verify

import (
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// maxProofs bounds the signatures that are checked to find one issuer.
const maxProofs = 8

// known are the certificates at hand that have the name n: served, fetched,
// given and trusted ones.
func (x *exam) known(n *name, ev inventory.EvidenceSet) []*cert {
	var out []*cert
	add := func(c *cert) {
		if c.flaw == "" && c.subject.equal(n) && !slices.ContainsFunc(out, func(o *cert) bool { return o.info.SHA256 == c.info.SHA256 }) {
			out = append(out, c)
		}
	}
	if best := x.answer.best; best != nil {
		for _, c := range best.tail {
			add(c)
		}
	}
	add(x.leaf)
	for i, c := range x.rest {
		if i < maxPool {
			add(c)
		}
	}
	for i, der := range x.facts.Given.Issuers {
		if i < maxPool {
			add(x.judge.cert(der, false))
		}
	}
	for _, url := range x.leaf.info.IssuerURLs {
		for i, der := range ev[inventory.Need{Kind: inventory.NeedIssuer, URL: url}].Certificates {
			if i < maxFetched {
				add(x.judge.cert(der, false))
			}
		}
	}
	for _, s := range x.judge.stores {
		for _, a := range s.named(n) {
			add(a.cert)
		}
	}
	return out
}

// issuerOf finds a certificate whose key signed c, whether or not it is on any
// path. It is nil if there is none.
func (x *exam) issuerOf(c *cert, ev inventory.EvidenceSet) *cert {
	for i, p := range x.known(&c.issuer, ev) {
		if i < maxProofs && x.proves(p, c) {
			return p
		}
	}
	return nil
}

// proves reports whether p's key signed c.
func (x *exam) proves(p, c *cert) bool {
	err, known := x.judge.remembered(c, &p.key)
	if !known {
		err = x.judge.verify(c, &p.key)
	}
	return err == nil
}

// siblings are other keys of the issuer, which may have signed its CRL since or
// before it signed the certificate: valid CA certificates of the same name that
// are trusted themselves, or that the issuer's old or new key or its own issuer
// vouches for.
func (x *exam) siblings(issuer *cert, ev inventory.EvidenceSet) []*cert {
	var out, above []*cert
	looked := false
	for i, c := range x.known(&issuer.subject, ev) {
		switch {
		case c.key.id == issuer.key.id || c.info.SHA256 == x.leaf.info.SHA256 || i >= 2*maxProofs:
			continue
		case !c.ext.isCA && (c.ext.hasBC || issuer.ext.hasBC): // no issuer says less of itself than this one
			continue
		case !during([]time.Time{x.now}, c.info.NotBefore, c.info.NotAfter) || c.alg.weak() || len(c.ext.critical) > 0:
			continue
		}
		if x.isAnchor(c) || c.info.SelfIssued && x.proves(issuer, c) || issuer.info.SelfIssued && x.proves(c, issuer) {
			out = append(out, c)
			continue
		}
		if !looked {
			for _, p := range x.known(&issuer.issuer, ev) {
				if len(above) < maxProofs && x.proves(p, issuer) {
					above = append(above, p)
				}
			}
			looked = true
		}
		if slices.ContainsFunc(above, func(p *cert) bool { return p.subject.equal(&c.issuer) && x.proves(p, c) }) {
			out = append(out, c)
		}
	}
	return out
}

func (x *exam) isAnchor(c *cert) bool { return x.decider().byID[c.info.SHA256] != nil }
