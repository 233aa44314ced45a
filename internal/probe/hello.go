package probe

import (
	"cmp"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// Extensions (IANA registry "TLS ExtensionType Values").
const (
	extServerName          = 0
	extStatusRequest       = 5
	extSupportedGroups     = 10
	extECPointFormats      = 11
	extSignatureAlgorithms = 13
	extALPN                = 16
	extSCT                 = 18
	extExtendedMaster      = 23
	extSupportedVersions   = 43
	extCookie              = 44
	extSignatureAlgsCert   = 50
	extKeyShare            = 51
	extRenegotiationInfo   = 0xff01
)

// algorithms are what a hand-made ClientHello offers.
type algorithms struct {
	suites     []uint16
	groups     []uint16
	signatures []uint16
}

// Signature schemes, and pairs of hash and signature from before TLS 1.3, by
// the key that signs.
func ecdsaSchemes() []uint16 {
	return []uint16{0x0403, 0x0503, 0x0603, 0x081a, 0x081b, 0x081c, 0x0303, 0x0203}
}

func rsaSchemes() []uint16 {
	return []uint16{0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, 0x0401, 0x0501, 0x0601, 0x0301, 0x0201, 0x0101}
}

func otherSchemes() []uint16 {
	return []uint16{
		0x0807, 0x0808, // Ed25519, Ed448
		0x0904, 0x0905, 0x0906, // ML-DSA
		0x0402, 0x0502, 0x0602, 0x0302, 0x0202, // DSA
		0x0840, 0x0841, 0xeeee, 0xefef, 0xeded, // GOST
	}
}

func allSchemes() []uint16 {
	return append(append(ecdsaSchemes(), rsaSchemes()...), otherSchemes()...)
}

// The kinds of key that an offer may ask for, as suites are named after them.
const (
	kindECDSA = "ECDSA"
	kindRSA   = "RSA"
)

// schemes returns the signature algorithms of one kind of key, or all.
func schemes(kind string) []uint16 {
	switch kind {
	case kindECDSA:
		return ecdsaSchemes()
	case kindRSA:
		return rsaSchemes()
	}
	return allSchemes()
}

// ids are the suites of the tables for one kind of key, or all.
func ids(kind string, tables ...[]suite) []uint16 {
	var list []uint16
	for _, table := range tables {
		for _, s := range table {
			if kind == "" || strings.Contains(s.name, "_"+kind+"_") {
				list = append(list, s.id)
			}
		}
	}
	return list
}

// commonList is what ordinary clients offer for TLS 1.2 and before.
func commonList() algorithms {
	return algorithms{
		suites:     ids("", commonSuites),
		groups:     []uint16{29, 23, 24, 25},
		signatures: schemes(""),
	}
}

// legacyList is everything for TLS 1.2 and before, for one kind of key or all.
// The groups end with those that nobody should use. The named groups of RFC
// 7919 are absent: a server that finds them may not use its own, but has to use
// them.
func legacyList(kind string) algorithms {
	return algorithms{
		suites: ids(kind, commonSuites, rareSuites),
		groups: []uint16{
			29, 23, 24, 25, 30, 26, 27, 28, 22, 21, 19,
			14, 13, 12, 11, 10, 9, 20, 18, 17, 16, 15, 8, 7, 6, 5, 4, 3, 2, 1,
		},
		signatures: schemes(kind),
	}
}

// modernList is everything for TLS 1.3 that can be carried through here.
func modernList(kind string) algorithms {
	return algorithms{
		suites:     []uint16{0x1301, 0x1302, 0x1303},
		groups:     []uint16{29, 23, 24, 25},
		signatures: schemes(kind),
	}
}

// A clientHello is a hand-made one.
type clientHello struct {
	algorithms
	serverName string
	random     [32]byte
	version    uint16 // the highest offered without a share; 0 is TLS 1.2
	bare       bool   // without extensions

	// For TLS 1.3 only, which is offered if there is a share.
	session [32]byte
	group   uint16 // of share
	share   []byte
	cookie  []byte
}

// message returns the handshake message, header included.
func (c *clientHello) message() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddUint8(1) // client_hello
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint16(cmp.Or(c.version, 0x0303))
		b.AddBytes(c.random[:])
		b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) {
			if c.share != nil {
				b.AddBytes(c.session[:]) // middlebox compatibility: RFC 8446, appendix D.4
			}
		})
		addList(b, c.suites)
		b.AddBytes([]byte{1, 0}) // no compression
		if c.bare {
			return
		}
		b.AddUint16LengthPrefixed(c.extensions)
	})
	return b.Bytes()
}

func (c *clientHello) extensions(b *cryptobyte.Builder) {
	if c.serverName != "" {
		addExtension(b, extServerName, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
				b.AddUint8(0) // host_name
				b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(c.serverName)) })
			})
		})
	}
	addExtension(b, extSupportedGroups, func(b *cryptobyte.Builder) { addList(b, c.groups) })
	addExtension(b, extSignatureAlgorithms, func(b *cryptobyte.Builder) { addList(b, c.signatures) })
	if c.share == nil {
		addExtension(b, extECPointFormats, func(b *cryptobyte.Builder) { b.AddBytes([]byte{3, 0, 1, 2}) })
		addExtension(b, extExtendedMaster, func(*cryptobyte.Builder) {})
		addExtension(b, extRenegotiationInfo, func(b *cryptobyte.Builder) { b.AddUint8(0) })
		return
	}
	// The chain may be signed by anything, whatever kind of key is asked for.
	addExtension(b, extSignatureAlgsCert, func(b *cryptobyte.Builder) { addList(b, allSchemes()) })
	addExtension(b, extStatusRequest, func(b *cryptobyte.Builder) { b.AddBytes([]byte{1, 0, 0, 0, 0}) })
	addExtension(b, extSCT, func(*cryptobyte.Builder) {})
	addExtension(b, extSupportedVersions, func(b *cryptobyte.Builder) { b.AddBytes([]byte{2, 3, 4}) })
	addExtension(b, extKeyShare, func(b *cryptobyte.Builder) {
		b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
			b.AddUint16(c.group)
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(c.share) })
		})
	})
	if c.cookie != nil {
		addExtension(b, extCookie, func(b *cryptobyte.Builder) {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(c.cookie) })
		})
	}
}

func addExtension(b *cryptobyte.Builder, typ uint16, body cryptobyte.BuilderContinuation) {
	b.AddUint16(typ)
	b.AddUint16LengthPrefixed(body)
}

func addList(b *cryptobyte.Builder, list []uint16) {
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, v := range list {
			b.AddUint16(v)
		}
	})
}

// record wraps a handshake message for the wire. Version 3.1 is what first
// records have always had.
func record(msg []byte) []byte {
	return append([]byte{recordHandshake, 3, 1, byte(len(msg) >> 8), byte(len(msg))}, msg...)
}
