package inventory

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSelector bounds a selector in octets: it stands in a configuration, and is
// matched with every target.
const maxSelector = 4096

// ParseSelector reads a [Selector]. The error says what is wrong and what was
// expected; it quotes s only in part.
func ParseSelector(s string) (Selector, error) {
	if len(s) > maxSelector {
		return Selector{}, fmt.Errorf("selector of %d octets: want at most %d", len(s), maxSelector)
	}
	tokens, err := tokensOf(s)
	if err != nil {
		return Selector{}, fmt.Errorf("selector %q: %w", s, err)
	}
	p := selectorParser{tokens}
	sel, err := p.selector()
	if err != nil {
		return Selector{}, fmt.Errorf("selector %q: %w", s, err)
	}
	return sel, nil
}

// A token is a word, or one of the signs = != , ( ).
type token struct {
	text   string
	sign   bool
	quoted bool
}

func (t token) String() string {
	if t == (token{}) {
		return "the end"
	}
	return strconv.Quote(t.text)
}

// keyword reports whether t is the word w, and not a value that reads like it.
func (t token) keyword(w string) bool { return !t.sign && !t.quoted && t.text == w }

func (t token) is(sign string) bool { return t.sign && t.text == sign }

func isKeyword(s string) bool { return slices.Contains([]string{"or", "and", "in", "not", "notin"}, s) }

func isReserved(s string) bool {
	return slices.Contains(targetKeys(), s) || slices.Contains(findingKeys(), s)
}

// isDelimiter reports whether r ends a word.
func isDelimiter(r rune) bool {
	return strings.ContainsRune(`,()=!"\`, r) || unicode.IsSpace(r) || !unicode.IsPrint(r)
}

func tokensOf(s string) ([]token, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("is not UTF-8")
	}
	var out []token
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		switch {
		case strings.HasPrefix(s, "!="):
			out = append(out, token{text: "!=", sign: true})
			s = s[2:]
		case strings.HasPrefix(s, "=="): // as Kubernetes has it
			out = append(out, token{text: "=", sign: true})
			s = s[2:]
		case strings.ContainsRune(",()=", rune(s[0])):
			out = append(out, token{text: s[:1], sign: true})
			s = s[1:]
		case s[0] == '"':
			text, rest, err := unquote(s[1:])
			if err != nil {
				return nil, err
			}
			out, s = append(out, token{text: text, quoted: true}), rest
		default:
			n := strings.IndexFunc(s, isDelimiter)
			if n < 0 {
				n = len(s)
			}
			if n == 0 {
				r, _ := utf8.DecodeRuneInString(s)
				return nil, fmt.Errorf("%q has no place here: values with such characters stand in quotation marks", r)
			}
			out, s = append(out, token{text: s[:n]}), s[n:]
		}
	}
	return out, nil
}

// unquote reads up to the closing quotation mark; \" and \\ stand for " and \.
func unquote(s string) (text, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
		case s[i] == '\\':
			return "", "", errors.New(`a \ is followed by neither " nor \`)
		}
		b.WriteByte(s[i])
	}
	return "", "", errors.New("a quotation mark is not closed")
}

type selectorParser struct{ tokens []token }

func (p *selectorParser) peek() token {
	if len(p.tokens) == 0 {
		return token{}
	}
	return p.tokens[0]
}

