//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func (l *lane) title(format string, args ...any) {
	l.out.Flush()
	fmt.Fprintf(os.Stdout, "\n%s\n\n", fmt.Sprintf(format, args...))
}

func (l *lane) row(cells ...string) { fmt.Fprintf(l.out, "| %s |\n", strings.Join(cells, "\t| ")) }

func (l *lane) head(cells ...string) {
	l.row(cells...)
	rule := make([]string, len(cells))
	for i := range rule {
		rule[i] = "---"
	}
	l.row(rule...)
}

// everything is what a scan of a healthy fleet of n says.
func everything(n int) summary { return summary{Endpoints: n, Certificates: n} }

// plain runs the plain loop over list.
func (l *lane) plain(ctx context.Context, list, roots, resolver string) (usage, error) {
	return timed(command(ctx, l.self, "-role", "floor", "-floor-list", list, "-floor-roots", roots, "-floor-resolver", resolver))
}

// passes measures a first scan and a second one of the same fleet.
func (l *lane) passes(ctx context.Context, chain string, names bool) error {
	f, stop, err := l.startFleet(ctx, fleetOptions{n: l.endpoints, chain: chain})
	if err != nil {
		return err
	}
	defer stop()
	list, resolver := f.Targets, ""
	args := []string{"--roots", f.Roots}
	if names {
		list, resolver = f.Names, f.Resolver
		args = append(args, "--resolver", resolver)
	}
	args = append(args, "-f", list)
	db := func(round int) []string {
		return append([]string{"--db", filepath.Join(l.dir, fmt.Sprintf("%s-%v-%d.db", chain, names, round))}, args...)
	}
	groups := [][]contender{
		{{"plain loop", func(int) (usage, error) { return l.plain(ctx, list, "", resolver) }}},
		{
			{"first scan", func(r int) (usage, error) { return l.scan(ctx, everything(l.endpoints), db(r)...) }},
			{"second scan", func(r int) (usage, error) { return l.scan(ctx, everything(l.endpoints), db(r)...) }},
		},
	}
	verifying := chain != "p256"
	if verifying {
		groups = append(groups, []contender{{"loop that verifies", func(int) (usage, error) { return l.plain(ctx, list, f.Roots, resolver) }}})
	}
	if _, err := l.plain(ctx, list, "", resolver); err != nil { // the fleet makes its certificates now
		return err
	}
	got, err := turns(l.rounds, groups...)
	if err != nil {
		return err
	}
	what := "addresses pinned"
	if names {
		what = "names resolved"
	}
	l.title("%d endpoints, %s chains, %s, median of %d rounds", l.endpoints, chain, what, l.rounds)
	l.head("run", "CPU per endpoint", "of the plain loop", "of a loop that verifies", "largest RSS")
	for _, name := range []string{"plain loop", "loop that verifies", "first scan", "second scan"} {
		us, ok := got[name]
		if !ok {
			continue
		}
		ofVerifying := ""
		if verifying {
			ofVerifying = fmt.Sprintf("%.2f", ratios(us, got["loop that verifies"]))
		}
		l.row(name, perEndpoint(median(us, cpu), l.endpoints), fmt.Sprintf("%.2f", ratios(us, got["plain loop"])), ofVerifying,
			mebibytes(median(us, func(u usage) int64 { return u.rss })))
	}
	return nil
}

// census measures a scan that stops at the certificate.
func (l *lane) census(ctx context.Context) error {
	f, stop, err := l.startFleet(ctx, fleetOptions{n: l.endpoints, chain: "p256"})
	if err != nil {
		return err
	}
	defer stop()
	if _, err := l.plain(ctx, f.Targets, "", ""); err != nil {
		return err
	}
	db := filepath.Join(l.dir, "census.db")
	args := []string{"--mode", "census", "--roots", f.Roots, "-f", f.Targets}
	kept := append([]string{"--db", db}, args...)
	if _, err := l.scan(ctx, everything(l.endpoints), kept...); err != nil {
		return err
	}
	got, err := turns(l.rounds,
		[]contender{{"plain loop", func(int) (usage, error) { return l.plain(ctx, f.Targets, "", "") }}},
		[]contender{{"census, unchanged", func(int) (usage, error) { return l.scan(ctx, everything(l.endpoints), kept...) }}},
		[]contender{{"census, nothing kept", func(int) (usage, error) {
			return l.scan(ctx, everything(l.endpoints), append([]string{"--no-store"}, args...)...)
		}}},
	)
	if err != nil {
		return err
	}
	l.title("Census of %d endpoints, P-256 chains, addresses pinned, median of %d rounds", l.endpoints, l.rounds)
	l.head("run", "CPU per endpoint", "of the plain loop")
	for _, name := range []string{"plain loop", "census, unchanged", "census, nothing kept"} {
		l.row(name, perEndpoint(median(got[name], cpu), l.endpoints), fmt.Sprintf("%.2f", ratios(got[name], got["plain loop"])))
	}
	return nil
}

