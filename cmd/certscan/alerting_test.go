package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"example.com/certscan/internal/lab"
)

// certificates of these tests live minutes: 14 days of 90 are six of them, and
// the next tier is three minutes away, which is longer than the test takes.
const (
	shortLife   = 40 * time.Minute
	warningTier = shortLife * 14 / 90
)

// A lively fleet is servers whose certificates can be renewed.
type lively struct {
	t       *testing.T
	ca      *lab.Certificate
	servers map[string]*lab.Switch // by target
}

func newLively(t *testing.T) *lively {
	t.Helper()
	ca, err := lab.Issue(nil, lab.Spec{
		CA: true, CommonName: "Alerting", NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		Template: func(c *x509.Certificate) { c.ExtKeyUsage, c.Policies = nil, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return &lively{t, ca, make(map[string]*lab.Switch)}
}

// issue makes a certificate for name that ends at a time.
func (l *lively) issue(name string, end time.Time, addresses ...netip.Addr) *lab.Certificate {
	l.t.Helper()
	c, err := lab.Issue(l.ca, lab.Spec{Names: []string{name}, Addresses: addresses, NotBefore: end.Add(-shortLife), NotAfter: end})
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

func (l *lively) handler(target string, end time.Time) lab.Handler {
	l.t.Helper()
	name, _, _ := strings.Cut(target, ":")
	chain := lab.Chain(l.issue(name, end), l.ca)
	return lab.TLS(&tls.Config{Certificates: []tls.Certificate{chain}})
}

// serve starts a server for name on loopback.
func (l *lively) serve(name string, end time.Time) (target string) {
	l.t.Helper()
	s := new(lab.Switch)
	addr := netListen(l.t, func(conn net.Conn) { s.Handle(l.t.Context(), conn) })
	target = name + ":" + strings.TrimPrefix(addr, "127.0.0.1:")
	s.Set(l.handler(target, end)) // nobody knows the port yet
	l.servers[target] = s
	return target
}

// renew gives a target a new certificate.
func (l *lively) renew(target string) {
	l.t.Helper()
	l.servers[target].Set(l.handler(target, time.Now().Add(shortLife-time.Second)))
}

const scrapePassword = "only for this test"

// write writes the configuration of a daemon that watches the fleet and is
// scraped over TLS with a password, and all that it needs.
func (l *lively) write(dir, listen string) {
	l.t.Helper()
	host := l.issue("certscan.example.com", time.Now().Add(shortLife), netip.MustParseAddr("127.0.0.1"))
	key, err := x509.MarshalPKCS8PrivateKey(host.Key)
	if err != nil {
		l.t.Fatal(err)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(scrapePassword), bcrypt.MinCost)
	if err != nil {
		l.t.Fatal(err)
	}
	var resolve []string
	for _, target := range slices.Sorted(maps.Keys(l.servers)) {
		name, _, _ := strings.Cut(target, ":")
		resolve = append(resolve, name+": 127.0.0.1")
	}
	writeFiles(l.t, dir, map[string]string{
		"roots.pem": string(l.ca.PEM()),
		"web.pem":   string(host.PEM()),
		"web.key":   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"web.yml":   "tls_server_config: {cert_file: web.pem, key_file: web.key}\nbasic_auth_users: {prometheus: " + strconv.Quote(string(hash)) + "}\n",
		"certscan.yaml": `
sources:
  - name: lab
    targets: [` + strings.Join(slices.Sorted(maps.Keys(l.servers)), ", ") + `]
    labels: {owner: web, environment: prod}
scan: {interval: 3s, timeout: 3s, confirm: 500ms, resolve: {` + strings.Join(resolve, ", ") + `}}
trust: {stores: [roots.pem], revocation: off}
web: {listen: "` + listen + `", config_file: web.yml}
store: {path: certscan.db}
`,
	})
}

// A watcher is the daemon as a process.
type watcher struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
}

// start runs the daemon. What it says is added to a file.
func (w *watcher) start() {
	w.t.Helper()
	log, err := os.OpenFile(filepath.Join(w.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	w.cmd = process(w.t, "serve", "-c", filepath.Join(w.dir, "certscan.yaml"))
	w.cmd.Stderr = log
	if err := w.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
}

// stop ends the daemon as systemd does.
func (w *watcher) stop() {
	w.t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		w.t.Fatal(err)
	}
	if err := w.cmd.Wait(); err != nil {
		w.t.Errorf("serve ended with %v after SIGTERM, want exit status 0", err)
	}
}

// freePort is an address on loopback that nobody listened on just now.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// scaledRules are the rules as certscan prints them, but that somebody is told
// after four seconds without certscan and not a quarter of an hour, and that
// what was recorded is held after a minute and not ten: the test has to do with
// the hour for which values are good.
func scaledRules(t *testing.T) string {
	t.Helper()
	got := certscan(t, t.Context(), t.TempDir(), "", "rules", "--runbook-base", "https://wiki.example.com/runbooks")
	if got.status != exitOK {
		t.Fatalf("rules: exit status %d: %s", got.status, got.errors)
	}
	for old, scaled := range map[string]string{" for: 15m\n": " for: 4s\n", "[20m] offset 10m": "[1m]"} {
		if !strings.Contains(got.out, old) {
			t.Fatalf("no rule has %q:\n%s", old, got.out)
		}
		got.out = strings.ReplaceAll(got.out, old, scaled)
	}
	return got.out
}

// An alerting chain is certscan, Prometheus, Alertmanager and a receiver.
type alerting struct {
	t          *testing.T
	fleet      *lively
	watcher    watcher
	listen     string // address of certscan
	prometheus string // address
	messages   chan notification
}

// A notification is what Alertmanager posts to a webhook.
type notification struct {
	Status      string
	GroupLabels map[string]string
	Alerts      []struct {
		Status              string
		Labels, Annotations map[string]string
	}
}

// String is one line: what is told of which targets.
func (n notification) String() string {
	var alerts []string
	for _, a := range n.Alerts {
		alerts = append(alerts, strings.TrimSpace(fmt.Sprintf("%s %s %s", a.Status, a.Labels["tier"], a.Labels["target"])))
	}
	slices.Sort(alerts)
	return n.GroupLabels["alertname"] + ": " + strings.Join(alerts, ", ")
}

func startAlerting(t *testing.T, fleet *lively) *alerting {
	t.Helper()
	a := &alerting{t: t, fleet: fleet, messages: make(chan notification, 100)}
	a.watcher = watcher{t: t, dir: t.TempDir()}
	a.listen = freePort(t)
	fleet.write(a.watcher.dir, a.listen)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var n notification
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			t.Errorf("a message that is no JSON: %v", err)
		}
		a.messages <- n
	}))
	t.Cleanup(receiver.Close)
	manager := startAlertmanager(t, receiver.URL)
	a.prometheus = startPrometheus(t, a.listen, manager, a.watcher.dir)
	a.watcher.start()
	return a
}

