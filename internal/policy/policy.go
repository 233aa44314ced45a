// Package policy judges by the rules of an organisation: what it asks of its
// certificates beyond what is right for everybody, how bad it takes built-in
// findings to be, and which of them somebody answers for until a day.
//
// It is pure: it reads no file, fetches nothing and knows the time only as an
// argument. Its invariant: what is not known meets no requirement.
package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// A Policy judges by rules. It is immutable, and safe for concurrent use. The
// zero value demands nothing.
type Policy struct {
	rules      []rule
	severities []inventory.SeverityRule
}

// New returns the policy that p describes.
func New(p inventory.Policy) *Policy {
	rules := make([]rule, len(p.Rules))
	for i, r := range p.Rules {
		rules[i] = rule{r}
	}
	return &Policy{rules, slices.Clone(p.Severities)}
}

// A rule is asked about one subject after the other.
type rule struct{ inventory.PolicyRule }

// View judges one view: its certificates and its connection. until is when time
// alone may change the answer, zero if never.
func (p *Policy) View(f inventory.Facts, j inventory.Judgement, now time.Time) (found []inventory.Finding, until time.Time) {
	o := &f.Observation
	switch {
	case o.Offer == inventory.OfferNoSNI: // nobody's promise
		return nil, time.Time{}
	case isRestricted(o.Offer) && len(o.Chain) > 0 && inventory.ChainID(o.Chain) == inventory.ChainID(f.DefaultChain):
		return nil, time.Time{} // said once, of the default offer
	}
	subject := inventory.Subject{Kind: inventory.SubjectView, ID: o.View().ID()}
	for i := range p.rules {
		r := &p.rules[i]
		if !r.Targets.Match(f.Target) {
			continue
		}
		e := exam{require: &r.Require, judgement: &j, observation: o, now: now}
		e.certificates()
		e.connection()
		found = r.add(found, subject, e.violations)
		until = earliest(until, e.until)
	}
	return found, until
}

// File judges a certificate that nobody served, as what may be served for t. It
// asks nothing that only a connection or a list of targets can tell.
func (p *Policy) File(t inventory.Target, j inventory.Judgement, now time.Time) (found []inventory.Finding) {
	if j.Certificate == nil {
		return nil
	}
	subject := inventory.Subject{Kind: inventory.SubjectCertificate, ID: j.Certificate.SHA256.String()}
	for i := range p.rules {
		if r := &p.rules[i]; r.selectsFile(t, j.Certificate) {
			e := exam{require: &r.Require, judgement: &j, now: now}
			e.certificates()
			found = r.add(found, subject, e.violations)
		}
	}
	return found
}

// Target judges what needs no view: the labels and the port of t.
func (p *Policy) Target(t inventory.Target) (found []inventory.Finding) {
	subject := inventory.Subject{Kind: inventory.SubjectTarget, ID: t.Key()}
	for i := range p.rules {
		r := &p.rules[i]
		if !r.Targets.Match(t) {
			continue
		}
		e := exam{require: &r.Require}
		e.target(t)
		found = r.add(found, subject, e.violations)
	}
	return found
}

// Regrade gives findings of t and its views the severities that p has for them.
func (p *Policy) Regrade(t inventory.Target, findings []inventory.Finding) {
	p.regrade(findings, func(s inventory.Selector, f inventory.Finding) bool { return s.MatchFinding(t, f) })
}

// RegradeFile is Regrade for findings of a certificate that nobody served, as
// [Policy.File] judges it.
func (p *Policy) RegradeFile(t inventory.Target, c *inventory.Certificate, findings []inventory.Finding) {
	p.regrade(findings, func(s inventory.Selector, f inventory.Finding) bool {
		return anyName(t, c, func(t inventory.Target) bool { return s.MatchFinding(t, f) })
	})
}

// RegradeFleet is Regrade for findings that belong to no single target.
func (p *Policy) RegradeFleet(findings []inventory.Finding) {
	p.regrade(findings, inventory.Selector.MatchFleet)
}

