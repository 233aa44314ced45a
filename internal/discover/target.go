package discover

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"example.com/certscan/internal/inventory"
)

const (
	maxTarget = 4096 // octets of a target as written; URLs are longer than names
	maxName   = 253  // RFC 1035, section 2.3.4, without the root's dot
	maxLabel  = 63
)

// ParseTarget reads a target as people write it:
//
//	[PROTO://]NAME[@ADDRESS][:PORT]
//
// ADDRESS is where to connect instead of what NAME resolves to: an IP address
// or another host name. IPv6 addresses need brackets only before a port. NAME
// may be Unicode; the target has A-labels in lower case without a trailing dot.
// PROTO is one of [inventory.Protocols] or a name for TLS or STARTTLS on
// another port (https, imaps, submission and so on); the path of a URL is
// dropped. The error says what is wrong and what to write instead.
func ParseTarget(s string) (inventory.Target, error) {
	return ParseTargetAs(s, inventory.TLS)
}

// ParseTargetAs is [ParseTarget] with the protocol to assume when s names none.
func ParseTargetAs(s string, defaultProto inventory.Protocol) (inventory.Target, error) {
	p, err := split(s)
	var t inventory.Target
	if err == nil {
		t, err = p.target(defaultProto)
	}
	if err != nil {
		return inventory.Target{}, fmt.Errorf("target %q: %w", clip(strings.TrimSpace(s)), err)
	}
	return t, nil
}

// parts are the parts of a target as written, "" where left out.
type parts struct{ scheme, name, address, port string }

// split takes a target apart without judging the parts.
func split(s string) (parts, error) {
	var p parts
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return p, errors.New("empty: write a host name or an IP address")
	case len(s) > maxTarget:
		return p, fmt.Errorf("longer than %d octets", maxTarget)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return p, errors.New("has a space or a control character in it: write one target a line")
	}
	scheme, rest, isURL := strings.Cut(s, "://")
	path := strings.IndexAny(rest, "/?#")
	switch {
	case !isURL && strings.ContainsAny(s, "/?#"):
		return p, errors.New("has a path but no scheme: write the host name alone, or the whole URL with https:// (networks such as 192.0.2.0/24 are not targets)")
	case isURL:
		p.scheme = strings.ToLower(scheme)
		if p.scheme == "" {
			return p, errors.New("has no protocol before ://")
		}
		// In an https URL the part before @ is a user name, here it is the name
		// to ask for. Nobody can tell which of them was meant.
		if at := strings.LastIndexByte(rest, '@'); at >= 0 && (p.scheme == "https" || path >= 0 && at > path) {
			return p, errors.New("has an @ in a URL, which could be a user name: to connect to another address write NAME@ADDRESS:PORT without scheme and path")
		}
		if path >= 0 {
			rest = rest[:path]
		}
		s = rest
	}

	name, address, pinned := strings.Cut(s, "@")
	if strings.Contains(address, "@") {
		return p, errors.New("has two @: write NAME@ADDRESS, one target for each address")
	}
	if !pinned {
		var err error
		p.name, p.port, err = splitPort(s)
		return p, err
	}
	var port string
	var err error
	if p.name, port, err = splitPort(name); err != nil {
		return p, err
	}
	if port != "" {
		return p, fmt.Errorf("has the port before the @: write %s@%s:%s", p.name, address, port)
	}
	if p.address, p.port, err = splitPort(address); err != nil {
		return p, err
	}
	if p.address == "" {
		return p, errors.New("has nothing after the @: write NAME@ADDRESS, or NAME alone")
	}
	return p, nil
}

// splitPort splits host[:port]. Two colons or more without brackets are an
// IPv6 address without a port.
func splitPort(s string) (host, port string, err error) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		host, rest, closed := strings.Cut(inner, "]")
		if !closed || !strings.Contains(host, ":") {
			return "", "", errors.New("has brackets that hold no IPv6 address: write [2001:db8::7]:443")
		}
		if rest == "" {
			return host, "", nil
		}
		if port, ok = strings.CutPrefix(rest, ":"); !ok || port == "" {
			return "", "", fmt.Errorf("has %q after the bracket: write :PORT there or nothing", rest)
		}
		return host, port, nil
	}
	if strings.Count(s, ":") != 1 {
		return s, "", nil
	}
	host, port, _ = strings.Cut(s, ":")
	if port == "" {
		return "", "", errors.New("ends in a colon: write a port after it, or no colon")
	}
	return host, port, nil
}

