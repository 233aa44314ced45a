package crl

import (
	"bytes"

	"example.com/certscan/internal/inventory"
)

// maxNames bounds the names of one distribution point.
const maxNames = 64

// readPoint reads an IssuingDistributionPoint (RFC 5280, section 5.2.5), whose
// fields all have defaults or are optional, but of which there must be one.
func readPoint(v cursor) (*inventory.IssuingDistributionPoint, error) {
	const what = "the issuing distribution point"
	in, err := v.take(tagSequence, "issuing distribution point")
	if err != nil {
		return nil, err
	}
	if err := v.done(what); err != nil {
		return nil, err
	}
	if len(in.b) == 0 {
		return nil, fail(in.at, "%s is empty", what)
	}
	p := &inventory.IssuingDistributionPoint{}
	if in.is(0xa0) {
		p.HasName = true
		name, err := in.any(what)
		if err != nil {
			return nil, err
		}
		if err := readPointName(p, name); err != nil {
			return nil, err
		}
	}
	for _, flag := range []struct {
		tag  byte
		into *bool
	}{
		{0x81, &p.OnlyUserCerts},
		{0x82, &p.OnlyCACerts},
		{0x83, &p.OnlySomeReasons},
		{0x84, &p.Indirect},
		{0x85, &p.OnlyAttributeCerts},
	} {
		if !in.is(flag.tag) {
			continue
		}
		if flag.into == &p.OnlySomeReasons {
			bits, err := in.any(what)
			if err != nil {
				return nil, err
			}
			if len(bits.b) < 1 || bits.b[0] > 7 || len(bits.b) == 1 && bits.b[0] != 0 {
				return nil, fail(bits.at, "the reasons of %s are no bit string", what)
			}
		} else if err := in.truth(flag.tag, "a flag of "+what); err != nil {
			return nil, err
		}
		*flag.into = true
	}
	return p, in.done(what)
}

// readPointName reads a DistributionPointName.
func readPointName(p *inventory.IssuingDistributionPoint, in cursor) error {
	const what = "the name of the issuing distribution point"
	switch {
	case in.is(0xa0):
		names, err := in.any(what)
		if err != nil {
			return err
		}
		if len(names.b) == 0 {
			return fail(names.at, "%s is empty", what)
		}
		for len(names.b) > 0 {
			whole := names
			content, err := names.any(what)
			if err != nil {
				return err
			}
			tag := whole.b[0]
			if tag&0xc0 != 0x80 {
				return fail(whole.at, "%s holds something that is no name", what)
			}
			if len(p.Names) == maxNames {
				return fail(whole.at, "%s has more than %d forms", what, maxNames)
			}
			p.Names = append(p.Names, bytes.Clone(whole.b[:len(whole.b)-len(names.b)]))
			if tag == 0x86 {
				p.URIs = append(p.URIs, string(content.b))
			}
		}
	case in.is(0xa1):
		relative, err := in.any(what)
		if err != nil {
			return err
		}
		if len(relative.b) == 0 {
			return fail(relative.at, "%s is empty", what)
		}
		if err := wellFormed(relative, what, maxDepth); err != nil {
			return err
		}
		p.Relative = bytes.Clone(relative.b)
	default:
		return fail(in.at, "%s is neither full nor relative", what)
	}
	return in.done(what)
}
