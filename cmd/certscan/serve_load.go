package main

import (
	"context"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
	"example.com/certscan/internal/verify"
)

// load reads the sources, judges what is stored of their targets, and shows it.
// What was told before is not told again, and nothing is examined.
func (d *daemon) load(ctx context.Context) error {
	begun := time.Now()
	stored, err := d.stored(ctx)
	if err != nil {
		return err
	}
	d.sources.Configure(d.present().sources(), bySource(stored))
	found, _, _ := d.sources.Read(ctx)
	if found == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	watched := make(map[string]inventory.Target, len(found.Targets))
	for _, t := range found.Targets {
		watched[t.Key()] = t
	}
	if err := d.ledger.remove(ctx, d.unnamed(stored, watched)); err != nil {
		return err
	}
	if err := d.learn(ctx, ""); err != nil {
		return err
	}
	again, err := d.restore(ctx, watched)
	if err != nil {
		return err
	}
	var closed []inventory.FindingSpan
	for s, err := range d.db.Findings(ctx, now().Add(-time.Hour), time.Time{}) {
		if err != nil {
			return err
		}
		if !s.Closed.IsZero() {
			closed = append(closed, s)
		}
	}
	d.export.Closed(closed)
	if err := d.watch(ctx, *found); err != nil {
		return err
	}
	for _, target := range again { // now that they are in the schedule
		d.soon(target)
	}
	d.export.Loaded()
	d.index.Loaded()
	d.log.DebugContext(ctx, "loaded", "took", time.Since(begun))
	return nil
}

// stored are the targets in the history.
func (d *daemon) stored(ctx context.Context) (list []inventory.Target, _ error) {
	for t, err := range d.db.List(ctx) {
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// bySource sorts targets by who named them.
func bySource(targets []inventory.Target) map[string][]inventory.Target {
	last := make(map[string][]inventory.Target)
	for _, t := range targets {
		for _, s := range t.Sources {
			own := t
			own.Sources = []string{s}
			last[s] = append(last[s], own)
		}
	}
	return last
}

// unnamed are the targets of the history that a source of this daemon named and
// none does any more. Those that a person scanned are left alone.
func (d *daemon) unnamed(stored []inventory.Target, watched map[string]inventory.Target) (keys []string) {
	for _, t := range stored {
		_, there := watched[t.Key()]
		ours := slices.ContainsFunc(t.Sources, func(s string) bool {
			return !inventory.ByHand(s) || slices.ContainsFunc(d.sources.Names(), func(n string) bool { return n == s })
		})
		if !there && ours {
			keys = append(keys, t.Key())
		}
	}
	return keys
}

// restore judges what is stored of the targets that are watched. It returns those
// that are to be examined again, for something of them is held back.
func (d *daemon) restore(ctx context.Context, watched map[string]inventory.Target) (again []string, _ error) {
	open := make(map[inventory.FindingKey]bool)
	for s, err := range d.db.Findings(ctx, now().Add(-d.confirm.Memory()), time.Time{}) {
		if err != nil {
			return nil, err
		}
		if s.Closed.IsZero() {
			open[s.Finding.Key()] = true
		}
		if _, ok := watched[s.Target]; ok {
			d.confirm.Remember(s)
		}
	}
	counts := make(map[inventory.View]int64)
	confirm := func(r *inventory.Result) scan.Outcome {
		o := d.confirm.Restore(r, func(k inventory.FindingKey) bool { return open[k] }, func(v inventory.View) int64 { return counts[v] })
		if o.Again {
			o.Again, again = false, append(again, r.Target.Key())
		}
		return o
	}
	fleet := verify.NewFleet()
	var (
		batch []inventory.Result
		keys  []string
	)
	flush := func() error {
		d.ledger.begin(keys)
		err := d.ledger.rejudged(ctx, batch, confirm)
		batch, keys = nil, nil
		clear(counts)
		return err
	}
	for st, err := range d.db.Targets(ctx, time.Time{}) {
		if err != nil {
			return nil, err
		}
		t, ok := watched[st.Target.Key()]
		if !ok || len(st.Views) == 0 {
			continue
		}
		for _, v := range st.Views {
			counts[v.Facts.Observation.View()] = v.Count
		}
		r, err := d.judged(ctx, d.remembered, st, t)
		if err != nil {
			return nil, err
		}
		d.schedule.Restore(r)
		fleet.Add(r)
		keys = append(keys, t.Key())
		if batch = append(batch, r); len(batch) == 500 {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	d.confirm.Restored()
	var told []inventory.FindingKey // of no single target
	for s, err := range d.db.OpenFindings(ctx) {
		if err != nil {
			return nil, err
		}
		if s.Target == "" {
			told = append(told, s.Finding.Key())
		}
	}
	d.ledger.toldBefore(told)
	return again, d.ledger.ofFleet(ctx, fleet.Findings())
}
