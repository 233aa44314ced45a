package probe

import (
	"bufio"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"example.com/certscan/internal/inventory"
)

// rawSeen bounds what is kept of the answer to a hand-made hello in order to
// name a foreign protocol, in bytes.
const rawSeen = 512

// errRetry is the fault of a HelloRetryRequest that cannot be followed.
var errRetry = errors.New("HelloRetryRequest for a group that was not offered or not again")

// rawLegacy sends a hand-made ClientHello for TLS 1.2 and before, and reads the
// certificate, which comes in clear. Nothing more is sent.
func (j *job) rawLegacy(a algorithms) outcome {
	return j.raw(&exchange{hello: clientHello{algorithms: a}})
}

// rawModern sends a hand-made ClientHello for TLS 1.3 and nothing more, except
// after a HelloRetryRequest. It derives the server's keys to read the
// certificate.
func (j *job) rawModern(a algorithms) outcome {
	x := &exchange{hello: clientHello{algorithms: a}}
	if err := x.newShare(29); err != nil {
		return outcome{alert: -1, reach: ioReach(err, "key generation")}
	}
	return j.raw(x)
}

func (j *job) raw(x *exchange) outcome {
	conn, release, failed := j.connect()
	if failed != nil {
		return outcome{alert: -1, reach: *failed}
	}
	defer release()
	start := time.Now()
	rec := &recorder{Conn: conn, limit: rawSeen}
	x.conn, x.hello.serverName = rec, j.serverName
	f := x.run()
	j.timings.Handshake += time.Since(start)

	out := outcome{alert: -1, tls: factsOf(f)}
	if len(f.chain) == 0 {
		if f.err == nil {
			f.err = fmt.Errorf("no certificate in it: %w", errMessage)
		}
		out.fail(f.err, f, rec.seen)
		return out
	}
	out.reach.Status = inventory.ReachOK
	out.capture.Method = inventory.CaptureRawHello
	out.chain, out.staple, out.scts = f.chain, f.staple, f.scts
	return out
}

// factsOf is what a ServerHello tells; nil without one.
func factsOf(f flight) *inventory.TLSFacts {
	if f.hello == nil || f.hello.retry {
		return nil
	}
	return &inventory.TLSFacts{
		Version:     versionName(f.hello.version),
		CipherSuite: suiteName(f.hello.suite),
		Group:       groupName(f.hello.group),
		ALPN:        f.hello.alpn,

		ClientCertificateRequested: f.asked,
	}
}

// An exchange is a hand-made handshake, up to the server's certificate.
type exchange struct {
	conn  io.ReadWriter
	hello clientHello
	key   *ecdh.PrivateKey // nil if TLS 1.3 is not offered
	sent  [][]byte         // the messages that the transcript begins with
}

func (x *exchange) run() flight {
	// rand.Read never fails: crypto/rand ends the process instead.
	_, _ = rand.Read(x.hello.random[:])
	_, _ = rand.Read(x.hello.session[:])
	if err := x.send(); err != nil {
		return flight{err: err}
	}
	return readFlight(bufio.NewReader(x.conn), false, x.opener)
}

func (x *exchange) send() error {
	msg, err := x.hello.message()
	if err != nil {
		return fmt.Errorf("ClientHello: %w", err)
	}
	x.sent = append(x.sent, msg)
	_, err = x.conn.Write(record(msg))
	return err
}

// curve returns the curve of a group whose shares can be made here.
func curve(group uint16) (ecdh.Curve, bool) {
	switch group {
	case 23:
		return ecdh.P256(), true
	case 24:
		return ecdh.P384(), true
	case 25:
		return ecdh.P521(), true
	case 29:
		return ecdh.X25519(), true
	}
	return nil, false
}

func (x *exchange) newShare(group uint16) error {
	c, ok := curve(group)
	if !ok {
		return errRetry
	}
	key, err := c.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	x.key, x.hello.group, x.hello.share = key, group, key.PublicKey().Bytes()
	return nil
}

// opener implements the keys argument of [readFlight]: it answers a
// HelloRetryRequest, and derives the server's keys from a ServerHello.
func (x *exchange) opener(h *serverHello, msg []byte) (*opener, error) {
	suite, ok := suite13ByID(h.suite)
	if x.key == nil || !ok {
		return nil, fmt.Errorf("ServerHello picks what was not offered: %w", errMessage)
	}
	transcript := suite.newHash()
	if h.retry {
		return nil, x.retry(h, msg, transcript)
	}
	if h.group != x.hello.group {
		return nil, fmt.Errorf("ServerHello picks group %s: %w", groupName(h.group), errMessage)
	}
	peer, err := x.key.Curve().NewPublicKey(h.share)
	if err != nil {
		return nil, fmt.Errorf("key share: %w", errMessage)
	}
	shared, err := x.key.ECDH(peer)
	if err != nil {
		return nil, fmt.Errorf("key share: %w", errMessage)
	}
	for _, m := range x.sent {
		transcript.Write(m)
	}
	transcript.Write(msg)
	secret, err := suite.serverHandshakeSecret(shared, transcript)
	if err != nil {
		return nil, err
	}
	return newOpener(suite, secret)
}

// retry sends the second ClientHello that a HelloRetryRequest asks for. In the
// transcript the first is replaced by its hash (RFC 8446, section 4.4.1).
func (x *exchange) retry(h *serverHello, msg []byte, sum hash.Hash) error {
	if len(x.sent) != 1 || h.cookie == nil && h.group == x.hello.group {
		return errRetry
	}
	if h.group != 0 && h.group != x.hello.group {
		if err := x.newShare(h.group); err != nil {
			return err
		}
	}
	x.hello.cookie = h.cookie
	sum.Write(x.sent[0])
	digest := sum.Sum([]byte{messageHash, 0, 0, byte(sum.Size())})
	x.sent = [][]byte{digest, append([]byte(nil), msg...)}
	return x.send()
}
