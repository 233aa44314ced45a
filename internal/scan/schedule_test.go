package scan_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
)

func watched(n int) (targets []inventory.Target) {
	for i := range n {
		targets = append(targets, inventory.Target{Host: fmt.Sprintf("host-%d.example", i), Port: 443, Protocol: inventory.TLS})
	}
	return targets
}

// result is what an examination of t at a time gave: chain is its leaf, "" if
// it did not answer. The certificate lives for 90 days from the test's start.
func result(t inventory.Target, at time.Time, chain string) inventory.Result {
	o := inventory.Observation{Target: t.Key(), Address: "192.0.2.7", Location: "local", Offer: inventory.OfferDefault, Time: at}
	o.Reach.Status = inventory.ReachTimeout
	if chain != "" {
		o.Reach.Status, o.Chain = inventory.ReachOK, [][]byte{[]byte(chain)}
	}
	return inventory.Result{Target: t, Endpoints: []inventory.Endpoint{{Observation: o}}}
}

// expiring gives r an expiry.
func expiring(r inventory.Result, in, lifetime time.Duration) inventory.Result {
	r.Judgement.Expiry = &inventory.Expiry{At: time.Now().Add(in)}
	r.Judgement.Lifetime = lifetime
	return r
}

// An examination, as a test sees it.
type begun struct {
	Target string
	At     time.Duration // since the test began
}

// attend examines what is due for d, each at once with the result that examine
// gives.
func attend(t *testing.T, s *scan.Schedule, d time.Duration, examine func(inventory.Target) inventory.Result) (list []begun) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	start := time.Now()
	for target := range s.Due(ctx) {
		s.Work(target)
		list = append(list, begun{target.Key(), time.Since(start)})
		s.Done(examine(target))
	}
	return list
}

func well(t inventory.Target) inventory.Result { return result(t, time.Now(), "leaf") }

func times(list []begun, target string) (at []time.Duration) {
	for _, b := range list {
		if b.Target == target {
			at = append(at, b.At)
		}
	}
	return at
}

func TestScheduleSpreadsTheFleetOverTheInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 600
		s := scan.NewSchedule(scan.ScheduleOptions{})
		s.Set(watched(n))
		list := attend(t, s, 4*time.Hour, well)
		perMinute := make(map[time.Duration]int)
		for i, b := range list {
			if i < n && b.At != 0 {
				t.Fatalf("new target %s was begun after %v, want at once", b.Target, b.At)
			}
			if b.At >= 2*time.Hour && b.At < 3*time.Hour {
				perMinute[b.At.Truncate(time.Minute)]++
			}
		}
		total := 0
		for m, k := range perMinute {
			if total += k; k > 30 {
				t.Errorf("%d examinations in the minute after %v, want some 10", k, m)
			}
		}
		if total != n {
			t.Errorf("%d examinations in an hour, want %d", total, n)
		}
		at := times(list, "host-7.example:443")
		if len(at) < 4 || at[2]-at[1] != time.Hour || at[3]-at[2] != time.Hour {
			t.Errorf("one target was begun after %v, want an hour between", at)
		}
	})
}

func TestScheduleGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 200
		targets := watched(n)
		s := scan.NewSchedule(scan.ScheduleOptions{})
		s.Set(targets)
		last := make(map[string]inventory.Result)
		note := func(r inventory.Result) inventory.Result { last[r.Target.Key()] = r; return r }
		attend(t, s, 3*time.Hour, func(t inventory.Target) inventory.Result { return note(well(t)) })

		restart := func(d time.Duration, examine func(inventory.Target) inventory.Result) []begun {
			s := scan.NewSchedule(scan.ScheduleOptions{})
			for _, r := range last {
				s.Restore(r)
			}
			s.Set(targets)
			return attend(t, s, d, examine)
		}
		time.Sleep(time.Second)
		list := restart(time.Hour, func(t inventory.Target) inventory.Result { return note(well(t)) })
		if len(list) != n {
			t.Errorf("%d examinations in the hour after a restart, want each of %d targets once", len(list), n)
		}
		if begun := len(slices.DeleteFunc(slices.Clone(list), func(b begun) bool { return b.At > time.Minute })); begun > 15 {
			t.Errorf("%d targets were begun within a minute of the restart, want their usual share", begun)
		}

		time.Sleep(10 * time.Hour) // an outage
		dead := targets[3].Key()
		last[dead] = result(targets[3], last[dead].Endpoints[0].Observation.Time, "")
		list = restart(time.Hour, well)
		first := times(list, dead)
		if len(first) == 0 || first[0] > 90*time.Second {
			t.Errorf("what failed the last time was begun after %v, want before the others", first)
		}
		for _, target := range targets {
			at := times(list, target.Key())
			if len(at) == 0 || at[0] > 15*time.Minute || len(at) > 2 {
				t.Errorf("%s was begun after %v, want once within a quarter of an hour, however many slots it missed", target, at)
			}
			if len(at) == 2 && at[1]-at[0] < 30*time.Minute {
				t.Errorf("%s was begun after %v: a slot comes too soon after one that was made up for", target, at)
			}
		}
	})
}

