package crl_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"example.com/certscan/internal/crl"
)

// A large is a list of n entries with serial numbers of 16 octets, written while
// it is read, so that measuring does not measure it.
type large struct {
	head, tail []byte
	n, next    int
	pending    []byte
	entry      []byte
	size       int
}

const largeSerial = 16

func newLarge(n int) *large {
	entry := seq(integer(make([]byte, largeSerial)...), utc("261031000000Z"))
	d := ordinary()
	revoked := header(0x30, n*len(entry))
	extensions := der(0xa0, seq(extension(ce(20), octets(integer(9)))))
	fields := bytes.Join([][]byte{d.version, d.alg, d.issuer, d.this, d.next, revoked}, nil)
	tbs := header(0x30, len(fields)+n*len(entry)+len(extensions))
	tail := bytes.Join([][]byte{extensions, d.outerAlg, d.signature}, nil)
	top := header(0x30, len(tbs)+len(fields)+n*len(entry)+len(tail))
	head := bytes.Join([][]byte{top, tbs, fields}, nil)
	return &large{head: head, tail: tail, n: n, pending: head, entry: entry, size: len(head) + n*len(entry) + len(tail)}
}

// header is that of an element with n octets, always with a length of four.
func header(tag byte, n int) []byte {
	whole := der(tag, make([]byte, n))
	return whole[:len(whole)-n]
}

// serial is that of the entry i, spread as those of real authorities are.
func serial(dst []byte, i int) {
	dst[0] = 1
	binary.BigEndian.PutUint64(dst[1:], uint64(i)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint32(dst[9:], uint32(i))
}

func (l *large) Read(p []byte) (int, error) {
	total := 0
	for total < len(p) {
		if len(l.pending) == 0 {
			switch {
			case l.next < l.n:
				serial(l.entry[4:], l.next)
				l.pending = l.entry
			case l.next == l.n:
				l.pending = l.tail
			default:
				return total, io.EOF
			}
			l.next++
		}
		m := copy(p[total:], l.pending)
		l.pending = l.pending[m:]
		total += m
	}
	return total, nil
}

const (
	largeEntries = 1_430_000 // 50 MB
	largeLimit   = 128 << 20
)

// A list of 50 MB is read with less than 32 MiB beside its table. What was
// allocated in all is a bound of what was needed at any moment, and does not
// depend on when garbage is collected. Not parallel: others allocate too.
func TestMemoryOfALargeList(t *testing.T) {
	source := newLarge(largeEntries)
	if source.size < 50_000_000 {
		t.Fatalf("the list has %d octets only", source.size)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	list, err := crl.Read(source, largeLimit)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	table := uint64(list.Entries.Bytes())
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d MB: a table of %d KiB, and %d KiB beside it", source.size/1e6, table>>10, (allocated-table)>>10)
	if allocated > table+32<<20 {
		t.Errorf("%d KiB were allocated beside the table", (allocated-table)>>10)
	}
	if table > uint64(source.size) {
		t.Errorf("the table takes %d octets, more than the list of %d", table, source.size)
	}
	got := make([]byte, largeSerial)
	for _, i := range []int{0, 1, largeEntries / 2, largeEntries - 1} {
		serial(got, i)
		if _, ok := list.Entries.Lookup(got); !ok {
			t.Errorf("entry %d is not found", i)
		}
	}
	serial(got, largeEntries)
	if _, ok := list.Entries.Lookup(got); ok || list.Entries.Len() != largeEntries {
		t.Errorf("%d entries, and one found that is not there: %t", list.Entries.Len(), ok)
	}
}

// BenchmarkRead reads 50 MB, and walks them without keeping or checking anything
// for comparison.
func BenchmarkRead(b *testing.B) {
	raw, err := io.ReadAll(newLarge(largeEntries))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			if _, err := crl.Read(bytes.NewReader(raw), largeLimit); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			if n := walk(raw); n != largeEntries {
				b.Fatal(n)
			}
		}
	})
}

// walk counts entries and nothing else.
func walk(raw []byte) int {
	top := cryptobyte.String(raw)
	var list, tbs, revoked, entry, serial cryptobyte.String
	top.ReadASN1(&list, asn1.SEQUENCE)
	list.ReadASN1(&tbs, asn1.SEQUENCE)
	tbs.SkipASN1(asn1.INTEGER)
	tbs.SkipASN1(asn1.SEQUENCE)
	tbs.SkipASN1(asn1.SEQUENCE)
	tbs.SkipASN1(asn1.UTCTime)
	tbs.SkipASN1(asn1.UTCTime)
	tbs.ReadASN1(&revoked, asn1.SEQUENCE)
	n := 0
	for revoked.ReadASN1(&entry, asn1.SEQUENCE) && entry.ReadASN1(&serial, asn1.INTEGER) {
		n++
	}
	return n
}
