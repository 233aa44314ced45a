package config_test

import (
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/certscan/internal/config"
	"example.com/certscan/internal/inventory"
)

// No labels are not the default ones.
func TestNoMetricLabels(t *testing.T) {
	t.Parallel()
	c, err := config.Read("certscan.yaml", strings.NewReader("metrics: {labels: []}\n"), parsers())
	if err != nil || c.Metrics.Labels == nil || len(c.Metrics.Labels) > 0 {
		t.Errorf("Read: labels %#v, error %v; want an empty list, as nil is the default", c.Metrics.Labels, err)
	}
}

// Labels that stand in the configuration are called as those of lists are.
func TestLabels(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]map[string]string{
		"{env: test, Owner: web, PLATFORM: k8s}":          {"environment": "test", "owner": "web", "platform": "k8s"},
		"{Team: ops, Cost Center: 7}":                     {"owner": "ops", "Cost Center": "7"},
		"{Owner: web, Team: ops, env: a, Environment: b}": {"owner": "web", "team": "ops", "env": "a", "environment": "b"},
	} {
		text := "sources: [{name: a, targets: [{target: a, labels: " + written + "}], labels: " + written + "}]\n"
		c, err := config.Read("certscan.yaml", strings.NewReader(text), parsers())
		if err != nil {
			t.Errorf("%s: %v", written, err)
			continue
		}
		for _, got := range []map[string]string{c.Sources[0].Labels, c.Sources[0].Targets[0].Labels} {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got)\n%s", written, diff)
			}
		}
		roundTrip(t, c)
	}
}

// Labels have the names that lists give them, whatever metrics make of these.
func TestMetricLabels(t *testing.T) {
	t.Parallel()
	c, err := config.Read("certscan.yaml", strings.NewReader("metrics: {labels: [cost-center, Cost Unit, 7up, größe]}\n"), parsers())
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"cost-center", "Cost Unit", "7up", "größe"}; !slices.Equal(c.Metrics.Labels, want) {
		t.Errorf("labels %q, want %q", c.Metrics.Labels, want)
	}
	roundTrip(t, c)
}

// A short interval shortens what nobody chose.
func TestShortInterval(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]time.Duration{
		"{interval: 5s}":                              {5 * time.Second, 5 * time.Second},
		"{interval: 30s, timeout: 3s}":                {3 * time.Second, 30 * time.Second},
		"{interval: 30s, confirm: 1s}":                {10 * time.Second, time.Second},
		"{timeout: 3s, confirm: 500ms, interval: 2h}": {3 * time.Second, 500 * time.Millisecond},
		"{interval: 2h}":                              {10 * time.Second, time.Minute},
	} {
		c, err := config.Read("certscan.yaml", strings.NewReader("scan: "+text+"\n"), parsers())
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := [2]time.Duration{c.Scan.Timeout, c.Scan.Confirm}; got != want {
			t.Errorf("%s: timeout and confirm %v, want %v", text, got, want)
		}
	}
}

// parsers know as much of targets, networks and servers as these tests need.
func parsers() config.Parsers {
	return config.Parsers{
		Target: func(s string, without inventory.Protocol) (inventory.Target, error) {
			t := inventory.Target{Protocol: without}
			if proto, rest, ok := strings.Cut(s, "://"); ok {
				t.Protocol, s = inventory.Protocol(proto), rest
			}
			t.Port = t.Protocol.DefaultPort()
			if host, port, ok := strings.Cut(s, ":"); ok {
				n, err := strconv.ParseUint(port, 10, 16)
				if err != nil {
					return inventory.Target{}, errors.New("bad port")
				}
				t.Port, s = uint16(n), host
			}
			t.Host, t.Address, _ = strings.Cut(s, "@")
			if strings.ContainsAny(t.Host, " []") || t.Host == "" {
				return inventory.Target{}, errors.New("bad target")
			}
			return t, nil
		},
		Fetch: func(s string) error {
			if strings.Contains(s, "://") {
				return errors.New("bad network")
			}
			return nil
		},
		DNS: func(s string) error {
			if _, err := netip.ParseAddrPort(s); err != nil {
				_, err = netip.ParseAddr(s)
				return err
			}
			return nil
		},
	}
}

