package probe

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// maxSeen bounds what is recorded of a handshake, in bytes. The largest that
// crypto/tls takes is a quarter of it.
const maxSeen = 1 << 20

// verdictWait is how long a server that asked for a client certificate gets to
// say that it cannot do without.
const verdictWait = time.Second

// A hello says how a ClientHello of crypto/tls differs from the first one.
type hello struct {
	alpn        bool // offers protocols
	postQuantum bool // has a hybrid key share in front, and X25519
}

// A session is one handshake of crypto/tls.
type session struct {
	rec     recorder
	log     keyLog
	chain   [][]byte // what crypto/tls handed over
	asked   bool     // for a client certificate
	elapsed time.Duration
}

// config is the configuration of one handshake: nothing is refused that
// crypto/tls can be talked into, and nothing is resumed, because a resumed
// session shows no certificate.
func (j *job) config(s *session, h hello) *tls.Config {
	c := &tls.Config{
		ServerName:         j.serverName,
		InsecureSkipVerify: true, // this records; judging comes later
		MinVersion:         tls.VersionTLS10,
		CipherSuites:       j.p.suites,
		// P-256 is the one group that every server of TLS 1.3 has to take (RFC
		// 8446, section 9.1), and costs half of what X25519 does here. A hybrid
		// share costs a third of the whole handshake, and makes the ClientHello
		// too long for one packet. Both come with the next hello.
		CurvePreferences: []tls.CurveID{tls.CurveP256, tls.CurveP384, tls.CurveP521},
		KeyLogWriter:     &s.log,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			s.chain = raw
			return nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			s.asked = true
			return new(tls.Certificate), nil // go on without
		},
	}
	if h.alpn {
		c.NextProtos = []string{"h2", "http/1.1"}
	}
	if h.postQuantum {
		c.CurvePreferences = append([]tls.CurveID{tls.X25519MLKEM768, tls.X25519}, c.CurvePreferences...)
	}
	// Only before TLS 1.3 does a client say by its suites what kind of key it
	// wants.
	if kind := j.keyKind(); kind != "" {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, ids(kind, commonSuites)
	}
	return c
}

// handshake makes one connection and lets crypto/tls carry its handshake
// through. What it refuses to hand over is read from the recorded bytes.
func (j *job) handshake(h hello) outcome {
	conn, release, failed := j.connect()
	if failed != nil {
		return outcome{alert: -1, reach: *failed}
	}
	defer release()

	s := session{rec: recorder{Conn: conn, seen: make([]byte, 0, 4096), limit: maxSeen}}
	client := tls.Client(&s.rec, j.config(&s, h))
	start := time.Now()
	err := client.Handshake()
	s.elapsed = time.Since(start)
	j.timings.Handshake += s.elapsed
	s.rec.stop()
	if err != nil {
		_ = s.rec.flush() // the alert that says why; the server may be gone
		return s.failed(err)
	}

	state := client.ConnectionState()
	out := outcome{
		alert:   -1,
		reach:   inventory.Reach{Status: inventory.ReachOK},
		capture: inventory.Capture{Method: inventory.CaptureHandshake, HandshakeComplete: true, PossessionProven: true},
		chain:   s.chain,
		staple:  state.OCSPResponse,
		scts:    state.SignedCertificateTimestamps,
		tls: &inventory.TLSFacts{
			Version:     versionName(state.Version),
			CipherSuite: suiteName(state.CipherSuite),
			Group:       groupName(uint16(state.CurveID)),
			ALPN:        state.NegotiatedProtocol,

			ClientCertificateRequested: s.asked,
		},
	}
	if h.postQuantum && state.CurveID == tls.X25519MLKEM768 {
		yes := true
		out.tls.PostQuantum = &yes
	}
	if s.asked && state.Version == tls.VersionTLS13 {
		out.tls.ClientCertificateRequired = j.refusedWithout(client, conn, s.elapsed)
	}
	_ = client.CloseWrite() // a polite end: servers log the other kind
	_ = s.rec.flush()
	return out
}

// refusedWithout reports whether the server ends the connection for lack of a
// client certificate, which a TLS 1.3 server can only do after the handshake.
// To be silent or to say something else is to go on.
func (j *job) refusedWithout(client *tls.Conn, conn net.Conn, roundTrips time.Duration) bool {
	until := time.Now().Add(max(verdictWait, 2*roundTrips))
	if until.After(j.deadline) {
		until = j.deadline
	}
	if conn.SetReadDeadline(until) != nil || j.ctx.Err() != nil {
		return false
	}
	n, err := client.Read(make([]byte, 1))
	return n == 0 && lacksCertificate(err)
}

