package probe

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/cryptobyte"
)

// Record and handshake message types (RFC 8446, section 5.1 and appendix B.3).
const (
	recordChangeCipherSpec = 20
	recordAlert            = 21
	recordHandshake        = 22
	recordData             = 23

	messageServerHello        = 2
	messageCertificate        = 11
	messageServerKeyExchange  = 12
	messageCertificateRequest = 13
	messageServerHelloDone    = 14
	messageCertificateVerify  = 15
	messageFinished           = 20
	messageCertificateStatus  = 22
	messageHash               = 254
)

// Bounds of what is read from a peer in a handshake.
const (
	maxRecord   = 16384 + 2048 // bytes; RFC 5246, section 6.2.3
	maxMessage  = 1 << 20      // bytes; four times what crypto/tls takes
	maxFlight   = maxMessage + 128<<10
	maxRecords  = 1 << 14 // empty ones and one-byte fragments included
	maxCertsIn  = 1000    // certificates of one chain
	recordHead  = 5
	messageHead = 4
)

var (
	errNotTLS   = errors.New("not a TLS record")
	errTooMuch  = errors.New("more than a handshake needs")
	errHidden   = errors.New("encrypted with unknown keys")
	errMessage  = errors.New("malformed handshake message")
	errNoSecret = errors.New("no key for the handshake's secrets")
)

// An alertError is an alert that the server sent instead of going on.
type alertError uint8

func (e alertError) Error() string { return alertName(uint8(e)) }

// messages reads handshake messages from a stream of records, decrypting those
// of TLS 1.3 once it has been given the key.
type messages struct {
	r       io.Reader
	key     *opener // nil while records are in clear
	hand    []byte  // received, but not yet returned
	buf     []byte
	bytes   int
	records int
}

// next returns the next message with its header. The message stays valid.
func (m *messages) next() (typ byte, msg []byte, err error) {
	for {
		if len(m.hand) >= messageHead {
			n := messageHead + int(m.hand[1])<<16 + int(m.hand[2])<<8 + int(m.hand[3])
			if n > maxMessage {
				return 0, nil, errTooMuch
			}
			if len(m.hand) >= n {
				msg, m.hand = m.hand[:n:n], m.hand[n:]
				return msg[0], msg, nil
			}
		}
		if err := m.readRecord(); err != nil {
			return 0, nil, err
		}
	}
}

// readRecord reads one record and appends what it has of handshake messages.
func (m *messages) readRecord() error {
	var head [recordHead]byte
	if _, err := io.ReadFull(m.r, head[:]); err != nil {
		return err
	}
	if !looksLikeTLS(head[:]) {
		return errNotTLS
	}
	n := int(head[3])<<8 | int(head[4])
	m.bytes += recordHead + n
	m.records++
	switch {
	case n > maxRecord:
		return errNotTLS
	case m.bytes > maxFlight, m.records > maxRecords:
		return errTooMuch
	}
	if cap(m.buf) < n {
		m.buf = make([]byte, max(n, 4096))
	}
	payload := m.buf[:n]
	if _, err := io.ReadFull(m.r, payload); err != nil {
		return err
	}
	typ := head[0]
	if typ == recordData {
		if m.key == nil {
			return errHidden
		}
		var err error
		if typ, payload, err = m.key.open(head[:], payload); err != nil {
			return err
		}
	}
	switch typ {
	case recordHandshake:
		m.hand = append(m.hand, payload...)
	case recordChangeCipherSpec:
		// Means nothing in TLS 1.3, where it may come at any time, and comes
		// after all that is read here in TLS 1.2.
	case recordAlert:
		if len(payload) < 2 {
			return errHidden
		}
		// A warning such as unrecognized_name does not end a handshake.
		switch {
		case payload[1] == alertCloseNotify:
			return io.EOF
		case payload[0] != 1 || m.key != nil:
			return alertError(payload[1])
		}
	default:
		return errNotTLS
	}
	return nil
}

// looksLikeTLS reports whether b can be the beginning of a TLS or SSL 3.0
// record.
func looksLikeTLS(b []byte) bool {
	return len(b) > 0 && b[0] >= recordChangeCipherSpec && b[0] <= recordData && (len(b) == 1 || b[1] == 3)
}

// A flight is what could be read of the server's side of a handshake.
type flight struct {
	hello     *serverHello
	asked     bool // for a client certificate, as far as was read
	exchanged bool // a ServerKeyExchange message was read; its signature is not looked at
	chain     [][]byte
	staple    []byte
	scts      [][]byte
	certified bool // a Certificate message was read, if with an empty chain

	err error // why nothing more was read; nil after the certificate
}

// readFlight reads from r. At each ServerHello it calls keys, which returns the
// opener for what follows in TLS 1.3, or nil after a HelloRetryRequest. It stops
// at the certificate. With whole, a TLS 1.2 flight is read to its end: that is
// for recordings, as a live server may have nothing more to say.
func readFlight(r io.Reader, whole bool, keys func(h *serverHello, msg []byte) (*opener, error)) flight {
	f := flight{}
	in := messages{r: r}
	for {
		typ, msg, err := in.next()
		if err != nil {
			if !f.certified {
				f.err = err
			}
			return f
		}
		modern := f.hello != nil && f.hello.version == versionTLS13
		switch {
		case typ == messageServerHello:
			if f.hello != nil && !f.hello.retry {
				f.err = fmt.Errorf("second ServerHello: %w", errMessage)
				return f
			}
			h, err := parseServerHello(msg[messageHead:])
			if err != nil {
				f.err = err
				return f
			}
			f.hello = h
			if h.version == versionTLS13 {
				if in.key, err = keys(h, msg); err != nil {
					f.err = err
					return f
				}
			}
			f.scts = h.scts
		case typ == messageCertificateRequest:
			f.asked = true
		case typ == messageCertificate && f.hello != nil && !f.hello.retry:
			c, err := parseCertificate(msg[messageHead:], modern)
			if err != nil {
				f.err = err
				return f
			}
			f.certified, f.chain = true, c.chain
			if modern {
				f.staple, f.scts = c.staple, c.scts
			}
			if modern || !whole {
				return f
			}
		case typ == messageCertificateStatus && f.certified:
			f.staple = parseStaple(msg[messageHead:])
		case typ == messageServerKeyExchange && f.certified:
			f.exchanged = true
		case typ == messageCertificateVerify, typ == messageServerHelloDone, typ == messageFinished:
			return f
		}
	}
}

