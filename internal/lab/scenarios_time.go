package lab

import (
	"fmt"
	"time"

	"example.com/certscan/internal/inventory"
)

func timeScenarios() []definition {
	list := []definition{
		{name: "expired", about: "A certificate that expired two days ago.", want: wants(inventory.CodeExpired), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, s.valid(-92*day, -2*day)), s.issuing))
		}},
		{name: "not-yet-valid", about: "A certificate that is valid from the day after tomorrow.", want: wants(inventory.CodeNotYetValid), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, s.valid(2*day, 92*day)), s.issuing))
		}},
		{name: "intermediate-expires-first", about: "A leaf with 80 days to go under an intermediate with 20.", want: wants(inventory.CodeChainExpiring), build: func(s *site) {
			ca := s.authority("expiring-issuing", s.root, s.valid(-1000*day, 20*day))
			s.serve(s.tls(s.leaf(ca, s.host), ca))
		}},
		{name: "expired-intermediate", about: "The only path is through an intermediate that expired yesterday: as bad as an expired leaf.", want: wants(inventory.CodeExpired), build: func(s *site) {
			ca := s.authority("expired-issuing", s.root, s.valid(-1000*day, -day))
			s.serve(s.tls(s.leaf(ca, s.host), ca))
		}},
		{name: "expired-cross-sign", about: "The root is also sent as cross-signed by an older root, and that expired; the other path is good.", want: wants(inventory.CodeExpiredInChain), build: func(s *site) {
			cross := s.authority("expired-cross-sign", s.oldRoot, named("root"), withKey(s.root.Key), anyDepth, s.valid(-2000*day, -40*day))
			s.serve(s.tls(s.leaf(s.issuing, s.host), s.issuing, cross))
		}},
		{name: "expired-intermediate-other-path", about: "The intermediate is sent twice, once expired and once renewed.", want: wants(inventory.CodeExpiredInChain), build: func(s *site) {
			ca := s.authority("renewed-issuing", s.root)
			old := s.authority("renewed-issuing-old", s.root, named("renewed-issuing"), withKey(ca.Key), s.valid(-2000*day, -3*day))
			s.serve(s.tls(s.leaf(ca, s.host), old, ca))
		}},
	}
	for _, tier := range []struct{ days, left time.Duration }{{60, 50}, {30, 20}, {14, 10}, {7, 5}, {3, 2}} {
		list = append(list, definition{
			name:  fmt.Sprintf("expiring-%dd", tier.days),
			about: fmt.Sprintf("A certificate of 90 days with %d to go, inside the tier of %d.", tier.left, tier.days),
			want:  wants(inventory.CodeExpiring),
			build: func(s *site) {
				left := tier.left*day + time.Hour
				s.serve(s.tls(s.leaf(s.issuing, s.host, s.valid(left-90*day, left)), s.issuing))
			},
		})
	}
	return append(list, definition{
		name:  "expiring-short-lived",
		about: "A certificate of six days with ten hours to go, inside its tier of 7 days, which is 11 hours.",
		want:  wants(inventory.CodeExpiring),
		build: func(s *site) {
			left := 10 * time.Hour
			s.serve(s.tls(s.leaf(s.issuing, s.host, s.valid(left-6*day, left)), s.issuing))
		},
	})
}