// lacksCertificate reports whether a server that asked for a client certificate
// and got none may have meant that by ending the connection with err.
func lacksCertificate(err error) bool {
	switch remoteAlert(err) {
	case 40, 41, 42, 43, 46, 48, 49, 116:
		return true
	case -1:
		return isBroken(err) && hungUp(ioReach(err, "").Status)
	}
	return false
}

// failed says what is known of a handshake that crypto/tls ended with err.
func (s *session) failed(err error) outcome {
	f := readFlight(bytes.NewReader(s.rec.seen), true, s.log.opener)
	out := outcome{
		alert: -1, tls: factsOf(f),
		chain: f.chain, staple: f.staple, scts: f.scts,
		capture: inventory.Capture{Method: inventory.CaptureTranscript},
	}
	if s.chain != nil {
		out.chain = s.chain
		out.capture.Method = inventory.CaptureHandshake
	}
	out.fail(err, f, s.rec.seen)
	if len(out.chain) == 0 {
		return out
	}
	if out.tls == nil {
		out.tls = new(inventory.TLSFacts) // not to be had with a certificate
	}
	out.tls.ClientCertificateRequested = s.asked || f.asked
	// Before TLS 1.3 the client speaks a second time only when it has verified
	// the signature over the key exchange, if there is one. Both have to be: it
	// misses a ServerKeyExchange only after it has written its Certificate, and
	// then ends the handshake itself.
	demanded := s.rec.flights > 1 && f.hello != nil && f.hello.version != versionTLS13 && s.asked && lacksCertificate(err)
	out.capture.PossessionProven = demanded && f.exchanged && ephemeral(out.tls.CipherSuite)
	switch {
	case demanded:
		out.tls.ClientCertificateRequired = true
		out.reach.Status = inventory.ReachOK
	case s.chain == nil && refusedCertificate(err):
		out.reach = inventory.Reach{Status: inventory.ReachOK, Detail: "not completed: " + err.Error()}
	}
	return out
}

// refusedCertificate reports whether crypto/tls gave up a handshake because it
// cannot handle a certificate, which is no fault of the handshake. It has no
// type for that. (handshake_client.go, verifyServerCertificate.)
func refusedCertificate(err error) bool {
	for _, text := range []string{
		"tls: failed to parse certificate from server",
		"tls: server's certificate contains an unsupported type of public key",
		"tls: server sent certificate containing RSA key larger than",
	} {
		if strings.HasPrefix(err.Error(), text) {
			return true
		}
	}
	return false
}

// faultOf says what crypto/tls found wrong. It has no type for a message above
// its bounds, which are wider than those of most clients.
func faultOf(err error) string {
	var n, most int
	if _, failed := fmt.Sscanf(err.Error(), "tls: handshake message of length %d bytes exceeds maximum of %d bytes", &n, &most); failed != nil {
		return err.Error()
	}
	return fmt.Sprintf("handshake message of %d bytes is larger than clients take", n)
}

// fail says how a connection ended that was to show a certificate, and what may
// still be tried. seen is the beginning of what the server sent.
func (o *outcome) fail(err error, f flight, seen []byte) {
	o.alert = remoteAlert(err)
	if a, ok := errors.AsType[alertError](err); ok {
		o.alert = int(a)
	}
	switch {
	case o.alert >= 0:
		o.reach = inventory.Reach{Status: inventory.ReachTLSAlert, Detail: alertName(uint8(o.alert))}
		if o.alert != alertUnrecognizedName {
			o.next = furtherHello
		}
	case f.hello == nil && len(seen) > 0 && !looksLikeTLS(seen):
		o.reach = inventory.Reach{Status: inventory.ReachNotTLS, Detail: foreign(seen)}
	case isBroken(err):
		o.reach = ioReach(err, "handshake")
		if !hungUp(o.reach.Status) {
			return
		}
		o.next = furtherHello
		if f.hello == nil {
			o.next = furtherSilent
		}
	default:
		// What the server said is against the rules, or beyond crypto/tls.
		o.unfit = true
		o.reach = inventory.Reach{Status: inventory.ReachTLSAlert, Detail: "sent by certscan: " + faultOf(err)}
		o.next = furtherHello
		if f.hello != nil {
			o.next = furtherLegacy
			if f.hello.version == versionTLS13 {
				o.next = furtherModern
			}
		}
	}
}
