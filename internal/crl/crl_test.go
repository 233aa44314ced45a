package crl_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/certscan/internal/crl"
	"example.com/certscan/internal/inventory"
)

const limit = 1 << 20

func read(tb testing.TB, raw []byte) *inventory.CRL {
	tb.Helper()
	list, err := crl.Read(bytes.NewReader(raw), limit)
	if err != nil {
		tb.Fatalf("Read: %v", err)
	}
	return list
}

// What the library writes is read with every field in its place, whatever the
// reader's pieces.
func TestReadsWhatTheLibraryIssues(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, false)
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	long := new(big.Int).Lsh(big.NewInt(255), 152)
	raw := a.issue(t, &x509.RevocationList{
		Number: big.NewInt(77), ThisUpdate: at, NextUpdate: at.Add(7 * 24 * time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{
			{SerialNumber: big.NewInt(5), RevocationTime: at.Add(-time.Hour), ReasonCode: 1},
			{SerialNumber: big.NewInt(128), RevocationTime: time.Date(2050, 1, 2, 3, 4, 5, 0, time.UTC)},
			{SerialNumber: long, RevocationTime: time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC), ReasonCode: 6},
		},
	})
	std, err := x509.ParseRevocationList(raw)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(std.RawTBSRevocationList)
	want := &inventory.CRL{
		SHA256: inventory.FingerprintOf(raw), Size: int64(len(raw)),
		Issuer: std.RawIssuer, ThisUpdate: at, NextUpdate: at.Add(7 * 24 * time.Hour),
		Number: []byte{77}, HasAuthorityKeyID: true, AuthorityKeyID: []byte{1, 2, 3},
		Hash: crypto.SHA256, Digest: digest[:], Signature: std.Signature,
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: raw})
	for name, r := range map[string]io.Reader{
		"whole":            bytes.NewReader(raw),
		"octet by octet":   iotest.OneByteReader(bytes.NewReader(raw)),
		"error with data":  iotest.DataErrReader(bytes.NewReader(raw)),
		"PEM":              bytes.NewReader(block),
		"PEM, bit by bit":  iotest.OneByteReader(bytes.NewReader(block)),
		"PEM after text":   io.MultiReader(strings.NewReader("Certificate Revocation List:\n    Version 2\n"), bytes.NewReader(block)),
		"PEM with CR LF":   bytes.NewReader(bytes.ReplaceAll(block, []byte("\n"), []byte("\r\n"))),
		"PEM labelled CRL": bytes.NewReader(pem.EncodeToMemory(&pem.Block{Type: "CRL", Bytes: raw})),
	} {
		got, err := crl.Read(r, limit)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(inventory.CRL{}, "Entries", "Algorithm")); d != "" {
			t.Errorf("%s: (-want +got)\n%s", name, d)
		}
		if got.Entries.Len() != 3 {
			t.Errorf("%s: %d entries, want 3", name, got.Entries.Len())
		}
		for _, e := range []struct {
			serial []byte
			want   inventory.RevokedEntry
			found  bool
		}{
			{[]byte{5}, inventory.RevokedEntry{RevokedAt: at.Add(-time.Hour), Reason: 1}, true},
			{[]byte{0, 128}, inventory.RevokedEntry{RevokedAt: time.Date(2050, 1, 2, 3, 4, 5, 0, time.UTC), Reason: -1}, true},
			{long.Bytes(), inventory.RevokedEntry{}, false}, // as an INTEGER it has a zero in front
			{append([]byte{0}, long.Bytes()...), inventory.RevokedEntry{RevokedAt: time.Date(1999, 12, 31, 23, 59, 59, 0, time.UTC), Reason: 6}, true},
			{[]byte{128}, inventory.RevokedEntry{}, false}, // minus 128 is another number
			{[]byte{0, 5}, inventory.RevokedEntry{}, false},
			{nil, inventory.RevokedEntry{}, false},
		} {
			got, found := got.Entries.Lookup(e.serial)
			if d := cmp.Diff(e.want, got); d != "" || found != e.found {
				t.Errorf("%s: Lookup(%x) = %v, %t (-want +got)\n%s", name, e.serial, got, found, d)
			}
		}
	}
}

