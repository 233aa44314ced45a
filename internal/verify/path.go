package verify

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// Bounds of one walk. They stop a hostile pool of certificates, not a real one:
// paths of the web have three or four certificates and one or two alternatives.
const (
	maxDepth = 16   // certificates in a path
	maxPaths = 32   // complete paths that are kept
	maxSteps = 2000 // issuers that are considered
	maxCost  = 100  // signatures that are checked, large RSA keys counting more
	maxPool  = 200  // certificates that are looked at besides the leaf
)

// A store is a trust store, indexed.
type store struct {
	inventory.TrustStore
	byID     map[inventory.Fingerprint]*anchor
	byRaw    map[string][]*anchor // by subject, as encoded
	byNormal map[string][]*anchor // by normalised subject
}

type anchor struct {
	*cert
	constraint func([]*x509.Certificate) error
}

func newStore(t inventory.TrustStore) *store {
	s := &store{
		TrustStore: t,
		byID:       make(map[inventory.Fingerprint]*anchor, len(t.Anchors)),
		byRaw:      make(map[string][]*anchor, len(t.Anchors)),
		byNormal:   make(map[string][]*anchor, len(t.Anchors)),
	}
	for _, in := range t.Anchors {
		a := &anchor{parseCert(in.DER), in.Constraint}
		if _, twice := s.byID[a.info.SHA256]; twice || a.flaw != "" {
			continue
		}
		s.byID[a.info.SHA256] = a
		raw, normal := string(a.subject.raw), a.subject.normalised()
		s.byRaw[raw] = append(s.byRaw[raw], a)
		s.byNormal[normal] = append(s.byNormal[normal], a)
	}
	return s
}

// issuersOf returns the anchors with the name of c's issuer.
func (s *store) issuersOf(c *cert) []*anchor { return s.named(&c.issuer) }

func (s *store) named(n *name) []*anchor {
	if all := s.byNormal[n.normalised()]; len(all) > 0 {
		return all
	}
	return s.byRaw[string(n.raw)]
}

// A path is a way from a leaf to an anchor on which everything holds but
// perhaps the dates. The leaf itself is left out, so that remembering paths
// does not keep leaves.
type path struct {
	tail    []*cert // issuers, the anchor last; empty if the leaf is the anchor
	lacking *cert   // the first that was not served, nil if none

	begins, ends time.Time // when all intermediates are valid; zero without any
	first        *cert     // the intermediate that ends first
}

func newPath(tail []*cert, served func(*cert) bool) *path {
	p := &path{tail: slices.Clone(tail)}
	for _, c := range p.intermediates() {
		if p.lacking == nil && !served(c) {
			p.lacking = c
		}
		if p.first == nil || c.info.NotAfter.Before(p.ends) {
			p.first, p.ends = c, c.info.NotAfter
		}
		if c.info.NotBefore.After(p.begins) {
			p.begins = c.info.NotBefore
		}
	}
	return p
}

func (p *path) intermediates() []*cert { return p.tail[:max(len(p.tail)-1, 0)] }

// anchor is nil if the leaf is the anchor.
func (p *path) anchor() *cert {
	if len(p.tail) == 0 {
		return nil
	}
	return p.tail[len(p.tail)-1]
}

// A defect is why a path that reaches an anchor is not to be trusted.
type defect struct {
	status inventory.TrustStatus
	detail string
}

// A walk looks for the paths from one leaf to the anchors of one store. It runs
// twice: strictly, for paths without defect, and if there is none, again to
// explain why.
type walk struct {
	judge  *Judge
	store  *store
	pool   []*cert // served and then fetched
	served int     // pool[:served] were served
	strict bool

	path    []*cert
	defects []defect // of path
	steps   int      // left
	limited bool

	cost, comparisons int // left, of signatures and of names with constraints

	found []*path // strictly: the good ones

	failure []defect // of the path with the fewest
	reached []*cert  // that path
	ends    []deadEnd
	blocked map[*cert]string // why a certificate of the right name is not the issuer
}

// A deadEnd is a partial path whose last certificate has no known issuer.
type deadEnd struct {
	path       []*cert
	selfSigned bool
}

func (w *walk) run(leaf *cert) {
	w.steps, w.path, w.defects = maxSteps, append(w.path[:0], leaf), w.defects[:0]
	w.found, w.blocked = nil, nil
	if w.defects = leafDefects(w.defects, leaf); w.strict && len(w.defects) > 0 {
		return
	}
	if a := w.store.byID[leaf.info.SHA256]; a != nil {
		w.finish(a)
	}
	w.extend()
}

func (w *walk) isServed(c *cert) bool {
	return slices.ContainsFunc(w.pool[:w.served], func(s *cert) bool { return s.info.SHA256 == c.info.SHA256 })
}

func (w *walk) top() *cert { return w.path[len(w.path)-1] }

