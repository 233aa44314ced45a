// Package certfile reads certificates from files as people keep them: PEM, DER,
// PKCS #7 and PKCS #12, alone, in a bundle or in a directory.
//
// It does not judge: a certificate that crypto/x509 would refuse is returned
// like any other, and only what has not even the outline of a certificate is a
// problem. It never keeps a private key; the blocks that hold one are not even
// decoded. Its invariant: one broken block, file or directory never hides the
// next, and nothing that was left out is left out silently.
package certfile

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
	"unicode/utf16"
)

// MaxFileSize is the largest file that is read, in bytes.
const MaxFileSize = 16 << 20

// maxProblems is how many problems of one file are told one by one.
const maxProblems = 100

// ErrNoCertificate is the cause when a file was understood and holds none, such
// as one with a private key alone.
var ErrNoCertificate = errors.New("no certificate in it")

// Options say how to read.
type Options struct {
	// Passwords for PKCS #12 files, tried in order after the empty one.
	Passwords []string

	opening  chan struct{} // has an entry while a PKCS #12 file is being opened; of one run
	patience time.Duration // 0 is the constant
}

// A Found is one certificate in a file.
type Found struct {
	DER   []byte
	Index int // position among the certificates of the file, from 0
	Line  int // of the PEM block it was in, from 1; 0 in a binary file
}

// Contents are the certificates of one file, in order, and what was wrong with
// the rest of it.
type Contents struct {
	Path         string
	Certificates []Found
	Problems     []error // each a [*Problem]
}

// A Problem is something in a file that could not be read.
type Problem struct {
	Path string
	Line int // from 1; 0 if lines mean nothing here
	Err  error
}

// Error is "path:line: text".
func (p *Problem) Error() string {
	switch {
	case p.Path == "" && p.Line == 0:
		return p.Err.Error()
	case p.Line == 0:
		return fmt.Sprintf("%s: %v", p.Path, p.Err)
	case p.Path == "":
		return fmt.Sprintf("line %d: %v", p.Line, p.Err)
	}
	return fmt.Sprintf("%s:%d: %v", p.Path, p.Line, p.Err)
}

// Unwrap returns what was wrong.
func (p *Problem) Unwrap() error { return p.Err }

// Read reads the file at path. The error is non-nil if not one certificate
// could be got from it, and then it says why, all problems included; it is
// [ErrNoCertificate] if there was nothing wrong.
func Read(path string, opt Options) (Contents, error) {
	st, err := os.Stat(path) // first: to open a pipe may wait for ever
	switch {
	case err != nil: // opening tells it, too
	case st.IsDir():
		return Contents{Path: path}, &Problem{Path: path, Err: errors.New("a directory, not a file")}
	case !st.Mode().IsRegular():
		return Contents{Path: path}, &Problem{Path: path, Err: errors.New("a pipe or a device, not a file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return Contents{Path: path}, err
	}
	defer f.Close()
	return ReadFrom(f, path, opt)
}

// ReadFrom is [Read] of what r gives, with name standing for the path.
func ReadFrom(r io.Reader, name string, opt Options) (Contents, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxFileSize+1))
	if err != nil {
		return Contents{Path: name}, &Problem{Path: name, Err: err}
	}
	if len(data) > MaxFileSize {
		return Contents{Path: name}, &Problem{Path: name, Err: fmt.Errorf("larger than %d MiB", MaxFileSize>>20)}
	}
	p := parser{path: name, opt: opt, keyStores: true}
	p.file(data)
	c := Contents{Path: name, Certificates: p.found, Problems: p.problems}
	if p.more > 0 {
		c.Problems = append(c.Problems, &Problem{Path: name, Err: fmt.Errorf("and %d problems more", p.more)})
	}
	switch {
	case len(c.Certificates) > 0:
		return c, nil
	case len(c.Problems) > 0:
		return c, errors.Join(c.Problems...)
	}
	return c, &Problem{Path: name, Err: fmt.Errorf("%w%s", ErrNoCertificate, p.others())}
}

