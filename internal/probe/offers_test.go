package probe_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/probe"
)

func TestDefaultOffer(t *testing.T) {
	t.Parallel()
	cert := issue(t, certSpec{})
	cert.OCSPStaple = []byte("staple")
	cert.SignedCertificateTimestamps = [][]byte{[]byte("one"), []byte("two")}
	to := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got := probe.New(probe.Options{Now: func() time.Time { return now }}).Probe(ctx, request(to))

	if got.Timings.Connect <= 0 || got.Timings.Handshake <= 0 || got.Timings.STARTTLS != 0 {
		t.Errorf("timings = %+v", got.Timings)
	}
	got.Timings = inventory.Timings{}
	want := inventory.Observation{
		Schema:  inventory.ObservationSchema,
		Address: "127.0.0.1",
		Offer:   inventory.OfferDefault,
		Time:    now,
		Reach:   inventory.Reach{Status: inventory.ReachOK},
		Capture: &inventory.Capture{Method: inventory.CaptureHandshake, HandshakeComplete: true, PossessionProven: true},
		TLS:     &inventory.TLSFacts{Version: "TLS 1.3", CipherSuite: "TLS_AES_128_GCM_SHA256", Group: "P-256", ALPN: "h2", Stapled: true},
		Chain:   cert.Certificate,
		Staple:  cert.OCSPStaple,
		SCTs:    cert.SignedCertificateTimestamps,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("observation (-want +got):\n%s", diff)
	}
}

// A server with one certificate of each kind shows both, whatever versions it
// speaks, and a server with one kind says no to the other.
func TestOffersOfKeyKinds(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaCert, ecdsaCert := issue(t, certSpec{key: key}), issue(t, certSpec{})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			to := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{ecdsaCert, rsaCert}, MinVersion: version, MaxVersion: version})
			for offer, want := range map[inventory.Offer]tls.Certificate{
				inventory.OfferECDSA: ecdsaCert, inventory.OfferRSA: rsaCert, inventory.OfferDefault: ecdsaCert,
			} {
				got := examine(t, to, withOffer(offer))
				wantLeaf(t, got, want.Certificate[0])
				if got.Offer != offer || got.Reach.Status != inventory.ReachOK {
					t.Errorf("offer = %s, reach = %+v, want %s and ok", got.Offer, got.Reach, offer)
				}
				complete := version == tls.VersionTLS12 || offer == inventory.OfferDefault
				if got.Capture.PossessionProven != complete || got.Capture.HandshakeComplete != complete {
					t.Errorf("%s: capture = %+v, want complete %t", offer, *got.Capture, complete)
				}
			}
		})
	}
	t.Run("one kind only", func(t *testing.T) {
		t.Parallel()
		for offer, key := range map[inventory.Offer]opensslKey{
			inventory.OfferRSA:   newOpensslKey(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
			inventory.OfferECDSA: newOpensslKey(t, "-algorithm", "RSA"),
		} {
			got := examine(t, serveOpenssl(t, "-key", key.key, "-cert", key.cert), withOffer(offer))
			if got.Reach.Status != inventory.ReachTLSAlert || got.Chain != nil {
				t.Errorf("%s: reach = %+v with %d certificates, want an alert and none", offer, got.Reach, len(got.Chain))
			}
		}
	})
}

// The certificate without a server name may be another one.
func TestOfferWithoutServerName(t *testing.T) {
	t.Parallel()
	named, unnamed := issue(t, certSpec{}), issue(t, certSpec{})
	to := serveTLS(t, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName == "" {
			return &unnamed, nil
		}
		return &named, nil
	}})
	wantLeaf(t, examine(t, to), named.Certificate[0])
	wantLeaf(t, examine(t, to, census), named.Certificate[0])
	wantLeaf(t, examine(t, to, withOffer(inventory.OfferNoSNI)), unnamed.Certificate[0])
	wantLeaf(t, examine(t, to, func(r *inventory.ProbeRequest) { r.Target.Host = "127.0.0.1" }), unnamed.Certificate[0])
}

