package crl

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"example.com/certscan/internal/inventory"
)

// A reading is a list while it is read.
type reading struct {
	*source
	list  inventory.CRL
	v2    bool
	table table

	seen     [][]byte // identifiers of the extensions of the present entry
	indirect int64    // where the first certificateIssuer is, 0 if there is none
	foreign  bool     // the present entry is of another issuer, as all that follow until one is named again
}

func readDER(in io.Reader, limit int64) (*inventory.CRL, error) {
	r := &reading{source: newSource(in)}
	end, err := r.header(tagSequence, math.MaxInt64, "CertificateList")
	if err != nil {
		return nil, err
	}
	if end > limit {
		return nil, fail(0, "%d octets, more than the %d that are allowed", end, limit)
	}
	r.begin()
	if err := r.readTBS(end); err != nil {
		return nil, err
	}
	if err := r.readSignature(end); err != nil {
		return nil, err
	}
	if more, err := r.more(); err != nil {
		return nil, err
	} else if more {
		return nil, fail(end, "something follows the list")
	}
	r.table.build()
	r.list.Size = end
	r.all.Sum(r.list.SHA256[:0])
	r.list.Entries = &r.table
	return &r.list, nil
}

// readTBS reads the part that is signed (RFC 5280, section 5.1.2).
func (r *reading) readTBS(outer int64) error {
	end, err := r.header(tagSequence, outer, "TBSCertList")
	if err != nil {
		return err
	}
	if tag, err := r.next(end); err != nil {
		return err
	} else if tag == tagInteger {
		v, err := r.element(tagInteger, end, "version")
		if err != nil {
			return err
		}
		if !bytes.Equal(v.b, []byte{tagInteger, 1, 1}) {
			return fail(v.at, "the version is given and not 2")
		}
		r.v2 = true
	}
	signed, err := r.readAlgorithm(end)
	if err != nil {
		return err
	}
	r.into(signed)
	if err := r.readFields(end); err != nil {
		return err
	}
	if r.offset() != end {
		return fail(r.offset(), "something is in the TBSCertList that has no place there")
	}
	if err := r.finish(); err != nil {
		return err
	}
	switch s := signed.(type) {
	case *signedText:
		r.list.TBS = s.b
	case hash.Hash:
		r.list.Digest = s.Sum(nil)
	}
	return nil
}

// readAlgorithm reads how the list is signed and returns where to write what is.
func (r *reading) readAlgorithm(end int64) (io.Writer, error) {
	alg, err := r.element(tagSequence, end, "signature algorithm")
	if err != nil {
		return nil, err
	}
	if err := wellFormed(alg, "signature algorithm", maxDepth); err != nil {
		return nil, err
	}
	r.list.Algorithm = bytes.Clone(alg.b)
	h, whole := digestOf(alg)
	r.list.Hash = h
	switch {
	case h != 0:
		return h.New(), nil
	case whole:
		return &signedText{at: r.offset()}, nil
	}
	return io.Discard, nil
}

// maxDepth bounds the nesting of values that are only checked to be DER.
const maxDepth = 16

func (r *reading) readFields(end int64) error {
	issuer, err := r.element(tagSequence, end, "issuer")
	if err != nil {
		return err
	}
	if err := wellFormed(issuer, "the issuer", maxDepth); err != nil {
		return err
	}
	r.list.Issuer = bytes.Clone(issuer.b)
	if r.list.ThisUpdate, err = r.readTime(end, "thisUpdate"); err != nil {
		return err
	}
	tag, err := r.next(end)
	if err != nil {
		return err
	}
	if tag == tagUTCTime || tag == tagGeneralizedTime {
		if r.list.NextUpdate, err = r.readTime(end, "nextUpdate"); err != nil {
			return err
		}
		if tag, err = r.next(end); err != nil {
			return err
		}
	}
	if tag == tagSequence {
		if err := r.readEntries(end); err != nil {
			return err
		}
		if tag, err = r.next(end); err != nil {
			return err
		}
	}
	if tag == 0xa0 {
		if err := r.readExtensions(end); err != nil {
			return err
		}
	}
	if r.indirect != 0 && (r.list.Point == nil || !r.list.Point.Indirect) {
		return fail(r.indirect, "an entry names another issuer, but the list is not indirect")
	}
	return nil
}

