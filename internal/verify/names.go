package verify

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxName bounds the text of one distinguished name, in bytes.
const maxName = 1024

// maxAttributes bounds the attributes of one distinguished name that are read.
const maxAttributes = 256

// An attribute is one type and value of a distinguished name.
type attribute struct {
	rdn   int    // which relative name it belongs to, from 0
	oid   []byte // encoded
	value element
}

// attributes returns those of a Name, as encoded, as far as they can be read,
// and whether that was all of it.
func attributes(raw []byte) (all []attribute, whole bool) {
	seq, whole := single(raw, tagSequence)
	all = make([]attribute, 0, 8)
	sets := seq.inner()
	for rdn := 0; len(sets.rest) > 0; rdn++ {
		set, ok := sets.take(tagSet)
		pairs := set.inner()
		for ok && len(pairs.rest) > 0 && len(all) < maxAttributes {
			var pair element
			if pair, ok = pairs.take(tagSequence); !ok {
				break
			}
			in := pair.inner()
			oid, ok1 := in.take(tagOID)
			value, ok2 := in.next()
			if ok = ok1 && ok2; ok {
				all = append(all, attribute{rdn, oid.content, value})
			}
		}
		if !ok || len(pairs.rest) > 0 {
			return all, false
		}
	}
	return all, whole
}

const (
	oidCommonName   = "\x55\x04\x03"
	oidOrganization = "\x55\x04\x0a"
	oidEmail        = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"
)

func attributeName(oid []byte) string {
	switch string(oid) {
	case oidCommonName:
		return "CN"
	case "\x55\x04\x05":
		return "SERIALNUMBER"
	case "\x55\x04\x06":
		return "C"
	case "\x55\x04\x07":
		return "L"
	case "\x55\x04\x08":
		return "ST"
	case "\x55\x04\x09":
		return "STREET"
	case oidOrganization:
		return "O"
	case "\x55\x04\x0b":
		return "OU"
	case "\x55\x04\x11":
		return "POSTALCODE"
	case "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19":
		return "DC"
	case "\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01":
		return "UID"
	case oidEmail:
		return "emailAddress"
	}
	return ""
}

// A nameWords is what people read of a Name.
type nameWords struct{ whole, commonName, organization string }

// readName reads a Name, as encoded, as far as it can be read.
func readName(raw []byte) nameWords {
	attrs, _ := attributes(raw)
	return nameWords{distinguishedName(attrs), attributeOf(attrs, oidCommonName), attributeOf(attrs, oidOrganization)}
}

// distinguishedName is the RFC 4514 form of a Name: the last relative name
// first. Octets that are not text are written \xx; it never exceeds maxName.
func distinguishedName(attrs []attribute) string {
	b := make([]byte, 0, 128)
	last := len(attrs)
	for i := len(attrs) - 1; i >= 0; i-- {
		if i > 0 && attrs[i-1].rdn == attrs[i].rdn {
			continue // not yet the first of its relative name
		}
		for k, a := range attrs[i:last] {
			switch {
			case k > 0:
				b = append(b, '+')
			case last < len(attrs):
				b = append(b, ',')
			}
			b = appendAttribute(b, a)
			if len(b) > maxName {
				return cutText(string(b), maxName)
			}
		}
		last = i
	}
	return string(b)
}

func appendAttribute(b []byte, a attribute) []byte {
	name := attributeName(a.oid)
	text, ok := attributeText(a.value)
	if name == "" || !ok {
		if name == "" {
			name = oidString(a.oid)
		}
		b = append(b, name...)
		b = append(b, "=#"...)
		return hex.AppendEncode(b, a.value.full[:min(len(a.value.full), maxName)])
	}
	b = append(b, name...)
	b = append(b, '=')
	if len(text) > maxName {
		text = text[:maxName] + "…"
	}
	return appendEscaped(b, text)
}

