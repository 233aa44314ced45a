package verify

import (
	"slices"

	"example.com/certscan/internal/inventory"
)

// maxAncestors bounds the certificates above one leaf.
const maxAncestors = 100

// Ancestors returns the certificates above the leaf of a chain: all that were
// served after it, and all, in any trust store, in the evidence and among those
// given, that signed one of them or the leaf. The names of those whose issuer
// nobody has are in unknown. What else to fetch is in needs.
//
// It says who is involved and judges nothing: dates, constraints and distrust
// do not count.
func (j *Judge) Ancestors(chain, given [][]byte, ev inventory.EvidenceSet) (above []inventory.Certificate, unknown []string, needs []inventory.Need) {
	if len(chain) == 0 {
		return nil, nil, nil
	}
	a := ancestry{judge: j, cost: maxCost}
	leaf := j.cert(chain[0], false)
	for _, der := range chain[1:] {
		a.addServed(j.cert(der, false))
	}
	for _, der := range given {
		a.pool = append(a.pool, j.cert(der, false))
	}
	queue := append([]*cert{leaf}, a.found...)
	for len(queue) > 0 {
		c := queue[0]
		queue = queue[1:]
		issuers := a.issuersOf(c)
		if len(issuers) == 0 && !c.info.SelfIssued {
			more, missing, _ := j.consult([]missing{{urls: httpOnly(c.info.IssuerURLs)}}, ev)
			needs = append(needs, missing...)
			a.pool = append(a.pool, more[:min(len(more), maxFetched)]...)
			issuers = a.issuersOf(c)
		}
		if len(issuers) == 0 && c.info.Issuer != "" && !(c == leaf && c.info.SelfIssued) {
			unknown = append(unknown, c.info.Issuer)
		}
		for _, i := range issuers {
			if a.add(i) {
				queue = append(queue, i)
			}
		}
	}
	for _, c := range a.found {
		above = append(above, c.info)
	}
	return above, unknown, needs
}

type ancestry struct {
	judge *Judge
	pool  []*cert // may have issued something
	found []*cert
	cost  int // left, in signatures
}

func (a *ancestry) addServed(c *cert) {
	a.pool = append(a.pool, c)
	a.add(c)
}

// add reports whether c is new.
func (a *ancestry) add(c *cert) bool {
	known := func(o *cert) bool { return o.info.SHA256 == c.info.SHA256 }
	if len(a.found) >= maxAncestors || slices.ContainsFunc(a.found, known) {
		return false
	}
	a.found = append(a.found, c)
	return true
}

// issuersOf returns who signed c, c itself aside.
func (a *ancestry) issuersOf(c *cert) (out []*cert) {
	try := func(issuer *cert) {
		if issuer.info.SHA256 == c.info.SHA256 || !issuer.subject.equal(&c.issuer) {
			return
		}
		err, known := a.judge.remembered(c, &issuer.key)
		if !known {
			if a.cost--; a.cost < 0 {
				return
			}
			err = a.judge.verify(c, &issuer.key)
		}
		if err == nil {
			out = append(out, issuer)
		}
	}
	for _, p := range a.pool {
		try(p)
	}
	for _, s := range a.judge.stores {
		for _, anchor := range s.issuersOf(c) {
			try(anchor.cert)
		}
	}
	return out
}
