package verify

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"example.com/certscan/internal/inventory"
)

const (
	oidClientAuth      = "\x2b\x06\x01\x05\x05\x07\x03\x02"
	oidCodeSigning     = "\x2b\x06\x01\x05\x05\x07\x03\x03"
	oidEmailProtection = "\x2b\x06\x01\x05\x05\x07\x03\x04"
	oidTimeStamping    = "\x2b\x06\x01\x05\x05\x07\x03\x08"
	oidOCSPSigning     = "\x2b\x06\x01\x05\x05\x07\x03\x09"
	oidPrecertSigning  = "\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x04"
)

// The bits of keyUsage's first octet.
const (
	usageDigitalSignature = 0x80
	usageKeyEncipherment  = 0x20
	usageDataEncipherment = 0x10
	usageKeyAgreement     = 0x08
)

// breaches lists what c breaks in a role.
func (c *cert) breaches(r role) []breach {
	b := breachList{severity: inventory.CodeProfile.DefaultSeverity()}
	switch r {
	case roleLeaf:
		c.leafBreaches(&b)
		c.usageBreaches(&b)
		c.nameBreaches(&b)
		c.authorityBreaches(&b)
	case roleIntermediate:
		c.issuerBreaches(&b)
		c.authorityBreaches(&b)
	case roleAnchor:
		c.issuerBreaches(&b)
		c.anchorBreaches(&b)
	}
	c.commonBreaches(&b)
	return b.all
}

// A breachList collects breaches.
type breachList struct {
	all      []breach
	severity inventory.Severity
}

func (b *breachList) add(rule, format string, args ...any) {
	b.all = append(b.all, breach{rule, b.severity, fmt.Sprintf(format, args...)})
}

// note adds what is against a recommendation, or about to be against a rule.
func (b *breachList) note(rule, format string, args ...any) {
	b.all = append(b.all, breach{rule, inventory.Info, fmt.Sprintf(format, args...)})
}

// commonBreaches are rules for all certificates.
func (c *cert) commonBreaches(b *breachList) {
	if c.version != 3 {
		b.add("version", "it has version %d instead of 3", c.version)
	}
	if c.issuer.empty() {
		b.add("issuer_empty", "its issuer has no name")
	}
	for _, e := range []struct{ oid, rule, name string }{
		{oidAuthorityKeyID, "aki_critical", "authority key identifier"},
		{oidSubjectKeyID, "ski_critical", "subject key identifier"},
		{oidAIA, "aia_critical", "authority information access"},
	} {
		if _, critical := c.ext.has(e.oid); critical {
			b.add(e.rule, "its %s is critical", e.name)
		}
	}
	if c.key.kind == keyRSA {
		if c.key.bits%8 != 0 {
			b.add("rsa_modulus", "the RSA modulus has %d bits, which is no multiple of 8", c.key.bits)
		}
		if n := bitLen(c.key.exponent); n > 1 && n < 17 && unsoundExponent(&c.key) == "" {
			b.note("rsa_exponent", "the RSA exponent is below 65537")
		}
	}
}

func (c *cert) leafBreaches(b *breachList) {
	x := &c.ext
	has, critical := x.has(oidSAN)
	switch empty := c.subject.empty(); {
	case has && critical && !empty:
		b.add("san_critical", "the subjectAltName is critical although there is a subject")
	case has && !critical && empty:
		b.add("san_critical", "the subjectAltName is not critical although there is no subject")
	}
	if _, critical := x.has(oidBasicConstraints); x.hasBC && !critical {
		b.add("basic_constraints", "its basic constraints are not critical")
	}
	if !x.isCA && x.pathLen >= 0 {
		b.add("basic_constraints", "it limits the length of paths although it is no CA")
	}
	if x.constraints != nil {
		b.add("name_constraints_leaf", "it has name constraints, which only a CA may have")
	}
}

