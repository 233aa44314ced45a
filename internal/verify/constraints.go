package verify

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// maxComparisons bounds the names compared with constraints along one path.
const maxComparisons = 250_000

// nameConstraints is the extension of RFC 5280, section 4.2.1.10.
type nameConstraints struct {
	permitted, excluded subtrees

	// unsupported: it says something that is not understood here (a distance in
	// levels), so a critical extension cannot be honoured.
	unsupported bool
}

type subtrees struct {
	dns    []string
	emails []string
	uris   []string
	ips    []subnet
	dirs   []*name
	others []byte // tags of kinds that no name here is compared with
}

func (s *subtrees) len() int {
	return len(s.dns) + len(s.emails) + len(s.uris) + len(s.ips) + len(s.dirs) + len(s.others)
}

// A subnet is an address and mask, which must not have to be a prefix.
type subnet struct{ addr, mask []byte }

func (n subnet) contains(ip netip.Addr) bool {
	b := ip.AsSlice()
	if len(b) != len(n.addr) {
		return false
	}
	for i := range b {
		if (b[i]^n.addr[i])&n.mask[i] != 0 {
			return false
		}
	}
	return true
}

// parseConstraints never returns nil. False means that it is malformed.
func parseConstraints(v []byte) (*nameConstraints, bool) {
	n := new(nameConstraints)
	seq, ok := single(v, tagSequence)
	in := seq.inner()
	if e, has := in.take(0xa0); has {
		ok = n.parse(&n.permitted, e) && ok
	}
	if e, has := in.take(0xa1); has {
		ok = n.parse(&n.excluded, e) && ok
	}
	return n, ok && in.clean()
}

func (n *nameConstraints) parse(s *subtrees, list element) bool {
	all, ok := children(list.content)
	for _, tree := range all {
		in := tree.inner()
		base, has := in.next()
		if !has || tree.tag != tagSequence {
			return false
		}
		if minimum, has := in.take(0x80); has && string(minimum.content) != "\x00" {
			n.unsupported = true
		}
		if len(in.rest) > 0 {
			n.unsupported = true
		}
		text := string(base.content)
		switch base.tag {
		case 0x82:
			s.dns = append(s.dns, strings.ToLower(text))
			ok = ok && ascii(text)
		case 0x81:
			s.emails = append(s.emails, text)
			ok = ok && ascii(text)
		case 0x86:
			s.uris = append(s.uris, strings.ToLower(text))
			ok = ok && ascii(text)
		case 0x87:
			half := len(text) / 2
			if half != 4 && half != 16 || len(text)%2 != 0 || !isPrefix(base.content[half:]) {
				return false
			}
			s.ips = append(s.ips, subnet{base.content[:half], base.content[half:]})
		case 0xa4:
			s.dirs = append(s.dirs, &name{raw: base.content})
		default:
			s.others = append(s.others, base.tag&0x1f)
		}
	}
	return ok
}

// isPrefix reports whether a mask is ones followed by zeros.
func isPrefix(mask []byte) bool {
	zeros := false
	for _, b := range mask {
		for bit := 7; bit >= 0; bit-- {
			one := b>>bit&1 == 1
			if one && zeros {
				return false
			}
			zeros = !one
		}
	}
	return true
}

// A constraintCheck counts what one path costs.
type constraintCheck struct{ left int }

var errLimit = fmt.Errorf("more than %d names to compare with constraints", maxComparisons)

// violated checks every name of c and returns what is not allowed, nil if
// nothing, and errLimit if there is too much to compare.
func (k *constraintCheck) violated(n *nameConstraints, c *cert) error {
	x := &c.ext
	names := len(x.dns) + len(x.ips) + len(x.emails) + len(x.uris) + len(x.dirs) + 1
	if k.left -= names * (n.permitted.len() + n.excluded.len()); k.left < 0 {
		return errLimit
	}
	for _, d := range x.dns {
		if (len(n.permitted.dns) > 0 || len(n.excluded.dns) > 0) && (d == "" || strings.HasPrefix(d, ".") || strings.Contains(d, "..")) {
			return fmt.Errorf("DNS name %s cannot be compared with the constraints", quote(d))
		}
		if err := allowed("DNS name", strings.ToLower(d), n.permitted.dns, n.excluded.dns, dnsWithin, dnsOverlaps); err != nil {
			return err
		}
	}
	for _, ip := range x.ips {
		in := func(ip netip.Addr, s subnet) bool { return s.contains(ip) }
		if err := allowed("IP address", ip, n.permitted.ips, n.excluded.ips, in, in); err != nil {
			return err
		}
	}
	for _, m := range c.emails() {
		if (len(n.permitted.emails) > 0 || len(n.excluded.emails) > 0) && !isAddress(m) {
			return fmt.Errorf("e-mail address %s cannot be compared with the constraints", quote(m))
		}
		if err := allowed("e-mail address", m, n.permitted.emails, n.excluded.emails, emailWithin, emailWithin); err != nil {
			return err
		}
	}
	if len(n.permitted.uris)+len(n.excluded.uris) > 0 {
		for _, u := range x.uris {
			host := uriHost(u)
			if host == "" {
				return fmt.Errorf("URI %s has no host name to compare with the constraints", quote(u))
			}
			if err := allowed("URI host", host, n.permitted.uris, n.excluded.uris, uriWithin, uriWithin); err != nil {
				return err
			}
		}
	}
	dirs := x.dirs
	if len(n.permitted.dirs)+len(n.excluded.dirs) > 0 && !c.subject.empty() {
		dirs = append(slices.Clip(dirs), &c.subject)
	}
	for _, d := range dirs {
		if err := allowed("name", d, n.permitted.dirs, n.excluded.dirs, (*name).within, (*name).within); err != nil {
			return err
		}
	}
	for _, tag := range x.others {
		if slices.Contains(n.permitted.others, tag) || slices.Contains(n.excluded.others, tag) {
			return fmt.Errorf("it has a name of a kind (general name %d) that is constrained but cannot be compared", tag)
		}
	}
	return nil
}

