package main

import (
	"context"
	"os"
	"reflect"
	"time"

	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/server"
	"example.com/certscan/internal/verify"
)

// upkeep does what is due every day: waivers end at midnight UTC, history is
// pruned, and lists that nobody asks for are removed. It gives systemd its signs
// of life.
func (d *daemon) upkeep(ctx context.Context) error {
	midnight := time.NewTimer(untilMidnight(now()))
	defer midnight.Stop()
	web := time.NewTicker(time.Minute)
	defer web.Stop()
	var webFault string
	alive := make(<-chan time.Time)
	if d.notify.every > 0 {
		ticker := time.NewTicker(d.notify.every)
		defer ticker.Stop()
		alive = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-alive:
			d.ledger.alive()
			d.tellSystem(notifyAlive)
		case <-web.C:
			webFault = d.checkWeb(ctx, d.first.Web.ConfigFile, webFault)
		case <-midnight.C:
			if err := d.daily(ctx); err != nil {
				return unlessStopped(ctx, err)
			}
			midnight.Reset(untilMidnight(now()))
		}
	}
}

// checkWeb tells what has become wrong with the web configuration, which is read
// for each connection: who is refused for it is not told why. It returns what
// is wrong, which was said before.
func (d *daemon) checkWeb(ctx context.Context, path, said string) string {
	err := server.CheckConfig(path)
	switch {
	case err == nil && said != "":
		d.log.InfoContext(ctx, "the web configuration is right again")
	case err != nil && err.Error() != said:
		d.log.ErrorContext(ctx, "every connection is refused", "err", err)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// untilMidnight is how long it is to just after the next midnight in UTC.
func untilMidnight(t time.Time) time.Duration {
	const day = 24 * time.Hour
	return t.Truncate(day).Add(day + time.Second).Sub(t)
}

func (d *daemon) daily(ctx context.Context) error {
	c := d.present()
	d.judge.bench.Store(d.judge.bench.Load().renew(c))
	d.rejudge.All()
	if err := d.db.Prune(ctx, now().Add(-c.Store.Retention)); err != nil {
		return err
	}
	if err := evidence.RemoveUnused(crlDir(d.dbPath), now()); err != nil {
		d.log.WarnContext(ctx, "old lists stay", "err", err)
	}
	fleet := verify.NewFleet()
	for st, err := range d.db.Targets(ctx, time.Time{}) {
		if err != nil {
			return err
		}
		t, watched := d.schedule.Target(st.Target.Key())
		if !watched {
			continue
		}
		r, err := d.judged(ctx, d.remembered, st, t)
		if err != nil {
			return err
		}
		fleet.Add(r)
	}
	return d.ledger.ofFleet(ctx, fleet.Findings())
}

// signals reads the configuration again on SIGHUP, until ctx ends.
func (d *daemon) signals(ctx context.Context, hup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			_ = d.reload(ctx) // has been told
		}
	}
}

// reload reads the configuration again. One that is wrong changes nothing.
func (d *daemon) reload(ctx context.Context) error {
	d.tellSystem(notifyReloading())
	defer d.tellSystem(notifyReady)
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.replace(ctx)
	d.export.Reloaded(err == nil)
	if err != nil {
		d.log.ErrorContext(ctx, "the configuration was refused; the old one stays", "err", err)
		return err
	}
	d.log.InfoContext(ctx, "the configuration was read again")
	return nil
}

// replace is reload without the telling. Everything that can fail comes first.
func (d *daemon) replace(ctx context.Context) error {
	c, err := d.again()
	if err != nil {
		return err
	}
	if c.trust == nil {
		c.trust = d.cfg.trust
	}
	b, err := c.newBench(&d.habits, d.signatures, d.revoked, d.note)
	if err != nil {
		return err
	}
	if err := d.export.Set(c.shown()); err != nil {
		return err
	}
	old := d.cfg
	d.cfg = c
	d.judge.bench.Store(b)
	if err := d.noteJudging(ctx); err != nil {
		return err
	}
	d.schedule.Configure(c.schedule())
	d.confirm.Configure(c.Scan.Interval)
	d.sources.Configure(c.sources(), map[string][]inventory.Target{})
	d.rejudge.All()
	for _, s := range []struct {
		key      string
		old, new any
	}{
		{"store.path", old.Store.Path, c.Store.Path},
		{"scan.location", old.Scan.Location, c.Scan.Location},
		{"scan.concurrency", old.Scan.Concurrency, c.Scan.Concurrency},
		{"scan.per_address", old.Scan.PerAddress, c.Scan.PerAddress},
		{"scan.resolvers", old.Scan.Resolvers, c.Scan.Resolvers},
		{"scan.resolve", old.Scan.Resolve, c.Scan.Resolve},
		{"trust.allow_fetch", old.Trust.AllowFetch, c.Trust.AllowFetch},
		{"trust.proxy", old.Trust.Proxy, c.Trust.Proxy},
		{"trust.proxy_file", old.Trust.ProxyFile, c.Trust.ProxyFile},
		{"web.listen", old.Web.Listen, c.Web.Listen},
	} {
		if !reflect.DeepEqual(s.old, s.new) {
			d.log.WarnContext(ctx, "a change takes effect with the next start", "key", s.key)
		}
	}
	return nil
}