// extend tries every issuer of the last certificate.
func (w *walk) extend() {
	top, extended := w.top(), false
	for _, a := range w.store.issuersOf(top) {
		extended = w.try(a.cert, a) || extended
	}
	if len(w.path) < maxDepth-1 {
		for _, c := range w.candidates(top) {
			extended = w.try(c, nil) || extended
		}
	}
	if !extended && !w.strict {
		w.stop()
	}
}

// candidates returns those of the pool with the name of c's issuer, the most
// promising first. The key identifier is a hint and no more: it may be missing
// or wrong.
func (w *walk) candidates(c *cert) []*cert {
	var all []*cert
	for _, p := range w.pool {
		if p.subject.equal(&c.issuer) {
			all = append(all, p)
		}
	}
	if len(all) > 1 {
		slices.SortStableFunc(all, func(a, b *cert) int {
			return cmp.Or(cmp.Compare(keyHint(c, b), keyHint(c, a)), b.info.NotAfter.Compare(a.info.NotAfter))
		})
	}
	return all
}

func keyHint(c, issuer *cert) int {
	want, have := c.ext.authorityKeyID, issuer.ext.subjectKeyID
	switch {
	case len(want) == 0 || len(have) == 0:
		return 1
	case bytes.Equal(want, have):
		return 2
	}
	return 0
}

// try goes on over issuer, which is an anchor if a is not nil, and reports
// whether it issued the last certificate.
func (w *walk) try(issuer *cert, a *anchor) bool {
	if w.steps--; w.steps < 0 || len(w.found) >= maxPaths {
		w.limited = true
		return false
	}
	for _, c := range w.path { // the same name and key again adds nothing
		if c.key.id == issuer.key.id && c.subject.equal(&issuer.subject) {
			return false
		}
	}
	before := len(w.defects)
	defer func() { w.defects = w.defects[:before] }()
	top := w.top()
	w.defects = w.edgeDefects(w.defects, issuer, a != nil)
	if w.strict && len(w.defects) > before {
		return false
	}
	if err := w.signed(top, issuer); err != nil {
		w.block(top, issuer, err)
		return false
	}
	w.path = append(w.path, issuer)
	if a != nil {
		w.finish(a)
	} else {
		w.extend()
	}
	w.path = w.path[:len(w.path)-1]
	return true
}

var errTooCostly = errors.New("too many signatures to check")

// signed checks the signature of issuer's key on c within what is left to
// spend.
func (w *walk) signed(c, issuer *cert) error {
	err, known := w.judge.remembered(c, &issuer.key)
	if known {
		return err
	}
	price := 1
	if issuer.key.kind == keyRSA || issuer.key.kind == keyRSAPSS {
		price = max(1, issuer.key.bits*issuer.key.bits/(4096*4096))
	}
	if w.cost -= price; w.cost < 0 {
		w.limited = true
		return errTooCostly
	}
	return w.judge.verify(c, &issuer.key)
}

// finish deals with a path that has reached an anchor.
func (w *walk) finish(a *anchor) {
	defects := w.defects
	if len(w.path) > 1 {
		if err := checkPolicies(w.path); err != nil {
			defects = append(slices.Clip(defects), defect{inventory.TrustUnhandledCritical, err.Error()})
		}
	}
	if d := w.judge.distrust.check(w.path, true); d != nil {
		defects = append(slices.Clip(defects), *d)
	}
	if a.constraint != nil && len(defects) == 0 {
		chain := make([]*x509.Certificate, 0, len(w.path))
		for _, c := range w.path {
			chain = append(chain, c.standard())
		}
		if err := a.constraint(chain); err != nil {
			defects = append(slices.Clip(defects), defect{
				inventory.TrustDistrustedRoot, a.called() + " is distrusted: " + printable(cutText(err.Error(), 200)),
			})
		}
	}
	switch {
	case len(defects) == 0:
		w.found = append(w.found, newPath(w.path[1:], w.isServed))
	case w.failure == nil || len(defects) < len(w.failure):
		w.failure, w.reached = slices.Clone(defects), slices.Clone(w.path)
	}
}

// stop notes a path that goes no further.
func (w *walk) stop() {
	const keep = 8
	top := w.top()
	if len(w.ends) >= keep {
		return
	}
	w.ends = append(w.ends, deadEnd{slices.Clone(w.path), w.selfSigned(top)})
}

// selfSigned reports whether c is signed with its own key. Where that cannot be
// computed, its names and key identifiers decide.
func (w *walk) selfSigned(c *cert) bool {
	if !c.info.SelfIssued {
		return false
	}
	err := w.signed(c, c)
	return err == nil || !errors.Is(err, errBadSignature) && keyHint(c, c) > 0
}

func (w *walk) block(c, issuer *cert, err error) {
	if w.strict {
		return
	}
	if w.blocked == nil {
		w.blocked = make(map[*cert]string)
	}
	if errors.Is(err, errBadSignature) {
		w.blocked[c] = "a certificate for " + issuer.called() + " is there, but its key did not sign this one"
	} else {
		w.blocked[c] = "its signature (" + c.alg.label + ", by a key " + issuer.key.label + ") cannot be verified here"
	}
}
