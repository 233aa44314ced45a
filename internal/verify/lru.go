package verify

import (
	"container/list"
	"sync"
)

// An lru keeps the entries used last, at most limit of them. Safe for
// concurrent use.
type lru[K comparable, V any] struct {
	limit int

	mu    sync.Mutex
	order list.List           // of *entry[K, V], the last used first; under mu
	byKey map[K]*list.Element // under mu
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newLRU[K comparable, V any](limit int) *lru[K, V] {
	return &lru[K, V]{limit: limit, byKey: make(map[K]*list.Element)}
}

func (l *lru[K, V]) get(k K) (V, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.byKey[k]
	if !ok {
		var none V
		return none, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*entry[K, V]).value, true
}

func (l *lru[K, V]) put(k K, v V) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.byKey[k]; ok {
		e.Value.(*entry[K, V]).value = v
		l.order.MoveToFront(e)
		return
	}
	if l.order.Len() >= l.limit {
		// The entry is used again, so that a full cache costs no allocation.
		e := l.order.Back()
		old := e.Value.(*entry[K, V])
		delete(l.byKey, old.key)
		old.key, old.value = k, v
		l.order.MoveToFront(e)
		l.byKey[k] = e
		return
	}
	l.byKey[k] = l.order.PushFront(&entry[K, V]{k, v})
}
