package resolve_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/miekg/dns"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/resolve"
)

var compareAddrs = cmpopts.EquateComparable(netip.Addr{})

func TestResolve(t *testing.T) {
	t.Parallel()
	loop := []string{"a.test. 60 CNAME b.test.", "b.test. 60 CNAME a.test."}
	var chain []string
	for i := range 12 {
		chain = append(chain, fmt.Sprintf("n%d.test. 60 CNAME n%d.test.", i, i+1))
	}
	// step answers with one record at a time, as a server that follows nothing.
	step := func(records ...string) handler {
		whole := zone(records...)
		return func(q *dns.Msg, tcp bool) *dns.Msg {
			m := whole(q, tcp)
			if len(m.Answer) > 1 && m.Answer[0].Header().Rrtype == dns.TypeCNAME {
				m.Answer, m.Ns, m.Rcode = m.Answer[:1], nil, dns.RcodeSuccess
			}
			return m
		}
	}
	only := func(qtype uint16, h, other handler) handler {
		return func(q *dns.Msg, tcp bool) *dns.Msg {
			if q.Question[0].Qtype == qtype {
				return h(q, tcp)
			}
			return other(q, tcp)
		}
	}
	for _, tt := range []struct {
		name, ask string
		server    handler
		want      inventory.Resolution
	}{
		{
			name: "all addresses of both families, sorted, without duplicates", ask: "Shop.test.",
			server: zone("shop.test. 300 A 192.0.2.9", "shop.test. 200 A 192.0.2.10", "shop.test. 300 A 192.0.2.9",
				"shop.test. 300 AAAA 2001:db8::2", "shop.test. 300 AAAA 2001:db8::1", "shop.test. 300 AAAA ::ffff:192.0.2.1"),
			want: inventory.Resolution{Status: "ok", TTL: 200, Addresses: addrs("192.0.2.1", "192.0.2.9", "192.0.2.10", "2001:db8::1", "2001:db8::2")},
		},
		{
			name: "one family alone is enough", ask: "shop.test", server: zone("shop.test. 300 A 192.0.2.9"),
			want: inventory.Resolution{Status: "ok", TTL: 300, Addresses: addrs("192.0.2.9")},
		},
		{
			name: "aliases inside the answer", ask: "www.test",
			server: zone("www.test. 300 CNAME cdn.test.", "cdn.test. 30 CNAME edge.test.", "edge.test. 60 A 192.0.2.9"),
			want:   inventory.Resolution{Status: "ok", TTL: 30, Addresses: addrs("192.0.2.9"), CNAMEs: []string{"cdn.test", "edge.test"}},
		},
		{
			name: "aliases that the server does not follow", ask: "www.test",
			server: step("www.test. 300 CNAME cdn.test.", "cdn.test. 30 CNAME edge.test.", "edge.test. 60 A 192.0.2.9"),
			want:   inventory.Resolution{Status: "ok", TTL: 30, Addresses: addrs("192.0.2.9"), CNAMEs: []string{"cdn.test", "edge.test"}},
		},
		{
			name: "a loop of aliases", ask: "a.test", server: zone(loop...),
			want: inventory.Resolution{Status: "dns_servfail", Detail: "CNAME loop: a.test → b.test → a.test", CNAMEs: []string{"b.test", "a.test"}},
		},
		{
			name: "a loop over several questions", ask: "a.test", server: step(loop...),
			want: inventory.Resolution{Status: "dns_servfail", Detail: "CNAME loop: a.test → b.test → a.test", CNAMEs: []string{"b.test", "a.test"}},
		},
		{
			name: "an alias of something that does not exist", ask: "www.test", server: zone("www.test. 300 CNAME gone.test."),
			want: inventory.Resolution{Status: "dns_nxdomain", Detail: "gone.test, which it is an alias of, does not exist", TTL: 60, CNAMEs: []string{"gone.test"}},
		},
		{
			name: "no such name", ask: "gone.test", server: zone(),
			want: inventory.Resolution{Status: "dns_nxdomain", Detail: "does not exist", TTL: 60},
		},
		{
			name: "a name without addresses", ask: "mail.test", server: zone("mail.test. 300 MX 10 mx.test."),
			want: inventory.Resolution{Status: "dns_no_address", Detail: "has neither an A nor an AAAA record", TTL: 60},
		},
		{
			name: "no such name for AAAA alone is a load balancer's mistake", ask: "lb.test",
			server: only(dns.TypeAAAA, zone(), zone("lb.test. 300 A 192.0.2.9")),
			want:   inventory.Resolution{Status: "ok", TTL: 300, Addresses: addrs("192.0.2.9")},
		},
		{
			name: "no such name for AAAA says nothing of a failed A", ask: "lb.test",
			server: only(dns.TypeAAAA, zone(), rcode(dns.RcodeServerFailure)),
			want:   inventory.Resolution{Status: "dns_servfail", Detail: "SERVER says SERVFAIL"},
		},
		{
			name: "no A record says nothing of a failed AAAA", ask: "six.test",
			server: only(dns.TypeA, zone("six.test. 300 MX 10 mx.test."), rcode(dns.RcodeRefused)),
			want:   inventory.Resolution{Status: "dns_servfail", Detail: "SERVER says REFUSED"},
		},
		{
			name: "addresses of one family with a failure of the other", ask: "four.test",
			server: only(dns.TypeA, zone("four.test. 300 A 192.0.2.9"), rcode(dns.RcodeServerFailure)),
			want:   inventory.Resolution{Status: "ok", Partial: true, Detail: "AAAA: dns_servfail: SERVER says SERVFAIL", TTL: 300, Addresses: addrs("192.0.2.9")},
		},
		{
			name: "server failure with its reason", ask: "bogus.test",
			server: func(q *dns.Msg, _ bool) *dns.Msg {
				m := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
				m.SetEdns0(1232, false)
				m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_EDE{InfoCode: dns.ExtendedErrorCodeDNSBogus, ExtraText: "bad\x1b[31m"}}
				return m
			},
			want: inventory.Resolution{Status: "dns_servfail", Detail: `SERVER says SERVFAIL (DNSSEC Bogus: "bad\x1b[31m")`},
		},
		{
			name: "silence", ask: "shop.test", server: silent,
			want: inventory.Resolution{Status: "dns_timeout", Detail: "no answer from SERVER"},
		},
		{
			name: "a referral is not an answer", ask: "shop.test",
			server: func(q *dns.Msg, _ bool) *dns.Msg {
				m := new(dns.Msg).SetReply(q)
				m.Ns = []dns.RR{&dns.NS{Hdr: dns.RR_Header{Name: "test.", Rrtype: dns.TypeNS, Class: dns.ClassINET}, Ns: "ns.test."}}
				return m
			},
			want: inventory.Resolution{Status: "dns_servfail", Detail: "SERVER is not a resolver for us: it sent a referral"},
		},
		{
			name: "no EDNS", ask: "old.test",
			server: func(q *dns.Msg, tcp bool) *dns.Msg {
				if q.IsEdns0() != nil {
					m := new(dns.Msg).SetRcode(q, dns.RcodeFormatError)
					m.Question = nil
					return m
				}
				return zone("old.test. 300 A 192.0.2.9")(q, tcp)
			},
			want: inventory.Resolution{Status: "ok", TTL: 300, Addresses: addrs("192.0.2.9")},
		},
		{
			name: "an answer too long for UDP comes over TCP", ask: "big.test",
			server: func(q *dns.Msg, tcp bool) *dns.Msg {
				if !tcp {
					return &dns.Msg{MsgHdr: dns.MsgHdr{Id: q.Id, Response: true, Truncated: true}, Question: q.Question}
				}
				return zone("big.test. 300 A 192.0.2.9", "big.test. 300 AAAA 2001:db8::1")(q, tcp)
			},
			want: inventory.Resolution{Status: "ok", TTL: 300, Addresses: addrs("192.0.2.9", "2001:db8::1")},
		},
		{
			name: "an answer too long for UDP and no TCP", ask: "big.test",
			server: func(q *dns.Msg, tcp bool) *dns.Msg {
				m := zone("big.test. 300 A 192.0.2.9")(q, tcp)
				m.Truncated = true
				return m
			},
			want: inventory.Resolution{Status: "dns_timeout", Detail: "SERVER: the answer is too long for UDP, and over TCP: truncated as well"},
		},
		{
			name: "records of other names are ignored", ask: "shop.test",
			server: func(q *dns.Msg, tcp bool) *dns.Msg {
				m := zone("shop.test. 300 A 192.0.2.9")(q, tcp)
				m.Answer = append(m.Answer, zone("evil.test. 300 A 192.0.2.66")(new(dns.Msg).SetQuestion("evil.test.", dns.TypeA), tcp).Answer...)
				return m
			},
			want: inventory.Resolution{Status: "ok", TTL: 300, Addresses: addrs("192.0.2.9")},
		},
		{
			name: "an answer in capitals is an answer", ask: "shop.test",
			server: func(q *dns.Msg, tcp bool) *dns.Msg {
				m := zone("SHOP.test. 300 A 192.0.2.9")(q, tcp)
				m.Question[0].Name = "sHoP.test."
				return m
			},
			want: inventory.Resolution{Status: "ok", TTL: 300, Addresses: addrs("192.0.2.9")},
		},
		{
			name: "too many aliases", ask: "n0.test", server: step(chain...),
			want: inventory.Resolution{
				Status: "dns_servfail",
				Detail: "more than 10 CNAME records: n0.test → n1.test → n2.test → n3.test → n4.test → n5.test → n6.test → n7.test → n8.test → n9.test → n10.test → n11.test",
				CNAMEs: []string{"n1.test", "n2.test", "n3.test", "n4.test", "n5.test", "n6.test", "n7.test", "n8.test", "n9.test", "n10.test", "n11.test"},
			},
		},
		{
			name: "an address is its own answer", ask: "::ffff:192.0.2.7", server: silent,
			want: inventory.Resolution{Status: "ok", Addresses: addrs("192.0.2.7")},
		},
		{
			name: "localhost is never asked for", ask: "app.localhost", server: zone("app.localhost. 60 A 192.0.2.66"),
			want: inventory.Resolution{Status: "ok", Addresses: addrs("127.0.0.1", "::1"), Server: "hosts file"},
		},
		{
			name: "what is not a name", ask: strings.Repeat("a", 64) + ".test", server: silent,
			want: inventory.Resolution{Status: "dns_nxdomain", Detail: `"` + strings.Repeat("a", 64) + `.test" is not a domain name`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := serve(t, tt.server)
			got := newResolver(t, resolve.Options{Servers: []string{server}, Attempts: 2}).Resolve(t.Context(), tt.ask)
			if tt.want.Name == "" {
				tt.want.Name = strings.ToLower(strings.TrimSuffix(tt.ask, "."))
			}
			if tt.ask[0] == ':' {
				tt.want.Name = tt.ask
			}
			got.Detail = strings.ReplaceAll(got.Detail, server, "SERVER")
			if got.Server == server {
				got.Server = ""
			}
			if diff := cmp.Diff(tt.want, got, compareAddrs); diff != "" {
				t.Errorf("Resolve(%q) (-want +got):\n%s", tt.ask, diff)
			}
		})
	}
}

