package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"example.com/certscan/internal/inventory"
)

const (
	// ednsSize is what we tell servers to send at most over UDP: it is never
	// fragmented on the way (DNS flag day 2020).
	ednsSize = 1232

	// bufferSize is what we take: not every server listens.
	bufferSize = 4096

	headerSize = 12
)

// After deadAfter questions in a row without an answer a server is asked last,
// and one question in deadFor tries it again.
const (
	deadAfter = 3
	deadFor   = 30 * time.Second
)

// A server is one resolver, and how it behaves.
type server struct {
	addr netip.AddrPort
	name string

	plain  atomic.Bool  // does not know EDNS
	silent atomic.Int32 // questions in a row without an answer
	until  atomic.Int64 // when to try it again, in Unix nanoseconds; 0 if it is alive
}

func newServer(addr netip.AddrPort) *server { return &server{addr: addr, name: addr.String()} }

// heard notes that the server answered, or did not.
func (s *server) heard(answer bool) {
	if answer {
		s.silent.Store(0)
		s.until.Store(0)
	} else if s.silent.Add(1) >= deadAfter {
		s.until.Store(time.Now().Add(deadFor).UnixNano())
	}
}

// dead reports whether the server should come last. When its time is over,
// one caller gets to try it.
func (s *server) dead() bool {
	until := s.until.Load()
	if until == 0 {
		return false
	}
	now := time.Now()
	return now.UnixNano() < until || !s.until.CompareAndSwap(until, now.Add(deadFor).UnixNano())
}

// order returns the servers in the order to ask them.
func (r *Resolver) order() []*server {
	if len(r.servers) == 1 {
		return r.servers
	}
	alive := make([]*server, 0, len(r.servers))
	var dead []*server
	for _, s := range r.servers {
		if s.dead() {
			dead = append(dead, s)
		} else {
			alive = append(alive, s)
		}
	}
	return append(alive, dead...)
}

// A datagram is a question on its way to one server.
type datagram struct {
	q       *question
	wire    []byte // what was sent
	edns    bool
	done    bool // answered, or failed for good at this server
	overTCP bool // the answer was truncated
}

// exchange asks one server all questions at once, over one socket with a port
// of its own: a reused one would be easier to spoof. What comes of it is in the
// questions.
func (r *Resolver) exchange(ctx context.Context, s *server, questions []*question, end time.Time) {
	deadline := time.Now().Add(r.timeout)
	if end.Before(deadline) {
		deadline = end
	}
	sent, err := r.overUDP(ctx, s, questions, deadline)
	answered := false
	for _, d := range sent {
		if !d.done {
			continue
		}
		answered = true
		if d.overTCP {
			if tcpErr := r.overTCP(ctx, s, d); tcpErr != nil {
				d.q.fail(inventory.ReachDNSTimeout, fmt.Sprintf("%s: the answer is too long for UDP, and over TCP: %v", s.name, cause(tcpErr)))
			}
		}
	}
	if ctx.Err() != nil {
		return // that nothing came is not the server's fault
	}
	local := errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
	if !local {
		s.heard(answered)
	}
	for _, q := range questions {
		switch {
		case err == nil || q.answered:
		case local:
			q.fail(inventory.ReachLocalError, fmt.Sprintf("socket to ask %s: %v", s.name, cause(err)))
		case errors.Is(err, os.ErrDeadlineExceeded):
			q.fail(inventory.ReachDNSTimeout, "no answer from "+s.name)
		default:
			q.fail(inventory.ReachDNSTimeout, fmt.Sprintf("no answer from %s: %v", s.name, cause(err)))
		}
	}
}

// cause strips the addresses from an error of package net: the server's name
// stands before it, and our port changes with every question.
func cause(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.New("no answer in time")
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}

// overUDP sends the questions and reads until all have an answer. The error is
// why some have none.
func (r *Resolver) overUDP(ctx context.Context, s *server, questions []*question, deadline time.Time) ([]*datagram, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(s.addr))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	sent := make([]*datagram, len(questions))
	for i, q := range questions {
		sent[i] = &datagram{q: q}
		if err := sent[i].send(conn, !s.plain.Load()); err != nil {
			return nil, err
		}
	}
	buf := r.buffers.Get().(*[bufferSize]byte)
	defer r.buffers.Put(buf)
	for open := len(sent); open > 0; {
		n, err := conn.Read(buf[:])
		if err != nil {
			return sent, err
		}
		for _, d := range sent {
			if d.done || !d.answeredBy(buf[:n]) {
				continue
			}
			if err := d.take(conn, s, buf[:n]); err != nil {
				return sent, err
			}
			if d.done {
				open--
			}
			break
		}
	}
	return sent, nil
}

