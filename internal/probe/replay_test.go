package probe_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/probe"
)

// A replay is a server of TLS 1.2 that shows a chain without having its key.
type replay struct {
	suite    uint16
	chain    [][]byte
	asks     bool   // for a client certificate
	exchange []byte // the body of its ServerKeyExchange; nil for none
	alert    byte   // what it says to the client's second flight; 0 hangs up
}

func (r replay) serve(t *testing.T) netip.AddrPort {
	t.Helper()
	return serve(t, func(c net.Conn) {
		readHello(c)
		if _, err := c.Write(r.flight()); err != nil {
			return
		}
		if r.alert == 0 {
			_, _ = io.Copy(io.Discard, c)
			return
		}
		records := 3 // ClientKeyExchange, ChangeCipherSpec, Finished
		if r.asks {
			records++ // Certificate
		}
		for range records {
			readHello(c)
		}
		_, _ = c.Write([]byte{21, 3, 3, 0, 2, 2, r.alert})
	})
}

// flight is all that the server says at first.
func (r replay) flight() []byte {
	hello := append([]byte{3, 3}, make([]byte, 32)...)
	hello = append(hello, 0, byte(r.suite>>8), byte(r.suite), 0)
	var list []byte
	for _, der := range r.chain {
		list = append(list, prefixed24(der)...)
	}
	out := slices.Concat(message(2, hello), message(11, prefixed24(list)))
	if r.exchange != nil {
		out = append(out, message(12, r.exchange)...)
	}
	if r.asks {
		// ecdsa_sign; ecdsa_secp256r1_sha256; any authority.
		out = append(out, message(13, []byte{1, 64, 0, 2, 4, 3, 0, 0})...)
	}
	out = append(out, message(14, nil)...)

	var records []byte
	for part := range slices.Chunk(out, 16384) {
		records = binary.BigEndian.AppendUint16(append(records, 22, 3, 3), uint16(len(part)))
		records = append(records, part...)
	}
	return records
}

func message(typ byte, body []byte) []byte { return append([]byte{typ}, prefixed24(body)...) }

