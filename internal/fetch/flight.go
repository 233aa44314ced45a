package fetch

import (
	"context"
	"fmt"
	"sync"
)

// flights lets callers that want the same thing at the same time share one
// fetch. A caller whose context ends leaves; the fetch goes on for the others,
// and is cancelled and waited for when the last has left. That last part is why
// this is not x/sync/singleflight.
type flights struct {
	mu      sync.Mutex
	running map[string]*flight
}

type flight struct {
	waiters int // under flights.mu
	cancel  context.CancelFunc
	done    chan struct{} // closed when res and err are set
	res     Response
	err     error
}

func (f *flights) do(ctx context.Context, key string, fetch func(context.Context) (Response, error)) (Response, error) {
	if ctx.Err() != nil {
		return Response{}, fmt.Errorf("fetch: %w", context.Cause(ctx))
	}
	f.mu.Lock()
	fl, ok := f.running[key]
	if !ok {
		// Values of the first caller's context stay, its end does not.
		shared, cancel := context.WithCancel(context.WithoutCancel(ctx))
		fl = &flight{cancel: cancel, done: make(chan struct{})}
		f.running[key] = fl
		go func() {
			defer cancel()
			fl.res, fl.err = fetch(shared)
			f.forget(key, fl)
			close(fl.done)
		}()
	}
	fl.waiters++
	f.mu.Unlock()

	select {
	case <-fl.done:
		return fl.res, fl.err
	case <-ctx.Done():
	}
	if f.leave(key, fl) {
		fl.cancel()
		<-fl.done
	}
	return Response{}, fmt.Errorf("fetch: %w", context.Cause(ctx))
}

// leave reports whether it was the last waiter that left. Then nobody can join
// any more.
func (f *flights) leave(key string, fl *flight) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.waiters--
	if fl.waiters > 0 {
		return false
	}
	if f.running[key] == fl {
		delete(f.running, key)
	}
	return true
}

func (f *flights) forget(key string, fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[key] == fl {
		delete(f.running, key)
	}
}
