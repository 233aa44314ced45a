package verify

import (
	"sync"
	"time"

	"example.com/certscan/internal/inventory"
)

// A Profile says which certificates the Baseline Requirements bind.
type Profile string

// The profiles.
const (
	ProfileAuto    Profile = "auto"    // those under a store of public roots
	ProfilePublic  Profile = "public"  // all under the store that decides, whatever it is
	ProfilePrivate Profile = "private" // none
)

// binds reports whether certificates under s are held to the Baseline
// Requirements.
func (p Profile) binds(s *store) bool {
	switch p {
	case ProfilePublic:
		return true
	case ProfilePrivate:
		return false
	}
	return s.Public
}

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
type breach struct {
	rule     string
	severity inventory.Severity
	message  string
}

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
		x.add(inventory.CodeProfile, b.rule, b.severity, prefix+b.message)
	}
}

// judgeValidity compares with the limit in force when the certificate was issued
// (Baseline Requirements, section 6.3.2). A day has 86,400 seconds, a month here
// 31 days.
func (x *exam) judgeValidity() {
	limit := 0
	for _, l := range []struct {
		since string
		days  int
	}{
		{"2012-07-01", 60 * 31},
		{"2015-04-01", 39 * 31},
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
	if limit == 0 { // older than the Baseline Requirements
		return
	}
	const day = 24 * time.Hour
	if got := x.leaf.info.Lifetime(); got >= time.Duration(limit)*day { // both ends count: the second that this makes is one too many
		x.find(inventory.CodeValidityTooLong, "it is valid for %d days and more, and public certificates issued on %s may be for %d",
			got/day, date(x.leaf.info.NotBefore), limit)
	}
}
