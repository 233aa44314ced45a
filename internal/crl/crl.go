// Package crl reads certificate revocation lists (RFC 5280, section 5) from a
// stream, strictly and without holding them.
//
// It refuses to judge: whether a signature is right, who may have signed and
// what a list covers is said elsewhere. Its invariant: a list is returned only
// if every octet of it was accounted for, so that absence from it means
// something; and what is kept of a list grows with the table of its entries
// only, whatever its size.
package crl

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"example.com/certscan/internal/inventory"
)

// A SyntaxError says why an input is not a revocation list. What else [Read]
// returns came from its reader.
type SyntaxError struct {
	Offset int64 // where in the DER
	Reason string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("octet %d: %s", e.Offset, e.Reason) }

func fail(at int64, format string, args ...any) error {
	return &SyntaxError{Offset: at, Reason: fmt.Sprintf(format, args...)}
}

// Read reads one list, in DER or in PEM, to the end of r. A list of more than
// limit octets is refused. The error is a [*SyntaxError] if what was read is no
// list, and otherwise that of r.
func Read(r io.Reader, limit int64) (*inventory.CRL, error) {
	all, err := read(r, limit, 1)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// maxLists bounds the lists of one file.
const maxLists = 1000

// ReadAll is [Read] for the files of persons: in PEM there may be several lists,
// each of limit octets at most, and other blocks and text around them.
func ReadAll(r io.Reader, limit int64) ([]*inventory.CRL, error) { return read(r, limit, maxLists) }

func read(r io.Reader, limit int64, most int) ([]*inventory.CRL, error) {
	in := bufio.NewReaderSize(r, 4<<10)
	first, err := in.Peek(1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(first) == 0 {
		return nil, fail(0, "there is nothing")
	}
	if first[0] == tagSequence {
		list, err := readDER(in, limit)
		if err != nil {
			return nil, err
		}
		return []*inventory.CRL{list}, nil
	}
	var all []*inventory.CRL
	for {
		body, err := nextBlock(in, limit)
		switch {
		case err != nil:
			return nil, err
		case body == nil && len(all) == 0:
			return nil, fail(0, "neither DER nor a PEM block of the type %q", "X509 CRL")
		case body == nil:
			return all, nil
		case len(all) >= most:
			return nil, fail(0, "more than %d lists", most)
		}
		list, err := readDER(body, limit)
		if err != nil {
			return nil, err
		}
		all = append(all, list)
	}
}
