package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"example.com/certscan/internal/config"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/lab"
)

// demoFlags are the flags of demo.
type demoFlags struct {
	outputFlags
	stay      bool
	serve     bool
	listen    string
	every     bool
	endpoints int
	keep      string
}

func newDemoCommand(io streams) *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Scan a fleet on loopback that has every defect",
		Long: `demo starts a fleet of TLS servers on this machine's loopback addresses, with
its own certificate authorities, DNS and one endpoint for each thing that can be
right or wrong, scans it, and says what to look at. It needs no network and
leaves nothing behind. It exits with 0 although there is much to find.

With --serve it watches the fleet as the daemon does, every few seconds, with
metrics, service discovery and /probe, until Ctrl-C. Meanwhile things happen to
the fleet, and the log tells how findings open and close.`,
		Example: `  certscan demo
  certscan demo --stay --keep demo.db      then, in another shell:
  certscan inventory --db demo.db --finding addresses_disagree
  certscan demo --endpoints 10000          a large, mostly healthy fleet
  certscan demo --serve                    the daemon, at http://127.0.0.1:9887`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.checkServe(cmd.Flags().Changed); err != nil {
				return err
			}
			return runDemo(cmd.Context(), io, f)
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.stay, "stay", false, "keep the fleet up until Ctrl-C, to try other commands on it")
	fs.BoolVar(&f.serve, "serve", false, "watch the fleet as the daemon does, until Ctrl-C")
	fs.StringVar(&f.listen, "listen", config.Default().Web.Listen[0], "with --serve, listen on `ADDRESS:PORT`")
	fs.BoolVar(&f.every, "all", false, "scan every scenario there is, not only those that show best what a scan finds")
	fs.IntVar(&f.endpoints, "endpoints", 0, "scan a fleet of `N` names with N certificates instead")
	fs.StringVar(&f.keep, "keep", "", "keep the history in this SQLite `FILE`")
	f.add(fs, "table", "json", "jsonl", "csv", "prometheus")
	return cmd
}

func runDemo(ctx context.Context, io streams, f demoFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.endpoints < 0 || f.endpoints > 1_000_000 {
		return usagef("--endpoints %d is out of range: want 1 to 1000000", f.endpoints)
	}
	dir, err := os.MkdirTemp("", "certscan-demo-")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer os.RemoveAll(dir)

	fleet, err := lab.Start(ctx, f.lab())
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer fleet.Close()
	if f.serve {
		return demoServe(ctx, io, f, fleet, dir)
	}

	job, args := demoJob(io, f, fleet, dir)
	defer job.close()
	if err := job.openStore(ctx); err != nil {
		return err
	}
	if f.keep == "" {
		job.made = "" // it is not kept
	}
	if err := job.prepare(ctx, args); err != nil {
		return err
	}
	if err := job.wire(ctx); err != nil {
		return err
	}
	if err := job.run(ctx); err != nil {
		return err
	}
	if f.endpoints == 0 {
		fmt.Fprint(io.err, lookAt)
	}
	if !f.stay {
		return nil
	}
	job.close() // so that others may write to its history
	return stay(ctx, io, fleet, dir, job.flags.db, args[len(args)-1])
}

// lab says which fleet to start.
func (f demoFlags) lab() lab.Options {
	opt := lab.Options{Endpoints: f.endpoints, Scenarios: append(lab.Tour(), "rsa-beside-expired")}
	switch {
	case f.endpoints > 0:
		opt.Scenarios, opt.DeadFraction = []string{}, 0.02
	case f.every:
		opt.Scenarios = nil
	}
	if f.serve && opt.Scenarios != nil {
		opt.Scenarios = append(opt.Scenarios, eventful()...)
	}
	return opt
}

// demoTargets are the targets of the fleet, but those that are about other
// trust stores.
func demoTargets(fleet *lab.Lab) (targets []string) {
	for _, s := range fleet.Scenarios() {
		if !s.Private {
			targets = append(targets, s.Targets...)
		}
	}
	for t := range fleet.Targets() {
		targets = append(targets, t)
	}
	return targets
}

// demoJob is a scan of the fleet as a user would make it.
func demoJob(io streams, f demoFlags, fleet *lab.Lab, dir string) (*scanJob, []string) {
	_, flags := scanCommand(io)
	flags.outputFlags = f.outputFlags
	flags.timeout, flags.failOn, flags.offers = 2*time.Second, "never", "all"
	flags.resolver, flags.allowFetch = []string{fleet.Resolver()}, fleet.AllowFetch()
	flags.perAddress = 4
	if flags.db = f.keep; f.keep == "" {
		flags.db = filepath.Join(dir, "demo.db")
	}
	job := &scanJob{io: io, flags: flags, started: now(), trust: &trust{stores: []inventory.TrustStore{fleet.Public()}}}
	if f.endpoints == 0 { // a large fleet has borrowed its SCTs
		list := fleet.LogList()
		job.trust.logs.list = &list
	}
	if f.endpoints > 0 {
		flags.offers = "default"
	}
	return job, demoTargets(fleet)
}

// lookAt is what a newcomer should not miss.
const lookAt = `
What to look at:
  one-stale-node      was renewed on two of its three addresses; the third is
                      named
  rsa-beside-expired  its RSA certificate has expired beside a good ECDSA one,
                      which is all that most clients see
  incomplete          works in browsers, fails in curl and Java; the message
                      names the issuer to add
`

// stay keeps the fleet up until ctx ends.
func stay(ctx context.Context, io streams, fleet *lab.Lab, dir, db, target string) error {
	public, _, err := fleet.WriteRoots(dir)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	fmt.Fprintf(io.err, "\nThe fleet stays up until Ctrl-C. In another shell:\n  certscan scan --db %s --resolver %s --roots %s --allow-fetch %s %s\n",
		strconv.Quote(db), fleet.Resolver(), strconv.Quote(public), fleet.AllowFetch()[0], target)
	<-ctx.Done()
	return nil
}
