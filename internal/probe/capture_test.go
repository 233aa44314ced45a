package probe_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/probe"
)

// Whatever certificate a server sends is recorded, in TLS 1.2 and TLS 1.3, by
// every mode, and blamed on nobody unless no client takes so much.
func TestServedCertificatesAreRecorded(t *testing.T) {
	t.Parallel()
	ordinary := issue(t, certSpec{})
	foreignKey := func(der []byte) tls.Certificate {
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: ordinary.PrivateKey}
	}
	curve := func(name string) tls.Certificate {
		return foreignKey(newOpensslKey(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:"+name).der)
	}
	extension := func(id asn1.ObjectIdentifier, critical bool, value ...byte) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.DNSNames = nil
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: value})
		}
	}
	san := asn1.ObjectIdentifier{2, 5, 29, 17}
	var (
		handshake = inventory.Capture{Method: inventory.CaptureHandshake, HandshakeComplete: true, PossessionProven: true}
		script    = inventory.Capture{Method: inventory.CaptureTranscript}
		raw       = inventory.Capture{Method: inventory.CaptureRawHello}
	)
	for _, tt := range []struct {
		name string
		cert tls.Certificate
		want inventory.Capture
	}{
		{"an ordinary one", ordinary, handshake},
		{"expired", issue(t, certSpec{template: func(c *x509.Certificate) { c.NotAfter = c.NotBefore }}), handshake},
		{"negative serial", issue(t, certSpec{der: negativeSerial}), handshake},
		{"duplicate extension", issue(t, certSpec{template: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}, {Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}}
		}}), script},
		{"name that is not ASCII", issue(t, certSpec{template: extension(san, false, 0x30, 4, 0x82, 2, 0xc3, 0xa9)}), script},
		{"IP address of five bytes", issue(t, certSpec{template: extension(san, false, 0x30, 7, 0x87, 5, 1, 2, 3, 4, 5)}), script},
		{"critical authority information access", issue(t, certSpec{template: extension(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 1}, true, 0x30, 0)}), script},
		{"version 4", issue(t, certSpec{der: version4}), script},
		{"trailing byte", issue(t, certSpec{der: func(b []byte) []byte { return append(b, 0) }}), script},
		{"truncated", issue(t, certSpec{der: func(b []byte) []byte { return b[:len(b)/2] }}), script},
		{"garbage", issue(t, certSpec{der: func([]byte) []byte { return []byte("no certificate at all") }}), script},
		{"good leaf with garbage behind it", issue(t, certSpec{chainTail: [][]byte{[]byte("garbage")}}), script},
		{"secp256k1 key", curve("secp256k1"), script},
		{"brainpool key", curve("brainpoolP256r1"), script},
		{"Ed448 key", foreignKey(newOpensslKey(t, "-algorithm", "ED448").der), script},
		{"RSA-PSS key", foreignKey(newOpensslKey(t, "-algorithm", "RSA-PSS").der), script},
		{"RSA key of 17,000 bits", foreignKey(hugeRSA(t, 17000)), script},
		{"chain of 100", issue(t, certSpec{chainTail: slices.Repeat(ordinary.Certificate, 99)}), handshake},
		{"200 KB", issue(t, certSpec{template: manyNames(5000)}), handshake},
		{"336 KB", issue(t, certSpec{template: manyNames(8000)}), raw},
		{"900 KB", issue(t, certSpec{template: manyNames(22000)}), raw},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tt.name+", "+tls.VersionName(version), func(t *testing.T) {
				t.Parallel()
				cert := tt.cert
				cert.OCSPStaple = []byte("staple")
				cert.SignedCertificateTimestamps = [][]byte{[]byte("sct")}
				to := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: version, MaxVersion: version})

				got := examine(t, to)
				wantChain(t, got, tt.cert.Certificate)
				wantReach, detail := inventory.ReachOK, ""
				if tt.want == raw {
					wantReach, detail = inventory.ReachTLSAlert, "larger than clients take"
				}
				if got.Reach.Status != wantReach || !strings.Contains(got.Reach.Detail, detail) || *got.Capture != tt.want {
					t.Errorf("reach = %+v, capture = %+v, want %s %q, %+v", got.Reach, *got.Capture, wantReach, detail, tt.want)
				}
				if want := tls.VersionName(version); got.TLS.Version != want {
					t.Errorf("version = %q, want %q", got.TLS.Version, want)
				}
				if got.TLS.CipherSuite == "" {
					t.Error("cipher suite is unknown")
				}
				if tt.want != raw && (string(got.Staple) != "staple" || len(got.SCTs) != 1 || string(got.SCTs[0]) != "sct") {
					t.Errorf("staple = %q, SCTs = %q", got.Staple, got.SCTs)
				}

				got = examine(t, to, census)
				wantChain(t, got, tt.cert.Certificate)
				want := inventory.Capture{Method: inventory.CaptureCensus}
				if *got.Capture != want || got.Offer != inventory.OfferCensus {
					t.Errorf("census capture = %+v, offer %q, want %+v", *got.Capture, got.Offer, want)
				}
			})
		}
	}
}

