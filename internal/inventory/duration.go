package inventory

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads what people write for a time: "36h", as
// [time.ParseDuration] does, and also days and weeks, up to a hundred years:
// "90d", "2w".
func ParseDuration(s string) (time.Duration, error) {
	const day = 24 * time.Hour
	for _, unit := range []struct {
		name string
		days float64
	}{{"d", 1}, {"w", 7}} {
		digits, ok := strings.CutSuffix(s, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(digits, 64)
		if n *= unit.days; err != nil || !(n >= 0 && n <= 36500) { // nor is NaN
			return 0, errDuration(s)
		}
		return time.Duration(n * float64(day)), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, errDuration(s)
	}
	return d, nil
}

func errDuration(s string) error {
	return fmt.Errorf("%q is not a duration: want such as 36h, 30d or 2w", s)
}
