package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/export"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/location"
	"example.com/certscan/internal/probe"
	"example.com/certscan/internal/scan"
	"example.com/certscan/internal/server"
	"example.com/certscan/internal/store"
)

// A daemon watches targets. What it is made of is opened by open, run by run and
// closed by close.
type daemon struct {
	io     streams
	log    *slog.Logger
	reread func() (serveConfig, error) // reads the configuration again
	notify notifier

	started func(addresses []net.Addr) // told when it listens, unless nil

	atStart   serveConfig                 // what is not replaced while it runs
	config    atomic.Pointer[serveConfig] // see present
	reloading sync.Mutex                  // held while the configuration is replaced, and what is made of it

	db         *store.DB
	dbPath     string
	dbFile     os.FileInfo // of dbPath when it was opened
	signatures *store.Signatures
	revoked    *store.Revocations
	evidence   *evidence.Source // asks
	remembered *evidence.Source // knows what was asked, and asks nobody
	judge      liveJudge
	habits     habits
	limiter    *scan.Limiter
	callers    *scan.Limiter // of connections that somebody asks for by /probe
	schedule   *scan.Schedule
	confirm    *scan.Confirm
	rejudge    *scan.Rejudge
	engine     *scan.Engine
	sources    discover.Watcher
	watching   bool         // what the sources say was taken over; see watch
	toldIdle   *serveConfig // of which was told what is for no target; see tellIdle
	export     *export.Exporter
	index      *server.Index
	web        *server.Server
	probe      atomic.Pointer[http.Handler] // of /probe
	place      location.Options
	ledger     *ledger
}

// note logs what is odd about files that are read.
func (d *daemon) note(format string, args ...any) { d.log.Warn(fmt.Sprintf(format, args...)) }

// open opens and wires everything; nothing runs yet.
func (d *daemon) open(ctx context.Context) error {
	c := d.atStart
	d.config.Store(&c)
	d.index = server.NewIndex(nil)
	var err error
	d.notify = newNotifier(d.io.env)
	if d.dbPath, err = historyPath(c.Store.Path, d.io.env); err != nil {
		return usageError{fmt.Errorf("store.path: %w", err)}
	}
	if d.db, err = store.Open(ctx, d.dbPath, store.Options{}); err != nil {
		return err
	}
	if d.dbFile, err = os.Stat(d.dbPath); err != nil {
		return err
	}
	if d.signatures, err = d.db.Signatures(ctx); err != nil {
		return err
	}
	if d.revoked, err = d.db.Revocations(ctx); err != nil {
		return err
	}
	b, err := c.newBench(&d.habits, d.signatures, d.revoked, d.note)
	if err != nil {
		return err
	}
	d.judge.bench.Store(b)
	proxy, err := c.proxy()
	if err != nil {
		return usageError{err}
	}
	keep := evidence.Options{Cache: d.db, CRLDir: crlDir(d.dbPath), Log: d.log}
	if d.evidence, err = guardedEvidence(d.io, c.Trust.AllowFetch, proxy, keep); err != nil {
		return err
	}
	if d.remembered, err = rememberedEvidence(d.db, d.dbPath); err != nil {
		return err
	}
	d.schedule = scan.NewSchedule(c.schedule())
	if d.export, err = export.New(export.Options{
		Settings: c.exportSettings(), Version: version(), Location: c.Scan.Location,
		Lag:       func() map[string]time.Duration { return map[string]time.Duration{c.Scan.Location: d.schedule.Lag()} },
		StoreSize: func() (int64, bool) { return historySize(d.dbPath, d.dbFile) },
	}); err != nil {
		return err
	}
	if err := d.wire(); err != nil {
		return err
	}
	return d.noteJudging(ctx)
}

// wire puts together what examines.
func (d *daemon) wire() error {
	c := d.atStart
	concurrency, connections := c.Scan.Concurrency, server.DefaultConnections
	if err := enoughFiles(&concurrency, &connections, false, d.note); err != nil {
		return err
	}
	// Whoever asks for a probe chooses how long it may take. What fails for that
	// must not speak of the fleet, and who asks wants an answer from the endpoint.
	d.callers = scan.NewLimiter(scan.LimiterOptions{PerAddress: c.Scan.PerAddress, GiveUp: math.MaxInt})
	d.limiter = scan.NewLimiter(scan.LimiterOptions{
		Max: concurrency, PerAddress: c.Scan.PerAddress,
		Rest: min(time.Minute, c.Scan.Interval/4), // what answers again is seen by the next examination
	})
	resolver, err := newResolver(c.Scan.Resolvers)
	if err != nil {
		return err
	}
	p := probe.New(probe.Options{})
	d.place = location.Options{Name: c.Scan.Location, Resolver: resolver, Prober: p, Accepts: p, Gate: gate{d.limiter}}
	loc, err := location.NewLocal(d.place)
	if err != nil {
		return err
	}
	d.confirm = scan.NewConfirm(scan.ConfirmOptions{Location: c.Scan.Location, Interval: c.Scan.Interval, Sample: d.schedule.Sample})
	d.rejudge = scan.NewRejudge()
	d.ledger = &ledger{
		db: d.db, judge: &d.judge, confirm: d.confirm, rejudge: d.rejudge, export: display{d.export, d.index}, log: d.log, judging: make(map[string]bool),
		watched: d.watched, soon: d.soon,
	}
	d.engine, err = scan.New(scan.Options{
		Location: loc, Judge: &d.judge, Admission: d.limiter, Evidence: d.evidence, Memory: d.db, Recorder: d.ledger, LookAhead: 1,
		Work: func(t inventory.Target) inventory.Work { return d.pinned(d.schedule.Work(t)) },
	})
	if err != nil {
		return err
	}
	return d.openWeb(connections)
}

