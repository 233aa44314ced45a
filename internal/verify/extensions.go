package verify

import (
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"example.com/certscan/internal/inventory"
)

const (
	oidSubjectKeyID      = "\x55\x1d\x0e"
	oidKeyUsage          = "\x55\x1d\x0f"
	oidSAN               = "\x55\x1d\x11"
	oidIssuerAltName     = "\x55\x1d\x12"
	oidBasicConstraints  = "\x55\x1d\x13"
	oidNameConstraints   = "\x55\x1d\x1e"
	oidCRLPoints         = "\x55\x1d\x1f"
	oidPolicies          = "\x55\x1d\x20"
	oidAnyPolicy         = "\x55\x1d\x20\x00"
	oidPolicyMappings    = "\x55\x1d\x21"
	oidAuthorityKeyID    = "\x55\x1d\x23"
	oidPolicyConstraints = "\x55\x1d\x24"
	oidExtKeyUsage       = "\x55\x1d\x25"
	oidAnyEKU            = "\x55\x1d\x25\x00"
	oidInhibitAny        = "\x55\x1d\x36"
	oidAIA               = "\x2b\x06\x01\x05\x05\x07\x01\x01"
	oidTLSFeature        = "\x2b\x06\x01\x05\x05\x07\x01\x18"
	oidServerAuth        = "\x2b\x06\x01\x05\x05\x07\x03\x01"
	oidOCSPAccess        = "\x2b\x06\x01\x05\x05\x07\x30\x01"
	oidCAIssuers         = "\x2b\x06\x01\x05\x05\x07\x30\x02"
	oidSCTList           = "\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x02"
	oidPoison            = "\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x03"
	oidMSPolicies        = "\x2b\x06\x01\x04\x01\x82\x37\x15\x0a"
)

// usageKeyCertSign is that bit of keyUsage, as it stands in its first octet.
const usageKeyCertSign = 0x04

// extensions are those that judging looks at.
type extensions struct {
	seen     map[string]bool // by encoded identifier; the value says critical
	critical []string        // dotted identifiers of critical ones not handled here

	hasBC   bool
	isCA    bool
	pathLen int // -1: no limit

	hasKU    bool
	keyUsage byte // the first octet

	hasEKU bool
	eku    []string // encoded identifiers

	subjectKeyID, authorityKeyID []byte
	authorityIssuer              bool // authorityKeyIdentifier names a certificate as well

	sanFlaw string // "" if it can be read, or is not there
	dns     []string
	ips     []netip.Addr
	emails  []string
	uris    []string
	dirs    []*name
	others  []byte // tags of further kinds of name that occur

	sctList []byte // value of the extension, nil if it is not there

	crlPoints []crlPoint

	constraints *nameConstraints
	policy      policyExtensions
}

// has reports whether the extension is present, and whether it is critical.
func (x *extensions) has(oid string) (present, critical bool) {
	critical, present = x.seen[oid]
	return present, critical
}

// readExtensions reads [3], and hashes the TBSCertificate, whose other fields
// are front, without the extensions that Certificate Transparency adds.
func (c *cert) readExtensions(explicit element, front []byte) {
	c.ext.seen = make(map[string]bool, 12)
	list, ok := single(explicit.content, tagSequence)
	if !ok {
		c.broken("malformed extensions")
	}
	in := list.inner()
	kept := make([]byte, 0, len(list.content))
	ct := false
	for {
		e, ok := in.take(tagSequence)
		if !ok {
			break
		}
		fields := e.inner()
		oid, ok1 := fields.take(tagOID)
		flag, _ := fields.take(tagBoolean)
		value, ok2 := fields.take(tagOctetString)
		if !ok1 || !ok2 || !fields.clean() {
			c.broken("malformed extension " + oidString(oid.content))
		}
		critical := len(flag.content) == 1 && flag.content[0] != 0
		id := string(oid.content)
		if _, twice := c.ext.seen[id]; twice {
			c.broken("extension " + oidString(oid.content) + " occurs twice")
		}
		c.ext.seen[id] = critical
		if id == oidPoison || id == oidSCTList {
			ct = true
		} else {
			kept = append(kept, e.full...)
		}
		c.readExtension(id, critical, value.content)
	}
	if !in.clean() {
		c.broken("malformed extensions")
	}
	c.info.TBS = tbsWithout(c.tbs, front, kept, ct)
}

func tbsWithout(tbs, front, kept []byte, changed bool) inventory.Fingerprint {
	if !changed {
		return inventory.FingerprintOf(tbs)
	}
	return inventory.FingerprintOf(joinTBS(front, kept))
}

// joinTBS is a TBSCertificate of all fields before the extensions, and those
// extensions that are kept.
func joinTBS(front, kept []byte) []byte {
	var exts []byte
	if len(kept) > 0 {
		exts = appendElement(nil, 0xa3, appendElement(nil, tagSequence, kept))
	}
	return appendElement(nil, tagSequence, front, exts)
}

