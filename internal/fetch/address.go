package fetch

import (
	"encoding/binary"
	"net/netip"
)

// A special is a block of the IANA special-purpose address registries (RFC
// 6890) whose addresses are nobody's public server.
type special struct {
	prefix netip.Prefix
	what   string
}

// specials are the blocks in IPv4, then those inside IPv6's 2000::/3; IPv6
// outside of that is not public as a whole. A narrower block stands before the
// one that it is in.
var specials = parseSpecials([][2]string{
	{"169.254.169.254/32", "a cloud metadata address"},
	{"169.254.170.2/32", "a cloud metadata address"},
	{"100.100.100.200/32", "a cloud metadata address"},
	{"192.0.0.192/32", "a cloud metadata address"},
	{"0.0.0.0/8", "an unspecified address"},
	{"10.0.0.0/8", "a private address"},
	{"100.64.0.0/10", "a shared (CGNAT) address"},
	{"127.0.0.0/8", "a loopback address"},
	{"169.254.0.0/16", "a link-local address"},
	{"172.16.0.0/12", "a private address"},
	{"192.0.0.0/24", "a reserved address"},
	{"192.0.2.0/24", "a documentation address"},
	{"192.88.99.0/24", "a reserved address"},
	{"192.168.0.0/16", "a private address"},
	{"198.18.0.0/15", "a benchmarking address"},
	{"198.51.100.0/24", "a documentation address"},
	{"203.0.113.0/24", "a documentation address"},
	{"224.0.0.0/4", "a multicast address"},
	{"255.255.255.255/32", "the broadcast address"},
	{"240.0.0.0/4", "a reserved address"},

	{"fd00:ec2::254/128", "a cloud metadata address"},
	{"fd20:ce::254/128", "a cloud metadata address"},
	{"::/128", "an unspecified address"},
	{"::1/128", "a loopback address"},
	{"fc00::/7", "a private address"},
	{"fe80::/10", "a link-local address"},
	{"fec0::/10", "a private (site-local) address"},
	{"ff00::/8", "a multicast address"},
	{"64:ff9b:1::/48", "a private (NAT64) address"},
	{"2001:db8::/32", "a documentation address"},
	{"3fff::/20", "a documentation address"},
	{"2001:2::/48", "a benchmarking address"},
	{"2001:10::/28", "a reserved address"},
	{"2001:20::/28", "a reserved address"},
})

func parseSpecials(blocks [][2]string) []special {
	all := make([]special, len(blocks))
	for i, b := range blocks {
		all[i] = special{netip.MustParsePrefix(b[0]), b[1]}
	}
	return all
}

// The blocks of IPv6 that are public, or that IPv4 addresses are wrapped in.
var (
	global = netip.MustParsePrefix("2000::/3")
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052
	sixTo4 = netip.MustParsePrefix("2002::/16")    // RFC 3056
	teredo = netip.MustParsePrefix("2001::/32")    // RFC 4380
)

// Special says what addr is if it is not a public unicast address, such as
// "loopback", and "" otherwise.
func Special(addr netip.Addr) string { return notPublic(addr) }

// notPublic says what addr is if it is not a public unicast address, and ""
// otherwise. An IPv6 address that is only a wrapping of an IPv4 address is
// judged by what is inside.
func notPublic(addr netip.Addr) string {
	addr = addr.WithZone("").Unmap()
	for _, s := range specials {
		if s.prefix.Contains(addr) {
			return s.what
		}
	}
	if addr.Is4() {
		return ""
	}
	for _, v4 := range embedded(addr) {
		if what := notPublic(v4); what != "" {
			return what + " (" + v4.String() + ") in IPv6"
		}
	}
	if !global.Contains(addr) && !nat64.Contains(addr) {
		return "not a public address"
	}
	return ""
}

// embedded returns the IPv4 addresses that packets for addr, or answers to
// them, may end at.
func embedded(addr netip.Addr) []netip.Addr {
	b := addr.As16()
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	var all []netip.Addr
	switch {
	case nat64.Contains(addr):
		all = append(all, at(12))
	case sixTo4.Contains(addr):
		all = append(all, at(2))
	case teredo.Contains(addr): // server, and client inverted
		client := at(12).As4()
		for i := range client {
			client[i] ^= 0xff
		}
		all = append(all, at(4), netip.AddrFrom4(client))
	}
	if id := binary.BigEndian.Uint32(b[8:12]); id == 0x00005efe || id == 0x02005efe { // ISATAP, RFC 5214
		all = append(all, at(12))
	}
	return all
}
