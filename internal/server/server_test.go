package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fleet of one target that was examined.
type fleet struct{ result inventory.Result }

func (f fleet) Result(_ context.Context, target string) (inventory.Result, error) {
	switch target {
	case f.result.Target.Key(), f.result.Target.Host:
		return f.result, nil
	case "broken.example:443":
		return inventory.Result{}, errors.New("disk on fire")
	}
	return inventory.Result{}, fmt.Errorf("%w %s", inventory.ErrUnknownTarget, target)
}

func (f fleet) Certificate(_ context.Context, digest string) (server.Certificate, error) {
	c := f.result.Endpoints[0].Judgement.Certificate
	if !strings.HasPrefix(c.SHA256.String(), digest) {
		return server.Certificate{}, inventory.ErrUnknownCertificate
	}
	return server.Certificate{Certificate: *c, DER: []byte("der"), FirstSeen: at, ServedBy: []inventory.Serving{{View: f.result.Endpoints[0].Observation.View()}}}, nil
}

var at = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

func target(host string, port uint16, labels map[string]string) inventory.Target {
	return inventory.Target{Host: host, Port: port, Protocol: inventory.TLS, Labels: labels, Sources: []string{"list:core"}}
}

// shop is a target with an endpoint that has expired.
func shop() inventory.Result {
	t := target("shop.example", 443, map[string]string{"owner": "web", "Cost center": "<b>7</b>\u200b"})
	no := false
	view := inventory.View{Target: t.Key(), Address: "192.0.2.7", Location: "local", Offer: inventory.OfferDefault}
	expiry := &inventory.Expiry{At: at.Add(-time.Hour), By: "leaf"}
	return inventory.Result{
		Target: t,
		Endpoints: []inventory.Endpoint{{
			Observation: inventory.Observation{
				Target: t.Key(), Address: "192.0.2.7", Location: "local", Offer: inventory.OfferDefault, Time: at,
				Reach: inventory.Reach{Status: inventory.ReachOK}, Chain: [][]byte{[]byte("der")},
			},
			Judgement: inventory.Judgement{
				Certificate: &inventory.Certificate{SHA256: inventory.FingerprintOf([]byte("der")), Subject: "CN=shop.example"},
				Expiry:      expiry, Tier: inventory.TierExpired,
				Findings: []inventory.Finding{{
					Code: inventory.CodeExpired, Severity: inventory.Critical, Message: "expired <script>alert(1)</script>\u202e\u200b\u3164",
					Subject: inventory.Subject{Kind: inventory.SubjectView, ID: view.ID()},
				}},
			},
		}},
		Judgement: inventory.TargetJudgement{Expiry: expiry, Tier: inventory.TierExpired, Verified: &no},
	}
}

// options are those of a server that knows shop and a few targets that were not
// examined yet.
func options() server.Options {
	r := shop()
	x := server.NewIndex(func() time.Time { return at })
	targets := []inventory.Target{
		r.Target, target("api.example", 8443, map[string]string{"owner": "api"}),
		{Host: "mx.example", Port: 25, Protocol: inventory.SMTP, Address: "lb.example"},
	}
	x.Set(targets)
	x.Loaded()
	x.Update([]inventory.Result{r})
	x.Sources([]inventory.SourceStatus{{Name: "core", Kind: "list", Up: true, Targets: 3, LastSuccess: at}, {Name: "lists", Kind: "file", Error: "<i>gone</i>"}})
	x.Own([]inventory.Finding{{Code: inventory.CodeSourceFailed, Severity: inventory.Warning, Subject: inventory.Subject{Kind: inventory.SubjectSource, ID: "lists"}, Message: "source failed"}})
	return server.Options{Listen: []string{"127.0.0.1:0"}, Index: x, Fleet: fleet{r}, Version: "1.2.3"}
}

// start runs a server until the test ends, and returns the address of its first
// listener.
func start(t *testing.T, opt server.Options) net.Addr {
	t.Helper()
	s, err := server.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	if err := s.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s.Addrs()[0]
}

// client is one that keeps no connection, so that servers stop at once.
func client(config *tls.Config) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

func do(t *testing.T, c *http.Client, method, url string, change ...func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(req)
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body), res.Header
}

func get(t *testing.T, url string) (int, string, http.Header) {
	t.Helper()
	return do(t, client(nil), http.MethodGet, url)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	opt := options()
	opt.Index = server.NewIndex(nil)
	opt.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "certscan_up 1\n") })
	url := "http://" + start(t, opt).String()
	for path, want := range map[string]int{
		"/-/healthy": 200, "/-/ready": 503, "/sd": 503, "/api/v1/targets": 503, "/": 200, "/metrics": 200,
		"/probe": 404, "/-/reload": 404, "/debug/pprof/": 404, "/nothing": 404,
	} {
		if got, body, _ := get(t, url+path); got != want {
			t.Errorf("%s: status %d, want %d\n%s", path, got, want, body)
		}
	}
	opt.Index.Loaded()
	if got, body, _ := get(t, url+"/-/ready"); got != 200 {
		t.Errorf("once loaded: %d %s", got, body)
	}
	if got, body, _ := get(t, url+"/sd"); got != 200 || strings.TrimSpace(body) != "[]" {
		t.Errorf("an empty inventory: %d %s, want []", got, body)
	}
}

