package config_test

import (
	"errors"
	"strings"
	"testing"

	"example.com/certscan/internal/config"
)

// Each mistake is told with its place, and what to do about it.
func TestDaemonMistakes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		text string
		want []string // in this order
	}{
		{"several blocks at once", "scan: {intervall: 1h}\nweb: {listen: nowhere}\nstore: {retention: 0d}\n", []string{
			`f.yaml:1:8: scan: there is no key "intervall" here: did you mean interval?`,
			`f.yaml:2:15: web.listen: "nowhere" is not an address to listen on: want such as 127.0.0.1:9887`,
			`f.yaml:3:20: store.retention: "0d" is not a duration`,
		}},
		{"what later versions have", "locations: []\nct: {}\nrenew: {hooks: []}\n", []string{
			"f.yaml:1:12: locations: other locations is not in this version of certscan: leave the key out",
			"f.yaml:2:5: ct: watching", "f.yaml:3:8: renew: triggering renewals",
		}},
		{"a source without a name or targets", "sources: [{labels: {a: b}}]\n", []string{"sources[0]: name is missing", "sources[0]: names no targets: want targets or files"}},
		{"a source with both", "sources: [{name: a, targets: [a], files: [b]}]\n", []string{"sources[0]: has targets and files: make two sources of it"}},
		{"two sources of a name", "sources: [{name: a, targets: [a]}, {name: a, files: [b]}]\n", []string{`sources[1].name: there is another source "a"`}},
		{"a name that is none", "sources: [{name: 'a b', targets: [a]}]\nscan: {location: ''}\n", []string{`sources[0].name: "a b" is not a name`, "scan.location: is empty"}},
		{"targets that are none", "sources:\n- name: a\n  targets:\n  - good.example\n  - 'a b'\n  - {target: 'b:x', labels: {owner: web}}\n  - {labels: {owner: web}}\n  - {target: a, owner: web}\n  - [a]\n", []string{
			"f.yaml:5:5: sources[0].targets[1]: bad target", "f.yaml:6:14: sources[0].targets[2].target: bad port",
			"sources[0].targets[3]: target is missing", `sources[0].targets[4]: there is no key "owner" here: want one of labels, target`,
			"sources[0].targets[5]: is a list: want text",
		}},
		{"a port inside brackets without quotes", "sources: [{name: a, targets: [good.test:21443, b.test]}]\n", []string{
			`f.yaml:1:31: sources[0].targets[0]: is read as a key and a value: write "good.test:21443", in quotes`,
		}},
		{"keys of files for targets", "sources: [{name: a, targets: [a], refresh: 1m, min_targets: 3, max_shrink: 10%}]\n", []string{
			"sources[0].refresh: is for files", "sources[0].min_targets: is for files", "sources[0].max_shrink: is for files",
		}},
		{"files that cannot be", "sources: [{name: a, files: ['a[', ''], max_shrink: 120%, min_targets: -1, refresh: 1ms, protocol: gopher}]\n", []string{
			`"/`, "is not a pattern: a [ without its ]", "sources[0].files[1]: is empty", `sources[0].max_shrink: "120%" is not a percentage`,
			"sources[0].min_targets: -1 is out of range", "sources[0].refresh: 1ms is out of range: want 1s to 7d", `sources[0].protocol: "gopher" is not known`,
		}},
		{"a percentage without its sign", "sources: [{name: a, files: [a], max_shrink: 0.5}]\n", []string{`"0.5" is not a percentage: want 0% to 100%`}},
		{"labels that clash", "sources: [{name: a, targets: [a], labels: {owner: web, Owner: ops, TEAM: ops, team: ops}}]\n", []string{
			"sources[0].labels.owner: there is another label that is called owner, which is the same", "sources[0].labels.team: there is another label that is called team",
		}},
		{"a scan that cannot keep up", "scan: {interval: 30s, timeout: 1m, confirm: 2m}\n", []string{
			"scan.timeout: 1m is longer than the interval of 30s", "scan.confirm: 2m is longer than the interval of 30s",
		}},
		{"numbers out of range", "scan: {interval: 1ms, timeout: 1h, retries: 11, concurrency: 0, per_address: many, stale_after: 0.5, extras: 0s}\n", []string{
			"scan.interval: 1ms is out of range: want 1s to 30d", "scan.timeout: 1h is out of range: want 100ms to 10m", "scan.retries: 11",
			"scan.concurrency: 0 is out of range: want 1 to 100000", `scan.per_address: "many" is not a whole number`, "scan.stale_after: 0.5 is out of range: want 1 to 1000", `scan.extras: "0s" is not a duration`,
		}},
		{"offers", "scan: {offers: [all, ecdsa, quantum], accepts: sometimes, addresses: none}\n", []string{
			`scan.offers[2]: "quantum" is not known`, "scan.accepts: is a plain value: want true or false", `scan.addresses: "none" is not known: want one of all, first`,
		}},
		{"all among others", "scan: {offers: [all, ecdsa]}\n", []string{"scan.offers: all stands alone"}},
		{"whom to ask", "scan: {resolvers: [dns.example], resolve: {a.example: [1.2.3], b.example: ''}}\n", []string{"scan.resolvers[0]: ", `scan.resolve.a.example[0]: "1.2.3" is not an IP address`, `scan.resolve.b.example: "" is not an IP address`}},
		{"tiers that are not told apart", "tiers: {list: [30d, 1.00001h]}\n", []string{"tiers.list: tier 1h0m0.036s: want a distance before expiry in whole seconds"}},
		{"tiers", "tiers: {list: [30d, 7d, 30d, 1s], absolute: true, reference: 90d}\n", []string{`tiers.list: tiers 720h0m0s and 720h0m0s have the same name "30d"`, "tiers.list[3]: 1s is out of range", "tiers.reference: means nothing with absolute: true"}},
		{"trust", "trust: {stores: [], revocation: maybe, profile: strict, allow_fetch: ['http://x']}\n", []string{
			"trust.stores: is an empty list", `trust.revocation: "maybe" is not known: want one of soft, hard, off`, `trust.profile: "strict" is not known`, "trust.allow_fetch[0]: bad network",
		}},
		{"a store for all, and for some", "trust: {stores: [system, mozilla], roots_for: [{targets: '*', store: corp.pem}, {targets: code=expired, store: corp.pem}, {targets: owner=a, store: system}, {store: x}]}\n", []string{
			"trust.roots_for[0].targets: has to choose some targets", "trust.roots_for[1].targets: code, rule, severity and subject are of findings",
			"trust.roots_for[2].store: system decides for all targets already", "trust.roots_for[3]: targets is missing",
		}},
		{"a password in the file", "trust: {proxy: 'http://user:secret@proxy.example:3128'}\n", []string{"trust.proxy: has a user name or password, which does not belong here; a URL with a password stands in a file of its own, named by proxy_file"}},
		{"two proxies", "trust: {proxy: 'http://proxy.example', proxy_file: p}\n", []string{"trust.proxy_file: proxy and proxy_file exclude each other"}},
		{"a proxy that is none", "trust: {proxy: 'ftp://proxy.example'}\n", []string{`trust.proxy: "ftp://proxy.example" is not a URL of http or https`}},
		{"metrics", "metrics: {detail: some, labels: [owner, cost center, owner, '', Cost-Center], series_cap: 0}\n", []string{
			`metrics.detail: "some" is not known: want one of all, attention, none`, `metrics.labels[2]: "owner" stands there twice`, "metrics.labels[3]: is empty", `metrics.labels[4]: "cost center" and "Cost-Center" would both be label_cost_center: rename one`, "metrics.series_cap: 0 is out of range",
		}},
		{"web", "web: {listen: ['example.com:80', '127.0.0.1', '127.0.0.1:99999', 'unix:relative'], external_url: 'certscan.example', profiling: 1}\n", []string{
			`web.listen[0]: "example.com:80": "example.com" is not an IP address`, "web.listen[1]: ", `web.listen[2]: "127.0.0.1:99999": "99999" is not a port`, `web.listen[3]: "relative" is not an absolute path`,
			`web.external_url: "certscan.example" is not a URL`, "web.profiling: is a plain value: want true or false",
		}},
		{"probe", "web: {probe: {allow: ['10.0.0.0/99', 'a*b.example'], rate: 0, in_flight: 0}}\n", []string{
			`web.probe.allow[0]: "10.0.0.0/99" is not known`, "web.probe.allow[1]: ", "web.probe.rate: 0 is out of range", "web.probe.in_flight: 0 is out of range",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Read("f.yaml", strings.NewReader(tt.text), parsers())
			problems, ok := errors.AsType[config.Problems](err)
			if !ok || cfg != nil {
				t.Fatalf("got %v, %v, want problems", cfg, err)
			}
			rest := err.Error()
			for _, want := range tt.want {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Fatalf("%q is not in, or not in this order:\n%v", want, err)
				}
				rest = after
			}
			for _, p := range problems {
				if p.Line == 0 || p.Path == "" && !strings.Contains(p.Err.Error(), "there is no key") {
					t.Errorf("no place: %v", p)
				}
				if strings.Contains(p.Error(), "secret") {
					t.Errorf("a secret is told: %v", p)
				}
			}
		})
	}
}

// What a file names is asked about at its place.
func TestFiles(t *testing.T) {
	t.Parallel()
	p := parsers()
	var asked []string
	p.File = func(key, path string) error {
		asked = append(asked, key+"="+path)
		if strings.HasSuffix(path, "gone.pem") {
			return errors.New("is not there")
		}
		return nil
	}
	_, err := config.Read("/etc/certscan/certscan.yaml", strings.NewReader(`
trust:
  stores: [mozilla, ../gone.pem]
  roots_for: [{targets: owner=a, store: /corp.pem}]
  onecrl: onecrl.json
web: {config_file: web.yml}
`), p)
	want := `/etc/certscan/certscan.yaml:3:21: trust.stores[1]: is not there`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if got, want := strings.Join(asked, " "), "trust.stores=mozilla trust.stores=/etc/gone.pem trust.stores=/corp.pem trust.onecrl=/etc/certscan/onecrl.json web.config_file=/etc/certscan/web.yml"; got != want {
		t.Errorf("asked about %s\nwant %s", got, want)
	}
}