const example = "../../docs/examples/certscan.yaml"

func load(t *testing.T, path string) *config.Config {
	t.Helper()
	cfg, err := config.Load(path, parsers())
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// The annotated example is read by the program, and mentions every key.
func TestDaemonExample(t *testing.T) {
	t.Parallel()
	cfg := load(t, example)
	dir, err := filepath.Abs(filepath.Dir(example))
	if err != nil {
		t.Fatal(err)
	}
	want := []config.Source{
		{
			Name: "core", Protocol: inventory.TLS, Refresh: time.Minute, Min: 1, Shrink: 0.5,
			Targets: []inventory.Target{
				{Host: "www.example.com", Port: 443, Protocol: inventory.TLS},
				{Host: "mx.example.com", Port: 25, Protocol: inventory.SMTP},
				{Host: "shop.example.com", Address: "192.0.2.7", Port: 443, Protocol: inventory.TLS},
				{Host: "api.example.com", Port: 8443, Protocol: inventory.TLS, Labels: map[string]string{"owner": "payments"}},
			},
			Labels: map[string]string{"owner": "web", "environment": "prod"},
		},
		{
			Name: "lists", Protocol: inventory.TLS, Refresh: time.Minute, Min: 1, Shrink: 0.5,
			Files: []string{filepath.Join(dir, "targets/*.txt"), filepath.Join(dir, "targets/inventory.csv")},
		},
	}
	if diff := cmp.Diff(want, cfg.Sources); diff != "" {
		t.Errorf("sources (-want +got)\n%s", diff)
	}
	// What the example says are defaults are.
	unset := *cfg
	unset.Sources, unset.Policy, unset.Waivers = nil, inventory.Policy{}, nil
	unset.Scan.Resolvers, unset.Scan.Resolve = nil, nil
	unset.Trust.RootsFor, unset.Trust.Distrust, unset.Trust.AllowFetch = nil, nil, nil
	unset.Trust.OneCRL, unset.Trust.CTLogList, unset.Trust.WeakKeys, unset.Trust.ProxyFile = "", "", "", ""
	unset.Web.ConfigFile, unset.Web.ExternalURL, unset.Web.Probe.Allow, unset.Store.Path = "", "", nil, ""
	if diff := cmp.Diff(config.Default(), &unset); diff != "" {
		t.Errorf("what is said to be the default (-default +example)\n%s", diff)
	}

	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys(t) {
		name := key[strings.LastIndexByte(key, '.')+1:]
		if slices.Contains([]string{"locations", "ct", "renew"}, key) { // refused in this version
			continue
		}
		if !regexp.MustCompile(`(?m)[-#{ ]*\b` + name + `:`).Match(text) {
			t.Errorf("the example has no %s", key)
		}
	}
}

func keys(t *testing.T) []string {
	t.Helper()
	known, err := config.Keys(example, parsers())
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(known))
}

// What config print writes is read as the same again.
func TestYAML(t *testing.T) {
	t.Parallel()
	for _, cfg := range []*config.Config{config.Default(), load(t, example), load(t, "../../docs/examples/policy.yaml")} {
		roundTrip(t, cfg)
	}
}

func roundTrip(t *testing.T, cfg *config.Config) {
	t.Helper()
	text, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := config.Read("/elsewhere/printed.yaml", strings.NewReader(string(text)), parsers())
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	place := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Place" }, cmp.Ignore())
	if diff := cmp.Diff(cfg, again, place, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-read +printed and read)\n%s\n%s", diff, text)
	}
}

// Whatever is read without a problem can be printed, and read again.
func FuzzYAML(f *testing.F) {
	text, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Add("sources: [{name: a, files: ['*.txt'], max_shrink: 7.3%}]\nscan: {interval: 1.5d, stale_after: 1e2}\nweb: {listen: ['unix:/a b']}\n")
	f.Add("sources: [{name: a, targets: [a], labels: {'true': 'null', '1': '~', a: '2026-01-01', b: ' x', c: '#', d: '*'}}]\n")
	f.Fuzz(func(t *testing.T, text string) {
		if cfg, err := config.Read("/f.yaml", strings.NewReader(text), parsers()); err == nil {
			roundTrip(t, cfg)
		}
	})
}
