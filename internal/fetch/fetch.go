// Package fetch is the one HTTP client for addresses that strangers wrote: the
// URLs in certificates, above all.
//
// It refuses to be used against the network it runs in: unless an address or a
// host was allowed, only public addresses are connected to, and the check is
// made on the address of the connection itself, so that neither a redirect nor
// a name that changes its mind gets around it. It keeps no cache, no cookies and
// no connections, and takes no proxy from the environment. Its invariant: a call
// ends in a time and takes a number of bytes that are known before, and leaves
// no work behind.
package fetch

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// The defaults of [Options].
const (
	DefaultTimeout      = 10 * time.Second
	DefaultMaxBytes     = 1 << 20
	DefaultMaxRedirects = 3
)

const (
	maxURLLength   = 2048
	maxHeaderBytes = 64 << 10
)

// Options configure a [Client]. The zero value is a client that reaches public
// addresses only.
type Options struct {
	// AllowNetworks and AllowHosts are exceptions: addresses, and names as they
	// stand in URLs, that may be connected to wherever they lead. ParseAllow
	// makes them of the values of a flag.
	AllowNetworks []netip.Prefix
	AllowHosts    []string

	// Proxy is the URL of an egress proxy (http, https or socks5), "" for none.
	// With one, names are resolved by the proxy and only addresses that stand in
	// URLs are checked here: what lies behind a name is then the proxy's to
	// refuse. The proxy itself may have any address.
	Proxy string

	Timeout      time.Duration // of one call as a whole; defaults to DefaultTimeout
	MaxBytes     int64         // of one body; defaults to DefaultMaxBytes
	MaxRedirects int           // defaults to DefaultMaxRedirects; negative: none are followed
	UserAgent    string        // defaults to "certscan"

	// Lookup resolves a name; defaults to the system's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)

	// Roots verify https servers; defaults to the system's.
	Roots *x509.CertPool
}

// A Client fetches. It is safe for concurrent use.
type Client struct {
	opt       Options
	hosts     map[string]bool
	proxyAddr string // host:port that is dialled when there is a proxy
	http      *http.Client
	flights   flights
}

