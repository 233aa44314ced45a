//go:build unix

// Command bench measures what a scan costs, against a plain Go loop that does
// no more than dial, handshake and close, in the same run.
//
// It starts the lab's scale fleet in a process of its own, builds certscan, and
// runs both in turn, several rounds, in an order that changes. Processor time
// is what the kernel says of each finished process, so the fleet's is not in it.
// It refuses to print a figure of a run that did not see what it should have.
//
//	go run ./internal/bench                  everything, some minutes
//	go run ./internal/bench -only p256,memory
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// settings are what a person can choose.
type settings struct {
	endpoints int
	rounds    int
	only      string
	role      string // of a child process
	floor     floorOptions
	fleet     fleetOptions
	metricsOf metricsOptions
}

func main() {
	var s settings
	flag.IntVar(&s.endpoints, "endpoints", 10_000, "size of the fleet")
	flag.IntVar(&s.rounds, "rounds", 5, "rounds of each comparison")
	flag.StringVar(&s.only, "only", "", "only these parts, separated by commas: "+strings.Join(partNames(), ", "))
	flag.StringVar(&s.role, "role", "", "for its own child processes")
	s.floor.flags()
	s.fleet.flags()
	s.metricsOf.flags()
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch s.role {
	case "floor":
		err = floor(s.floor)
	case "fleet":
		err = fleet(ctx, s.fleet)
	case "metrics":
		err = exporter(s.metricsOf)
	default:
		err = bench(ctx, s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A part is one comparison.
type part struct {
	name string
	run  func(context.Context, *lane) error
}

func parts() []part {
	return []part{
		{"p256", func(ctx context.Context, l *lane) error { return l.passes(ctx, "p256", false) }},
		{"names", func(ctx context.Context, l *lane) error { return l.passes(ctx, "p256", true) }},
		{"letsencrypt", func(ctx context.Context, l *lane) error { return l.passes(ctx, "letsencrypt", false) }},
		{"census", func(ctx context.Context, l *lane) error { return l.census(ctx) }},
		{"phases", func(ctx context.Context, l *lane) error { return l.phases(ctx) }},
		{"overload", func(ctx context.Context, l *lane) error { return l.overload(ctx) }},
		{"dead", func(ctx context.Context, l *lane) error { return l.dead(ctx) }},
		{"revocation", func(ctx context.Context, l *lane) error { return l.revocation(ctx) }},
		{"metrics", func(ctx context.Context, l *lane) error { return l.metrics(ctx) }},
		{"memory", func(ctx context.Context, l *lane) error { return l.memory(ctx) }},
		{"growth", func(ctx context.Context, l *lane) error { return l.growth(ctx) }},
	}
}

func partNames() (names []string) {
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

func bench(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "certscan-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l := &lane{settings: s, dir: dir, out: tabwriter.NewWriter(os.Stdout, 0, 0, 1, ' ', 0)}
	if err := l.build(ctx); err != nil {
		return err
	}
	chosen := partNames()
	if s.only != "" {
		chosen = strings.Split(s.only, ",")
	}
	for _, p := range parts() {
		if !slices.Contains(chosen, p.name) {
			continue
		}
		if err := p.run(ctx, l); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := l.out.Flush(); err != nil {
			return err
		}
	}
	for _, name := range chosen {
		if !slices.Contains(partNames(), name) {
			return errors.New("there is no part " + name)
		}
	}
	return nil
}

// lane is where the runs of one bench happen.
type lane struct {
	settings
	dir      string
	certscan string // the binary
	self     string
	out      *tabwriter.Writer
}

// build builds certscan, and finds this program for its child processes.
func (l *lane) build(ctx context.Context) error {
	l.certscan = filepath.Join(l.dir, "certscan")
	if err := command(ctx, "go", "build", "-o", l.certscan, "./cmd/certscan").Run(); err != nil {
		return fmt.Errorf("build certscan: %w", err)
	}
	var err error
	l.self, err = os.Executable()
	return err
}