func (p *selectorParser) next() token {
	t := p.peek()
	if len(p.tokens) > 0 {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *selectorParser) selector() (Selector, error) {
	if len(p.tokens) == 0 {
		return Selector{}, errors.New("is empty: want * for everything")
	}
	if len(p.tokens) == 1 && p.peek().keyword("*") {
		return Selector{}, nil
	}
	s := Selector{any: [][]term{nil}}
	for {
		t, err := p.term()
		if err != nil {
			return Selector{}, err
		}
		last := len(s.any) - 1
		s.any[last] = append(s.any[last], t)
		switch sep := p.next(); {
		case sep == token{}:
			return s, nil
		case sep.is(","), sep.keyword("and"):
		case sep.keyword("or"):
			s.any = append(s.any, nil)
		default:
			return Selector{}, fmt.Errorf("%v has no place here: want a comma, or, or the end", sep)
		}
	}
}

func (p *selectorParser) term() (term, error) {
	key := p.next()
	if key.sign || key == (token{}) || key.quoted || isKeyword(key.text) {
		return term{}, fmt.Errorf("%v has no place here: want such as owner=web, environment in (a, b) or *.example.com", key)
	}
	c := term{key: keyOf(key.text)}
	switch op := p.peek(); {
	case op.is("="), op.is("!="):
		p.next()
		c.negate = op.text == "!="
		return c, p.value(&c)
	case op.keyword("in"), op.keyword("not"), op.keyword("notin"):
		p.next()
		c.negate = op.text != "in"
		if op.text == "not" {
			if in := p.next(); !in.keyword("in") {
				return c, fmt.Errorf("%v after not: want in", in)
			}
		}
		return c, p.values(&c)
	}
	if !strings.ContainsAny(key.text, ".*:") {
		return c, fmt.Errorf("%q alone says nothing: want %s=VALUE, or host=%s", key.text, key.text, key.text)
	}
	c.key = "host"
	return c, c.add(key)
}

// keyOf is the key that text names.
func keyOf(text string) string {
	if isReserved(text) || strings.HasPrefix(text, labelKey) && text != labelKey {
		return text
	}
	return labelKey + text
}

func (p *selectorParser) value(c *term) error {
	v := p.next()
	if v.sign || v == (token{}) {
		return fmt.Errorf("%v after %s: want a value", v, c.key)
	}
	return c.add(v)
}

func (p *selectorParser) values(c *term) error {
	if open := p.next(); !open.is("(") {
		return fmt.Errorf("%v after in: want values in parentheses", open)
	}
	for {
		if err := p.value(c); err != nil {
			return err
		}
		switch sep := p.next(); {
		case sep.is(")"):
			return nil
		case !sep.is(","):
			return fmt.Errorf("%v among the values of %s: want a comma or a closing parenthesis", sep, c.key)
		}
	}
}

// add checks a value: one that its key can never have is a mistake.
func (c *term) add(v token) error {
	p := pattern{text: v.text, literal: v.quoted}
	if foldsCase(c.key) {
		p.text = strings.ToLower(p.text)
	}
	glob := !p.literal && strings.Contains(p.text, "*")
	switch c.key {
	case "host", "address":
		if strings.IndexFunc(p.text, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
			return fmt.Errorf("%q: write names in their ASCII form (xn--…)", v.text)
		}
		if strings.Contains(p.text, "/") { // which no name and no address has
			prefix, err := netip.ParsePrefix(p.text)
			if err != nil {
				return fmt.Errorf("%q is not a network: want such as 10.0.0.0/8 or 2001:db8::/32", v.text)
			}
			p.network = prefix.Masked()
			p.text = p.network.String()
		}
	case "port":
		if n, err := strconv.ParseUint(p.text, 10, 16); !glob && (err != nil || n == 0) {
			return fmt.Errorf("%q is not a port", v.text)
		}
	case "protocol":
		if !glob && !Protocol(p.text).Valid() {
			return fmt.Errorf("%q is not a protocol: want one of %v", v.text, Protocols())
		}
	case "code":
		if !glob && !slices.ContainsFunc(Codes(), func(i CodeInfo) bool { return string(i.Code) == p.text }) {
			return fmt.Errorf("there is no finding %q", v.text)
		}
	case "severity":
		if !glob && !slices.Contains([]Severity{Critical, Warning, Info}, Severity(p.text)) {
			return fmt.Errorf("%q is not a severity: want critical, warning or info", v.text)
		}
	}
	c.values = append(c.values, p)
	return nil
}
