package verify_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"example.com/certscan/internal/crl"
	"example.com/certscan/internal/inventory"
)

// A list is a revocation list to be issued. Left alone, it is one by RFC 5280 of
// an hour ago for a week, without entries.
type list struct {
	by   *issued
	key  crypto.Signer // of by, if nil
	hash crypto.Hash   // SHA-256, if 0

	issuer     []byte // DER of the Name; by's, if nil
	this       time.Time
	next       time.Time
	noNext     bool
	noVersion  bool
	entries    [][]byte
	bare       bool     // neither key identifier nor number
	extensions [][]byte // besides these
	algorithm  []byte   // that it claims; the true one, if nil
}

func utcTime(t time.Time) []byte { return tlv(0x17, []byte(t.UTC().Format("060102150405Z"))) }

func listExtension(arc int, critical bool, value ...[]byte) []byte {
	flag := []byte{}
	if critical {
		flag = tlv(0x01, []byte{0xff})
	}
	return tlv(0x30, tlv(0x06, []byte{0x55, 0x1d, byte(arc)}), flag, tlv(0x04, value...))
}

func entryOf(c *issued, extensions ...[]byte) []byte {
	number := c.SerialNumber.Bytes()
	if number[0] >= 0x80 {
		number = append([]byte{0}, number...)
	}
	parts := [][]byte{tlv(0x02, number), utcTime(now.Add(-2 * day))}
	if extensions != nil {
		parts = append(parts, tlv(0x30, extensions...))
	}
	return tlv(0x30, parts...)
}

func reasonOf(n byte) []byte { return listExtension(21, false, tlv(0x0a, []byte{n})) }

var crlNumber = listExtension(20, false, tlv(0x02, []byte{7}))

// unknownExtension is one that nobody knows.
func unknownExtension(tb testing.TB, critical bool) []byte {
	return ocspExtension(tb, critical, []byte{0x05, 0x00}, 1, 2, 3, 4)
}

// scope is an issuing distribution point.
func scope(fields ...[]byte) []byte { return listExtension(28, true, tlv(0x30, fields...)) }

func generalURI(s string) []byte { return tlv(0x86, []byte(s)) }

func fullName(names ...[]byte) []byte { return tlv(0xa0, tlv(0xa0, names...)) }

var (
	onlyUser       = tlv(0x81, []byte{0xff})
	onlyCA         = tlv(0x82, []byte{0xff})
	someReasons    = tlv(0x83, []byte{1, 0x40})
	indirect       = tlv(0x84, []byte{0xff})
	onlyAttributes = tlv(0x85, []byte{0xff})
)

func (l list) der(tb testing.TB) []byte {
	tb.Helper()
	key, hash, issuer := l.key, l.hash, l.issuer
	if key == nil {
		key = l.by.key
	}
	if hash == 0 {
		hash = crypto.SHA256
	}
	if issuer == nil {
		issuer = l.by.RawSubject
	}
	if l.this.IsZero() {
		l.this = now.Add(-time.Hour)
	}
	if l.next.IsZero() {
		l.next = now.Add(7*day - time.Hour)
	}
	algorithm := oid(tb, 1, 2, 840, 10045, 4, 3, 2)
	if hash == crypto.SHA1 {
		algorithm = oid(tb, 1, 2, 840, 10045, 4, 1)
	}
	algorithm = tlv(0x30, algorithm)
	if l.algorithm != nil {
		algorithm = l.algorithm
	}
	fields := [][]byte{algorithm, issuer, utcTime(l.this)}
	if !l.noVersion {
		fields = slices.Insert(fields, 0, tlv(0x02, []byte{1}))
	}
	if !l.noNext {
		fields = append(fields, utcTime(l.next))
	}
	if l.entries != nil {
		fields = append(fields, tlv(0x30, l.entries...))
	}
	extensions := l.extensions
	if !l.bare {
		extensions = append([][]byte{listExtension(35, false, tlv(0x30, tlv(0x80, l.by.SubjectKeyId))), crlNumber}, extensions...)
	}
	if extensions != nil {
		fields = append(fields, tlv(0xa0, tlv(0x30, extensions...)))
	}
	tbs := tlv(0x30, fields...)
	h := hash.New()
	h.Write(tbs)
	sig, err := key.Sign(rand.Reader, h.Sum(nil), hash)
	if err != nil {
		tb.Fatal(err)
	}
	return tlv(0x30, tbs, algorithm, tlv(0x03, []byte{0}, sig))
}

func (l list) read(tb testing.TB) *inventory.CRL {
	tb.Helper()
	got, err := crl.Read(bytes.NewReader(l.der(tb)), 1<<20)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func pointsTo(urls ...string) change {
	return func(c *x509.Certificate) { c.CRLDistributionPoints = urls }
}
