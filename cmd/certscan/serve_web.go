package main

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/export"
	"example.com/certscan/internal/fetch"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/location"
	"example.com/certscan/internal/scan"
	"example.com/certscan/internal/server"
	"example.com/certscan/internal/verify"
)

// openWeb prepares what is answered over HTTP, to so many connections at a time.
func (d *daemon) openWeb(connections int) error {
	c := d.atStart
	probe, err := d.prober(c)
	if err != nil {
		return usageError{err}
	}
	d.probe.Store(&probe)
	d.web, err = server.New(server.Options{
		Listen: c.Web.Listen, ConfigFile: c.Web.ConfigFile, ExternalURL: c.Web.ExternalURL, Profiling: c.Web.Profiling,
		Version: version(), Index: d.index, Fleet: fleetReader{d}, Connections: connections, Log: d.log,
		Metrics: d.export.Metrics(), Targets: d.export.Targets(), Reload: d.reload,
		Probe: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*d.probe.Load()).ServeHTTP(w, r) }),
	})
	return err
}

// prober answers /probe as a configuration says.
func (d *daemon) prober(c serveConfig) (http.Handler, error) {
	return export.Probe(export.ProbeOptions{
		Examine: d.examineNow, Parse: discover.ParseTarget, Special: fetch.Special,
		Known: d.watched,
		Allow: c.Web.Probe.Allow, PerSecond: c.Web.Probe.Rate, InFlight: c.Web.Probe.InFlight,
		Timeout: c.Scan.Timeout, Labels: c.Metrics.Labels,
	})
}

// guardedGate lets connections through that are allowed.
type guardedGate struct {
	location.Gate
	allow func(netip.Addr) error
}

func (g guardedGate) Enter(ctx context.Context, addr netip.AddrPort) (func(inventory.Observation), error) {
	if err := g.allow(addr.Addr()); err != nil {
		return nil, err
	}
	return g.Gate.Enter(ctx, addr)
}

// examineNow examines and judges a target, and keeps nothing of it.
func (d *daemon) examineNow(ctx context.Context, t inventory.Target, timeout time.Duration, allow func(netip.Addr) error) (inventory.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if watched, ok := d.schedule.Target(t.Key()); ok {
		t = watched // with its labels
	}
	place := d.place
	place.Gate = gate{d.callers}
	if allow != nil {
		place.Gate = guardedGate{place.Gate, allow}
	}
	r := inventory.Result{Target: t}
	loc, err := location.NewLocal(place)
	if err != nil {
		return r, err
	}
	w := d.present().schedule().Work
	// What ends with ctx leaves no observation, so a probe has to end before.
	w.Target, w.Offers, w.Accepts, w.Timeout, w.Slot = t, nil, false, min(w.Timeout, timeout*9/10), now().Unix()
	for o := range loc.Examine(ctx, d.pinned(w)) {
		j, _ := scan.JudgeWith(ctx, &d.judge, d.evidence, inventory.Facts{Target: t, Observation: o}, d.evidence.Shared(), now())
		r.Endpoints = append(r.Endpoints, inventory.Endpoint{Observation: o, Judgement: j})
	}
	r.Judgement = d.judge.JudgeTarget(t, r.Endpoints, now())
	d.ledger.mark(r)
	return r, nil
}

// fleetReader reads one thing in full from the history.
type fleetReader struct{ d *daemon }

func (f fleetReader) Result(ctx context.Context, target string) (inventory.Result, error) {
	key := target
	if t, err := discover.ParseTarget(target); err == nil {
		key = t.Key()
	}
	t, watched := f.d.schedule.Target(key)
	if !watched {
		return inventory.Result{}, inventory.ErrUnknownTarget
	}
	st, err := f.d.db.Target(ctx, key)
	if unknown(err) {
		return inventory.Result{Target: t}, nil // it was never examined
	}
	if err != nil {
		return inventory.Result{}, err
	}
	r, err := f.d.judged(ctx, f.d.remembered, st, t)
	if err != nil {
		return r, err
	}
	f.d.confirm.Hide(&r)
	f.d.ledger.mark(r)
	return r, nil
}

func (f fleetReader) Certificate(ctx context.Context, digest string) (server.Certificate, error) {
	der, first, err := f.d.db.Certificate(ctx, digest)
	if err != nil {
		return server.Certificate{}, err
	}
	c := server.Certificate{Certificate: verify.Parse(der), DER: der, FirstSeen: first}
	c.ServedBy, err = f.d.db.Where(ctx, inventory.Query{Digest: c.Certificate.SHA256.String()})
	return c, err
}
