package probe_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/probe"
)

// A failingDialer fails with err.
type failingDialer struct{ err error }

func (d failingDialer) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", d.err)}
}

func TestConnectFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		err    error
		routed error // what the kernel says of its routes
		want   inventory.ReachStatus
	}{
		{"refused", syscall.ECONNREFUSED, nil, inventory.ReachRefused},
		{"reset", syscall.ECONNRESET, nil, inventory.ReachReset},
		{"kernel gave up", syscall.ETIMEDOUT, nil, inventory.ReachTimeout},
		{"out of time", context.DeadlineExceeded, nil, inventory.ReachTimeout},
		{"a router knows no network", syscall.ENETUNREACH, nil, inventory.ReachUnreachable},
		{"a router knows no host", syscall.EHOSTUNREACH, nil, inventory.ReachUnreachable},
		{"we have no route", syscall.ENETUNREACH, syscall.ENETUNREACH, inventory.ReachNoRoute},
		{"we have no address of the family", syscall.EADDRNOTAVAIL, syscall.EADDRNOTAVAIL, inventory.ReachNoRoute},
		{"we have no family", syscall.EAFNOSUPPORT, nil, inventory.ReachNoRoute},
		{"out of local ports", syscall.EADDRNOTAVAIL, nil, inventory.ReachLocalError},
		{"out of file descriptors", syscall.EMFILE, nil, inventory.ReachLocalError},
		{"out of file descriptors, all of us", syscall.ENFILE, nil, inventory.ReachLocalError},
		{"out of buffers", syscall.ENOBUFS, nil, inventory.ReachLocalError},
		{"our own firewall", syscall.EPERM, nil, inventory.ReachLocalError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := probe.New(probe.Options{Dialer: failingDialer{tt.err}})
			p.SetRouted(func(netip.AddrPort) error { return tt.routed })
			got := p.Probe(t.Context(), request(netip.MustParseAddrPort("[2001:db8::1]:443")))
			if got.Reach.Status != tt.want {
				t.Errorf("reach = %+v, want %s", got.Reach, tt.want)
			}
			if got.Capture != nil || got.TLS != nil {
				t.Errorf("capture %v and TLS %v of no connection", got.Capture, got.TLS)
			}
		})
	}
}

// The kernel does have a route to loopback, so it was not the scanner that had
// none.
func TestRouteIsAskedOfTheKernel(t *testing.T) {
	t.Parallel()
	p := probe.New(probe.Options{Dialer: failingDialer{syscall.ENETUNREACH}})
	got := p.Probe(t.Context(), request(netip.MustParseAddrPort("127.0.0.1:443")))
	if got.Reach.Status != inventory.ReachUnreachable {
		t.Errorf("reach = %+v, want unreachable", got.Reach)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to := netip.MustParseAddrPort(ln.Addr().String())
	ln.Close()
	if got := examine(t, to); got.Reach.Status != inventory.ReachRefused {
		t.Errorf("reach = %+v, want refused", got.Reach)
	}
}

// Every kind of bad peer ends with its own status, within the budget.
func TestBadPeers(t *testing.T) {
	t.Parallel()
	const (
		budget = 800 * time.Millisecond
		late   = time.Second // allowed to a busy machine
	)
	forever := func(b []byte) func(net.Conn) {
		return func(c net.Conn) {
			for {
				if _, err := c.Write(b); err != nil {
					return
				}
			}
		}
	}
	say := func(s string) func(net.Conn) {
		return func(c net.Conn) {
			readHello(c)
			_, _ = io.WriteString(c, s)
			_, _ = io.Copy(io.Discard, c)
		}
	}
	drip := func(s string) func(net.Conn) {
		return func(c net.Conn) {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				if _, err := c.Write([]byte{s[i%len(s)]}); err != nil {
					return
				}
				<-tick.C
			}
		}
	}
	for _, tt := range []struct {
		name   string
		peer   func(net.Conn)
		want   inventory.ReachStatus
		detail string
	}{
		{"silent", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, "timeout", "handshake"},
		{"never reads", nil, "timeout", "handshake"},
		{"drips a record", drip("\x16\x03\x03\x40\x00" + strings.Repeat("\x02", 1000)), "timeout", "handshake"},
		{"drips garbage", drip("garbage"), "not_tls", `unknown protocol: "garba`},
		{"closes after accept", func(net.Conn) {}, "", ""},
		{"closes after the hello", readHello, "eof", "handshake"},
		{"resets after the hello", func(c net.Conn) { readHello(c); reset(c) }, "reset", "handshake"},
		{"endless garbage", forever(bytes.Repeat([]byte("garbage"), 1000)), "not_tls", "unknown protocol"},
		{"endless empty records", forever(bytes.Repeat([]byte{22, 3, 3, 0, 0}, 1000)), "tls_alert", "certscan"},
		{"endless warnings", forever(bytes.Repeat([]byte{21, 3, 3, 0, 2, 1, 112}, 1000)), "tls_alert", "too many ignored records"},
		{"endless HelloRequests", forever(bytes.Repeat([]byte{22, 3, 3, 0, 4, 0, 0, 0, 0}, 1000)), "tls_alert", "certscan"},
		{"a handshake message without end", forever(append([]byte{22, 3, 3, 0x40, 0, 2, 0xff, 0xff, 0xff}, make([]byte, 0x4000-4)...)), "tls_alert", "certscan"},
		{"an alert", say("\x15\x03\x03\x00\x02\x02\x50"), "tls_alert", "internal_error (80)"},
		{"HTTP", say("HTTP/1.1 400 Bad Request\r\n\r\n"), "not_tls", "speaks HTTP"},
		{"SSH", say("SSH-2.0-OpenSSH_9.9\r\n"), "not_tls", "speaks SSH"},
		{"SMTP", say("220 mx.example ESMTP Postfix\r\n"), "not_tls", "try smtp://"},
		{"FTP", say("220 (vsFTPd 3.0.5)\r\n"), "not_tls", "try ftp://"},
		{"IMAP", say("* OK [CAPABILITY IMAP4rev1] ready\r\n"), "not_tls", "try imap://"},
		{"POP3", say("+OK ready\r\n"), "not_tls", "try pop3://"},
		{"MySQL", say("\x4a\x00\x00\x00\x0a8.0.36\x00"), "not_tls", "try mysql://"},
		{"PostgreSQL", say("E\x00\x00\x00\x85SFATAL\x00"), "not_tls", "try postgres://"},
		{"RDP", say("\x03\x00\x00\x13\x0e\xd0\x00\x00"), "not_tls", "speaks RDP"},
		{"a certificate message that is empty", say("\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03" + strings.Repeat("r", 32) + "\x00\xc0\x2f\x00" +
			"\x16\x03\x03\x00\x07\x0b\x00\x00\x03\x00\x00\x00"), "tls_alert", "certscan"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			done := make(chan struct{})
			to := serve(t, func(c net.Conn) {
				if tt.name == "never reads" {
					<-done
					return
				}
				tt.peer(c)
			})
			defer close(done)
			ctx, cancel := context.WithTimeout(t.Context(), budget)
			defer cancel()
			start := time.Now()
			got := probe.New(probe.Options{}).Probe(ctx, request(to))
			if took := time.Since(start); took > budget+late {
				t.Errorf("took %v of %v", took, budget)
			}
			if tt.want == "" { // which one is a matter of timing
				tt.want = got.Reach.Status
				if tt.want != "eof" && tt.want != "reset" {
					t.Errorf("reach = %+v, want eof or reset", got.Reach)
				}
			}
			if got.Reach.Status != tt.want || !strings.Contains(got.Reach.Detail, tt.detail) {
				t.Errorf("reach = %+v, want %s with %q", got.Reach, tt.want, tt.detail)
			}
			if len(got.Reach.Detail) > 200 || got.Chain != nil {
				t.Errorf("detail of %d bytes, %d certificates", len(got.Reach.Detail), len(got.Chain))
			}
		})
	}
}

