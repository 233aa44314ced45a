package probe

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"example.com/certscan/internal/inventory"
)

// dialTCP connects without keep-alives: a probe is over before one is due.
//
// ([net.Dialer.DialTCP] would spare a little work, but it binds every socket
// first, and then no two connections can share a local port.)
func dialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1}
	return d.DialContext(ctx, "tcp", to.String())
}

// routed asks the kernel for a route by connecting a UDP socket, which sends
// nothing: the same ENETUNREACH from TCP may come from a router far away.
func routed(to netip.AddrPort) error {
	c, err := net.Dial("udp", to.String())
	if err != nil {
		return err
	}
	return c.Close()
}

// connect opens a connection that is ready for a ClientHello: it has the
// deadline of the job, fails at once when the job's context is canceled, and
// has spoken STARTTLS if the protocol wants it. Call what it returns beside the
// connection when done. (The results have no names: what runs when the context
// ends must not see them change.)
func (j *job) connect() (net.Conn, func(), *inventory.Reach) {
	to := netip.AddrPortFrom(j.req.Address, j.req.Target.Port)
	start := time.Now()
	conn, err := j.p.dial(j.ctx, to)
	connected := time.Now()
	j.timings.Connect += connected.Sub(start)
	if err != nil {
		reach := j.connectReach(to, err)
		return nil, nil, &reach
	}
	// In this order, a cancellation has the last word.
	if err := conn.SetDeadline(j.deadline); err != nil {
		_ = conn.Close()
		reach := ioReach(err, "connect")
		return nil, nil, &reach
	}
	stop := context.AfterFunc(j.ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	release := func() {
		stop()
		_ = conn.Close()
	}

	proto := j.req.Target.Protocol
	if proto == inventory.TLS {
		return conn, release, nil
	}
	injected, err := upgrade(conn, proto, j.req.Target.ServerName())
	j.timings.STARTTLS += time.Since(connected)
	if len(injected) > 0 {
		j.injected = injected // a further connection without any does not take it back
	}
	if err != nil {
		release()
		reach := ioReach(err, "STARTTLS")
		if refused, ok := errors.AsType[starttlsError](err); ok {
			reach = inventory.Reach{Status: refused.Status, Detail: refused.Detail}
		}
		return nil, nil, &reach
	}
	return conn, release, nil
}

// A recorder keeps what the server sends during a handshake, up to limit bytes.
//
// What the client says after its first words waits until it wants to hear
// something, or for flush: its last records then leave as one segment with the
// goodbye, which spares both sides two packets and as many system calls.
type recorder struct {
	net.Conn
	seen    []byte
	limit   int
	flights int // client writes that began with a handshake record

	spoken  bool
	pending []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	if err := r.flush(); err != nil {
		return 0, err
	}
	n, err := r.Conn.Read(b)
	if keep := min(n, r.limit-len(r.seen)); keep > 0 {
		r.seen = append(r.seen, b[:keep]...)
	}
	return n, err
}

func (r *recorder) Write(b []byte) (int, error) {
	if len(b) > 0 && b[0] == recordHandshake {
		r.flights++
	}
	if r.spoken {
		r.pending = append(r.pending, b...)
		return len(b), nil
	}
	r.spoken = true
	return r.Conn.Write(b)
}

// flush sends what waits.
func (r *recorder) flush() error {
	if len(r.pending) == 0 {
		return nil
	}
	_, err := r.Conn.Write(r.pending)
	r.pending = r.pending[:0]
	return err
}

// SetWriteDeadline does nothing: the deadline of the job stands, and crypto/tls
// would replace it when it says goodbye.
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }

// stop ends the recording.
func (r *recorder) stop() { r.limit = 0 }
