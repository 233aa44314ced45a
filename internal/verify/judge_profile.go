package verify

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"

	"example.com/certscan/internal/inventory"
)

// A role is where in a path a certificate stands.
type role int

const (
	roleLeaf role = iota
	roleIntermediate
	roleAnchor
	roles
)

// A breach is a rule of the Baseline Requirements or of RFC 5280 that a
// certificate breaks and that path validation does not enforce.
type breach struct{ rule, message string }

// A profileMemo keeps the breaches of one certificate by role.
type profileMemo [roles]struct {
	once     sync.Once
	breaches []breach
}

// judgeProfile judges what the certificate is, apart from whether it is trusted.
// The Baseline Requirements bind public certificates only.
func (x *exam) judgeProfile() {
	if x.leaf.info.Precert {
		x.find(inventory.CodePrecertificateServed, "a precertificate is served instead of the certificate; no client accepts it")
	}
	if !x.public || x.leaf.flaw != "" { // what is broken is found as such
		return
	}
	x.judgeValidity()
	x.judgeRules(x.leaf, roleLeaf, "")
	best := x.answer.best
	if best == nil {
		return
	}
	for _, c := range best.intermediates() {
		x.judgeRules(c, roleIntermediate, "the intermediate "+c.called()+": ")
	}
	if a := best.anchor(); a != nil {
		x.judgeRules(a, roleAnchor, "the root "+a.called()+": ")
	}
}

func (x *exam) judgeRules(c *cert, r role, prefix string) {
	memo := &c.profile[r]
	memo.once.Do(func() { memo.breaches = c.breaches(r) })
	for _, b := range memo.breaches {
		x.add(inventory.CodeProfile, b.rule, inventory.CodeProfile.DefaultSeverity(), prefix+b.message)
	}
}

// judgeValidity compares with the limit in force when the certificate was issued
// (Baseline Requirements, section 6.3.2). Both ends count, a day has 86,400 s.
func (x *exam) judgeValidity() {
	limit := 39 * 31
	for _, l := range []struct {
		since string
		days  int
	}{
		{"2018-03-01", 825},
		{"2020-09-01", 398},
		{"2026-03-15", 200},
		{"2027-03-15", 100},
		{"2029-03-15", 47},
	} {
		if date(x.leaf.info.NotBefore) >= l.since {
			limit = l.days
		}
	}
	const day = 24 * time.Hour
	if got := x.leaf.info.Lifetime(); got >= time.Duration(limit)*day { // the second that both ends make is one too many
		x.find(inventory.CodeValidityTooLong, "it is valid for %d days and more, and public certificates issued on %s may be for %d",
			got/day, date(x.leaf.info.NotBefore), limit)
	}
}

// breaches lists what c breaks in a role.
func (c *cert) breaches(r role) []breach {
	var all []breach
	add := func(rule, format string, args ...any) {
		all = append(all, breach{rule, fmt.Sprintf(format, args...)})
	}
	switch r {
	case roleLeaf:
		c.leafBreaches(add)
		c.nameBreaches(add)
	case roleIntermediate:
		c.issuerBreaches(add)
		if len(c.ext.authorityKeyID) == 0 {
			add("aki_missing", "it has no authority key identifier")
		}
	case roleAnchor:
		c.issuerBreaches(add)
		c.anchorBreaches(add)
	}
	if c.key.kind == keyRSA {
		if c.key.bits%8 != 0 {
			add("rsa_modulus", "the RSA modulus has %d bits, which is no multiple of 8", c.key.bits)
		}
		if n := bitLen(c.key.exponent); n > 1 && n < 17 && weakKey(&c.key) == "" {
			add("rsa_exponent", "the RSA exponent is below 65537")
		}
	}
	return all
}

type addBreach func(rule, format string, args ...any)

func (c *cert) leafBreaches(add addBreach) {
	x := &c.ext
	if c.version != 3 {
		add("version", "it has version %d instead of 3", c.version)
	}
	_, sanCritical := x.has(oidSAN)
	switch empty := c.subject.empty(); {
	case sanCritical && !empty:
		add("san_critical", "the subjectAltName is critical although there is a subject")
	case !sanCritical && empty:
		add("san_critical", "the subjectAltName is not critical although there is no subject")
	}
	_, ekuCritical := x.has(oidExtKeyUsage)
	switch {
	case !x.hasEKU:
		add("eku_missing", "it has no extended key usage")
	case len(x.eku) == 0:
		add("eku_missing", "its extended key usage is empty")
	case slices.Contains(x.eku, oidAnyEKU):
		add("eku_any", "its extended key usage allows anything")
	}
	if ekuCritical {
		add("eku_critical", "its extended key usage is critical")
	}
	switch {
	case len(x.authorityKeyID) == 0:
		add("aki_missing", "it has no authority key identifier")
	case x.authorityIssuer:
		add("aki_issuer", "its authority key identifier names a certificate")
	}
	if x.constraints != nil {
		add("name_constraints_leaf", "it has name constraints, which only a CA may have")
	}
}