// Who may reload: who proved who they are, and who only can be on this machine.
func TestReload(t *testing.T) {
	t.Parallel()
	opt := options()
	var mu sync.Mutex
	reloads, problem := 0, error(nil)
	opt.Reload = func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		reloads++
		return problem
	}
	url := "http://" + start(t, opt).String() + "/-/reload"
	header := func(k, v string) func(*http.Request) { return func(r *http.Request) { r.Header.Set(k, v) } }
	for _, tt := range []struct {
		name   string
		method string
		change []func(*http.Request)
		want   int
		text   string
	}{
		{"from this machine", "POST", nil, 200, "reloaded"},
		{"by PUT", "PUT", nil, 200, "reloaded"},
		{"never by GET", "GET", nil, 405, ""},
		{"a page in a browser", "POST", []func(*http.Request){header("Origin", "https://evil.example")}, 403, "another site"},
		{"through a proxy", "POST", []func(*http.Request){header("X-Forwarded-For", "192.0.2.1")}, 403, "through a proxy"},
		{"by a name that was let point here", "POST", []func(*http.Request){func(r *http.Request) { r.Host = "evil.example" }}, 403, "another host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, body, _ := do(t, client(nil), tt.method, url, tt.change...)
			if status != tt.want || !strings.Contains(body, tt.text) {
				t.Errorf("got %d %s, want %d %s", status, body, tt.want, tt.text)
			}
		})
	}
	mu.Lock()
	problem = errors.New("certscan.yaml:3:1: nonsense")
	if reloads != 2 {
		t.Errorf("%d reloads, want 2", reloads)
	}
	mu.Unlock()
	if status, body, _ := do(t, client(nil), "POST", url); status != 500 || !strings.Contains(body, "certscan.yaml:3:1: nonsense") {
		t.Errorf("a bad file: %d %s", status, body)
	}
}

// While the first configuration is being put to work none takes its place.
func TestReloadBeforeItIsLoaded(t *testing.T) {
	t.Parallel()
	opt := options()
	opt.Index = server.NewIndex(nil)
	var early atomic.Bool
	opt.Reload = func(context.Context) error { early.Store(true); return nil }
	url := "http://" + start(t, opt).String() + "/-/reload"
	status, body, header := do(t, client(nil), "POST", url)
	if status != 503 || header.Get("Retry-After") == "" || early.Load() {
		t.Errorf("got %d %s, reloaded: %v, want 503", status, body, early.Load())
	}
	opt.Index.Loaded()
	if status, body, _ := do(t, client(nil), "POST", url); status != 200 {
		t.Errorf("once loaded: %d %s", status, body)
	}
}

// A listener that others can reach, and that asks nobody who they are, changes
// nothing, and says so when it begins.
func TestOpenListener(t *testing.T) {
	t.Parallel()
	opt := options()
	opt.Listen = []string{"0.0.0.0:0"}
	opt.Reload = func(context.Context) error { t.Error("reloaded"); return nil }
	var log bytes.Buffer
	opt.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := server.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "everybody who reaches this address can read the inventory") {
		t.Errorf("no warning: %s", &log)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	_, port, _ := net.SplitHostPort(s.Addrs()[0].String())
	status, body, _ := do(t, client(nil), "POST", "http://127.0.0.1:"+port+"/-/reload", func(r *http.Request) { r.Host = "192.0.2.1" })
	if status != 403 {
		t.Errorf("got %d %s, want 403", status, body)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestUnixSocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "certscan") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "web.sock")
	old, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	opt := options()
	opt.Listen = []string{"unix:" + path}
	s, err := server.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "somebody listens there already") {
		t.Errorf("over another's socket: %v", err)
	}
	old.(*net.UnixListener).SetUnlinkOnClose(false)
	old.Close() // as if killed: the file stays
	start(t, opt)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	if status, body, _ := do(t, c, "GET", "http://certscan/-/healthy"); status != 200 {
		t.Errorf("got %d %s", status, body)
	}
}