// next is the next message that arrives.
func (a *alerting) next() notification {
	a.t.Helper()
	select {
	case n := <-a.messages:
		return n
	case <-time.After(60 * time.Second):
		a.t.Fatalf("nothing was told for a minute; certscan said:\n%s", readFile(a.t, filepath.Join(a.watcher.dir, "log")))
	}
	return notification{}
}

// none demands that nothing was told.
func (a *alerting) none(when string) {
	a.t.Helper()
	select {
	case n := <-a.messages:
		a.t.Errorf("%s it was told: %s", when, n)
	default:
	}
}

// evaluated waits until all rules were evaluated n times from now on.
func (a *alerting) evaluated(n int) {
	a.t.Helper()
	for range n {
		now := time.Now()
		eventually(a.t, "all rules are evaluated", func(ctx context.Context) bool {
			var answer struct {
				Data struct {
					Groups []struct{ LastEvaluation time.Time }
				}
			}
			ask(ctx, a.t, "http://"+a.prometheus+"/api/v1/rules", &answer)
			old := 0
			for _, g := range answer.Data.Groups {
				if g.LastEvaluation.Before(now) {
					old++
				}
			}
			return len(answer.Data.Groups) > 0 && old == 0
		})
	}
}

// scraped waits until Prometheus has a value for certscan's up.
func (a *alerting) scraped(want string) {
	a.t.Helper()
	eventually(a.t, "up is "+want, func(ctx context.Context) bool {
		var answer struct {
			Data struct {
				Result []struct{ Value []any }
			}
		}
		ask(ctx, a.t, "http://"+a.prometheus+"/api/v1/query?query=up", &answer)
		r := answer.Data.Result
		return len(r) == 1 && len(r[0].Value) == 2 && r[0].Value[1] == want
	})
}