// Decode returns the certificates in the body of an answer for a caIssuers URL:
// DER, PEM or PKCS #7, whatever its media type says (RFC 5280, section
// 4.2.2.1). The error is non-nil if there is none. What is broken beside a good
// certificate is left out.
func Decode(body []byte) ([][]byte, error) {
	if len(body) > MaxFileSize {
		return nil, fmt.Errorf("larger than %d MiB", MaxFileSize>>20)
	}
	var p parser
	p.file(body)
	if len(p.found) == 0 {
		if len(p.problems) > 0 {
			return nil, p.problems[0]
		}
		return nil, fmt.Errorf("%w%s", ErrNoCertificate, p.others())
	}
	ders := make([][]byte, len(p.found))
	for i, f := range p.found {
		ders[i] = f.DER
	}
	return ders, nil
}

// A parser collects what one file holds.
type parser struct {
	path      string
	opt       Options
	keyStores bool // read PKCS #12 too: it is a file that a person named

	found    []Found
	problems []error
	more     int      // problems beyond maxProblems
	seen     []string // other things than certificates, for the message
}

func (p *parser) add(der []byte, line int) {
	p.found = append(p.found, Found{DER: der, Index: len(p.found), Line: line})
}

func (p *parser) problem(line int, format string, args ...any) {
	if len(p.problems) == maxProblems {
		p.more++
		return
	}
	p.problems = append(p.problems, &Problem{Path: p.path, Line: line, Err: fmt.Errorf(format, args...)})
}

// file tells the formats apart by what is in them, because names lie: .crt and
// .cer are used for all of them.
func (p *parser) file(data []byte) {
	data = decodeUTF16(data)
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		p.problem(0, "empty")
	case p.der(data):
	case bytes.Contains(data, []byte(pemBegin)):
		p.pem(data)
	default:
		// Some servers and people drop the armour and keep the base64.
		raw, err := decodeBase64(data)
		if err != nil || !p.der(raw) {
			p.problem(0, "neither PEM, DER, PKCS #7 nor PKCS #12")
		}
	}
}

// der reads binary data and reports whether it was of a kind that it knows.
func (p *parser) der(data []byte) bool {
	switch kindOf(data) {
	case kindCertificate:
		p.concatenated(data)
	case kindPKCS7:
		p.pkcs7(data, 0)
	case kindPKCS12:
		if !p.keyStores {
			return false
		}
		p.pkcs12(data)
	case kindKey:
		p.seen = append(p.seen, "a private key")
	case kindRequest:
		p.seen = append(p.seen, "a certificate request")
	case kindCRL:
		p.seen = append(p.seen, "a revocation list")
	default:
		return false
	}
	return true
}

// concatenated reads DER certificates one after the other.
func (p *parser) concatenated(data []byte) {
	for len(bytes.TrimSpace(data)) > 0 {
		if kindOf(data) != kindCertificate {
			p.problem(0, "%d bytes after certificate %d are not a certificate", len(data), len(p.found))
			return
		}
		e, rest, _ := readElement(data, 0)
		p.add(bytes.Clone(e.full), 0)
		data = rest
	}
}

// decodeBase64 decodes b without the white space in it.
func decodeBase64(b []byte) ([]byte, error) {
	dense := make([]byte, 0, len(b))
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			dense = append(dense, c)
		}
	}
	return base64.StdEncoding.AppendDecode(nil, dense)
}

// others lists what was there instead of a certificate.
func (p *parser) others() string {
	if len(p.seen) == 0 {
		return ""
	}
	return ", only " + p.seen[0]
}

// decodeUTF16 turns text as Windows PowerShell writes it into bytes; all else
// is returned as it is, without a byte order mark.
func decodeUTF16(data []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	default:
		return bytes.TrimPrefix(data, []byte{0xef, 0xbb, 0xbf})
	}
	units := make([]uint16, 0, len(data)/2)
	for b := data[2:]; len(b) >= 2; b = b[2:] {
		units = append(units, order.Uint16(b))
	}
	return []byte(string(utf16.Decode(units)))
}
