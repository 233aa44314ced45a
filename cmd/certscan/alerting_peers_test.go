package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/certscan/alerts"
)

// findPeer returns a program of one of the Debian packages that alerts/packages.txt
// names and .ci/run installs. Without it a test is left out, or fails where
// CERTSCAN_PEERS=require is in the environment.
func findPeer(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	why := "no " + program + " here: apt-get install " + program
	if os.Getenv("CERTSCAN_PEERS") == "require" {
		t.Fatalf("%s (CERTSCAN_PEERS=require)", why)
	}
	t.Skipf("left out: %s", why)
	return ""
}

// startPrometheus scrapes certscan every second, over TLS and with a password,
// and evaluates the rules as often. It returns its address.
func startPrometheus(t *testing.T, scraped, alertmanager, configs string) string {
	t.Helper()
	path, dir := findPeer(t, "prometheus"), t.TempDir()
	writeFiles(t, dir, map[string]string{
		"certscan.rules.yml": scaledRules(t),
		"prometheus.yml": `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [certscan.rules.yml]
scrape_configs:
- job_name: certscan
  scheme: https
  tls_config: {ca_file: ` + filepath.Join(configs, "roots.pem") + `}
  basic_auth: {username: prometheus, password: ` + scrapePassword + `}
  static_configs: [{targets: ['` + scraped + `']}]
alerting:
  alertmanagers:
  - static_configs: [{targets: ['` + alertmanager + `']}]
`,
	})
	return background(t, exec.CommandContext(t.Context(), path, "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0"), dir)
}

// startAlertmanager groups by owner, waits for moments, keeps what is only
// information from the receiver at url, and inhibits as the example does. It
// returns its address.
func startAlertmanager(t *testing.T, url string) string {
	t.Helper()
	path, dir := findPeer(t, "prometheus-alertmanager"), t.TempDir()
	example, err := alerts.Files.ReadFile("alertmanager.example.yml")
	if err != nil {
		t.Fatal(err)
	}
	inhibit := regexp.MustCompile(`(?s)\ninhibit_rules:\n.*?\n\n`).Find(example)
	if inhibit == nil {
		t.Fatal("the example has no inhibit_rules")
	}
	writeFiles(t, dir, map[string]string{"alertmanager.yml": string(inhibit) + `
route:
  receiver: team
  group_by: [alertname, owner, environment]
  group_wait: 2s
  group_interval: 1s
  repeat_interval: 24h
  routes:
  - matchers: [severity="info"]
    receiver: nobody
receivers:
- name: nobody
- name: team
  webhook_configs: [{url: '` + url + `', send_resolved: true}]
`})
	return background(t, exec.CommandContext(t.Context(), path, "--config.file=alertmanager.yml", "--storage.path="+filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:0", "--cluster.listen-address="), dir)
}

// background starts a server of the Prometheus family and returns the address
// that it listens on. It ends with the test.
func background(t *testing.T, cmd *exec.Cmd, dir string) string {
	t.Helper()
	cmd.Dir = dir
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, done := make(chan string, 1), make(chan struct{})
	var said bytes.Buffer // owned by the goroutine until done is closed
	go func() {
		defer close(done)
		listening := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			said.WriteString(lines.Text() + "\n")
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
		_, _ = io.Copy(io.Discard, log) // after a line too long for the scanner
	}()
	t.Cleanup(func() {
		<-done
		_ = cmd.Wait() // ended by the context
		if t.Failed() {
			lines := strings.SplitAfter(said.String(), "\n")
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), strings.Join(lines[max(0, len(lines)-30):], ""))
		}
	})
	select {
	case a := <-address:
		return a
	case <-done:
		t.Fatalf("%s ended:\n%s", cmd.Path, said.String())
	case <-time.After(60 * time.Second):
		t.Fatalf("%s does not listen", cmd.Path)
	}
	return ""
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func(context.Context) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !is(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after a minute it was not so that %s", what)
		}
	}
}

// ask reads JSON, or leaves answer as it is while there is none.
func ask(ctx context.Context, t *testing.T, url string, answer any) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer res.Body.Close()
	_ = json.NewDecoder(res.Body).Decode(answer)
}
