package verify

import (
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"example.com/certscan/internal/inventory"
)

// A Fleet finds what concerns several targets. It keeps some 100 bytes for each
// key that it has seen, and forgets everything else. It must not be used
// concurrently.
type Fleet struct {
	seed   maphash.Seed
	first  map[inventory.Fingerprint]use
	shared map[inventory.Fingerprint][]use // the further uses of a key
}

// A use is one certificate for a key, at one target.
type use struct {
	certificate inventory.Fingerprint
	names       uint64 // hash of the set of names
	target      string
}

// maxUses bounds what is kept of one key: a message names a few.
const maxUses = 16

// NewFleet returns a Fleet that has seen nothing.
func NewFleet() *Fleet {
	return &Fleet{
		seed:   maphash.MakeSeed(),
		first:  make(map[inventory.Fingerprint]use),
		shared: make(map[inventory.Fingerprint][]use),
	}
}

// Add takes the certificates of r that were seen now into account.
func (f *Fleet) Add(r inventory.Result) {
	target := r.Target.Key()
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		if e.Judgement.Certificate == nil || !e.Judgement.LastSeen.IsZero() || e.Observation.Offer == inventory.OfferNoSNI {
			continue
		}
		for _, c := range leaves(e) {
			f.add(c, target)
		}
	}
}

func (f *Fleet) add(c *inventory.Certificate, target string) {
	if c.SPKI.IsZero() {
		return
	}
	first, ok := f.first[c.SPKI]
	if !ok {
		f.first[c.SPKI] = use{c.SHA256, f.hash(c.Names), target}
		return
	}
	if first.certificate == c.SHA256 {
		return
	}
	u := use{c.SHA256, f.hash(c.Names), target}
	more := f.shared[c.SPKI]
	if first == u || slices.Contains(more, u) || len(more) >= maxUses {
		return
	}
	f.shared[c.SPKI] = append(more, u)
}

// hash is the same for the same names in any order.
func (f *Fleet) hash(names []string) uint64 {
	var sum uint64
	for _, n := range names {
		sum += maphash.String(f.seed, n)
	}
	return sum
}

// Findings lists the keys that certificates for different names share, at
// several targets: who breaks one has them all. A key kept over a renewal is
// not reuse, and neither is one certificate at many targets.
func (f *Fleet) Findings() []inventory.Finding {
	var out []inventory.Finding
	for key, more := range f.shared {
		uses := append([]use{f.first[key]}, more...)
		var targets []string
		names := false
		for _, u := range uses {
			names = names || u.names != uses[0].names
			if !slices.Contains(targets, u.target) {
				targets = append(targets, u.target)
			}
		}
		if !names || len(targets) < 2 {
			continue
		}
		slices.Sort(targets)
		slices.SortFunc(uses, func(a, b use) int { return slices.Compare(a.certificate[:], b.certificate[:]) })
		uses = slices.CompactFunc(uses, func(a, b use) bool { return a.certificate == b.certificate })
		const show = 5
		list := strings.Join(targets[:min(show, len(targets))], ", ")
		if len(targets) > show {
			list += fmt.Sprintf(" and %d more", len(targets)-show)
		}
		code := inventory.CodeKeyReused
		out = append(out, inventory.Finding{
			Code: code, Severity: code.DefaultSeverity(),
			Subject: inventory.Subject{Kind: inventory.SubjectCertificate, ID: uses[0].certificate.String()},
			Message: fmt.Sprintf("%d certificates for different names share the key %s, at %s; give each its own", len(uses), shortID(key), list),
		})
	}
	slices.SortFunc(out, func(a, b inventory.Finding) int { return cmp.Compare(a.Subject.ID, b.Subject.ID) })
	return out
}
