package verify

import (
	"crypto/x509"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"example.com/certscan/internal/inventory"
)

// maxSerial bounds the octets of a serial number that are kept.
const maxSerial = 64

// A cert is one certificate as read here, whatever crypto/x509 says of it.
// Immutable after parseCert, but for what is computed once.
type cert struct {
	info inventory.Certificate
	der  []byte

	// flaw, if not empty, is why the certificate cannot be part of a path: its
	// structure is broken, or an extension that paths depend on is.
	flaw string

	dated           bool // the validity could be read
	version         int
	serial          []byte // the INTEGER's octets
	issuer, subject name
	tbs, sig        []byte
	alg             sigAlg
	key             publicKey
	ext             extensions

	once    sync.Once
	x       *x509.Certificate // of fields that distrust rules look at; set by once
	profile profileMemo
}

// called is what messages call the certificate: its subject, or, since leaves
// need none any more, the first of its names.
func (c *cert) called() string {
	switch {
	case c.info.Subject != "":
		return quote(c.info.Subject)
	case len(c.info.Names) > 0:
		return "the certificate for " + quote(c.info.Names[0])
	}
	return "a certificate without any name"
}

// malformed reports whether a strict parser refuses the certificate for more
// than the kind of its key.
func (c *cert) malformed() bool {
	return c.info.ParseError != "" && (c.flaw != "" || !c.key.foreign)
}

// broken notes the first flaw.
func (c *cert) broken(flaw string) {
	if c.flaw == "" {
		c.flaw = flaw
	}
}

// Parse reads as much of a certificate as can be read. It never fails: SHA256 is
// always set, and ParseError says what crypto/x509 refused, if it did.
func Parse(der []byte) inventory.Certificate { return parseCert(der).info }

// parseCert reads der, which must not change afterwards.
func parseCert(der []byte) *cert { return readCert(der, false, readName) }

// readCert is parseCert where it may be known that crypto/x509 has read der
// before without complaint, and what the issuers of many certificates are
// called.
func readCert(der []byte, accepted bool, issuerName func(raw []byte) nameWords) *cert {
	c := &cert{der: der, ext: extensions{pathLen: -1}}
	c.info.SHA256 = inventory.FingerprintOf(der)
	c.read(issuerName)
	// One reader gives the facts, so that they do not depend on whether the
	// library likes the rest; the library gives a second opinion.
	if !accepted {
		if _, err := x509.ParseCertificate(der); err != nil {
			c.info.ParseError = printable(cutText(strings.TrimPrefix(err.Error(), "x509: "), 300))
			return c
		}
	}
	if c.flaw != "" {
		c.info.ParseError = c.flaw
	}
	return c
}

// standard returns c as crypto/x509 has it, or a skeleton with the dates if it
// refuses c.
func (c *cert) standard() *x509.Certificate {
	c.once.Do(func() {
		var err error
		if c.x, err = x509.ParseCertificate(c.der); err != nil {
			c.x = &x509.Certificate{
				Raw: c.der, RawSubject: c.subject.raw, RawIssuer: c.issuer.raw,
				NotBefore: c.info.NotBefore, NotAfter: c.info.NotAfter,
			}
		}
	})
	return c.x
}

func (c *cert) read(issuerName func([]byte) nameWords) {
	top := reader{rest: c.der}
	outer, ok := top.take(tagSequence)
	if !ok {
		c.broken("not a DER certificate")
		return
	}
	body := outer.inner()
	tbs, ok := body.take(tagSequence)
	if !ok {
		c.broken("no TBSCertificate")
		return
	}
	c.tbs = tbs.full
	inner, ok := c.readTBS(tbs, issuerName)
	if !ok {
		return
	}
	outerAlg, ok1 := body.take(tagSequence)
	sig, ok2 := body.take(tagBitString)
	switch {
	case top.cut || body.cut:
		c.broken("truncated")
	case !ok1 || !ok2 || len(sig.content) < 1 || len(body.rest) > 0:
		c.broken("no signature")
	case len(top.rest) > 0:
		c.broken("trailing data")
	case top.lax || body.lax:
		c.broken("lengths are not DER")
	case string(outerAlg.full) != string(inner.full):
		c.broken("inner and outer signature algorithm differ")
	}
	if len(sig.content) > 0 {
		c.sig = sig.content[1:]
	}
}