// A request that is under way when the end comes is answered.
func TestGrace(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	opt := options()
	opt.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-finish
		fmt.Fprint(w, "done")
	})
	s, err := server.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended, answered := make(chan error, 1), make(chan string, 1)
	go func() { ended <- s.Run(ctx) }()
	go func() {
		_, body, _ := get(t, "http://"+s.Addrs()[0].String()+"/metrics")
		answered <- body
	}()
	<-begun
	stop()
	close(finish)
	if body := <-answered; body != "done" {
		t.Errorf("got %q", body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// pair is a certificate by parent, or by itself, in files.
type pair struct {
	cert      *x509.Certificate
	key       *ecdsa.PrivateKey
	pemFile   string
	keyFile   string
	tls       tls.Certificate
	authority *x509.CertPool
}

func issue(t *testing.T, dir, name string, parent *pair) *pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: parent == nil,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	by, byKey := template, key
	if parent != nil {
		by, byKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), byKey)
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{key: key, pemFile: filepath.Join(dir, name+".pem"), keyFile: filepath.Join(dir, name+".key"), authority: x509.NewCertPool()}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM, keyPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if err := errors.Join(os.WriteFile(p.pemFile, certPEM, 0o600), os.WriteFile(p.keyFile, keyPEM, 0o600)); err != nil {
		t.Fatal(err)
	}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	if p.tls, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	p.authority.AddCert(p.cert)
	return p
}

// Over real TLS: nothing is told to who does not prove who they are, by password
// or by certificate, and who does may reload.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := issue(t, dir, "ca", nil)
	issue(t, dir, "localhost", ca)
	person := issue(t, dir, "prometheus", ca)
	stranger := issue(t, dir, "stranger", nil)
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tlsOnly := "tls_server_config: {cert_file: localhost.pem, key_file: localhost.key"
	opt := options()
	opt.Reload = func(context.Context) error { return nil }
	run := func(config string) string {
		opt := opt
		opt.ConfigFile = config
		return "https://" + start(t, opt).String()
	}
	password := run(write("password.yml", tlsOnly+"}\nbasic_auth_users: {prometheus: "+string(hash)+"}\n"))
	required := run(write("required.yml", tlsOnly+", client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert}\n"))
	encrypted := run(write("encrypted.yml", tlsOnly+"}\n"))

	trusting := client(&tls.Config{RootCAs: ca.authority})
	as := func(p *pair) *http.Client {
		return client(&tls.Config{RootCAs: ca.authority, Certificates: []tls.Certificate{p.tls}})
	}
	basic := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password); r.Header.Set("X-Forwarded-For", "192.0.2.1") }
	}
	for _, tt := range []struct {
		name, method, url string
		client            *http.Client
		change            []func(*http.Request)
		want              int // 0: no connection
	}{
		{"no password", "GET", password + "/api/v1/summary", trusting, nil, 401},
		{"health needs one, too", "GET", password + "/-/healthy", trusting, nil, 401},
		{"a wrong password", "GET", password + "/", trusting, []func(*http.Request){basic("prometheus", "guess")}, 401},
		{"a password", "GET", password + "/api/v1/summary", trusting, []func(*http.Request){basic("prometheus", "secret")}, 200},
		{"reload with a password", "POST", password + "/-/reload", trusting, []func(*http.Request){basic("prometheus", "secret")}, 200},
		{"reload with a wrong one", "POST", password + "/-/reload", trusting, []func(*http.Request){basic("prometheus", "")}, 401},
		{"no certificate", "GET", required + "/sd", trusting, nil, 0},
		{"a stranger's certificate", "GET", required + "/sd", as(stranger), nil, 0},
		{"a certificate", "GET", required + "/sd", as(person), nil, 200},
		{"reload with a certificate", "POST", required + "/-/reload", as(person), []func(*http.Request){basic("", "")}, 200},
		{"reload with TLS alone, through a proxy", "POST", encrypted + "/-/reload", trusting, []func(*http.Request){basic("any", "body")}, 403},
		{"plain HTTP", "GET", strings.Replace(password, "https:", "http:", 1) + "/", trusting, nil, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if status, body, _ := do(t, tt.client, tt.method, tt.url, tt.change...); status != tt.want {
				t.Errorf("got %d %s, want %d", status, body, tt.want)
			}
		})
	}
}

func TestWhatIsWrongWithAWebConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "web.yml")
	if err := os.WriteFile(bad, []byte("basic_auth_users: {a: plain}\nnonsense: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{bad, filepath.Join(dir, "none.yml")} {
		opt := options()
		opt.ConfigFile = path
		if _, err := server.New(opt); err == nil || !strings.Contains(err.Error(), "web configuration") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// The example of the manual is one that works.
func TestExampleOfAWebConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	issue(t, dir, "web", nil)
	text, err := os.ReadFile("../../docs/examples/web.yml")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "web.yml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	opt := options()
	opt.ConfigFile = path
	if status, _, _ := do(t, client(&tls.Config{InsecureSkipVerify: true}), "GET", "https://"+start(t, opt).String()+"/"); status != 401 {
		t.Errorf("status %d, want 401", status)
	}
}

func decode(t *testing.T, body string) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	return v
}
