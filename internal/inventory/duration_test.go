package inventory_test

import (
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
)

func TestParseDuration(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{"36h": 36 * time.Hour, "1h30m": 90 * time.Minute, "90d": 90 * day, "1.5d": 36 * time.Hour, "2w": 14 * day, "36500d": 36500 * day, "-1h": -time.Hour} {
		if got, err := inventory.ParseDuration(s); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "d", "90", "NaNd", "-1d", "Infw", "36501d", "36500w", "1d2h", "soon", "2562048h"} {
		if got, err := inventory.ParseDuration(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}
