package lab

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"time"
)

// dripInterval is slow enough for no handshake to end within any sane timeout,
// and fast enough to defeat a timeout that starts again with every byte.
const dripInterval = 100 * time.Millisecond

// Silent accepts and never says anything.
func Silent(_ context.Context, conn net.Conn) { drain(conn) }

// Banner says text at once and waits for the peer to go.
func Banner(text string) Handler {
	return func(_ context.Context, conn net.Conn) {
		if _, err := io.WriteString(conn, text); err == nil {
			drain(conn)
		}
	}
}

// Answer says text when the peer has sent its first TLS record, and hangs up.
func Answer(text string) Handler {
	return func(_ context.Context, conn net.Conn) {
		if readRecord(conn) != nil {
			return
		}
		if _, err := io.WriteString(conn, text); err == nil {
			hangUp(conn)
		}
	}
}

// EndOfFile closes in good order when the peer has sent its first TLS record.
func EndOfFile(_ context.Context, conn net.Conn) {
	if readRecord(conn) == nil {
		hangUp(conn)
	}
}

// Reset breaks the connection when the peer has sent its first TLS record.
func Reset(_ context.Context, conn net.Conn) {
	if readRecord(conn) == nil {
		reset(conn)
	}
}

// Endless answers the first TLS record with text that has no end and no line in
// it.
func Endless(_ context.Context, conn net.Conn) {
	if readRecord(conn) != nil {
		return
	}
	text := make([]byte, 16<<10)
	for i := range text {
		text[i] = 'A' + byte(i%26)
	}
	for {
		if _, err := conn.Write(text); err != nil {
			return
		}
	}
}

// Drip makes a handshake at one byte in each tenth of a second.
func Drip(config *tls.Config) Handler {
	return func(ctx context.Context, conn net.Conn) {
		_ = tls.Server(dripConn{conn, ctx}, config).Handshake()
	}
}

type dripConn struct {
	net.Conn
	ctx context.Context //nolint:containedctx // of the one connection
}

func (c dripConn) Write(p []byte) (int, error) {
	for i := range p {
		if !pause(c.ctx, dripInterval) {
			return i, net.ErrClosed
		}
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// CutAfterCertificate starts a handshake, and when its Certificate message is
// out gives the connection to end: [Silent], or a handler that closes.
func CutAfterCertificate(config *tls.Config, end Handler) Handler {
	return func(ctx context.Context, conn net.Conn) {
		_ = tls.Server(&cutConn{Conn: conn}, config).Handshake()
		end(ctx, conn)
	}
}

// HangUp closes in good order.
func HangUp(_ context.Context, conn net.Conn) { hangUp(conn) }

// Break closes with a TCP reset.
func Break(_ context.Context, conn net.Conn) { reset(conn) }

// A cutConn lets a TLS server write up to the end of its Certificate message.
// crypto/tls writes whole records and one handshake message in each, so no
// state is needed between writes but the count of encrypted records.
type cutConn struct {
	net.Conn
	encrypted int
	cut       bool
}

func (c *cutConn) Write(p []byte) (int, error) {
	const handshake, applicationData, certificate = 22, 23, 11
	for end := 0; !c.cut && len(p)-end > 5; {
		record := p[end:]
		end = min(len(p), end+5+int(binary.BigEndian.Uint16(record[3:])))
		switch record[0] {
		case handshake: // TLS 1.2 shows the message type
			c.cut = record[5] == certificate
		case applicationData: // TLS 1.3: EncryptedExtensions, then Certificate
			c.encrypted++
			c.cut = c.encrypted == 2
		}
		if c.cut {
			p = p[:end]
		}
	}
	n, err := c.Conn.Write(p)
	if err == nil && c.cut {
		return n, net.ErrClosed
	}
	return n, err
}

// readRecord reads one TLS record, or whatever else comes in its place.
func readRecord(r io.Reader) error {
	var header [5]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, r, int64(binary.BigEndian.Uint16(header[3:])))
	return err
}
