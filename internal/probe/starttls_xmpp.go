package probe

import (
	"bytes"
	"encoding/xml"
	"slices"
	"strings"
)

// xmpp is RFC 6120, section 5. The tokens are raw, so that nothing has to be
// well-formed beyond what is read, and encoding/xml expands no entity but the
// five of XML. The decoder takes single bytes from d.r and stops behind the ">"
// of <proceed/>.
func (d *dialogue) xmpp(namespace, to string) error {
	if err := d.ask("stream", streamHeader(namespace, to)); err != nil {
		return err
	}
	if b, err := d.r.Peek(1); err != nil {
		return err
	} else if b[0] != '<' {
		return errForeign // else the decoder would wait for a "<" that never comes
	}
	dec := xml.NewDecoder(d.r)
	header, err := d.nextElement(dec)
	if err != nil {
		return err
	}
	if header.Name.Local != "stream" {
		return errForeign
	}
	if !slices.ContainsFunc(header.Attr, func(a xml.Attr) bool { return a.Name.Local == "version" }) {
		return missing("stream without a version") // before XMPP 1.0 there are no features to wait for
	}
	features, err := d.nextElement(dec)
	if err != nil {
		return err
	}
	names, err := d.describe(dec, features)
	if err != nil {
		return err
	}
	switch {
	case features.Name.Local == "error":
		return refused(names...)
	case features.Name.Local != "features":
		return errForeign
	case !slices.Contains(names, "starttls"):
		return missing(names...)
	}
	if err := d.ask("starttls", "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"); err != nil {
		return err
	}
	answer, err := d.nextElement(dec)
	if err != nil {
		return err
	}
	if names, err = d.describe(dec, answer); err != nil {
		return err
	}
	switch answer.Name.Local {
	case "proceed":
		return nil
	case "failure", "error":
		return refused(append([]string{answer.Name.Local}, names...)...)
	}
	return errForeign
}

func streamHeader(namespace, to string) string {
	var b bytes.Buffer
	b.WriteString("<?xml version='1.0'?><stream:stream version='1.0' xmlns='" + namespace +
		"' xmlns:stream='http://etherx.jabber.org/streams'")
	if to != "" {
		b.WriteString(" to='")
		_ = xml.EscapeText(&b, []byte(to)) // a bytes.Buffer takes everything
		b.WriteString("'")
	}
	b.WriteString(">")
	return b.String()
}

// nextElement returns the next start tag. XMPP allows white space and an XML
// declaration before it, and neither comments nor a DTD (RFC 6120, section 11.1).
func (d *dialogue) nextElement(dec *xml.Decoder) (xml.StartElement, error) {
	for {
		token, err := d.rawToken(dec)
		if err != nil {
			return xml.StartElement{}, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			return t, nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return xml.StartElement{}, errForeign
			}
		case xml.ProcInst:
		default:
			return xml.StartElement{}, errForeign
		}
	}
}

// describe reads to the end of e and returns the names of the elements in it and
// its text.
func (d *dialogue) describe(dec *xml.Decoder, e xml.StartElement) (words []string, err error) {
	for depth := 1; depth > 0; {
		token, err := d.rawToken(dec)
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			depth++
			words = append(words, t.Name.Local)
		case xml.EndElement:
			depth--
			if depth == 0 && t.Name.Local != e.Name.Local {
				return nil, errForeign
			}
		case xml.CharData:
			if s := strings.TrimSpace(string(t)); s != "" {
				words = append(words, s)
			}
		default:
			return nil, errForeign
		}
	}
	return words, nil
}

// rawToken is [xml.Decoder.RawToken], except that the end of what can be read is
// not taken for bad syntax.
func (d *dialogue) rawToken(dec *xml.Decoder) (xml.Token, error) {
	token, err := dec.RawToken()
	if err == nil {
		return token, nil
	}
	if d.err != nil {
		return nil, d.err
	}
	return nil, errForeign
}
