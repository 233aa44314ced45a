//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = os.Stderr
	return cmd
}

// usage is what the kernel says of a finished process.
type usage struct {
	cpu  time.Duration // user and system
	wall time.Duration
	rss  int64 // bytes, at its largest
}

// timed runs cmd and returns what it used.
func timed(cmd *exec.Cmd) (usage, error) {
	start := time.Now()
	err := cmd.Run()
	u := usage{wall: time.Since(start)}
	if cmd.ProcessState != nil {
		ru := cmd.ProcessState.SysUsage().(*syscall.Rusage) //nolint:forcetypeassert // on Linux it is
		u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		u.rss = ru.Maxrss << 10
	}
	return u, err
}

// startFleet starts a fleet's process; stop ends it.
func (l *lane) startFleet(ctx context.Context, o fleetOptions) (info fleetInfo, stop func(), err error) {
	if o.dir, err = os.MkdirTemp(l.dir, "fleet-"); err != nil {
		return info, nil, err
	}
	cmd := command(ctx, l.self, "-role", "fleet", "-fleet-n", strconv.Itoa(o.n), "-fleet-chain", o.chain,
		"-fleet-delay", o.delay.String(), "-fleet-dead", fmt.Sprint(o.dead), "-fleet-dir", o.dir,
		"-fleet-lists", strconv.Itoa(o.lists), "-fleet-entries", strconv.Itoa(o.entries))
	in, err := cmd.StdinPipe()
	if err != nil {
		return info, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return info, nil, err
	}
	if err := cmd.Start(); err != nil {
		return info, nil, err
	}
	stop = func() { in.Close(); _ = cmd.Wait() } // its status is of no interest
	if err := json.NewDecoder(bufio.NewReader(out)).Decode(&info); err != nil {
		stop()
		return info, nil, fmt.Errorf("fleet: %w", err)
	}
	return info, stop, nil
}

// summary is what a scan says of itself.
type summary struct {
	Endpoints    int
	Certificates int
	Unreachable  int
	Critical     int
}

// report is the file that scan's report goes to.
func (l *lane) report() string { return filepath.Join(l.dir, "report.jsonl") }

// scan runs certscan and checks that it saw what is there.
func (l *lane) scan(ctx context.Context, want summary, args ...string) (usage, error) {
	report := l.report()
	args = append([]string{"scan", "--quiet", "--fail-on", "never", "--format", "jsonl", "-o", report}, args...)
	u, err := timed(command(ctx, l.certscan, args...))
	if err != nil {
		return u, fmt.Errorf("certscan %v: %w", args, err)
	}
	got, err := lastLine(report)
	if err != nil {
		return u, err
	}
	if got != want {
		return u, fmt.Errorf("certscan saw %+v, and there is %+v", got, want)
	}
	return u, nil
}

// lastLine reads the summary at the end of a report.
func lastLine(path string) (s summary, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	var last []byte
	for sc.Scan() {
		last = append(last[:0], sc.Bytes()...)
	}
	if err := sc.Err(); err != nil {
		return s, err
	}
	return s, json.Unmarshal(last, &s)
}

// contender is one of those that run in turn.
type contender struct {
	name string
	run  func(round int) (usage, error)
}

// turns runs each contender once a round, in an order that changes; those of a
// group stay in theirs.
func turns(rounds int, groups ...[]contender) (map[string][]usage, error) {
	got := make(map[string][]usage)
	for round := range rounds {
		for _, i := range rand.Perm(len(groups)) {
			for _, c := range groups[i] {
				u, err := c.run(round)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", c.name, err)
				}
				got[c.name] = append(got[c.name], u)
			}
		}
	}
	return got, nil
}

// median of what of takes from each usage.
func median[T int64 | time.Duration | float64](list []usage, of func(usage) T) T {
	values := make([]T, len(list))
	for i, u := range list {
		values[i] = of(u)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// ratios are the medians of a's processor time over b's, round by round.
func ratios(a, b []usage) float64 {
	values := make([]float64, len(a))
	for i := range a {
		values[i] = float64(a[i].cpu) / float64(b[i].cpu)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func cpu(u usage) time.Duration { return u.cpu }

func perEndpoint(d time.Duration, n int) string {
	return fmt.Sprintf("%.3f ms", float64(d)/float64(time.Millisecond)/float64(n))
}

func mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
