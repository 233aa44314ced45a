package conformance_test

import (
	"strings"
	"testing"
)

// nameCases are names, and the common name.
func nameCases() []limboCase {
	// common is a leaf with the common name and one name, asked for as host.
	common := func(host, cn, name string) func(testing.TB) given {
		return as(host, direct(nil, with(subject(dn(cn)), names(name))))
	}
	const mismatch = "name_mismatch"
	return []limboCase{
		{"webpki::cn::ipv4-hex-mismatch", common("192.5.6.30", "0xC005061E", ip("192.5.6.30")), "", found("cn_not_in_san")},
		{"webpki::cn::ipv4-leading-zeros-mismatch", common("192.5.6.30", "192.005.006.030", ip("192.5.6.30")), "", found("cn_not_in_san")},
		{"webpki::cn::ipv6-uppercase-mismatch", common("2606:4700::8a2e:370:7334", "2606:4700::8A2E:370:7334", ip("2606:4700::8a2e:370:7334")), "", found("cn_not_in_san")},
		{"webpki::cn::ipv6-uncompressed-mismatch", common("2606:4700::1", "2606:4700:0000:0000:0000:0000:0000:0001", ip("2606:4700::1")), "", found("cn_not_in_san")},
		{"webpki::cn::ipv6-non-rfc5952-mismatch", common("2606:4700::1:0:0:1", "2606:4700:0:0:1:0:0:1", ip("2606:4700::1:0:0:1")), "", found("cn_not_in_san")},
		{"webpki::cn::punycode-not-in-san", common("xn--n3h.com", "xn--nxasmq6b.com", dns("xn--n3h.com")), "", found("cn_not_in_san")},
		{"webpki::cn::utf8-vs-punycode-mismatch", common("xn--test--wg5h0h.com", "test-測試.com", dns("xn--test--wg5h0h.com")), "", found("cn_not_in_san")},
		{"webpki::cn::not-in-san", common("valid.example.com", "notinsan.example.com", dns("valid.example.com")), "", found("cn_not_in_san")},
		{"webpki::cn::case-mismatch", common("example.com", "Example.COM", dns("example.com")), "", found("cn_not_in_san")},
		{"own::cn::ip-copied", common("192.5.6.30", "192.5.6.30", ip("192.5.6.30")), "", nil},
		{"own::cn::several", direct(nil, with(subject(dn("example.com", "example.com")))), "", found("cn_several")},
		{"own::cn::none", named("example.com", dns("example.com")), "", nil},

		{"webpki::san::exact-dns-san", named("example.com", dns("example.com")), "", nil},
		{"webpki::san::exact-localhost-ip-san", named("127.0.0.1", ip("127.0.0.1")), "", found("san_reserved_address")},
		{"webpki::san::mismatch-domain-san", named("example2.com", dns("example.com")), "", found(mismatch)},
		{"webpki::san::mismatch-subdomain-san", named("def.example.com", dns("abc.example.com")), "", found(mismatch)},
		{"webpki::san::mismatch-subdomain-apex-san", named("abc.example.com", dns("example.com")), "", found(mismatch)},
		{"webpki::san::mismatch-apex-subdomain-san", named("example.com", dns("abc.example.com")), "", found(mismatch)},
		{"webpki::san::public-suffix-wildcard-san", named("example.com", dns("*.com")), "", found("wildcard_public_suffix")},
		{"own::san::public-suffix-wildcard-second-level", named("example.co.uk", dns("*.co.uk")), "", found("wildcard_public_suffix")},
		{"own::san::public-suffix-wildcard-upper-case", named("example.com.au", dns("*.COM.au")), "", found("wildcard_public_suffix")},
		{"own::san::private-section-wildcard-san", named("me.github.io", dns("*.github.io")), "", nil},
		{"webpki::san::leftmost-wildcard-san", named("foo.example.com", dns("*.example.com")), "", nil},
		{"webpki::san::wildcard-embedded-leftmost-san", named("baz.example.com", dns("ba*.example.com")), "", found(mismatch, "san_wildcard")},
		{"webpki::san::wildcard-not-in-leftmost-san", named("foo.bar.example.com", dns("foo.*.example.com")), "", found(mismatch, "san_wildcard")},
		{"webpki::san::wildcard-match-across-labels-san", named("foo.bar.example.com", dns("*.example.com")), "", found(mismatch)},
		{"webpki::san::wildcard-embedded-ulabel-san", named("xn--bliss-1b3c148a.example.com", dns("xn--*-1b3c148a.example.com")), "", found(mismatch, "san_wildcard")},
		{"own::san::bare-wildcard-san", named("example.com", dns("*")), "", found(mismatch, "san_wildcard")},
		{"webpki::san::unicode-emoji-san", named("xn--628h.example.com", dns("😜.example.com")), "", found("malformed_san")},
		{"webpki::san::no-san", direct(nil, with(drop(oidSAN))), "", found("no_san")},
		{"webpki::san::san-critical-with-nonempty-subject", direct(nil, with(mark(oidSAN, true))), "", found("san_critical")},
		{"own::san::wildcard-of-apex", named("example.com", dns("*.example.com")), "", found(mismatch)},
		{"own::san::dns-name-that-is-an-address", named("192.5.6.30", dns("192.5.6.30")), "", found(mismatch, "san_internal_name")},
		{"own::san::internal-name", named("printer", dns("printer")), "", found("san_internal_name")},
		{"own::san::label-too-long", named("example.com", dns("example.com"), dns(strings.Repeat("a", 64)+".example.com")), "", found("san_syntax")},
		{"own::san::uri", named("example.com", dns("example.com"), der(0x86, "https://example.com/")), "", found("san_kind")},
		{"own::san::mixed-case", named("www.example.com", dns("WWW.Example.com")), "", nil},
	}
}
