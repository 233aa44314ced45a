package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/certscan/internal/export"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/lab"
	"example.com/certscan/internal/scan"
	"example.com/certscan/internal/server"
	"example.com/certscan/internal/store"
)

// A logged is a line of the daemon's log.
type logged struct {
	Level, Msg, Target, Code, Subject, Address, Key, Err string
}

// logs collects what a daemon logs as JSON.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed and replaced with each line
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		close(l.more)
	}
	l.more = make(chan struct{})
	return l.text.Write(p)
}

func (l *logs) lines() (list []logged, more <-chan struct{}, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more == nil {
		l.more = make(chan struct{})
	}
	for line := range strings.Lines(l.text.String()) {
		var one logged
		if json.Unmarshal([]byte(line), &one) == nil {
			list = append(list, one)
		}
	}
	return list, l.more, l.text.String()
}

// count is how many lines say something.
func (l *logs) count(says func(logged) bool) int {
	list, _, _ := l.lines()
	return len(list) - len(slices.DeleteFunc(list, says))
}

// A served is a daemon that runs.
type served struct {
	t    *testing.T
	logs logs
	stop context.CancelFunc
	done chan int // its exit status
	base string   // URL
}

func startServe(t *testing.T, config string, env ...string) *served {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &served{t: t, stop: cancel, done: make(chan int, 1)}
	go func() {
		s.done <- run(ctx, []string{"serve", "-c", config, "--log-format", "json"}, streams{
			in: strings.NewReader(""), out: io.Discard, err: &s.logs, env: func(name string) string {
				for _, e := range env {
					if value, ok := strings.CutPrefix(e, name+"="); ok {
						return value
					}
				}
				return ""
			},
		})
	}()
	t.Cleanup(func() {
		cancel()
		if s.done != nil {
			<-s.done
		}
	})
	s.base = "http://" + s.wait("listening", "", "").Address
	s.wait("watching", "", "")
	return s
}

// wait waits until something was logged, and returns it.
func (s *served) wait(msg, target, code string) logged {
	s.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		list, more, text := s.logs.lines()
		for _, l := range list {
			if l.Msg == msg && strings.Contains(l.Target, target) && (code == "" || l.Code == code) {
				return l
			}
		}
		select {
		case <-more:
		case status := <-s.done:
			s.done <- status
			s.t.Fatalf("serve ended with %d before it logged %q: %s", status, msg, text)
		case <-timeout:
			s.t.Fatalf("nothing like %q %s %s was logged in 30 s: %s", msg, target, code, text)
		}
	}
}

// get asks for a page until it says what is wanted.
func (s *served) get(path, want string) string {
	s.t.Helper()
	var text string
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for range 1000 {
		res, err := http.Get(s.base + path)
		if err != nil {
			s.t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			s.t.Fatal(err)
		}
		if text = string(b); strings.Contains(text, want) {
			return text
		}
		<-again.C
	}
	s.t.Fatalf("%s does not say %q:\n%s", path, want, text)
	return ""
}