// emails are those of the subjectAltName, or of the subject where there is none.
func (c *cert) emails() []string {
	if len(c.ext.emails) > 0 {
		return c.ext.emails
	}
	if has, _ := c.ext.has(oidSAN); has {
		return nil
	}
	attrs, _ := attributes(c.subject.raw)
	if m := attributeOf(attrs, oidEmail); m != "" {
		return []string{m}
	}
	return nil
}

// isAddress reports whether m is one local part and one host. A quoted local
// part may hold anything.
func isAddress(m string) bool {
	at := strings.LastIndexByte(m, '@')
	return at > 0 && at < len(m)-1 && (m[0] == '"' && m[at-1] == '"' || !strings.Contains(m[:at], "@"))
}

// allowed applies the constraints of one kind to one name of that kind.
func allowed[N, C any](kind string, n N, permitted, excluded []C, within, overlaps func(N, C) bool) error {
	if slices.ContainsFunc(excluded, func(c C) bool { return overlaps(n, c) }) {
		return fmt.Errorf("%s %s is excluded", kind, quote(nameText(n)))
	}
	if len(permitted) > 0 && !slices.ContainsFunc(permitted, func(c C) bool { return within(n, c) }) {
		return fmt.Errorf("%s %s is not among those permitted", kind, quote(nameText(n)))
	}
	return nil
}

func nameText(n any) string {
	if d, ok := n.(*name); ok {
		attrs, _ := attributes(d.raw)
		return distinguishedName(attrs)
	}
	return fmt.Sprint(n)
}

// dnsWithin reports whether a lower-case name is at or below a constraint. A
// leading dot means below only, as it does elsewhere (erratum 5997).
func dnsWithin(n, constraint string) bool {
	if strings.HasPrefix(constraint, ".") {
		return strings.HasSuffix(n, constraint) && len(n) > len(constraint)
	}
	return constraint == "" || n == constraint ||
		strings.HasSuffix(n, constraint) && n[len(n)-len(constraint)-1] == '.'
}

// dnsOverlaps reports whether any name that n stands for is within the
// constraint: a wildcard must not reach around an exclusion below it.
func dnsOverlaps(n, constraint string) bool {
	if dnsWithin(n, constraint) {
		return true
	}
	parent, wild := strings.CutPrefix(n, "*.")
	_, above, ok := strings.Cut(strings.TrimPrefix(constraint, "."), ".")
	return wild && ok && parent == above
}

// emailWithin implements the three forms of RFC 5280: a mailbox, a host, and,
// with a leading dot, all hosts below a domain.
func emailWithin(address, constraint string) bool {
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return false
	}
	local, host := address[:at], strings.ToLower(address[at+1:])
	if i := strings.LastIndexByte(constraint, '@'); i >= 0 {
		return local == constraint[:i] && host == strings.ToLower(constraint[i+1:])
	}
	return hostWithin(host, strings.ToLower(constraint))
}

func uriWithin(host, constraint string) bool { return hostWithin(host, constraint) }

// hostWithin: without a leading dot the constraint is one host, with it those
// below.
func hostWithin(host, constraint string) bool {
	if constraint == "" {
		return true
	}
	if strings.HasPrefix(constraint, ".") {
		return strings.HasSuffix(host, constraint) && len(host) > len(constraint)
	}
	return host == constraint
}

// uriHost is the lower-case host name of a URI, "" if it has none or it is an
// address.
func uriHost(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	host := strings.ToLower(u.Hostname())
	if _, err := netip.ParseAddr(host); err == nil {
		return ""
	}
	return host
}