// target judges the parts and fills in what was left out.
func (p parts) target(defaultProto inventory.Protocol) (inventory.Target, error) {
	if defaultProto == "" {
		defaultProto = inventory.TLS
	}
	if p.scheme == "" {
		p.scheme = string(defaultProto)
	}
	t := inventory.Target{}
	var err error
	if t.Protocol, t.Port, err = protocol(p.scheme); err != nil {
		return inventory.Target{}, err
	}
	if t.Host, err = canonicalHost(p.name); err != nil {
		return inventory.Target{}, err
	}
	if p.address != "" {
		if t.Address, err = canonicalHost(p.address); err != nil {
			return inventory.Target{}, fmt.Errorf("after the @: %w", err)
		}
		if t.Address == t.Host {
			t.Address = "" // says nothing, and would be a second key for the same endpoint
		}
	}
	if p.port != "" {
		n, err := strconv.ParseUint(p.port, 10, 16)
		if err != nil || n == 0 {
			return inventory.Target{}, fmt.Errorf("port %q is not a number from 1 to 65535", clip(p.port))
		}
		t.Port = uint16(n)
	}
	return t, nil
}

// An alias is another name for a protocol on a port of its own.
type alias struct {
	scheme string
	proto  inventory.Protocol
	port   uint16
}

func aliases() []alias {
	return []alias{
		{"https", inventory.TLS, 443},
		{"smtps", inventory.TLS, 465},
		{"submissions", inventory.TLS, 465},
		{"imaps", inventory.TLS, 993},
		{"pop3s", inventory.TLS, 995},
		{"ldaps", inventory.TLS, 636},
		{"ftps", inventory.TLS, 990},
		{"nntps", inventory.TLS, 563},
		{"ircs", inventory.TLS, 6697},
		{"xmpps-client", inventory.TLS, 5223},
		{"submission", inventory.SMTP, 587},
	}
}

// protocol returns what a scheme speaks and its default port.
func protocol(scheme string) (inventory.Protocol, uint16, error) {
	if p := inventory.Protocol(scheme); p == inventory.TLS || p.Valid() {
		return p, p.DefaultPort(), nil
	}
	for _, a := range aliases() {
		if a.scheme == scheme {
			return a.proto, a.port, nil
		}
	}
	if scheme == "http" {
		return "", 0, errors.New("http has no certificate: write https:// or the host name alone")
	}
	var known []string
	for _, p := range inventory.Protocols() {
		known = append(known, string(p))
	}
	for _, a := range aliases() {
		known = append(known, a.scheme)
	}
	return "", 0, fmt.Errorf("protocol %q is not known: it is one of %s", clip(scheme), strings.Join(known, ", "))
}

// canonicalHost returns the one spelling of a host name or IP address.
func canonicalHost(s string) (string, error) {
	switch {
	case s == "":
		return "", errors.New("has no host name")
	case !utf8.ValidString(s):
		return "", errors.New("not UTF-8 text")
	case strings.Contains(s, "*"):
		return "", errors.New("a wildcard names no server to connect to: list the names that are in use")
	}
	name := s
	if !isASCII(s) {
		var err error
		if name, err = toALabels(s); err != nil {
			return "", fmt.Errorf("host %q is not an internationalized domain name: %w", clip(s), err)
		}
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if strings.Contains(name, ":") || endsInNumber(name) {
		return canonicalAddr(name)
	}
	return name, checkName(name)
}

// canonicalAddr returns the one spelling of an IP address.
func canonicalAddr(s string) (string, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		if strings.Contains(s, ":") {
			return "", fmt.Errorf("%q is not an IPv6 address: write [2001:db8::7]:443, or HOST:PORT with one colon", clip(s))
		}
		return "", fmt.Errorf("%q is not an IPv4 address, and a name cannot end in a number", clip(s))
	}
	a = a.Unmap()
	switch {
	case a.Zone() != "":
		return "", fmt.Errorf("%q has a zone, which means something on one machine only", clip(s))
	case a.IsUnspecified() || a.IsMulticast():
		return "", fmt.Errorf("%q is not the address of one machine", s)
	}
	return a.String(), nil
}

// toALabels maps a Unicode name as a browser does (UTS 46, nontransitional).
// Underscores and hyphens anywhere are let through: names that exist have them.
func toALabels(s string) (string, error) {
	return idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false),
		idna.StrictDomainName(false), idna.CheckHyphens(false)).ToASCII(s)
}

// checkName refuses what cannot be a host name: RFC 1123, section 2.1, and
// underscores. It does not decode A-labels: whether they exist is for DNS to say.
func checkName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("host %q is longer than %d octets", clip(name), maxName)
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return fmt.Errorf("host %q has an empty label: two dots in a row, or one in front", clip(name))
		case len(label) > maxLabel:
			return fmt.Errorf("host %q has a label longer than %d octets", clip(name), maxLabel)
		case label[0] == '-' || label[len(label)-1] == '-':
			return fmt.Errorf("host %q has a label that starts or ends in a hyphen", clip(name))
		}
		for _, c := range []byte(label) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return fmt.Errorf("host %q has a %q in it, which no host name has", clip(name), c)
			}
		}
	}
	return nil
}

// endsInNumber reports whether the last label is one, as it is in IPv4
// addresses and in nothing else (no top-level domain is numeric).
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

func isASCII(s string) bool {
	for _, c := range []byte(s) {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// clip keeps messages short.
func clip(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	for i := range s {
		if i > most {
			return s[:i] + "…"
		}
	}
	return s
}
