package certfile

import "bytes"

// The tag bytes that matter here.
const (
	tagInteger     = 0x02
	tagBitString   = 0x03
	tagOctetString = 0x04
	tagOID         = 0x06
	tagSequence    = 0x30
	tagContext0    = 0xa0

	constructed = 0x20
	tagNumber   = 0x1f // without class and form
)

// maxDepth bounds the nesting that is followed. Certificates and their
// containers need less than ten levels.
const maxDepth = 24

// maxChildren bounds the elements of one element that are looked at, because
// each takes forty times the two bytes that it may be encoded in.
const maxChildren = 1 << 16

// An element is one BER element.
type element struct {
	tag        byte
	indefinite bool
	content    []byte
	full       []byte
}

// readElement reads one BER element and returns what follows it. PKCS #7 comes
// in BER with indefinite lengths too, which neither encoding/asn1 nor
// cryptobyte read; certificates themselves are always DER.
func readElement(b []byte, depth int) (e element, rest []byte, ok bool) {
	if len(b) < 2 || depth > maxDepth || b[0]&0x1f == 0x1f { // no tag above 30 occurs in what is read here
		return e, nil, false
	}
	e.tag = b[0]
	length, head := int(b[1]), 2
	switch {
	case length == 0x80:
		return readIndefinite(b, depth)
	case length > 0x80:
		n := length & 0x7f
		if n > 4 || len(b) < 2+n {
			return e, nil, false
		}
		length = 0
		for _, c := range b[2 : 2+n] {
			length = length<<8 | int(c)
		}
		head += n
	}
	if length < 0 || length > len(b)-head {
		return e, nil, false
	}
	end := head + length
	e.content, e.full = b[head:end:end], b[:end:end]
	return e, b[end:], true
}

// readIndefinite reads an element that ends with end-of-contents octets.
func readIndefinite(b []byte, depth int) (e element, rest []byte, ok bool) {
	if b[0]&constructed == 0 {
		return e, nil, false
	}
	inner := b[2:]
	for !bytes.HasPrefix(inner, []byte{0, 0}) {
		if _, inner, ok = readElement(inner, depth+1); !ok {
			return e, nil, false
		}
	}
	end := len(b) - len(inner)
	return element{tag: b[0], indefinite: true, content: b[2:end:end], full: b[: end+2 : end+2]}, inner[2:], true
}

// children splits the contents of a constructed element. It is nil if they are
// not BER, or too many.
func (e element) children() []element {
	var all []element
	for b := e.content; len(b) > 0; {
		c, rest, ok := readElement(b, 0)
		if !ok || len(all) == maxChildren {
			return nil
		}
		all, b = append(all, c), rest
	}
	return all
}

// A kind is what a binary file is, by its outline.
type kind int

const (
	kindUnknown kind = iota
	kindCertificate
	kindRequest
	kindCRL
	kindPKCS7
	kindPKCS12
	kindKey
)

// kindOf tells by the types of the first elements what begins data. It looks no
// deeper, so that a certificate with a defect is still one.
func kindOf(data []byte) kind {
	e, _, ok := readElement(data, 0)
	if !ok || e.tag != tagSequence {
		return kindUnknown
	}
	parts := e.children()
	switch {
	case hasTags(parts, tagOID, tagContext0):
		return kindPKCS7
	case hasTags(parts, tagInteger, tagSequence) && bytes.Equal(parts[0].content, []byte{3}):
		return kindPKCS12
	case hasTags(parts, tagInteger, tagInteger), // PKCS #1, DSA
		hasTags(parts, tagInteger, tagSequence, tagOctetString),        // PKCS #8
		hasTags(parts, tagInteger, tagOctetString),                     // SEC 1
		hasTags(parts, tagSequence, tagOctetString) && len(parts) == 2: // PKCS #8, encrypted
		return kindKey
	case hasTags(parts, tagSequence, tagSequence, tagBitString) && len(parts) == 3 && !e.indefinite:
		return kindOfSigned(parts[0].children())
	}
	return kindUnknown
}

// kindOfSigned tells the three things apart that consist of a body, an
// algorithm and a signature.
func kindOfSigned(body []element) kind {
	switch {
	case hasTags(body, tagContext0, tagInteger, tagSequence, tagSequence, tagSequence, tagSequence, tagSequence),
		hasTags(body, tagInteger, tagSequence, tagSequence, tagSequence, tagSequence, tagSequence): // version 1
		return kindCertificate
	case hasTags(body, tagInteger, tagSequence, tagSequence, tagContext0):
		return kindRequest
	case hasTags(body, tagInteger, tagSequence, tagSequence), hasTags(body, tagSequence, tagSequence):
		return kindCRL
	}
	return kindUnknown
}

func hasTags(parts []element, tags ...byte) bool {
	if len(parts) < len(tags) {
		return false
	}
	for i, t := range tags {
		if parts[i].tag != t {
			return false
		}
	}
	return true
}
