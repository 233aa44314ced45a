// Package onecrl reads Mozilla's list of revoked intermediates, as its remote
// settings publish it.
//
// It does not judge, and it fetches nothing. Its invariant: what could not be
// read of a list is told of, record by record, and never hides the rest.
package onecrl

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"example.com/certscan/internal/inventory"
)

// MaxSize is the largest list that is read, in bytes. That of 2026 has one
// million.
const MaxSize = 64 << 20

// maxProblems is how many bad records are told of one by one.
const maxProblems = 20

// A record names certificates by issuer and serial number, or by subject and
// key. All are base64: Names in DER, the serial number as the content of its
// INTEGER, the hash of a SubjectPublicKeyInfo by SHA-256. Firefox looks at
// nothing else of a record, its "enabled" included.
type record struct {
	ID      string `json:"id"`
	Issuer  string `json:"issuerName"`
	Serial  string `json:"serialNumber"`
	Subject string `json:"subject"`
	KeyHash string `json:"pubKeyHash"`
}

// Read reads a list: an object with the records in "data", or just their array.
// The problems are records that could not be read. The error is non-nil if it is
// no list, or if there is not one good record in it.
func Read(r io.Reader) (entries []inventory.OneCRLEntry, problems []error, err error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	switch {
	case err != nil:
		return nil, nil, err
	case len(data) > MaxSize:
		return nil, nil, fmt.Errorf("larger than %d MiB", MaxSize>>20)
	}
	raw, err := records(data)
	if err != nil {
		return nil, nil, err
	}
	more := 0
	for i, one := range raw {
		e, err := parse(one)
		switch {
		case err == nil:
			entries = append(entries, e)
		case len(problems) < maxProblems:
			problems = append(problems, fmt.Errorf("record %d: %w", i+1, err))
		default:
			more++
		}
	}
	if more > 0 {
		problems = append(problems, fmt.Errorf("and %d bad records more", more))
	}
	if len(entries) == 0 {
		return nil, nil, fmt.Errorf("no revoked intermediate in it: %w", errors.Join(append([]error{fmt.Errorf("%d records", len(raw))}, problems...)...))
	}
	return entries, problems, nil
}

func records(data []byte) ([]json.RawMessage, error) {
	var list struct {
		Data []json.RawMessage `json:"data"`
	}
	var target any = &list
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		target = &list.Data
	}
	if err := json.Unmarshal(data, target); err != nil {
		if at, ok := errors.AsType[*json.SyntaxError](err); ok {
			line := 1 + bytes.Count(data[:min(int(at.Offset), len(data))], []byte("\n"))
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		return nil, err
	}
	return list.Data, nil
}

func parse(raw json.RawMessage) (e inventory.OneCRLEntry, err error) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return e, err
	}
	for _, f := range []struct {
		name, text string
		to         *[]byte
	}{
		{"issuerName", r.Issuer, &e.Issuer},
		{"serialNumber", r.Serial, &e.Serial},
		{"subject", r.Subject, &e.Subject},
		{"pubKeyHash", r.KeyHash, &e.KeyHash},
	} {
		if *f.to, err = base64.StdEncoding.DecodeString(f.text); err != nil {
			return e, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	bySerial, byKey := len(e.Issuer) > 0 && len(e.Serial) > 0, len(e.Subject) > 0 && len(e.KeyHash) > 0
	switch {
	case !bySerial && !byKey:
		return e, errors.New("neither issuerName with serialNumber nor subject with pubKeyHash")
	case byKey && len(e.KeyHash) != sha256.Size:
		return e, fmt.Errorf("pubKeyHash: %d octets instead of %d", len(e.KeyHash), sha256.Size)
	}
	return e, nil
}