func (p *Policy) regrade(findings []inventory.Finding, selects func(inventory.Selector, inventory.Finding) bool) {
	for i := range findings {
		f := &findings[i]
		for k := range p.severities {
			s := &p.severities[k]
			if s.Code != f.Code || s.Rule != "" && s.Rule != f.Rule || !selects(s.Targets, *f) {
				continue
			}
			switch {
			case s.AtMost == "":
				f.Severity = s.Severity
			case inventory.CompareSeverity(f.Severity, s.AtMost) < 0:
				f.Severity = s.AtMost
			}
			break
		}
	}
}

// Unselected names the rules that select neither t nor, if it has no host, any
// name of any of the certificates.
func (p *Policy) Unselected(t inventory.Target, certificates []*inventory.Certificate) (names []string) {
	for i := range p.rules {
		if r := &p.rules[i]; !slices.ContainsFunc(certificates, func(c *inventory.Certificate) bool { return r.selectsFile(t, c) }) {
			names = append(names, r.Name)
		}
	}
	return names
}

// OfConnections names the rules that ask for something that [Policy.File] cannot
// tell, or select by it.
func (p *Policy) OfConnections() (names []string) {
	for _, r := range p.rules {
		q := &r.Require
		if q.MinTLS != "" || q.MinTLSAccepted != "" || q.ForbiddenCiphers != nil || q.ForbiddenAccepted != nil ||
			q.PostQuantum || q.Labels != nil || q.Ports != nil {
			names = append(names, r.Name)
		}
	}
	return names
}

// selectsFile reports whether the rule is for a certificate.
func (r *rule) selectsFile(t inventory.Target, c *inventory.Certificate) bool {
	return anyName(t, c, r.Targets.Match)
}

// anyName reports whether a certificate that nobody served is selected: as t if
// that has a host, or else as t under any name of c.
func anyName(t inventory.Target, c *inventory.Certificate, selects func(inventory.Target) bool) bool {
	if t.Host != "" || len(c.Names) == 0 {
		return selects(t)
	}
	return slices.ContainsFunc(c.Names, func(name string) bool {
		t.Host = strings.ToLower(name)
		return selects(t)
	})
}

// add adds the finding of a rule that is violated.
func (r *rule) add(found []inventory.Finding, subject inventory.Subject, violations []string) []inventory.Finding {
	if len(violations) == 0 {
		return found
	}
	message := strings.Join(violations, "; ")
	if r.Message != "" {
		message += "; " + r.Message
	}
	return append(found, inventory.Finding{
		Code: inventory.CodePolicy, Rule: r.Name, Severity: r.Severity, Message: message, Subject: subject,
	})
}

func isRestricted(o inventory.Offer) bool {
	return o == inventory.OfferRSA || o == inventory.OfferECDSA
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// An exam is one rule being asked about one subject.
type exam struct {
	require     *inventory.Requirements
	judgement   *inventory.Judgement
	observation *inventory.Observation // nil for a file
	now         time.Time

	violations []string
	until      time.Time
}

func (e *exam) fail(format string, args ...any) {
	if m := fmt.Sprintf(format, args...); !slices.Contains(e.violations, m) {
		e.violations = append(e.violations, m)
	}
}

func (e *exam) target(t inventory.Target) {
	var missing []string
	for name, pattern := range e.require.Labels {
		switch v := t.Label(name); {
		case v == "":
			missing = append(missing, name)
		case pattern != "" && !inventory.MatchGlob(pattern, v):
			missing = append(missing, fmt.Sprintf("%s (is %s, want %s)", name, quote(v), pattern))
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		e.fail("the target lacks the label %s", strings.Join(missing, ", "))
	}
	if ports := e.require.Ports; len(ports) > 0 && !slices.Contains(ports, t.Port) {
		words := make([]string, len(ports))
		for i, p := range ports {
			words[i] = strconv.Itoa(int(p))
		}
		e.fail("port %d is not among those allowed (%s)", t.Port, strings.Join(words, ", "))
	}
}

// quote makes a stranger's text safe to print, and short.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}
