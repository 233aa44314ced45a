//go:build unix

// Command soak runs certscan serve under the race detector for minutes, over a
// fleet of thousands to which things happen all the time, and looks at what is
// left of memory, goroutines and observations.
//
// It looks from outside, at what anybody can see: metrics, profiles and the
// history. It refuses to call a run good that did not examine what was due, or
// that nothing happened in. Its invariant: what it counts as lost was due by
// the schedule that docs/daemon.md promises.
//
//	go run ./internal/soak               ten minutes, ten thousand endpoints
//	go run ./internal/soak -for 1m -endpoints 2000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"example.com/certscan/internal/lab"
)

// settings are what a person can choose.
type settings struct {
	duration  time.Duration
	endpoints int
	interval  time.Duration
	keep      string // directory to keep what was written, "" for none
}

func main() {
	var s settings
	flag.DurationVar(&s.duration, "for", 10*time.Minute, "how long things happen")
	flag.IntVar(&s.endpoints, "endpoints", 10_000, "size of the fleet")
	flag.DurationVar(&s.interval, "interval", 3*time.Minute, "between two examinations")
	flag.StringVar(&s.keep, "keep", "", "directory to write to and leave behind; it must exist")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := soak(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func soak(ctx context.Context, s settings) error {
	dir := s.keep
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "certscan-soak-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	binary := filepath.Join(dir, "certscan")
	build := exec.CommandContext(ctx, "go", "build", "-race", "-o", binary, "./cmd/certscan")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	fleet, err := lab.Start(ctx, lab.Options{Scenarios: []string{}, Endpoints: s.endpoints, DeadFraction: 0.01})
	if err != nil {
		return err
	}
	defer fleet.Close()

	r := &run{settings: s, dir: dir, fleet: fleet, report: new(report)}
	r.report.say("%d endpoints, each examined every %v, for %v, under the race detector", s.endpoints, s.interval, s.duration)
	d, err := r.start(ctx, binary)
	if err != nil {
		return err
	}
	watched := r.watch(ctx, d)
	stopped := d.stop()
	if err := errors.Join(watched, stopped); err != nil {
		return fmt.Errorf("%w\ncertscan said:\n%s", err, d.tail())
	}
	if err := r.counted(ctx); err != nil {
		return err
	}
	return r.report.verdict()
}

// A report prints what was found, a line each, and remembers what is bad.
type report struct{ bad int }

func (r *report) say(format string, args ...any) { fmt.Printf("soak: "+format+"\n", args...) }

// check says something, and whether it is as it has to be.
func (r *report) check(good bool, format string, args ...any) {
	mark := "ok  "
	if !good {
		mark = "BAD "
		r.bad++
	}
	r.say(mark+format, args...)
}

func (r *report) verdict() error {
	if r.bad > 0 {
		return fmt.Errorf("%d of these lines are bad", r.bad)
	}
	return nil
}
