package export_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/export"
	"example.com/certscan/internal/inventory"
)

// examine is what answers in place of a location.
type examine func(ctx context.Context, t inventory.Target, timeout time.Duration, allow func(netip.Addr) error) (inventory.Result, error)

// resolvesTo is an examination that asks about addresses, and then serves c.
func resolvesTo(addresses ...string) examine {
	return func(_ context.Context, t inventory.Target, _ time.Duration, allow func(netip.Addr) error) (inventory.Result, error) {
		r := inventory.Result{Target: t}
		for _, a := range addresses {
			if allow != nil {
				if err := allow(netip.MustParseAddr(a)); err != nil {
					return r, err
				}
			}
			r.Endpoints = append(r.Endpoints, seen(t, a, leaf(t.Host, 80*day)))
		}
		return r, nil
	}
}

// special is a small part of what the product knows of special addresses.
func special(a netip.Addr) string {
	switch {
	case a.IsLoopback():
		return "a loopback address"
	case a.IsPrivate():
		return "a private address"
	case a.IsUnspecified():
		return "an unspecified address"
	}
	return ""
}

func newProbe(t *testing.T, opt export.ProbeOptions) http.Handler {
	t.Helper()
	if opt.Parse == nil {
		opt.Parse = discover.ParseTarget
	}
	if opt.Special == nil {
		opt.Special = special
	}
	if opt.Known == nil {
		opt.Known = func(key string) bool { return strings.Contains(key, "known.example") }
	}
	if opt.Now == nil {
		opt.Now = now
	}
	h, err := export.Probe(opt)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestProbeAllows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		allow   []string
		target  string
		address []string
		want    string // of the refusal; "" is 200
	}{
		{"the inventory, wherever it is", nil, "known.example", []string{"10.0.0.1", "127.0.0.1"}, ""},
		{"not another name", nil, "new.example", []string{"198.51.100.1"}, "new.example:443 may not be probed: it is not in the inventory. To allow it, add to web.probe.allow:\n  - \"new.example\"\n"},
		{"a name", []string{"new.example"}, "new.example:8443", []string{"198.51.100.1"}, ""},
		{"a name, in any case", []string{"NEW.example"}, "new.EXAMPLE", []string{"198.51.100.1"}, ""},
		{"all below a name", []string{"*.corp.example"}, "a.b.corp.example", []string{"198.51.100.1"}, ""},
		{"not the name itself", []string{"*.corp.example"}, "corp.example", nil, `- "corp.example"`},
		{"not a name that ends alike", []string{"*.corp.example"}, "evilcorp.example", nil, `- "evilcorp.example"`},
		{"every public address", []string{"*"}, "new.example", []string{"198.51.100.1", "2001:db8::1"}, ""},
		{"every public address, given as such", []string{"*"}, "198.51.100.1", []string{"198.51.100.1"}, ""},
		{
			"no private address by a name",
			[]string{"*"},
			"new.example",
			[]string{"198.51.100.1", "10.1.2.3"},
			"new.example:443 at 10.1.2.3, which is a private address, may not be probed: it is not in the inventory. To allow it, add to web.probe.allow:\n  - \"10.1.2.3/32\"\n",
		},
		{"no private address by itself", []string{"*"}, "10.1.2.3", nil, `- "10.1.2.3/32"`},
		{"a mapped address is the one inside", []string{"*"}, "new.example", []string{"::ffff:127.0.0.1"}, `- "127.0.0.1/32"`},
		{"a network", []string{"10.0.0.0/8"}, "new.example", []string{"10.1.2.3"}, ""},
		{"an address", []string{"10.1.2.3"}, "10.1.2.3", []string{"10.1.2.3"}, ""},
		{"not outside of the network", []string{"10.0.0.0/8"}, "new.example", []string{"198.51.100.1"}, `new.example:443 at 198.51.100.1 may not be probed`},
		{"the whole internet is not our own network", []string{"0.0.0.0/0"}, "new.example", []string{"127.0.0.1"}, `- "127.0.0.1/32"`},
		{"the whole internet", []string{"0.0.0.0/0"}, "new.example", []string{"198.51.100.1"}, ""},
		{"where to connect counts, and not what to ask for", []string{"good.example"}, "good.example@evil.example:443", []string{"198.51.100.1"}, `- "evil.example"`},
		{"an address to connect to", []string{"good.example"}, "good.example@10.1.2.3:443", nil, `- "10.1.2.3/32"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newProbe(t, export.ProbeOptions{Allow: tt.allow, Examine: resolvesTo(tt.address...)})
			w := get(t, h, "/probe?target="+tt.target)
			switch body := w.Body.String(); {
			case tt.want == "" && w.Code != http.StatusOK:
				t.Errorf("%d %s", w.Code, body)
			case tt.want != "" && (w.Code != http.StatusForbidden || !strings.Contains(body, tt.want)):
				t.Errorf("%d %s\nwant 403 and %s", w.Code, body, tt.want)
			}
		})
	}
	for _, bad := range []string{"", "http://x", "a b", "x:1", "10.0.0.0/33"} {
		if _, err := export.Probe(export.ProbeOptions{
			Allow: []string{bad}, Examine: resolvesTo(), Parse: discover.ParseTarget, Special: special, Known: func(string) bool { return false },
		}); err == nil {
			t.Errorf("web.probe.allow takes %q", bad)
		}
	}
}

// A target of the inventory may be asked for other names, and no other may be
// connected to by that.
func TestProbeAsksTheInventoryForOtherNames(t *testing.T) {
	t.Parallel()
	h := newProbe(t, export.ProbeOptions{Examine: resolvesTo("10.0.0.1"), Known: func(key string) bool {
		return key == "known.example:18443" || key == "shop.example@known.example:443"
	}})
	for query, want := range map[string]int{
		"module=https&target=known.example:18443&server_name=other.example":           http.StatusOK,
		"module=http_2xx&target=https://known.example:18443&hostname=other.example":   http.StatusOK,
		"module=https&target=known.example&server_name=shop.example":                  http.StatusOK,
		"module=https&target=shop.example@known.example&server_name=other.example":    http.StatusOK,
		"module=https&target=other.example:18443&server_name=known.example":           http.StatusForbidden,
		"module=https&target=known.example:18444&server_name=other.example":           http.StatusForbidden,
		"module=tcp_smtp_starttls&target=known.example:18443&server_name=b.example":   http.StatusForbidden,
		"module=https&target=shop.example@10.0.0.1&server_name=shop.known.example":    http.StatusForbidden,
		"module=https&target=known.example@10.0.0.1:18443&server_name=other.example":  http.StatusForbidden,
		"module=https&target=other.example@known.example:18443&server_name=b.example": http.StatusForbidden,
	} {
		if w := get(t, h, "/probe?"+query); w.Code != want {
			t.Errorf("%s: %d %s, want %d", query, w.Code, w.Body, want)
		}
	}
}

func TestProbeAsks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		query string
		want  string // the target that is examined, or a part of the answer to a mistake
	}{
		{"target=known.example", "known.example:443"},
		{"target=https://known.example/path", "known.example:443"},
		{"target=smtp://known.example", "smtp://known.example:25"},
		{"module=tcp_smtp_starttls&target=known.example", "smtp://known.example:25"},
		{"module=smtp_starttls&target=known.example:587", "smtp://known.example:587"},
		{"module=xmpp_client_starttls&target=known.example", "xmpp-client://known.example:5222"},
		{"module=https&target=known.example&server_name=other.known.example", "other.known.example@known.example:443"},
		{"module=http_2xx&target=https://192.0.2.1&hostname=known.example", "known.example@192.0.2.1:443"},
		{"module=tcp&target=known.example&server_name=known.example", "known.example:443"},
		{"", "target: missing, as in /probe?target=example.com:443"},
		{"target=a..b", "target: "},
		{"target=known.example&module=dns_udp", `module: "dns_udp" is not known: want certscan, ssl_exporter`},
		{"target=known.example&module=certscan_insecure", `is not known`},
		{"target=known.example&module=tls_starttls", `is not known`},
		{"target=known.example&hostname=a@b:1", `hostname: "a@b:1" is not a name`},
	} {
		t.Run(tt.query, func(t *testing.T) {
			t.Parallel()
			var got string
			h := newProbe(t, export.ProbeOptions{Examine: func(ctx context.Context, target inventory.Target, d time.Duration, allow func(netip.Addr) error) (inventory.Result, error) {
				got = target.Key()
				return resolvesTo("192.0.2.1")(ctx, target, d, allow)
			}})
			w := get(t, h, "/probe?"+tt.query)
			if w.Code == http.StatusOK && got != tt.want {
				t.Errorf("examined %s, want %s", got, tt.want)
			}
			if w.Code != http.StatusOK && (w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), tt.want)) {
				t.Errorf("%d %s, want %s", w.Code, w.Body, tt.want)
			}
		})
	}
}

func TestProbeEndsBeforeTheScraper(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"10": 9500 * time.Millisecond, "3": 2500 * time.Millisecond, "0.6": 300 * time.Millisecond, "": 20 * time.Second, "60": 20 * time.Second,
		"NaN": 20 * time.Second, "-1": 20 * time.Second, "x": 20 * time.Second, "1e300": 20 * time.Second,
	} {
		t.Run("X-Prometheus-Scrape-Timeout-Seconds: "+header, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				given, ended := make(chan time.Duration, 1), make(chan struct{})
				h := newProbe(t, export.ProbeOptions{
					Timeout: 20 * time.Second, Now: time.Now,
					Examine: func(ctx context.Context, _ inventory.Target, timeout time.Duration, _ func(netip.Addr) error) (inventory.Result, error) {
						defer close(ended)
						given <- timeout
						<-ctx.Done()
						time.Sleep(time.Minute) // it does not mind
						return inventory.Result{}, ctx.Err()
					},
				})
				start := time.Now()
				w := get(t, h, "/probe?target=known.example", "X-Prometheus-Scrape-Timeout-Seconds", header)
				if left := <-given; w.Code != http.StatusOK || time.Since(start) != want || left != want*9/10 {
					t.Errorf("%d after %v, of which %v were given to the probe; want 200 after %v", w.Code, time.Since(start), left, want)
				}
				text := w.Body.String()
				if !slices.Equal(series(text, "certscan_probe_success"), []string{" 0"}) || !strings.Contains(text, `reason="timeout"`) {
					t.Errorf("answered:\n%s", text)
				}
				<-ended
				synctest.Wait()
			})
		})
	}
}

func TestProbeIsLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		h := newProbe(t, export.ProbeOptions{
			PerSecond: 4, InFlight: 2, Now: time.Now,
			Examine: func(_ context.Context, target inventory.Target, _ time.Duration, _ func(netip.Addr) error) (inventory.Result, error) {
				<-free
				return inventory.Result{Target: target}, nil
			},
		})
		status := make(chan int, 3)
		for range 2 {
			go func() { status <- get(t, h, "/probe?target=known.example").Code }()
		}
		synctest.Wait()
		w := get(t, h, "/probe?target=known.example")
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "web.probe.in_flight") {
			t.Errorf("a third at a time: %d %s", w.Code, w.Body)
		}
		close(free)
		if a, b := <-status, <-status; a != http.StatusOK || b != http.StatusOK {
			t.Errorf("two at a time: %d %d", a, b)
		}
		synctest.Wait()
		if w := get(t, h, "/probe?target=known.example"); w.Code != http.StatusOK {
			t.Errorf("the fourth in a second: %d %s", w.Code, w.Body)
		}
		if w := get(t, h, "/probe?target=known.example"); w.Code != http.StatusTooManyRequests || !strings.Contains(w.Body.String(), "web.probe.rate") {
			t.Errorf("the fifth in a second: %d %s", w.Code, w.Body)
		}
		time.Sleep(time.Second)
		if w := get(t, h, "/probe?target=known.example"); w.Code != http.StatusOK {
			t.Errorf("a second later: %d", w.Code)
		}
	})
}

func TestProbeThatCannotBeMade(t *testing.T) {
	t.Parallel()
	h := newProbe(t, export.ProbeOptions{Examine: func(context.Context, inventory.Target, time.Duration, func(netip.Addr) error) (inventory.Result, error) {
		return inventory.Result{}, errors.New("the history is gone")
	}})
	if w := get(t, h, "/probe?target=known.example"); w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "known.example:443: the history is gone") {
		t.Errorf("%d %s: what is our own fault is not the target's", w.Code, w.Body)
	}
}

func TestProbeNames(t *testing.T) {
	t.Parallel()
	staple := func(status string) func(*inventory.Endpoint) {
		return func(e *inventory.Endpoint) {
			e.Observation.Staple = []byte{0}
			e.Judgement.Verdict.Revocation = inventory.RevocationVerdict{Status: status, Answers: []inventory.RevocationAnswer{
				{Source: inventory.SourceStaple, Status: status, ThisUpdate: now()}, {Source: inventory.SourceOCSP, Status: inventory.RevocationGood},
			}}
		}
	}
	unproven := func(e *inventory.Endpoint) { e.Judgement.Unproven = true }
	for _, tt := range []struct {
		name   string
		module string
		change func(*inventory.Endpoint)
		want   map[string][]string
	}{
		{"certscan, good", "certscan", nil, map[string][]string{"certscan_probe_success": {" 1"}, "certscan_target_verified": {`{target="known.example:443"} 1`}}},
		{"ssl_exporter, good", "ssl_exporter", nil, map[string][]string{
			"ssl_probe_success": {" 1"}, "ssl_tls_connect_success": {" 1"}, "ssl_prober": {`{prober="tcp"} 1`}, "ssl_tls_version_info": {`{version="TLS 1.3"} 1`},
			"ssl_cert_not_after": {fmt.Sprintf(`{serial_no="662316",issuer_cn="Lab CA R1",cn="known.example",dnsnames=",known.example,www.known.example,",ips=",192.0.2.1,",emails="",ou=""} %d`, now().Add(80*day).Unix())},
			"ssl_verified_cert_not_after": {
				fmt.Sprintf(`{chain_no="0",serial_no="255",issuer_cn="Lab CA R1",cn="Lab CA R1",dnsnames="",ips="",emails="",ou=""} %d`, now().Add(900*day).Unix()),
				fmt.Sprintf(`{chain_no="0",serial_no="662316",issuer_cn="Lab CA R1",cn="known.example",dnsnames=",known.example,www.known.example,",ips=",192.0.2.1,",emails="",ou=""} %d`, now().Add(80*day).Unix()),
			},
			"ssl_ocsp_response_stapled": {" 0"}, "ssl_ocsp_response_status": nil,
		}},
		{"ssl_exporter, staple", "https", staple(inventory.RevocationGood), map[string][]string{
			"ssl_ocsp_response_stapled": {" 1"}, "ssl_ocsp_response_status": {" 0"}, "ssl_prober": {`{prober="https"} 1`},
			"ssl_ocsp_response_this_update": {fmt.Sprint(" ", now().Unix())}, "ssl_ocsp_response_next_update": nil,
		}},
		{"ssl_exporter, revoked", "tcp", staple(inventory.RevocationRevoked), map[string][]string{"ssl_ocsp_response_status": {" 1"}, "ssl_probe_success": {" 0"}}},
		{"ssl_exporter, a staple that proves nothing", "tcp", staple(inventory.RevocationUnknown), map[string][]string{"ssl_ocsp_response_stapled": {" 1"}, "ssl_ocsp_response_status": nil}},
		{"ssl_exporter, untrusted", "tcp", func(e *inventory.Endpoint) {
			e.Judgement.Verdict.Trust.Status, e.Judgement.Issuers = inventory.TrustSelfSigned, nil
		}, map[string][]string{"ssl_probe_success": {" 0"}, "ssl_verified_cert_not_after": nil}},
		{"ssl_exporter, untrusted and not to be verified", "tcp_insecure", func(e *inventory.Endpoint) {
			e.Judgement.Verdict.Trust.Status = inventory.TrustSelfSigned
		}, map[string][]string{"ssl_probe_success": {" 1"}}},
		{"ssl_exporter, nobody proved to have the key", "tcp", unproven, map[string][]string{"ssl_probe_success": {" 0"}, "ssl_tls_connect_success": {" 0"}}},
		{"ssl_exporter, the same and not to be verified", "tcp_insecure", unproven, map[string][]string{"ssl_probe_success": {" 0"}}},
		{"blackbox, nobody proved to have the key", "http_2xx", unproven, map[string][]string{"probe_success": {" 0"}}},
		{"certscan, nobody proved to have the key", "certscan", unproven, map[string][]string{"certscan_probe_success": {" 0"}}},
		{"blackbox, good", "http_2xx", nil, map[string][]string{
			"probe_success": {" 1"}, "probe_ssl_earliest_cert_expiry": {fmt.Sprint(" ", now().Add(80*day).Unix())}, "probe_http_ssl": {" 1"},
			"probe_ssl_last_chain_expiry_timestamp_seconds": {fmt.Sprint(" ", now().Add(80*day).Unix())}, "probe_tls_version_info": {`{version="TLS 1.3"} 1`},
			"probe_tls_cipher_info": {`{cipher="TLS_AES_128_GCM_SHA256"} 1`}, "probe_ip_protocol": {" 4"}, "probe_dns_lookup_time_seconds": {" 0.001"},
			"probe_http_duration_seconds": {`{phase="connect"} 0.002`, `{phase="resolve"} 0.001`, `{phase="tls"} 0.005`},
			"probe_ssl_last_chain_info": {`{fingerprint_sha256="` + leaf("known.example", 80*day).SHA256.String() +
				`",subject="CN=known.example",issuer="CN=Lab CA R1,O=Lab Trust",subjectalternative="known.example,www.known.example",serialnumber="0a1b2c"} 1`},
		}},
		{"blackbox, untrusted", "blackbox", func(e *inventory.Endpoint) {
			e.Judgement.Verdict.Trust.Status, e.Judgement.Issuers = inventory.TrustUnknownIssuer, nil
		}, map[string][]string{
			"probe_success": {" 0"}, "probe_ssl_earliest_cert_expiry": {fmt.Sprint(" ", now().Add(80*day).Unix())},
			"probe_ssl_last_chain_expiry_timestamp_seconds": nil, "probe_http_ssl": nil,
		}},
		{"blackbox, unreachable", "blackbox", func(e *inventory.Endpoint) {
			*e = down(target("known.example"), "192.0.2.1", inventory.ReachRefused, nil)
		}, map[string][]string{"probe_success": {" 0"}, "probe_ssl_earliest_cert_expiry": nil, "probe_tls_version_info": nil}},
		{"both, as both call it so", "smtp_starttls", nil, map[string][]string{"probe_success": {" 1"}, "ssl_probe_success": {" 1"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newProbe(t, export.ProbeOptions{Examine: func(_ context.Context, target inventory.Target, _ time.Duration, _ func(netip.Addr) error) (inventory.Result, error) {
				e := seen(target, "192.0.2.1", leaf(target.Host, 80*day))
				if tt.change != nil {
					tt.change(&e)
				}
				return result(target, "", e, e), nil // the same twice: no series is
			}})
			text := scrape(t, h, "/probe?target=known.example&module="+tt.module)
			unique(t, text)
			for name, want := range tt.want {
				if diff := cmp.Diff(want, series(text, name)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
			problems, err := promlint.New(strings.NewReader(text)).Lint()
			if err != nil || tt.module == "certscan" && len(problems) > 0 {
				t.Errorf("promlint: %v %v", problems, err)
			}
		})
	}
}
