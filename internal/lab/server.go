package lab

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// connLimit is how long the lab keeps any connection, however the peer behaves.
const connLimit = time.Minute

// A Handler talks to one peer. The connection is closed for it when it returns,
// and under it when the lab is closed.
type Handler func(ctx context.Context, conn net.Conn)

// A farm runs handlers behind listeners and waits for all of them.
type farm struct {
	ctx context.Context //nolint:containedctx // the life of the farm, which its connections share
	wg  sync.WaitGroup
}

// serve accepts connections for h until ctx ends.
func (f *farm) serve(ln net.Listener, h Handler) {
	stop := context.AfterFunc(f.ctx, func() { ln.Close() })
	f.wg.Go(func() {
		defer stop()
		defer ln.Close()
		for {
			conn, err := ln.Accept()
			if f.ctx.Err() != nil {
				if err == nil {
					conn.Close()
				}
				return
			}
			if err != nil {
				// Out of descriptors, or a peer that left early: neither ends a server.
				if !pause(f.ctx, time.Millisecond) {
					return
				}
				continue
			}
			f.wg.Go(func() { f.handle(conn, h) })
		}
	})
}

func (f *farm) handle(conn net.Conn, h Handler) {
	stop := context.AfterFunc(f.ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	if conn.SetDeadline(time.Now().Add(connLimit)) == nil {
		h(f.ctx, conn)
	}
}

// pause waits for d and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// TLS makes a handshake and then waits for the peer to go.
func TLS(config *tls.Config) Handler {
	return func(_ context.Context, conn net.Conn) {
		t := tls.Server(conn, config)
		if t.Handshake() != nil {
			hangUp(conn)
			return
		}
		drain(t)
	}
}

// drain reads until the peer closes, or the connection's deadline.
func drain(r io.Reader) { _, _ = io.Copy(io.Discard, r) }

// hangUp ends the connection so that the peer reads everything that was
// written: a close with unread data would be a reset.
func hangUp(conn net.Conn) {
	if c, ok := conn.(*net.TCPConn); ok && c.CloseWrite() == nil && c.SetDeadline(time.Now().Add(time.Second)) == nil {
		drain(c)
	}
}

// reset ends the connection with a TCP reset.
func reset(conn net.Conn) {
	if c, ok := conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	conn.Close()
}

// A Switch is a handler that can be exchanged while it serves, for scenarios in
// two steps.
type Switch struct{ current atomic.Pointer[Handler] }

// NewSwitch starts with h.
func NewSwitch(h Handler) *Switch {
	s := new(Switch)
	s.Set(h)
	return s
}

// Set makes h answer all later connections.
func (s *Switch) Set(h Handler) { s.current.Store(&h) }

// Handle is the [Handler].
func (s *Switch) Handle(ctx context.Context, conn net.Conn) { (*s.current.Load())(ctx, conn) }

// Alternate gives connections to the handlers in turn, as a load balancer does
// with the servers behind it.
func Alternate(handlers ...Handler) Handler {
	var n atomic.Uint64
	return func(ctx context.Context, conn net.Conn) {
		handlers[(n.Add(1)-1)%uint64(len(handlers))](ctx, conn)
	}
}
