package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"example.com/certscan/internal/inventory"
)

var ruleName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,62}$`)

// policy reads the block "policy".
func (d *decoder) policy(n node, p *inventory.Policy) {
	n.mapping(fields{
		"rules":      func(n node) { p.Rules = d.rules(n) },
		"severities": func(n node) { p.Severities = items(n, d.severity) },
	})
}

func (d *decoder) rules(n node) []inventory.PolicyRule {
	names := make(map[string]bool)
	return items(n, func(n node) inventory.PolicyRule {
		r := d.rule(n)
		if names[r.Name] && r.Name != "" {
			n.key("name").fail("there is another rule %q: findings are told apart by it", r.Name)
		}
		names[r.Name] = true
		return r
	})
}

func (d *decoder) rule(n node) (r inventory.PolicyRule) {
	n.mapping(fields{
		"name": func(n node) {
			if r.Name = n.text(); !ruleName.MatchString(r.Name) {
				n.fail("%q is not a name: want lower-case letters, digits, _, . and -, at most 63", r.Name)
			}
		},
		"severity": func(n node) { r.Severity = severityWord(n) },
		"targets":  func(n node) { r.Targets = targetSelector(n) },
		"message":  func(n node) { r.Message = n.text() },
		"require":  func(n node) { d.requirements(n, &r.Require) },
	}, "name", "severity", "require")
	return r
}

func severityWord(n node) inventory.Severity {
	return word(n, inventory.Critical, inventory.Warning, inventory.Info)
}

// targetSelector reads a selector of targets, which knows of no findings.
func targetSelector(n node) inventory.Selector {
	s := n.selector()
	if s.OfFindings() {
		n.fail("code, rule, severity and subject are of findings, and this selects targets")
	}
	return s
}

func (d *decoder) requirements(n node, r *inventory.Requirements) {
	n.mapping(fields{
		"issuers":           func(n node) { r.Issuers = items(n, d.issuer) },
		"forbidden_issuers": func(n node) { r.ForbiddenIssuers = items(n, d.issuer) },
		"keys": func(n node) {
			r.Keys = items(n, func(n node) inventory.KeyPattern { return parsed(n, inventory.ParseKeyPattern) })
		},
		"min_tls":            func(n node) { r.MinTLS = tlsVersion(n) },
		"min_tls_accepted":   func(n node) { r.MinTLSAccepted = tlsVersion(n) },
		"forbidden_ciphers":  func(n node) { r.ForbiddenCiphers = items(n, cipherClass) },
		"forbidden_accepted": func(n node) { r.ForbiddenAccepted = items(n, acceptedClass) },
		"max_validity":       func(n node) { r.MaxValidity = n.duration() },
		"min_left":           func(n node) { r.MinLeft = n.duration() },
		"labels":             func(n node) { r.Labels = d.labels(n) },
		"names":              func(n node) { r.Names = items(n, func(n node) string { return strings.ToLower(n.text()) }) },
		"wildcards":          func(n node) { r.ForbidWildcards = only(n, "forbidden") },
		"post_quantum":       func(n node) { r.PostQuantum = only(n, "required") },
		"revocation":         func(n node) { r.RevocationGood = only(n, "good") },
		"ct":                 func(n node) { r.CTCompliant = only(n, "compliant") },
		"ports":              func(n node) { r.Ports = items(n, func(n node) uint16 { return uint16(n.integer(1, 65535)) }) },
	})
	if m, ok := n.y.(*ast.MappingNode); ok && len(m.Values) == 0 {
		n.fail("demands nothing")
	}
}

// only reads the one word that a key can have, so that what it means can be
// read from the file, and that others can be added.
func only(n node, w string) bool { return word(n, w) == w }

func cipherClass(n node) inventory.CipherClass { return word(n, inventory.CipherClasses()...) }

// acceptedClass reads a class that servers can be asked about.
func acceptedClass(n node) inventory.CipherClass {
	return word(n, slices.Sorted(maps.Keys(inventory.AcceptedClasses()))...)
}

// tlsVersion reads "1.2" or "TLS 1.2".
func tlsVersion(n node) string {
	s, _ := n.scalar()
	for _, v := range inventory.TLSVersions() {
		if v == s || v == "TLS "+s {
			return v
		}
	}
	n.fail("%q is not a version of TLS: want one of %s", s, strings.Join(inventory.TLSVersions(), ", "))
	return ""
}

func (d *decoder) issuer(n node) (p inventory.IssuerPattern) {
	n.mapping(fields{
		"cn":           func(n node) { p.CN = n.text() },
		"organization": func(n node) { p.Organization = n.text() },
		"spki":         func(n node) { p.SPKI = parsed(n, inventory.ParseFingerprint) },
		"sha256":       func(n node) { p.SHA256 = parsed(n, inventory.ParseFingerprint) },
	})
	if m, ok := n.y.(*ast.MappingNode); ok && len(m.Values) == 0 {
		n.fail("names no issuer: want cn, organization, spki or sha256")
	}
	return p
}

// labels reads the names of labels, or a mapping of names to patterns of their
// values.
func (d *decoder) labels(n node) map[string]string {
	labels := make(map[string]string)
	if _, ok := n.y.(*ast.SequenceNode); ok {
		for _, name := range items(n, node.text) {
			labels[name] = ""
		}
		return labels
	}
	n.entries("a list of labels, or a mapping of labels to patterns of their values", func(name string, n node) { labels[name] = n.text() })
	return labels
}

func (d *decoder) severity(n node) (s inventory.SeverityRule) {
	n.mapping(fields{
		"code":     func(n node) { s.Code = code(n) },
		"rule":     func(n node) { s.Rule = n.text() },
		"targets":  func(n node) { s.Targets = targetSelector(n) },
		"severity": func(n node) { s.Severity = severityWord(n) },
		"at_most":  func(n node) { s.AtMost = severityWord(n) },
	}, "code")
	switch {
	case s.Severity == "" && s.AtMost == "":
		n.fail("want severity or at_most")
	case s.Severity != "" && s.AtMost != "":
		n.fail("severity and at_most exclude each other")
	case s.Code == inventory.CodePolicy:
		n.key("code").fail("a rule of the policy has a severity of its own")
	case s.Code.OwnSide() && !s.Targets.IsZero():
		n.key("targets").fail("%s is about no target: leave the key out", s.Code)
	}
	return s
}

// code reads the code of a finding.
func code(n node) inventory.Code {
	s := inventory.Code(n.text())
	known := fields{}
	for _, i := range inventory.Codes() {
		known[string(i.Code)] = nil
	}
	if _, ok := known[string(s)]; !ok && s != "" {
		n.fail("there is no finding %q%s", s, suggest(string(s), known))
	}
	return s
}

// waiver reads an entry of the block "waivers". Whom it concerns, who answers
// for it, why and until when are all required: a waiver that nobody ends is how
// an outage begins.
func (d *decoder) waiver(n node) inventory.Waiver {
	w := inventory.Waiver{Place: n.place()}
	n.mapping(fields{
		"targets": func(n node) { w.Targets = n.selector() },
		"code":    func(n node) { w.Codes = oneOrMore(n, waivable) },
		"rule":    func(n node) { w.Rule = n.text() },
		"owner":   func(n node) { w.Owner = n.text() },
		"reason":  func(n node) { w.Reason = n.text() },
		"until":   func(n node) { w.Until = n.day() },
	}, "targets", "code", "owner", "reason", "until")
	return w
}

// waivable reads the code of a finding that somebody can answer for.
func waivable(n node) inventory.Code {
	c := code(n)
	if c.OwnSide() {
		n.fail("%s is about certscan itself, which nobody can answer for: mend it, or give it another severity", c)
	}
	return c
}

// Merge adds what other says to c. Rules of the same name in two files are a
// problem; everything else adds up.
func (c *Config) Merge(other *Config) error {
	for _, r := range other.Policy.Rules {
		if slices.ContainsFunc(c.Policy.Rules, func(o inventory.PolicyRule) bool { return o.Name == r.Name }) {
			return fmt.Errorf("rule %q stands in two files: findings are told apart by the name", r.Name)
		}
	}
	c.Policy.Rules = append(c.Policy.Rules, other.Policy.Rules...)
	c.Policy.Severities = append(c.Policy.Severities, other.Policy.Severities...)
	c.Waivers = append(c.Waivers, other.Waivers...)
	return nil
}
