package discover_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/inventory"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	target := func(proto inventory.Protocol, host, address string, port uint16) inventory.Target {
		return inventory.Target{Protocol: proto, Host: host, Address: address, Port: port}
	}
	for _, tt := range []struct {
		name, in string
		want     inventory.Target
		wantKey  string
	}{
		{"a name alone is TLS on 443", "example.com", target("tls", "example.com", "", 443), "example.com:443"},
		{"a port", "example.com:8443", target("tls", "example.com", "", 8443), "example.com:8443"},
		{"space around is dropped", " example.com \r\n", target("tls", "example.com", "", 443), "example.com:443"},
		{"one label is a name", "localhost", target("tls", "localhost", "", 443), "localhost:443"},
		{"upper case and the root's dot are dropped", "WWW.Example.COM.:443", target("tls", "www.example.com", "", 443), "www.example.com:443"},
		{"underscores are allowed", "_mta-sts.under_score.example", target("tls", "_mta-sts.under_score.example", "", 443), "_mta-sts.under_score.example:443"},
		{"hyphens in third and fourth place are allowed", "r3---sn-4g5.example", target("tls", "r3---sn-4g5.example", "", 443), "r3---sn-4g5.example:443"},
		{"a label may be digits if it is not the last", "163.example", target("tls", "163.example", "", 443), "163.example:443"},
		{"Unicode becomes A-labels", "bücher.example", target("tls", "xn--bcher-kva.example", "", 443), "xn--bcher-kva.example:443"},
		{"Unicode in capitals and with another dot is the same", "BÜCHER。example", target("tls", "xn--bcher-kva.example", "", 443), "xn--bcher-kva.example:443"},
		{"sharp s is a letter of its own", "straße.example", target("tls", "xn--strae-oqa.example", "", 443), "xn--strae-oqa.example:443"},
		{"Unicode beside an underscore", "_dmarc.bücher.example", target("tls", "_dmarc.xn--bcher-kva.example", "", 443), "_dmarc.xn--bcher-kva.example:443"},
		{"an A-label is kept", "XN--BCHER-KVA.example", target("tls", "xn--bcher-kva.example", "", 443), "xn--bcher-kva.example:443"},
		{"full-width digits are an address", "１９２.0.2.7", target("tls", "192.0.2.7", "", 443), "192.0.2.7:443"},

		{"IPv4", "192.0.2.7", target("tls", "192.0.2.7", "", 443), "192.0.2.7:443"},
		{"IPv4 with a port", "192.0.2.7:8443", target("tls", "192.0.2.7", "", 8443), "192.0.2.7:8443"},
		{"bare IPv6", "2001:db8::7", target("tls", "2001:db8::7", "", 443), "[2001:db8::7]:443"},
		{"bare IPv6 has no port, whatever it looks like", "2001:db8::7:8443", target("tls", "2001:db8::7:8443", "", 443), "[2001:db8::7:8443]:443"},
		{"IPv6 in brackets", "[2001:DB8:0::7]", target("tls", "2001:db8::7", "", 443), "[2001:db8::7]:443"},
		{"IPv6 in brackets with a port", "[2001:db8::7]:993", target("tls", "2001:db8::7", "", 993), "[2001:db8::7]:993"},
		{"IPv4 in IPv6 is IPv4", "[::ffff:192.0.2.7]:443", target("tls", "192.0.2.7", "", 443), "192.0.2.7:443"},

		{"a protocol brings its port", "smtp://mx.example.com", target("smtp", "mx.example.com", "", 25), "smtp://mx.example.com:25"},
		{"a protocol with a port", "postgres://db.example.com:6432", target("postgres", "db.example.com", "", 6432), "postgres://db.example.com:6432"},
		{"tls is the default spelt out", "tls://example.com:8443", target("tls", "example.com", "", 8443), "example.com:8443"},
		{"the scheme's case does not matter", "IMAP://mail.example.com", target("imap", "mail.example.com", "", 143), "imap://mail.example.com:143"},
		{"https with a path", "https://example.com/path?q=1#top", target("tls", "example.com", "", 443), "example.com:443"},
		{"https with a query", "https://example.com?q=1", target("tls", "example.com", "", 443), "example.com:443"},
		{"https with a port", "https://example.com:8443/", target("tls", "example.com", "", 8443), "example.com:8443"},
		{"https with IPv6", "https://[2001:db8::7]/", target("tls", "2001:db8::7", "", 443), "[2001:db8::7]:443"},
		{"imaps is plain TLS on 993", "imaps://mail.example.com", target("tls", "mail.example.com", "", 993), "mail.example.com:993"},
		{"smtps is plain TLS on 465", "smtps://mail.example.com", target("tls", "mail.example.com", "", 465), "mail.example.com:465"},
		{"ldaps with a base", "ldaps://ldap.example.com/dc=example", target("tls", "ldap.example.com", "", 636), "ldap.example.com:636"},
		{"submission is smtp on 587", "submission://mail.example.com", target("smtp", "mail.example.com", "", 587), "smtp://mail.example.com:587"},

		{"pinned to an address", "www.example.com@192.0.2.7", target("tls", "www.example.com", "192.0.2.7", 443), "www.example.com@192.0.2.7:443"},
		{"pinned to a bare IPv6 address", "www.example.com@2001:db8::7", target("tls", "www.example.com", "2001:db8::7", 443), "www.example.com@[2001:db8::7]:443"},
		{"pinned to IPv6 with a port", "www.example.com@[2001:db8::7]:8443", target("tls", "www.example.com", "2001:db8::7", 8443), "www.example.com@[2001:db8::7]:8443"},
		{"pinned to another name", "shop.example@LB-1.cloud.example:443", target("tls", "shop.example", "lb-1.cloud.example", 443), "shop.example@lb-1.cloud.example:443"},
		{"pinned with a protocol", "smtp://mx.example.com@192.0.2.7", target("smtp", "mx.example.com", "192.0.2.7", 25), "smtp://mx.example.com@192.0.2.7:25"},
		{"an IPv6 address pinned to another", "[2001:db8::7]@192.0.2.7", target("tls", "2001:db8::7", "192.0.2.7", 443), "[2001:db8::7]@192.0.2.7:443"},
		{"pinned to itself is not pinned", "example.com@Example.com", target("tls", "example.com", "", 443), "example.com:443"},
		{"the longest name", strings.Repeat("a.", 126) + "a", target("tls", strings.Repeat("a.", 126)+"a", "", 443), strings.Repeat("a.", 126) + "a:443"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := discover.ParseTarget(tt.in)
			if err != nil {
				t.Fatalf("ParseTarget(%q): %v", tt.in, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("ParseTarget(%q) (-want +got):\n%s", tt.in, diff)
			}
			if got.Key() != tt.wantKey {
				t.Errorf("key = %q, want %q", got.Key(), tt.wantKey)
			}
			again, err := discover.ParseTarget(got.Key())
			if err != nil || !cmp.Equal(again, got) {
				t.Errorf("ParseTarget(%q) = %+v, %v, want the same target", got.Key(), again, err)
			}
		})
	}
}

func TestParseTargetErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", " ", "empty"},
		{"two targets", "a.example b.example", "one target a line"},
		{"a control character", "a\x1b[31m.example", "control character"},
		{"too long", strings.Repeat("a", 5000), "longer than 4096"},
		{"a wildcard", "*.example.com", "a wildcard names no server"},
		{"a network", "192.0.2.0/24", "networks such as 192.0.2.0/24 are not targets"},
		{"a path without a scheme", "example.com/path", "the whole URL with https://"},
		{"a user name in a URL", "https://user@example.com/", "could be a user name"},
		{"a pin in a URL", "https://example.com@192.0.2.7", "write NAME@ADDRESS:PORT"},
		{"an @ in a path", "https://example.com/@user", "could be a user name"},
		{"an @ in a path of another protocol", "ldaps://example.com/@user", "could be a user name"},
		{"http", "http://example.com", "http has no certificate"},
		{"an unknown protocol lists the known ones", "gopher://example.com", "it is one of tls, smtp, lmtp"},
		{"no protocol", "://example.com", "no protocol before"},
		{"port before the pin", "example.com:8443@192.0.2.7", "write example.com@192.0.2.7:8443"},
		{"an empty pin", "example.com@", "nothing after the @"},
		{"an empty pin with a port", "example.com@:443", "nothing after the @"},
		{"two pins", "example.com@192.0.2.7@192.0.2.8", "has two @"},
		{"no name", ":443", "no host name"},
		{"no name before a pin", "@192.0.2.7", "no host name"},
		{"an empty port", "example.com:", "ends in a colon"},
		{"port 0", "example.com:0", "1 to 65535"},
		{"port 65536", "example.com:65536", "1 to 65535"},
		{"a negative port", "example.com:-1", "1 to 65535"},
		{"a named port", "example.com:https", "1 to 65535"},
		{"two ports", "example.com:1:2", "one colon"},
		{"an IPv4 address out of range", "192.0.2.300", "not an IPv4 address"},
		{"half an IPv4 address", "10.1", "not an IPv4 address"},
		{"a hexadecimal address", "0x7f000001", "not an IPv4 address"},
		{"an IPv6 address that is none", "[2001:db8::g]:443", "not an IPv6 address"},
		{"a name in brackets", "[example.com]:443", "hold no IPv6 address"},
		{"an open bracket", "[2001:db8::7", "hold no IPv6 address"},
		{"rubbish after the bracket", "[2001:db8::7]443", "after the bracket"},
		{"a zone", "[fe80::1%eth0]:443", "has a zone"},
		{"the unspecified address", "0.0.0.0:443", "not the address of one machine"},
		{"multicast", "ff02::1", "not the address of one machine"},
		{"two dots", "example..com", "empty label"},
		{"a dot in front", ".example.com", "empty label"},
		{"only a dot", ".", "empty label"},
		{"a hyphen in front", "-example.com", "hyphen"},
		{"a label of 64 octets", strings.Repeat("a", 64) + ".example", "longer than 63"},
		{"a name of 255 octets", strings.Repeat("a.", 127) + "a", "longer than 253"},
		{"a comma", "a.example,b.example", `has a ',' in it`},
		{"not UTF-8", "b\xfccher.example", "not UTF-8"},
		{"Unicode that hides a slash", "example.com／path", "no host name has"},
		{"a bad pin", "example.com@192.0.2.300", "after the @"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := discover.ParseTarget(tt.in)
			if err == nil {
				t.Fatalf("ParseTarget(%q) = %v, want an error", tt.in, got)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseTarget(%q): %v, want %q in it", tt.in, err, tt.want)
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) || len(err.Error()) > 700 {
				t.Errorf("the message is not fit for a terminal: %q", err)
			}
		})
	}
}