func prefixed24(b []byte) []byte {
	return append([]byte{byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

// Who shows a chain without its key proves nothing, whatever it says around it.
func TestReplayedChainProvesNothing(t *testing.T) {
	t.Parallel()
	const ecdhe, static = tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_128_GCM_SHA256
	ec := issue(t, certSpec{}).Certificate
	padded := slices.Concat(ec, slices.Repeat(issue(t, certSpec{template: manyNames(5000)}).Certificate, 2))
	plain := [][]byte{newOpensslKey(t, "-algorithm", "RSA").der}
	share, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := slices.Concat([]byte{3, 0, 23, 65}, share.PublicKey().Bytes(), []byte{4, 3, 0, 2, 0x30, 0})

	for _, tt := range []struct {
		name string
		r    replay
		want inventory.ReachStatus
	}{
		{"no key exchange", replay{suite: ecdhe, chain: ec}, "tls_alert"},
		{"no key exchange, asks for a certificate", replay{suite: ecdhe, chain: ec, asks: true}, "tls_alert"},
		{"no key exchange, refuses", replay{suite: ecdhe, chain: ec, asks: true, alert: 40}, "tls_alert"},
		{"forged key exchange, refuses", replay{suite: ecdhe, chain: ec, asks: true, exchange: unsigned, alert: 40}, "tls_alert"},
		{"padded chain", replay{suite: ecdhe, chain: padded}, "tls_alert"},
		{"padded chain, asks for a certificate", replay{suite: ecdhe, chain: padded, asks: true, alert: 40}, "tls_alert"},
		{"static RSA, refuses", replay{suite: static, chain: plain, asks: true, alert: 40}, "ok"},
		{"static RSA, refuses without asking", replay{suite: static, chain: plain, alert: 40}, "tls_alert"},
		{"static RSA with a key exchange, refuses", replay{suite: static, chain: plain, asks: true, exchange: unsigned, alert: 40}, "tls_alert"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := examine(t, tt.r.serve(t))
			wantChain(t, got, tt.r.chain)
			if got.Capture.PossessionProven || got.Capture.HandshakeComplete || got.Reach.Status != tt.want {
				t.Errorf("capture = %+v, reach = %+v, want %s and no proof", *got.Capture, got.Reach, tt.want)
			}
		})
	}
}

// What a server sends in place of a certificate is kept as it came, and is never
// taken for nothing having come.
func TestACertificateOfNoLength(t *testing.T) {
	t.Parallel()
	leaf := issue(t, certSpec{}).Certificate[0]
	for _, chain := range [][][]byte{{{}}, {leaf, {}}} {
		r := replay{suite: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, chain: chain}
		for _, change := range [][]func(*inventory.ProbeRequest){nil, {census}} {
			got := examine(t, r.serve(t), change...)
			if len(got.Chain) != len(chain) || got.Chain[len(chain)-1] == nil {
				t.Errorf("chain of %d, the last %v; want %d and none nil", len(got.Chain), got.Chain, len(chain))
			}
		}
	}
}

// The certificate for one kind of key is held to the same bounds.
func TestPaddedChainForOneKindOfKey(t *testing.T) {
	t.Parallel()
	chain := slices.Repeat(issue(t, certSpec{template: manyNames(5000)}).Certificate, 2)
	to := replay{suite: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, chain: chain}.serve(t)
	got := examine(t, to, withOffer(inventory.OfferECDSA))
	wantChain(t, got, chain)
	if got.Reach.Status != inventory.ReachTLSAlert || got.Capture.Method != inventory.CaptureRawHello {
		t.Errorf("reach = %+v, capture = %+v, want tls_alert, raw_hello", got.Reach, *got.Capture)
	}
}

// A HelloRetryRequest says nothing of the session, so a certificate in clear
// behind it is none.
func TestCertificateBehindARetryIsNone(t *testing.T) {
	t.Parallel()
	der := issue(t, certSpec{}).Certificate[0]
	random := "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
		"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"
	retry := slices.Concat([]byte{3, 3}, []byte(random), []byte{
		0, 0x13, 0x01, 0,
		0, 12, 0, 43, 0, 2, 3, 4, 0, 51, 0, 2, 0, 23,
	})
	certificate := append([]byte{0}, prefixed24(append(prefixed24(der), 0, 0))...)
	flight := append(message(2, retry), message(11, certificate)...)
	record := append([]byte{22, 3, 3, byte(len(flight) >> 8), byte(len(flight))}, flight...)

	for refused := range 4 { // connections, before the one that is answered so
		t.Run(fmt.Sprint(refused), func(t *testing.T) {
			t.Parallel()
			var n atomic.Int32
			got := examine(t, serve(t, func(c net.Conn) {
				readHello(c)
				if int(n.Add(1)) <= refused {
					_, _ = c.Write([]byte{21, 3, 3, 0, 2, 2, 40})
					return
				}
				_, _ = c.Write(record)
			}))
			if len(got.Chain) > 0 || got.Reach.Status == inventory.ReachOK || got.Reach.Status == inventory.ReachLocalError {
				t.Errorf("chain of %d, reach %+v; want none", len(got.Chain), got.Reach)
			}
		})
	}
}

// A defect in what reads foreign bytes costs one probe.
func TestAPanicCostsOneProbe(t *testing.T) {
	t.Parallel()
	p := probe.New(probe.Options{Dialer: dialerFunc(func() net.Conn { panic("index out of range") })})
	got := p.Probe(t.Context(), request(netip.MustParseAddrPort("192.0.2.1:443")))
	if d := got.Reach.Detail; got.Reach.Status != inventory.ReachLocalError || !strings.Contains(d, "index out of range, in probe.go:") {
		t.Errorf("reach = %+v, want local_error that says where", got.Reach)
	}
}
