package probe_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/probe"
)

// A step of a scripted peer is what it says, or what it wants to hear next.
type step struct {
	says, hears string
	hangsUp     bool
}

func says(s string) step  { return step{says: s} }
func hears(s string) step { return step{hears: s} }

var hangsUp = step{hangsUp: true}

// play is a peer that follows the script to its end and then waits. The
// connection is a pipe, so that each step's bytes arrive in one read.
func play(t *testing.T, script ...step) net.Conn {
	t.Helper()
	client, peer := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, s := range script {
			if s.hears != "" {
				got := make([]byte, len(s.hears))
				if n, err := io.ReadFull(peer, got); err != nil || string(got) != s.hears {
					t.Errorf("peer heard %q (%v), want %q", got[:n], err, s.hears)
					_ = peer.Close()
					return
				}
			}
			if _, err := io.WriteString(peer, s.says); err != nil {
				return // the client has heard enough
			}
			if s.hangsUp {
				_ = peer.Close()
			}
		}
	}()
	t.Cleanup(func() {
		_ = client.Close()
		<-done
		_ = peer.Close()
	})
	if err := client.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return client
}

// A dialogue is a case of TestUpgrade. An empty status is a go-ahead.
type dialogue struct {
	proto    inventory.Protocol
	name     string
	script   []step
	status   inventory.ReachStatus
	detail   string
	injected string
}

const (
	missing = inventory.ReachSTARTTLSMissing
	refused = inventory.ReachSTARTTLSRefused
	notTLS  = inventory.ReachNotTLS
)

func TestUpgrade(t *testing.T) {
	t.Parallel()
	var all []dialogue
	all = append(all, codedDialogues...)
	all = append(all, textDialogues...)
	all = append(all, xmppDialogues...)
	all = append(all, binaryDialogues...)
	seen := make(map[inventory.Protocol]bool)
	for _, tt := range all {
		seen[tt.proto] = seen[tt.proto] || tt.status == ""
		t.Run(string(tt.proto)+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			injected, err := probe.Upgrade(play(t, tt.script...), tt.proto, "shop.example")
			got, ok := errors.AsType[probe.STARTTLSError](err)
			switch {
			case err == nil:
				got = probe.STARTTLSError{}
			case !ok:
				t.Fatalf("Upgrade: %v, want a starttlsError", err)
			}
			if diff := cmp.Diff(probe.STARTTLSError{Status: tt.status, Detail: tt.detail}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if string(injected) != tt.injected {
				t.Errorf("injected %q, want %q", injected, tt.injected)
			}
		})
	}
	for _, p := range inventory.Protocols()[1:] {
		if !seen[p] {
			t.Errorf("no dialogue of %s succeeds", p)
		}
	}
}

func TestUpgradeOfBrokenConnections(t *testing.T) {
	t.Parallel()
	greetings := map[inventory.Protocol][]step{
		inventory.SMTP:     {says("220 mx.example ESMTP\r\n"), hears("EHLO localhost\r\n"), says("250-mx.exa")},
		inventory.IMAP:     {says("* OK hello\r\n"), hears("a1 CAPABILITY\r\n"), says("* CAPA")},
		inventory.POP3:     {says("+OK hello\r\n"), hears("CAPA\r\n"), says("+OK\r\nSTLS\r\n")},
		inventory.FTP:      {says("220-hello\r\n")},
		inventory.NNTP:     {says("200 hello\r\n"), hears("CAPABILITIES\r\n"), says("101 these\r\nVERSION 2\r\n")},
		inventory.Sieve:    {says("\"IMPLEMENTATION\" \"x\"\r\n")},
		inventory.IRC:      {hears("CAP LS\r\nSTARTTLS\r\n"), says(":irc.example NOTICE * :hello\r\n")},
		inventory.LDAP:     {hears(ldapRequest), says("\x30\x0c\x02\x01")},
		inventory.Postgres: {hears(sslRequest), says("E\x00\x00\x00\x20SFATAL")},
		inventory.MySQL:    {says("\x4a\x00\x00\x00\x0a5.7.31")},
		inventory.XMPPClient: {
			hears(streamOf("jabber:client")),
			says("<?xml version='1.0'?><stream:stream version='1.0'><stream:feat"),
		},
	}
	for proto, script := range greetings {
		t.Run(string(proto)+" hangs up", func(t *testing.T) {
			t.Parallel()
			_, err := probe.Upgrade(play(t, append(slices.Clip(script), hangsUp)...), proto, "shop.example")
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("err = %v, want EOF", err)
			}
		})
		t.Run(string(proto)+" falls silent", func(t *testing.T) {
			t.Parallel()
			conn := play(t, script...)
			if err := conn.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			_, err := probe.Upgrade(conn, proto, "shop.example")
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("err = %v, want a timeout", err)
			}
			if err != nil && !strings.HasPrefix(err.Error(), string(proto)+": wait for the ") {
				t.Errorf("err = %v, want it to say what was waited for", err)
			}
		})
	}
}

