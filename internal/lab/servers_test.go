package lab_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"github.com/smallstep/pkcs7"

	"example.com/certscan/internal/lab"
)

// ask asks the lab's DNS server.
func ask(t *testing.T, l *lab.Lab, network, name string, qtype uint16) *dns.Msg {
	t.Helper()
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	q.SetEdns0(1232, false)
	r, _, err := (&dns.Client{Net: network, Timeout: 5 * time.Second}).Exchange(q, l.Resolver())
	if err != nil {
		t.Fatalf("ask for %s: %v", name, err)
	}
	if r.IsEdns0() == nil {
		t.Errorf("answer for %s without EDNS", name)
	}
	return r
}

func addresses(r *dns.Msg) (all []string) {
	for _, rr := range r.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			all = append(all, rr.A.String())
		case *dns.CNAME:
			all = append(all, rr.Target)
		}
	}
	return all
}

func TestDNS(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Endpoints: 3})
	known := make(map[string][]netip.Addr)
	for _, s := range l.Scenarios() {
		for name, a := range s.Addresses {
			known[name] = a
		}
	}
	text := func(name string) (all []string) {
		for _, a := range known[name] {
			all = append(all, a.String())
		}
		return all
	}
	const domain = "." + lab.Domain
	for _, tt := range []struct {
		name, network, host string
		qtype               uint16
		rcode               int
		want                []string
	}{
		{"a name has its addresses", "udp", "good-addresses-agree" + domain, dns.TypeA, dns.RcodeSuccess, text("good-addresses-agree" + domain)},
		{"names are compared without case", "udp", "GOOD" + domain, dns.TypeA, dns.RcodeSuccess, text("good" + domain)},
		{"a name without IPv6 has no data for it", "udp", "good" + domain, dns.TypeAAAA, dns.RcodeSuccess, nil},
		{"a name may have no address", "udp", "dns-no-address" + domain, dns.TypeA, dns.RcodeSuccess, nil},
		{"an unknown name does not exist", "udp", "dns-no-such-name" + domain, dns.TypeA, dns.RcodeNameError, nil},
		{"a name outside the lab does not exist", "udp", "www.example.org", dns.TypeA, dns.RcodeNameError, nil},
		{"a server failure", "udp", "dns-server-failure" + domain, dns.TypeA, dns.RcodeServerFailure, nil},
		{"an alias to nowhere", "udp", "dns-alias-to-nowhere" + domain, dns.TypeA, dns.RcodeNameError, []string{"gone" + domain + "."}},
		{"aliases are followed", "udp", "dns-alias" + domain, dns.TypeA, dns.RcodeSuccess, append(
			[]string{"cdn.dns-alias" + domain + ".", "edge.dns-alias" + domain + "."}, text("edge.dns-alias"+domain)...,
		)},
		{"a truncated answer is whole over TCP", "tcp", "dns-truncated" + domain, dns.TypeA, dns.RcodeSuccess, text("dns-truncated" + domain)},
		{"names of the scale fleet resolve", "udp", "n000002.fleet" + domain, dns.TypeA, dns.RcodeSuccess, []string{"127.77.0.4"}},
		{"names past its end do not", "udp", "n000003.fleet" + domain, dns.TypeA, dns.RcodeNameError, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := ask(t, l, tt.network, tt.host, tt.qtype)
			if r.Rcode != tt.rcode || r.Truncated {
				t.Errorf("rcode %s, truncated %v, want %s", dns.RcodeToString[r.Rcode], r.Truncated, dns.RcodeToString[tt.rcode])
			}
			if diff := cmp.Diff(tt.want, addresses(r)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("truncated over UDP", func(t *testing.T) {
		t.Parallel()
		if r := ask(t, l, "udp", "dns-truncated"+domain, dns.TypeA); !r.Truncated || len(r.Answer) > 0 {
			t.Errorf("truncated %v with %d records, want true and none", r.Truncated, len(r.Answer))
		}
	})
	t.Run("silence", func(t *testing.T) {
		t.Parallel()
		q := new(dns.Msg).SetQuestion("dns-silent"+domain+".", dns.TypeA)
		if r, _, err := (&dns.Client{Timeout: 50 * time.Millisecond}).Exchange(q, l.Resolver()); err == nil {
			t.Errorf("answer %v, want none", r)
		}
	})
	t.Run("a rotating set is whole after three answers", func(t *testing.T) {
		t.Parallel()
		var seen []string
		for range 3 {
			some := addresses(ask(t, l, "udp", "rotating-addresses"+domain, dns.TypeA))
			if len(some) != 2 {
				t.Errorf("%d addresses at once, want 2", len(some))
			}
			seen = append(seen, some...)
		}
		slices.Sort(seen)
		if n := len(slices.Compact(seen)); n != 6 {
			t.Errorf("%d addresses in all, want 6", n)
		}
	})
}

// leafOf returns the certificate that the scenario serves.
func leafOf(t *testing.T, s lab.Scenario) *x509.Certificate {
	t.Helper()
	p := places(t, s)[0]
	c := tls.Client(dial(t, p.addresses[0]), permissive(p.host))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState().PeerCertificates[0]
}

func TestIssuersArePublished(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, s := range l.Scenarios() {
		forms := map[string]func([]byte) ([]*x509.Certificate, error){
			"incomplete":       x509.ParseCertificates,
			"incomplete-twice": x509.ParseCertificates,
			"incomplete-pem": func(b []byte) ([]*x509.Certificate, error) {
				block, _ := pem.Decode(b)
				return x509.ParseCertificates(block.Bytes)
			},
			"incomplete-pkcs7": func(b []byte) ([]*x509.Certificate, error) {
				p, err := pkcs7.Parse(b)
				if err != nil {
					return nil, err
				}
				return p.Certificates, nil
			},
		}
		parse, ok := forms[s.Name]
		if !ok {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			leaf := leafOf(t, s)
			url := leaf.IssuingCertificateURL[0]
			host := strings.Split(strings.TrimPrefix(url, "http://"), ":")[0]
			if !netip.MustParsePrefix(l.AllowFetch()[0]).Contains(netip.MustParseAddr(host)) {
				t.Errorf("%s is outside of %s", url, l.AllowFetch())
			}
			certs, err := parse(fetch(t, client, url))
			if err != nil || len(certs) != 1 {
				t.Fatalf("%s: %d certificates, %v", url, len(certs), err)
			}
			if err := leaf.CheckSignatureFrom(certs[0]); err != nil {
				t.Error(err)
			}
			list, err := x509.ParseRevocationList(fetch(t, client, leaf.CRLDistributionPoints[0]))
			if err != nil {
				t.Fatal(err)
			}
			if err := list.CheckSignatureFrom(certs[0]); err != nil {
				t.Error(err)
			}
		})
	}
}

func fetch(t *testing.T, client *http.Client, url string) []byte {
	t.Helper()
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", url, r.Status, err)
	}
	return b
}

