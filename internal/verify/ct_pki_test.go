package verify_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"example.com/certscan/internal/inventory"
)

// ctLog is a log with its private key.
type ctLog struct {
	inventory.Log
	key crypto.Signer
}

type logChange func(*inventory.Log)

// newLog is a usable log of the operator.
func newLog(tb testing.TB, operator string, changes ...logChange) *ctLog {
	tb.Helper()
	return logWith(tb, newKey(tb), operator, changes...)
}

func logWith(tb testing.TB, key crypto.Signer, operator string, changes ...logChange) *ctLog {
	tb.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		tb.Fatal(err)
	}
	l := &ctLog{key: key, Log: inventory.Log{
		ID: sha256.Sum256(spki), Description: "A log of " + operator, Operator: operator, Key: spki,
		State: inventory.LogUsable, StateSince: now.Add(-500 * day),
	}}
	for _, c := range changes {
		c(&l.Log)
	}
	return l
}

func inState(s inventory.LogState, since time.Duration) logChange {
	return func(l *inventory.Log) { l.State, l.StateSince = s, now.Add(since) }
}

// logList is a list of yesterday.
func logList(logs ...*ctLog) *inventory.LogList {
	list := &inventory.LogList{Date: now.Add(-day), Logs: make(map[inventory.Fingerprint]inventory.Log)}
	for _, l := range logs {
		list.Logs[l.ID] = l.Log
	}
	return list
}

// An entry is what a log signs.
type entry struct {
	kind    uint16
	content []byte
}

func x509Entry(der []byte) entry {
	var b cryptobyte.Builder
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(der) })
	return entry{0, b.BytesOrPanic()}
}

func precertEntry(tbs []byte, issuer *issued) entry {
	var b cryptobyte.Builder
	h := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	b.AddBytes(h[:])
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(tbs) })
	return entry{1, b.BytesOrPanic()}
}

// An sctSpec is an SCT to make. The zero value is one of ten days ago.
type sctSpec struct {
	log        *ctLog
	at         time.Time
	extensions []byte
	change     func([]byte) []byte // of the serialised SCT
}

// sct signs the entry as RFC 6962, section 3.2, has it.
func (s sctSpec) sct(tb testing.TB, e entry) []byte {
	tb.Helper()
	if s.at.IsZero() {
		s.at = now.Add(-10 * day)
	}
	var b cryptobyte.Builder
	b.AddBytes([]byte{0, 0})
	b.AddUint64(uint64(s.at.UnixMilli()))
	b.AddUint16(e.kind)
	b.AddBytes(e.content)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.extensions) })
	digest := sha256.Sum256(b.BytesOrPanic())
	signature, err := s.log.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		tb.Fatal(err)
	}
	algorithm := byte(1)
	if _, ok := s.log.key.(*ecdsa.PrivateKey); ok {
		algorithm = 3
	}
	var out cryptobyte.Builder
	out.AddUint8(0)
	out.AddBytes(s.log.ID[:])
	out.AddUint64(uint64(s.at.UnixMilli()))
	out.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.extensions) })
	out.AddBytes([]byte{4, algorithm})
	out.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(signature) })
	raw := out.BytesOrPanic()
	if s.change != nil {
		raw = s.change(raw)
	}
	return raw
}

// sctList serialises a list as extensions have it, in an OCTET STRING.
func sctList(tb testing.TB, scts ...[]byte) []byte {
	tb.Helper()
	var b cryptobyte.Builder
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, s := range scts {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s) })
		}
	})
	der, err := asn1.Marshal(b.BytesOrPanic())
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func sctExtension(value []byte) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: value}
}

// logged issues a leaf with SCTs in it: of each log one, on the certificate as
// it is without them.
func (a *issued) logged(tb testing.TB, specs []sctSpec, changes ...change) *issued {
	tb.Helper()
	t := leafTemplate(tb)
	t.ExtraExtensions = nil
	for _, c := range changes {
		c(t)
	}
	key := newKey(tb)
	e := precertEntry(sign(tb, t, a, key).RawTBSCertificate, a)
	var scts [][]byte
	for _, s := range specs {
		scts = append(scts, s.sct(tb, e))
	}
	if len(scts) > 0 {
		t.ExtraExtensions = append(t.ExtraExtensions, sctExtension(sctList(tb, scts...)))
	}
	return sign(tb, t, a, key)
}

// someSCTs is a list of one SCT, of a log that nobody knows: enough for
// certificates of tests about other things.
func someSCTs() pkix.Extension {
	sct := make([]byte, 1+32+8+2+2+2+1)
	sct[len(sct)-2] = 1 // octet of signature
	value := append([]byte{4, byte(4 + len(sct)), 0, byte(2 + len(sct)), 0, byte(len(sct))}, sct...)
	return sctExtension(value)
}

// stapleWith is an OCSP response about the leaf that has the SCTs. Nobody has
// signed it.
func stapleWith(tb testing.TB, serial *big.Int, list []byte) []byte {
	tb.Helper()
	marshal := func(v any, params string) []byte {
		der, err := asn1.MarshalWithParams(v, params)
		if err != nil {
			tb.Fatal(err)
		}
		return der
	}
	type certID struct {
		Algorithm pkix.AlgorithmIdentifier
		Name, Key []byte
		Serial    *big.Int
	}
	type single struct {
		ID         certID
		Status     asn1.RawValue
		ThisUpdate time.Time        `asn1:"generalized"`
		NextUpdate time.Time        `asn1:"generalized,explicit,tag:0"`
		Extensions []pkix.Extension `asn1:"explicit,tag:1"`
	}
	type data struct {
		Responder  asn1.RawValue
		ProducedAt time.Time `asn1:"generalized"`
		Responses  []single
	}
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}}
	basic := marshal(struct {
		Data      data
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{
		data{
			Responder:  asn1.RawValue{FullBytes: append([]byte{0xa2, 22, 4, 20}, make([]byte, 20)...)},
			ProducedAt: now,
			Responses: []single{{
				ID: certID{algorithm, make([]byte, 20), make([]byte, 20), serial}, Status: asn1.RawValue{FullBytes: []byte{0x80, 0}},
				ThisUpdate: now, NextUpdate: now.Add(day),
				Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 5}, Value: list}},
			}},
		}, algorithm, asn1.BitString{Bytes: []byte{0}, BitLength: 8},
	}, "")
	type responseBytes struct {
		Type     asn1.ObjectIdentifier
		Response []byte
	}
	return marshal(struct {
		Status asn1.Enumerated
		Bytes  responseBytes `asn1:"explicit,tag:0"`
	}{0, responseBytes{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}, basic}}, "")
}
