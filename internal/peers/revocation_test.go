package peers_test

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/certscan/internal/certfile"
	"example.com/certscan/internal/crl"
	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/fetch"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// A revoker is openssl as the one who keeps the books of an authority: it makes
// the CRLs, and answers as an OCSP responder.
type revoker struct {
	openssl, dir, cert, key string
	ca                      *pki
	index                   strings.Builder
}

func newRevoker(t *testing.T, dir string, ca *pki) *revoker {
	t.Helper()
	r := &revoker{openssl: find(t, "openssl", "openssl"), dir: dir, ca: ca}
	r.cert, r.key = (&leaf{authority: ca.intermediate, pki: ca}).files(t, dir, ca.intermediate.cert.Raw)
	write(t, dir+"/root.pem", toPEM(ca.root.cert.Raw))
	write(t, dir+"/index.attr", "unique_subject = no\n")
	write(t, dir+"/ca.cnf", "[ca]\ndefault_ca = it\n[it]\ndatabase = "+dir+"/index\ndefault_md = sha256\n")
	return r
}

// note enters l into the books.
func (r *revoker) note(t *testing.T, l *leaf, revoked bool) {
	t.Helper()
	const layout = "060102150405Z"
	state, when := "V", ""
	if revoked {
		state, when = "R", time.Now().Add(-time.Hour).UTC().Format(layout)+",keyCompromise"
	}
	fmt.Fprintf(&r.index, "%s\t%s\t%s\t%032X\tunknown\t/CN=%s\n", state, l.cert.NotAfter.UTC().Format(layout), when, l.cert.SerialNumber, l.cert.Subject.CommonName)
	write(t, r.dir+"/index", r.index.String())
}

// list writes a CRL, in DER.
func (r *revoker) list(t *testing.T, name string, times ...string) string {
	t.Helper()
	path := filepath.Join(r.dir, name)
	account{}.run(t, r.dir, r.openssl, append([]string{
		"ca", "-config", r.dir + "/ca.cnf", "-gencrl", "-cert", r.cert, "-keyfile", r.key, "-out", path + ".pem",
	}, times...)...)
	account{}.run(t, r.dir, r.openssl, "crl", "-in", path+".pem", "-outform", "DER", "-out", path)
	return path
}

// respond starts the responder, and returns when it answers about l. It is not
// connected to before: a connection without a request would stop it for ever.
func (r *revoker) respond(t *testing.T, port uint16, l *leaf) {
	t.Helper()
	account{}.serve(t, r.dir, syscall.SIGTERM, nil, r.openssl, "ocsp", "-port", fmt.Sprint(port), "-index", r.dir+"/index",
		"-CA", r.cert, "-rsigner", r.cert, "-rkey", r.key, "-nmin", "60", "-ignore_err")
	cert, _ := l.files(t, r.dir, l.cert.Raw)
	until(t, func() bool {
		said := r.says(t, "ocsp", "-issuer", r.cert, "-cert", cert, "-no_nonce", "-noverify", "-url", "http://"+address(port))
		return strings.Contains(said, "This Update")
	})
}

// until tries until done, and fails the test if that takes too long.
func until(t *testing.T, done func() bool) {
	t.Helper()
	limit := time.After(startLimit)
	for tick := time.Tick(20 * time.Millisecond); !done(); {
		select {
		case <-tick:
		case <-limit:
			t.Fatalf("nothing after %v", startLimit)
		}
	}
}

// says runs openssl and returns what it printed, whatever its exit status: that
// is a verdict too.
func (r *revoker) says(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), probeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.openssl, args...)
	cmd.Env = append(cmd.Environ(), "OPENSSL_CONF=/dev/null")
	out, _ := cmd.CombinedOutput()
	return string(out)
}

