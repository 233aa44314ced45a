package verify_test

import (
	"crypto/x509"
	"testing"
	"time"

	"example.com/certscan/internal/verify"
)

func TestTimes(t *testing.T) {
	t.Parallel()
	const utc, general = 0x17, 0x18
	for _, c := range []struct {
		name    string
		tag     byte
		content string
		want    string // RFC 3339; "" is no time
	}{
		{"a UTCTime of this century", utc, "261122134709Z", "2026-11-22T13:47:09Z"},
		{"the last year of two digits in this century", utc, "491231235959Z", "2049-12-31T23:59:59Z"},
		{"the first one of the last", utc, "500101000000Z", "1950-01-01T00:00:00Z"},
		{"a GeneralizedTime", general, "20500101000000Z", "2050-01-01T00:00:00Z"},
		{"no well-defined end", general, "99991231235959Z", "9999-12-31T23:59:59Z"},
		{"a leap day", general, "20280229120000Z", "2028-02-29T12:00:00Z"},
		{"a leap day in another year", general, "20270229120000Z", ""},
		{"the 31st of June", utc, "260631000000Z", ""},
		{"month 0", utc, "260001000000Z", ""},
		{"month 13", utc, "261301000000Z", ""},
		{"hour 24", utc, "261122240000Z", ""},
		{"second 60", utc, "261122235960Z", ""},
		{"letters", utc, "2611221347x9Z", ""},
		{"a UTCTime without seconds, as BER has it", utc, "2611221347Z", "2026-11-22T13:47:00Z"},
		{"an offset", utc, "261122134709+0100", "2026-11-22T12:47:09Z"},
		{"a fraction", general, "20261122134709.5Z", "2026-11-22T13:47:09Z"},
		{"a fraction with a comma", general, "20261122134709,5Z", "2026-11-22T13:47:09Z"},
		{"nothing", utc, "", ""},
		{"another type", 0x13, "261122134709Z", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, ok := verify.ParseTime(c.tag, c.content)
			if text := got.Format(time.RFC3339); ok != (c.want != "") || ok && text != c.want {
				t.Errorf("parseTime(%q) = %s, %t; want %q", c.content, text, ok, c.want)
			}
		})
	}
}

// A certificate that begins after its end is both too early and too late.
func TestEndBeforeBeginning(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	lasting := func(from, to time.Duration) [][]byte {
		return ders(ca.leaf(t, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(from), now.Add(to) }), ca)
	}
	judgeScenarios(t, newJudge(t, storeOf("test", false, root)), []scenario{
		{name: "between the two", chain: lasting(400*day, -400*day), codes: []string{"expired", "not_yet_valid"}, timed: "expired", tier: "expired"},
		{name: "after both", chain: lasting(-2*day, -4*day), codes: []string{"expired"}, timed: "expired", tier: "expired"},
	})
}
