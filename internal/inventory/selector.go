package inventory

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Selector chooses targets, or findings of targets, by what is known of them:
//
//	environment=prod, owner!=web         both must hold
//	environment in (prod, staging)       also: not in
//	*.example.com or host=10.0.0.0/8     either
//	protocol=smtp, port not in (25, 587)
//	source=file:domains.txt, code=expiring, severity=critical
//
// Terms are about the target (host, port, protocol, address, source, target),
// about a finding (code, rule, severity, subject), or about a label, which is
// any other key, or label.KEY for one that is called like those; team and env
// mean owner and environment, as in lists ([Target.Label]). == is =. A bare word
// is a host. A * in a value stands for any characters, dots among them, unless the
// value is in quotation marks. What a target does not have equals the empty
// value "" and nothing else: owner="" selects what has no owner, owner=* what has
// one. Hosts are compared without regard to case, and with networks by address.
//
// The zero value selects everything, and is written "*". [ParseSelector] reads a
// selector and [Selector.String] writes it; its JSON is that text.
type Selector struct {
	any [][]term // one of these, of which all terms
}

// A term is one condition: the key has one of the values, or none of them.
type term struct {
	key    string // a reserved key, or "label." and the name of a label
	negate bool
	values []pattern
}

// A pattern is what a value is compared with.
type pattern struct {
	text    string
	literal bool // was quoted: * stands for itself
	network netip.Prefix
}

// Match reports whether t is selected. A term about a finding holds for no
// target.
func (s Selector) Match(t Target) bool { return s.match(&t, nil) }

// MatchFinding reports whether f, a finding of t or of one of its views, is
// selected.
func (s Selector) MatchFinding(t Target, f Finding) bool { return s.match(&t, &f) }

// MatchFleet reports whether f, a finding that belongs to no single target, is
// selected. A term about a target holds for none.
func (s Selector) MatchFleet(f Finding) bool { return s.match(nil, &f) }

// IsZero reports whether s selects everything.
func (s Selector) IsZero() bool { return len(s.any) == 0 }

// Equal reports whether s and o are written alike.
func (s Selector) Equal(o Selector) bool { return s.String() == o.String() }

// OfFindings reports whether a term of s is about findings, so that it can never
// select a target as such.
func (s Selector) OfFindings() bool {
	return slices.ContainsFunc(s.any, func(all []term) bool {
		return slices.ContainsFunc(all, func(t term) bool { return slices.Contains(findingKeys(), t.key) })
	})
}

func (s Selector) match(t *Target, f *Finding) bool {
	if s.IsZero() {
		return true
	}
	for _, all := range s.any {
		if !slices.ContainsFunc(all, func(c term) bool { return !c.holds(t, f) }) {
			return true
		}
	}
	return false
}

const labelKey = "label."

func targetKeys() []string {
	return []string{"host", "port", "protocol", "address", "source", "target"}
}
func findingKeys() []string { return []string{"code", "rule", "severity", "subject"} }

func (c *term) holds(t *Target, f *Finding) bool {
	if slices.Contains(findingKeys(), c.key) {
		return f != nil && c.matches(f.value(c.key)) != c.negate
	}
	if t == nil {
		return false
	}
	if c.key == "source" && len(t.Sources) > 0 {
		return slices.ContainsFunc(t.Sources, c.matches) != c.negate
	}
	return c.matches(t.value(c.key)) != c.negate
}

func (f *Finding) value(key string) string {
	switch key {
	case "code":
		return string(f.Code)
	case "rule":
		return f.Rule
	case "severity":
		return string(f.Severity)
	}
	return f.Subject.ID
}

func (t *Target) value(key string) string {
	switch key {
	case "host":
		return t.Host
	case "port":
		if t.Port == 0 {
			return ""
		}
		return strconv.Itoa(int(t.Port))
	case "protocol":
		return string(t.Protocol)
	case "address":
		return t.Address
	case "source":
		return ""
	case "target":
		return t.Key()
	}
	return t.Label(strings.TrimPrefix(key, labelKey))
}

// matches reports whether one of the values stands for v.
func (c *term) matches(v string) bool {
	return slices.ContainsFunc(c.values, func(p pattern) bool {
		if p.network.IsValid() {
			a, err := netip.ParseAddr(v)
			return err == nil && p.network.Contains(a.Unmap())
		}
		if foldsCase(c.key) {
			v = strings.ToLower(v)
		}
		switch {
		case p.literal || p.text == "" || v == "":
			return p.text == v
		}
		return globMatch(p.text, v)
	})
}

// foldsCase reports whether the values of key are compared without regard to
// case. Those of a [Target] and of a pattern are lower-case already.
func foldsCase(key string) bool {
	return slices.Contains([]string{"host", "address", "target", "protocol", "subject"}, key)
}

// globMatch reports whether pattern, in which * stands for any characters,
// stands for s. It takes at most len(pattern)*len(s) steps.
func globMatch(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0: // let the last * take one more
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// MatchGlob reports whether pattern, in which * stands for any characters, dots
// among them, stands for s. Case counts.
func MatchGlob(pattern, s string) bool { return globMatch(pattern, s) }

// String writes s so that [ParseSelector] reads the same selector.
func (s Selector) String() string {
	if s.IsZero() {
		return "*"
	}
	var b strings.Builder
	for i, all := range s.any {
		if i > 0 {
			b.WriteString(" or ")
		}
		for k := range all {
			if k > 0 {
				b.WriteString(", ")
			}
			all[k].write(&b)
		}
	}
	return b.String()
}

func (c *term) write(b *strings.Builder) {
	key := c.key
	if name, ok := strings.CutPrefix(key, labelKey); ok && !isReserved(name) && !strings.HasPrefix(name, labelKey) && !isKeyword(name) {
		key = name
	}
	b.WriteString(key)
	if len(c.values) == 1 {
		if c.negate {
			b.WriteByte('!')
		}
		b.WriteByte('=')
		c.values[0].write(b)
		return
	}
	if c.negate {
		b.WriteString(" not")
	}
	b.WriteString(" in (")
	for i, v := range c.values {
		if i > 0 {
			b.WriteString(", ")
		}
		v.write(b)
	}
	b.WriteByte(')')
}

func (p pattern) write(b *strings.Builder) {
	plain := p.text != "" && !isKeyword(p.text) && strings.IndexFunc(p.text, isDelimiter) < 0
	if plain && (!p.literal || !strings.Contains(p.text, "*")) {
		b.WriteString(p.text)
		return
	}
	b.WriteByte('"')
	b.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p.text))
	b.WriteByte('"')
}

// MarshalText is [Selector.String].
func (s Selector) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is [ParseSelector].
func (s *Selector) UnmarshalText(b []byte) error {
	v, err := ParseSelector(string(b))
	*s = v
	return err
}
