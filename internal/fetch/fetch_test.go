package fetch_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"example.com/certscan/internal/fetch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopback is what tests have to allow: only one of the many addresses that
// loop back.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

func newClient(tb testing.TB, opt fetch.Options) *fetch.Client {
	tb.Helper()
	if opt.AllowNetworks == nil {
		opt.AllowNetworks = loopback
	}
	c, err := fetch.New(opt)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// serve answers on address, an IP address of the loopback network.
func serve(tb testing.TB, address string, h http.HandlerFunc) *httptest.Server {
	tb.Helper()
	ln, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		tb.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = ln
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Start()
	tb.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

// raw accepts connections and lets talk do what it likes with each until the
// test ends.
func raw(tb testing.TB, talk func(conn net.Conn, stop <-chan struct{})) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				talk(conn, stop)
			})
		}
	})
	tb.Cleanup(func() { close(stop); ln.Close(); wg.Wait() })
	return "http://" + ln.Addr().String() + "/"
}

// drip sends a byte every few milliseconds, for ever.
func drip(conn net.Conn, stop <-chan struct{}) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			if _, err := conn.Write([]byte("x")); err != nil {
				return
			}
		}
	}
}

func reasonOf(tb testing.TB, err error) fetch.Reason {
	tb.Helper()
	var e *fetch.Error
	if !errors.As(err, &e) {
		tb.Fatalf("error %v is no *fetch.Error", err)
	}
	return e.Reason
}

func TestGet(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Last-Modified", "Sun, 22 Nov 2026 08:00:00 GMT")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		switch {
		case r.URL.Path == "/moved":
			http.Redirect(w, r, "/here", http.StatusFound)
		case r.Header.Get("If-None-Match") == `"1"`:
			w.WriteHeader(http.StatusNotModified)
		case r.Method == http.MethodPost:
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s", r.Header.Get("Content-Type"), body)
		default:
			fmt.Fprintf(w, "%s %s", r.UserAgent(), r.Referer())
		}
	})
	c := newClient(t, fetch.Options{})

	got, err := c.Get(t.Context(), s.URL+"/moved#fragment", fetch.Conditional{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := fetch.Response{
		Body: []byte("certscan "), ETag: `"1"`, LastModified: "Sun, 22 Nov 2026 08:00:00 GMT",
		Status: 200, FinalURL: s.URL + "/here", Fresh: time.Hour,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Get (-want +got):\n%s", diff)
	}

	got, err = c.Get(t.Context(), s.URL, fetch.Conditional{ETag: `"1"`}, 0)
	if err != nil || !got.NotModified || len(got.Body) != 0 {
		t.Errorf("conditional Get = %+v, %v, want not modified", got, err)
	}
	got, err = c.Post(t.Context(), s.URL, "application/ocsp-request", []byte("ask"), 0)
	if err != nil || string(got.Body) != "application/ocsp-request ask" {
		t.Errorf("Post = %q, %v", got.Body, err)
	}
}

func TestGetFailures(t *testing.T) {
	t.Parallel()
	other := serve(t, "127.0.0.2", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secret") })
	s := serve(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/missing":
			http.NotFound(w, r)
		case "/unasked":
			w.WriteHeader(http.StatusNotModified)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/inside":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/inside-307":
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		case "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case "/declared":
			w.Header().Set("Content-Length", "1000000000")
		case "/endless":
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		case "/headers":
			w.Header().Set("X-Long", strings.Repeat("x", 1<<17))
		case "/short":
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "x")
		}
	})
	closed := serve(t, "127.0.0.1", nil)
	closed.Close()
	tlsServer := httptest.NewUnstartedServer(http.NotFoundHandler())
	tlsServer.Config.ErrorLog = log.New(io.Discard, "", 0)
	tlsServer.StartTLS()
	t.Cleanup(tlsServer.Close)
	hello := "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"

	for _, tt := range []struct {
		name string
		url  string
		want fetch.Reason
		text string
	}{
		{"an address that is not allowed", other.URL, fetch.ReasonRefusedAddress, "to allow it: --allow-fetch 127.0.0.2"},
		{"a redirect to such an address", s.URL + "/inside", fetch.ReasonRefusedAddress, "address 127.0.0.2 is a loopback address"},
		{"a redirect that keeps the method", s.URL + "/inside-307", fetch.ReasonRefusedAddress, "127.0.0.2"},
		{"a redirect to a file", s.URL + "/file", fetch.ReasonBadURL, `scheme "file"`},
		{"redirects in a circle", s.URL + "/loop", fetch.ReasonRedirectLoop, "more than 3 redirects"},
		{"not found", s.URL + "/missing", fetch.ReasonStatus, "status 404"},
		{"not modified, but nobody asked", s.URL + "/unasked", fetch.ReasonStatus, "status 304"},
		{"an answer that says it is too large", s.URL + "/declared", fetch.ReasonTooLarge, "larger than 1000 bytes"},
		{"an answer without end", s.URL + "/endless", fetch.ReasonTooLarge, "larger than 1000 bytes"},
		{"headers without end", s.URL + "/headers", fetch.ReasonProtocol, "header"},
		{"an answer that stops early", s.URL + "/short", fetch.ReasonProtocol, "unexpected EOF"},
		{"nobody listens", closed.URL, fetch.ReasonConnect, "refused"},
		{"an unknown https server", tlsServer.URL, fetch.ReasonTLS, "certificate"},
		{"the server speaks first", raw(t, func(c net.Conn, _ <-chan struct{}) { fmt.Fprint(c, "220 smtp\r\n") }), fetch.ReasonProtocol, "malformed HTTP"},
		{"silence", raw(t, func(_ net.Conn, stop <-chan struct{}) { <-stop }), fetch.ReasonTimeout, "in time"},
		{"slow headers", raw(t, drip), fetch.ReasonTimeout, "in time"},
		{"a slow body", raw(t, func(c net.Conn, stop <-chan struct{}) { fmt.Fprint(c, hello); drip(c, stop) }), fetch.ReasonTimeout, "in time"},
		{"another scheme", "ldap://ldap.example/cn=ca", fetch.ReasonBadURL, `scheme "ldap"`},
		{"no scheme", "aia.example/ca.crt", fetch.ReasonBadURL, "scheme"},
		{"a user name", "http://user:pw@127.0.0.1/", fetch.ReasonBadURL, "user name"},
		{"no host", "http:///ca.crt", fetch.ReasonBadURL, "no host"},
		{"control characters", "http://aia.example/\n", fetch.ReasonBadURL, "control character"},
		{"too long", "http://127.0.0.1/" + strings.Repeat("x", 3000), fetch.ReasonBadURL, "longer than 2048"},
		{"metadata, which nobody is told to allow", "http://169.254.169.254/latest", fetch.ReasonRefusedAddress, "is a cloud metadata address"},
		{"loopback in disguise", "http://[::ffff:127.0.0.2]/", fetch.ReasonRefusedAddress, "127.0.0.2"},
		{"loopback by number", "http://2130706434/", fetch.ReasonDNS, "no such name"},
		{"a name that does not resolve", "http://gone.example/", fetch.ReasonDNS, `resolve "gone.example": no such name`},
		{"a name without addresses", "http://empty.example/", fetch.ReasonDNS, "no address"},
		{"a name that leads inside", "http://inside.example/", fetch.ReasonRefusedAddress, `10.0.0.1 of host "inside.example" is a private address`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, fetch.Options{Timeout: 500 * time.Millisecond, MaxBytes: 1000, Lookup: lookup(map[string][]string{
				"empty.example": {}, "inside.example": {"10.0.0.1"},
			})})
			_, err := c.Get(t.Context(), tt.url, fetch.Conditional{}, 0)
			if got := reasonOf(t, err); got != tt.want {
				t.Errorf("reason = %q (%v), want %q", got, err, tt.want)
			}
			if !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error = %q, want it to contain %q", err, tt.text)
			}
			if advised := strings.Contains(err.Error(), "--allow-fetch"); advised && strings.Contains(tt.text, "metadata") {
				t.Errorf("error = %q advises to allow it", err)
			}
			if want := fmt.Sprintf("fetch %q: ", tt.url); !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error = %q, want it to name the URL", err)
			}
		})
	}
}