func (r *reading) readTime(end int64, what string) (time.Time, error) {
	tag, err := r.next(end)
	if err != nil {
		return time.Time{}, err
	}
	if tag != tagGeneralizedTime {
		tag = tagUTCTime
	}
	c, err := r.element(tag, end, what)
	if err != nil {
		return time.Time{}, err
	}
	at, err := c.time(what)
	return time.Unix(at, 0).UTC(), err
}

// readExtensions reads crlExtensions (RFC 5280, section 5.2).
func (r *reading) readExtensions(end int64) error {
	c, err := r.element(0xa0, end, "extensions")
	if err != nil {
		return err
	}
	if !r.v2 {
		return fail(c.at, "extensions in a list of version 1")
	}
	explicit, err := c.any("the extensions")
	if err != nil {
		return err
	}
	all, err := explicit.take(tagSequence, "extensions")
	if err != nil {
		return err
	}
	if err := explicit.done("the extensions"); err != nil {
		return err
	}
	if len(all.b) == 0 {
		return fail(all.at, "extensions without any")
	}
	seen := r.seen[:0]
	for len(all.b) > 0 {
		oid, critical, value, err := all.extension(&seen)
		if err != nil {
			return err
		}
		if err := r.readExtension(string(oid), critical, value); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) readExtension(oid string, critical bool, v cursor) error {
	switch oid {
	case "\x55\x1d\x14": // cRLNumber
		n, err := v.integer("the CRL number")
		if err != nil {
			return err
		}
		if n[0] >= 0x80 {
			return fail(v.at, "the CRL number is negative")
		}
		r.list.Number, r.list.NumberCritical = bytes.Clone(n), critical
		return v.done("the CRL number")
	case "\x55\x1d\x1b": // deltaCRLIndicator
		r.list.Delta = true
		if _, err := v.integer("the base CRL number"); err != nil {
			return err
		}
		return v.done("the base CRL number")
	case "\x55\x1d\x1c": // issuingDistributionPoint
		p, err := readPoint(v)
		if err != nil {
			return err
		}
		p.Critical = critical
		r.list.Point = p
		return nil
	case "\x55\x1d\x23": // authorityKeyIdentifier
		return r.readKeyID(v)
	}
	if critical {
		r.unknown(oid)
	}
	return nil
}

func (r *reading) readKeyID(v cursor) error {
	in, err := v.take(tagSequence, "authority key identifier")
	if err != nil {
		return err
	}
	r.list.HasAuthorityKeyID = true
	for _, tag := range []byte{0x80, 0xa1, 0x82} {
		if !in.is(tag) {
			continue
		}
		field, err := in.any("the authority key identifier")
		if err != nil {
			return err
		}
		if tag == 0x80 {
			r.list.AuthorityKeyID = bytes.Clone(field.b)
		}
	}
	if err := in.done("the authority key identifier"); err != nil {
		return err
	}
	return v.done("the authority key identifier")
}

// unknown notes a critical extension that is not known here.
func (r *reading) unknown(oid string) {
	const most = 8 // one is enough; more are for the message
	id := dotted(oid)
	if u := &r.list.UnknownCritical; len(*u) < most && !slices.Contains(*u, id) {
		*u = append(*u, id)
	}
}

// readSignature reads what follows the signed part (RFC 5280, sections 5.1.1.2
// and 5.1.1.3).
func (r *reading) readSignature(end int64) error {
	alg, err := r.element(tagSequence, end, "signature algorithm after the list")
	if err != nil {
		return err
	}
	if !bytes.Equal(alg.b, r.list.Algorithm) {
		return fail(alg.at, "the algorithms inside and outside of what is signed differ")
	}
	bits, err := r.element(tagBitString, end, "signature")
	if err != nil {
		return err
	}
	sig, err := bits.any("the signature")
	if err != nil {
		return err
	}
	if len(sig.b) < 2 || sig.b[0] != 0 {
		return fail(sig.at, "the signature is not a string of octets")
	}
	r.list.Signature = bytes.Clone(sig.b[1:])
	if r.offset() != end {
		return fail(r.offset(), "something follows the signature")
	}
	return nil
}

// extension consumes an Extension. The identifiers in seen may not come again.
func (c *cursor) extension(seen *[][]byte) (oid []byte, critical bool, value cursor, err error) {
	const most = 64
	e, err := c.take(tagSequence, "extension")
	if err != nil {
		return nil, false, value, err
	}
	id, err := e.take(tagOID, "identifier of an extension")
	if err != nil {
		return nil, false, value, err
	}
	switch {
	case len(id.b) == 0 || id.b[len(id.b)-1] >= 0x80:
		return nil, false, value, fail(id.at, "the identifier of an extension is cut off")
	case len(*seen) >= most:
		return nil, false, value, fail(id.at, "more than %d extensions", most)
	case slices.ContainsFunc(*seen, func(o []byte) bool { return bytes.Equal(o, id.b) }):
		return nil, false, value, fail(id.at, "the extension %s occurs twice", dotted(string(id.b)))
	}
	*seen = append(*seen, id.b)
	if e.is(tagBoolean) {
		if err := e.truth(tagBoolean, "the critical flag of an extension"); err != nil {
			return nil, false, value, err
		}
		critical = true
	}
	if value, err = e.take(tagOctetString, "value of an extension"); err != nil {
		return nil, false, value, err
	}
	return id.b, critical, value, e.done("the value of an extension")
}

// dotted is an object identifier as people write it, or its octets if it is too
// long for that.
func dotted(oid string) string {
	if len(oid) > 32 {
		return "#" + hex.EncodeToString([]byte(oid[:32])) + "…"
	}
	var out []byte
	var v uint64
	for i := range len(oid) {
		if v > 1<<56 {
			return fmt.Sprintf("#%x", oid)
		}
		v = v<<7 | uint64(oid[i]&0x7f)
		if oid[i] >= 0x80 {
			continue
		}
		if out == nil {
			root := min(v/40, 2)
			out = strconv.AppendUint(out, root, 10)
			v -= root * 40
		}
		out = append(out, '.')
		out = strconv.AppendUint(out, v, 10)
		v = 0
	}
	return string(out)
}

// maxSigned bounds a list whose signature is over the text itself, which has to
// be kept.
const maxSigned = 8 << 20

// signedText keeps what is signed.
type signedText struct {
	b  []byte
	at int64
}

func (t *signedText) Write(p []byte) (int, error) {
	if len(t.b)+len(p) > maxSigned {
		return 0, fail(t.at, "a list of more than %d octets signed with an algorithm that does not hash it first", maxSigned)
	}
	t.b = append(t.b, p...)
	return len(p), nil
}

// digestOf reads which hash function an AlgorithmIdentifier signs a digest of,
// 0 if it is not known; whole says that it signs the text itself.
func digestOf(alg cursor) (h crypto.Hash, whole bool) {
	in, err := alg.any("algorithm")
	if err != nil {
		return 0, false
	}
	oid, err := in.take(tagOID, "algorithm")
	if err != nil {
		return 0, false
	}
	switch string(oid.b) {
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04":
		return crypto.MD5, false
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", "\x2b\x0e\x03\x02\x1d", "\x2a\x86\x48\xce\x3d\x04\x01":
		return crypto.SHA1, false
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0e", "\x2a\x86\x48\xce\x3d\x04\x03\x01":
		return crypto.SHA224, false
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", "\x2a\x86\x48\xce\x3d\x04\x03\x02":
		return crypto.SHA256, false
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", "\x2a\x86\x48\xce\x3d\x04\x03\x03":
		return crypto.SHA384, false
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", "\x2a\x86\x48\xce\x3d\x04\x03\x04":
		return crypto.SHA512, false
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a":
		return pssDigest(in), false
	case "\x2b\x65\x70": // Ed25519
		return 0, true
	}
	return 0, false
}

// pssDigest reads the hash function of RSASSA-PSS-params (RFC 4055, section
// 3.1).
func pssDigest(in cursor) crypto.Hash {
	params, err := in.take(tagSequence, "parameters")
	if err != nil || !params.is(0xa0) {
		return crypto.SHA1
	}
	field, _ := params.any("hash function")
	id, err := field.take(tagSequence, "hash function")
	if err != nil {
		return 0
	}
	oid, _ := id.take(tagOID, "hash function")
	switch string(oid.b) {
	case "\x2b\x0e\x03\x02\x1a":
		return crypto.SHA1
	case "\x60\x86\x48\x01\x65\x03\x04\x02\x01":
		return crypto.SHA256
	case "\x60\x86\x48\x01\x65\x03\x04\x02\x02":
		return crypto.SHA384
	case "\x60\x86\x48\x01\x65\x03\x04\x02\x03":
		return crypto.SHA512
	}
	return 0
}