// send sends the question under a fresh number.
func (d *datagram) send(w io.Writer, edns bool) error {
	m := dns.Msg{
		MsgHdr:   dns.MsgHdr{Id: dns.Id(), RecursionDesired: true},
		Question: []dns.Question{{Name: d.q.name, Qtype: d.q.qtype, Qclass: dns.ClassINET}},
	}
	if edns {
		m.SetEdns0(ednsSize, false)
	}
	var err error
	if d.wire, err = m.Pack(); err != nil {
		return fmt.Errorf("name %q: %w", d.q.name, err)
	}
	d.edns = edns
	_, err = w.Write(d.wire)
	return err
}

// answeredBy reports whether b is an answer to what was sent: it has its number
// and repeats its question.
func (d *datagram) answeredBy(b []byte) bool {
	const response = 1 << 7
	if len(b) < headerSize || b[2]&response == 0 || binary.BigEndian.Uint16(b) != binary.BigEndian.Uint16(d.wire) {
		return false
	}
	if binary.BigEndian.Uint16(b[4:]) == 0 {
		// Servers that could not read the question have none to repeat.
		rcode := int(b[3] & 0xf)
		return rcode == dns.RcodeFormatError || rcode == dns.RcodeNotImplemented
	}
	size := headerSize
	for size < len(d.wire) && d.wire[size] != 0 { // the labels of the name
		size += 1 + int(d.wire[size])
	}
	size += 1 + 4 // the root, type and class
	return binary.BigEndian.Uint16(b[4:]) == 1 && len(b) >= size && size <= len(d.wire) &&
		equalFold(b[headerSize:size], d.wire[headerSize:size])
}

// equalFold compares names as DNS does: ASCII letters in any case.
func equalFold(a, b []byte) bool {
	for i, c := range a {
		if lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// take reads an answer that came over UDP. An error ends the exchange.
func (d *datagram) take(conn io.Writer, s *server, b []byte) error {
	const truncated = 1 << 1
	if b[2]&truncated != 0 {
		d.done, d.overTCP = true, true
		return nil
	}
	var m dns.Msg
	if err := m.Unpack(b); err != nil {
		return nil //nolint:nilerr // whoever sent that, the answer may still come
	}
	switch m.Rcode {
	case dns.RcodeFormatError, dns.RcodeNotImplemented, dns.RcodeBadVers:
		if d.edns {
			return d.send(conn, false) // perhaps it is EDNS that it does not know
		}
	case dns.RcodeSuccess, dns.RcodeNameError:
		if !d.edns {
			s.plain.Store(true)
		}
	}
	d.done = true
	d.q.read(&m, s.name)
	return nil
}

// read takes what an answer says.
func (q *question) read(m *dns.Msg, server string) {
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
		q.accept(m, server)
		return
	}
	name, ok := dns.RcodeToString[m.Rcode]
	if !ok {
		name = fmt.Sprintf("response code %d", m.Rcode)
	}
	detail := server + " says " + name
	if opt := m.IsEdns0(); opt != nil {
		for _, o := range opt.Option {
			if ede, ok := o.(*dns.EDNS0_EDE); ok { // RFC 8914: why
				detail += fmt.Sprintf(" (%s: %.100q)", dns.ExtendedErrorCodeToString[ede.InfoCode], ede.ExtraText)
			}
		}
	}
	q.fail(inventory.ReachDNSServFail, detail)
}

// overTCP asks again over TCP.
func (r *Resolver) overTCP(ctx context.Context, s *server, d *datagram) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.name)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	if err := d.send(lengthFirst{conn}, d.edns); err != nil {
		return err
	}
	var size uint16
	if err := binary.Read(conn, binary.BigEndian, &size); err != nil {
		return err
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(conn, b); err != nil {
		return err
	}
	if !d.answeredBy(b) {
		return errors.New("an answer to something else")
	}
	var m dns.Msg
	if err := m.Unpack(b); err != nil {
		return err
	}
	if m.Truncated {
		return errors.New("truncated as well")
	}
	d.q.read(&m, s.name)
	return nil
}

// lengthFirst writes a message as DNS over TCP has it (RFC 7766, section 8).
type lengthFirst struct{ w io.Writer }

func (l lengthFirst) Write(b []byte) (int, error) {
	n, err := l.w.Write(append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(b)), uint16(len(b))), b...))
	return max(n-2, 0), err
}
