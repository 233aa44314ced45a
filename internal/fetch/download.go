package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// slowest is the least that a download has to progress, in bytes a second,
	// once its first Timeout has passed.
	slowest = 256 << 10

	// longest is how many times Timeout a download may take whatever it brings:
	// somebody waits for it, and who has a reason to can send for ever.
	longest = 6
)

// errSlow ends a download that takes too long.
var errSlow = errors.New("fetch: too slow")

// Download is [Client.Get] for what is too large to hold: the body goes to w as
// it arrives, and Response.Body is nil. What w was given is worth nothing if
// there is an error. Timeout is the time until the body begins to come; from
// then on every 256 KiB buy another second, up to six times Timeout in all. Calls
// share nothing.
func (c *Client) Download(ctx context.Context, rawURL string, cond Conditional, maxBytes int64, w io.Writer) (Response, error) {
	caller := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := newPatience(c.opt.Timeout, func() { cancel(errSlow) })
	defer p.timer.Stop()
	res, out, err := c.open(ctx, request{method: http.MethodGet, url: rawURL, header: cond.header()})
	if err == nil && !out.NotModified {
		err = copyBody(io.MultiWriter(p, w), res, cmp.Or(maxBytes, c.opt.MaxBytes))
		res.Body.Close()
	}
	switch {
	case err == nil:
		return out, nil
	case caller.Err() != nil:
		return Response{}, fmt.Errorf("fetch: %w", context.Cause(caller))
	case errors.Is(context.Cause(ctx), errSlow):
		return Response{}, &Error{URL: rawURL, Reason: ReasonTimeout, Err: errors.New("no complete answer in time")}
	}
	return Response{}, classify(rawURL, err)
}

// patience ends a transfer that does not progress.
type patience struct {
	timer      *time.Timer
	until, end time.Time
}

func newPatience(d time.Duration, end func()) *patience {
	now := time.Now()
	return &patience{until: now.Add(d), end: now.Add(longest * d), timer: time.AfterFunc(d, end)}
}

// Write is told of what arrived.
func (p *patience) Write(b []byte) (int, error) {
	p.until = p.until.Add(time.Duration(len(b)) * time.Second / slowest)
	if p.until.After(p.end) {
		p.until = p.end
	}
	if p.timer.Stop() {
		p.timer.Reset(time.Until(p.until))
	}
	return len(b), nil
}
