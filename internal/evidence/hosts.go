package evidence

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"
)

// After so many fetches in a row without an answer a host is left alone for
// silentFor, so that ten thousand certificates that name it cost a few timeouts
// and not ten thousand.
const maxSilences = 3

// maxHosts bounds the hosts whose silence is remembered.
const maxHosts = 4096

// hosts limits how much is asked of one host.
type hosts struct {
	limit int
	now   func() time.Time

	mu  sync.Mutex
	all map[string]*host // under mu
}

type host struct {
	name  string
	slots chan struct{}

	// Under hosts.mu.
	users    int // inside enter or between enter and leave
	silences int // in a row
	silence  error
	until    time.Time
}

// errSilent is the cause when a host was left alone.
type errSilent struct {
	host  string
	until time.Time
	last  error
}

func (e *errSilent) Error() string {
	return fmt.Sprintf("host %q did not answer %d times in a row and is left alone until %s: %v",
		e.host, maxSilences, e.until.UTC().Format(time.RFC3339), e.last)
}

func (e *errSilent) Unwrap() error { return e.last }

// enter waits until one more fetch may go to the host of rawURL. What it
// returns has to be given to leave.
func (h *hosts) enter(ctx context.Context, rawURL string) (*host, error) {
	name := rawURL // whatever cannot be parsed is the fetcher's to refuse
	if u, err := url.Parse(rawURL); err == nil {
		name = u.Hostname()
	}
	h.mu.Lock()
	one, ok := h.all[name]
	if !ok {
		one = &host{name: name, slots: make(chan struct{}, h.limit)}
		h.all[name] = one
	}
	one.users++
	h.mu.Unlock()

	select {
	case one.slots <- struct{}{}:
	case <-ctx.Done():
		h.release(one)
		return nil, context.Cause(ctx)
	}
	h.mu.Lock()
	until, last := one.until, one.silence
	h.mu.Unlock()
	if h.now().Before(until) {
		<-one.slots
		h.release(one)
		return nil, &errSilent{one.name, until, last}
	}
	return one, nil
}

// leave notes how the fetch ended.
func (h *hosts) leave(one *host, err error) {
	h.mu.Lock()
	switch {
	case errors.Is(err, context.Canceled): // says nothing about the host
	case err != nil && classOf(err) == silent:
		one.silences++
		if one.silences >= maxSilences {
			one.silences, one.silence, one.until = 0, err, h.now().Add(silentFor)
		}
	default:
		one.silences, one.silence = 0, nil
	}
	h.mu.Unlock()
	<-one.slots
	h.release(one)
}

// release forgets hosts that nobody asks and nothing is known about.
func (h *hosts) release(one *host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	one.users--
	known := one.silences > 0 || h.now().Before(one.until)
	if one.users == 0 && (!known || len(h.all) > maxHosts) {
		delete(h.all, one.name)
	}
}
