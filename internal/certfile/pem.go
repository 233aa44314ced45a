package certfile

import (
	"bytes"
	"strings"
)

const (
	pemBegin = "-----BEGIN "
	pemEnd   = "-----END "
	pemDash  = "-----"
)

// A pemBlock is one block while it is read.
type pemBlock struct {
	label string
	line  int
	body  []byte // base64
}

// pem reads every block in text that may have anything between the blocks.
//
// It is not encoding/pem because that skips a broken block without a word, and
// has no line numbers.
func (p *parser) pem(data []byte) {
	var open *pemBlock
	for n := 1; len(data) > 0; n++ {
		var line []byte
		line, data = cutLine(data)
		// Indented blocks are common in YAML.
		for line = bytes.TrimSpace(line); line != nil; {
			line = p.pemLine(&open, line, n)
		}
	}
	if open != nil {
		p.problem(open.line, "%s block without an end", open.label)
	}
}

// pemLine takes the n-th line, or what is left of it, and returns what is left
// after that: nil, unless a block begins where another ends.
func (p *parser) pemLine(open **pemBlock, line []byte, n int) []byte {
	b := *open
	switch {
	case bytes.HasPrefix(line, []byte(pemBegin)):
		label, rest, ok := strings.Cut(string(line[len(pemBegin):]), pemDash)
		if !ok {
			p.problem(n, "%q is cut off", clip(line))
			return nil
		}
		if b != nil {
			p.problem(b.line, "%s block without an end: another begins at line %d", b.label, n)
		}
		*open = &pemBlock{label: label, line: n}
		return nonEmpty(rest)
	case b == nil:
		return nil // text between blocks
	case bytes.HasPrefix(line, []byte(pemEnd)):
		*open = nil
		label, rest, _ := strings.Cut(string(line[len(pemEnd):]), pemDash)
		if label != b.label {
			p.problem(b.line, "%s block ends at line %d as %q", b.label, n, clip([]byte(label)))
			return nil
		}
		p.block(*b)
		if strings.HasPrefix(rest, pemBegin) {
			// Made by joining files without a newline at their end.
			p.problem(n, "a block begins on the line where another ends: most servers refuse this file; put a line break between")
			return []byte(rest)
		}
	case bytes.Contains(line, []byte(":")):
		// A header (RFC 1421), as in encrypted keys.
	default:
		if i := bytes.Index(line, []byte(pemEnd)); i > 0 {
			b.body = append(b.body, line[:i]...)
			return line[i:]
		}
		b.body = append(b.body, line...)
	}
	return nil
}

func (p *parser) block(b pemBlock) {
	switch b.label {
	case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE", "PKCS7", "CMS", "PKCS #7 SIGNED DATA":
	default:
		if strings.HasSuffix(b.label, "PRIVATE KEY") {
			p.seen = append(p.seen, "a private key")
		} else {
			p.seen = append(p.seen, "a "+clip([]byte(b.label))+" block")
		}
		return
	}
	der, err := decodeBase64(b.body)
	if err != nil {
		p.problem(b.line, "%s block: %w", b.label, err)
		return
	}
	if !strings.Contains(b.label, "CERTIFICATE") {
		p.pkcs7(der, b.line)
		return
	}
	e, rest, ok := readElement(der, 0)
	switch {
	case !ok || e.tag != tagSequence || e.indefinite:
		p.problem(b.line, "%s block: its %d bytes are not DER of a certificate", b.label, len(der))
	case len(rest) > 0 && b.label != "TRUSTED CERTIFICATE": // which OpenSSL appends its own data to
		p.problem(b.line, "%s block: %d bytes after the certificate", b.label, len(rest))
		p.add(e.full, b.line)
	default:
		p.add(e.full, b.line)
	}
}

// cutLine cuts after LF, CRLF or a lone CR.
func cutLine(data []byte) (line, rest []byte) {
	i := bytes.IndexAny(data, "\r\n")
	if i < 0 {
		return data, nil
	}
	if data[i] == '\r' && i+1 < len(data) && data[i+1] == '\n' {
		return data[:i], data[i+2:]
	}
	return data[:i], data[i+1:]
}

func nonEmpty(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

// clip shortens hostile text for a message.
func clip(b []byte) string {
	const most = 60
	if len(b) > most {
		return string(b[:most]) + "..."
	}
	return string(b)
}
