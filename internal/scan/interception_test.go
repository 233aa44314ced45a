package scan_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
)

const proxyCA = "CN=Proxy CA"

// shops are n targets with names as a pattern says.
func shops(n int, pattern string) (targets []inventory.Target) {
	for i := range n {
		targets = append(targets, inventory.Target{Host: fmt.Sprintf(pattern, i), Port: 443, Protocol: inventory.TLS})
	}
	return targets
}

// by is a result with a certificate by an issuer that no store knows, or a
// trusted one if it is "".
func by(t inventory.Target, issuer string) inventory.Result {
	r := result(t, time.Now(), "leaf by "+issuer)
	j := &r.Endpoints[0].Judgement
	j.Certificate, j.Verdict = &inventory.Certificate{Issuer: "CN=Known CA"}, new(inventory.Verdict)
	j.Verdict.Trust.Status = inventory.Trusted
	if issuer == "" {
		return r
	}
	j.Certificate.Issuer, j.Verdict.Trust.Status = issuer, inventory.TrustUnknownIssuer
	return judged(r, inventory.CodeUnknownIssuer)
}

// A proxy that comes and goes is one finding, and none of a target, also if the
// daemon is restarted behind it.
func TestInterception(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		start := time.Now()
		targets := shops(n, "www.shop-%d.com")
		s := scan.NewSchedule(scan.ScheduleOptions{Interval: time.Hour})
		s.Set(targets)
		c := scan.NewConfirm(scan.ConfirmOptions{Sample: s.Sample})
		issuer := ""
		last := make(map[string]inventory.Result)
		var own []time.Duration // when that changed
		examine := func(target inventory.Target) inventory.Result {
			r := by(target, issuer)
			last[target.Key()] = by(target, issuer)
			out := c.Examined(&r)
			if len(out.Opened) > 0 || len(r.Endpoints[0].Judgement.Findings) > 0 {
				t.Errorf("after %v: told of %s: %v", time.Since(start), target, r.Endpoints[0].Judgement.Findings)
			}
			if out.Own {
				own = append(own, time.Since(start))
			}
			if out.Again {
				s.Soon(target.Key(), time.Minute)
			}
			return r
		}
		attend(t, s, 3*time.Hour, examine)
		if len(c.Own()) != 0 {
			t.Fatalf("own findings %v of a fleet that is well", c.Own())
		}

		issuer = proxyCA
		begun := attend(t, s, 2*time.Hour, examine)
		if f := c.Own(); len(f) != 1 || f[0].Code != inventory.CodeLocationAnomalous || f[0].Subject.ID != "local" || len(own) != 1 || own[0] > 3*time.Hour+time.Minute {
			t.Fatalf("own findings %v, told after %v, want one of the location within a minute", f, own)
		}
		if len(begun) > 3*n {
			t.Errorf("%d examinations of %d targets in two intervals: what is held back is not asked for", len(begun), n)
		}

		c = scan.NewConfirm(scan.ConfirmOptions{Sample: s.Sample}) // a restart
		nothing := func(inventory.FindingKey) bool { return false }
		for _, r := range last { // in any order
			c.Restore(&r, nothing, func(inventory.View) int64 { return 2 })
			if told := wordsOf(r.Endpoints[0].Judgement.Findings); told != "" {
				t.Errorf("%q is told of %s at the start", told, r.Target)
			}
		}
		c.Restored()
		if f := c.Own(); len(f) != 1 {
			t.Errorf("own findings %v after a restart behind the proxy, want one", f)
		}
		attend(t, s, time.Hour, examine)

		issuer = ""
		gone := time.Since(start)
		attend(t, s, time.Hour/2, examine)
		if f := c.Own(); len(f) != 0 || len(own) != 2 || own[1] > gone+10*time.Minute {
			t.Errorf("own findings %v, told after %v; want it closed soon after %v", f, own, gone)
		}
		for _, r := range last { // some were seen behind the proxy the last time
			c.Rejudged(&r)
			if told := wordsOf(r.Endpoints[0].Judgement.Findings); told != "" {
				t.Errorf("%q is told of %s when it is judged again", told, r.Target)
			}
		}
		attend(t, s, 2*time.Hour, examine)
	})
}

// What stays when the proxy is gone is told, after an examination of its own.
func TestWhatAnInterceptionLeaves(t *testing.T) {
	t.Parallel()
	c := scan.NewConfirm(scan.ConfirmOptions{})
	targets := shops(20, "www.shop-%d.com")
	give := func(to func(*inventory.Result) scan.Outcome, target inventory.Target, issuer string) string {
		r := by(target, issuer)
		to(&r)
		return wordsOf(r.Endpoints[0].Judgement.Findings)
	}
	for range 3 {
		for _, target := range targets {
			if told := give(c.Examined, target, proxyCA); told != "" {
				t.Fatalf("%q is told of %s", told, target)
			}
		}
	}
	for _, target := range targets[1:12] {
		give(c.Examined, target, "")
	}
	if f := c.Own(); len(f) != 0 {
		t.Fatalf("own findings %v, and most are seen as before", f)
	}
	if told := give(c.Rejudged, targets[0], proxyCA); told != "" {
		t.Errorf("%q is told by what was seen behind the proxy", told)
	}
	if told := give(c.Examined, targets[0], proxyCA); told != "unknown_issuer" {
		t.Errorf("told %q of what was seen again, want unknown_issuer", told)
	}
}