// That a client certificate is required is a property of the endpoint, and
// nothing else is taken for it.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	cert := issue(t, certSpec{})
	for _, tt := range []struct {
		name     string
		auth     tls.ClientAuthType
		version  uint16
		suites   []uint16
		required bool
		proven   bool
	}{
		{"required, TLS 1.2", tls.RequireAnyClientCert, tls.VersionTLS12, nil, true, true},
		{"required, TLS 1.3", tls.RequireAnyClientCert, tls.VersionTLS13, nil, true, true},
		{"requested, TLS 1.2", tls.RequestClientCert, tls.VersionTLS12, nil, false, true},
		{"requested, TLS 1.3", tls.RequestClientCert, tls.VersionTLS13, nil, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := serveTLS(t, &tls.Config{
				Certificates: []tls.Certificate{cert}, ClientAuth: tt.auth,
				MinVersion: tt.version, MaxVersion: tt.version, CipherSuites: tt.suites,
			})
			got := examine(t, to)
			wantLeaf(t, got, cert.Certificate[0])
			if got.Reach.Status != inventory.ReachOK {
				t.Errorf("reach = %+v, want ok", got.Reach)
			}
			if got.TLS.ClientCertificateRequired != tt.required {
				t.Errorf("required = %t, want %t", got.TLS.ClientCertificateRequired, tt.required)
			}
			if !got.TLS.ClientCertificateRequested {
				t.Error("requested = false, want true")
			}
			if got.Capture.Method != inventory.CaptureHandshake || got.Capture.PossessionProven != tt.proven {
				t.Errorf("capture = %+v, want a handshake that proves possession %t", *got.Capture, tt.proven)
			}
		})
	}
	t.Run("not requested", func(t *testing.T) {
		t.Parallel()
		got := examine(t, serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}))
		wantLeaf(t, got, cert.Certificate[0])
		if got.TLS.ClientCertificateRequested || got.TLS.ClientCertificateRequired {
			t.Errorf("TLS = %+v, want no client certificate", *got.TLS)
		}
	})
	t.Run("requested before a certificate that is read from the record", func(t *testing.T) {
		t.Parallel()
		broken := issue(t, certSpec{der: func(b []byte) []byte { return append(b, 0) }})
		to := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{broken}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS13})
		got := examine(t, to)
		wantLeaf(t, got, broken.Certificate[0])
		if got.Capture.Method != inventory.CaptureTranscript || !got.TLS.ClientCertificateRequested {
			t.Errorf("capture = %+v, TLS = %+v, want it requested", *got.Capture, *got.TLS)
		}
	})
	t.Run("required under RSA key exchange proves nothing", func(t *testing.T) {
		t.Parallel()
		key := newOpensslKey(t, "-algorithm", "RSA")
		got := examine(t, serveOpenssl(t, "-key", key.key, "-cert", key.cert, "-tls1_2", "-cipher", "AES128-SHA", "-Verify", "1"))
		wantLeaf(t, got, key.der)
		if got.Reach.Status != inventory.ReachOK || !got.TLS.ClientCertificateRequired || got.Capture.PossessionProven {
			t.Errorf("reach = %+v, TLS = %+v, capture = %+v", got.Reach, *got.TLS, *got.Capture)
		}
	})
	t.Run("required by OpenSSL, TLS 1.3", func(t *testing.T) {
		t.Parallel()
		key := newOpensslKey(t, "-algorithm", "RSA")
		got := examine(t, serveOpenssl(t, "-key", key.key, "-cert", key.cert, "-tls1_3", "-Verify", "1"))
		wantLeaf(t, got, key.der)
		if got.Reach.Status != inventory.ReachOK || !got.TLS.ClientCertificateRequired || !got.Capture.HandshakeComplete {
			t.Errorf("reach = %+v, TLS = %+v, capture = %+v", got.Reach, *got.TLS, *got.Capture)
		}
	})
}

