package crl

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"time"

	"example.com/certscan/internal/inventory"
)

// The values of CRLReason that matter here (RFC 5280, section 5.3.1).
const (
	noReason      = -1
	unusedReason  = 7
	holdReason    = 6
	removedReason = 8
	lastReason    = 10
)

// readEntries reads revokedCertificates (RFC 5280, section 5.1.2.6).
func (r *reading) readEntries(tbs int64) error {
	end, err := r.header(tagSequence, tbs, "revokedCertificates")
	if err != nil {
		return err
	}
	if r.offset() == end {
		return fail(end, "revokedCertificates is there and empty")
	}
	for r.offset() < end {
		c, err := r.element(tagSequence, end, "revoked certificate")
		if err != nil {
			return err
		}
		in, err := c.any("revoked certificate")
		if err != nil {
			return err
		}
		if err := r.readEntry(in); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) readEntry(in cursor) error {
	at := in.at
	serial, err := in.integer("the serial number")
	if err != nil {
		return err
	}
	if len(serial) > maxSerial {
		return fail(at, "a serial number of %d octets", len(serial))
	}
	revoked, err := in.time("the revocation date")
	if err != nil {
		return err
	}
	reason := noReason
	if len(in.b) > 0 {
		if reason, err = r.readEntryExtensions(&in); err != nil {
			return err
		}
	}
	if r.foreign { // RFC 5280, section 5.3.3
		return nil
	}
	if !r.table.add(serial, revoked, reason) {
		return fail(at, "more entries than can be kept")
	}
	return nil
}

// readEntryExtensions reads crlEntryExtensions (RFC 5280, section 5.3).
func (r *reading) readEntryExtensions(in *cursor) (reason int, err error) {
	if !r.v2 {
		return 0, fail(in.at, "extensions of an entry in a list of version 1")
	}
	all, err := in.take(tagSequence, "extensions of an entry")
	if err != nil {
		return 0, err
	}
	if err := in.done("the extensions of an entry"); err != nil {
		return 0, err
	}
	if len(all.b) == 0 {
		return 0, fail(all.at, "extensions of an entry without any")
	}
	reason = noReason
	r.seen = r.seen[:0]
	for len(all.b) > 0 {
		oid, critical, v, err := all.extension(&r.seen)
		if err != nil {
			return 0, err
		}
		switch string(oid) {
		case "\x55\x1d\x15": // reasonCode
			if reason, err = v.reason(); err != nil {
				return 0, err
			}
		case "\x55\x1d\x18": // invalidityDate
			if !v.is(tagGeneralizedTime) {
				return 0, fail(v.at, "an invalidity date that is no GeneralizedTime")
			}
			if _, err := v.time("the invalidity date"); err != nil {
				return 0, err
			}
			if err := v.done("the invalidity date"); err != nil {
				return 0, err
			}
		case "\x55\x1d\x1d": // certificateIssuer
			if err := wellFormed(v, "the certificate issuer", maxDepth); err != nil {
				return 0, err
			}
			if r.indirect == 0 {
				r.indirect = v.at
			}
			r.foreign = !v.names(r.list.Issuer)
		default:
			if critical {
				r.unknown(string(oid))
			}
		}
	}
	return reason, nil
}

// names reports whether the GeneralNames are the directory name issuer, octet by
// octet: in whatever other form it is written, nobody is accused by it.
func (c cursor) names(issuer []byte) bool {
	in, err := c.take(tagSequence, "certificate issuer")
	if err != nil || !in.is(0xa4) {
		return false
	}
	name, err := in.any("certificate issuer")
	return err == nil && len(in.b) == 0 && bytes.Equal(name.b, issuer)
}

// reason consumes a CRLReason.
func (c *cursor) reason() (int, error) {
	in, err := c.take(tagEnumerated, "reason code")
	if err != nil {
		return 0, err
	}
	if len(in.b) != 1 || in.b[0] > lastReason || in.b[0] == unusedReason {
		return 0, fail(in.at, "the reason code %x does not exist", in.b)
	}
	return int(in.b[0]), c.done("the reason code")
}

const (
	maxSerial = 255 // octets of a serial number; RFC 5280 allows 20

	chunkBits  = 18
	maxChunk   = 1 << chunkBits
	firstChunk = 4 << 10
	maxChunks  = 1 << (32 - chunkBits)
)

// A table finds entries by serial number. Entries are packed into chunks one
// after the other: the length of the serial number, that number, five octets of
// seconds since 1970, the reason plus one. It grows without being copied, and is
// made searchable by build.
type table struct {
	chunks [][]byte
	size   int // octets that the chunks take
	n      int // entries

	// Open addressing: where an entry is, chunk<<chunkBits|offset, and some of
	// the hash of its serial number with a bit that is always set; 0 is free.
	// The marks are small enough to be at hand, unlike the entries.
	slots []uint32
	marks []byte
	seed  maphash.Seed
}

const trailer = 6 // octets after the serial number

// add appends an entry. False: the table is full.
func (t *table) add(serial []byte, at int64, reason int) bool {
	need := 1 + len(serial) + trailer
	last := len(t.chunks) - 1
	if last < 0 || cap(t.chunks[last])-len(t.chunks[last]) < need {
		if len(t.chunks) == maxChunks {
			return false
		}
		c := make([]byte, 0, min(max(t.size, firstChunk), maxChunk))
		last++
		t.chunks = append(t.chunks, c)
		t.size += cap(c)
	}
	c := append(t.chunks[last], byte(len(serial)))
	c = append(c, serial...)
	t.chunks[last] = append(c, byte(at>>32), byte(at>>24), byte(at>>16), byte(at>>8), byte(at), byte(reason+1))
	t.n++
	return true
}

// build makes the table searchable. Its hash function differs from run to run,
// so nobody can choose serial numbers that collide.
func (t *table) build() {
	if t.n == 0 {
		return
	}
	if len(t.chunks) == 1 { // most lists are small
		t.chunks[0] = bytes.Clone(t.chunks[0])
		t.size = cap(t.chunks[0])
	}
	t.seed = maphash.MakeSeed()
	t.slots = make([]uint32, 1<<bits.Len(uint(t.n+t.n/3)))
	t.marks = make([]byte, len(t.slots))
	for i, chunk := range t.chunks {
		for at := 0; at < len(chunk); at += 1 + int(chunk[at]) + trailer {
			slot, mark, found := t.find(chunk[at+1 : at+1+int(chunk[at])])
			if !found || lighter(t.record(t.slots[slot])) {
				t.slots[slot], t.marks[slot] = uint32(i)<<chunkBits|uint32(at), mark
			}
		}
	}
}

// lighter reports whether another entry for the same certificate takes the place
// of this one: it says less than revoked for good.
func lighter(record []byte) bool {
	switch int(record[len(record)-1]) - 1 {
	case holdReason, removedReason:
		return true
	}
	return false
}

// record is what stands at a place: the serial number and the trailer.
func (t *table) record(place uint32) []byte {
	c := t.chunks[place>>chunkBits][place&(maxChunk-1):]
	return c[1 : 1+int(c[0])+trailer]
}

// find returns the slot of a serial number, or the free one where it would be,
// and the mark that it has there.
func (t *table) find(serial []byte) (slot int, mark byte, found bool) {
	sum := maphash.Bytes(t.seed, serial)
	mark = byte(sum>>56) | 1
	last := len(t.slots) - 1
	for i := int(sum) & last; ; i = (i + 1) & last {
		switch t.marks[i] {
		case 0:
			return i, mark, false
		case mark:
			if r := t.record(t.slots[i]); bytes.Equal(r[:len(r)-trailer], serial) {
				return i, mark, true
			}
		}
	}
}

// Lookup finds the entry of a serial number. Of several for one certificate it
// is one that says revoked for good, if there is any.
func (t *table) Lookup(serial []byte) (inventory.RevokedEntry, bool) {
	if t.n == 0 {
		return inventory.RevokedEntry{}, false
	}
	slot, _, found := t.find(serial)
	if !found {
		return inventory.RevokedEntry{}, false
	}
	r := t.record(t.slots[slot])
	r = r[len(r)-trailer:]
	at := int64(int8(r[0]))<<32 | int64(r[1])<<24 | int64(r[2])<<16 | int64(r[3])<<8 | int64(r[4])
	return inventory.RevokedEntry{RevokedAt: time.Unix(at, 0).UTC(), Reason: int(r[5]) - 1}, true
}

// Len is the number of entries.
func (t *table) Len() int { return t.n }

// Bytes is the memory that the table takes.
func (t *table) Bytes() int { return t.size + 4*len(t.slots) + len(t.marks) }
