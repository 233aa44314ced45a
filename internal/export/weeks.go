package export

import (
	"fmt"
	"time"
)

// maxWeeks is how far ahead totals tell how much expires when, week by week.
const maxWeeks = 26

// expires counts t in the week in which it expires.
func (s *totals) expires(t *target, now time.Time) {
	const week = 7 * 24 * 3600
	if left := t.expiry - now.Unix(); t.expiry != unknown && left >= 0 {
		s.weeks[min(left/week, maxWeeks)]++
	}
}

// byWeek writes how many targets expire in which week, counted from now. The
// weeks have two digits, so that their order as text is their order in time.
func (p *page) byWeek(s *totals) {
	p.begin(family{"certscan_targets_expiring", gauge, "Targets by the full weeks until they expire, as of this scrape; those that have expired are not among them."})
	for week, n := range s.weeks {
		name := fmt.Sprintf("%02d", week)
		if week == maxWeeks {
			name += "+"
		}
		p.sample(`weeks="`+name+`"`, n)
	}
}
