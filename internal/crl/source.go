package crl

import (
	"crypto/sha256"
	"errors"
	"hash"
	"io"
)

// window is how much of a list is looked at at once, and maxElement how large
// one of its fields, entries or extensions together may be.
const (
	window     = 128 << 10
	maxElement = 64 << 10
)

// A source is the octets of a list, in a window that moves forward.
type source struct {
	r io.Reader

	buf      []byte
	pos, end int   // what is in the window and not consumed
	base     int64 // offset of buf[0]
	eof      bool

	all hash.Hash // of everything that was read

	// What is signed: from mark on it is in the window and not yet written to
	// signed. While marked without a signed it stays in the window.
	mark   int
	marked bool
	signed io.Writer
}

func newSource(r io.Reader) *source {
	return &source{r: r, buf: make([]byte, window), all: sha256.New()}
}

// offset is where in the list the next octet stands.
func (s *source) offset() int64 { return s.base + int64(s.pos) }

// have makes the next n octets, at most maxElement, available.
func (s *source) have(n int) error {
	if s.end-s.pos >= n {
		return nil
	}
	keep := s.pos
	switch {
	case s.signed != nil:
		if err := s.flush(); err != nil {
			return err
		}
		s.mark = 0
	case s.marked:
		keep, s.mark = s.mark, 0
	}
	copy(s.buf, s.buf[keep:s.end])
	s.base += int64(keep)
	s.pos, s.end = s.pos-keep, s.end-keep
	for empty := 0; s.end-s.pos < n; {
		if s.eof || s.end == len(s.buf) {
			return fail(s.base+int64(s.end), "truncated")
		}
		m, err := s.r.Read(s.buf[s.end:])
		s.all.Write(s.buf[s.end : s.end+m])
		s.end += m
		if empty++; m > 0 {
			empty = 0
		}
		switch {
		case errors.Is(err, io.EOF):
			s.eof = true
		case err != nil:
			return err
		case empty > 100:
			return io.ErrNoProgress
		}
	}
	return nil
}

// more reports whether anything follows.
func (s *source) more() (bool, error) {
	err := s.have(1)
	if s.eof && s.pos == s.end {
		return false, nil
	}
	return err == nil, err
}

// begin marks the next octet as the first that is signed.
func (s *source) begin() { s.mark, s.marked = s.pos, true }

// into says where what is signed goes, now that it is known.
func (s *source) into(w io.Writer) { s.signed = w }

// flush hands on what was consumed of what is signed.
func (s *source) flush() error {
	_, err := s.signed.Write(s.buf[s.mark:s.pos])
	s.mark = s.pos
	return err
}

// finish ends what is signed.
func (s *source) finish() error {
	err := s.flush()
	s.signed, s.marked = nil, false
	return err
}

// header reads a tag and the length of what follows it, which must end at or
// before end.
func (s *source) header(tag byte, end int64, what string) (contentEnd int64, err error) {
	at := s.offset()
	n, header, err := s.peek(tag, end, what)
	if err != nil {
		return 0, err
	}
	s.pos += header
	return at + int64(header) + n, nil
}

// peek looks at a header: the length of the content and of itself.
func (s *source) peek(tag byte, end int64, what string) (n int64, header int, err error) {
	at := s.offset()
	header = int(min(6, end-at))
	if header < 2 {
		return 0, 0, fail(at, "no %s", what)
	}
	if err := s.have(2); err != nil {
		return 0, 0, err
	}
	if s.buf[s.pos] != tag {
		return 0, 0, fail(at, "no %s: the tag is %#02x", what, s.buf[s.pos])
	}
	if b := s.buf[s.pos+1]; b > 0x80 && b <= 0x84 {
		if err := s.have(2 + int(b&0x7f)); err != nil {
			return 0, 0, err
		}
	}
	n, header, ok := length(s.buf[s.pos:min(s.pos+6, s.end)])
	if !ok {
		return 0, 0, fail(at, "the length of %s is not DER", what)
	}
	if n > end-at-int64(header) {
		return 0, 0, fail(at, "%s is longer than what it is in", what)
	}
	return n, header, nil
}

// element consumes one element and returns it whole. It is valid until the next
// call.
func (s *source) element(tag byte, end int64, what string) (cursor, error) {
	n, header, err := s.peek(tag, end, what)
	if err != nil {
		return cursor{}, err
	}
	at := s.offset()
	if n > maxElement-int64(header) {
		return cursor{}, fail(at, "%s has %d octets, which is absurd", what, n)
	}
	total := header + int(n)
	if err := s.have(total); err != nil {
		return cursor{}, err
	}
	c := cursor{b: s.buf[s.pos : s.pos+total : s.pos+total], at: at}
	s.pos += total
	return c, nil
}

// next is the tag of the next element before end, 0 if there is none.
func (s *source) next(end int64) (byte, error) {
	if s.offset() >= end {
		return 0, nil
	}
	if err := s.have(1); err != nil {
		return 0, err
	}
	return s.buf[s.pos], nil
}
