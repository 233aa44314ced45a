package probe_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"example.com/certscan/internal/probe"
)

// recording makes a handshake and returns what the server sent, and the
// client's key log.
func recording(tb testing.TB, cert tls.Certificate, version, suite uint16) (seen, log []byte) {
	tb.Helper()
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Server(server, &tls.Config{Certificates: []tls.Certificate{cert}, CipherSuites: []uint16{suite}}).Handshake()
		server.Close()
	}()
	var from, lines bytes.Buffer
	c := tls.Client(tee{client, &from}, &tls.Config{
		InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, CipherSuites: []uint16{suite}, KeyLogWriter: &lines,
	})
	if err := c.Handshake(); err != nil {
		tb.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, client) }()
	<-done
	client.Close()
	for line := range strings.Lines(lines.String()) {
		if strings.HasPrefix(line, "SERVER_HANDSHAKE") {
			log = []byte(line)
		}
	}
	return from.Bytes(), log
}

type tee struct {
	net.Conn
	w io.Writer
}

func (t tee) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	_, _ = t.w.Write(b[:n])
	return n, err
}

func FuzzRecording(f *testing.F) {
	cert := issue(f, certSpec{})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		seen, log := recording(f, cert, version, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
		chain, err := probe.ReadRecording(seen, log)
		if err != nil || !slices.EqualFunc(chain, cert.Certificate, bytes.Equal) {
			f.Fatalf("recording of %s: %d certificates, %v", tls.VersionName(version), len(chain), err)
		}
		f.Add(seen, log)
	}
	f.Add([]byte("\x15\x03\x01\x00\x02\x02\x28"), []byte(nil))
	f.Fuzz(func(t *testing.T, seen, log []byte) {
		chain, err := probe.ReadRecording(seen, log)
		if len(chain) > 0 && err != nil {
			t.Errorf("%d certificates and %v", len(chain), err)
		}
		size := 0
		for _, der := range chain {
			size += len(der)
		}
		if size > len(seen) {
			t.Errorf("%d bytes of certificates in %d", size, len(seen))
		}
	})
}

