package conformance_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

// now is when the cases are judged, unless they say otherwise.
var now = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// Object identifiers, encoded.
const (
	oidSKI               = "\x55\x1d\x0e"
	oidKeyUsage          = "\x55\x1d\x0f"
	oidSAN               = "\x55\x1d\x11"
	oidBasicConstraints  = "\x55\x1d\x13"
	oidNameConstraints   = "\x55\x1d\x1e"
	oidAKI               = "\x55\x1d\x23"
	oidPolicyConstraints = "\x55\x1d\x24"
	oidEKU               = "\x55\x1d\x25"
	oidAIA               = "\x2b\x06\x01\x05\x05\x07\x01\x01"
	oidPrivate           = "\x2b\x06\x01\x04\x01\x83\xb3\x3a\x85\x1a\x01"

	serverAuth     = "\x2b\x06\x01\x05\x05\x07\x03\x01"
	clientAuth     = "\x2b\x06\x01\x05\x05\x07\x03\x02"
	codeSigning    = "\x2b\x06\x01\x05\x05\x07\x03\x03"
	emailUse       = "\x2b\x06\x01\x05\x05\x07\x03\x04"
	timeStamping   = "\x2b\x06\x01\x05\x05\x07\x03\x08"
	ocspSigning    = "\x2b\x06\x01\x05\x05\x07\x03\x09"
	precertSigning = "\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x04"
	anyUse         = "\x55\x1d\x25\x00"
)

// der encodes one element.
func der(tag byte, parts ...string) string {
	content := strings.Join(parts, "")
	n := len(content)
	switch {
	case n < 0x80:
		return string([]byte{tag, byte(n)}) + content
	case n < 0x100:
		return string([]byte{tag, 0x81, byte(n)}) + content
	case n < 0x10000:
		return string([]byte{tag, 0x82, byte(n >> 8), byte(n)}) + content
	}
	return string([]byte{tag, 0x83, byte(n >> 16), byte(n >> 8), byte(n)}) + content
}

func seq(parts ...string) string { return der(0x30, parts...) }
func oid(encoded string) string  { return der(0x06, encoded) }