func TestKeepsTheTextThatEd25519Signs(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, true)
	raw := a.issue(t, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Unix(1, 0), NextUpdate: time.Unix(2, 0)})
	list := read(t, raw)
	std, err := x509.ParseRevocationList(raw)
	if err != nil {
		t.Fatal(err)
	}
	if list.Hash != 0 || !bytes.Equal(list.TBS, std.RawTBSRevocationList) || list.Digest != nil {
		t.Errorf("hash %v, digest %x, %d octets of text, want none and %d", list.Hash, list.Digest, len(list.TBS), len(std.RawTBSRevocationList))
	}
}

func entry(parts ...[]byte) []byte {
	return seq(append([][]byte{integer(7), utc("261031000000Z")}, parts...)...)
}

func entryWith(extensions ...[]byte) []byte { return entry(seq(extensions...)) }

func fakeExtension(critical bool) []byte {
	id := oid(0x2a, 0x03, 0x04)
	if critical {
		return extension(id, truth(), octets([]byte{0x56}))
	}
	return extension(id, octets([]byte{0x56}))
}

func point(critical bool, fields ...[]byte) []byte {
	if critical {
		return extension(ce(28), truth(), octets(seq(fields...)))
	}
	return extension(ce(28), octets(seq(fields...)))
}

func uriName(uris ...string) []byte {
	var names [][]byte
	for _, u := range uris {
		names = append(names, der(0x86, []byte(u)))
	}
	return der(0xa0, der(0xa0, names...))
}

