package lab_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"example.com/certscan/internal/lab"
)

func TestPeersWithoutTLSAnswerAsDescribed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"garbage":     "\xde\xad\xbe\xef",
		"plain-http":  "HTTP/1.1 400 ",
		"end-of-file": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := answer(t, one(t, name))
			if !bytes.HasPrefix(got, []byte(want)) || want == "" && len(got) > 0 {
				t.Errorf("answer % x, want % x", got, want)
			}
		})
	}
	for name, want := range map[string]string{"ssh": "SSH-2.0-", "smtp-without-tls": "220 "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, places(t, one(t, name))[0].addresses[0])
			got := make([]byte, len(want))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
				t.Errorf("first bytes %q, %v, want %q", got, err, want)
			}
		})
	}
}

func TestUnrecognizedName(t *testing.T) {
	t.Parallel()
	const alert, fatal, unrecognizedName = 21, 2, 112
	got := answer(t, one(t, "unrecognized-name"))
	if len(got) != 7 || got[0] != alert || got[5] != fatal || got[6] != unrecognizedName {
		t.Errorf("answer % x, want a fatal alert 112", got)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	a := places(t, one(t, "closed"))[0].addresses[0]
	if conn, err := net.Dial("tcp", a.String()); !errors.Is(err, syscall.ECONNREFUSED) {
		if err == nil {
			conn.Close()
		}
		t.Errorf("Dial(%s): %v, want refused", a, err)
	}
}

func TestSilent(t *testing.T) {
	t.Parallel()
	conn := dial(t, places(t, one(t, "silent"))[0].addresses[0])
	hello(t, conn)
	if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read = %d, %v, want nothing", n, err)
	}
}

func TestDrip(t *testing.T) {
	t.Parallel()
	conn := dial(t, places(t, one(t, "drip"))[0].addresses[0])
	hello(t, conn)
	var got []byte
	for range 3 {
		b := make([]byte, 16)
		n, err := conn.Read(b)
		if err != nil || n != 1 {
			t.Fatalf("Read = %d, %v, want one byte", n, err)
		}
		got = append(got, b[0])
	}
	if got[0] != 22 || got[1] != 3 {
		t.Errorf("begins % x, want a handshake record", got)
	}
}

func TestEndless(t *testing.T) {
	t.Parallel()
	conn := dial(t, places(t, one(t, "endless"))[0].addresses[0])
	hello(t, conn)
	b := make([]byte, 1<<20)
	if _, err := io.ReadFull(conn, b); err != nil || bytes.IndexByte(b, '\n') >= 0 {
		t.Errorf("a megabyte: %v; want it, in one line", err)
	}
}

func TestResets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		scenario    string
		certificate bool
	}{
		{"reset", false}, {"reset-after-certificate-tls12", true}, {"reset-after-certificate-tls13", true},
	} {
		t.Run(tt.scenario, func(t *testing.T) {
			t.Parallel()
			conn := &tee{Conn: dial(t, places(t, one(t, tt.scenario))[0].addresses[0])}
			err := tls.Client(conn, permissive(tt.scenario)).Handshake()
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("Handshake: %v, want reset", err)
			}
			got := conn.read.Bytes()
			if seen := firstCertificate(got) != nil || encrypted(got) == 2; seen != tt.certificate {
				t.Errorf("certificate was sent: %v, want %v", seen, tt.certificate)
			}
		})
	}
}

// encrypted counts the whole encrypted records in b.
func encrypted(b []byte) (n int) {
	for len(b) > 5 {
		size := 5 + int(b[3])<<8 + int(b[4])
		if len(b) < size {
			break
		}
		if b[0] == 23 {
			n++
		}
		b = b[size:]
	}
	return n
}

func TestCutAfterCertificate(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{"end-after-certificate": io.EOF, "silent-after-certificate": os.ErrDeadlineExceeded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := &tee{Conn: dial(t, places(t, one(t, name))[0].addresses[0])}
			if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if err := tls.Client(conn, permissive(name)).Handshake(); !errors.Is(err, want) {
				t.Errorf("Handshake: %v, want %v", err, want)
			}
			if firstCertificate(conn.read.Bytes()) == nil {
				t.Error("no certificate was sent")
			}
		})
	}
}

// A lab's servers read what strangers send; nothing of it may end them.
func FuzzSTARTTLS(f *testing.F) {
	for _, text := range []string{
		"EHLO x\r\nSTARTTLS\r\n", "a CAPABILITY\r\na STARTTLS\r\n", "AUTH TLS\r\n", "\x00\x00\x00\x08\x04\xd2\x16\x2f",
		"0\x1d\x02\x01\x01w\x18\x80\x161.3.6.1.4.1.1466.20037", "<stream:stream xmlns='jabber:client'><starttls/>",
	} {
		for p := range starttlsProtocols() {
			f.Add(byte(p), byte(len(text)%4), []byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, protocol, variant byte, in []byte) {
		protocols := starttlsProtocols()
		p := protocols[int(protocol)%len(protocols)]
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			lab.STARTTLS(p, lab.Variant(variant%4), lab.HangUp)(t.Context(), server)
			server.Close()
		}()
		go func() {
			_, _ = client.Write(in) // as far as the server wants it
			client.Close()
		}()
		_, _ = io.Copy(io.Discard, client)
		<-done
	})
}
