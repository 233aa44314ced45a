package verify

import "strconv"

// The tags that certificates are made of.
const (
	tagBoolean         = 0x01
	tagInteger         = 0x02
	tagBitString       = 0x03
	tagOctetString     = 0x04
	tagOID             = 0x06
	tagUTF8String      = 0x0c
	tagNumericString   = 0x12
	tagPrintableString = 0x13
	tagT61String       = 0x14
	tagIA5String       = 0x16
	tagUTCTime         = 0x17
	tagGeneralizedTime = 0x18
	tagVisibleString   = 0x1a
	tagUniversalString = 0x1c
	tagBMPString       = 0x1e
	tagSequence        = 0x30
	tagSet             = 0x31
)

// An element is one tag, length and value. content and full share the input.
type element struct {
	tag     byte
	content []byte
	full    []byte // header included
}

// A reader walks the elements of one constructed value. It is lenient where
// something can still be read, and remembers that it was: a scanner has to
// inventory what a strict parser refuses. (cryptobyte gives nothing of an
// element whose length is wrong, so it cannot serve here.)
type reader struct {
	rest []byte
	lax  bool // a length was not in its shortest form: BER, but not DER
	cut  bool // an element claimed more than there is
}

// next returns the next element, and false at the end or where nothing further
// can be read; rest is empty only in the first case.
func (r *reader) next() (element, bool) {
	b := r.rest
	if len(b) < 2 || b[0]&0x1f == 0x1f { // no multi-byte tag occurs in a certificate
		return element{}, false
	}
	length, header := uint64(b[1]), 2
	if b[1]&0x80 != 0 {
		n := int(b[1] & 0x7f)
		if n == 0 || n > 4 || len(b) < 2+n {
			return element{}, false
		}
		length = 0
		for _, o := range b[2 : 2+n] {
			length = length<<8 | uint64(o)
		}
		header += n
		if length < 0x80 || b[2] == 0 {
			r.lax = true
		}
	}
	if have := uint64(len(b) - header); length > have {
		length, r.cut = have, true
	}
	end := header + int(length)
	r.rest = b[end:]
	return element{tag: b[0], content: b[header:end:end], full: b[:end:end]}, true
}

// take returns the next element if it has the tag, and otherwise leaves it.
func (r *reader) take(tag byte) (element, bool) {
	if len(r.rest) == 0 || r.rest[0] != tag {
		return element{}, false
	}
	return r.next()
}

// inner returns a reader of what is inside e.
func (e element) inner() reader { return reader{rest: e.content} }

// clean reports whether everything was read and was DER.
func (r *reader) clean() bool { return len(r.rest) == 0 && !r.lax && !r.cut }

// children returns the elements inside content, and whether they were DER.
func children(content []byte) ([]element, bool) {
	r := reader{rest: content}
	var all []element
	for {
		e, ok := r.next()
		if !ok {
			return all, r.clean()
		}
		all = append(all, e)
	}
}

// single returns the only element of b if it has the tag and b is DER.
func single(b []byte, tag byte) (element, bool) {
	r := reader{rest: b}
	e, ok := r.take(tag)
	return e, ok && r.clean()
}

// appendElement appends an element with the content given.
func appendElement(dst []byte, tag byte, content ...[]byte) []byte {
	n := 0
	for _, c := range content {
		n += len(c)
	}
	dst = append(dst, tag)
	switch {
	case n < 0x80:
		dst = append(dst, byte(n))
	case n < 0x100:
		dst = append(dst, 0x81, byte(n))
	case n < 0x10000:
		dst = append(dst, 0x82, byte(n>>8), byte(n))
	case n < 0x1000000:
		dst = append(dst, 0x83, byte(n>>16), byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	for _, c := range content {
		dst = append(dst, c...)
	}
	return dst
}

// oidString is the dotted form of an encoded object identifier.
func oidString(b []byte) string {
	const longest = 64 // octets; what is longer is not worth spelling out
	if len(b) == 0 || len(b) > longest {
		return "unknown"
	}
	var out []byte
	var v uint64
	first := true
	for _, o := range b {
		if v > 1<<56 {
			return "unknown"
		}
		v = v<<7 | uint64(o&0x7f)
		if o&0x80 != 0 {
			continue
		}
		if first {
			root := min(v/40, 2)
			out = strconv.AppendUint(out, root, 10)
			v -= root * 40
			first = false
		}
		out = append(out, '.')
		out = strconv.AppendUint(out, v, 10)
		v = 0
	}
	return string(out)
}

// smallInt returns a non-negative INTEGER below 2^31.
func smallInt(content []byte) (int, bool) {
	if len(content) == 0 || content[0]&0x80 != 0 {
		return 0, false
	}
	for len(content) > 1 && content[0] == 0 {
		content = content[1:]
	}
	if len(content) > 4 {
		return 0, false
	}
	v := 0
	for _, o := range content {
		v = v<<8 | int(o)
	}
	return v, v < 1<<31
}

// magnitude returns the absolute value of an INTEGER, without leading zeros,
// and whether it is negative.
func magnitude(content []byte) (abs []byte, negative bool) {
	if len(content) > 0 && content[0]&0x80 != 0 {
		negative = true
		abs = make([]byte, len(content))
		carry := byte(1)
		for i := len(content) - 1; i >= 0; i-- {
			abs[i] = ^content[i] + carry
			if abs[i] != 0 {
				carry = 0
			}
		}
		content = abs
	}
	for len(content) > 0 && content[0] == 0 {
		content = content[1:]
	}
	return content, negative
}
