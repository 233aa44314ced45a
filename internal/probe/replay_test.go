package probe_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"

	"example.com/certscan/internal/inventory"
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
