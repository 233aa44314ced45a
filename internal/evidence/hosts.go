package evidence

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

// After so many fetches in a row without an answer a host is left alone for
// silentFor, so that ten thousand certificates that name it cost a few timeouts
// and not ten thousand. A host is a scheme, a name and a port: who names another
// port of it, where nothing listens, must not keep others from being answered.
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
	name  string // see place
	slots chan struct{}

	// Under hosts.mu.
	users    int           // inside enter or between enter and leave
	busy     int           // between enter and leave
	left     chan struct{} // closed when one of these leaves
	silences int           // in a row
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
	return fmt.Sprintf("not asked: its host is left alone until %s, because %q did not answer %d times in a row: %v",
		e.until.UTC().Format(time.RFC3339), e.host, maxSilences, e.last)
}

func (e *errSilent) Unwrap() error { return e.last }

// place is the scheme, the name and the port of rawURL. Whatever cannot be parsed
// is the fetcher's to refuse.
func place(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return rawURL
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	name := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	return u.Scheme + "://" + net.JoinHostPort(name, port)
}

// enter waits until one more fetch may go to the host of rawURL. What it
// returns has to be given to leave.
func (h *hosts) enter(ctx context.Context, rawURL string) (*host, error) {
	name := place(rawURL)
	h.mu.Lock()
	one, ok := h.all[name]
	if !ok {
		one = &host{name: name, slots: make(chan struct{}, h.limit), left: make(chan struct{})}
		h.all[name] = one
	}
	one.users++
	h.mu.Unlock()

	select {
	case one.slots <- struct{}{}:
	case <-ctx.Done():
		h.release(one)
		return nil, &notAsked{context.Cause(ctx)}
	}
	if err := h.admit(ctx, one); err != nil {
		<-one.slots
		h.release(one)
		return nil, err
	}
	return one, nil
}

// admit waits, once a fetch was not answered, for how those end that are still
// running: nobody begins another timeout at a host that is about to be left
// alone.
func (h *hosts) admit(ctx context.Context, one *host) error {
	for {
		h.mu.Lock()
		until, last, left := one.until, one.silence, one.left
		alone := h.now().Before(until)
		free := one.silences == 0 || one.busy == 0
		if !alone && free {
			one.busy++
		}
		h.mu.Unlock()
		switch {
		case alone:
			return &errSilent{one.name, until, last}
		case free:
			return nil
		}
		select {
		case <-left:
		case <-ctx.Done():
			return &notAsked{context.Cause(ctx)}
		}
	}
}

// leave notes how the fetch ended, unless that says nothing about the host.
func (h *hosts) leave(one *host, err error, mute bool) {
	class, _ := classify(err)
	h.mu.Lock()
	switch {
	case err != nil && (mute || errors.Is(err, context.Canceled)):
	case err != nil && class == silent:
		one.silences++
		if one.silences >= maxSilences {
			one.silences, one.silence, one.until = 0, err, h.now().Add(silentFor)
		}
	default:
		one.silences, one.silence = 0, nil
	}
	one.busy--
	close(one.left)
	one.left = make(chan struct{})
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