// usageBreaches are about what the key of a server may be used for.
func (c *cert) usageBreaches(b *breachList) {
	x := &c.ext
	_, ekuCritical := x.has(oidExtKeyUsage)
	switch {
	case !x.hasEKU:
		b.add("eku_missing", "it has no extended key usage")
	case len(x.eku) == 0:
		b.add("eku_missing", "its extended key usage is empty")
	case slices.Contains(x.eku, oidAnyEKU):
		b.add("eku_any", "its extended key usage allows anything")
	}
	if ekuCritical {
		b.add("eku_critical", "its extended key usage is critical")
	}
	for _, e := range []struct{ oid, name string }{
		{oidCodeSigning, "code signing"},
		{oidEmailProtection, "e-mail protection"},
		{oidTimeStamping, "time stamping"},
		{oidOCSPSigning, "OCSP signing"},
		{oidPrecertSigning, "precertificate signing"},
	} {
		if slices.Contains(x.eku, e.oid) {
			b.add("eku_forbidden", "its extended key usage allows %s", e.name)
			break
		}
	}
	if slices.Contains(x.eku, oidClientAuth) && slices.Contains(x.eku, oidServerAuth) {
		b.note("eku_client_auth", "it is for TLS clients too; public CAs are ceasing to issue such, so whatever uses it as a client certificate needs another by its renewal")
	}
	if !x.hasKU {
		return
	}
	if _, critical := x.has(oidKeyUsage); !critical {
		b.add("key_usage_critical", "its key usage is not critical")
	}
	var allowed, required byte
	switch c.key.kind {
	case keyRSA:
		allowed = usageDigitalSignature | usageKeyEncipherment | usageDataEncipherment
		required = usageDigitalSignature | usageKeyEncipherment
	case keyECDSA:
		allowed = usageDigitalSignature | usageKeyAgreement
		required = usageDigitalSignature
	default:
		return // which are not for public certificates at all
	}
	switch {
	case x.keyUsage&required == 0:
		b.add("key_usage", "its key usage allows neither signatures nor encryption of keys as TLS needs them")
	case x.keyUsage&^(allowed|usageKeyCertSign) != 0: // certificate signing is found as ca_leaf
		b.add("key_usage", "its key usage allows what a server's key of its kind is not for")
	}
}

func (c *cert) nameBreaches(b *breachList) {
	x := &c.ext
	if len(x.emails)+len(x.uris)+len(x.dirs)+len(x.others) > 0 {
		b.add("san_kind", "it has names that are neither DNS names nor IP addresses")
	}
	var underscore, wildcard, syntax, internal string
	for _, d := range x.dns {
		bare := strings.TrimPrefix(d, "*.")
		switch {
		case strings.Contains(bare, "*"):
			wildcard = d
		case strings.Contains(d, "_"):
			underscore = d
		case !isHostName(bare):
			syntax = d
		case !registrable(strings.ToLower(bare)):
			internal = d
		}
	}
	if underscore != "" {
		b.add("san_underscore", "the name %s has an underscore", quote(underscore))
	}
	if wildcard != "" {
		b.add("san_wildcard", "the name %s has a wildcard that is not its first label", quote(wildcard))
	}
	if syntax != "" && x.sanFlaw == "" { // which is found as malformed_san
		b.add("san_syntax", "the name %s is no host name", quote(syntax))
	}
	if internal != "" {
		b.add("san_internal_name", "the name %s is no public host name", quote(internal))
	}
	for _, ip := range x.ips {
		if reserved(ip) {
			b.add("san_reserved_address", "the address %s is not public", ip)
			break
		}
	}
	attrs, _ := attributes(c.subject.raw)
	n := 0
	for _, a := range attrs {
		if string(a.oid) == oidCommonName {
			n++
		}
	}
	if n > 1 {
		b.add("cn_several", "it has %d common names", n)
	}
}

