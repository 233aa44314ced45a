package probe_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/probe"
)

func everyTurn(context.Context) (func(inventory.ReachStatus), error) {
	return func(inventory.ReachStatus) {}, nil
}

// accepts asks a server on loopback.
func accepts(t *testing.T, to netip.AddrPort, timeout time.Duration) inventory.Accepted {
	t.Helper()
	return probe.New(probe.Options{}).Accepts(t.Context(), inventory.ProbeRequest{
		Target:  inventory.Target{Host: "shop.example", Port: to.Port(), Protocol: inventory.TLS},
		Address: to.Addr(),
	}, timeout, everyTurn)
}

func wantAccepted(t *testing.T, got inventory.Accepted, words, unknown []string, postQuantum *bool) {
	t.Helper()
	if diff := cmp.Diff(words, got.Words); diff != "" {
		t.Errorf("accepted (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(unknown, got.Unknown); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
	if !cmp.Equal(postQuantum, got.PostQuantum) {
		t.Errorf("post-quantum = %v, want %v", got.PostQuantum, postQuantum)
	}
}

func TestAcceptsOfOpenssl(t *testing.T) {
	t.Parallel()
	no := false
	rsaKey := newOpensslKey(t, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
	const all = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"everything that it has", []string{"-cipher", all}, []string{
			"TLS 1.0", "TLS 1.1", "TLS 1.2", "TLS 1.3", "NULL", "anonymous", "RSA key exchange", "CBC-SHA1",
		}},
		{"TLS 1.0 only", []string{"-tls1", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"}, []string{"TLS 1.0", "CBC-SHA1"}},
		{"TLS 1.1 only", []string{"-tls1_1", "-cipher", "AES128-SHA:@SECLEVEL=0"}, []string{"TLS 1.1", "RSA key exchange", "CBC-SHA1"}},
		{"TLS 1.2 only, modern", []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"}, []string{"TLS 1.2"}},
		{"TLS 1.2 with a large DHE group", []string{"-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"}, []string{"TLS 1.2"}},
		{"TLS 1.3 only", []string{"-tls1_3"}, []string{"TLS 1.3"}},
		{"TLS 1.3 only, after a HelloRetryRequest", []string{"-tls1_3", "-groups", "P-384"}, []string{"TLS 1.3"}},
		{"NULL and anonymous only", []string{"-tls1_2", "-cipher", "NULL-SHA256:ADH-AES128-SHA256:@SECLEVEL=0"}, []string{"TLS 1.2", "NULL", "anonymous", "RSA key exchange"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := serveOpenssl(t, append([]string{"-key", rsaKey.key, "-cert", rsaKey.cert}, tt.args...)...)
			wantAccepted(t, accepts(t, to, 10*time.Second), tt.want, nil, &no)
		})
	}
}

func TestAcceptsOfGo(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	certs := []tls.Certificate{issue(t, certSpec{}), issue(t, certSpec{key: key})}
	for _, tt := range []struct {
		name string
		cfg  *tls.Config
		want []string
		pq   *bool
	}{
		{"3DES", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}}, []string{"TLS 1.2", "3DES", "RSA key exchange", "CBC-SHA1"}, &no},
		{"RC4", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA}}, []string{"TLS 1.0", "TLS 1.1", "TLS 1.2", "RC4"}, &no},
		{"a post-quantum group", &tls.Config{MinVersion: tls.VersionTLS13}, []string{"TLS 1.3"}, &yes},
		{"no post-quantum group", &tls.Config{MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}}, []string{"TLS 1.3"}, &no},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Certificates = certs
			got := accepts(t, serveTLS(t, tt.cfg), 10*time.Second)
			wantAccepted(t, got, tt.want, nil, tt.pq)
		})
	}
}

// A peer that hangs up means no if it still answers others, and nothing if it
// does not.
func TestAcceptsOfPeersThatHangUp(t *testing.T) {
	t.Parallel()
	cert := issue(t, certSpec{})
	cfg := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	refuse := func(after int32) func(net.Conn) {
		var n atomic.Int32
		return func(c net.Conn) {
			defer c.Close()
			if n.Add(1) > after {
				return
			}
			picky := cfg.Clone()
			picky.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
				if !slices.Contains(h.SupportedVersions, tls.VersionTLS12) && !slices.Contains(h.SupportedVersions, tls.VersionTLS13) {
					c.Close() // without an alert
					return nil, errors.New("too old")
				}
				return nil, nil //nolint:nilnil // that is how to go on
			}
			_ = tls.Server(c, picky).HandshakeContext(t.Context())
		}
	}
	got := accepts(t, serve(t, refuse(1000)), 10*time.Second)
	if slices.Contains(got.Unknown, "TLS 1.0") || slices.Contains(got.Words, "TLS 1.0") || !slices.Contains(got.Words, "TLS 1.2") {
		t.Errorf("accepts %q, unknown %q: a peer that hangs up on old versions and answers the others refuses them", got.Words, got.Unknown)
	}
	got = accepts(t, serve(t, refuse(1)), 10*time.Second)
	if !slices.Contains(got.Unknown, "TLS 1.0") || !slices.Contains(got.Unknown, "RC4") || got.PostQuantum != nil {
		t.Errorf("accepts %q, unknown %q: a peer that talks no more has refused nothing", got.Words, got.Unknown)
	}
}