// A serverHello is what is worth knowing of a ServerHello.
type serverHello struct {
	version uint16
	suite   uint16
	retry   bool // it is a HelloRetryRequest
	group   uint16
	share   []byte
	cookie  []byte
	alpn    string
	scts    [][]byte
}

// helloRetryRandom marks a HelloRetryRequest (RFC 8446, section 4.1.3).
const helloRetryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

func parseServerHello(b []byte) (*serverHello, error) {
	var (
		h       serverHello
		s       = cryptobyte.String(b)
		random  []byte
		session cryptobyte.String
		skipped uint8
		exts    cryptobyte.String
	)
	bad := fmt.Errorf("ServerHello: %w", errMessage)
	if !s.ReadUint16(&h.version) || !s.ReadBytes(&random, 32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16(&h.suite) || !s.ReadUint8(&skipped) {
		return nil, bad
	}
	h.retry = string(random) == helloRetryRandom
	if s.Empty() {
		return &h, nil // no extensions at all: a server before TLS 1.2
	}
	if !s.ReadUint16LengthPrefixed(&exts) {
		return nil, bad
	}
	for !exts.Empty() {
		var typ uint16
		var body cryptobyte.String
		if !exts.ReadUint16(&typ) || !exts.ReadUint16LengthPrefixed(&body) || !h.extension(typ, body) {
			return nil, bad
		}
	}
	return &h, nil
}

func (h *serverHello) extension(typ uint16, body cryptobyte.String) bool {
	switch typ {
	case extSupportedVersions:
		return body.ReadUint16(&h.version)
	case extKeyShare:
		var share cryptobyte.String
		if !body.ReadUint16(&h.group) {
			return false
		}
		if h.retry {
			return true
		}
		ok := body.ReadUint16LengthPrefixed(&share)
		h.share = share
		return ok
	case extCookie:
		var cookie cryptobyte.String
		ok := body.ReadUint16LengthPrefixed(&cookie)
		h.cookie = cookie
		return ok
	case extALPN:
		var list, name cryptobyte.String
		ok := body.ReadUint16LengthPrefixed(&list) && list.ReadUint8LengthPrefixed(&name)
		h.alpn = string(name)
		return ok
	case extSCT:
		h.scts = parseSCTs(body)
	}
	return true
}

// A certificateMessage is a parsed Certificate message.
type certificateMessage struct {
	chain  [][]byte
	staple []byte
	scts   [][]byte
}

// parseCertificate reads the body of a Certificate message, of TLS 1.3 if
// modern. What it returns does not share memory with b.
func parseCertificate(b []byte, modern bool) (certificateMessage, error) {
	var c certificateMessage
	var context, list cryptobyte.String
	s := cryptobyte.String(b)
	bad := fmt.Errorf("certificate message: %w", errMessage)
	if modern && !s.ReadUint8LengthPrefixed(&context) || !s.ReadUint24LengthPrefixed(&list) {
		return c, bad
	}
	for !list.Empty() {
		var der, exts cryptobyte.String
		if !list.ReadUint24LengthPrefixed(&der) || modern && !list.ReadUint16LengthPrefixed(&exts) {
			return c, bad
		}
		if len(c.chain) == maxCertsIn {
			return c, errTooMuch
		}
		c.chain = append(c.chain, bytes.Clone(der)) // never nil, also if a server sends one of no length
		for len(c.chain) == 1 && !exts.Empty() {
			var typ uint16
			var body cryptobyte.String
			if !exts.ReadUint16(&typ) || !exts.ReadUint16LengthPrefixed(&body) {
				break // the certificate counts, not what surrounds it
			}
			switch typ {
			case extStatusRequest:
				c.staple = parseStaple(body)
			case extSCT:
				c.scts = parseSCTs(body)
			}
		}
	}
	return c, nil
}

// parseStaple returns the OCSP response of a CertificateStatus (RFC 6066,
// section 8), or nil.
func parseStaple(b []byte) []byte {
	var typ uint8
	var response cryptobyte.String
	s := cryptobyte.String(b)
	if !s.ReadUint8(&typ) || typ != 1 || !s.ReadUint24LengthPrefixed(&response) || len(response) == 0 {
		return nil
	}
	return append([]byte(nil), response...)
}

// parseSCTs returns the entries of a SignedCertificateTimestampList (RFC 6962,
// section 3.3), as far as it can be read.
func parseSCTs(b []byte) [][]byte {
	var list, sct cryptobyte.String
	s := cryptobyte.String(b)
	if !s.ReadUint16LengthPrefixed(&list) {
		return nil
	}
	var scts [][]byte
	for list.ReadUint16LengthPrefixed(&sct) {
		scts = append(scts, append([]byte(nil), sct...))
	}
	return scts
}
