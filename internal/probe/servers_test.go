package probe_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/probe"
)

// serve listens on loopback until the test ends and calls f for each
// connection, which it closes. At the end connections are closed under f, and
// waited for.
func serve(t *testing.T, f func(c net.Conn)) netip.AddrPort {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		conns []net.Conn
	)
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				f(c)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return netip.MustParseAddrPort(ln.Addr().String())
}

// serveTLS serves cfg: a handshake, then a read until the peer is done.
func serveTLS(t *testing.T, cfg *tls.Config) netip.AddrPort {
	t.Helper()
	return serve(t, func(c net.Conn) {
		_, _ = io.Copy(io.Discard, tls.Server(c, cfg))
	})
}

// readHello reads one TLS record, the ClientHello.
func readHello(c net.Conn) {
	var head [5]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c, int64(head[3])<<8|int64(head[4]))
}

// examine probes to with a budget that a healthy probe does not need.
func examine(t *testing.T, to netip.AddrPort, change ...func(*inventory.ProbeRequest)) inventory.Observation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req := request(to)
	for _, f := range change {
		f(&req)
	}
	return probe.New(probe.Options{}).Probe(ctx, req)
}

func withOffer(o inventory.Offer) func(*inventory.ProbeRequest) {
	return func(r *inventory.ProbeRequest) { r.Offer = o }
}

func census(r *inventory.ProbeRequest) { r.Mode = inventory.ModeCensus }

// openssl runs the openssl program, which the tests cannot do without: no Go
// library serves what Go refuses.
func openssl(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("these tests need the openssl program: openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// An opensslKey is a key and a self-signed certificate in files.
type opensslKey struct {
	key, cert string
	der       []byte
}

// newOpensslKey makes a key as genpkey is told to.
func newOpensslKey(t *testing.T, genpkey ...string) opensslKey {
	t.Helper()
	dir := t.TempDir()
	k := opensslKey{key: filepath.Join(dir, "key.pem"), cert: filepath.Join(dir, "cert.pem")}
	openssl(t, append([]string{"genpkey", "-out", k.key}, genpkey...)...)
	openssl(t, "req", "-x509", "-new", "-key", k.key, "-out", k.cert, "-days", "30",
		"-subj", "/CN=shop.example", "-addext", "subjectAltName=DNS:shop.example")
	text, err := os.ReadFile(k.cert)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("%s is not PEM", k.cert)
	}
	k.der = block.Bytes
	return k
}

// serveOpenssl starts `openssl s_server` and returns its address.
func serveOpenssl(t *testing.T, args ...string) netip.AddrPort {
	t.Helper()
	cmd := exec.Command("openssl", append([]string{"s_server", "-accept", "127.0.0.1:0"}, args...)...)
	stdin, err := cmd.StdinPipe() // s_server ends with its input
	if err != nil {
		t.Fatal(err)
	}
	out, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatalf("these tests need the openssl program: %v", err)
	}
	var wg sync.WaitGroup
	ready := make(chan string, 1)
	wg.Go(func() {
		var said []string
		started := false
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if addr, ok := strings.CutPrefix(lines.Text(), "ACCEPT "); ok && !started {
				started = true
				ready <- addr
			}
			said = append(said, lines.Text())
		}
		if !started {
			t.Logf("openssl s_server %s:\n%s", strings.Join(args, " "), strings.Join(said, "\n"))
			ready <- ""
		}
	})
	var exit sync.WaitGroup
	exit.Go(func() {
		_ = cmd.Wait()
		_ = w.Close()
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = stdin.Close()
		exit.Wait()
		wg.Wait()
	})
	addr := <-ready
	if addr == "" {
		exit.Wait()
		wg.Wait()
		t.Fatalf("openssl s_server %s did not start", strings.Join(args, " "))
	}
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		t.Fatalf("openssl s_server listens on %q: %v", addr, err)
	}
	return to
}