// verdict is what certscan says of an endpoint's certificate.
func verdict(t *testing.T, ca *pki, o inventory.Observation) inventory.RevocationVerdict {
	t.Helper()
	client, err := fetch.New(fetch.Options{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	if err != nil {
		t.Fatal(err)
	}
	source, err := evidence.New(evidence.Options{
		Fetcher: guarded{client}, Decode: certfile.Decode, NextUpdate: verify.OCSPNextUpdate, CRLDir: t.TempDir(),
		ReadCRL: func(r io.Reader) (*inventory.CRL, error) { return crl.Read(r, 1<<20) },
	})
	if err != nil {
		t.Fatal(err)
	}
	judge, err := verify.New(verify.Options{
		Revocation: inventory.RevocationSoft,
		Stores:     []inventory.TrustStore{{Name: "peers", Anchors: []inventory.Anchor{{DER: ca.root.cert.Raw}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	facts := inventory.Facts{Target: inventory.Target{Host: "shop.example", Port: 443, Protocol: inventory.TLS}, Observation: o}
	ev := make(inventory.EvidenceSet)
	for {
		j, needs := judge.Judge(facts, ev, time.Now())
		if len(needs) == 0 {
			return j.Verdict.Revocation
		}
		for _, n := range needs {
			ev[n] = source.Get(t.Context(), n)
		}
	}
}

// guarded is the guarded client as evidence wants it.
type guarded struct{ *fetch.Client }

func (g guarded) Fetch(ctx context.Context, r evidence.Request) (evidence.Answer, error) {
	var res fetch.Response
	var err error
	switch {
	case r.To != nil:
		res, err = g.Download(ctx, r.URL, fetch.Conditional{}, r.Limit, r.To)
	case r.Body != nil:
		res, err = g.Post(ctx, r.URL, r.ContentType, r.Body, r.Limit)
	default:
		res, err = g.Get(ctx, r.URL, fetch.Conditional{}, r.Limit)
	}
	return evidence.Answer{Body: res.Body, Fresh: res.Fresh}, err
}

// TestRevocation serves certificates with nginx, which staples; openssl keeps
// the books, and says what it thinks of each certificate itself.
func TestRevocation(t *testing.T) {
	t.Parallel()
	find(t, "nginx", "nginx")
	dir, ca := tempDir(t), newPKI(t)
	r := newRevoker(t, dir, ca)
	books, responder := freePort(t), freePort(t)
	list := func(name string) []string { return []string{fmt.Sprintf("http://127.0.0.1:%d/%s", books, name)} }
	ocsp := []string{fmt.Sprintf("http://127.0.0.1:%d", responder)}

	cases := []*struct {
		name                 string
		lists, responders    []string
		revoked, unlisted    bool
		stapling             string // of nginx
		status, source, why  string
		opensslCRL, opensslO string // what openssl prints
		leaf                 *leaf
		certFile             string
		server               *nginxServer
	}{
		{name: "good, by CRL", lists: list("now.crl"), status: "good", source: "crl", opensslCRL: ": OK"},
		{name: "revoked, by CRL", lists: list("now.crl"), revoked: true, status: "revoked", source: "crl", why: "keyCompromise", opensslCRL: "certificate revoked"},
		{name: "an expired CRL", lists: list("old.crl"), status: "unknown", source: "crl", why: "stale", opensslCRL: "CRL has expired"},
		{name: "good, by OCSP", responders: ocsp, status: "good", source: "ocsp", opensslO: ": good"},
		{name: "revoked, by OCSP", responders: ocsp, revoked: true, status: "revoked", source: "ocsp", why: "keyCompromise", opensslO: ": revoked"},
		{name: "unknown to OCSP", responders: ocsp, unlisted: true, status: "unknown", source: "ocsp", why: "unknown", opensslO: ": unknown"},
		{name: "stapled by nginx", responders: ocsp, stapling: "on", status: "good", source: "staple", opensslO: ": good"},
		{name: "revoked, as stapled from a file", responders: ocsp, revoked: true, stapling: "file", status: "revoked", source: "staple", why: "keyCompromise", opensslO: ": revoked"},
	}
	for _, tt := range cases {
		tt.leaf = ca.pointingLeaf(t, "shop.example", ecdsaKey(t), tt.lists, tt.responders)
		if !tt.unlisted {
			r.note(t, tt.leaf, tt.revoked)
		}
	}
	r.list(t, "now.crl", "-crldays", "7")
	r.list(t, "old.crl", "-crl_lastupdate", "20260101000000Z", "-crl_nextupdate", "20260108000000Z")
	r.respond(t, responder, cases[0].leaf)

	shelf := &nginxServer{port: books, name: "books.example", plain: true}
	shelf.set("root %s;", dir)
	servers := []*nginxServer{shelf}
	for _, tt := range cases {
		tt.server = &nginxServer{port: freePort(t), name: "shop.example"}
		var key string
		tt.certFile, key = tt.leaf.files(t, dir, tt.leaf.chain()...)
		tt.server.set("ssl_certificate %s;\nssl_certificate_key %s;", tt.certFile, key)
		switch tt.stapling {
		case "on":
			tt.server.set("ssl_stapling on;")
		case "file":
			r.says(t, "ocsp", "-issuer", r.cert, "-cert", tt.certFile, "-no_nonce", "-url", ocsp[0], "-noverify", "-respout", tt.certFile+".ocsp")
			tt.server.set("ssl_stapling on;\nssl_stapling_file %s;", tt.certFile+".ocsp")
		}
		servers = append(servers, tt.server)
	}
	serveNginx(t, dir, servers...)

	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			o := observe(t, inventory.TLS, "shop.example", tt.server.port, inventory.OfferDefault)
			until(t, func() bool { // nginx asks when the first client has come, who gets nothing yet
				if tt.stapling != "" && len(o.Staple) == 0 {
					o = observe(t, inventory.TLS, "shop.example", tt.server.port, inventory.OfferDefault)
				}
				return tt.stapling == "" || len(o.Staple) > 0
			})
			got := verdict(t, ca, o)
			if got.Status != tt.status || got.Source != tt.source || got.Reason != tt.why {
				t.Errorf("certscan: %q by %q (%s: %s), want %q by %q (%s)", got.Status, got.Source, got.Reason, got.Detail, tt.status, tt.source, tt.why)
			}
			if tt.opensslCRL != "" {
				path := filepath.Join(dir, filepath.Base(tt.lists[0])+".pem")
				said := r.says(t, "verify", "-CAfile", dir+"/root.pem", "-untrusted", r.cert, "-crl_check", "-CRLfile", path, tt.certFile)
				if !strings.Contains(said, tt.opensslCRL) {
					t.Errorf("openssl verify: %s, want %q", said, tt.opensslCRL)
				}
			}
			if tt.opensslO != "" {
				said := r.says(t, "ocsp", "-issuer", r.cert, "-cert", tt.certFile, "-url", ocsp[0], "-CAfile", dir+"/root.pem")
				if !strings.Contains(said, tt.opensslO) || !strings.Contains(said, "Response verify OK") {
					t.Errorf("openssl ocsp: %s, want %q", said, tt.opensslO)
				}
			}
		})
	}
}