// pinned is w with the addresses that the configuration has for its name.
func (d *daemon) pinned(w inventory.Work) inventory.Work {
	w.Addresses = d.atStart.Scan.Resolve[w.Target.DialName()]
	return w
}

// soon asks for an examination that confirms another.
func (d *daemon) soon(target string) { d.schedule.Soon(target, d.present().Scan.Confirm) }

func (d *daemon) watched(target string) bool {
	_, watched := d.schedule.Target(target)
	return watched
}

// present is the configuration that holds. It never waits: it is asked for under
// the ledger's mu.
func (d *daemon) present() serveConfig { return *d.config.Load() }

// exportSettings are the settings of what the metrics show.
func (c serveConfig) exportSettings() export.Settings {
	s := export.Settings{
		Detail: export.Detail(c.Metrics.Detail), Labels: c.Metrics.Labels, MaxSeries: c.Metrics.SeriesCap,
		StaleAfter: time.Duration(c.Scan.StaleAfter * float64(c.Scan.Interval)),
	}
	for _, t := range c.Tiers.List {
		s.Tiers = append(s.Tiers, inventory.TierOf(t))
	}
	return s
}

// noteJudging notes in the history what is judged by, so that other commands
// judge alike.
func (d *daemon) noteJudging(ctx context.Context) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("scan ID: %w", err)
	}
	info := inventory.ScanInfo{ID: id.String(), Version: version(), Started: now(), Arguments: d.io.args}
	d.judge.bench.Load().trust.note(&info)
	return errors.Join(d.db.BeginScan(ctx, info), d.db.EndScan(ctx, info.ID, info.Started, false))
}

func (d *daemon) close() {
	for _, source := range []*evidence.Source{d.evidence, d.remembered} {
		if source == nil {
			continue
		}
		if err := source.Close(); err != nil {
			d.log.Warn("closing what was fetched", "err", err)
		}
	}
	if d.db != nil {
		if err := d.db.Close(); err != nil {
			d.log.Error("closing the history", "err", err)
		}
	}
}

// run watches until ctx ends.
func (d *daemon) run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // from now on, else it ends the process
	defer signal.Stop(hup)
	if err := d.web.Listen(ctx); err != nil {
		return err
	}
	for _, a := range d.web.Addrs() {
		d.log.Info("listening", "address", a.String())
	}
	if d.started != nil {
		d.started(d.web.Addrs())
	}
	loaded := make(chan struct{}) // closed when all that is stored is judged again
	g.Go(func() error {
		if err := d.load(gctx); err != nil {
			return err
		}
		close(loaded)
		d.log.Info("watching", "targets", d.schedule.Len(), "interval", d.present().Scan.Interval.String(), "history", d.dbPath)
		d.tellSystem(notifyReady)
		return d.upkeep(gctx)
	})
	g.Go(func() error { return d.web.Run(gctx) })
	after := func(f func() error) {
		g.Go(func() error {
			select {
			case <-loaded:
				return f()
			case <-gctx.Done():
				return nil
			}
		})
	}
	after(func() error {
		return d.engine.Run(gctx, d.schedule.Due, func(r inventory.Result) error { return d.done(gctx, r) })
	})
	after(func() error { return d.rejudge.Run(gctx, d.judgeAgain) })
	after(func() error {
		return d.sources.Run(gctx, func(f discover.Fleet) error { return d.watch(gctx, f) })
	})
	after(func() error { return d.signals(gctx, hup) })
	after(func() error { return d.nightly(gctx) })
	err := unlessStopped(ctx, g.Wait())
	d.tellSystem(notifyStopping)
	d.log.Info("stopped")
	return err
}

func (d *daemon) tellSystem(state string) {
	if err := d.notify.tell(state); err != nil {
		d.log.Warn("systemd was not told", "err", err)
	}
}

// unlessStopped keeps the end that was asked for from being an error.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		return nil
	}
	return err
}

func unknown(err error) bool { return errors.Is(err, inventory.ErrUnknownTarget) }