func (s *served) reload() (status int, answer string) {
	s.t.Helper()
	res, err := http.Post(s.base+"/-/reload", "text/plain", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// end stops the daemon gracefully.
func (s *served) end() {
	s.t.Helper()
	s.stop()
	begun := time.Now()
	status := <-s.done
	s.done = nil
	if took := time.Since(begun); status != exitOK || took > 5*time.Second {
		_, _, text := s.logs.lines()
		s.t.Errorf("serve ended with %d after %v: %s", status, took, text)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestServe runs the daemon against servers whose certificates change and that
// die. It is not parallel, as it looks for goroutines that are left.
func TestServe(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(before); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	ca := issue(t, nil, lab.Spec{CommonName: "Serve Test CA", CA: true})
	leaf := func(name string) lab.Handler {
		return lab.TLS(&tls.Config{Certificates: []tls.Certificate{lab.Chain(issue(t, ca, lab.Spec{Names: []string{name}}))}})
	}
	start := func(h lab.Handler) (*lab.Switch, string) {
		sw := lab.NewSwitch(h)
		addr := netListen(t, func(c net.Conn) { sw.Handle(t.Context(), c) })
		_, port, _ := strings.Cut(addr, ":")
		return sw, "@127.0.0.1:" + port
	}
	shop, at := start(leaf("shop.example"))
	shopTarget := "shop.example" + at
	_, at = start(leaf("other.example"))
	wrongTarget := "wrong.example" + at
	_, at = start(leaf("late.example"))
	lateTarget := "late.example" + at
	const config = `
sources:
  - name: lists
    files: [targets.txt]
    refresh: 1h
scan: {interval: %s, confirm: 200ms, timeout: 1s, offers: default, accepts: false}
trust: {stores: [ca.pem], revocation: "off", profile: private}
web: {listen: "127.0.0.1:0"}
store: {path: certscan.db}
`
	path := filepath.Join(dir, "certscan.yaml")
	writeFiles(t, dir, map[string]string{
		"certscan.yaml": fmt.Sprintf(config, "1s"), "ca.pem": string(ca.PEM()), "targets.txt": shopTarget + "\n" + wrongTarget + "\n",
	})

	s := startServe(t, path)
	s.get("/-/ready", "ready")
	s.get("/metrics", `certscan_endpoint_up{target="`+shopTarget+`",address="127.0.0.1",location="local"} 1`)
	s.wait("finding opened", wrongTarget, "name_mismatch")
	if n := s.logs.count(func(l logged) bool { return strings.Contains(l.Target, shopTarget) }); n != 0 {
		t.Errorf("%d lines about a target that is well", n)
	}

	// Another certificate.
	shop.Set(leaf("shop.example"))
	s.wait("other certificate served", shopTarget, "")

	// A failure is told after three, and ends by itself; the metric tells the first.
	shop.Set(lab.Break)
	s.get("/metrics", `certscan_endpoint_up{target="`+shopTarget+`",address="127.0.0.1",location="local"} 0`)
	s.wait("finding opened", shopTarget, "unreachable")
	metrics := s.get("/metrics", `code="unreachable"`)
	if !strings.Contains(metrics, `certscan_target_expiry_timestamp_seconds{target="`+shopTarget+`"}`) {
		t.Error("a target that does not answer lost its expiry")
	}
	shop.Set(leaf("shop.example"))
	s.wait("finding closed", shopTarget, "unreachable")

	// A reload: another target, and an interval that nothing comes of in this test.
	writeFiles(t, dir, map[string]string{"certscan.yaml": fmt.Sprintf(config, "6h"), "targets.txt": shopTarget + "\n" + wrongTarget + "\n" + lateTarget + "\n"})
	if status, answer := s.reload(); status != http.StatusOK {
		t.Fatalf("reload: %d %s", status, answer)
	}
	s.get("/metrics", `certscan_endpoint_up{target="`+lateTarget+`",address="127.0.0.1",location="local"} 1`)
	writeFiles(t, dir, map[string]string{"certscan.yaml": "sources: 7\nnonsense: true\n"})
	if status, answer := s.reload(); status == http.StatusOK {
		t.Errorf("a bad configuration was taken: %s", answer)
	}
	s.get("/metrics", "certscan_config_last_reload_successful 0")
	writeFiles(t, dir, map[string]string{"certscan.yaml": fmt.Sprintf(config, "6h")})

	// Nobody else may write to the history meanwhile.
	if got := certscan(t, t.Context(), dir, "", "scan", "--db", "DIR/certscan.db", shopTarget); got.status != exitError || !strings.Contains(got.errors, "in use") {
		t.Errorf("scan beside serve: exit status %d: %s", got.status, got.errors)
	}
	s.end()

	// A restart tells nothing anew and examines nothing that is not due.
	s = startServe(t, path)
	s.get("/metrics", `certscan_target_finding{target="`+wrongTarget+`",code="name_mismatch",rule="",severity="critical"} 1`)
	s.get("/api/v1/targets", wrongTarget)
	s.end()
	if n := s.logs.count(func(l logged) bool { return strings.HasPrefix(l.Msg, "finding") }); n != 0 {
		_, _, text := s.logs.lines()
		t.Errorf("%d findings were told anew: %s", n, text)
	}

	// A target that is taken out is gone from the metrics, and its history is not.
	writeFiles(t, dir, map[string]string{"targets.txt": shopTarget + "\n"})
	s = startServe(t, path)
	if text := s.get("/metrics", shopTarget); strings.Contains(text, wrongTarget) {
		t.Error("a target that nobody names is in the metrics")
	}
	s.end()
	if got := certscan(t, t.Context(), dir, "", "history", "--db", "DIR/certscan.db", wrongTarget); got.status != exitOK {
		t.Errorf("history: exit status %d: %s", got.status, got.errors)
	}
	if got := certscan(t, t.Context(), dir, "", "findings", "--db", "DIR/certscan.db", "--since", "1h", "--format", "jsonl"); strings.Count(got.out, `"unreachable"`) != 1 || strings.Count(got.out, `"name_mismatch"`) != 1 {
		t.Errorf("findings, want each once: %s", got.out)
	}
	if got := certscan(t, t.Context(), dir, "", "db", "check", "--db", "DIR/certscan.db"); got.status != exitOK {
		t.Errorf("db check: %s%s", got.out, got.errors)
	}
}

// issue issues a certificate that is valid for the next 80 days.
func issue(t *testing.T, issuer *lab.Certificate, spec lab.Spec) *lab.Certificate {
	t.Helper()
	spec.NotBefore, spec.NotAfter = time.Now().Add(-10*24*time.Hour), time.Now().Add(80*24*time.Hour)
	c, err := lab.Issue(issuer, spec)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestServeRefusesAWrongStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{
		"empty.yaml": "scan: {interval: 1h}\n", "wrong.yaml": "sources: 7\nnonsense: true\n",
		"roots.yaml": "sources: [{name: a, targets: [a.example]}]\ntrust: {stores: [none.pem]}\nstore: {path: x.db}\n",
		"list.db":    "domain,port\n", "other.yaml": "sources: [{name: a, targets: [a.example]}]\nstore: {path: list.db}\n",
	})
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"without a configuration", []string{"serve"}, exitUsage, "-c FILE"},
		{"a file that is not there", []string{"serve", "-c", "DIR/none.yaml"}, exitUsage, "none.yaml"},
		{"nothing to watch", []string{"serve", "-c", "DIR/empty.yaml"}, exitUsage, "nothing to watch"},
		{"all mistakes at once", []string{"serve", "-c", "DIR/wrong.yaml"}, exitUsage, "nonsense"},
		{"a store that is not there", []string{"serve", "-c", "DIR/roots.yaml"}, exitUsage, "none.pem"},
		{"a history that is none", []string{"serve", "-c", "DIR/other.yaml"}, exitError, "list.db\": open: not a SQLite database; store.path can name another file\n"},
		{"a format of logs", []string{"serve", "-c", "DIR/roots.yaml", "--log-format", "xml"}, exitUsage, "text or json"},
		{"a level of logs", []string{"serve", "-c", "DIR/roots.yaml", "--log-level", "loud"}, exitUsage, "debug"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := certscan(t, t.Context(), dir, "", slices.Clone(tt.args)...)
			if got.status != tt.status || !strings.Contains(got.errors, tt.want) || got.out != "" {
				t.Errorf("exit status %d, want %d and %q: %s%s", got.status, tt.status, tt.want, got.errors, got.out)
			}
		})
	}
}