func FuzzAnswer(f *testing.F) {
	seen, _ := recording(f, issue(f, certSpec{}), tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
	f.Add(seen, false)
	f.Add(append([]byte("\x16\x03\x03\x00\x38\x02\x00\x00\x34\x03\x03"+helloRetry+"\x00\x13\x01\x00\x00\x0c\x00\x2b\x00\x02\x03\x04\x00\x33\x00\x02\x00\x17"), seen...), true)
	f.Fuzz(func(t *testing.T, b []byte, modern bool) {
		if chain, err := probe.Answer(b, modern); len(chain) > 0 && err != nil {
			t.Errorf("%d certificates and %v", len(chain), err)
		}
	})
}

const helloRetry = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

func FuzzMessages(f *testing.F) {
	der := issue(f, certSpec{}).Certificate[0]
	n := len(der)
	legacy := append([]byte{0, byte((n + 3) >> 8), byte(n + 3), 0, byte(n >> 8), byte(n)}, der...)
	modern := append(append([]byte{0, 0, byte((n + 5) >> 8), byte(n + 5), 0, byte(n >> 8), byte(n)}, der...), 0, 0)
	for _, b := range [][]byte{legacy, modern} {
		if got := probe.ParseMessages(b); len(got) != 1 || !bytes.Equal(got[0][0], der) {
			f.Fatalf("%d chains in a Certificate message", len(got))
		}
		f.Add(b)
	}
	f.Add([]byte("\x03\x03" + helloRetry + "\x00\x13\x01\x00\x00\x06\x00\x2b\x00\x02\x03\x04"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, chain := range probe.ParseMessages(b) {
			for _, der := range chain {
				if !bytes.Contains(b, der) {
					t.Errorf("certificate %x is not in the message", der)
				}
			}
		}
	})
}

func FuzzForeign(f *testing.F) {
	for seen, want := range map[string]string{
		"HTTP/1.1 400 Bad Request\r\n":            "speaks HTTP without TLS",
		"<html><title>400":                        "speaks HTTP without TLS",
		"\x00\x00\x12\x04\x00\x00\x00\x00\x00":    "speaks HTTP/2 without TLS",
		"SSH-2.0-OpenSSH":                         "speaks SSH",
		"220 mx.example ESMTP":                    "speaks SMTP: try smtp://",
		"220 ready\r\n":                           "speaks SMTP: try smtp://",
		"220 ProFTPD FTP ready":                   "speaks FTP: try ftp://",
		"+OK hello":                               "speaks POP3: try pop3://",
		"* OK IMAP4rev1":                          "speaks IMAP: try imap://",
		"<?xml version='1.0'?><stream:stream":     "speaks XMPP: try xmpp-client:// or xmpp-server://",
		"\"IMPLEMENTATION\" \"Dovecot\"":          "speaks ManageSieve: try sieve://",
		"200 news.example ready":                  "speaks NNTP: try nntp://",
		"J\x00\x00\x00\x0a8.0.36\x00":             "speaks MySQL: try mysql://",
		"E\x00\x00\x00\x85SFATAL\x00":             "speaks PostgreSQL: try postgres://",
		"\x03\x00\x00\x13\x0e\xd0":                "speaks RDP",
		"-ERR unknown command":                    "speaks Redis",
		"\xff\xfd\x18\xff\xfd\x20":                "speaks Telnet",
		"AMQP\x00\x00\x09\x01":                    "speaks AMQP",
		"\x00\x01\x02":                            `unknown protocol: "\x00\x01\x02"`,
		"@RSYNCD: 31.0":                           "speaks rsync",
		":irc.example NOTICE * :*** Looking up":   "speaks IRC: try irc://",
		"RFB 003.008\n":                           "speaks VNC",
		"ERROR\r\n":                               "speaks Memcached",
		"RTSP/1.0 400 Bad Request":                "speaks RTSP",
		"SIP/2.0 400 Bad Request":                 "speaks SIP",
		"\x10\x00\x00\x00\xff\x6a\x04Host 'x' is": "speaks MySQL: try mysql://",
	} {
		if got := probe.Foreign([]byte(seen)); got != want {
			f.Errorf("foreign(%q) = %q, want %q", seen, got, want)
		}
		f.Add([]byte(seen))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := probe.Foreign(b); got == "" || len(got) > 200 || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\x1b\r\n") {
			t.Errorf("foreign(%q) = %q", b, got)
		}
	})
}

// The names agree with those that crypto/tls knows.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		if got := probe.SuiteName(s.ID); got != s.Name {
			t.Errorf("suite %#04x = %q, want %q", s.ID, got, s.Name)
		}
	}
	seen := map[uint16]bool{}
	names := map[string]bool{}
	for _, id := range probe.SuiteIDs() {
		name := probe.SuiteName(id)
		if seen[id] || names[name] || !strings.HasPrefix(name, "TLS_") {
			t.Errorf("suite %#04x, %q, is there twice or has no name", id, name)
		}
		seen[id], names[name] = true, true
	}
	for _, tt := range []struct{ got, want string }{
		{probe.SuiteName(0xfafa), "0xFAFA"},
		{probe.VersionName(0x0300), "SSL 3.0"},
		{probe.VersionName(tls.VersionTLS10), "TLS 1.0"},
		{probe.VersionName(tls.VersionTLS13), "TLS 1.3"},
		{probe.VersionName(0x0305), "0x0305"},
		{probe.GroupName(0), ""},
		{probe.GroupName(uint16(tls.X25519)), "X25519"},
		{probe.GroupName(uint16(tls.CurveP256)), "P-256"},
		{probe.GroupName(uint16(tls.X25519MLKEM768)), "X25519MLKEM768"},
		{probe.GroupName(258), "ffdhe4096"},
		{probe.GroupName(9999), "0x270f"},
		{probe.AlertName(40), "handshake_failure (40)"},
		{probe.AlertName(255), "unknown alert (255)"},
	} {
		if tt.got != tt.want {
			t.Errorf("name = %q, want %q", tt.got, tt.want)
		}
	}
	for id := range uint16(0x1200) {
		if name := probe.GroupName(id); id != 0 && name == "" {
			t.Errorf("group %d has no name", id)
		}
	}
}