// SSL 3.0 is beyond crypto/tls, but its certificate is in clear.
func TestSSL3(t *testing.T) {
	t.Parallel()
	der := issue(t, certSpec{}).Certificate[0]
	hello := append([]byte{2, 0, 0, 38, 3, 0}, append(bytes.Repeat([]byte("r"), 32), 0, 0, 0x0a, 0)...)
	n := len(der)
	cert := append([]byte{11, 0, byte((n + 6) >> 8), byte(n + 6), 0, byte((n + 3) >> 8), byte(n + 3), 0, byte(n >> 8), byte(n)}, der...)
	msg := append(hello, cert...)
	to := serve(t, func(c net.Conn) {
		readHello(c)
		_, _ = c.Write(append([]byte{22, 3, 0, byte(len(msg) >> 8), byte(len(msg))}, msg...))
		_, _ = io.Copy(io.Discard, c)
	})
	got := examine(t, to)
	wantLeaf(t, got, der)
	if got.TLS.Version != "SSL 3.0" || got.TLS.CipherSuite != "TLS_RSA_WITH_3DES_EDE_CBC_SHA" {
		t.Errorf("TLS = %+v, want SSL 3.0 with 3DES", *got.TLS)
	}
}

// A canceled probe says nothing about the endpoint; an expired one does.
func TestCanceled(t *testing.T) {
	t.Parallel()
	accepted := make(chan struct{})
	to := serve(t, func(c net.Conn) {
		close(accepted)
		_, _ = io.Copy(io.Discard, c)
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		<-accepted
		cancel()
	}()
	got := probe.New(probe.Options{}).Probe(ctx, request(to))
	want := inventory.Reach{Status: inventory.ReachLocalError, Detail: "canceled"}
	if got.Reach != want {
		t.Errorf("reach = %+v, want %+v", got.Reach, want)
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Error("the probe ended before it was canceled")
	}

	got = probe.New(probe.Options{}).Probe(ctx, request(to))
	if got.Reach != want {
		t.Errorf("canceled before: reach = %+v, want %+v", got.Reach, want)
	}
}

// A dead endpoint costs its budget once.
func TestConnectTimeoutIsNotRetried(t *testing.T) {
	t.Parallel()
	d := &stuckDialer{}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	got := probe.New(probe.Options{Dialer: d}).Probe(ctx, request(netip.MustParseAddrPort("192.0.2.1:443")))
	if got.Reach.Status != inventory.ReachTimeout || got.Reach.Detail != "during connect" || d.dials != 1 {
		t.Errorf("reach = %+v after %d dials, want a timeout after 1", got.Reach, d.dials)
	}
	// The budget began to run a little before the connect did.
	if got.Timings.Connect < 25*time.Millisecond {
		t.Errorf("connect took %v", got.Timings.Connect)
	}
}

type stuckDialer struct{ dials int }

func (d *stuckDialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	d.dials++
	<-ctx.Done()
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
}
