package inventory_test

import (
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
)

// The name of a tier tells its size.
func TestTierOf(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]inventory.Tier{
		60 * 24 * time.Hour: "60d", 36 * time.Hour: "36h", 90 * time.Minute: "90m", 61 * time.Minute: "61m",
		61 * time.Second: "61s", 24*time.Hour + time.Second: "86401s", time.Second: "1s",
	} {
		got := inventory.TierOf(d)
		if size, ok := got.Size(); got != want || size != d || !ok {
			t.Errorf("TierOf(%v) is %q of %v, %t; want %q", d, got, size, ok, want)
		}
	}
	for tier, want := range map[inventory.Tier]bool{inventory.TierExpired: true, "": false, "d": false, "1.5h": false, "soon": false} {
		if size, ok := tier.Size(); size != 0 && ok || ok != want {
			t.Errorf("%q has the size %v, %t; want %t", tier, size, ok, want)
		}
	}
}