func TestServeWithoutAHome(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFiles(t, dir, map[string]string{"certscan.yaml": "sources: [{name: a, targets: [a.example]}]\n"})
	var out, errs bytes.Buffer
	status := run(t.Context(), []string{"serve", "-c", filepath.Join(dir, "certscan.yaml")}, streams{out: &out, err: &errs, env: func(string) string { return "" }})
	if want := "certscan: store.path: no home directory to keep history in\n"; status != exitUsage || !strings.HasPrefix(errs.String(), want) {
		t.Errorf("exit status %d, %q, want %d and %q", status, errs.String(), exitUsage, want)
	}
}

// TestServeExpiresOnTime: a certificate expires while nobody can look at it. It
// is not parallel, as the certificate lives for seconds.
func TestServeExpiresOnTime(t *testing.T) {
	dir := t.TempDir()
	ca := issue(t, nil, lab.Spec{CommonName: "Serve Test CA", CA: true})
	ends := time.Now().Add(4 * time.Second).Truncate(time.Second)
	c, err := lab.Issue(ca, lab.Spec{Names: []string{"shop.example"}, NotBefore: ends.Add(-time.Hour), NotAfter: ends})
	if err != nil {
		t.Fatal(err)
	}
	sw := lab.NewSwitch(lab.TLS(&tls.Config{Certificates: []tls.Certificate{lab.Chain(c)}}))
	addr := netListen(t, func(c net.Conn) { sw.Handle(t.Context(), c) })
	_, port, _ := strings.Cut(addr, ":")
	target := "shop.example@127.0.0.1:" + port
	socket := filepath.Join(dir, "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	heard := make(chan []string, 1)
	go func() {
		var told []string
		buf := make([]byte, 100)
		for !slices.Contains(told, notifyStopping) {
			n, err := systemd.Read(buf)
			if err != nil {
				break
			}
			told = append(told, string(buf[:n]))
		}
		heard <- told
	}()
	writeFiles(t, dir, map[string]string{
		"ca.pem": string(ca.PEM()),
		"certscan.yaml": "sources: [{name: a, targets: ['" + target + `']}]
scan: {interval: 1h, confirm: 1h, offers: default, accepts: false}
trust: {stores: [ca.pem], revocation: "off", profile: private}
web: {listen: "127.0.0.1:0"}
store: {path: certscan.db}
`,
	})
	s := startServe(t, filepath.Join(dir, "certscan.yaml"), "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=100000")
	s.get("/metrics", `certscan_target_expiry_timestamp_seconds{target="`+target+`"}`)
	sw.Set(lab.Break)
	s.wait("finding opened", target, "expired")
	if early := time.Until(ends); early > 0 {
		t.Errorf("it was told %v before", early)
	} else if early < -3*time.Second {
		t.Errorf("it was told %v late", -early)
	}
	s.end()
	told := <-heard
	if len(told) == 0 || told[0] != notifyReady || !slices.Contains(told, notifyAlive) {
		t.Errorf("systemd was told %q", told)
	}
}

// A renewal is seen by the default offer first. The others are asked soon, and
// until then nothing is made of what they were answered before.
func TestOtherOffersAtARenewal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := issue(t, nil, lab.Spec{CommonName: "Serve Test CA", CA: true})
	leaf := func() (lab.Handler, string) {
		c := lab.Chain(issue(t, ca, lab.Spec{Names: []string{"shop.example"}}))
		return lab.TLS(&tls.Config{Certificates: []tls.Certificate{c}}), inventory.FingerprintOf(c.Certificate[0]).String()
	}
	h, _ := leaf()
	sw := lab.NewSwitch(h)
	_, port, _ := strings.Cut(netListen(t, func(c net.Conn) { sw.Handle(t.Context(), c) }), ":")
	target := "shop.example@127.0.0.1:" + port
	writeFiles(t, dir, map[string]string{
		"ca.pem": string(ca.PEM()),
		"certscan.yaml": "sources: [{name: a, targets: ['" + target + `']}]
scan: {interval: 1s, confirm: 200ms, offers: all, accepts: false}
trust: {stores: [ca.pem], revocation: "off", profile: private}
web: {listen: "127.0.0.1:0"}
store: {path: certscan.db}
`,
	})
	for _, offers := range []string{"all", "default", "all"} {
		got := certscan(t, t.Context(), dir, "", "scan", "--roots", "DIR/ca.pem", "--profile", "private", "--revocation", "off", "--db", "DIR/certscan.db", "--offers", offers, target)
		if got.status != exitOK {
			t.Fatalf("scan with offers %s: exit status %d: %s%s", offers, got.status, got.out, got.errors)
		}
		if offers == "all" {
			h, _ = leaf()
			sw.Set(h)
		}
	}
	s := startServe(t, filepath.Join(dir, "certscan.yaml"))
	s.wait("other certificate served", target, "") // than the last scan saw
	h, renewed := leaf()
	sw.Set(h)
	s.get("/metrics", `offer="no_sni",fingerprint="`+renewed+`"`)
	s.end()
	got := certscan(t, t.Context(), dir, "", "findings", "--db", "DIR/certscan.db", "--since", "1h", "--format", "jsonl")
	if got.status != exitOK || strings.Contains(got.out, string(inventory.CodeDefaultCertificateDiffers)) {
		t.Errorf("findings: exit status %d: %s%s", got.status, got.out, got.errors)
	}
}