func (c *cert) nameBreaches(add addBreach) {
	x := &c.ext
	if len(x.emails)+len(x.uris)+len(x.dirs)+len(x.others) > 0 {
		add("san_kind", "it has names that are neither DNS names nor IP addresses")
	}
	var underscore, wildcard, internal string
	for _, d := range x.dns {
		bare := strings.TrimPrefix(d, "*.")
		switch {
		case strings.Contains(bare, "*"):
			wildcard = d
		case strings.Contains(d, "_"):
			underscore = d
		case !registrable(strings.ToLower(bare)):
			internal = d
		}
	}
	if underscore != "" {
		add("san_underscore", "the name %s has an underscore", quote(underscore))
	}
	if wildcard != "" {
		add("san_wildcard", "the name %s has a wildcard that is not its first label", quote(wildcard))
	}
	if internal != "" {
		add("san_internal_name", "the name %s is no public host name", quote(internal))
	}
	for _, ip := range x.ips {
		if reserved(ip) {
			add("san_reserved_address", "the address %s is not public", ip)
			break
		}
	}
}

// registrable reports whether the name is under a suffix of the public list.
func registrable(d string) bool {
	if d == "" || strings.HasPrefix(d, ".") || strings.HasSuffix(d, ".") || strings.Contains(d, "..") {
		return false
	}
	suffix, icann := publicsuffix.PublicSuffix(d)
	return icann || strings.Contains(suffix, ".")
}

func reserved(ip netip.Addr) bool {
	return ip.IsPrivate() || !ip.IsGlobalUnicast() || netip.MustParsePrefix("100.64.0.0/10").Contains(ip)
}

func (c *cert) issuerBreaches(add addBreach) {
	x := &c.ext
	if c.subject.empty() {
		add("ca_subject", "it is a CA without a name")
	}
	if _, critical := x.has(oidBasicConstraints); x.hasBC && !critical {
		add("ca_basic_constraints", "its basic constraints are not critical")
	}
	if !x.hasKU {
		add("ca_key_usage", "it is a CA without key usage")
	} else if _, critical := x.has(oidKeyUsage); !critical {
		add("ca_key_usage", "its key usage is not critical")
	}
	if len(x.subjectKeyID) == 0 {
		add("ski_missing", "it is a CA without subject key identifier")
	}
	if has, critical := x.has(oidPolicyConstraints); has && !critical {
		add("policy_constraints", "its policy constraints are not critical")
	}
	c.constraintBreaches(add)
}

func (c *cert) constraintBreaches(add addBreach) {
	n := c.ext.constraints
	if n == nil {
		return
	}
	if _, critical := c.ext.has(oidNameConstraints); !critical {
		add("name_constraints", "its name constraints are not critical")
	}
	if n.permitted.len()+n.excluded.len() == 0 {
		add("name_constraints", "its name constraints are empty")
	}
	for _, d := range append(append([]string(nil), n.permitted.dns...), n.excluded.dns...) {
		if strings.HasPrefix(d, ".") {
			add("name_constraints_dot", "the name constraint %s begins with a dot", quote(d))
			return
		}
	}
}

func (c *cert) anchorBreaches(add addBreach) {
	x := &c.ext
	if x.hasEKU {
		add("root_eku", "it has an extended key usage")
	}
	has, _ := x.has(oidAuthorityKeyID)
	switch {
	case !has:
	case x.authorityIssuer:
		add("aki_issuer", "its authority key identifier names a certificate")
	case len(x.authorityKeyID) == 0:
		add("root_aki", "its authority key identifier has no key identifier")
	case c.info.SelfIssued && string(x.authorityKeyID) != string(x.subjectKeyID):
		add("root_aki", "its authority key identifier is not its own key")
	}
	if why := weakKey(&c.key); why != "" {
		add("root_key", "its key is %s: %s", c.key.label, why)
	}
}
