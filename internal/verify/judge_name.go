package verify

import (
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"

	"example.com/certscan/internal/inventory"
)

// judgeName compares the subjectAltName with what the target is called. The
// common name never counts (RFC 9525, section 2).
func (x *exam) judgeName() {
	e, host := &x.leaf.ext, x.facts.Target.Host
	if x.facts.Observation.Offer == inventory.OfferNoSNI {
		host = "" // no name was asked for
	}
	status := inventory.NameNotChecked
	has, _ := e.has(oidSAN)
	if host != "" {
		switch {
		case !has && x.leaf.flaw == "":
			status = inventory.NameNoSAN
		case !has || e.sanFlaw != "":
			status = inventory.NameMalformed
		case x.leaf.covers(host):
			status = inventory.NameMatch
		default:
			status = inventory.NameMismatch
		}
	}
	x.verdict.Name.Status = status
	switch {
	case !has && x.leaf.flaw == "":
		x.find(inventory.CodeNoSAN, "the certificate has no subjectAltName, and clients ignore the common name (%s)", quote(x.leaf.info.SubjectCN))
	case e.sanFlaw != "":
		x.find(inventory.CodeMalformedSAN, "the subjectAltName is malformed: %s", e.sanFlaw)
	case status == inventory.NameMismatch:
		x.find(inventory.CodeNameMismatch, "the certificate is not for %s but for %s", quote(host), nameList(x.leaf.info.Names))
	}
	for _, d := range e.dns {
		if parent, wild := strings.CutPrefix(d, "*."); wild && isPublicSuffix(parent) {
			x.find(inventory.CodeWildcardPublicSuffix, "the name %s covers a whole public suffix", quote(d))
			break
		}
	}
	if has && e.sanFlaw == "" && !x.leaf.commonNameListed(x.public) {
		x.find(inventory.CodeCNNotInSAN, "the common name %s is not among the names of the certificate, so it protects nothing", quote(x.leaf.info.SubjectCN))
	}
}

func nameList(names []string) string {
	const show = 5
	if len(names) == 0 {
		return "no host name at all"
	}
	quoted := make([]string, 0, show)
	for _, n := range names[:min(len(names), show)] {
		quoted = append(quoted, quote(n))
	}
	s := strings.Join(quoted, ", ")
	if more := len(names) - show; more > 0 {
		s += " and " + ordinal(more) + " more"
	}
	return s
}

// covers reports whether one of the names is for host: an IP address in netip's
// form, or a DNS name of A-labels.
func (c *cert) covers(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		for _, a := range c.ext.ips {
			if a == ip {
				return true
			}
		}
		return false
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	for _, d := range c.ext.dns {
		if matchName(d, host) {
			return true
		}
	}
	return false
}

// matchName implements RFC 9525, section 6.3 for a lower-case host: a wildcard
// is the whole left-most label and stands for exactly one label.
func matchName(pattern, host string) bool {
	if host == "" || len(pattern) < 1 || strings.HasPrefix(host, ".") {
		return false
	}
	if parent, wild := strings.CutPrefix(pattern, "*."); wild {
		_, rest, ok := strings.Cut(host, ".")
		return ok && rest != "" && !strings.Contains(parent, "*") && strings.EqualFold(parent, rest)
	}
	return !strings.Contains(pattern, "*") && strings.EqualFold(pattern, host)
}

// isPublicSuffix reports whether anybody may register right below the domain.
// The list's private section does not count: those suffixes have an owner.
func isPublicSuffix(domain string) bool {
	domain = strings.ToLower(domain)
	if domain == "" || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") {
		return false
	}
	suffix, icann := publicsuffix.PublicSuffix(domain)
	return icann && suffix == domain
}

// commonNameListed reports whether the common name is one of the names, or
// makes no claim to be one. Public CAs must copy it to the letter (Baseline
// Requirements, section 7.1.4.3); elsewhere it counts if it looks like a host.
func (c *cert) commonNameListed(public bool) bool {
	cn := c.info.SubjectCN
	if cn == "" || !public && !looksLikeHost(cn) {
		return true
	}
	for _, n := range c.info.Names {
		if n == cn || !public && strings.EqualFold(n, cn) {
			return true
		}
	}
	return !public && c.covers(cn)
}

// looksLikeHost: a dot, and nothing that host names do not have.
func looksLikeHost(s string) bool {
	if !strings.Contains(s, ".") || len(s) > 253 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '*', c == '_':
		default:
			return false
		}
	}
	return true
}
