package certfile

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// oidSignedData is 1.2.840.113549.1.7.2.
var oidSignedData = []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}

// pkcs7 reads the certificates of a SignedData (RFC 2315, section 9.1; RFC
// 5652, section 5.1), the only part of PKCS #7 that carries any:
//
//	ContentInfo ::= SEQUENCE { OID signedData, [0] EXPLICIT SignedData }
//	SignedData  ::= SEQUENCE { version INTEGER, digestAlgorithms SET,
//	                contentInfo SEQUENCE, [0] IMPLICIT certificates OPTIONAL, … }
//
// Signatures are not checked: what a certificate is worth, its own says. It is
// no library because those refuse the whole file for one certificate that
// crypto/x509 refuses, and follow any depth of nesting.
func (p *parser) pkcs7(data []byte, line int) {
	info, _, ok := readElement(data, 0)
	parts := info.children()
	if !ok || info.tag != tagSequence || !hasTags(parts, tagOID, tagContext0) {
		p.problem(line, "not PKCS #7")
		return
	}
	if !bytes.Equal(parts[0].content, oidSignedData) {
		p.problem(line, "PKCS #7 of a type that carries no certificates")
		return
	}
	signed, _, ok := readElement(parts[1].content, 0)
	if !ok || signed.tag != tagSequence {
		p.problem(line, "PKCS #7, but cut off or malformed")
		return
	}
	fields := signed.children()
	if fields == nil {
		p.problem(line, "PKCS #7, but malformed")
		return
	}
	n := 0
	for _, field := range fields {
		if field.tag != tagContext0 {
			continue
		}
		entries := field.children()
		if entries == nil && len(field.content) > 0 {
			p.problem(line, "PKCS #7, but its list of certificates is malformed or too long")
			return
		}
		for _, c := range entries {
			n++
			switch {
			case c.tag != tagSequence: // attribute certificates and other formats
				p.seen = append(p.seen, "something other than X.509 in PKCS #7")
			case c.indefinite || c.children() == nil:
				p.problem(line, "entry %d of the PKCS #7 is not DER of a certificate", n)
			default:
				p.add(bytes.Clone(c.full), line)
			}
		}
	}
	if n == 0 {
		p.seen = append(p.seen, "PKCS #7 without certificates")
	}
}

// patience is how long one password of a PKCS #12 file may take. What can be seen
// of the file without it is [affordable], and takes a second at most.
const patience = 5 * time.Second

var errImpatient = errors.New("PKCS #12 takes too long to open")

// withPatience gives open up when it takes too long. The library decrypts keys,
// which are of no use here, with as many rounds as the encrypted part says, and
// cannot be stopped: it goes on, and until it is done nothing else is begun that
// may not end either.
func (p *parser) withPatience(open func() ([]*x509.Certificate, error)) ([]*x509.Certificate, error) {
	type opened struct {
		certs []*x509.Certificate
		err   error
	}
	if p.opt.opening == nil {
		p.opt.opening = make(chan struct{}, 1)
	}
	select {
	case p.opt.opening <- struct{}{}:
	default:
		return nil, fmt.Errorf("%w: an earlier one is still being opened", errImpatient)
	}
	limit := patience
	if p.opt.patience > 0 {
		limit = p.opt.patience
	}
	done := make(chan opened, 1)
	go func() {
		certs, err := open()
		<-p.opt.opening // before the next password is tried
		done <- opened{certs, err}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case o := <-done:
		return o.certs, o.err
	case <-timer.C:
		return nil, fmt.Errorf("%w: more than %v, which its rounds of key derivation may be made for; openssl pkcs12 -nokeys makes PEM of it", errImpatient, limit)
	}
}

// maxIterations bounds the work that a PKCS #12 file may ask for. OpenSSL and
// Windows write 2,048, Java 10,000.
const maxIterations = 1_000_000

// pkcs12 reads the certificates of a PKCS #12 file (RFC 7292). The library
// decrypts the key too; it is dropped here.
func (p *parser) pkcs12(data []byte) {
	pfx, rest, ok := readElement(data, 0)
	if !ok || len(bytes.TrimSpace(rest)) > 0 {
		p.problem(0, "PKCS #12 is cut off or has data after it")
		return
	}
	if !affordable(pfx, 0) {
		p.problem(0, "PKCS #12 asks for more than %d rounds of key derivation", maxIterations)
		return
	}
	for _, password := range append([]string{""}, p.opt.Passwords...) {
		certs, err := p.withPatience(func() ([]*x509.Certificate, error) { return openPKCS12(pfx.full, password) })
		switch {
		case errors.Is(err, errImpatient):
			p.problem(0, "%w", err)
			return
		case err == nil:
			for _, c := range certs {
				p.add(c.Raw, 0)
			}
			if len(certs) == 0 {
				p.seen = append(p.seen, "PKCS #12 without certificates")
			}
			return
		case wrongPassword(err):
			continue
		}
		p.problem(0, "%w; openssl pkcs12 -nokeys makes PEM of it", err)
		return
	}
	if len(p.opt.Passwords) == 0 {
		p.problem(0, "PKCS #12 with a password: give it with --password-file")
		return
	}
	p.problem(0, "PKCS #12 and none of the passwords of --password-file opens it")
}

// openPKCS12 reads what has a key and a chain, and what is a trust store.
func openPKCS12(data []byte, password string) ([]*x509.Certificate, error) {
	_, leaf, chain, err := pkcs12.DecodeChain(data, password)
	if err == nil {
		if leaf == nil {
			return chain, nil
		}
		return append([]*x509.Certificate{leaf}, chain...), nil
	}
	if wrongPassword(err) {
		return nil, err
	}
	if store, storeErr := pkcs12.DecodeTrustStore(data, password); storeErr == nil {
		return store, nil
	}
	return nil, err
}

// wrongPassword reports whether another password may help. In a file without a
// MAC a wrong one shows as bad padding, which the library does not always wrap.
func wrongPassword(err error) bool {
	return errors.Is(err, pkcs12.ErrIncorrectPassword) || strings.Contains(err.Error(), pkcs12.ErrDecryption.Error())
}

// leastSafe is less than the bytes of a bag with an iteration count: its three
// object identifiers and eight headers alone.
const leastSafe = 40

// affordable reports whether no iteration count that can be seen without the
// password is above the limit. All of them stand after their salt: an INTEGER
// after an OCTET STRING, which occurs nowhere else in such a file. The library
// looks at the number of the salt's tag only, and so does this. What cannot be
// read here may be readable there, so it is not affordable.
func affordable(e element, depth int) bool {
	parts := e.children()
	if depth > maxDepth || parts == nil && len(e.content) > 0 {
		return false
	}
	for i, c := range parts {
		if i > 0 && c.tag == tagInteger && parts[i-1].tag&tagNumber == tagOctetString && integer(c.content) > maxIterations {
			return false
		}
		// The safe contents are DER inside an OCTET STRING. Shorter ones are random,
		// and hold no safe with a count.
		nested := c.tag&constructed != 0 || c.tag == tagOctetString && len(c.content) >= leastSafe && bytes.HasPrefix(c.content, []byte{tagSequence})
		if nested && !affordable(c, depth+1) {
			return false
		}
	}
	return true
}

// integer is the value of a non-negative INTEGER, or above every limit.
func integer(content []byte) int64 {
	var v int64
	for _, c := range content {
		if v > maxIterations {
			return v
		}
		v = v<<8 | int64(c)
	}
	return v
}