// What the history knows is in the metrics before anything is examined.
func TestServeKnowsRetiredViews(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, port, _ := strings.Cut(netListen(t, func(c net.Conn) { c.Close() }), ":")
	target := "shop.example:" + port
	for _, address := range []string{"127.0.0.2", "127.0.0.1", "127.0.0.1", "127.0.0.1"} {
		got := certscan(t, t.Context(), dir, "", "scan", "--resolve", "shop.example="+address, "--fail-on", "never", "--revocation", "off", "--db", "DIR/certscan.db", target)
		if got.status != exitOK {
			t.Fatalf("scan: exit status %d: %s%s", got.status, got.out, got.errors)
		}
	}
	writeFiles(t, dir, map[string]string{"certscan.yaml": "sources: [{name: a, targets: ['" + target + `']}]
scan: {interval: 100h, confirm: 24h, resolve: {shop.example: [127.0.0.1]}}
trust: {revocation: "off"}
web: {listen: "127.0.0.1:0"}
store: {path: certscan.db}
`})
	s := startServe(t, filepath.Join(dir, "certscan.yaml"))
	s.get("/metrics", `certscan_target_retired{target="`+target+`"} 1`)
	s.end()
}

func TestHabits(t *testing.T) {
	t.Parallel()
	const d = 24 * time.Hour
	target := inventory.Target{Host: "shop.example", Port: 443, Protocol: inventory.TLS}
	at := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	var h habits
	expires := fixedJudge{inventory.TargetJudgement{Expiry: &inventory.Expiry{At: at}, Lifetime: 90 * d}}
	overdue := func(left time.Duration) bool {
		out := habitJudge{expires, &h}.JudgeTarget(target, nil, at.Add(-left))
		return len(out.Findings) == 1 && out.Findings[0].Code == inventory.CodeRenewalOverdue
	}
	if overdue(d) {
		t.Error("overdue, and nothing is known of renewals")
	}
	h.learn(map[string][]inventory.Renewal{target.Key(): {{Left: 30 * d, Lifetime: 90 * d}, {Left: 32 * d, Lifetime: 90 * d}}})
	for left, want := range map[time.Duration]bool{40 * d: false, 23 * d: false, 22 * d: true, d: true, -d: false} {
		if got := overdue(left); got != want {
			t.Errorf("overdue with %v left: %v, want %v", left, got, want)
		}
	}
	h.forget([]string{target.Key()})
	if overdue(d) {
		t.Error("overdue by what was forgotten")
	}
}