// Servers that need something that the first hello leaves out, or are put off by
// something in it.
func TestSecondHello(t *testing.T) {
	t.Parallel()
	cert := issue(t, certSpec{})
	certs := []tls.Certificate{cert}
	hybrid := func(h *tls.ClientHelloInfo) bool {
		return len(h.SupportedCurves) > 0 && h.SupportedCurves[0] == tls.X25519MLKEM768
	}
	yes := true
	for _, tt := range []struct {
		name string
		cfg  *tls.Config
		pq   *bool
	}{
		{"only a protocol that is not offered", &tls.Config{Certificates: certs, NextProtos: []string{"acme-tls/1"}}, nil},
		{"only X25519", &tls.Config{Certificates: certs, CurvePreferences: []tls.CurveID{tls.X25519}}, nil},
		{"only X25519 in TLS 1.2", &tls.Config{Certificates: certs, CurvePreferences: []tls.CurveID{tls.X25519}, MaxVersion: tls.VersionTLS12}, nil},
		{"only a post-quantum group", &tls.Config{Certificates: certs, CurvePreferences: []tls.CurveID{tls.X25519MLKEM768}}, &yes},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := examine(t, serveTLS(t, tt.cfg))
			wantLeaf(t, got, cert.Certificate[0])
			if !got.Capture.HandshakeComplete || got.Reach.Status != inventory.ReachOK {
				t.Errorf("reach = %+v, capture = %+v, want a whole handshake", got.Reach, *got.Capture)
			}
			if diff := cmp.Diff(tt.pq, got.TLS.PostQuantum); diff != "" {
				t.Errorf("post-quantum (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("hangs up on a hello without a hybrid share", func(t *testing.T) {
		t.Parallel()
		var dials atomic.Int32
		to := serve(t, func(c net.Conn) {
			dials.Add(1)
			srv := tls.Server(c, &tls.Config{Certificates: certs, GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				if !hybrid(h) {
					c.Close()
					return nil, errors.New("no")
				}
				return nil, nil
			}})
			_, _ = io.Copy(io.Discard, srv)
		})
		got := examine(t, to)
		wantLeaf(t, got, cert.Certificate[0])
		if !got.Capture.HandshakeComplete || got.TLS.PostQuantum == nil || dials.Load() != 2 {
			t.Errorf("capture = %+v, TLS = %+v after %d connections", *got.Capture, *got.TLS, dials.Load())
		}
	})
}

// A peer that hangs up is not asked forever.
func TestPeerThatHangsUpIsAskedThreeTimes(t *testing.T) {
	t.Parallel()
	var dials atomic.Int32
	to := serve(t, func(c net.Conn) {
		dials.Add(1)
		readHello(c)
	})
	got := examine(t, to)
	if got.Reach.Status != inventory.ReachEOF || dials.Load() != 3 {
		t.Errorf("reach = %+v after %d connections, want eof after 3", got.Reach, dials.Load())
	}
}

// serveSMTP speaks STARTTLS and then cfg. What injected is, is sent with the
// go-ahead.
func serveSMTP(t *testing.T, injected string, cfg *tls.Config) netip.AddrPort {
	t.Helper()
	return serve(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for _, say := range []string{"220 mx.example ESMTP\r\n", "250-mx.example\r\n250 STARTTLS\r\n", "220 go ahead\r\n" + injected} {
			if _, err := io.WriteString(c, say); err != nil || strings.HasPrefix(say, "220 go") {
				break
			}
			if _, err := r.ReadString('\n'); err != nil {
				return
			}
		}
		_, _ = io.Copy(io.Discard, tls.Server(c, cfg))
	})
}

// STARTTLS is spoken on every connection of the ladder, and what was injected
// before TLS is kept apart from it.
func TestSTARTTLS(t *testing.T) {
	t.Parallel()
	smtp := func(r *inventory.ProbeRequest) { r.Target.Protocol = inventory.SMTP }
	good := issue(t, certSpec{})
	big := issue(t, certSpec{template: manyNames(8000)})
	for _, tt := range []struct {
		name     string
		cert     tls.Certificate
		injected string
		method   inventory.CaptureMethod
	}{
		{"an ordinary certificate", good, "", "handshake"},
		{"a certificate for the last rung", big, "", "raw_hello"},
		{"injected text", good, "250 evil\r\n", "handshake"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := serveSMTP(t, tt.injected, &tls.Config{Certificates: []tls.Certificate{tt.cert}, NextProtos: []string{"smtp-only"}})
			got := examine(t, to, smtp)
			wantLeaf(t, got, tt.cert.Certificate[0])
			if got.Capture.Method != tt.method || string(got.Injected) != tt.injected || got.Timings.STARTTLS <= 0 {
				t.Errorf("capture = %+v, injected = %q, timings = %+v", *got.Capture, got.Injected, got.Timings)
			}
			wantLeaf(t, examine(t, to, smtp, census), tt.cert.Certificate[0])
		})
	}
	t.Run("a peer without it", func(t *testing.T) {
		t.Parallel()
		got := examine(t, serveTLS(t, &tls.Config{Certificates: []tls.Certificate{good}}), func(r *inventory.ProbeRequest) {
			r.Target.Protocol = inventory.Postgres
		})
		if got.Reach.Status == inventory.ReachOK || got.Chain != nil {
			t.Errorf("reach = %+v, want no TLS", got.Reach)
		}
	})
}
