// Package blocklist reads lists of keys whose private half everybody can have.
//
// It only knows what it was given: that a key is not on a list says nothing.
// Its invariant: a file of which a line is not understood is refused as a whole,
// because a list that is read in part gives comfort that it should not.
package blocklist

import (
	"bufio"
	"bytes"
	"crypto/sha1" // as Debian's lists do
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"

	"example.com/certscan/internal/inventory"
)

// Bounds of what is read. Debian's lists for RSA keys of all sizes have fewer
// than 700,000 lines.
const (
	maxLine = 256
	maxKeys = 5_000_000
)

// modulusTail is how many octets of a modulus's SHA-1 Debian's lists keep, the
// last ones.
const modulusTail = 10

// A List is a set of keys. It is immutable, and safe for concurrent use.
type List struct {
	spki    [][sha256.Size]byte // both sorted
	modulus [][modulusTail]byte
}

// Read reads a list, one key a line: the SHA-256 of the SubjectPublicKeyInfo in
// hexadecimal, or, as Debian's package openssl-blacklist has them, the SHA-1 of
// the text "Modulus=…", whole or its last 20 digits. Empty lines and those that
// begin with # are passed over. An error names the line.
func Read(r io.Reader) (*List, error) {
	l := new(List)
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, maxLine), maxLine)
	number := 1
	for ; sc.Scan(); number++ {
		line := bytes.TrimSpace(sc.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if err := l.add(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", number, err)
	}
	if l.Len() == 0 {
		return nil, errors.New("there is no key in it")
	}
	slices.SortFunc(l.spki, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	slices.SortFunc(l.modulus, func(a, b [modulusTail]byte) int { return bytes.Compare(a[:], b[:]) })
	return l, nil
}

func (l *List) add(line []byte) error {
	if l.Len() >= maxKeys {
		return fmt.Errorf("more than %d keys", maxKeys)
	}
	raw, err := hex.AppendDecode(nil, line)
	if err != nil {
		return errors.New("not hexadecimal")
	}
	switch len(raw) {
	case sha256.Size:
		l.spki = append(l.spki, [sha256.Size]byte(raw))
	case sha1.Size, modulusTail:
		l.modulus = append(l.modulus, [modulusTail]byte(raw[len(raw)-modulusTail:]))
	default:
		return fmt.Errorf("%d hexadecimal digits: want 64 (SHA-256 of a key), or 40 or 20 (SHA-1 of a modulus, or its end)", len(line))
	}
	return nil
}

// Len is the number of keys.
func (l *List) Len() int { return len(l.spki) + len(l.modulus) }

// Blocked reports whether the list has the key, by the SHA-256 of its
// SubjectPublicKeyInfo or, of an RSA key, by the SHA-1 of "Modulus=", the
// modulus in upper-case hexadecimal and a newline; modulus is nil for others.
func (l *List) Blocked(spki inventory.Fingerprint, modulus []byte) bool {
	_, found := slices.BinarySearchFunc(l.spki, spki, func(a [sha256.Size]byte, b inventory.Fingerprint) int { return bytes.Compare(a[:], b[:]) })
	if found || len(modulus) != sha1.Size {
		return found
	}
	_, found = slices.BinarySearchFunc(l.modulus, modulus[sha1.Size-modulusTail:], func(a [modulusTail]byte, b []byte) int { return bytes.Compare(a[:], b) })
	return found
}
