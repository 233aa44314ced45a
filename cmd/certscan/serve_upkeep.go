package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"reflect"
	"time"

	"example.com/certscan/internal/config"
	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/server"
	"example.com/certscan/internal/verify"
)

// upkeep gives systemd its signs of life, and looks at the web configuration and
// at the history's file. It does nothing that takes long.
func (d *daemon) upkeep(ctx context.Context) error {
	files := time.NewTicker(time.Minute)
	defer files.Stop()
	var webFault, lost string
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
		case <-files.C:
			webFault = d.checkWeb(ctx, d.atStart.Web.ConfigFile, webFault)
			lost = d.checkHistory(ctx, lost)
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

// checkHistory tells when the history's file was removed or replaced: what is
// written goes into a file without a name, which is gone with this process, and
// other commands read another or none. It returns what is wrong, which was said
// before.
func (d *daemon) checkHistory(ctx context.Context, said string) string {
	is := ""
	switch st, err := os.Stat(d.dbPath); {
	case errors.Is(err, fs.ErrNotExist):
		is = "it was removed"
	case err != nil:
		is = err.Error()
	case !os.SameFile(st, d.dbFile):
		is = "another file is in its place"
	}
	switch {
	case is == said:
	case is == "":
		d.log.InfoContext(ctx, "the history is in its place again", "history", d.dbPath)
	default:
		d.log.ErrorContext(ctx, "the history is lost with the next restart: put its file back or restart", "history", d.dbPath, "err", is)
	}
	return is
}

// untilMidnight is how long it is to just after the next midnight in UTC.
func untilMidnight(t time.Time) time.Duration {
	const day = 24 * time.Hour
	return t.Truncate(day).Add(day + time.Second).Sub(t)
}

// nightly does every midnight what is due daily, until ctx ends.
func (d *daemon) nightly(ctx context.Context) error {
	midnight := time.NewTimer(untilMidnight(now()))
	defer midnight.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-midnight.C:
			if err := d.daily(ctx); err != nil {
				return unlessStopped(ctx, err)
			}
			midnight.Reset(untilMidnight(now()))
		}
	}
}

// daily lets waivers end, prunes the history, removes lists that nobody asks for,
// and looks at what concerns several targets. It may take minutes.
func (d *daemon) daily(ctx context.Context) error {
	d.renewWaivers()
	d.rejudge.All()
	if err := d.db.Prune(ctx, now().Add(-d.present().Store.Retention)); err != nil {
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

// renewWaivers lets the present waivers hold or end as of now.
func (d *daemon) renewWaivers() {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.judge.bench.Store(d.judge.bench.Load().renew(d.present()))
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
	d.reloading.Lock()
	defer d.reloading.Unlock()
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
	c, err := d.reread()
	if err != nil {
		return err
	}
	if c.trust == nil {
		c.trust = d.present().trust
	}
	b, err := c.newBench(&d.habits, d.signatures, d.revoked, d.note)
	if err != nil {
		return err
	}
	probe, err := d.prober(c)
	if err != nil {
		return err
	}
	if err := d.export.Set(c.exportSettings()); err != nil {
		return err
	}
	d.config.Store(&c)
	d.judge.bench.Store(b)
	d.probe.Store(&probe)
	d.schedule.Configure(c.schedule())
	d.confirm.Configure(c.Scan.Interval)
	d.sources.Configure(c.sources(), map[string][]inventory.Target{})
	d.rejudge.All()
	if err := d.noteJudging(context.WithoutCancel(ctx)); err != nil { // whoever asked may be gone
		d.log.ErrorContext(ctx, "other commands judge by the old configuration until the next reload", "err", err)
	}
	for _, key := range d.atStart.fixed(c) {
		d.log.WarnContext(ctx, "a change takes effect with the next start", "key", key)
	}
	return nil
}

// fixed are the keys in which a configuration differs from the one that the
// daemon began with, and which are not replaced.
func (c serveConfig) fixed(n serveConfig) (keys []string) {
	was, is := c.Web, n.Web
	was.Probe, is.Probe = config.Probe{}, config.Probe{} // are
	for _, s := range []struct {
		key     string
		was, is any
	}{
		{"store.path", c.Store.Path, n.Store.Path},
		{"scan.location", c.Scan.Location, n.Scan.Location},
		{"scan.concurrency", c.Scan.Concurrency, n.Scan.Concurrency},
		{"scan.per_address", c.Scan.PerAddress, n.Scan.PerAddress},
		{"scan.resolvers", c.Scan.Resolvers, n.Scan.Resolvers},
		{"scan.resolve", c.Scan.Resolve, n.Scan.Resolve},
		{"trust.allow_fetch", c.Trust.AllowFetch, n.Trust.AllowFetch},
		{"trust.proxy", c.Trust.Proxy, n.Trust.Proxy},
		{"trust.proxy_file", c.Trust.ProxyFile, n.Trust.ProxyFile},
		{"web", was, is},
	} {
		if !reflect.DeepEqual(s.was, s.is) {
			keys = append(keys, s.key)
		}
	}
	return keys
}