func TestIssuersThatAreNone(t *testing.T) {
	t.Parallel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(t *testing.T, scenario string) (*http.Response, error) {
		t.Helper()
		r, err := client.Get(leafOf(t, one(t, scenario)).IssuingCertificateURL[0])
		if r != nil {
			t.Cleanup(func() { r.Body.Close() })
		}
		return r, err
	}
	t.Run("not found", func(t *testing.T) {
		t.Parallel()
		if r, err := get(t, "issuer-not-found"); err != nil || r.StatusCode != http.StatusNotFound {
			t.Errorf("%v, %v, want 404", r, err)
		}
	})
	t.Run("a page", func(t *testing.T) {
		t.Parallel()
		if r, err := get(t, "issuer-is-html"); err != nil || r.Header.Get("Content-Type") != "text/html" {
			t.Errorf("%v, %v, want HTML", r, err)
		}
	})
	t.Run("a loop", func(t *testing.T) {
		t.Parallel()
		if _, err := get(t, "issuer-is-a-loop"); err == nil || !strings.Contains(err.Error(), "stopped after 10 redirects") {
			t.Errorf("%v, want too many redirects", err)
		}
	})
	t.Run("no end", func(t *testing.T) {
		t.Parallel()
		r, err := get(t, "issuer-is-endless")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyN(io.Discard, r.Body, 1<<24); err != nil {
			t.Errorf("%v after %d bytes", err, n)
		}
	})
}
