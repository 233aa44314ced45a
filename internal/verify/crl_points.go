package verify

import (
	"bytes"
	"slices"

	"example.com/certscan/internal/inventory"
)

// A crlPoint is a DistributionPoint of a certificate (RFC 5280, section
// 4.2.1.13).
type crlPoint struct {
	names    [][]byte // DER of the GeneralNames of the fullName
	relative []byte   // content of nameRelativeToCRLIssuer
	reasons  bool     // its lists are complete for some reasons only
	issuer   bool     // its lists are somebody else's: cRLIssuer
}

// maxCRLPoints bounds the points, and the names of each, that are kept.
const maxCRLPoints = 16

// readCRLPoints keeps the distribution points, and the addresses among their
// names.
func (c *cert) readCRLPoints(v []byte) {
	seq, _ := single(v, tagSequence)
	points, _ := children(seq.content)
	for i, p := range points {
		in := p.inner()
		var point crlPoint
		if choice, ok := in.take(0xa0); ok {
			c.readPointName(&point, choice)
		}
		_, point.reasons = in.take(0x81)
		_, point.issuer = in.take(0xa2)
		if i < maxCRLPoints && in.clean() {
			c.ext.crlPoints = append(c.ext.crlPoints, point)
		}
	}
}

func (c *cert) readPointName(p *crlPoint, choice element) {
	in := choice.inner()
	if relative, ok := in.take(0xa1); ok {
		p.relative = relative.content
		return
	}
	full, _ := in.take(0xa0)
	names, _ := children(full.content)
	for _, n := range names {
		if len(p.names) < maxCRLPoints {
			p.names = append(p.names, n.full)
		}
		if n.tag == 0x86 {
			c.info.CRLURLs = addURL(c.info.CRLURLs, n.content)
		}
	}
}

// usable reports whether the point is for complete lists of the certificate's
// own issuer.
func (p *crlPoint) usable() bool { return !p.reasons && !p.issuer }

// pointsElsewhere reports whether c has distribution points, and none of them is
// for complete lists of its issuer.
func (c *cert) pointsElsewhere() bool {
	has, _ := c.ext.has(oidCRLPoints)
	return has && !slices.ContainsFunc(c.ext.crlPoints, func(p crlPoint) bool { return p.usable() })
}

// distributes reports whether a list for the point p, issued by c's issuer, is
// one that c points to (RFC 5280, section 6.3.3, (b)(2)(i)). A certificate that
// points to none is thought to point to its issuer's entry in a directory, as
// the end of that section has it.
func (p *listPoint) distributes(c *cert) bool {
	var of [][]byte
	if has, _ := c.ext.has(oidCRLPoints); !has {
		of = [][]byte{appendElement(nil, 0xa4, c.issuer.raw)}
	}
	for i := range c.ext.crlPoints {
		point := &c.ext.crlPoints[i]
		switch {
		case !point.usable():
		case point.relative != nil:
			of = append(of, relativeName(c.issuer.raw, point.relative))
		default:
			of = append(of, point.names...)
		}
	}
	names := p.Names
	if p.Relative != nil {
		names = [][]byte{relativeName(p.issuer, p.Relative)}
	}
	return slices.ContainsFunc(of, func(a []byte) bool {
		return slices.ContainsFunc(names, func(b []byte) bool { return sameGeneralName(a, b) })
	})
}

// A listPoint is the issuing distribution point of a list.
type listPoint struct {
	*inventory.IssuingDistributionPoint
	issuer []byte // of the list, the Name's DER
}

// relativeName is the GeneralName of the entry below issuer that relative, the
// content of a RelativeDistinguishedName, names.
func relativeName(issuer, relative []byte) []byte {
	seq, _ := single(issuer, tagSequence)
	return appendElement(nil, 0xa4, appendElement(nil, tagSequence, seq.content, appendElement(nil, tagSet, relative)))
}

// sameGeneralName compares directory names as names, and all others, addresses
// above all, octet by octet (Baseline Requirements, section 7.2.2.1).
func sameGeneralName(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, ok1 := single(a, 0xa4)
	y, ok2 := single(b, 0xa4)
	return ok1 && ok2 && (&name{raw: x.content}).equal(&name{raw: y.content})
}