func TestParseTargetAs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in, want string
		proto          inventory.Protocol
	}{
		{"the default protocol and its port", "mx.example.com", "smtp://mx.example.com:25", inventory.SMTP},
		{"the default protocol on another port", "mx.example.com:587", "smtp://mx.example.com:587", inventory.SMTP},
		{"what is written wins", "https://example.com", "example.com:443", inventory.SMTP},
		{"no default is TLS", "example.com", "example.com:443", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := discover.ParseTargetAs(tt.in, tt.proto)
			if err != nil || got.Key() != tt.want {
				t.Errorf("ParseTargetAs(%q, %q) = %v, %v, want %s", tt.in, tt.proto, got, err, tt.want)
			}
		})
	}
	if got, err := discover.ParseTargetAs("example.com", "gopher"); err == nil {
		t.Errorf("an unknown default protocol gave %v", got)
	}
}

func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{
		"example.com", "example.com:8443", "[2001:db8::7]:443", "2001:db8::7", "smtp://mx.example.com", "https://example.com/path",
		"www.example.com@192.0.2.7", "shop.example@lb-1.cloud.example:443", "bücher.example", "*.example.com", "[::ffff:192.0.2.7]",
		"１.2.3.4", "a@a", "xn--a", "ǅ.example", "0x7f.1", "a\u200db.example",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := discover.ParseTarget(s)
		if err != nil {
			return
		}
		if len(got.Host) > 253 || got.Port == 0 || !got.Protocol.Valid() {
			t.Fatalf("ParseTarget(%q) = %+v", s, got)
		}
		again, err := discover.ParseTarget(got.Key())
		if err != nil || !cmp.Equal(got, again) {
			t.Fatalf("ParseTarget(%q) = %+v, but its key %q parses as %+v, %v", s, got, got.Key(), again, err)
		}
	})
}
