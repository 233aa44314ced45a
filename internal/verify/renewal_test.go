package verify_test

import (
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

func TestRenewalDue(t *testing.T) {
	t.Parallel()
	const d = 24 * time.Hour
	past := func(left ...time.Duration) (list []inventory.Renewal) {
		for _, l := range left {
			list = append(list, inventory.Renewal{Left: l, Lifetime: 90 * d})
		}
		return list
	}
	for _, tt := range []struct {
		name     string
		renewals []inventory.Renewal
		lifetime time.Duration
		want     time.Duration // before the expiry; 0: nothing is learned
	}{
		{"never renewed", nil, 90 * d, 0},
		{"renewed once", past(30 * d), 90 * d, 0},
		{"always with 30 days left", past(30*d, 30*d, 30*d), 90 * d, 22*d + 12*time.Hour},
		{"the latest renewal decides", past(40*d, 30*d, 45*d), 90 * d, 22*d + 12*time.Hour},
		{"lifetimes have become shorter", past(30*d, 30*d), 45 * d, 11*d + 6*time.Hour},
		{"old habits do not count", past(10*d, 30*d, 30*d, 30*d, 30*d, 30*d), 90 * d, 22*d + 12*time.Hour},
		{"on the last days", past(5*d, 30*d), 90 * d, 0},
		{"after it had expired", past(-d, 30*d), 90 * d, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			expires := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
			due := verify.RenewalDue(verify.UsualLeft(tt.renewals), expires, tt.lifetime)
			switch {
			case due.IsZero() && tt.want == 0:
			case due.IsZero(), tt.want == 0, expires.Sub(due) < tt.want-time.Second, expires.Sub(due) > tt.want+time.Second:
				t.Errorf("due %v, want %v before %v", due, tt.want, expires)
			}
		})
	}
}
