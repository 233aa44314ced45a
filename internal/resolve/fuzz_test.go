package resolve_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/resolve"
)

func FuzzParseHosts(f *testing.F) {
	f.Add([]byte("127.0.0.1 localhost # x\n::1 a b\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		hosts, err := resolve.ParseHosts(bytes.NewReader(b))
		if err != nil {
			return
		}
		for name, addrs := range hosts {
			if len(addrs) == 0 || name != strings.ToLower(name) {
				t.Fatalf("host %q has %v", name, addrs)
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	const name = "www.test."
	q := new(dns.Msg).SetQuestion(name, dns.TypeA)
	for _, records := range [][]string{
		{"www.test. 300 A 192.0.2.9"},
		{"www.test. 300 CNAME cdn.test.", "cdn.test. 30 A 192.0.2.9"},
		{"www.test. 60 CNAME b.test.", "b.test. 60 CNAME www.test."},
		nil,
	} {
		b, err := zone(records...)(q, false).Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		res, took := resolve.TakeAnswer(name, b)
		if took && (res.Status == inventory.ReachOK) != (len(res.Addresses) > 0) {
			t.Fatalf("%+v", res)
		}
		if len(res.CNAMEs) > 11 {
			t.Fatalf("%d aliases were followed", len(res.CNAMEs))
		}
	})
}