// New returns a client, or an error if opt.Proxy is not a proxy's URL.
func New(opt Options) (*Client, error) {
	opt.Timeout = cmp.Or(opt.Timeout, DefaultTimeout)
	opt.MaxBytes = cmp.Or(opt.MaxBytes, DefaultMaxBytes)
	opt.MaxRedirects = cmp.Or(opt.MaxRedirects, DefaultMaxRedirects)
	opt.UserAgent = cmp.Or(opt.UserAgent, "certscan")
	if opt.Lookup == nil {
		opt.Lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	c := &Client{opt: opt, hosts: make(map[string]bool), flights: flights{running: make(map[string]*flight)}}
	for _, h := range opt.AllowHosts {
		c.hosts[canonicalHost(h)] = true
	}
	transport := &http.Transport{
		DialContext:            c.dial,
		TLSClientConfig:        &tls.Config{RootCAs: opt.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    opt.Timeout,
		DisableCompression:     true, // a bound on bytes is a bound on bytes
		DisableKeepAlives:      true, // a stranger's server gets no say between calls
		MaxResponseHeaderBytes: maxHeaderBytes,
	}
	if opt.Proxy != "" {
		proxy, err := parseProxy(opt.Proxy)
		if err != nil {
			return nil, err
		}
		transport.Proxy = http.ProxyURL(proxy)
		c.proxyAddr = net.JoinHostPort(proxy.Hostname(), cmp.Or(proxy.Port(), defaultPort(proxy.Scheme)))
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: c.checkRedirect}
	return c, nil
}

// Conditional are the validators of an answer that is had already. Both empty
// means to ask without condition.
type Conditional struct {
	ETag         string
	LastModified string
}

func (c Conditional) header() http.Header {
	h := http.Header{}
	if c.ETag != "" {
		h.Set("If-None-Match", c.ETag)
	}
	if c.LastModified != "" {
		h.Set("If-Modified-Since", c.LastModified)
	}
	return h
}

// A Response is a successful answer: status 200, or 304 to a conditional
// request.
type Response struct {
	Body         []byte // shared between callers that asked for the same: read only
	ETag         string
	LastModified string
	NotModified  bool // the server says that what is had already is still right
	Status       int
	FinalURL     string // after redirects

	// Fresh is how long the server lets the answer be kept (RFC 9111): 0 if it
	// forbids that, negative if it does not say.
	Fresh time.Duration
}

// Get fetches rawURL. maxBytes is the largest body that is taken, 0 for the
// client's default. Calls for the same thing at the same time share one fetch;
// the end of ctx ends the wait of this caller only. Errors are an [*Error], or
// wrap the cause of ctx.
func (c *Client) Get(ctx context.Context, rawURL string, cond Conditional, maxBytes int64) (Response, error) {
	return c.call(ctx, request{method: http.MethodGet, url: rawURL, header: cond.header(), maxBytes: maxBytes})
}

// Post sends body and returns the answer, otherwise like [Client.Get].
func (c *Client) Post(ctx context.Context, rawURL, contentType string, body []byte, maxBytes int64) (Response, error) {
	header := http.Header{"Content-Type": {contentType}}
	return c.call(ctx, request{method: http.MethodPost, url: rawURL, header: header, body: body, maxBytes: maxBytes})
}

type request struct {
	method   string
	url      string
	header   http.Header
	body     []byte
	maxBytes int64
}

func (r request) key() string {
	return fmt.Sprintf("%s %q %q %x %d", r.method, r.url, r.header, sha256.Sum256(r.body), r.maxBytes)
}

func (c *Client) call(ctx context.Context, r request) (Response, error) {
	r.maxBytes = cmp.Or(r.maxBytes, c.opt.MaxBytes)
	return c.flights.do(ctx, r.key(), func(ctx context.Context) (Response, error) {
		ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
		defer cancel()
		return c.fetch(ctx, r)
	})
}

func (c *Client) fetch(ctx context.Context, r request) (Response, error) {
	res, out, err := c.open(ctx, r)
	if err != nil || out.NotModified {
		return out, err
	}
	defer res.Body.Close()
	if out.Body, err = readBody(res, r.maxBytes); err != nil {
		return Response{}, classify(r.url, err)
	}
	return out, nil
}

// open asks. The body of res is to be read and closed, if the answer has one.
func (c *Client) open(ctx context.Context, r request) (res *http.Response, out Response, err error) {
	u, err := parseURL(r.url)
	if err == nil {
		err = c.checkURL(u)
	}
	if err != nil {
		return nil, out, classify(r.url, err)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, out, classify(r.url, badURL(err))
	}
	req.Header = r.header.Clone()
	req.Header.Set("User-Agent", c.opt.UserAgent)

	res, err = c.http.Do(req)
	if err != nil {
		return nil, out, classify(r.url, err)
	}
	conditional := r.header.Get("If-None-Match") != "" || r.header.Get("If-Modified-Since") != ""
	out = Response{
		ETag: res.Header.Get("ETag"), LastModified: res.Header.Get("Last-Modified"),
		Status: res.StatusCode, FinalURL: res.Request.URL.String(), Fresh: freshness(res.Header),
		NotModified: res.StatusCode == http.StatusNotModified && conditional,
	}
	if out.NotModified {
		res.Body.Close()
		return nil, out, nil
	}
	if res.StatusCode != http.StatusOK {
		res.Body.Close()
		return nil, Response{}, &Error{URL: r.url, Reason: ReasonStatus, Status: res.StatusCode, Err: fmt.Errorf("status %d", res.StatusCode)}
	}
	return res, out, nil
}

// readBody refuses what is larger than limit: a part of a certificate or of a
// revocation list is worse than none.
func readBody(res *http.Response, limit int64) ([]byte, error) {
	var body bytes.Buffer
	err := copyBody(&body, res, limit)
	return body.Bytes(), err
}

func copyBody(to io.Writer, res *http.Response, limit int64) error {
	tooLarge := &Error{Reason: ReasonTooLarge, Err: fmt.Errorf("the answer is larger than %d bytes", limit)}
	if res.ContentLength > limit {
		return tooLarge
	}
	n, err := io.Copy(to, io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return err
	case n > limit:
		return tooLarge
	}
	return nil
}

func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer")
	if len(via) > max(c.opt.MaxRedirects, 0) {
		return &Error{Reason: ReasonRedirectLoop, Err: fmt.Errorf("more than %d redirects, the last to host %q", max(c.opt.MaxRedirects, 0), req.URL.Hostname())}
	}
	u, err := parseURL(req.URL.String())
	if err != nil {
		return err
	}
	return c.checkURL(u)
}

// checkURL refuses forbidden addresses that stand in the URL itself. The dialer
// would too, but behind a proxy it does not see them.
func (c *Client) checkURL(u *url.URL) error {
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return nil
	}
	return c.checkAddress(u.Hostname(), addr)
}

// parseURL accepts only what may be fetched.
func parseURL(raw string) (*url.URL, error) {
	if len(raw) > maxURLLength {
		return nil, badURL(fmt.Errorf("longer than %d bytes", maxURLLength))
	}
	u, err := url.Parse(raw)
	if err != nil {
		var bad *url.Error
		if errors.As(err, &bad) {
			err = bad.Err // the URL is named by the caller already
		}
		return nil, badURL(err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, badURL(fmt.Errorf("scheme %q is neither http nor https", u.Scheme))
	case u.User != nil:
		return nil, badURL(errors.New("has a user name"))
	case u.Hostname() == "":
		return nil, badURL(errors.New("has no host"))
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

func parseProxy(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || defaultPort(u.Scheme) == "" {
		// Not raw itself: it may hold a password.
		return nil, errors.New("fetch: the proxy is not an http, https or socks5 URL such as http://proxy.example:3128")
	}
	return u, nil
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	case "socks5", "socks5h":
		return "1080"
	}
	return ""
}

func canonicalHost(h string) string {
	return strings.TrimSuffix(strings.ToLower(strings.Trim(h, "[]")), ".")
}
