package verify

import (
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// judgeTrust asks every store. It is judged at the instant nearest to now at
// which the leaf is valid, so that "expired" and "untrusted" stay two facts.
func (x *exam) judgeTrust(ev inventory.EvidenceSet) {
	instants := trustInstants(x.leaf, x.now)
	b, first, needs := x.judge.decide(x.leaf, x.rest, x.jury, instants, ev)
	x.answer = first // whose path tells whom to ask
	first = x.avoidRevoked(first, ev)
	x.built, x.answer = b, first
	for _, n := range needs {
		if !slices.Contains(x.needs, n) {
			x.needs = append(x.needs, n)
		}
	}
	v := &x.verdict.Trust
	v.Stores = make([]inventory.StoreVerdict, len(x.jury.stores))
	for n, i := range x.jury.stores {
		s, a := x.judge.stores[i], first
		if i != x.jury.decider {
			a = b.stores[i].at(instants, x.leaf)
		}
		v.Stores[n] = inventory.StoreVerdict{
			Name: s.Name, Date: s.Date, Status: a.status, Detail: a.detail,
			Paths: make([][]inventory.Fingerprint, len(a.paths)),
		}
		for k, p := range a.paths {
			ids := make([]inventory.Fingerprint, 0, 1+len(p.tail))
			ids = append(ids, x.leaf.info.SHA256)
			for _, c := range p.tail {
				ids = append(ids, c.info.SHA256)
			}
			v.Stores[n].Paths[k] = ids
		}
		for _, p := range b.stores[i].paths {
			x.pathChanges(p)
		}
	}
	v.Status, v.DecidedBy = first.status, x.decider().Name
	decider := &b.stores[x.jury.decider]
	x.public = x.judge.opt.Profile.binds(x.decider()) && (len(decider.paths) > 0 || decider.reached)
	x.reportTrust()
	x.judgeBroken()
}

// decider is the store whose word counts.
func (x *exam) decider() *store { return x.judge.stores[x.jury.decider] }

// pathChanges notes the moments at which a path begins or ceases to hold.
func (x *exam) pathChanges(p *path) {
	if p.first != nil {
		x.changes(p.begins)
		x.changes(p.ends.Add(time.Second))
	}
	if a := p.anchor(); a != nil {
		x.changes(a.info.NotBefore)
		x.changes(a.info.NotAfter.Add(time.Second))
	}
}

func (x *exam) reportTrust() {
	a, store := &x.answer, quote(x.decider().Name)
	switch a.status {
	case inventory.Trusted:
	case inventory.TrustIncomplete:
		x.find(inventory.CodeIncompleteChain, "%s, so clients that do not fetch it themselves refuse the chain; add it to what the server sends", a.detail)
	case inventory.TrustSelfSigned:
		x.find(inventory.CodeSelfSigned, "the certificate is self-signed; only clients that were given it will accept it")
	case inventory.TrustUntrustedRoot:
		x.find(inventory.CodeUntrustedRoot, "%s %s", a.detail, store)
	case inventory.TrustUnknownIssuer:
		x.find(inventory.CodeUnknownIssuer, "%s, so no path leads to store %s", a.detail, store)
	case inventory.TrustLimitExceeded:
		x.find(inventory.CodeUnknownIssuer, "%s to store %s; send only the intermediates that are needed", a.detail, store)
	case inventory.TrustExpiredChain:
		// The leaf may have years to go: the endpoint fails all the same, as on
		// the day after the effective expiry.
		if x.answer.best.begins.After(trustInstants(x.leaf, x.now)[0]) {
			x.find(inventory.CodeNotYetValid, "%s", a.detail)
		} else {
			x.find(inventory.CodeExpired, "%s and every path needs it; replace it in what the server sends", a.detail)
		}
	case inventory.TrustAnchorExpired:
		x.find(inventory.CodeAnchorExpired, "%s; browsers accept it, OpenSSL and Go do not", a.detail)
	case inventory.TrustDistrustedRoot:
		x.find(inventory.CodeDistrustedRoot, "%s", a.detail)
	case inventory.TrustWeakSignature:
		x.find(inventory.CodeWeakSignature, "%s, which clients no longer accept; have it reissued", a.detail)
	case inventory.TrustNameConstraint:
		x.find(inventory.CodeNameConstraint, "%s", a.detail)
	case inventory.TrustBadEKU:
		x.find(inventory.CodeBadEKU, "%s", a.detail)
	case inventory.TrustNotACA:
		x.find(inventory.CodeNotACA, "%s", a.detail)
	case inventory.TrustPathLength:
		x.find(inventory.CodePathLength, "%s", a.detail)
	case inventory.TrustUnhandledCritical:
		if !x.leaf.info.Precert { // which is found as such
			x.find(inventory.CodeUnhandledCritical, "%s", a.detail)
		}
	case inventory.TrustMalformed:
		if !x.leaf.malformed() { // which is found as such
			x.find(inventory.CodeMalformedCertificate, "%s", a.detail)
		}
	}
}

// judgeBroken compares with the chain before: a renewal that lost its
// intermediate is told as the regression it is.
func (x *exam) judgeBroken() {
	before := x.facts.PreviousChain
	if len(before) == 0 || !x.out.LastSeen.IsZero() {
		return
	}
	if s := x.answer.status; s != inventory.TrustIncomplete && s != inventory.TrustUnknownIssuer {
		return
	}
	leaf, rest := x.judge.cert(before[0], false), make([]*cert, 0, len(before)-1)
	for _, der := range before[1:] {
		rest = append(rest, x.judge.cert(der, false))
	}
	b := x.judge.build(leaf, rest, nil, x.jury)
	if b.stores[x.jury.decider].at(trustInstants(leaf, x.now), leaf).status != inventory.Trusted {
		return
	}
	x.find(inventory.CodeChainBroken, "the chain served before (leaf %s, until %s) was complete and this one is not: install the full chain with the certificate",
		shortID(leaf.info.SHA256), date(leaf.info.NotAfter))
}

func shortID(f inventory.Fingerprint) string { return f.String()[:12] }

// judgeServed looks at what was sent beside the leaf: order, and what no path
// needs.
func (x *exam) judgeServed() {
	x.judgeMalformed()
	used := x.built.stores[x.jury.decider].partial
	if x.answer.best != nil {
		used = fingerprints(x.answer.best.tail)
	}
	at := -1
	for _, id := range used {
		i := slices.IndexFunc(x.rest, func(c *cert) bool { return c.info.SHA256 == id })
		if i < 0 {
			continue
		}
		if i < at {
			x.find(inventory.CodeWrongOrder, "the certificates are not in the order of issuing: certificate %d belongs before certificate %d; some clients refuse that", i+2, at+2)
			break
		}
		at = i
	}
	switch {
	case x.leaf.ext.isCA && slices.ContainsFunc(x.rest, func(c *cert) bool { return !c.ext.isCA && c.flaw == "" }):
		x.find(inventory.CodeWrongOrder, "the first certificate is a CA and a later one is not: the server's own certificate must come first")
	case x.answer.best != nil:
		x.judgeExtras(used)
	}
}

// judgeExtras finds served certificates that the best path does not need.
func (x *exam) judgeExtras(used []inventory.Fingerprint) {
	seen := map[inventory.Fingerprint]bool{x.leaf.info.SHA256: true}
	var duplicate, root, unrelated int
	var name string
	for _, c := range x.rest {
		id := c.info.SHA256
		needed := slices.Contains(used, id)
		if !needed {
			x.changes(c.info.NotAfter.Add(time.Second))
		}
		switch {
		case seen[id]:
			duplicate++
			name = c.info.Subject
		case c.info.SelfIssued && (needed && used[len(used)-1] == id || !needed && x.sameAsAnchor(c)):
			root++
			if !needed || x.answer.best.anchor().info.SHA256 == id {
				name = c.info.Subject
			}
		case needed:
		case !x.now.Before(c.info.NotAfter.Add(time.Second)) && c.flaw == "":
			x.find(inventory.CodeExpiredInChain, "%s is served but expired on %s; the chain holds without it, but clients that build no other path fail: stop sending it",
				c.called(), date(c.info.NotAfter))
		case x.onOtherPath(id):
		case c.info.ParseError == "":
			unrelated++
			name = c.info.Subject
		}
		seen[id] = true
	}
	switch n := duplicate + root + unrelated; {
	case n == 0:
	case root == 1 && n == 1:
		x.find(inventory.CodeExtraCertificates, "the root %s is served; clients have it or do not trust it, so it only costs bytes", quote(name))
	default:
		x.find(inventory.CodeExtraCertificates, "%d of the %d certificates sent are not needed (%d duplicate, %d root, %d unrelated), such as %s",
			n, 1+len(x.rest), duplicate, root, unrelated, quote(name))
	}
}

// sameAsAnchor reports whether c is another certificate of the key that the
// best path ends in.
func (x *exam) sameAsAnchor(c *cert) bool {
	a := x.answer.best.anchor()
	return a != nil && a.key.id == c.key.id && a.subject.equal(&c.subject)
}

// onOtherPath reports whether another path uses the certificate: it is there
// for other clients.
func (x *exam) onOtherPath(id inventory.Fingerprint) bool {
	for i := range x.built.stores {
		for _, p := range x.built.stores[i].paths {
			if slices.ContainsFunc(p.tail, func(c *cert) bool { return c.info.SHA256 == id }) {
				return true
			}
		}
	}
	return false
}

// judgeMalformed tells a leaf that strict clients refuse from a bad extra one.
func (x *exam) judgeMalformed() {
	code := inventory.CodeMalformedCertificate
	switch {
	case x.leaf.malformed() && x.leaf.flaw != "":
		x.find(code, "the certificate is malformed and no client will accept it: %s", x.leaf.info.ParseError)
		return
	case x.leaf.malformed() && x.leaf.ext.sanFlaw == "": // a bad subjectAltName is found as such
		x.find(code, "the certificate breaks the rules in a way that strict clients refuse: %s", x.leaf.info.ParseError)
		return
	}
	for i, c := range x.rest {
		if c.malformed() {
			x.add(code, "", inventory.Warning, "certificate "+ordinal(i+2)+" of the chain is malformed, and some clients refuse the whole chain for it: "+c.info.ParseError)
			return
		}
	}
}
