package store

import (
	"fmt"

	"example.com/certscan/internal/inventory"
)

// A servedChain is a chain with the hashes of its certificates.
type servedChain struct {
	ders   [][]byte
	hashes []inventory.Fingerprint
}

// id is [inventory.ChainID] without hashing the certificates again.
func (c servedChain) id() inventory.Fingerprint { return inventory.FingerprintOf(pack(c.hashes)) }

// stateOf returns the state that e saw and the chains that belong to it, its
// own first.
func stateOf(e *inventory.Endpoint) (state, []servedChain) {
	o := &e.Observation
	s := state{reach: o.Reach.Status, tls: o.TLS}
	var served []servedChain
	if len(o.Chain) > 0 {
		own := servedChain{o.Chain, ownHashes(e)}
		served = append(served, own)
		s.chain = own.id()
		for _, ders := range o.Alternates {
			if len(ders) == 0 {
				continue
			}
			c := servedChain{ders, hashAll(ders)}
			if id := c.id(); id != s.chain {
				served = append(served, c)
				s.pool = append(s.pool, id)
			}
		}
		s.pool = sortedSet(s.pool)
	}
	s.setID()
	return s, served
}

// ownHashes takes the hashes of the chain from the judgement, which has parsed
// the same certificates, and makes them only where it has not.
func ownHashes(e *inventory.Endpoint) []inventory.Fingerprint {
	j := &e.Judgement
	if j.Certificate == nil || !j.LastSeen.IsZero() || 1+len(j.Chain) != len(e.Observation.Chain) {
		return hashAll(e.Observation.Chain)
	}
	hashes := make([]inventory.Fingerprint, 0, len(e.Observation.Chain))
	hashes = append(hashes, j.Certificate.SHA256)
	for i := range j.Chain {
		hashes = append(hashes, j.Chain[i].SHA256)
	}
	return hashes
}

func hashAll(chain [][]byte) []inventory.Fingerprint {
	hashes := make([]inventory.Fingerprint, 0, len(chain))
	for _, der := range chain {
		hashes = append(hashes, inventory.FingerprintOf(der))
	}
	return hashes
}

// storeChains stores chains and their certificates.
func (b *batch) storeChains(e *inventory.Endpoint, served []servedChain) error {
	at := millis(e.Observation.Time)
	for _, c := range served {
		for i, f := range c.hashes {
			if err := b.storeCertificate(f, c.ders[i], parsed(&e.Judgement, f), i == 0, at); err != nil {
				return fmt.Errorf("certificate %s: %w", f, err)
			}
		}
		if err := b.storeChain(c, parsed(&e.Judgement, c.hashes[0])); err != nil {
			return err
		}
	}
	return nil
}

// storeChain stores a chain, or who signed its leaf if that was not known.
func (b *batch) storeChain(c servedChain, leaf *inventory.Certificate) error {
	id := c.id()
	if _, known := b.w.stored[id]; known {
		return nil
	}
	family, err := b.w.family(leaf, c.hashes[1:])
	if err != nil {
		return fmt.Errorf("family of chain %s: %w", id, err)
	}
	if err := b.chains.add(b.w, id[:], pack(c.hashes), family); err != nil {
		return fmt.Errorf("chain %s: %w", id, err)
	}
	if leaf != nil && !leaf.IssuerKey.IsZero() {
		b.w.remember(id)
	}
	return nil
}

// parsed returns what a judgement says of one of the certificates that it saw,
// nil if it says nothing.
func parsed(j *inventory.Judgement, f inventory.Fingerprint) *inventory.Certificate {
	if j.Certificate != nil && j.Certificate.SHA256 == f {
		return j.Certificate
	}
	for _, list := range [][]inventory.Certificate{j.Chain, j.Alternates} {
		for i := range list {
			if list[i].SHA256 == f {
				return &list[i]
			}
		}
	}
	return nil
}

// storeCertificate stores a certificate, or what is new about it: it may have
// been seen before by something that did not parse it or lacked its issuer.
func (b *batch) storeCertificate(f inventory.Fingerprint, der []byte, c *inventory.Certificate, leaf bool, at int64) error {
	if _, known := b.w.stored[f]; known {
		return nil
	}
	if inventory.FingerprintOf(der) != f {
		return fmt.Errorf("the judgement is of another certificate than the observation")
	}
	if c == nil {
		c = new(inventory.Certificate)
	}
	if der == nil {
		der = []byte{} // NULL is no certificate, and this was served
	}
	var from, to any
	if !c.NotAfter.IsZero() {
		from, to = c.NotBefore.Unix(), c.NotAfter.Unix()
	}
	if err := b.certificates.add(b.w, f[:], nullable(c.SPKI), nullable(c.IssuerKey), nullable(c.TBS), from, to, at, der); err != nil {
		return err
	}
	if !c.SPKI.IsZero() && !c.IssuerKey.IsZero() {
		b.w.remember(f)
	}
	if !leaf {
		return nil
	}
	for _, name := range c.Names {
		if name == "" || len(name) > maxName {
			continue // nobody can ask for it
		}
		if err := b.names.add(b.w, reversed(name), f[:]); err != nil {
			return fmt.Errorf("name %q: %w", name, err)
		}
	}
	return nil
}

// learn stores an issuer's key that was verified only now, on a certificate
// that was stored without it.
func (b *batch) learn(e *inventory.Endpoint, served []servedChain) error {
	j := &e.Judgement
	if b.w.signatures == nil || len(served) == 0 || j.Certificate == nil || !j.LastSeen.IsZero() {
		return nil
	}
	for i, f := range served[0].hashes {
		c := parsed(j, f)
		if c == nil || c.IssuerKey.IsZero() || b.w.signatures.Verified(f, c.IssuerKey) {
			continue
		}
		if err := b.storeCertificate(f, e.Observation.Chain[i], c, i == 0, millis(e.Observation.Time)); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		if err := b.storeChain(served[0], c); err != nil {
			return err
		}
	}
	return nil
}
