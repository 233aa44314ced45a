package server_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"example.com/certscan/internal/promtest"
)

// A real Prometheus takes the inventory from /sd, over TLS and with a password,
// and relabels it for another exporter as docs/api.md says.
func TestPrometheusDiscovers(t *testing.T) {
	t.Parallel()
	promtest.Find(t, "prometheus")
	dir := t.TempDir()
	ca := issue(t, dir, "ca", nil)
	issue(t, dir, "localhost", ca)
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
	opt := options()
	opt.ConfigFile = write("web.yml", "tls_server_config: {cert_file: localhost.pem, key_file: localhost.key}\nbasic_auth_users: {prometheus: "+string(hash)+"}\n")
	addr := start(t, opt)
	write("prometheus.yml", `
scrape_configs:
- job_name: blackbox
  metrics_path: /probe
  scrape_interval: 1h
  http_sd_configs:
  - url: https://`+addr.String()+`/sd?protocol=tls
    basic_auth: {username: prometheus, password: secret}
    tls_config: {ca_file: ca.pem}
    refresh_interval: 1s
  relabel_configs:
  - {source_labels: [__meta_certscan_target], target_label: __param_target}
  - {source_labels: [__param_target], target_label: instance}
  - {source_labels: [__meta_certscan_label_owner], target_label: owner}
  - {replacement: '127.0.0.1:1', target_label: __address__}
`)
	api := "http://" + promtest.Prometheus(t, dir) + "/api/v1/targets?state=active"
	type found struct{ Instance, Owner, Job string }
	want := []found{{"api.example:8443", "api", "blackbox"}, {"shop.example:443", "web", "blackbox"}}
	var got []found
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); !slices.Equal(got, want) && time.Now().Before(deadline); <-tick.C {
		var doc struct {
			Data struct {
				ActiveTargets []struct{ Labels map[string]string }
			}
		}
		if status, body, _ := do(t, client(nil), http.MethodGet, api); status == http.StatusOK {
			if err := json.Unmarshal([]byte(body), &doc); err != nil {
				t.Fatal(err)
			}
		}
		got = nil
		for _, a := range doc.Data.ActiveTargets {
			got = append(got, found{a.Labels["instance"], a.Labels["owner"], a.Labels["job"]})
		}
		slices.SortFunc(got, func(a, b found) int { return cmp.Compare(a.Instance, b.Instance) })
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +discovered)\n%s", diff)
	}
}