// done takes an examined target back into the schedule.
func (d *daemon) done(ctx context.Context, r inventory.Result) error {
	d.schedule.Done(r)
	if r.Changed && d.watched(r.Target.Key()) {
		d.soon(r.Target.Key()) // with the other offers, whose certificates may be new as well
		if err := d.tellReplaced(ctx, r); err != nil {
			return err
		}
		return d.learn(ctx, r.Target.Key())
	}
	return nil
}

// tellReplaced logs of each address what it serves in place of what. The same
// certificate with others after it is another chain, and no other certificate.
func (d *daemon) tellReplaced(ctx context.Context, r inventory.Result) error {
	for i := range r.Endpoints {
		o := &r.Endpoints[i].Observation
		id, ok := r.Replaced[o.Address]
		if !ok || o.Offer != inventory.OfferDefault || len(o.Chain) == 0 {
			continue
		}
		old, err := d.db.Chain(context.WithoutCancel(ctx), id)
		if err != nil {
			return fmt.Errorf("what %s served before: %w", o.View().ID(), err)
		}
		if len(old) == 0 { // it was forgotten meanwhile
			continue
		}
		before, after := inventory.FingerprintOf(old[0]), inventory.FingerprintOf(o.Chain[0])
		attrs := []any{"target", r.Target.Key(), "address", o.Address, "certificate", after.String()}
		if before == after {
			d.log.InfoContext(ctx, "other chain served", attrs...)
			continue
		}
		attrs = append(attrs, "before", before.String())
		if c := r.Endpoints[i].Judgement.Certificate; c != nil && !c.NotAfter.IsZero() {
			attrs = append(attrs, "expires", c.NotAfter)
		}
		d.log.InfoContext(ctx, "other certificate served", attrs...)
	}
	return nil
}

// learn looks how a target, or every one if it is "", was renewed up to now.
func (d *daemon) learn(ctx context.Context, target string) error {
	renewals, err := d.db.Renewals(context.WithoutCancel(ctx), target)
	if err == nil {
		d.habits.learn(renewals)
	}
	return err
}

// watch takes over what the sources say.
func (d *daemon) watch(ctx context.Context, f discover.Fleet) error {
	var added, changed []string // those that are told apart by labels may be judged otherwise
	for _, t := range f.Targets {
		switch old, watched := d.schedule.Target(t.Key()); {
		case !watched:
			added = append(added, t.Key())
		case !maps.Equal(old.Labels, t.Labels):
			changed = append(changed, t.Key())
		}
	}
	removed := d.schedule.Set(f.Targets)
	d.rejudge.Now(changed)
	d.index.Set(f.Targets)
	if len(removed) > 0 {
		keys := make([]string, len(removed))
		for i, t := range removed {
			keys[i] = t.Key()
		}
		if err := d.ledger.remove(ctx, keys); err != nil {
			return err
		}
		d.habits.forget(keys)
		d.tellTargets(ctx, "targets removed", keys)
	}
	if d.watching && len(added) > 0 {
		d.tellTargets(ctx, "targets added", added)
	}
	if len(f.Targets) == 0 && (!d.watching || len(removed) > 0) {
		d.log.WarnContext(ctx, "there is nothing to watch: no source has a target")
	}
	d.watching = true
	for _, c := range f.Conflicts {
		d.log.DebugContext(ctx, "sources disagree", "target", c.Target, "label", c.Label, "kept", c.Kept, "from", c.KeptFrom, "dropped", c.Dropped)
	}
	d.tellIdle(ctx, f)
	return d.ledger.ofSources(ctx, f.Sources, f.Findings)
}

func (d *daemon) tellTargets(ctx context.Context, what string, keys []string) {
	slices.Sort(keys)
	d.log.InfoContext(ctx, what, "count", len(keys), "among", strings.Join(keys[:min(3, len(keys))], " "))
}

// judgeAgain judges what is stored of targets, and keeps what that gives.
func (d *daemon) judgeAgain(ctx context.Context, targets []string) error {
	const together = 8 // some may wait for evidence
	d.ledger.begin(targets)
	results := make([]inventory.Result, len(targets))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(together)
	for i, key := range targets {
		g.Go(func() error {
			t, watched := d.schedule.Target(key)
			if !watched {
				return nil
			}
			st, err := d.db.Target(gctx, key)
			if unknown(err) {
				return nil // it was never examined
			}
			if err == nil {
				results[i], err = d.judged(gctx, d.evidence, st, t)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	results = slices.DeleteFunc(results, func(r inventory.Result) bool { return r.Target.Host == "" })
	return d.ledger.rejudged(ctx, results, d.confirm.Rejudged)
}

// judged judges what is stored of a target that the sources name as t, by the
// evidence of a source.
func (d *daemon) judged(ctx context.Context, source *evidence.Source, st inventory.StoredTarget, t inventory.Target) (inventory.Result, error) {
	st.Target = t
	for i := range st.Views {
		st.Views[i].Facts.Target = t
	}
	return judgeStored(ctx, source, &d.judge, st, now())
}