// isHostName reports whether d is labels of letters, digits and inner hyphens
// (RFC 5890, section 2.3.1), short enough for DNS.
func isHostName(d string) bool {
	if len(d) > 253 {
		return false
	}
	for label := range strings.SplitSeq(d, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

// registrable reports whether the name is under a suffix of the public list.
func registrable(d string) bool {
	if _, err := netip.ParseAddr(d); err == nil {
		return false
	}
	suffix, icann := publicsuffix.PublicSuffix(d)
	return icann || strings.Contains(suffix, ".")
}

// reserved reports whether an address is not for the public Internet by IANA's
// registries of special-purpose addresses (RFC 6890).
func reserved(ip netip.Addr) bool {
	in := func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(ip) }
	if ip.Is6() && !in("2000::/3") {
		return true
	}
	return slices.ContainsFunc([]string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
		"2001:2::/48", "2001:10::/28", "2001:db8::/32", "3fff::/20",
	}, in)
}

// authorityBreaches are about the authorityKeyIdentifier of what is not
// self-signed.
func (c *cert) authorityBreaches(b *breachList) {
	switch x := &c.ext; {
	case len(x.authorityKeyID) == 0:
		b.add("aki_missing", "it has no authority key identifier")
	case x.authorityIssuer:
		b.add("aki_issuer", "its authority key identifier names a certificate")
	}
}

func (c *cert) issuerBreaches(b *breachList) {
	x := &c.ext
	if c.subject.empty() {
		b.add("ca_subject", "it is a CA without a name")
	}
	if _, critical := x.has(oidBasicConstraints); x.hasBC && !critical {
		b.add("ca_basic_constraints", "its basic constraints are not critical")
	}
	if !x.hasKU {
		b.add("ca_key_usage", "it is a CA without key usage")
	} else if _, critical := x.has(oidKeyUsage); !critical {
		b.add("ca_key_usage_critical", "its key usage is not critical")
	}
	if len(x.subjectKeyID) == 0 {
		b.add("ski_missing", "it is a CA without subject key identifier")
	}
	if has, critical := x.has(oidPolicyConstraints); has && !critical {
		b.add("policy_constraints", "its policy constraints are not critical")
	}
	if has, critical := x.has(oidInhibitAny); has && !critical {
		b.add("inhibit_any_policy", "its inhibitAnyPolicy is not critical")
	}
	c.constraintBreaches(b)
}

func (c *cert) constraintBreaches(b *breachList) {
	n := c.ext.constraints
	if n == nil {
		return
	}
	if _, critical := c.ext.has(oidNameConstraints); !critical {
		b.note("name_constraints_critical", "its name constraints are not critical: RFC 5280 forbids that, the Baseline Requirements put up with it")
	}
	if n.permitted.len()+n.excluded.len() == 0 {
		b.add("name_constraints", "its name constraints are empty")
	}
	for _, d := range slices.Concat(n.permitted.dns, n.excluded.dns) {
		if strings.HasPrefix(d, ".") {
			b.add("name_constraints_dot", "the name constraint %s begins with a dot", quote(d))
			return
		}
	}
}

func (c *cert) anchorBreaches(b *breachList) {
	x := &c.ext
	if x.hasEKU {
		b.add("root_eku", "it has an extended key usage")
	}
	has, _ := x.has(oidAuthorityKeyID)
	switch {
	case !c.info.SelfIssued: // a cross-certificate that serves as anchor
		c.authorityBreaches(b)
	case !has:
	case x.authorityIssuer:
		b.add("aki_issuer", "its authority key identifier names a certificate")
	case len(x.authorityKeyID) == 0:
		b.add("root_aki", "its authority key identifier has no key identifier")
	case string(x.authorityKeyID) != string(x.subjectKeyID):
		b.add("root_aki", "its authority key identifier is not its own key")
	}
	if why := weakKey(&c.key); why != "" {
		b.add("root_key", "its key is %s: %s", c.key.label, why)
	} else if c.key.forbidden() {
		b.add("root_key", "its key is %s, which public certificates may not have", c.key.label)
	}
}