// endless is a peer that never stops talking and never stops listening.
type endless struct {
	net.Conn // only for the methods that are not called
	begin    string
	repeat   string
	read     int
}

func (e *endless) LocalAddr() net.Addr         { return &net.TCPAddr{IP: net.IPv6loopback} }
func (e *endless) Write(b []byte) (int, error) { return len(b), nil }

func (e *endless) Read(b []byte) (int, error) {
	if e.begin == "" {
		e.begin = e.repeat
	}
	n := copy(b, e.begin)
	e.begin = e.begin[n:]
	e.read += n
	return n, nil
}

func TestUpgradeWithoutADialogue(t *testing.T) {
	t.Parallel()
	if injected, err := probe.Upgrade(play(t), inventory.TLS, ""); err != nil || injected != nil {
		t.Errorf("TLS: %q, %v, want nothing", injected, err)
	}
	if _, err := probe.Upgrade(play(t), "gopher", ""); err == nil || err.Error() != `no STARTTLS for protocol "gopher"` {
		t.Errorf("gopher: %v", err)
	}
}

func TestUpgradeIsBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		proto         inventory.Protocol
		begin, repeat string
		detail        string
	}{
		{"an endless line", inventory.SMTP, "220 ", "x", "a line of more than 8192 bytes"},
		{"an endless greeting", inventory.FTP, "", "220-x\r\n", "more than 100 lines before TLS"},
		{"an endless list", inventory.POP3, "+OK\r\n+OK\r\n", "X\r\n", "more than 100 lines before TLS"},
		{"endless long lines", inventory.IMAP, "* OK\r\n", "* " + strings.Repeat("x", 7000) + "\r\n", "more than 65536 bytes before TLS"},
		{"an endless answer", inventory.LDAP, "\x30\x84\x7f\xff\xff\xff", "x", "an answer of more than 8192 bytes"},
		{"an endless tag", inventory.XMPPClient, "<stream:stream ", "a='b' ", "more than 65536 bytes before TLS"},
		{"endless features", inventory.XMPPServer, "<stream:stream version='1.0'><stream:features>", "<x>", "more than 65536 bytes before TLS"},
		{"endless names", inventory.IRC, "", "\r\n", "more than 100 lines before TLS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			conn := &endless{begin: tt.begin, repeat: tt.repeat}
			_, err := probe.Upgrade(conn, tt.proto, "")
			e, ok := errors.AsType[probe.STARTTLSError](err)
			if !ok || e.Status != notTLS || e.Detail != tt.detail {
				t.Errorf("err = %v, want %s: %s", err, notTLS, tt.detail)
			}
			if conn.read > probe.MaxDialogue {
				t.Errorf("read %d bytes, want at most %d", conn.read, probe.MaxDialogue)
			}
		})
	}
}