func appendEscaped(b []byte, text string) []byte {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1, unicode.IsControl(r):
			for _, o := range []byte(text[i : i+n]) {
				b = append(b, '\\', hexDigits[o>>4], hexDigits[o&15])
			}
		case strings.ContainsRune(`,+"\<>;`, r),
			i == 0 && (r == ' ' || r == '#'),
			r == ' ' && i == len(text)-1:
			b = append(b, '\\', byte(r))
		default:
			b = append(b, text[i:i+n]...)
		}
		i += n
	}
	return b
}

const hexDigits = "0123456789abcdef"

// attributeText is the text of a string value; it may hold octets that are not
// UTF-8. False is returned for what is not a string.
func attributeText(v element) (string, bool) {
	switch v.tag {
	case tagUTF8String, tagPrintableString, tagIA5String, tagNumericString, tagVisibleString, tagT61String:
		return string(v.content), true
	case tagBMPString:
		u := make([]uint16, 0, len(v.content)/2)
		for c := v.content; len(c) >= 2; c = c[2:] {
			u = append(u, uint16(c[0])<<8|uint16(c[1]))
		}
		return string(utf16.Decode(u)), true
	case tagUniversalString:
		var s []rune
		for c := v.content; len(c) >= 4; c = c[4:] {
			s = append(s, rune(uint32(c[0])<<24|uint32(c[1])<<16|uint32(c[2])<<8|uint32(c[3])))
		}
		return string(s), true
	}
	return "", false
}

// attributeOf returns the last value of a type, which is the most specific one,
// as valid UTF-8.
func attributeOf(attrs []attribute, oid string) string {
	for _, a := range slices.Backward(attrs) {
		if string(a.oid) != oid {
			continue
		}
		if text, ok := attributeText(a.value); ok {
			return printable(cutText(text, maxName/4))
		}
	}
	return ""
}

// printable makes foreign text valid UTF-8, with \xx for what is not, so that
// it survives JSON and two different names never look the same.
func printable(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			b.WriteByte('\\')
			b.WriteByte(hexDigits[s[i]>>4])
			b.WriteByte(hexDigits[s[i]&15])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// cutText shortens s to at most limit bytes, between two characters.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	limit -= len("…")
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}

// quote prepares foreign text for a message.
func quote(s string) string { return strconv.Quote(cutText(s, 100)) }

// normalName gives every relative name of a Name a form in which equal means
// equal by RFC 5280, section 7.1: letter case, runs of spaces and the type of
// string do not count, nor does the order within a relative name.
func normalName(attrs []attribute) []string {
	var out []string
	for i := 0; i < len(attrs); {
		var parts []string
		rdn := attrs[i].rdn
		for ; i < len(attrs) && attrs[i].rdn == rdn; i++ {
			parts = append(parts, normalAttribute(attrs[i]))
		}
		slices.Sort(parts)
		out = append(out, strings.Join(parts, "\x01"))
	}
	return out
}

func normalAttribute(a attribute) string {
	text, ok := attributeText(a.value)
	if !ok {
		return string(a.oid) + "\x00#" + string(a.value.full)
	}
	return string(a.oid) + "\x00=" + strings.ToLower(strings.Join(strings.Fields(text), " "))
}

// A name is a distinguished name to compare. It must not be copied once used.
type name struct {
	raw []byte

	once   sync.Once
	rdns   []string // normalised; nil for the empty name
	normal string   // of all of them; set by once
}

// normalised returns the form in which equal names are equal.
func (n *name) normalised() string {
	n.once.Do(func() {
		attrs, whole := attributes(n.raw)
		if !whole {
			n.normal = "\x03" + string(n.raw) // equal to itself only
			return
		}
		n.rdns = normalName(attrs)
		n.normal = strings.Join(n.rdns, "\x02")
	})
	return n.normal
}

// empty reports whether there is no relative name.
func (n *name) empty() bool { return n.normalised() == "" }

func (n *name) equal(o *name) bool {
	return bytes.Equal(n.raw, o.raw) || n.normalised() == o.normalised()
}

// within reports whether n is o or below it (RFC 5280, section 4.2.1.10).
func (n *name) within(o *name) bool {
	n.normalised()
	o.normalised()
	return len(n.rdns) >= len(o.rdns) && slices.Equal(n.rdns[:len(o.rdns)], o.rdns)
}
