package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
	"example.com/certscan/internal/store"
)

// A daemon watches targets. What it is made of is opened by open, run by run and
// closed by close.
type daemon struct {
	io    streams
	log   *slog.Logger
	cfg   serveConfig
	again func(streams) (serveConfig, error) // reads the configuration again

	db       *store.DB
	dbPath   string
	evidence *evidence.Source
	judge    liveJudge
	limiter  *scan.Limiter
	schedule *scan.Schedule
	engine   *scan.Engine
	sources  discover.Watcher
	ledger   *ledger
	export   exporter
}

// note logs what is odd about files that are read.
func (d *daemon) note(format string, args ...any) {
	d.log.Warn("note", "text", fmt.Sprintf(format, args...))
}

// open opens and wires everything; nothing runs yet.
func (d *daemon) open(ctx context.Context) error {
	var err error
	if d.export == nil {
		d.export = nobody{}
	}
	if d.dbPath, err = d.cfg.db.path(d.io.env); err != nil {
		return err
	}
	if d.db, err = store.Open(ctx, d.dbPath, store.Options{}); err != nil {
		return err
	}
	signatures, err := d.db.Signatures(ctx)
	if err != nil {
		return err
	}
	b, err := d.cfg.newBench(ctx, signatures, d.note)
	if err != nil {
		return err
	}
	d.judge.bench.Store(b)
	keep := evidence.Options{Cache: d.db, CRLDir: crlDir(d.dbPath)}
	if d.evidence, err = newEvidence(d.io, d.cfg.allowFetch, d.cfg.fetchProxy, keep); err != nil {
		return err
	}
	if err := enoughFiles(&d.cfg.concurrency, true, d.note); err != nil {
		return err
	}
	d.limiter = scan.NewLimiter(scan.LimiterOptions{Max: d.cfg.concurrency, PerAddress: d.cfg.perAddress})
	loc, err := newLocation(d.cfg.resolver, d.cfg.prober(), d.limiter)
	if err != nil {
		return err
	}
	d.schedule = scan.NewSchedule(d.cfg.schedule())
	d.ledger = &ledger{db: d.db, judge: &d.judge, export: d.export, log: d.log}
	d.sources.Configure(d.cfg.sources, nil)
	d.engine, err = scan.New(scan.Options{
		Location: loc, Judge: &d.judge, Admission: d.limiter, Evidence: d.evidence, Memory: d.db, Recorder: d.ledger,
		Work: d.schedule.Work, LookAhead: 1,
	})
	if err != nil {
		return err
	}
	return d.noteJudging(ctx)
}

func (c *serveConfig) schedule() scan.ScheduleOptions {
	return scan.ScheduleOptions{Interval: c.interval, Extras: c.extras, Work: c.work()}
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
	if d.evidence != nil {
		if err := d.evidence.Close(); err != nil {
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
	if err := d.load(ctx); err != nil {
		return unlessStopped(ctx, err)
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return d.engine.Run(gctx, d.schedule.Due(gctx), func(r inventory.Result) error {
			d.schedule.Done(r)
			return nil
		})
	})
	g.Go(func() error { return d.sources.Run(gctx, func(f discover.Fleet) error { return d.targets(gctx, f) }) })
	d.log.Info("watching", "targets", d.schedule.Len(), "interval", d.cfg.interval, "history", d.dbPath)
	return unlessStopped(ctx, g.Wait())
}

// unlessStopped keeps the end that was asked for from being an error.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))) {
		return nil
	}
	return err
}

// load reads the sources, judges what is stored of their targets, and hands it
// on.
func (d *daemon) load(ctx context.Context) error {
	fleet, _, _ := d.sources.Read(ctx)
	if fleet == nil {
		return ctx.Err()
	}
	watched := make(map[string]bool, len(fleet.Targets))
	for _, t := range fleet.Targets {
		watched[t.Key()] = true
	}
	begun := time.Now()
	var batch []inventory.Result
	for st, err := range d.db.Targets(ctx, time.Time{}) {
		if err != nil {
			return err
		}
		if !watched[st.Target.Key()] {
			continue
		}
		r, err := judgeStored(ctx, d.evidence, &d.judge, st, now())
		if err != nil {
			return err
		}
		d.schedule.Restore(r)
		d.judge.policies().mark(r)
		if batch = append(batch, r); len(batch) == 1000 {
			d.export.Update(batch)
			batch = nil
		}
	}
	d.export.Update(batch)
	d.log.Debug("loaded", "took", time.Since(begun))
	if err := d.targets(ctx, *fleet); err != nil {
		return err
	}
	d.export.Loaded()
	return nil
}

// targets takes over what the sources say.
func (d *daemon) targets(ctx context.Context, f discover.Fleet) error {
	removed := d.schedule.Set(f.Targets)
	var keys []string
	for _, t := range removed {
		keys = append(keys, t.Key())
		if _, err := d.db.Forget(ctx, t.Key()); err != nil && !errors.Is(err, inventory.ErrUnknownTarget) {
			return err
		}
	}
	if len(keys) > 0 {
		d.log.Info("targets removed", "targets", len(keys), "first", strings.Join(keys[:min(3, len(keys))], " "))
		d.export.Remove(keys)
	}
	d.export.Sources(f.Sources)
	d.export.Own(f.Findings)
	return nil
}