// overload scans healthy, slow endpoints with a concurrency that is far too
// high.
func (l *lane) overload(ctx context.Context) error {
	f, stop, err := l.startFleet(ctx, fleetOptions{n: l.endpoints, chain: "p256", delay: 200 * time.Millisecond})
	if err != nil {
		return err
	}
	defer stop()
	l.title("%d healthy endpoints with handshakes of 200 ms, --timeout 5s: every one has to be seen", l.endpoints)
	l.head("--concurrency", "false timeouts", "wall", "largest RSS")
	for _, c := range []int{1000, 3000, 10_000} {
		u, err := l.scan(ctx, everything(l.endpoints), "--no-store", "--roots", f.Roots, "-f", f.Targets,
			"--timeout", "5s", "--concurrency", strconv.Itoa(c), "--per-address", "100")
		if err != nil {
			return err
		}
		l.row(strconv.Itoa(c), "0", u.wall.Round(100*time.Millisecond).String(), mebibytes(u.rss))
	}
	return nil
}

// dead scans a fleet of which a part is dead, twice: the second time those
// start first.
func (l *lane) dead(ctx context.Context) error {
	const n, delay, timeout = 2000, 100 * time.Millisecond, 5 * time.Second
	f, stop, err := l.startFleet(ctx, fleetOptions{n: n, chain: "p256", delay: delay, dead: 0.05})
	if err != nil {
		return err
	}
	defer stop()
	gone := 0
	for _, k := range f.Dead {
		gone += k
	}
	want := summary{Endpoints: n, Certificates: n - gone, Unreachable: gone, Critical: gone}
	db := filepath.Join(l.dir, "dead.db")
	l.title("%d endpoints with handshakes of 100 ms, %d of them dead (%v), --timeout 5s", n, gone, f.Dead)
	l.head("--concurrency", "run", "wall", "plain loop of as many", "ratio", "falsely dead to the loop")
	for _, c := range []int{200, 1000} {
		// No scan can be faster than the slowest dead endpoint that is begun last:
		// the ideal on this machine is a loop that does nothing but connect.
		loop := command(ctx, l.self, "-role", "floor", "-floor-list", f.Targets, "-floor-n", strconv.Itoa(c),
			"-floor-timeout", timeout.String(), "-floor-dead", strconv.Itoa(gone))
		var falsely strings.Builder
		loop.Stdout = &falsely
		floor, err := timed(loop)
		if err != nil {
			return err
		}
		for _, run := range []string{"first", "again"} {
			u, err := l.scan(ctx, want, "--db", db+strconv.Itoa(c), "--roots", f.Roots, "-f", f.Targets,
				"--timeout", timeout.String(), "--concurrency", strconv.Itoa(c), "--per-address", "100")
			if err != nil {
				return err
			}
			l.row(strconv.Itoa(c), run, u.wall.Round(100*time.Millisecond).String(), floor.wall.Round(100*time.Millisecond).String(),
				fmt.Sprintf("%.2f", float64(u.wall)/float64(floor.wall)), strings.TrimSpace(falsely.String()))
		}
	}
	return nil
}

// memory measures what is in flight, and what a long list costs.
func (l *lane) memory(ctx context.Context) error {
	l.title("Memory")
	l.head("scan", "largest RSS")
	for _, m := range []struct {
		name  string
		n     int
		delay time.Duration
		conc  int
	}{
		{"10,000 endpoints of 500 ms, 1,000 in flight", 10_000, 500 * time.Millisecond, 1000},
		{"100,000 endpoints, history kept", 100_000, 0, 256},
	} {
		f, stop, err := l.startFleet(ctx, fleetOptions{n: m.n, chain: "p256", delay: m.delay})
		if err != nil {
			return err
		}
		u, err := l.scan(ctx, everything(m.n), "--db", filepath.Join(l.dir, fmt.Sprintf("memory-%d.db", m.n)), "--roots", f.Roots, "-f", f.Targets,
			"--concurrency", strconv.Itoa(m.conc), "--per-address", "100")
		stop()
		if err != nil {
			return err
		}
		l.row(m.name, mebibytes(u.rss))
	}
	return nil
}

// growth measures how the history grows when nothing changes.
func (l *lane) growth(ctx context.Context) error {
	f, stop, err := l.startFleet(ctx, fleetOptions{n: l.endpoints, chain: "p256"})
	if err != nil {
		return err
	}
	defer stop()
	db := filepath.Join(l.dir, "growth.db")
	l.title("History of %d unchanged endpoints", l.endpoints)
	l.head("scan", "bytes", "growth")
	var before int64
	for n := range 4 {
		if _, err := l.scan(ctx, everything(l.endpoints), "--db", db, "--roots", f.Roots, "-f", f.Targets); err != nil {
			return err
		}
		st, err := os.Stat(db)
		if err != nil {
			return err
		}
		grown := ""
		if before > 0 {
			grown = fmt.Sprintf("%.2f %%", 100*float64(st.Size()-before)/float64(before))
		}
		l.row(strconv.Itoa(n+1), strconv.FormatInt(st.Size(), 10), grown)
		before = st.Size()
	}
	return nil
}