// refusesStrangers demands that nobody is served without the password.
func (a *alerting) refusesStrangers() {
	a.t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.fleet.ca.PEM())
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	res, err := client.Get("https://" + a.listen + "/metrics")
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		a.t.Errorf("without a password: %s, want that it is refused", res.Status)
	}
}

// TestAlertsArrive is the whole way, with everything real: two certificates run
// into a tier, certscan is restarted, is down for a while and comes back, and
// they are renewed. Their owner is told once that they expire, and once that it
// is over; that certscan was down is the only other thing that is told.
func TestAlertsArrive(t *testing.T) {
	t.Parallel()
	fleet := newLively(t)
	enter := time.Now().Add(12 * time.Second)
	shop, pay := fleet.serve("shop.example.com", enter.Add(warningTier)), fleet.serve("pay.example.com", enter.Add(warningTier))
	fleet.serve("www.example.com", time.Now().Add(shortLife-time.Second))
	a := startAlerting(t, fleet)

	n := a.next()
	if early := time.Until(enter); early > 0 {
		t.Errorf("%v was told %v before the tier was entered", n, early)
	}
	both := fmt.Sprintf("CertificateExpiring: firing 14d %s, firing 14d %s", pay, shop)
	if n.String() != both {
		t.Fatalf("first it was told %q, want %q", n, both)
	}
	for _, alert := range n.Alerts {
		for name, want := range map[string]string{"owner": "web", "environment": "prod", "severity": "warning", "tier": "14d"} {
			if got := alert.Labels[name]; got != want {
				t.Errorf("%s: label %s is %q, want %q", alert.Labels["target"], name, got, want)
			}
		}
		if got, want := alert.Annotations["runbook_url"], "https://wiki.example.com/runbooks/CertificateExpiring.md"; got != want {
			t.Errorf("runbook %q, want %q", got, want)
		}
	}

	a.refusesStrangers()
	a.watcher.stop()
	a.watcher.start()
	a.scraped("1")
	a.evaluated(3)
	a.none("after a restart")

	a.watcher.stop()
	if n, want := a.next(), "CertscanDown: firing"; n.String() != want {
		t.Errorf("while certscan is down it was told %q, want %q", n, want)
	}
	a.evaluated(3)
	a.none("after that")
	a.watcher.start()
	if n, want := a.next(), "CertscanDown: resolved"; n.String() != want {
		t.Errorf("when certscan was back it was told %q, want %q", n, want)
	}
	a.evaluated(3)
	a.none("after that")

	fleet.renew(shop)
	fleet.renew(pay)
	over := map[string]bool{}
	for len(over) < 2 {
		n := a.next()
		for _, alert := range n.Alerts {
			target := alert.Labels["target"]
			if alert.Labels["alertname"] != "CertificateExpiring" || over[target] && alert.Status != "resolved" {
				t.Errorf("after the renewal it was told %q", n)
			}
			if alert.Status == "resolved" {
				over[target] = true
			}
		}
	}
	a.evaluated(3)
	a.none("after all was over")
	a.watcher.stop()
}
