package discover_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/inventory"
)

// inList returns n targets, as a source of this name has them.
func inList(source string, from, to int) (targets []inventory.Target) {
	for i := from; i < to; i++ {
		targets = append(targets, inventory.Target{
			Host: fmt.Sprintf("host-%02d.example", i), Port: 443, Protocol: inventory.TLS, Sources: []string{source},
		})
	}
	return targets
}

// A reading is what a source answers at one time, and what comes of it.
type reading struct {
	from, to int
	err      error
	want     int // targets in the fleet
	findings string
	up       bool
}

func TestWatcherKeepsWhatASourceLoses(t *testing.T) {
	t.Parallel()
	broken := errors.New("line 3: no target")
	for _, tt := range []struct {
		name     string
		source   discover.Source
		last     int // targets remembered from before
		readings []reading
	}{
		{"targets come and go", discover.Source{}, 0, []reading{{0, 20, nil, 20, "", true}, {2, 25, nil, 23, "", true}}},
		{"a source that fails", discover.Source{}, 0, []reading{{0, 9, nil, 9, "", true}, {0, 0, broken, 9, "source_failed", false}, {0, 8, nil, 8, "", true}}},
		{"a part of it can be read", discover.Source{}, 0, []reading{{0, 9, nil, 9, "", true}, {5, 12, broken, 12, "source_failed", false}}},
		{"a source that is empty", discover.Source{}, 0, []reading{{0, 3, nil, 3, "", true}, {0, 0, nil, 3, "source_failed", false}, {0, 0, nil, 3, "source_failed", false}}},
		{"a source with too few targets", discover.Source{Min: 5}, 0, []reading{{0, 6, nil, 6, "", true}, {0, 4, nil, 6, "source_failed", false}}},
		{"a source that shrinks", discover.Source{}, 0, []reading{
			{0, 20, nil, 20, "", true},
			{0, 9, nil, 20, "source_shrunk", true},
			{0, 9, nil, 20, "source_shrunk", true},
			{0, 9, nil, 9, "", true},
		}},
		{"a source that shrinks for a moment", discover.Source{}, 0, []reading{
			{0, 20, nil, 20, "", true},
			{0, 9, nil, 20, "source_shrunk", true},
			{0, 19, nil, 19, "", true},
			{0, 9, nil, 19, "source_shrunk", true},
		}},
		{"a half is not sudden", discover.Source{}, 0, []reading{{0, 20, nil, 20, "", true}, {0, 10, nil, 10, "", true}}},
		{"nor are a few", discover.Source{}, 0, []reading{{0, 5, nil, 5, "", true}, {0, 1, nil, 1, "", true}}},
		{"all others instead are", discover.Source{}, 0, []reading{{0, 20, nil, 20, "", true}, {20, 40, nil, 20, "source_shrunk", true}}},
		{"a source that may shrink", discover.Source{Shrink: 1}, 0, []reading{{0, 20, nil, 20, "", true}, {0, 1, nil, 1, "", true}}},
		{"the last set survives a restart", discover.Source{}, 20, []reading{{0, 0, broken, 20, "source_failed", false}, {0, 3, nil, 20, "source_shrunk", true}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := 0
				s := tt.source
				s.Name, s.Kind, s.Every = "lists", "file", time.Minute
				s.Read = func(context.Context) ([]inventory.Target, error) {
					r := tt.readings[n]
					n++
					return inList("lists", r.from, r.to), r.err
				}
				var w discover.Watcher
				w.Configure([]discover.Source{s}, map[string][]inventory.Target{"lists": inList("lists", 0, tt.last)})
				for i, want := range tt.readings {
					f, wait, _ := w.Read(t.Context())
					if f == nil || wait != time.Minute {
						t.Fatalf("reading %d: %v, wait %v", i, f, wait)
					}
					var codes []string
					for _, x := range f.Findings {
						codes = append(codes, string(x.Code))
						if x.Subject != (inventory.Subject{Kind: inventory.SubjectSource, ID: "lists"}) || x.Severity != inventory.Warning {
							t.Errorf("reading %d: finding %+v", i, x)
						}
					}
					st := f.Sources[0]
					got := reading{want.from, want.to, want.err, len(f.Targets), strings.Join(codes, " "), st.Up}
					if diff := cmp.Diff(want, got, cmp.AllowUnexported(reading{}), cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
						t.Errorf("reading %d (-want +got):\n%s", i, diff)
					}
					if st.Targets != want.want || st.Up != (st.Error == "") {
						t.Errorf("reading %d: status %+v", i, st)
					}
					if f, _, _ := w.Read(t.Context()); f != nil {
						t.Errorf("reading %d: the source was read again at once", i)
					}
					time.Sleep(time.Minute)
				}
			})
		})
	}
}