func TestAcceptsOfSilentPeers(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	to := serve(t, func(c net.Conn) {
		n.Add(1)
		defer c.Close()
		_, _ = c.Read(make([]byte, 1<<14))
		_, _ = c.Read(make([]byte, 1)) // until the prober leaves
	})
	got := accepts(t, to, 100*time.Millisecond)
	wantAccepted(t, got, []string{}, inventory.AcceptsWords(), nil)
	if n.Load() > 2 {
		t.Errorf("%d connections to a peer that does not answer, want 2", n.Load())
	}
}

func TestAcceptsWithoutTurn(t *testing.T) {
	t.Parallel()
	turns := 0
	got := probe.New(probe.Options{}).Accepts(t.Context(), inventory.ProbeRequest{
		Target: inventory.Target{Host: "shop.example", Port: 1}, Address: netip.MustParseAddr("127.0.0.1"),
	}, time.Second, func(context.Context) (func(inventory.ReachStatus), error) {
		turns++
		return nil, errors.New("left alone")
	})
	wantAccepted(t, got, []string{}, inventory.AcceptsWords(), nil)
	if turns != 1 {
		t.Errorf("asked for a turn %d times, want once", turns)
	}
}

// No program at hand serves a small group any more, so its answer is made up.
func TestAcceptsSmallDH(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		prime []byte
		want  bool
	}{
		{"1024 bits", append([]byte{0x80}, make([]byte, 127)...), true},
		{"2047 bits in 257 octets", append([]byte{0, 0x7f}, make([]byte, 255)...), true},
		{"2048 bits", append([]byte{0x80}, make([]byte, 255)...), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			message := func(typ byte, body []byte) []byte {
				m := append([]byte{typ, 0, byte(len(body) >> 8), byte(len(body))}, body...)
				return append([]byte{22, 3, 3, byte(len(m) >> 8), byte(len(m))}, m...)
			}
			hello := append(append([]byte{3, 3}, make([]byte, 33)...), 0x00, 0x9e, 0) // TLS_DHE_RSA_WITH_AES_128_GCM_SHA256
			exchange := append([]byte{byte(len(tt.prime) >> 8), byte(len(tt.prime))}, tt.prime...)
			to := serve(t, func(c net.Conn) {
				defer c.Close()
				readHello(c)
				_, _ = c.Write(slices.Concat(message(2, hello), message(11, []byte{0, 0, 0}), message(12, exchange)))
				_, _ = c.Read(make([]byte, 1))
			})
			got := accepts(t, to, 10*time.Second)
			if slices.Contains(got.Words, "DHE below 2048 bits") != tt.want || slices.Contains(got.Unknown, "DHE below 2048 bits") {
				t.Errorf("accepts %q, unknown %q, want a small group: %v", got.Words, got.Unknown, tt.want)
			}
		})
	}
}

// A server that answers each question just in time does not hold a worker for
// as long as there are questions.
func TestAcceptsHasABudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const timeout = 10 * time.Second
		var asked int
		var servers sync.WaitGroup
		p := probe.New(probe.Options{Dialer: dialerFunc(func() net.Conn {
			asked++
			client, server := net.Pipe()
			servers.Go(func() {
				defer server.Close()
				readHello(server)
				time.Sleep(9 * time.Second)
				_, _ = server.Write([]byte{21, 3, 3, 0, 2, 2, 40})
			})
			return client
		})})
		start := time.Now()
		got := p.Accepts(t.Context(), inventory.ProbeRequest{
			Target: inventory.Target{Host: "shop.example", Port: 443}, Address: netip.MustParseAddr("192.0.2.1"),
		}, timeout, everyTurn)
		if took := time.Since(start); asked != 5 || took > 4*timeout || len(got.Unknown) == 0 {
			t.Errorf("%d questions in %v with %v unknown, want five within four timeouts and the rest unknown", asked, took, got.Unknown)
		}
		servers.Wait()
	})
}

type dialerFunc func() net.Conn

func (f dialerFunc) DialContext(context.Context, string, string) (net.Conn, error) { return f(), nil }
