package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/certscan/internal/config"
	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/lab"
)

const (
	demoInterval = 5 * time.Second  // between two examinations
	demoPause    = 10 * time.Second // between two events
	demoRate     = 200              // endpoints of a large fleet examined in a second
)

// A demoEvent is something that happens to a scenario of the lab.
type demoEvent struct {
	scenario string
	what     string
}

// demoEvents happen one after the other, again and again. Each is the next
// change of its scenario, and a round is long enough that no finding counts as
// one that comes and goes.
func demoEvents() []demoEvent {
	return []demoEvent{
		{"renewed-one-node", "the certificate is renewed, and installed on one of two nodes"},
		{"goes-silent", "the server stops to answer"},
		{"renewed-one-node", "the other node gets the new certificate, too"},
		{"goes-silent", "the server answers again"},
		{"chain-broken", "a change of the configuration loses the intermediate"},
		{"chain-broken", "the intermediate is back"},
		{"renewed-one-node", "both nodes are restored from a backup, with the old certificate"},
	}
}

// eventful returns the names of the scenarios that things happen to.
func eventful() (names []string) {
	for _, e := range demoEvents() {
		if !slices.Contains(names, e.scenario) {
			names = append(names, e.scenario)
		}
	}
	return names
}

// checkServe refuses flags that go with the other kind of demo.
func (f demoFlags) checkServe(changed func(string) bool) error {
	if !f.serve {
		if changed("listen") {
			return usagef("--listen goes with --serve: a scan listens nowhere")
		}
		return nil
	}
	for _, name := range []string{"stay", "format", "output"} {
		if changed(name) {
			return usagef("--%s goes with a scan, and --serve makes none: it watches until Ctrl-C", name)
		}
	}
	return nil
}

// demoServe watches the fleet until ctx ends.
func demoServe(ctx context.Context, io streams, f demoFlags, fleet *lab.Lab, dir string) error {
	cfg, err := demoConfig(f, fleet, dir)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn) // what is wrong from the beginning fills screens
	d := &daemon{
		io: io, atStart: cfg, reread: func() (serveConfig, error) { return cfg, nil },
		log: slog.New(slog.NewTextHandler(io.err, &slog.HandlerOptions{Level: level})),
	}
	defer d.close()
	if err := d.open(ctx); err != nil {
		return err
	}
	targets := cfg.Sources[0].Targets
	d.started = func(addresses []net.Addr) {
		fmt.Fprintf(io.err, demoPages, len(targets), cfg.Scan.Interval, addresses[0], targets[0].Key())
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := d.run(gctx)
		if err != nil {
			return fmt.Errorf("demo: %w", err)
		}
		return context.Canceled // so that nothing happens any more
	})
	g.Go(func() error {
		happen(gctx, fleet, cfg.Scan.Interval, func() { level.Set(slog.LevelInfo) }, d.log)
		return nil
	})
	return unlessStopped(ctx, g.Wait())
}

// demoPages says what there is to see.
const demoPages = `The fleet is up: %[1]d targets, each examined every %[2]v, until Ctrl-C. Look at
  http://%[3]s/                                       what there is, in a browser
  curl -s http://%[3]s/metrics | grep _finding        what Prometheus scrapes
  curl -s 'http://%[3]s/api/v1/findings?code=expired'
  curl -s http://%[3]s/sd                             the inventory, for other exporters
  curl -s 'http://%[3]s/probe?target=%[4]s'
and print what goes with it: certscan rules, certscan dashboards -o DIR.
In half a minute things begin to happen to the fleet, and findings open and close:
`

// demoConfig is what the daemon is told to do.
func demoConfig(f demoFlags, fleet *lab.Lab, dir string) (serveConfig, error) {
	list := fleet.LogList()
	cfg := serveConfig{Config: config.Default(), trust: &trust{stores: []inventory.TrustStore{fleet.Public()}}}
	if f.endpoints == 0 { // a large fleet has borrowed its SCTs
		cfg.trust.logs.list = &list
	}
	source := config.Source{Name: "lab"}
	for i, text := range demoTargets(fleet) {
		t, err := discover.ParseTarget(text)
		if err != nil {
			return cfg, err
		}
		t.Labels = demoLabels(i, t)
		source.Targets = append(source.Targets, t)
	}
	cfg.Sources = []config.Source{source}
	cfg.Scan.Interval = max(demoInterval, (time.Duration(len(source.Targets)) * time.Second / demoRate).Round(time.Second))
	cfg.Scan.Timeout, cfg.Scan.Confirm, cfg.Scan.Extras = 2*time.Second, time.Second, time.Minute
	cfg.Scan.PerAddress, cfg.Scan.Resolvers = 4, []string{fleet.Resolver()}
	cfg.Trust.AllowFetch = fleet.AllowFetch()
	cfg.Web.Listen = []string{f.listen}
	if cfg.Store.Path = f.keep; f.keep == "" {
		cfg.Store.Path = filepath.Join(dir, "demo.db")
	}
	return cfg, nil
}

// demoLabels makes a company of the fleet.
func demoLabels(i int, t inventory.Target) map[string]string {
	owner := []string{"web", "payments", "platform"}[i%3]
	if t.Protocol != inventory.TLS {
		owner = "mail"
	}
	environment := "prod"
	if i%4 == 3 {
		environment = "staging"
	}
	return map[string]string{"owner": owner, "environment": environment, "platform": []string{"k8s", "lb"}[i%2]}
}

// happen lets one thing after the other happen to the fleet, from when all of it
// was examined and confirmed. begin is called then.
func happen(ctx context.Context, fleet *lab.Lab, interval time.Duration, begin func(), log *slog.Logger) {
	changes := make(map[string]lab.Scenario)
	for _, s := range fleet.Scenarios() {
		changes[s.Name] = s
	}
	timer := time.NewTimer(4 * max(interval, demoInterval))
	defer timer.Stop()
	next := demoEvents()
	for n := 0; ; n++ {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if n == 0 {
			begin()
		}
		e := next[n%len(next)]
		if s := changes[e.scenario]; s.Change != nil {
			s.Change()
			log.InfoContext(ctx, "in the lab: "+e.what, "target", s.Targets[0])
		}
		timer.Reset(demoPause)
	}
}
