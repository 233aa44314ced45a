package scan_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
)

func TestRejudge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		until := func(target inventory.Target, at ...time.Time) inventory.Result {
			r := result(target, time.Now(), "leaf")
			for _, x := range at {
				e := inventory.Endpoint{}
				e.Judgement.ValidUntil = x
				r.Carried = append(r.Carried, e)
			}
			return r
		}
		targets, start := watched(4), time.Now()
		j := scan.NewRejudge()
		j.Set(until(targets[0], start.Add(2*time.Hour), start.Add(time.Hour))) // the earlier counts
		j.Set(until(targets[1], start.Add(30*time.Hour)))
		j.Set(until(targets[1], start.Add(90*time.Minute))) // replaces the other
		j.Set(until(targets[2]))                            // never by itself
		j.Set(until(targets[3], start.Add(time.Minute)))
		j.Forget([]string{targets[3].Key()})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
		defer cancel()
		time.AfterFunc(5*time.Hour, j.All)
		time.AfterFunc(6*time.Hour, func() { j.Now([]string{targets[2].Key(), "nobody.example:443"}) })
		var got []begun
		err := j.Run(ctx, func(_ context.Context, due []string) error {
			slices.Sort(due)
			for _, key := range due {
				got = append(got, begun{key, time.Since(start)})
				i := slices.IndexFunc(targets, func(t inventory.Target) bool { return t.Key() == key })
				if time.Since(start) == time.Hour {
					j.Set(until(targets[i], start)) // time does not stand still, whatever a judge says
				} else {
					j.Set(until(targets[i]))
				}
			}
			return nil
		})
		want := []begun{
			{targets[0].Key(), time.Hour},
			{targets[0].Key(), time.Hour + time.Second},
			{targets[1].Key(), 90 * time.Minute},
			{targets[0].Key(), 5 * time.Hour},
			{targets[1].Key(), 5 * time.Hour},
			{targets[2].Key(), 5 * time.Hour},
			{targets[2].Key(), 6 * time.Hour},
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("Run: %v; judged (-want +got):\n%s", err, diff)
		}
	})
}

// A judgement from before everything was to be judged again is judged again,
// however late it is told.
func TestRejudgeIsNotUndoneByWhatWasJudgedBefore(t *testing.T) {
	t.Parallel()
	targets := watched(2)
	key := targets[0].Key()
	valid := func(begun time.Time) inventory.Result {
		r := result(targets[0], time.Now(), "leaf")
		r.Endpoints[0].Judgement.ValidUntil = time.Now().Add(24 * time.Hour)
		r.Begun = begun
		return r
	}
	all := func(j *scan.Rejudge) { j.All() }
	now := func(j *scan.Rejudge) { j.Now([]string{key}) }
	for _, tt := range []struct {
		name string
		ask  func(j *scan.Rejudge)
		// How often ask is called while it is judged, at which time, and what comes
		// in besides.
		during, after func(j *scan.Rejudge, before time.Time)
		want          int // judgements within an hour
	}{
		{"nothing else", all, nil, nil, 1},
		{"all while it is judged", all, func(j *scan.Rejudge, _ time.Time) { j.All() }, nil, 2},
		{"it while it is judged", all, func(j *scan.Rejudge, _ time.Time) { now(j) }, nil, 2},
		{"an examination begun before comes in", all, nil, func(j *scan.Rejudge, before time.Time) { j.Set(valid(before)) }, 2},
		{"one begun before comes in, and it was asked alone", now, nil, func(j *scan.Rejudge, before time.Time) { j.Set(valid(before)) }, 2},
		{"one begun before comes in while it is judged", all, func(j *scan.Rejudge, before time.Time) { j.Set(valid(before)) }, nil, 2},
		{"one begun since comes in", all, nil, func(j *scan.Rejudge, _ time.Time) { j.Set(valid(time.Now())) }, 1},
		{"it was forgotten", all, nil, func(j *scan.Rejudge, before time.Time) { j.Forget([]string{key}) }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				j := scan.NewRejudge()
				j.Set(valid(time.Time{}))
				time.Sleep(time.Minute)
				before := time.Now()
				time.Sleep(time.Minute)
				tt.ask(j)
				got := 0
				err := j.Run(ctx, func(_ context.Context, due []string) error {
					got += len(due)
					time.Sleep(time.Second)
					if tt.during != nil && got == 1 {
						tt.during(j, before)
					}
					j.Set(valid(time.Time{}))
					if tt.after != nil && got == 1 {
						time.AfterFunc(time.Minute, func() { tt.after(j, before) })
					}
					return nil
				})
				if err != nil || got != tt.want {
					t.Errorf("Run: %v; judged %d times, want %d", err, got, tt.want)
				}
			})
		})
	}
}

// What is examined for the first time while everything is to be judged again is
// judged again, too.
func TestRejudgeOfTheFirstExamination(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(j *scan.Rejudge, key string){
		"all": func(j *scan.Rejudge, _ string) { j.All() },
		"it":  func(j *scan.Rejudge, key string) { j.Now([]string{key}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				j, r := scan.NewRejudge(), well(watched(1)[0])
				r.Begun = time.Now()
				time.Sleep(time.Second)
				ask(j, r.Target.Key())
				j.Set(r)
				var got []string
				if err := j.Run(ctx, func(_ context.Context, due []string) error { got = append(got, due...); return nil }); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, []string{r.Target.Key()}) {
					t.Errorf("judged again: %v, want it", got)
				}
			})
		})
	}
}