func integer(tb testing.TB, n *big.Int) string {
	tb.Helper()
	b, err := asn1.Marshal(n)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// dn is a distinguished name of common names, one each relative name.
func dn(commonNames ...string) string {
	var rdns string
	for _, cn := range commonNames {
		rdns += der(0x31, seq(oid("\x55\x04\x03"), der(0x0c, cn)))
	}
	return seq(rdns)
}

// General names.
func dns(n string) string   { return der(0x82, n) }
func email(n string) string { return der(0x81, n) }
func dir(n string) string   { return der(0xa4, n) }
func other() string         { return der(0xa0, oid(oidPrivate), der(0xa0, der(0x05))) }
func ip(n string) string    { return der(0x87, string(netip.MustParseAddr(n).AsSlice())) }

// network is an address and mask.
func network(n string) string {
	p := netip.MustParsePrefix(n)
	mask := make([]byte, p.Addr().BitLen()/8)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return der(0x87, string(p.Addr().AsSlice()), string(mask))
}

// constraints is the value of nameConstraints; nil leaves a field out.
func constraints(permitted, excluded []string) string {
	var fields string
	for i, list := range [][]string{permitted, excluded} {
		if list == nil {
			continue
		}
		var trees string
		for _, base := range list {
			trees += seq(base)
		}
		fields += der(byte(0xa0+i), trees)
	}
	return seq(fields)
}

// An authority is a certificate with its key.
type authority struct {
	tb   testing.TB
	der  []byte
	name string // subject
	spki string
	key  crypto.Signer
}

// A spec is what a certificate is to be.
type spec struct {
	issuer, subject string
	serial          *big.Int
	from, to        time.Time
	version         int
	key             crypto.Signer
	spki            string // of key, unless set
	outerAlg        string // as inside, unless set
	exts            []extension
	bare            bool // without extensions
}

type extension struct {
	oid      string
	critical bool
	value    string
}

type option func(*spec)

// set adds an extension or takes the place of the one with that identifier.
func set(id string, critical bool, value string) option {
	return func(s *spec) {
		drop(id)(s)
		s.exts = append(s.exts, extension{id, critical, value})
	}
}

func drop(id string) option {
	return func(s *spec) {
		s.exts = slices.DeleteFunc(s.exts, func(e extension) bool { return e.oid == id })
	}
}

// mark makes an extension critical, or not.
func mark(id string, critical bool) option {
	return func(s *spec) {
		for i := range s.exts {
			if s.exts[i].oid == id {
				s.exts[i].critical = critical
			}
		}
	}
}

// twice repeats an extension.
func twice(id string) option {
	return func(s *spec) {
		i := slices.IndexFunc(s.exts, func(e extension) bool { return e.oid == id })
		s.exts = append(s.exts, s.exts[i])
	}
}

func names(n ...string) option       { return set(oidSAN, false, seq(n...)) }
func subject(n string) option        { return func(s *spec) { s.subject = n } }
func issuer(n string) option         { return func(s *spec) { s.issuer = n } }
func serial(n *big.Int) option       { return func(s *spec) { s.serial = n } }
func withKey(k crypto.Signer) option { return func(s *spec) { s.key = k } }
func withSPKI(spki string) option    { return func(s *spec) { s.spki = spki } }
func valid(from, to time.Time) option {
	return func(s *spec) { s.from, s.to = from, to }
}

// usage is a keyUsage of the bits of the first octet.
func usage(critical bool, bits byte) option {
	return set(oidKeyUsage, critical, der(0x03, "\x00"+string([]byte{bits})))
}

func uses(critical bool, ids ...string) option {
	var list string
	for _, id := range ids {
		list += oid(id)
	}
	return set(oidEKU, critical, seq(list))
}

func basic(critical, ca bool, pathLen int) option {
	var fields string
	if ca {
		fields = der(0x01, "\xff")
	}
	if pathLen >= 0 {
		fields += der(0x02, string([]byte{byte(pathLen)}))
	}
	return set(oidBasicConstraints, critical, seq(fields))
}

func limit(pathLen int) option { return basic(true, true, pathLen) }

func nameLimits(permitted, excluded []string) option {
	return set(oidNameConstraints, true, constraints(permitted, excluded))
}

func newKey(tb testing.TB) crypto.Signer {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func newRSA(tb testing.TB, bits int) crypto.Signer {
	tb.Helper()
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func keyID(spki string) string {
	sum := sha1.Sum([]byte(spki))
	return string(sum[:])
}

func spkiOf(tb testing.TB, k crypto.Signer) string {
	tb.Helper()
	b, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func aki(id string) string { return seq(der(0x80, id)) }

// newRoot issues a self-signed root.
func newRoot(tb testing.TB, opts ...option) *authority {
	tb.Helper()
	name := dn("limbo root")
	return issue(tb, nil, spec{issuer: name, subject: name, from: now.Add(-2000 * day), to: now.Add(2000 * day)},
		append([]option{limit(-1), usage(true, 0x06), names(dns("example.com"))}, opts...))
}

// ca issues an intermediate.
func (a *authority) ca(opts ...option) *authority {
	a.tb.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		a.tb.Fatal(err)
	}
	return issue(a.tb, a, spec{issuer: a.name, subject: dn("limbo intermediate " + n.String()), from: now.Add(-1000 * day), to: now.Add(1000 * day)},
		append([]option{limit(-1), usage(true, 0x06), names(dns("example.com"))}, opts...))
}

// leaf issues a server's certificate.
func (a *authority) leaf(opts ...option) *authority {
	a.tb.Helper()
	return issue(a.tb, a, spec{issuer: a.name, subject: dn("example.com"), from: now.Add(-10 * day), to: now.Add(80 * day)},
		append([]option{usage(true, 0x80), uses(false, serverAuth), names(dns("example.com"))}, opts...))
}

// issue signs what the options make of s. Key identifiers are added first, so
// that options can change them.
func issue(tb testing.TB, by *authority, s spec, opts []option) *authority {
	tb.Helper()
	for _, o := range opts { // for the key
		o(&s)
	}
	if s.key == nil {
		s.key = newKey(tb)
	}
	if s.spki == "" {
		s.spki = spkiOf(tb, s.key)
	}
	signer := s.key
	identifiers := []option{set(oidSKI, false, der(0x04, keyID(s.spki)))}
	if by != nil {
		signer = by.key
		identifiers = append(identifiers, set(oidAKI, false, aki(keyID(by.spki))))
	}
	s.exts = nil
	for _, o := range append(identifiers, opts...) {
		o(&s)
	}
	body := s.body(tb, algorithm(signer))
	sum := sha256.Sum256([]byte(body))
	sig, err := signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		tb.Fatal(err)
	}
	outer := algorithm(signer)
	if s.outerAlg != "" {
		outer = s.outerAlg
	}
	return &authority{tb, []byte(seq(body, outer, der(0x03, "\x00", string(sig)))), s.subject, s.spki, s.key}
}

func algorithm(k crypto.Signer) string {
	if _, ok := k.(*rsa.PrivateKey); ok {
		return seq(oid("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"), der(0x05))
	}
	return seq(oid("\x2a\x86\x48\xce\x3d\x04\x03\x02"))
}

// body is the TBSCertificate.
func (s *spec) body(tb testing.TB, alg string) string {
	tb.Helper()
	if s.serial == nil {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
		if err != nil {
			tb.Fatal(err)
		}
		s.serial = n.SetBit(n, 120, 1)
	}
	version := der(0xa0, der(0x02, "\x02"))
	if s.version == 1 {
		version = ""
	}
	at := func(t time.Time) string {
		if t.Year() >= 2050 {
			return der(0x18, t.UTC().Format("20060102150405Z"))
		}
		return der(0x17, t.UTC().Format("060102150405Z"))
	}
	var exts string
	for _, e := range s.exts {
		critical := ""
		if e.critical {
			critical = der(0x01, "\xff")
		}
		exts += seq(oid(e.oid), critical, der(0x04, e.value))
	}
	if exts = der(0xa3, seq(exts)); s.bare {
		exts = ""
	}
	return seq(version, integer(tb, s.serial), alg, s.issuer, seq(at(s.from), at(s.to)), s.subject, s.spki, exts)
}