func TestScheduleInterval(t *testing.T) {
	t.Parallel()
	const lifetime = 90 * 24 * time.Hour
	for _, tt := range []struct {
		name    string
		examine func(t inventory.Target, n int) inventory.Result
		want    time.Duration // between the sixth and the seventh examination
	}{
		{"nothing special", func(t inventory.Target, _ int) inventory.Result { return expiring(well(t), lifetime/2, lifetime) }, time.Hour},
		{"a third of the lifetime is left", func(t inventory.Target, _ int) inventory.Result { return expiring(well(t), lifetime/3, lifetime) }, 30 * time.Minute},
		{"a tenth is left", func(t inventory.Target, _ int) inventory.Result { return expiring(well(t), lifetime/10, lifetime) }, 15 * time.Minute},
		{"expired lately", func(t inventory.Target, _ int) inventory.Result { return expiring(well(t), -time.Hour, lifetime) }, 15 * time.Minute},
		{"expired long ago", func(t inventory.Target, _ int) inventory.Result { return expiring(well(t), -lifetime, lifetime) }, time.Hour},
		{"a failure", func(t inventory.Target, n int) inventory.Result {
			if n == 6 {
				return result(t, time.Now(), "")
			}
			return well(t)
		}, 15 * time.Minute},
		{"dead for long", func(t inventory.Target, _ int) inventory.Result { return result(t, time.Now(), "") }, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := scan.NewSchedule(scan.ScheduleOptions{})
				s.Set(watched(1))
				n := 0
				list := attend(t, s, 24*time.Hour, func(t inventory.Target) inventory.Result { n++; return tt.examine(t, n) })
				if len(list) < 7 {
					t.Fatalf("%d examinations in a day", len(list))
				}
				if got := list[6].At - list[5].At; got != tt.want {
					t.Errorf("interval %v, want %v", got, tt.want)
				}
			})
		})
	}
}

func TestScheduleExtras(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		all := []inventory.Offer{inventory.OfferDefault, inventory.OfferECDSA, inventory.OfferRSA, inventory.OfferNoSNI}
		s := scan.NewSchedule(scan.ScheduleOptions{Work: inventory.Work{Offers: all, Accepts: true, Timeout: time.Second}})
		s.Set(watched(50))
		ctx, cancel := context.WithTimeout(t.Context(), 10*24*time.Hour)
		defer cancel()
		start := time.Now()
		const changed, dead, half = "host-1.example:443", "host-2.example:443", "host-3.example:443"
		renewed := false
		extras := make(map[string][]time.Duration)
		turns := make(map[int64]bool)
		for target := range s.Due(ctx) {
			w, leaf := s.Work(target), "leaf"
			age := time.Since(start)
			if target.Key() == dead && age < 48*time.Hour {
				leaf = ""
			}
			switch {
			case w.Accepts && cmp.Equal(w.Offers, all):
				if leaf != "" {
					extras[target.Key()] = append(extras[target.Key()], age)
				}
			case w.Accepts || len(w.Offers) != 1:
				t.Fatalf("Work = %+v, want all extras or none", w)
			}
			if target.Key() == changed {
				if turns[w.Turn] {
					t.Errorf("turn %d comes twice", w.Turn)
				}
				turns[w.Turn] = true
			}
			r := result(target, time.Now(), leaf)
			if target.Key() == changed && age > 100*time.Hour && !renewed {
				r.Changed, renewed = true, true
			}
			if target.Key() == changed || target.Key() == half { // beside an address that is dead for ever
				r.Endpoints = append(r.Endpoints, result(target, time.Now(), "").Endpoints...)
			}
			s.Done(r)
		}
		hours := make(map[int]int)
		for target, at := range extras {
			first := at[0]
			if target == dead {
				first -= 48 * time.Hour
			}
			if first > 26*time.Hour {
				t.Errorf("%s: extras were first asked after %v, want within a day", target, first)
			}
			hours[int(first/time.Hour)]++
			want := 10
			if target == changed {
				want++
				if !slices.ContainsFunc(at, func(d time.Duration) bool { return d > 100*time.Hour && d < 103*time.Hour }) {
					t.Errorf("%s: extras were asked after %v, and not soon after another certificate was served", target, at)
				}
			}
			if target == dead {
				want = 9
			}
			if len(at) < want-1 || len(at) > want {
				t.Errorf("%s: extras were asked %d times in ten days, want %d: %v", target, len(at), want, at)
			}
		}
		if len(extras) != 50 || len(hours) < 15 {
			t.Errorf("extras of %d targets were first asked in %d different hours, want 50 spread over the day", len(extras), len(hours))
		}
	})
}

func TestScheduleNowAndSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scan.NewSchedule(scan.ScheduleOptions{})
		s.Set(watched(2))
		attend(t, s, time.Hour, well)
		if s.Now("nobody.example:443") {
			t.Error("Now knows a target that nobody named")
		}
		const a, b = "host-0.example:443", "host-1.example:443"
		attend(t, s, 3*time.Minute, well)
		s.Now(a)
		s.Soon(b, 10*time.Second)
		asked := false
		list := attend(t, s, time.Minute, func(t inventory.Target) inventory.Result {
			if t.Key() == a && !asked {
				asked = true
				s.Soon(a, 5*time.Second) // while it is under way: once more
			}
			return well(t)
		})
		want := []begun{{a, 0}, {a, 5 * time.Second}, {b, 10 * time.Second}}
		if diff := cmp.Diff(want, list); diff != "" {
			t.Errorf("begun (-want +got):\n%s", diff)
		}
	})
}

func TestScheduleSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scan.NewSchedule(scan.ScheduleOptions{})
		targets := watched(3)
		s.Set(targets)
		attend(t, s, 2*time.Hour, well)
		targets[1].Labels = map[string]string{"owner": "web"}
		removed := s.Set(targets[1:])
		if len(removed) != 1 || removed[0].Key() != targets[0].Key() || s.Len() != 2 {
			t.Errorf("removed %v, %d left, want the first removed", removed, s.Len())
		}
		if got, ok := s.Target(targets[1].Key()); !ok || got.Labels["owner"] != "web" {
			t.Errorf("Target = %v, %v, want the new labels", got, ok)
		}
		list := attend(t, s, time.Hour, well)
		if len(list) != 2 || len(times(list, targets[0].Key())) != 0 {
			t.Errorf("begun %v, want each of the two that are left, in its slot", list)
		}
		s.Done(well(targets[0])) // was under way when it was removed
		if s.Len() != 2 {
			t.Error("a target that was removed came back")
		}
	})
}

func TestScheduleLag(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scan.NewSchedule(scan.ScheduleOptions{})
		if got := s.Lag(); got != 0 {
			t.Errorf("Lag = %v without targets", got)
		}
		s.Set(watched(2))
		attend(t, s, time.Hour, well)
		attend(t, s, 2*time.Hour, well)
		if got := s.Lag(); got != 0 {
			t.Errorf("Lag = %v when nothing is due", got)
		}
		time.Sleep(3 * time.Hour) // nobody asks what is due
		if got := s.Lag(); got < 2*time.Hour || got > 3*time.Hour {
			t.Errorf("Lag = %v after three hours without an examination every hour, want 2h to 3h", got)
		}
		list := attend(t, s, time.Minute, well)
		if len(list) != 2 {
			t.Errorf("begun %v, want both once", list)
		}
	})
}

func TestScheduleConfigure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scan.NewSchedule(scan.ScheduleOptions{Interval: 24 * time.Hour})
		s.Set(watched(40))
		attend(t, s, 30*time.Hour, well)
		s.Configure(scan.ScheduleOptions{Interval: time.Hour})
		attend(t, s, 2*time.Hour, well)
		if list := attend(t, s, time.Hour, well); len(list) != 40 {
			t.Errorf("%d examinations in an hour after the interval was made an hour, want 40", len(list))
		}
	})
}

func TestScheduleSample(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scan.NewSchedule(scan.ScheduleOptions{Interval: 100 * time.Hour})
		targets := watched(50)
		s.Set(targets)
		attend(t, s, time.Minute, func(t inventory.Target) inventory.Result {
			if t.Key() < "host-2" {
				return result(t, time.Now(), "")
			}
			return well(t)
		})
		s.Sample(20)
		list := attend(t, s, time.Second, well)
		if len(list) != 20 {
			t.Errorf("%d targets were begun, want 20", len(list))
		}
		for _, b := range list {
			if b.Target < "host-2" {
				t.Errorf("%s was asked, which did not answer", b.Target)
			}
		}
	})
}