func TestUpgradeKeepsLittleOfWhatWasInjected(t *testing.T) {
	t.Parallel()
	evil := "MAIL FROM:<>\r\n"
	conn := &endless{begin: "220 mx.example LMTP\r\n250 STARTTLS\r\n220 go\r\n" + strings.Repeat(evil, 100)}
	injected, err := probe.Upgrade(conn, inventory.LMTP, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(injected) != probe.MaxInjected || !bytes.HasPrefix(injected, []byte(evil)) {
		t.Errorf("injected %d bytes, %.20q…, want %d", len(injected), injected, probe.MaxInjected)
	}
}

func TestUpgradeIntroducesItselfByItsAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ network, listen, want string }{
		{"tcp4", "127.0.0.1:0", "EHLO [127.0.0.1]\r\n"},
		{"tcp6", "[::1]:0", "EHLO [IPv6:::1]\r\n"},
	} {
		t.Run(tt.network, func(t *testing.T) {
			t.Parallel()
			ln, err := net.Listen(tt.network, tt.listen)
			if err != nil {
				t.Fatalf("listen on %s: %v", tt.listen, err)
			}
			heard := make(chan string, 1)
			go func() {
				conn, err := ln.Accept()
				if err != nil {
					heard <- err.Error()
					return
				}
				defer conn.Close()
				_, _ = io.WriteString(conn, "220 mx.example ESMTP\r\n")
				b := make([]byte, len(tt.want))
				n, _ := io.ReadFull(conn, b)
				heard <- string(b[:n])
			}()
			defer ln.Close()
			conn, err := net.Dial(tt.network, ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := probe.Upgrade(conn, inventory.SMTP, ""); err == nil {
				t.Error("Upgrade: no error, want that of a closed connection")
			}
			if got := <-heard; got != tt.want {
				t.Errorf("peer heard %q, want %q", got, tt.want)
			}
		})
	}
}

// FuzzUpgrade lets a peer say anything, all at once or a byte at a time.
func FuzzUpgrade(f *testing.F) {
	protocols := inventory.Protocols()
	for i, p := range protocols {
		for _, list := range [][]dialogue{codedDialogues, textDialogues, xmppDialogues, binaryDialogues} {
			for _, d := range list {
				if d.proto == p {
					f.Add(uint8(i), peerWords(d.script), false)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, said []byte, slow bool) {
		conn := &monologue{said: said, slow: slow}
		injected, err := probe.Upgrade(conn, protocols[int(i)%len(protocols)], "shop.example")
		if conn.read > probe.MaxDialogue {
			t.Errorf("read %d bytes, want at most %d", conn.read, probe.MaxDialogue)
		}
		if len(injected) > probe.MaxInjected || !bytes.Contains(said, injected) || err != nil && injected != nil {
			t.Errorf("injected %q (%v)", injected, err)
		}
		if e, ok := errors.AsType[probe.STARTTLSError](err); ok {
			if e.Status != missing && e.Status != refused && e.Status != notTLS {
				t.Errorf("status %q", e.Status)
			}
			if len(e.Detail) > probe.MaxDetail || strings.ToValidUTF8(e.Detail, "") != e.Detail {
				t.Errorf("detail of %d bytes: %q", len(e.Detail), e.Detail)
			}
		} else if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("err = %v, want one of the peer or of the connection", err)
		}
	})
}

// A monologue is a peer that does not listen, says its words and hangs up.
type monologue struct {
	net.Conn // only for the methods that are not called
	said     []byte
	slow     bool
	read     int
}

func (m *monologue) LocalAddr() net.Addr         { return &net.TCPAddr{IP: net.IPv6loopback} }
func (m *monologue) Write(b []byte) (int, error) { return len(b), nil }

func (m *monologue) Read(b []byte) (int, error) {
	if m.read == len(m.said) {
		return 0, io.EOF
	}
	if m.slow {
		b = b[:1]
	}
	n := copy(b, m.said[m.read:])
	m.read += n
	return n, nil
}

func peerWords(script []step) []byte {
	var b []byte
	for _, s := range script {
		b = append(b, s.says...)
	}
	return b
}

// The time of a probe and that of its connection end in the same moment, and
// who is told of the one may see what the other left.
func TestTheEndOfASilentDialogue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var peers sync.WaitGroup
		p := probe.New(probe.Options{Dialer: dialerFunc(func() net.Conn {
			client, server := net.Pipe()
			peers.Go(func() { _, _ = io.Copy(io.Discard, server) })
			return client
		})})
		for range 500 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			got := p.Probe(ctx, inventory.ProbeRequest{
				Target:  inventory.Target{Host: "mx.example", Port: 25, Protocol: inventory.SMTP},
				Address: netip.MustParseAddr("192.0.2.1"),
			})
			synctest.Wait()
			cancel()
			if got.Reach.Status != inventory.ReachTimeout {
				t.Fatalf("reach = %+v, want a timeout", got.Reach)
			}
		}
		peers.Wait()
	})
}
