package crl

import "time"

const (
	tagBoolean         = 0x01
	tagInteger         = 0x02
	tagBitString       = 0x03
	tagOctetString     = 0x04
	tagOID             = 0x06
	tagEnumerated      = 0x0a
	tagUTCTime         = 0x17
	tagGeneralizedTime = 0x18
	tagSequence        = 0x30
	tagSet             = 0x31
)

// A cursor walks DER that is in memory. It knows where in the list that is.
type cursor struct {
	b  []byte
	at int64
}

// length reads the header of an element by DER: the length of its content and
// of the header. Lengths of more than four octets do not occur.
func length(b []byte) (n int64, header int, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return 0, 0, false
	}
	if b[1] < 0x80 {
		return int64(b[1]), 2, true
	}
	k := int(b[1] & 0x7f)
	if k == 0 || k > 4 || len(b) < 2+k || b[2] == 0 {
		return 0, 0, false
	}
	for _, o := range b[2 : 2+k] {
		n = n<<8 | int64(o)
	}
	return n, 2 + k, n >= 0x80
}

// is reports whether the next element has the tag.
func (c *cursor) is(tag byte) bool { return len(c.b) > 0 && c.b[0] == tag }

// take consumes one element of the tag and returns its content.
func (c *cursor) take(tag byte, what string) (cursor, error) {
	if !c.is(tag) {
		return cursor{}, fail(c.at, "no %s", what)
	}
	return c.any(what)
}

// any consumes one element and returns its content.
func (c *cursor) any(what string) (cursor, error) {
	n, header, ok := length(c.b)
	if !ok {
		return cursor{}, fail(c.at, "the length of %s is not DER", what)
	}
	if n > int64(len(c.b)-header) {
		return cursor{}, fail(c.at, "%s is longer than what it is in", what)
	}
	end := header + int(n)
	in := cursor{b: c.b[header:end:end], at: c.at + int64(header)}
	c.b, c.at = c.b[end:], c.at+int64(end)
	return in, nil
}

// done checks that nothing is left.
func (c *cursor) done(what string) error {
	if len(c.b) > 0 {
		return fail(c.at, "something follows %s", what)
	}
	return nil
}

// wellFormed checks that everything in c is DER, down to the primitive values.
func wellFormed(c cursor, what string, depth int) error {
	if depth == 0 {
		return fail(c.at, "%s is nested too deeply", what)
	}
	for len(c.b) > 0 {
		constructed := c.b[0]&0x20 != 0
		in, err := c.any(what)
		if err != nil {
			return err
		}
		if constructed {
			if err := wellFormed(in, what, depth-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// integer consumes an INTEGER in its shortest form and returns its octets.
func (c *cursor) integer(what string) ([]byte, error) {
	at := c.at
	in, err := c.take(tagInteger, what)
	if err != nil {
		return nil, err
	}
	b := in.b
	if len(b) == 0 || len(b) > 1 && (b[0] == 0 && b[1] < 0x80 || b[0] == 0xff && b[1] >= 0x80) {
		return nil, fail(at, "%s is not in its shortest form", what)
	}
	return b, nil
}

// truth consumes a BOOLEAN that is there, and so has to be TRUE: DER leaves a
// default out (X.690, section 11.5).
func (c *cursor) truth(tag byte, what string) error {
	at := c.at
	in, err := c.take(tag, what)
	if err != nil {
		return err
	}
	if len(in.b) != 1 || in.b[0] != 0xff {
		return fail(at, "%s is neither left out nor TRUE", what)
	}
	return nil
}

// time consumes a Time (RFC 5280, section 4.1.2.5), in seconds since 1970. Which
// of the two types an issuer has to use depends on the year, but whoever reads
// must understand both (section 5.1.2.4).
func (c *cursor) time(what string) (int64, error) {
	at, digits, year := c.at, 12, 0
	if c.is(tagGeneralizedTime) {
		digits = 14
	} else if !c.is(tagUTCTime) {
		return 0, fail(at, "no %s", what)
	}
	in, err := c.any(what)
	if err != nil {
		return 0, err
	}
	b := in.b
	bad := func() (int64, error) {
		return 0, fail(at, "%s is not a time of the form that RFC 5280 allows", what)
	}
	if len(b) != digits+1 || b[digits] != 'Z' {
		return bad()
	}
	for _, o := range b[:digits] {
		if o < '0' || o > '9' {
			return bad()
		}
	}
	pair := func(i int) int { return int(b[i]-'0')*10 + int(b[i+1]-'0') }
	if digits == 14 {
		year = pair(0) * 100
		b = b[2:]
	}
	year += pair(0)
	if digits == 12 {
		if year += 1900; year < 1950 {
			year += 100
		}
	}
	month, day, hour, minute, second := pair(2), pair(4), pair(6), pair(8), pair(10)
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return bad()
	}
	return days(year, month, day)*86400 + int64(hour*3600+minute*60+second), nil
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func daysIn(year, month int) int {
	switch {
	case month == 2 && leap(year):
		return 29
	case month == 2:
		return 28
	case month == 4, month == 6, month == 9, month == 11:
		return 30
	}
	return 31
}

// days counts from 1970-01-01. (time.Date does the same and takes three times as
// long, which a list of a million entries notices.)
func days(year, month, day int) int64 {
	if month <= 2 { // let the year begin in March, so that the odd day is its last
		year, month = year-1, month+12
	}
	y := int64(year)
	if y < 0 { // January of the year 0
		return time.Date(year+1, time.Month(month-12), day, 0, 0, 0, 0, time.UTC).Unix() / 86400
	}
	return 365*y + y/4 - y/100 + y/400 + int64((153*(month-3)+2)/5) + int64(day) - 719469
}