func lookup(names map[string][]string) func(context.Context, string) ([]netip.Addr, error) {
	return func(_ context.Context, host string) ([]netip.Addr, error) {
		list, ok := names[host]
		if !ok {
			return nil, errors.New("no such name")
		}
		var addrs []netip.Addr
		for _, s := range list {
			addrs = append(addrs, netip.MustParseAddr(s))
		}
		return addrs, nil
	}
}

func port(tb testing.TB, s *httptest.Server) string {
	tb.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		tb.Fatal(err)
	}
	return u.Port()
}

// The name is good when it is checked and bad when it is used: what counts is
// the address that is connected to.
func TestRebinding(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		fmt.Fprint(w, "good")
	})
	var calls atomic.Int32
	c := newClient(t, fetch.Options{Lookup: func(context.Context, string) ([]netip.Addr, error) {
		if calls.Add(1) == 1 {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.2")}, nil
	}})
	at := "http://rebind.example:" + port(t, s) + "/"
	if got, err := c.Get(t.Context(), at, fetch.Conditional{}, 0); err != nil || string(got.Body) != "good" {
		t.Fatalf("first Get = %q, %v", got.Body, err)
	}
	_, err := c.Get(t.Context(), at, fetch.Conditional{}, 0)
	if got := reasonOf(t, err); got != fetch.ReasonRefusedAddress {
		t.Errorf("second Get: %v, want the address refused", err)
	}
}

