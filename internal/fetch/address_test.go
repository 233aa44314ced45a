package fetch_test

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/fetch"
)

func TestNotPublic(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"1.1.1.1":                   "",
		"9.255.255.255":             "",
		"11.0.0.0":                  "",
		"100.63.255.255":            "",
		"100.128.0.0":               "",
		"172.15.255.255":            "",
		"172.32.0.0":                "",
		"192.167.255.255":           "",
		"223.255.255.255":           "",
		"2606:4700::1111":           "",
		"64:ff9b::1.1.1.1":          "",
		"2002:101:101::1":           "",
		"0.0.0.0":                   "unspecified",
		"0.1.2.3":                   "unspecified",
		"10.255.255.255":            "private",
		"100.64.0.1":                "CGNAT",
		"100.100.100.200":           "metadata",
		"127.255.255.254":           "loopback",
		"169.254.1.1":               "link-local",
		"169.254.169.254":           "metadata",
		"172.31.255.255":            "private",
		"192.0.0.192":               "metadata",
		"192.0.2.1":                 "documentation",
		"192.168.0.1":               "private",
		"198.19.0.1":                "benchmarking",
		"224.0.0.1":                 "multicast",
		"240.0.0.1":                 "reserved",
		"255.255.255.255":           "broadcast",
		"::":                        "unspecified",
		"::1":                       "loopback",
		"::7f00:1":                  "not a public",
		"::ffff:10.0.0.1":           "private",
		"::ffff:0:10.0.0.1":         "not a public",
		"100::1":                    "not a public",
		"64:ff9b::10.0.0.1":         "a private address (10.0.0.1) in IPv6",
		"64:ff9b:1::1.1.1.1":        "private (NAT64)",
		"2002:7f00:1::1":            "a loopback address (127.0.0.1) in IPv6",
		"2002:a9fe:a9fe::":          "metadata",
		"2001:0:a00:1::":            "a private address (10.0.0.1) in IPv6",
		"2001:0:101:101::80ff:fffe": "a loopback address (127.0.0.1) in IPv6",
		"2606:4700::5efe:a00:1":     "a private address (10.0.0.1) in IPv6",
		"2606:4700::200:5efe:a00:1": "a private address (10.0.0.1) in IPv6",
		"2001:db8::1":               "documentation",
		"3fff::1":                   "documentation",
		"4000::1":                   "not a public",
		"fc00::1":                   "private",
		"fd00:ec2::254":             "metadata",
		"fe80::1":                   "link-local",
		"fe80::1%eth0":              "link-local",
		"::1%lo":                    "loopback",
		"fec0::1":                   "site-local",
		"ff02::1":                   "multicast",
	} {
		got := fetch.NotPublic(netip.MustParseAddr(addr))
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
}

func TestParseAllow(t *testing.T) {
	t.Parallel()
	networks, hosts, err := fetch.ParseAllow([]string{"10.1.2.3/8", "192.0.2.7", "[2001:db8::7]", "PKI.corp.example.", "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range networks {
		got = append(got, n.String())
	}
	if diff := cmp.Diff([]string{"10.0.0.0/8", "192.0.2.7/32", "2001:db8::7/128", "pki.corp.example", "localhost"}, append(got, hosts...)); diff != "" {
		t.Errorf("ParseAllow (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"", "10.0.0.0/33", "pki.example:80", "http://pki.example", "*.example"} {
		if _, _, err := fetch.ParseAllow([]string{bad}); err == nil || !strings.Contains(err.Error(), "is neither a network") {
			t.Errorf("ParseAllow(%q): %v", bad, err)
		}
	}
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	const date = "Sun, 22 Nov 2026 08:00:00 GMT"
	for _, tt := range []struct {
		name   string
		header http.Header
		want   time.Duration
	}{
		{"nothing said", http.Header{}, -1},
		{"max-age", http.Header{"Cache-Control": {"public, Max-Age=60"}}, time.Minute},
		{"max-age, partly used up", http.Header{"Cache-Control": {"max-age=60"}, "Age": {"20"}}, 40 * time.Second},
		{"max-age, all used up", http.Header{"Cache-Control": {"max-age=60"}, "Age": {"90"}}, 0},
		{"max-age before expires", http.Header{"Cache-Control": {"max-age=60"}, "Expires": {"0"}}, time.Minute},
		{"max-age that is no number", http.Header{"Cache-Control": {"max-age=-1"}}, -1},
		{"no-store", http.Header{"Cache-Control": {"max-age=60", "no-store"}}, 0},
		{"expires", http.Header{"Date": {date}, "Expires": {"Sun, 22 Nov 2026 09:00:00 GMT"}}, time.Hour},
		{"expires in the past", http.Header{"Date": {date}, "Expires": {"Sun, 22 Nov 2026 07:00:00 GMT"}}, 0},
		{"expires that is no date", http.Header{"Date": {date}, "Expires": {"-1"}}, 0},
	} {
		if got := fetch.Freshness(tt.header); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// FuzzGetURL checks that no text leads anywhere but to an allowed scheme and a
// name that the resolver was asked about.
func FuzzGetURL(f *testing.F) {
	for _, seed := range []string{
		"http://aia.example/ca.crt", "https://[::1]:1/", "http://127.1/", "http://a@b/", "http:opaque", "//x", "http://[fe80::1%25lo]/", "ldap://x",
	} {
		f.Add(seed)
	}
	c := newClient(f, fetch.Options{Lookup: lookup(nil), AllowHosts: []string{"allowed.example"}})
	f.Fuzz(func(t *testing.T, raw string) {
		if u, err := url.Parse(raw); err == nil {
			if a, err := netip.ParseAddr(u.Hostname()); err == nil && fetch.NotPublic(a) == "" {
				return // nothing leaves this machine
			}
		}
		_, err := c.Get(t.Context(), raw, fetch.Conditional{}, 0)
		switch got := reasonOf(t, err); got {
		case fetch.ReasonBadURL, fetch.ReasonDNS, fetch.ReasonRefusedAddress:
		default:
			t.Errorf("Get(%q): %v", raw, err)
		}
	})
}
