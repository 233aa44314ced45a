package evidence

import (
	"container/list"

	"example.com/certscan/internal/inventory"
)

// entryCost is what an entry costs beside its certificates and text, in bytes.
const entryCost = 512

// remembered is evidence with what is needed to ask whether it changed.
type remembered struct {
	evidence   inventory.Evidence
	validators Validators
}

func (r remembered) cost() int {
	n := entryCost + 2*len(r.evidence.Need.URL) + len(r.evidence.Error)
	for _, c := range r.evidence.Certificates {
		n += len(c)
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

func (m *memory) drop(el *list.Element) {
	if r, ok := m.order.Remove(el).(remembered); ok {
		delete(m.entries, r.evidence.Need)
		m.used -= r.cost()
	}
}
