package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"testing"
	"time"
)

// tlv is one DER element.
func tlv(tag byte, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	n := len(content)
	switch {
	case n < 0x80:
		return append([]byte{tag, byte(n)}, content...)
	case n < 0x100:
		return append([]byte{tag, 0x81, byte(n)}, content...)
	}
	return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, content...)
}

func oid(tb testing.TB, numbers ...int) []byte {
	tb.Helper()
	b, err := asn1.Marshal(asn1.ObjectIdentifier(numbers))
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func generalizedTime(t time.Time) []byte { return tlv(0x18, []byte(t.UTC().Format("20060102150405Z"))) }

// The statuses of a certificate in a response.
var (
	ocspGood    = tlv(0x80)
	ocspUnknown = tlv(0x82)
)

// ocspRevoked is that status, without a reason if that is negative.
func ocspRevoked(at time.Time, reason int) []byte {
	if reason < 0 {
		return tlv(0xa1, generalizedTime(at))
	}
	return tlv(0xa1, generalizedTime(at), tlv(0xa0, tlv(0x0a, []byte{byte(reason)})))
}

// A single is what a response says of one certificate.
type single struct {
	of, issuer *issued
	hash       crypto.Hash // SHA-1 if 0
	status     []byte      // good if nil
	this       time.Time   // an hour ago if zero
	next       time.Time   // in three days if zero
	noNext     bool
	extensions [][]byte
}

func ocspExtension(tb testing.TB, critical bool, value []byte, numbers ...int) []byte {
	tb.Helper()
	flag := []byte{}
	if critical {
		flag = tlv(0x01, []byte{0xff})
	}
	return tlv(0x30, oid(tb, numbers...), flag, tlv(0x04, value))
}

func subjectPublicKey(tb testing.TB, c *issued) []byte {
	tb.Helper()
	var spki struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki); err != nil {
		tb.Fatal(err)
	}
	return spki.Key.Bytes
}

func hashed(h crypto.Hash, b []byte) []byte {
	w := h.New()
	w.Write(b)
	return w.Sum(nil)
}

func (s single) der(tb testing.TB) []byte {
	tb.Helper()
	algs := map[crypto.Hash][]int{
		crypto.SHA1: {1, 3, 14, 3, 2, 26}, crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2}, crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
		crypto.MD5: {1, 2, 840, 113549, 2, 5},
	}
	if s.hash == 0 {
		s.hash = crypto.SHA1
	}
	if s.status == nil {
		s.status = ocspGood
	}
	if s.this.IsZero() {
		s.this = now.Add(-time.Hour)
	}
	if s.next.IsZero() {
		s.next = now.Add(3 * day)
	}
	serial, err := asn1.Marshal(s.of.SerialNumber)
	if err != nil {
		tb.Fatal(err)
	}
	parts := [][]byte{
		tlv(0x30, tlv(0x30, oid(tb, algs[s.hash]...), tlv(0x05)),
			tlv(0x04, hashed(s.hash, s.issuer.RawSubject)), tlv(0x04, hashed(s.hash, subjectPublicKey(tb, s.issuer))), serial),
		s.status, generalizedTime(s.this),
	}
	if !s.noNext {
		parts = append(parts, tlv(0xa0, generalizedTime(s.next)))
	}
	if len(s.extensions) > 0 {
		parts = append(parts, tlv(0xa1, tlv(0x30, s.extensions...)))
	}
	return tlv(0x30, parts...)
}

// A response is an OCSP response to be made. The zero value of each field but
// by is what a healthy responder sends.
type response struct {
	by         *issued
	byKey      bool
	named      *issued // the responder that is named, if it is not by
	produced   time.Time
	singles    []single
	extensions [][]byte
	certs      []*issued

	status  int
	kind    []int
	version []byte
	broken  bool                  // the signature is
	sha1    bool                  // the signature is made with it
	after   []byte                // trailing octets
	more    []byte                // after the fields of the BasicOCSPResponse
	edit    func(b []byte) []byte // of the ResponseData, before it is signed
}

func (r response) der(tb testing.TB) []byte {
	tb.Helper()
	if r.status != 0 {
		return append(tlv(0x30, tlv(0x0a, []byte{byte(r.status)})), r.after...)
	}
	if r.produced.IsZero() {
		r.produced = now.Add(-time.Hour)
	}
	named := r.by
	if r.named != nil {
		named = r.named
	}
	id := tlv(0xa1, named.RawSubject)
	if r.byKey {
		sum := sha1.Sum(subjectPublicKey(tb, named))
		id = tlv(0xa2, tlv(0x04, sum[:]))
	}
	var singles [][]byte
	for _, s := range r.singles {
		singles = append(singles, s.der(tb))
	}
	data := [][]byte{r.version, id, generalizedTime(r.produced), tlv(0x30, singles...)}
	if len(r.extensions) > 0 {
		data = append(data, tlv(0xa1, tlv(0x30, r.extensions...)))
	}
	tbs := tlv(0x30, data...)
	if r.edit != nil {
		tbs = r.edit(tbs)
	}
	alg, sig := r.sign(tb, tbs)
	basic := [][]byte{tbs, alg, tlv(0x03, []byte{0}, sig)}
	if len(r.certs) > 0 {
		basic = append(basic, tlv(0xa0, tlv(0x30, bytes.Join(ders(r.certs...), nil))))
	}
	basic = append(basic, r.more)
	kind := r.kind
	if kind == nil {
		kind = []int{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	}
	whole := tlv(0x30, tlv(0x0a, []byte{0}), tlv(0xa0, tlv(0x30, oid(tb, kind...), tlv(0x04, tlv(0x30, basic...)))))
	return append(whole, r.after...)
}

// sign returns the algorithm and the signature.
func (r response) sign(tb testing.TB, tbs []byte) (alg, sig []byte) {
	tb.Helper()
	hash, id := crypto.SHA256, []int{1, 2, 840, 10045, 4, 3, 2}
	var params []byte
	switch r.by.key.(type) {
	case *ecdsa.PrivateKey:
		if r.sha1 {
			hash, id = crypto.SHA1, []int{1, 2, 840, 10045, 4, 1}
		}
	case ed25519.PrivateKey:
		hash, id = 0, []int{1, 3, 101, 112}
	default:
		id, params = []int{1, 2, 840, 113549, 1, 1, 11}, tlv(0x05)
		if r.sha1 {
			hash, id = crypto.SHA1, []int{1, 2, 840, 113549, 1, 1, 5}
		}
	}
	text := tbs
	if hash != 0 {
		text = hashed(hash, tbs)
	}
	sig, err := r.by.key.Sign(rand.Reader, text, hash)
	if err != nil {
		tb.Fatal(err)
	}
	if r.broken {
		sig = slices.Clone(sig)
		sig[len(sig)-1] ^= 1
	}
	return tlv(0x30, oid(tb, id...), params), sig
}

// responder is a certificate that ca delegates OCSP to.
func (a *issued) responder(tb testing.TB, changes ...change) *issued {
	tb.Helper()
	return a.leaf(tb, append([]change{func(t *x509.Certificate) {
		t.Subject.CommonName, t.DNSNames = "Responder", nil
		t.NotBefore, t.NotAfter = now.Add(-5*day), now.Add(25*day)
		t.ExtKeyUsage, t.ExtraExtensions = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, nil
	}}, changes...)...)
}