func TestWhatIsNoInterception(t *testing.T) {
	t.Parallel()
	mail := func(targets []inventory.Target) []inventory.Target { // on one more name
		return append(targets, inventory.Target{Host: "mail.shop-0.com", Port: 443, Protocol: inventory.TLS})
	}
	same := func(inventory.Target) string { return proxyCA }
	for _, tt := range []struct {
		name    string
		targets []inventory.Target
		issuer  func(inventory.Target) string
		proxied bool
	}{
		{"unrelated public names", shops(20, "www.shop-%d.com"), same, true},
		{"under a suffix of two labels", shops(20, "shop-%d.co.uk"), same, true},
		{"five of them", shops(5, "www.shop-%d.com"), same, true},
		{"four of them, one with two names", mail(shops(4, "www.shop-%d.com")), same, false},
		{"names of one owner", shops(20, "shop-%d.example.com"), same, false},
		{"names of one platform", shops(20, "shop-%d.github.io"), same, false},
		{"names that are not public", shops(20, "www.shop-%d.corp"), same, false},
		{"addresses", shops(20, "192.0.2.%d"), same, false},
		{"an issuer for each", shops(20, "www.shop-%d.com"), func(t inventory.Target) string { return "CN=" + t.Host }, false},
		{"every second is trusted", shops(20, "www.shop-%d.com"), func(t inventory.Target) string {
			if (t.Host[len(t.Host)-len("0.com")]-'0')%2 == 0 {
				return ""
			}
			return proxyCA
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, own := scan.NewConfirm(scan.ConfirmOptions{}), scan.NewOwnSide()
			var told, audited []string
			for round := range 2 {
				for _, target := range tt.targets {
					r := by(target, tt.issuer(target))
					if round == 0 {
						own.Pass(r)
					}
					if c.Examined(&r); len(r.Endpoints[0].Judgement.Findings) > 0 {
						told = append(told, target.Host)
					}
				}
			}
			own.Rest()
			for _, f := range own.Faults() {
				audited = append(audited, f.Code)
			}
			if (len(c.Own()) == 1) != tt.proxied || (len(told) == 0) != tt.proxied {
				t.Errorf("own findings %v, told of %v; an interception: %v", c.Own(), told, tt.proxied)
			}
			if slices.Equal(audited, []string{inventory.FaultInterception}) != tt.proxied {
				t.Errorf("scan has the faults %v, an interception: %v", audited, tt.proxied)
			}
		})
	}
}

// A company's CA that was told of, or is no more than information by policy, is
// no proxy.
func TestAnIssuerThatWasThereBefore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		open  bool
		level inventory.Severity
		told  string
		own   string
	}{
		{"its names were told", true, inventory.Critical, "unknown_issuer", ""},
		{"it is information", false, inventory.Info, "unknown_issuer", ""},
		{"its names were held back", false, inventory.Critical, "", "location_anomalous"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := scan.NewConfirm(scan.ConfirmOptions{})
			targets := shops(20, "www.shop-%d.com")
			check := func(give func(*inventory.Result)) {
				t.Helper()
				for _, target := range targets {
					r := by(target, proxyCA)
					r.Endpoints[0].Judgement.Findings[0].Severity = tt.level
					give(&r)
					if diff := cmp.Diff(tt.told, wordsOf(r.Endpoints[0].Judgement.Findings)); diff != "" {
						t.Errorf("%s (-want +got):\n%s", target, diff)
					}
				}
				if own := wordsOf(c.Own()); own != tt.own {
					t.Errorf("own findings %q, want %q", own, tt.own)
				}
			}
			check(func(r *inventory.Result) {
				c.Restore(r, func(inventory.FindingKey) bool { return tt.open }, func(inventory.View) int64 { return 7 })
				c.Restored()
			})
			check(func(r *inventory.Result) { c.Examined(r) })
			check(func(r *inventory.Result) { c.Rejudged(r) })
		})
	}
}

// What is stored comes in any order; what was seen last decides.
func TestInterceptionIsRestored(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		proxied int // of 100 targets, these
		last    bool
		want    string
	}{
		{"it had just begun", 10, true, "location_anomalous"},
		{"it had just ended", 80, false, ""},
		{"it was there all the time", 100, false, "location_anomalous"},
	} {
		for order, i := range map[string]func(int) int{"the oldest first": func(i int) int { return i }, "the latest first": func(i int) int { return 99 - i }} {
			t.Run(tt.name+", "+order, func(t *testing.T) {
				t.Parallel()
				c := scan.NewConfirm(scan.ConfirmOptions{})
				targets := shops(100, "www.shop-%d.com")
				for k := range targets {
					k = i(k)
					issuer := ""
					if !tt.last && k < tt.proxied || tt.last && k >= len(targets)-tt.proxied {
						issuer = proxyCA
					}
					r := by(targets[k], issuer)
					r.Endpoints[0].Observation.Time = r.Endpoints[0].Observation.Time.Add(time.Duration(k-100) * time.Minute)
					c.Restore(&r, func(inventory.FindingKey) bool { return false }, func(inventory.View) int64 { return 7 })
				}
				c.Restored()
				if got := wordsOf(c.Own()); got != tt.want {
					t.Errorf("own findings %q, want %q", got, tt.want)
				}
			})
		}
	}
}