func (c *cert) readExtension(id string, critical bool, v []byte) {
	x, ok := &c.ext, true
	switch id {
	case oidBasicConstraints:
		ok = x.readBasicConstraints(v)
		c.info.IsCA = x.isCA
	case oidKeyUsage:
		var bits element
		bits, ok = single(v, tagBitString)
		x.hasKU = true
		if len(bits.content) > 1 {
			x.keyUsage = bits.content[1]
		}
	case oidExtKeyUsage:
		ok = x.readEKU(v)
	case oidSubjectKeyID:
		var e element
		e, ok = single(v, tagOctetString)
		x.subjectKeyID = e.content
	case oidAuthorityKeyID:
		x.readAuthorityKeyID(v)
	case oidSAN:
		c.readSAN(v)
	case oidNameConstraints:
		x.constraints, ok = parseConstraints(v)
		if critical && x.constraints.unsupported {
			x.critical = append(x.critical, oidString([]byte(id)))
		}
	case oidPolicies, oidPolicyMappings, oidPolicyConstraints, oidInhibitAny:
		ok = x.policy.read(id, v)
	case oidAIA:
		c.readAIA(v)
	case oidCRLPoints:
		c.readCRLPoints(v)
	case oidTLSFeature:
		features, _ := single(v, tagSequence)
		all, _ := children(features.content)
		c.info.MustStaple = slices.ContainsFunc(all, func(e element) bool { return string(e.content) == "\x05" })
	case oidPoison:
		c.info.Precert = true
		x.critical = append(x.critical, oidString([]byte(id))) // never to be accepted (RFC 6962, section 3.1)
	case oidSCTList:
		x.sctList = v
	case oidMSPolicies, oidIssuerAltName:
	default:
		if critical {
			x.critical = append(x.critical, oidString([]byte(id)))
		}
	}
	if !ok {
		c.broken("malformed extension " + oidString([]byte(id)))
	}
}

func (x *extensions) readBasicConstraints(v []byte) bool {
	seq, ok := single(v, tagSequence)
	in := seq.inner()
	x.hasBC = true
	if ca, has := in.take(tagBoolean); has {
		x.isCA = len(ca.content) == 1 && ca.content[0] != 0
		ok = ok && len(ca.content) == 1
	}
	if n, has := in.take(tagInteger); has {
		var fits bool
		x.pathLen, fits = smallInt(n.content)
		ok = ok && fits
	}
	return ok && in.clean()
}

func (x *extensions) readEKU(v []byte) bool {
	seq, ok := single(v, tagSequence)
	x.hasEKU = true
	all, clean := children(seq.content)
	for _, e := range all {
		x.eku = append(x.eku, string(e.content))
		clean = clean && e.tag == tagOID
	}
	return ok && clean
}

// allowsServerAuth reports whether the usages permit TLS servers. As in
// crypto/x509, gated-crypto usages of the nineties do not.
func (x *extensions) allowsServerAuth() bool {
	return !x.hasEKU || slices.Contains(x.eku, oidServerAuth) || slices.Contains(x.eku, oidAnyEKU)
}

func (x *extensions) readAuthorityKeyID(v []byte) {
	seq, _ := single(v, tagSequence)
	all, _ := children(seq.content)
	for _, e := range all {
		switch e.tag {
		case 0x80:
			x.authorityKeyID = e.content
		case 0xa1, 0x82:
			x.authorityIssuer = true
		}
	}
}

// readSAN reads the subjectAltName entry by entry, so that a bad one does not
// hide the good ones.
func (c *cert) readSAN(v []byte) {
	x := &c.ext
	seq, ok := single(v, tagSequence)
	all, clean := children(seq.content)
	switch {
	case !ok || !clean:
		x.sanFlaw = "it is not DER"
	case len(all) == 0:
		x.sanFlaw = "it is empty"
	}
	var ips []string
	for _, e := range all {
		s := string(e.content)
		switch e.tag {
		case 0x82:
			if !ascii(s) {
				x.sanFlaw = quote(printable(s)) + " is not an ASCII name"
			}
			s = printable(s)
			x.dns = append(x.dns, s)
			c.info.Names = append(c.info.Names, s)
		case 0x87:
			ip, ok := netip.AddrFromSlice(e.content)
			if !ok {
				x.sanFlaw = "an IP address has the wrong length"
				continue
			}
			x.ips = append(x.ips, ip)
			ips = append(ips, ip.String())
		case 0x81:
			x.emails = append(x.emails, printable(s))
		case 0x86:
			x.uris = append(x.uris, printable(s))
		case 0xa4:
			x.dirs = append(x.dirs, &name{raw: e.content})
		default:
			if e.tag&0xc0 != 0x80 {
				x.sanFlaw = "it holds something that is not a name"
			}
			if !slices.Contains(x.others, e.tag&0x1f) {
				x.others = append(x.others, e.tag&0x1f)
			}
		}
	}
	c.info.Names = append(c.info.Names, ips...)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// maxURLs bounds the addresses of one kind that are kept of a certificate.
const maxURLs = 8

func addURL(list []string, content []byte) []string {
	u := strings.TrimSpace(printable(string(content)))
	if len(list) >= maxURLs || u == "" || len(u) > 2048 {
		return list
	}
	return append(list, u)
}

func (c *cert) readAIA(v []byte) {
	seq, _ := single(v, tagSequence)
	all, _ := children(seq.content)
	for _, d := range all {
		in := d.inner()
		method, _ := in.take(tagOID)
		location, ok := in.take(0x86)
		if !ok {
			continue
		}
		switch string(method.content) {
		case oidCAIssuers:
			c.info.IssuerURLs = addURL(c.info.IssuerURLs, location.content)
		case oidOCSPAccess:
			c.info.OCSPURLs = addURL(c.info.OCSPURLs, location.content)
		}
	}
}
