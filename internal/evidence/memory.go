package evidence

import (
	"container/list"
	"time"

	"example.com/certscan/internal/inventory"
)

// entryCost is what an entry costs beside its certificates and text, in bytes.
const entryCost = 512

// remembered is evidence with what is needed to ask whether it changed.
type remembered struct {
	evidence   inventory.Evidence
	validators Validators
	body       inventory.Fingerprint // of a CRL that is in a file and was not read yet
}

// has reports whether there is anything, and not only the reason why not.
func (r remembered) has() bool {
	e := &r.evidence
	return len(e.Certificates) > 0 || e.CRL != nil || len(e.OCSP) > 0 || !r.body.IsZero()
}

// with returns r with the list that was read for old, if that is the one in its
// file.
func (r remembered) with(old remembered) remembered {
	if crl := old.evidence.CRL; crl != nil && crl.SHA256 == r.body {
		r.evidence.CRL, r.body = crl, inventory.Fingerprint{}
	}
	return r
}

func (r remembered) cost() int {
	e := &r.evidence
	n := entryCost + 2*(len(e.Need.URL)+len(e.Need.Request)) + len(e.Error) + len(e.OCSP)
	for _, c := range e.Certificates {
		n += len(c)
	}
	if e.CRL != nil {
		n += len(e.CRL.TBS)
		if e.CRL.Entries != nil {
			n += e.CRL.Entries.Bytes()
		}
	}
	return n
}

// memory forgets what was used least recently when it holds too many bytes.
type memory struct {
	limit, used int
	order       *list.List // of remembered, the last used in front
	entries     map[inventory.Need]*list.Element
}

func newMemory(limit int) memory {
	return memory{limit: limit, order: list.New(), entries: make(map[inventory.Need]*list.Element)}
}

func (m *memory) get(need inventory.Need) (remembered, bool) {
	el, ok := m.entries[need]
	if !ok {
		return remembered{}, false
	}
	m.order.MoveToFront(el)
	r, ok := el.Value.(remembered)
	return r, ok
}

func (m *memory) put(r remembered) {
	need := r.evidence.Need
	if el, ok := m.entries[need]; ok {
		m.drop(el)
	}
	m.entries[need] = m.order.PushFront(r)
	m.used += r.cost()
	for m.used > m.limit && m.order.Len() > 1 {
		m.drop(m.order.Back())
	}
}

// shrink forgets until limit bytes are left at most, and reports whether there
// was anything to forget.
func (m *memory) shrink(limit int) bool {
	all := m.order.Len()
	for m.used > limit && m.order.Len() > 0 {
		m.drop(m.order.Back())
	}
	return m.order.Len() < all
}

func (m *memory) drop(el *list.Element) {
	if r, ok := m.order.Remove(el).(remembered); ok {
		delete(m.entries, r.evidence.Need)
		m.used -= r.cost()
	}
}

// fresh returns up to limit entries that have not expired, the last used ones,
// and when the first of them does.
func (m *memory) fresh(limit int, now time.Time) (set inventory.EvidenceSet, until time.Time) {
	set = make(inventory.EvidenceSet)
	for el := m.order.Front(); el != nil && len(set) < limit; el = el.Next() {
		r, ok := el.Value.(remembered)
		if !ok || !now.Before(r.evidence.Expires) {
			continue
		}
		set[r.evidence.Need] = r.evidence
		if until.IsZero() || r.evidence.Expires.Before(until) {
			until = r.evidence.Expires
		}
	}
	return set, until
}