func TestReadsWhatRFC5280Allows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		draft func(*draft)
		check func(*inventory.CRL) bool
	}{
		{
			"version 1 without extensions", func(d *draft) { d.version = nil; d.revoked = seq(entry()) },
			func(l *inventory.CRL) bool { return l.Entries.Len() == 1 },
		},
		{
			"no revoked certificates", func(*draft) {},
			func(l *inventory.CRL) bool { return l.Entries.Len() == 0 && l.Entries.Bytes() == 0 },
		},
		{"no nextUpdate", func(d *draft) { d.next = nil }, func(l *inventory.CRL) bool { return l.NextUpdate.IsZero() }},
		{
			"times after 2049", func(d *draft) { d.next = generalized("20500101000000Z") },
			func(l *inventory.CRL) bool { return l.NextUpdate.Year() == 2050 },
		},
		{
			"GeneralizedTime before 2050, which whoever reads has to understand", func(d *draft) { d.this = generalized("20261101000000Z") },
			func(l *inventory.CRL) bool { return l.ThisUpdate.Equal(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)) },
		},
		{
			"the two-digit year 50 is 1950", func(d *draft) { d.revoked = seq(seq(integer(7), utc("500228235959Z"))) },
			func(l *inventory.CRL) bool {
				e, _ := l.Entries.Lookup([]byte{7})
				return e.RevokedAt.Equal(time.Date(1950, 2, 28, 23, 59, 59, 0, time.UTC))
			},
		},
		{
			"a date before the common era's first year", func(d *draft) { d.revoked = seq(seq(integer(7), generalized("00000101000000Z"))) },
			func(l *inventory.CRL) bool {
				e, _ := l.Entries.Lookup([]byte{7})
				return e.RevokedAt.Equal(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))
			},
		},
		{
			"negative serial numbers", func(d *draft) { d.revoked = seq(seq(integer(0xff), utc("261031000000Z"))) },
			func(l *inventory.CRL) bool { _, ok := l.Entries.Lookup([]byte{0xff}); return ok },
		},
		{"unknown extensions that are not critical", func(d *draft) {
			d.revoked, d.extensions = seq(entryWith(fakeExtension(false))), [][]byte{fakeExtension(false)}
		}, func(l *inventory.CRL) bool { return l.UnknownCritical == nil }},
		{
			"an unknown critical extension is told", func(d *draft) { d.extensions = [][]byte{fakeExtension(true)} },
			func(l *inventory.CRL) bool { return cmp.Equal(l.UnknownCritical, []string{"1.2.3.4"}) },
		},
		{"an unknown critical extension of an entry is told once", func(d *draft) {
			d.revoked = seq(entryWith(fakeExtension(true)), entryWith(fakeExtension(true)))
		}, func(l *inventory.CRL) bool { return cmp.Equal(l.UnknownCritical, []string{"1.2.3.4"}) }},
		{
			"a critical CRL number is told", func(d *draft) { d.extensions = [][]byte{extension(ce(20), truth(), octets(integer(9)))} },
			func(l *inventory.CRL) bool { return l.NumberCritical && bytes.Equal(l.Number, []byte{9}) },
		},
		{
			"a delta list", func(d *draft) { d.extensions = [][]byte{extension(ce(27), truth(), octets(integer(9)))} },
			func(l *inventory.CRL) bool { return l.Delta && l.UnknownCritical == nil },
		},
		{"every entry extension of RFC 5280", func(d *draft) {
			d.revoked = seq(entryWith(
				extension(ce(21), octets(der(0x0a, []byte{10}))),
				extension(ce(24), octets(generalized("20260101000000Z"))),
				extension(ce(29), truth(), octets(seq(der(0xa4, d.issuer)))),
			))
			d.extensions = [][]byte{point(true, der(0x84, []byte{0xff}))}
		}, func(l *inventory.CRL) bool {
			e, _ := l.Entries.Lookup([]byte{7})
			return e.Reason == 10 && l.UnknownCritical == nil && l.Point.Indirect
		}},
		{"an entry of another issuer, which is not that of ours", func(d *draft) {
			d.revoked = seq(entryWith(extension(ce(29), truth(), octets(seq(der(0xa4, seq()))))))
			d.extensions = [][]byte{point(true, der(0x84, []byte{0xff}))}
		}, func(l *inventory.CRL) bool {
			_, listed := l.Entries.Lookup([]byte{7})
			return !listed && l.Point.Indirect
		}},
		{"the issuing distribution point", func(d *draft) {
			d.extensions = [][]byte{point(true,
				der(0xa0, der(0xa0, der(0x81, []byte("a@b")), der(0x86, []byte("http://a/1")), der(0x86, []byte("ldap://b")))),
				der(0x81, []byte{0xff}), der(0x82, []byte{0xff}), der(0x83, []byte{1, 0x40}), der(0x84, []byte{0xff}), der(0x85, []byte{0xff}))}
		}, func(l *inventory.CRL) bool {
			return cmp.Equal(l.Point, &inventory.IssuingDistributionPoint{
				Critical: true, HasName: true, URIs: []string{"http://a/1", "ldap://b"},
				Names:         [][]byte{der(0x81, []byte("a@b")), der(0x86, []byte("http://a/1")), der(0x86, []byte("ldap://b"))},
				OnlyUserCerts: true, OnlyCACerts: true, OnlySomeReasons: true, Indirect: true, OnlyAttributeCerts: true,
			})
		}},
		{"a name relative to the issuer", func(d *draft) {
			d.extensions = [][]byte{point(false, der(0xa0, der(0xa1, seq(ce(3), der(0x0c, []byte("p1"))))))}
		}, func(l *inventory.CRL) bool {
			return l.Point.HasName && bytes.Equal(l.Point.Relative, seq(ce(3), der(0x0c, []byte("p1")))) && !l.Point.Critical
		}},
		{"of two entries for one certificate the graver counts", func(d *draft) {
			hold := extension(ce(21), octets(der(0x0a, []byte{6})))
			d.revoked = seq(entryWith(hold), entryWith(extension(ce(21), octets(der(0x0a, []byte{1})))), entryWith(hold))
		}, func(l *inventory.CRL) bool { e, _ := l.Entries.Lookup([]byte{7}); return e.Reason == 1 }},
		{
			"an unknown signature algorithm", func(d *draft) { d.alg = seq(oid(0x2a, 0x03)); d.outerAlg = d.alg },
			func(l *inventory.CRL) bool { return l.Hash == 0 && l.TBS == nil && l.Digest == nil },
		},
		{
			"another hash function", func(d *draft) { d.alg, d.outerAlg = sha384RSA, sha384RSA },
			func(l *inventory.CRL) bool { return l.Hash == crypto.SHA384 && len(l.Digest) == 48 },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := ordinary()
			tt.draft(&d)
			if list := read(t, d.der()); !tt.check(list) {
				t.Errorf("read as %+v", list)
			}
		})
	}
}

