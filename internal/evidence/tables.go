package evidence

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"example.com/certscan/internal/inventory"
)

// How long a list waits for memory, and how often it looks.
const (
	maxCrowded = 10 * time.Second
	lookEvery  = 20 * time.Millisecond
)

// errCrowded is why a list is not read.
var errCrowded = errors.New("too many large lists at a time: there is no memory for this one")

// tables bounds the memory of the lists that were read, for as long as anybody
// holds them: here, or while judging what waits for more. The garbage collector
// knows when that ends.
type tables struct {
	limit int64
	used  *atomic.Int64 // octets, with those of lists that are being read

	mu        sync.Mutex
	collected time.Time // under mu
}

func newTables(limit int64) tables { return tables{limit: limit, used: new(atomic.Int64)} }

// take takes n octets if there are so many. Large lists leave some to small
// ones, which are most of those of honest authorities.
func (t *tables) take(n int64) bool {
	most := t.limit
	if n > small {
		most -= t.limit / 8
	}
	for {
		used := t.used.Load()
		if used+n > most {
			return false
		}
		if t.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// keep turns the n octets that were taken into those of crl, until nobody holds
// it.
func (t *tables) keep(crl *inventory.CRL, n int64) {
	cost := int64(remembered{evidence: inventory.Evidence{CRL: crl}}.cost())
	used := t.used // and not t, which may hold crl
	used.Add(cost - n)
	runtime.AddCleanup(crl, func(cost int64) { used.Add(-cost) }, cost)
}

// collect finds out what nobody holds any more, once a second at most.
func (t *tables) collect(now time.Time) {
	if !t.mu.TryLock() {
		return // somebody does
	}
	defer t.mu.Unlock()
	if now.Sub(t.collected) >= time.Second {
		runtime.GC()
		t.collected = now
	}
}

// await takes n octets for a list of that size. It forgets others that are
// remembered, and waits a while for those that are held elsewhere.
func (s *Source) await(ctx context.Context, n int64) error {
	for waited := time.Duration(0); !s.tables.take(n); waited += lookEvery {
		if waited >= maxCrowded {
			return &local{errCrowded}
		}
		s.forget(n)
		s.tables.collect(time.Now())
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return &notAsked{context.Cause(ctx)}
		}
	}
	return nil
}

// forget makes room for a list of n octets among those that are remembered.
// Remembering it would do the same.
func (s *Source) forget(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lists.shrink(max(s.lists.limit-int(n), 0)) {
		s.shared = nil
	}
}