// readTBS reads the TBSCertificate field by field and stops at the first that
// is not there. It returns the inner signature AlgorithmIdentifier.
func (c *cert) readTBS(tbs element, issuerName func([]byte) nameWords) (alg element, ok bool) {
	in := tbs.inner()
	defer func() {
		if in.cut {
			c.broken("truncated")
		}
		if in.lax {
			c.broken("lengths are not DER")
		}
	}()
	c.version = 1
	if v, ok := in.take(0xa0); ok {
		n, _ := single(v.content, tagInteger)
		number, _ := smallInt(n.content)
		c.version = number + 1
		if c.version < 2 || c.version > 3 {
			c.broken("unknown version")
		}
	}
	serial, ok := in.take(tagInteger)
	if !ok {
		c.broken("no serial number")
		return alg, false
	}
	c.serial = serial.content
	c.info.Serial = serialText(serial.content)
	if alg, ok = in.take(tagSequence); !ok {
		c.broken("no signature algorithm")
		return alg, false
	}
	c.alg = signatureAlgorithm(alg)
	c.info.Signature = c.alg.label
	issuer, ok := in.take(tagSequence)
	if !ok {
		c.broken("no issuer")
		return alg, false
	}
	validity, ok := in.take(tagSequence)
	if !ok {
		c.readNames(issuer, issuer, issuerName)
		c.broken("no validity")
		return alg, false
	}
	c.readValidity(validity)
	subject, ok := in.take(tagSequence)
	if !ok {
		c.readNames(issuer, element{}, issuerName)
		c.broken("no subject")
		return alg, false
	}
	c.readNames(issuer, subject, issuerName)
	spki, ok := in.take(tagSequence)
	if !ok {
		c.broken("no public key")
		return alg, false
	}
	if !c.key.parse(spki) {
		c.broken("malformed public key")
	}
	c.info.Key, c.info.PublicKeyBits, c.info.SPKI = c.key.label, c.key.bits, c.key.id
	in.take(0x81) // the unique identifiers of version 2
	in.take(0xa1)
	in.take(0x82)
	in.take(0xa2)
	front := tbs.content[:len(tbs.content)-len(in.rest)]
	exts, ok := in.take(0xa3)
	if ok {
		c.readExtensions(exts, front)
	} else {
		c.info.TBS = inventory.FingerprintOf(tbs.full)
	}
	if len(in.rest) > 0 {
		c.broken("unexpected fields")
	}
	return alg, true
}

// serialText is lower-case hexadecimal, two digits an octet.
func serialText(content []byte) string {
	abs, negative := magnitude(content)
	if len(abs) == 0 {
		return "00"
	}
	s := hex.EncodeToString(abs[:min(len(abs), maxSerial)])
	if len(abs) > maxSerial {
		s += "…"
	}
	if negative {
		return "-" + s
	}
	return s
}

func (c *cert) readNames(issuer, subject element, issuerName func([]byte) nameWords) {
	c.issuer.raw, c.subject.raw = issuer.full, subject.full
	name := issuerName(issuer.full)
	c.info.Issuer, c.info.IssuerCN, c.info.IssuerOrg = name.whole, name.commonName, name.organization
	if len(subject.full) == 0 {
		return
	}
	if c.info.SelfIssued = c.issuer.equal(&c.subject); !c.info.SelfIssued {
		name = readName(subject.full)
	}
	c.info.Subject, c.info.SubjectCN = name.whole, name.commonName
}

func (c *cert) readValidity(v element) {
	in := v.inner()
	before, ok1 := in.next()
	after, ok2 := in.next()
	var ok3, ok4 bool
	c.info.NotBefore, ok3 = parseTime(before)
	c.info.NotAfter, ok4 = parseTime(after)
	c.dated = ok1 && ok2 && ok3 && ok4
	if !c.dated || !in.clean() {
		c.broken("malformed validity")
	}
}

// parseTime reads a UTCTime or GeneralizedTime also in the forms of BER that
// DER and RFC 5280 forbid: without seconds, with fractions, with an offset.
// Fractions are dropped: the certificate is valid through the whole second.
func parseTime(e element) (time.Time, bool) {
	if t, ok := derTime(e); ok {
		return t, true
	}
	s := string(e.content)
	if len(s) > 32 {
		return time.Time{}, false
	}
	year := "2006"
	if e.tag == tagUTCTime {
		year = "06"
	} else if e.tag != tagGeneralizedTime {
		return time.Time{}, false
	}
	zone := ""
	if i := strings.IndexAny(s, "Z+-"); i >= 0 {
		s, zone = s[:i], s[i:]
	}
	s, _, _ = strings.Cut(strings.ReplaceAll(s, ",", "."), ".")
	layout := year + "0102150405"
	if len(s) == len(layout)-2 {
		layout = layout[:len(layout)-2]
	}
	if zone == "" {
		zone = "Z"
	}
	t, err := time.Parse(layout+"Z0700", s+zone)
	if err != nil {
		return time.Time{}, false
	}
	t = t.UTC()
	if t.Year() < 0 || t.Year() > 9999 { // an offset may carry it past what JSON can hold
		return time.Time{}, false
	}
	if e.tag == tagUTCTime && t.Year() >= 2050 { // time.Parse turns the century at 69
		t = t.AddDate(-100, 0, 0)
	}
	return t, true
}

// derTime reads the one form of each that RFC 5280, section 4.1.2.5, allows.
// Nearly all certificates have it, and time.Parse is a twentieth of a census.
func derTime(e element) (time.Time, bool) {
	b := e.content
	switch {
	case e.tag == tagUTCTime && len(b) == len("060102150405Z"):
	case e.tag == tagGeneralizedTime && len(b) == len("20060102150405Z"):
	default:
		return time.Time{}, false
	}
	last := len(b) - 1
	var n [7]int // pairs of digits
	for i, c := range b[:last] {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
		n[i/2] = n[i/2]*10 + int(c-'0')
	}
	year, rest := n[0]*100+n[1], n[2:]
	if e.tag == tagUTCTime {
		if year, rest = 2000+n[0], n[1:]; n[0] >= 50 {
			year -= 100
		}
	}
	month, day, hour, minute, second := rest[0], rest[1], rest[2], rest[3], rest[4]
	if b[last] != 'Z' || hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	return t, int(t.Month()) == month && t.Day() == day // there is no 31st of June
}