func TestRefusesWhatIsNotDER(t *testing.T) {
	t.Parallel()
	reason := func(content ...byte) []byte { return seq(entryWith(extension(ce(21), octets(der(0x0a, content))))) }
	for _, tt := range []struct {
		name  string
		draft func(*draft)
		want  string // of the error
	}{
		{"something after nextUpdate", func(d *draft) { d.afterTimes = integer(1) }, "no place"},
		{"a third time", func(d *draft) { d.afterTimes = d.next }, "no place"},
		{"something after revokedCertificates", func(d *draft) { d.revoked, d.afterRevoked = seq(entry()), seq(entry()) }, "no place"},
		{"something after the extensions", func(d *draft) { d.extensions, d.afterTBS = [][]byte{fakeExtension(false)}, integer(1) }, "no place"},
		{"something inside the extensions' tag", func(d *draft) { d.extensions, d.afterExtensions = [][]byte{fakeExtension(false)}, integer(1) }, "follows the extensions"},
		{"something after the signature", func(d *draft) { d.afterSignature = integer(1) }, "follows the signature"},
		{"something after the list", func(d *draft) { d.afterAll = []byte{0} }, "follows the list"},
		{"an entry that is longer than revokedCertificates", func(d *draft) { d.revoked = append([]byte{0x30, 5}, entry()...) }, "longer than what it is in"},
		{"an empty revokedCertificates", func(d *draft) { d.revoked = seq() }, "is there and empty"},
		{"empty extensions", func(d *draft) { d.extensions = [][]byte{} }, "without any"},
		{"version 1 with extensions", func(d *draft) { d.version, d.extensions = nil, [][]byte{fakeExtension(false)} }, "version 1"},
		{"version 1 with entry extensions", func(d *draft) { d.version, d.revoked = nil, seq(entryWith(fakeExtension(false))) }, "version 1"},
		{"version 1 spelt out", func(d *draft) { d.version = integer(0) }, "not 2"},
		{"version 3", func(d *draft) { d.version = integer(2) }, "not 2"},
		{"different algorithms", func(d *draft) { d.outerAlg = sha384RSA }, "differ"},
		{"no thisUpdate", func(d *draft) { d.this, d.next = nil, nil }, "no thisUpdate"},
		{"no issuer", func(d *draft) { d.issuer = nil }, "no issuer"},
		{"an issuer that is not DER", func(d *draft) { d.issuer = seq([]byte{0x31, 0x05, 0x30}) }, "longer than what it is in"},
		{"no signature", func(d *draft) { d.signature = nil }, "no signature"},
		{"a signature of bits", func(d *draft) { d.signature = der(0x03, []byte{4, 0xf0}) }, "string of octets"},
		{"an extension twice", func(d *draft) { d.extensions = [][]byte{fakeExtension(false), fakeExtension(false)} }, "twice"},
		{"an entry extension twice", func(d *draft) { d.revoked = seq(entryWith(fakeExtension(false), fakeExtension(false))) }, "twice"},
		{"empty entry extensions", func(d *draft) { d.revoked = seq(entryWith()) }, "without any"},
		{"something after an entry's extensions", func(d *draft) { d.revoked = seq(entry(seq(fakeExtension(false)), integer(1))) }, "follows the extensions"},
		{"an entry without a date", func(d *draft) { d.revoked = seq(seq(integer(7))) }, "no the revocation date"},
		{"a serial number with a zero in front", func(d *draft) { d.revoked = seq(seq(integer(0, 7), utc("261031000000Z"))) }, "shortest"},
		{"an empty serial number", func(d *draft) { d.revoked = seq(seq(integer(), utc("261031000000Z"))) }, "shortest"},
		{"an endless serial number", func(d *draft) { d.revoked = seq(seq(integer(bytes.Repeat([]byte{1}, 256)...), utc("261031000000Z"))) }, "256 octets"},
		{"critical spelt out as FALSE", func(d *draft) {
			d.extensions = [][]byte{extension(oid(0x2a, 3), []byte{1, 1, 0}, octets())}
		}, "neither left out nor TRUE"},
		{"critical as 1", func(d *draft) { d.extensions = [][]byte{extension(oid(0x2a, 3), []byte{1, 1, 1}, octets())} }, "neither left out nor TRUE"},
		{"an extension without a value", func(d *draft) { d.extensions = [][]byte{extension(oid(0x2a, 3))} }, "no value"},
		{"a length that is not the shortest", func(d *draft) { d.issuer = []byte{0x30, 0x81, 0x02, 0x31, 0x00} }, "not DER"},
		{"an indefinite length", func(d *draft) { d.issuer = []byte{0x30, 0x80, 0, 0} }, "not DER"},
		{"UTCTime without seconds", func(d *draft) { d.this = utc("2611010000Z") }, "not a time"},
		{"UTCTime with an offset", func(d *draft) { d.this = utc("261101000000+0000") }, "not a time"},
		{"GeneralizedTime with a fraction", func(d *draft) { d.next = generalized("20500101000000.5Z") }, "not a time"},
		{"the 30th of February", func(d *draft) { d.this = utc("260230000000Z") }, "not a time"},
		{"the 29th of February in a common year", func(d *draft) { d.revoked = seq(seq(integer(7), generalized("21000229000000Z"))) }, "not a time"},
		{"hour 24", func(d *draft) { d.this = utc("261101240000Z") }, "not a time"},
		{"reason 7", func(d *draft) { d.revoked = reason(7) }, "does not exist"},
		{"reason 11", func(d *draft) { d.revoked = reason(11) }, "does not exist"},
		{"a reason of two octets", func(d *draft) { d.revoked = reason(0, 1) }, "does not exist"},
		{"an invalidity date in UTCTime", func(d *draft) { d.revoked = seq(entryWith(extension(ce(24), octets(utc("260101000000Z"))))) }, "no GeneralizedTime"},
		{"another issuer in a list that is not indirect", func(d *draft) {
			d.revoked = seq(entryWith(extension(ce(29), truth(), octets(seq(der(0xa4, seq()))))))
		}, "not indirect"},
		{"a negative CRL number", func(d *draft) { d.extensions = [][]byte{extension(ce(20), octets(integer(0x80)))} }, "negative"},
		{"something after the CRL number", func(d *draft) { d.extensions = [][]byte{extension(ce(20), octets(integer(1), integer(1)))} }, "follows the CRL number"},
		{"an empty issuing distribution point", func(d *draft) { d.extensions = [][]byte{point(true)} }, "is empty"},
		{"an issuing distribution point's flag as FALSE", func(d *draft) { d.extensions = [][]byte{point(true, der(0x81, []byte{0}))} }, "neither left out nor TRUE"},
		{"an issuing distribution point out of order", func(d *draft) {
			d.extensions = [][]byte{point(true, der(0x82, []byte{0xff}), der(0x81, []byte{0xff}))}
		}, "follows the issuing distribution point"},
		{"something after the name of the issuing distribution point", func(d *draft) {
			d.extensions = [][]byte{point(true, der(0xa0, der(0xa0, der(0x86, []byte("http://a"))), integer(1)))}
		}, "follows the name"},
		{"no name in the issuing distribution point", func(d *draft) { d.extensions = [][]byte{point(true, der(0xa0, der(0xa0)))} }, "is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := ordinary()
			tt.draft(&d)
			_, err := crl.Read(bytes.NewReader(d.der()), limit)
			if syntax, ok := errors.AsType[*crl.SyntaxError](err); !ok || !strings.Contains(syntax.Reason, tt.want) {
				t.Errorf("Read: %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// However a list is cut or extended, it is not the list any more.
func TestRefusesEveryOtherLength(t *testing.T) {
	t.Parallel()
	d := ordinary()
	d.revoked = seq(entryWith(extension(ce(21), octets(der(0x0a, []byte{1})))))
	d.extensions = [][]byte{extension(ce(20), octets(integer(9)))}
	raw := d.der()
	read(t, raw)
	for n := range raw {
		if _, err := crl.Read(bytes.NewReader(raw[:n]), limit); err == nil {
			t.Errorf("the first %d of %d octets were read as a list", n, len(raw))
		}
	}
}

func TestTellsTheReadersErrorsFromSyntax(t *testing.T) {
	t.Parallel()
	d := ordinary()
	broken := errors.New("connection lost")
	_, err := crl.Read(io.MultiReader(bytes.NewReader(d.der()[:20]), iotest.ErrReader(broken)), limit)
	if _, syntax := errors.AsType[*crl.SyntaxError](err); !errors.Is(err, broken) || syntax {
		t.Errorf("Read: %v, want the reader's error", err)
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	d := ordinary()
	raw := d.der()
	if _, err := crl.Read(bytes.NewReader(raw), int64(len(raw))); err != nil {
		t.Errorf("with just enough: %v", err)
	}
	if _, err := crl.Read(bytes.NewReader(raw), int64(len(raw))-1); err == nil {
		t.Error("with too little: no error")
	}
	// What does not say how long it is, is not read further either.
	endless := io.MultiReader(bytes.NewReader(raw), zeros{})
	if _, err := crl.Read(endless, limit); err == nil {
		t.Error("endless: no error")
	}
	if _, err := crl.Read(io.MultiReader(strings.NewReader("text\n"), zeros{}), limit); err == nil {
		t.Error("endless text: no error")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestReadAll(t *testing.T) {
	t.Parallel()
	one, two := ordinary(), ordinary()
	two.revoked = seq(entry())
	file := bytes.Join([][]byte{
		[]byte("Issued by the operations team\n"),
		pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: one.der()}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("not looked at")}),
		pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: two.der()}),
	}, []byte("\n"))
	lists, err := crl.ReadAll(bytes.NewReader(file), limit)
	if err != nil {
		t.Fatal(err)
	}
	if len(lists) != 2 || lists[0].Entries.Len() != 0 || lists[1].Entries.Len() != 1 {
		t.Errorf("%d lists, want one without and one with an entry", len(lists))
	}
	if _, err := crl.Read(bytes.NewReader(file), limit); err == nil {
		t.Error("Read of two lists: no error")
	}
	for name, bad := range map[string]string{
		"no end":      strings.Replace(string(file), "-----END X509 CRL-----", "", 2),
		"no list":     "nothing of the kind\n",
		"empty":       "",
		"not base64":  "-----BEGIN X509 CRL-----\n!!!!\n-----END X509 CRL-----\n",
		"half a list": "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n",
	} {
		if _, err := crl.ReadAll(strings.NewReader(bad), limit); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The table finds every serial number and no other.
func TestLargeTable(t *testing.T) {
	t.Parallel()
	const n = 50_000
	d := ordinary()
	var entries [][]byte
	serial := func(i int) []byte { return fmt.Appendf(nil, "%c%d", 'a'+i%7, i) }
	for i := range n {
		entries = append(entries, seq(der(0x02, serial(i)), utc("261031000000Z")))
	}
	d.revoked = seq(entries...)
	list, err := crl.Read(bytes.NewReader(d.der()), 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, ok := list.Entries.Lookup(serial(i)); !ok {
			t.Fatalf("entry %d is not found", i)
		}
		if _, ok := list.Entries.Lookup(serial(i + n)); ok {
			t.Fatalf("entry %d is found and was never there", i+n)
		}
	}
	if most := 32 * n; list.Entries.Len() != n || list.Entries.Bytes() > most {
		t.Errorf("%d entries in %d octets, want %d in %d at most", list.Entries.Len(), list.Entries.Bytes(), n, most)
	}
}