// A server that fails after its certificate keeps its reason and its
// certificate.
func TestFailuresAfterTheCertificate(t *testing.T) {
	t.Parallel()
	cert := issue(t, certSpec{})
	wrongKey := cert
	wrongKey.PrivateKey = newKey(t)
	weak, err := rsa.GenerateKey(rand.Reader, 512)
	if err != nil {
		t.Fatal(err)
	}
	serveCut := func(version uint16, records int, end func(net.Conn)) func(t *testing.T) netip.AddrPort {
		return func(t *testing.T) netip.AddrPort {
			return serve(t, func(c net.Conn) {
				cfg := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: version, MaxVersion: version}
				_ = tls.Server(&cutter{Conn: c, records: records, end: end}, cfg).Handshake()
			})
		}
	}
	with := func(cert tls.Certificate, version uint16) func(t *testing.T) netip.AddrPort {
		return func(t *testing.T) netip.AddrPort {
			return serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: version, MaxVersion: version})
		}
	}
	finish := func(c net.Conn) { c.Close() }
	stall := func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) }

	for _, tt := range []struct {
		name   string
		addr   func(t *testing.T) netip.AddrPort
		leaf   []byte
		want   inventory.ReachStatus
		detail string
		method inventory.CaptureMethod
	}{
		{"signature by another key, TLS 1.2", with(wrongKey, tls.VersionTLS12), cert.Certificate[0], "tls_alert", "invalid signature", "handshake"},
		{"signature by another key, TLS 1.3", with(wrongKey, tls.VersionTLS13), cert.Certificate[0], "tls_alert", "invalid signature", "handshake"},
		{"closed after the certificate, TLS 1.2", serveCut(tls.VersionTLS12, 2, finish), cert.Certificate[0], "eof", "handshake", "transcript"},
		{"closed after the certificate, TLS 1.3", serveCut(tls.VersionTLS13, 4, finish), cert.Certificate[0], "eof", "handshake", "handshake"},
		{"reset after the certificate, TLS 1.2", serveCut(tls.VersionTLS12, 2, reset), cert.Certificate[0], "reset", "handshake", "transcript"},
		{"reset after the certificate, TLS 1.3", serveCut(tls.VersionTLS13, 4, reset), cert.Certificate[0], "reset", "handshake", "handshake"},
		{"stalled after the certificate, TLS 1.2", serveCut(tls.VersionTLS12, 2, stall), cert.Certificate[0], "timeout", "handshake", "transcript"},
		{"stalled after the certificate, TLS 1.3", serveCut(tls.VersionTLS13, 4, stall), cert.Certificate[0], "timeout", "handshake", "handshake"},
		{"RSA key of 512 bits", with(issueRSA(t, weak), tls.VersionTLS12), nil, "ok", "", "handshake"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			budget := 10 * time.Second
			if tt.want == inventory.ReachTimeout {
				budget = 500 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), budget)
			defer cancel()
			got := probe.New(probe.Options{}).Probe(ctx, request(tt.addr(t)))
			if tt.leaf != nil {
				wantLeaf(t, got, tt.leaf)
			}
			if got.Reach.Status != tt.want || !strings.Contains(got.Reach.Detail, tt.detail) {
				t.Errorf("reach = %+v, want %s with %q", got.Reach, tt.want, tt.detail)
			}
			if len(got.Chain) == 0 {
				t.Fatal("no certificate")
			}
			if got.Capture.Method != tt.method || got.Capture.PossessionProven != (tt.want == "ok") {
				t.Errorf("capture = %+v, want %s", *got.Capture, tt.method)
			}
		})
	}
}