func TestWatcherBelievesWhoAsks(t *testing.T) {
	t.Parallel()
	n := 20
	sources := []discover.Source{{Name: "lists", Every: time.Minute, Read: func(context.Context) ([]inventory.Target, error) {
		return inList("lists", 0, n), nil
	}}}
	var w discover.Watcher
	for _, want := range []int{20, 3, 3} { // configured, again, and when there is nothing at all
		w.Configure(sources, nil)
		if f, _, _ := w.Read(t.Context()); len(f.Targets) != want {
			t.Errorf("%d targets of %d that are there now, want %d", len(f.Targets), n, want)
		}
		n = max(0, 3*(n-19))
	}
}

// Who asked looked at the next reading, and not at one hours later.
func TestWatcherBelievesWhoAsksOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, broken := 20, error(nil)
		sources := []discover.Source{{Name: "lists", Every: time.Hour, Read: func(context.Context) ([]inventory.Target, error) {
			if broken != nil {
				return nil, broken
			}
			return inList("lists", 0, n), nil
		}}}
		var w discover.Watcher
		w.Configure(sources, nil)
		w.Read(t.Context())
		broken = errors.New("stale file handle")
		w.Configure(sources, nil)
		w.Read(t.Context())
		time.Sleep(6 * time.Hour)
		n, broken = 3, nil
		if f, _, _ := w.Read(t.Context()); len(f.Targets) != 20 || len(f.Findings) != 1 || f.Findings[0].Code != inventory.CodeSourceShrunk {
			t.Errorf("%d targets and %v of a list that shrank while nobody looked, want 20 and one finding", len(f.Targets), f.Findings)
		}
	})
}

// While a list hangs the sources can be replaced; what the old one says in the
// end counts for nothing, and the new ones are read at once.
func TestWatcherIsConfiguredWhileAListHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := func(hang time.Duration, to int) []discover.Source {
			return []discover.Source{{Name: "lists", Every: time.Hour, Read: func(context.Context) ([]inventory.Target, error) {
				time.Sleep(hang)
				return inList("lists", 0, to), nil
			}}}
		}
		var w discover.Watcher
		w.Configure(source(10*time.Minute, 7), nil)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
		defer cancel()
		start := time.Now()
		configured := make(chan time.Duration, 1)
		time.AfterFunc(time.Minute, func() {
			w.Configure(source(time.Minute, 3), nil)
			configured <- time.Since(start)
		})
		var got []string
		if err := w.Run(ctx, func(f discover.Fleet) error {
			got = append(got, fmt.Sprintf("%v: %d", time.Since(start), len(f.Targets)))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if after := <-configured; after != time.Minute {
			t.Errorf("configured after %v, want at once after a minute", after)
		}
		if diff := cmp.Diff([]string{"11m0s: 3"}, got); diff != "" {
			t.Errorf("fleets (-want +got):\n%s", diff)
		}
	})
}

func TestWatcherRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := func(name string, every time.Duration, to int) discover.Source {
			return discover.Source{Name: name, Kind: "list", Every: every, Read: func(context.Context) ([]inventory.Target, error) {
				return inList(name, 0, to), nil
			}}
		}
		var w discover.Watcher
		w.Configure([]discover.Source{source("a", time.Minute, 2), source("b", 150*time.Second, 3)}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute+time.Second)
		defer cancel()
		start := time.Now()
		time.AfterFunc(210*time.Second, func() { w.Configure([]discover.Source{source("b", time.Hour, 4)}, nil) })
		var got []string
		if err := w.Run(ctx, func(f discover.Fleet) error {
			got = append(got, fmt.Sprintf("%v: %d", time.Since(start), len(f.Targets)))
			if len(f.Targets) == 3 && !slices.Equal(f.Targets[0].Sources, []string{"a", "b"}) {
				t.Errorf("sources %v, want both that name it", f.Targets[0].Sources)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		want := []string{"0s: 3", "1m0s: 3", "2m0s: 3", "2m30s: 3", "3m0s: 3", "3m30s: 4"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("fleets (-want +got):\n%s", diff)
		}
	})
}