func TestForgedAnswersAreIgnored(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var q dns.Msg
			if err := q.Unpack(buf[:n]); err != nil {
				continue
			}
			good := zone("shop.test. 300 A 192.0.2.9", "evil.test. 300 A 192.0.2.66")
			wrongID, wrongName, notAnswer := good(&q, false), good(&q, false), good(&q, false)
			wrongID.Id++
			wrongName.Question = []dns.Question{{Name: "evil.test.", Qtype: q.Question[0].Qtype, Qclass: dns.ClassINET}}
			notAnswer.Response = false
			garbage := []byte{buf[0], buf[1], 0x80}
			_, _ = conn.WriteTo(garbage, from)
			for _, m := range []*dns.Msg{wrongID, wrongName, notAnswer} {
				m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: "shop.test.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}, A: net.IPv4(192, 0, 2, 66)}}
				b, err := m.Pack()
				if err == nil {
					_, _ = conn.WriteTo(b, from)
				}
			}
			b, err := good(&q, false).Pack()
			if err != nil {
				continue
			}
			_, _ = conn.WriteTo(append(b[:12:12], 0xff, 0xff), from) // the header, then nonsense
			_, _ = conn.WriteTo(b, from)
		}
	})
	t.Cleanup(func() { _ = conn.Close(); wg.Wait() })
	got := newResolver(t, resolve.Options{Servers: []string{conn.LocalAddr().String()}}).Resolve(t.Context(), "shop.test")
	if diff := cmp.Diff(addrs("192.0.2.9"), got.Addresses, compareAddrs); diff != "" {
		t.Errorf("%+v (-want +got):\n%s", got, diff)
	}
}

func TestHostsFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hosts := filepath.Join(dir, "hosts")
	text := "# ours\n192.0.2.7 Shop.test shop # x\n2001:db8::7\tshop.test\nfe80::1%lo0 shop.test\nnonsense shop.test\n127.0.0.5 localhost\n192.0.2.66 localhost\n"
	if err := os.WriteFile(hosts, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(conf, []byte("search corp.test\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newResolver(t, resolve.Options{ResolvConf: conf, HostsFile: hosts})
	if diff := cmp.Diff([]string{"192.0.2.53:53", "[2001:db8::53]:53"}, r.Servers()); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
	for name, want := range map[string]inventory.Resolution{
		"shop.test": {Status: "ok", Addresses: addrs("192.0.2.7", "2001:db8::7"), Server: "hosts file"},
		"shop":      {Status: "ok", Addresses: addrs("192.0.2.7"), Server: "hosts file"},
		"localhost": {Status: "ok", Addresses: addrs("127.0.0.5"), Server: "hosts file"},
	} {
		want.Name = name
		if diff := cmp.Diff(want, r.Resolve(t.Context(), strings.ToUpper(name)+"."), compareAddrs); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestNewErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := filepath.Join(dir, "resolv.conf")
	if err := os.WriteFile(empty, []byte("# none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		opt  resolve.Options
		want string
	}{
		{"no server in resolv.conf", resolve.Options{ResolvConf: empty}, "names none (name one with --resolver ADDRESS)"},
		{"no resolv.conf", resolve.Options{ResolvConf: empty + ".missing"}, "no such file or directory (name one with --resolver ADDRESS)"},
		{"a name as a server", resolve.Options{Servers: []string{"dns.example"}}, `DNS resolver "dns.example" is not an IP address`},
		{"port 0", resolve.Options{Servers: []string{"192.0.2.53:0"}}, "is not an IP address"},
		{"a hosts file that is missing", resolve.Options{Servers: []string{"192.0.2.53"}, HostsFile: empty + ".missing"}, "hosts file: open"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := resolve.New(tt.opt); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New: %v, want %q in it", err, tt.want)
			}
		})
	}
	r := newResolver(t, resolve.Options{Servers: []string{"192.0.2.53", "[2001:db8::53]:5353", "2001:db8::54", "[2001:db8::55]"}})
	want := []string{"192.0.2.53:53", "[2001:db8::53]:5353", "[2001:db8::54]:53", "[2001:db8::55]:53"}
	if diff := cmp.Diff(want, r.Servers()); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
}