// Handshake messages may be cut into records anywhere.
func TestFragmentedHandshake(t *testing.T) {
	t.Parallel()
	cert := issue(t, certSpec{der: func(b []byte) []byte { return append(b, 0) }})
	for _, size := range []int{1, 3, 100} {
		t.Run(fmt.Sprintf("%d bytes a record", size), func(t *testing.T) {
			t.Parallel()
			to := serve(t, func(c net.Conn) {
				cfg := &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12}
				_ = tls.Server(&fragmenter{Conn: c, size: size}, cfg).Handshake()
			})
			got := examine(t, to)
			wantLeaf(t, got, cert.Certificate[0])
			if got.Capture.Method != inventory.CaptureTranscript {
				t.Errorf("method = %s, want transcript", got.Capture.Method)
			}
			wantLeaf(t, examine(t, to, census), cert.Certificate[0])
		})
	}
}

// A cutter lets a number of records through and then ends the connection.
type cutter struct {
	net.Conn
	records int
	end     func(net.Conn)
}

func (c *cutter) Write(b []byte) (int, error) {
	for rest := b; len(rest) >= 5; {
		n := 5 + int(rest[3])<<8 + int(rest[4])
		if c.records == 0 {
			c.end(c.Conn)
			return 0, net.ErrClosed
		}
		if _, err := c.Conn.Write(rest[:n]); err != nil {
			return 0, err
		}
		c.records--
		rest = rest[n:]
	}
	if c.records == 0 {
		c.end(c.Conn)
	}
	return len(b), nil
}

func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// A fragmenter cuts handshake records in clear into smaller ones.
type fragmenter struct {
	net.Conn
	size int
}

func (f *fragmenter) Write(b []byte) (int, error) {
	var out []byte
	for rest := b; len(rest) >= 5; {
		n := int(rest[3])<<8 + int(rest[4])
		head, body := rest[:3], rest[5:5+n]
		rest = rest[5+n:]
		for len(body) > 0 {
			m := min(f.size, len(body))
			out = append(append(out, head...), byte(m>>8), byte(m))
			out = append(out, body[:m]...)
			body = body[m:]
		}
	}
	if _, err := f.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

func negativeSerial(der []byte) []byte {
	return bytes.Replace(der, []byte{2, 2, 0x12, 0x34}, []byte{2, 2, 0x92, 0x34}, 1)
}

func version4(der []byte) []byte {
	return bytes.Replace(der, []byte{0xa0, 3, 2, 1, 2}, []byte{0xa0, 3, 2, 1, 3}, 1)
}

// hugeRSA is a certificate for a key of so many bits that nobody has.
func hugeRSA(t *testing.T, bits int) []byte {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"shop.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func issueRSA(t *testing.T, key *rsa.PrivateKey) tls.Certificate {
	t.Helper()
	// A key of 512 bits cannot sign with PSS or SHA-512, and need not here.
	signer := issue(t, certSpec{})
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"shop.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), signer.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func manyNames(n int) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		for i := range n {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("host-%06d.customers.shop.example.com", i))
		}
	}
}

func wantChain(t *testing.T, got inventory.Observation, want [][]byte) {
	t.Helper()
	if !slices.EqualFunc(want, got.Chain, bytes.Equal) {
		t.Fatalf("%s: chain of %d certificates, %s, want %d, %s; reach = %+v", got.Offer,
			len(got.Chain), inventory.ChainID(got.Chain), len(want), inventory.ChainID(want), got.Reach)
	}
}
