package inventory

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A NameKey stands for a distinguished name however it is written: two names
// that have the same attributes, in the same or the opposite order, have the same
// key. Letter case, blanks and the order within one relative name do not count.
type NameKey string

// ParseName reads a distinguished name as RFC 4514 has it (CN=Root,O=Corp), as
// openssl prints it (O = Corp, CN = Root; also with issuer= before it), and as
// openssl used to (/O=Corp/CN=Root). An error says which part is none.
func ParseName(s string) (NameKey, error) {
	for _, word := range []string{"issuer=", "subject=", "issuer:", "subject:"} {
		if rest, ok := strings.CutPrefix(s, word); ok && strings.Contains(rest, "=") {
			s = rest
		}
	}
	s = strings.TrimLeft(s, " ")
	split, ends := splitName, ",;"
	if strings.HasPrefix(s, "/") {
		s, split = s[1:], splitSlashes
	}
	var names []string
	for _, part := range split(s, ends) {
		var attributes []string
		for _, a := range splitName(part, "+") {
			text, err := attribute(a)
			if err != nil {
				return "", err
			}
			attributes = append(attributes, text)
		}
		slices.Sort(attributes)
		names = append(names, strings.Join(attributes, "+"))
	}
	forth := strings.Join(names, ",")
	slices.Reverse(names)
	return NameKey(min(forth, strings.Join(names, ","))), nil
}

// splitName splits at any of the octets in ends that is neither escaped nor in
// quotation marks.
func splitName(s, ends string) (parts []string) {
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted && strings.IndexByte(ends, s[i]) >= 0:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// splitSlashes splits at each slash after which an attribute begins: values may
// have others.
func splitSlashes(s, _ string) (parts []string) {
	start := 0
	for i := range len(s) {
		name, _, ok := strings.Cut(s[i+1:], "=")
		if s[i] == '/' && ok && attributeType(name) != "" {
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// attribute reads TYPE=VALUE, and writes it so that it can be compared.
func attribute(s string) (string, error) {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return "", fmt.Errorf("%q is no part of a name: want such as O=Corp", strings.TrimSpace(s))
	}
	kind := attributeType(strings.TrimSpace(name))
	if kind == "" {
		return "", fmt.Errorf("%q is no attribute of a name: want such as CN, O, OU, C or an OID", strings.TrimSpace(name))
	}
	text, err := attributeValue(strings.TrimLeft(value, " "))
	if err != nil {
		return "", fmt.Errorf("%q: %w", strings.TrimSpace(s), err)
	}
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	return kind + "=" + strings.NewReplacer(`\`, `\\`, "+", `\+`, ",", `\,`).Replace(text), nil
}

// attributeType is one spelling of all that an attribute has: its usual
// abbreviation in lower case, or its OID. "" is none.
func attributeType(s string) string {
	s = strings.ToLower(s)
	if strings.Trim(s, "0123456789.") == "" && strings.Contains(s, ".") {
		return s
	}
	for _, a := range [][]string{
		{"cn", "commonname"},
		{"o", "organizationname"},
		{"ou", "organizationalunitname"},
		{"c", "countryname"},
		{"l", "localityname"},
		{"st", "s", "stateorprovincename"},
		{"street", "streetaddress"},
		{"serialnumber"},
		{"postalcode"},
		{"dc", "domaincomponent"},
		{"uid", "userid"},
		{"emailaddress", "email", "e"},
		{"2.5.4.4", "sn", "surname"},
		{"2.5.4.12", "title"},
		{"2.5.4.13", "description"},
		{"2.5.4.15", "businesscategory"},
		{"2.5.4.42", "gn", "givenname"},
		{"2.5.4.46", "dnqualifier"},
		{"2.5.4.97", "organizationidentifier"},
		{"1.3.6.1.4.1.311.60.2.1.1", "jurisdictionl"},
		{"1.3.6.1.4.1.311.60.2.1.2", "jurisdictionst"},
		{"1.3.6.1.4.1.311.60.2.1.3", "jurisdictionc"},
	} {
		if slices.Contains(a, s) {
			return a[0]
		}
	}
	return ""
}

// attributeValue takes quotation marks and escapes off a value.
func attributeValue(s string) (string, error) {
	if digits, ok := strings.CutPrefix(s, "#"); ok {
		if der, err := hex.DecodeString(strings.TrimSpace(digits)); err == nil {
			return derText(der), nil
		}
	}
	s = trimBlanks(s)
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 == len(s) {
			return "", errors.New(`a \ is followed by nothing`)
		}
		if octet, err := hex.DecodeString(s[i+1 : min(i+3, len(s))]); err == nil && len(octet) == 1 {
			b.WriteByte(octet[0])
			i += 2
			continue
		}
		i++
		b.WriteByte(s[i])
	}
	return b.String(), nil
}

// trimBlanks drops the blanks at the end that are not escaped.
func trimBlanks(s string) string {
	short := strings.TrimRight(s, " ")
	if len(short) < len(s) && strings.HasSuffix(short, `\`) {
		short += " "
	}
	return short
}

// derText is the text of an encoded string of one octet a character, or else the
// encoding itself in hexadecimal.
func derText(der []byte) string {
	const utf8String, printable, t61, ia5, visible = 12, 19, 20, 22, 26
	if len(der) >= 2 && int(der[1]) == len(der)-2 && der[1] < 0x80 && utf8.Valid(der[2:]) &&
		slices.Contains([]byte{utf8String, printable, t61, ia5, visible}, der[0]) {
		return string(der[2:])
	}
	return "#" + hex.EncodeToString(der)
}