func TestAllowHosts(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.3", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://other.example:"+r.URL.Port()+"/", http.StatusFound)
		}
	})
	c := newClient(t, fetch.Options{
		AllowHosts: []string{"PKI.corp.example."},
		Lookup:     lookup(map[string][]string{"pki.corp.example": {"127.0.0.3"}, "other.example": {"127.0.0.3"}}),
	})
	at := "http://pki.corp.example:" + port(t, s)
	if _, err := c.Get(t.Context(), at+"/ca.crt", fetch.Conditional{}, 0); err != nil {
		t.Errorf("an allowed host: %v", err)
	}
	_, err := c.Get(t.Context(), at+"/away", fetch.Conditional{}, 0)
	if got := reasonOf(t, err); got != fetch.ReasonRefusedAddress {
		t.Errorf("its redirect to another host: %v, want the address refused", err)
	}
}

// A bad address never hides a good one.
func TestSeveralAddresses(t *testing.T) {
	t.Parallel()
	s := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "good") })
	c := newClient(t, fetch.Options{Lookup: lookup(map[string][]string{"multi.example": {"10.0.0.1", "127.0.0.2", "127.0.0.1"}})})
	got, err := c.Get(t.Context(), "http://multi.example:"+port(t, s), fetch.Conditional{}, 0)
	if err != nil || string(got.Body) != "good" {
		t.Errorf("Get = %q, %v", got.Body, err)
	}
}

func TestHTTPSIsVerified(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "good") }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	c := newClient(t, fetch.Options{Roots: roots, Lookup: lookup(map[string][]string{"example.com": {"127.0.0.1"}, "wrong.example": {"127.0.0.1"}})})
	if got, err := c.Get(t.Context(), "https://example.com:"+port(t, s), fetch.Conditional{}, 0); err != nil || string(got.Body) != "good" {
		t.Errorf("Get = %q, %v", got.Body, err)
	}
	_, err := c.Get(t.Context(), "https://wrong.example:"+port(t, s), fetch.Conditional{}, 0)
	if got := reasonOf(t, err); got != fetch.ReasonTLS {
		t.Errorf("Get by a name that is not in the certificate: %v, want reason tls", err)
	}
}

// Through a proxy names are the proxy's business, addresses in URLs are not.
func TestProxy(t *testing.T) {
	t.Parallel()
	proxy := serve(t, "127.0.0.4", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "proxied %s", r.URL) })
	c := newClient(t, fetch.Options{Proxy: proxy.URL, Lookup: lookup(nil)})
	got, err := c.Get(t.Context(), "http://aia.example/ca.crt", fetch.Conditional{}, 0)
	if err != nil || string(got.Body) != "proxied http://aia.example/ca.crt" {
		t.Errorf("Get = %q, %v", got.Body, err)
	}
	_, err = c.Get(t.Context(), "http://127.0.0.2/", fetch.Conditional{}, 0)
	if got := reasonOf(t, err); got != fetch.ReasonRefusedAddress {
		t.Errorf("Get of an address: %v, want it refused", err)
	}
	for _, bad := range []string{"ftp://proxy.example", "proxy.example:3128", "http://"} {
		if _, err := fetch.New(fetch.Options{Proxy: bad}); err == nil || !strings.Contains(err.Error(), "the proxy is not") {
			t.Errorf("New with proxy %q: %v", bad, err)
		}
	}
}

// The environment must not redirect what goes through the guard.
func TestEnvironmentProxyIsIgnored(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.9:9")
	t.Setenv("http_proxy", "http://127.0.0.9:9")
	s := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "direct") })
	c := newClient(t, fetch.Options{Lookup: lookup(map[string][]string{"aia.example": {"127.0.0.1"}})})
	got, err := c.Get(t.Context(), "http://aia.example:"+port(t, s), fetch.Conditional{}, 0)
	if err != nil || string(got.Body) != "direct" {
		t.Errorf("Get = %q, %v", got.Body, err)
	}
}

func TestOneFetchAtATime(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	arrived, answer := make(chan struct{}), make(chan struct{})
	s := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		close(arrived)
		<-answer
		fmt.Fprint(w, "good")
	})
	c := newClient(t, fetch.Options{})

	first, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	get := func(ctx context.Context, want error) {
		wg.Go(func() {
			got, err := c.Get(ctx, s.URL, fetch.Conditional{}, 0)
			if !errors.Is(err, want) || err == nil && string(got.Body) != "good" {
				t.Errorf("Get = %q, %v, want error %v", got.Body, err, want)
			}
		})
	}
	get(first, context.Canceled)
	<-arrived
	var others fetch.Waiters
	for range 4 {
		get(t.Context(), nil)
	}
	others.Until(c, 5)
	leave() // the one that started it goes; the others still get their answer
	others.Until(c, 4)
	close(answer)
	wg.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

// When nobody waits any more the fetch ends, and has ended when Get returns.
func TestLastOneOut(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	arrived := make(chan struct{})
	s := serve(t, "127.0.0.1", func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(ended)
	})
	c := newClient(t, fetch.Options{Timeout: time.Hour})
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("interrupted")
	go func() { <-arrived; cancel(cause) }()
	if _, err := c.Get(ctx, s.URL, fetch.Conditional{}, 0); !errors.Is(err, cause) {
		t.Errorf("Get = %v, want the cause of the cancellation", err)
	}
	<-ended
}
