package verify

import (
	"errors"
	"slices"
)

// policyExtensions are certificatePolicies and the three that govern it.
type policyExtensions struct {
	present  bool
	policies []string // encoded identifiers
	mappings []policyMapping

	requireExplicit, inhibitMapping, inhibitAny *int // nil: not said
}

type policyMapping struct{ issuer, subject string }

// read reads one of the extensions and reports whether it is well-formed.
func (p *policyExtensions) read(id string, v []byte) bool {
	if id == oidInhibitAny {
		e, ok := single(v, tagInteger)
		n, small := smallInt(e.content)
		p.inhibitAny = &n
		return ok && small
	}
	seq, ok := single(v, tagSequence)
	all, clean := children(seq.content)
	ok = ok && clean
	for _, e := range all {
		in := e.inner()
		switch id {
		case oidPolicies:
			oid, has := in.take(tagOID)
			ok = ok && has && !slices.Contains(p.policies, string(oid.content))
			p.policies = append(p.policies, string(oid.content))
		case oidPolicyMappings:
			from, has1 := in.take(tagOID)
			to, has2 := in.take(tagOID)
			ok = ok && has1 && has2
			p.mappings = append(p.mappings, policyMapping{string(from.content), string(to.content)})
		case oidPolicyConstraints:
			n, small := smallInt(e.content)
			ok = ok && small
			if e.tag == 0x80 {
				p.requireExplicit = &n
			} else if e.tag == 0x81 {
				p.inhibitMapping = &n
			}
		}
	}
	if id == oidPolicies {
		p.present = true
	}
	return ok
}

var (
	errNoPolicy  = errors.New("certificate policies are required and none is valid along the path")
	errAnyMapped = errors.New("a policy mapping involves anyPolicy")
)

// A policyState is what RFC 5280, section 6.1.2 initialises. The graph of
// RFC 9618 shrinks to its last level here: the initial policy set is
// anyPolicy, so all that matters is whether a level is empty.
type policyState struct {
	level                      map[string][]string // valid policy to expected policies; nil: none
	explicit, mapping, anyLeft int
}

// checkPolicies processes policies from the anchor down to path[0]. Nothing is
// required initially.
func checkPolicies(path []*cert) error {
	concerned := func(c *cert) bool { return c.ext.policy.requireExplicit != nil || len(c.ext.policy.mappings) > 0 }
	n := len(path) - 1
	if !slices.ContainsFunc(path[:n], concerned) {
		return nil
	}
	s := policyState{level: map[string][]string{oidAnyPolicy: {oidAnyPolicy}}, explicit: n + 1, mapping: n + 1, anyLeft: n + 1}
	for i := n - 1; i >= 0; i-- {
		p := &path[i].ext.policy
		leaf := i == 0
		s.intersect(p, s.anyLeft > 0 || !leaf && path[i].info.SelfIssued)
		if s.explicit == 0 && s.level == nil {
			return errNoPolicy
		}
		if leaf {
			break
		}
		if err := s.mapPolicies(p.mappings); err != nil {
			return err
		}
		if !path[i].info.SelfIssued {
			s.explicit, s.mapping, s.anyLeft = max(s.explicit-1, 0), max(s.mapping-1, 0), max(s.anyLeft-1, 0)
		}
		lower(&s.explicit, p.requireExplicit)
		lower(&s.mapping, p.inhibitMapping)
		lower(&s.anyLeft, p.inhibitAny)
	}
	last := path[0].ext.policy.requireExplicit
	if (s.explicit <= 1 || last != nil && *last == 0) && s.level == nil {
		return errNoPolicy
	}
	return nil
}

func lower(v, limit *int) {
	if limit != nil && *limit < *v {
		*v = *limit
	}
}

// intersect is section 6.1.3 (d) and (e).
func (s *policyState) intersect(p *policyExtensions, anyCounts bool) {
	if !p.present {
		s.level = nil
	}
	if s.level == nil {
		return
	}
	expected := make(map[string]bool)
	for _, list := range s.level {
		for _, id := range list {
			expected[id] = true
		}
	}
	_, underAny := s.level[oidAnyPolicy]
	next := make(map[string][]string)
	for _, id := range p.policies {
		if id != oidAnyPolicy && (expected[id] || underAny) {
			next[id] = []string{id}
		}
	}
	if anyCounts && slices.Contains(p.policies, oidAnyPolicy) {
		for id := range expected {
			next[id] = []string{id}
		}
	}
	s.level = next
	s.dropIfEmpty()
}

// mapPolicies is section 6.1.4 (a) and (b).
func (s *policyState) mapPolicies(mappings []policyMapping) error {
	to := make(map[string][]string)
	for _, m := range mappings {
		if m.issuer == oidAnyPolicy || m.subject == oidAnyPolicy {
			return errAnyMapped
		}
		to[m.issuer] = append(to[m.issuer], m.subject)
	}
	if s.level == nil {
		return nil
	}
	_, underAny := s.level[oidAnyPolicy]
	for issuer, subjects := range to {
		_, valid := s.level[issuer]
		switch {
		case s.mapping == 0:
			delete(s.level, issuer)
		case valid || underAny:
			s.level[issuer] = subjects
		}
	}
	s.dropIfEmpty()
	return nil
}

func (s *policyState) dropIfEmpty() {
	if len(s.level) == 0 {
		s.level = nil
	}
}