// testLedger is a ledger over an empty store, with what it exports to.
func testLedger(t *testing.T) (*ledger, *export.Exporter) {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "certscan.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	e, err := export.New(export.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{
		db: db, judge: new(liveJudge), confirm: scan.NewConfirm(scan.ConfirmOptions{}), rejudge: scan.NewRejudge(),
		export: display{e, server.NewIndex(nil)}, log: slog.New(slog.DiscardHandler), judging: make(map[string]bool), soon: func(string) {},
	}
	l.judge.bench.Store(new(bench))
	return l, e
}

// What is removed while it is examined does not come back.
func TestLedgerLeavesOutWhatIsRemoved(t *testing.T) {
	t.Parallel()
	l, _ := testLedger(t)
	l.watched = func(target string) bool { return target == "here.example:443" }
	var results []inventory.Result
	for _, host := range []string{"gone.example", "here.example"} {
		target := inventory.Target{Host: host, Port: 443, Protocol: inventory.TLS}
		results = append(results, inventory.Result{Target: target, Endpoints: []inventory.Endpoint{{Observation: inventory.Observation{
			Target: target.Key(), Address: "192.0.2.7", Location: "local", Offer: inventory.OfferDefault, Time: now(), Reach: inventory.Reach{Status: inventory.ReachTimeout},
		}}}})
	}
	if err := l.Record(t.Context(), results); err != nil {
		t.Fatal(err)
	}
	var kept []string
	for target, err := range l.db.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, target.Key())
	}
	if !slices.Equal(kept, []string{"here.example:443"}) {
		t.Errorf("kept %v, want what is watched alone", kept)
	}
}

// fixedJudge says the same of every target.
type fixedJudge struct{ out inventory.TargetJudgement }

func (fixedJudge) Judge(inventory.Facts, inventory.EvidenceSet, time.Time) (inventory.Judgement, []inventory.Need) {
	return inventory.Judgement{}, nil
}

func (f fixedJudge) JudgeTarget(inventory.Target, []inventory.Endpoint, time.Time) inventory.TargetJudgement {
	return f.out
}
