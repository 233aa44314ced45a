//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"example.com/certscan/internal/lab"
	"example.com/certscan/internal/store"
)

const (
	troubleEvery = 15 * time.Second
	scrapeEvery  = 5 * time.Second // by each of the scrapers
	scrapers     = 3
	lookEvery    = 15 * time.Second
	reloads      = 5 // each judges the whole fleet again
)

// A run is one soak.
type run struct {
	settings
	dir    string
	listen string
	fleet  *lab.Lab
	report *report

	probes  float64 // that the metrics counted, at the end
	longest float64 // seconds that a target was not examined, less what scanning was behind
	behind  float64 // seconds that scanning was behind at most
	rounds  uint64  // of trouble
	reloads int
	scrapes int
}

// watch lets things happen, and compares what the daemon holds before and after.
func (r *run) watch(ctx context.Context, d *daemon) error {
	begun := time.Now()
	if err := r.until(ctx, d, "everything was examined once", func(s *sample) bool {
		return len(s.last) == r.endpoints && s.lag == 0
	}); err != nil {
		return err
	}
	r.report.say("the first round took %v", time.Since(begun).Round(time.Second))
	before, err := r.rest(ctx, d)
	if err != nil {
		return err
	}
	if err := r.work(ctx, d); err != nil {
		return err
	}
	after, err := r.rest(ctx, d)
	if err != nil {
		return err
	}
	last, err := d.sample(ctx)
	if err != nil {
		return err
	}
	r.probes = last.probes
	const mebi = 1 << 20
	r.report.check(after.heap < 1.1*before.heap+4*mebi, "heap after a collection: %.1f MiB after the first round, %.1f MiB at the end", before.heap/mebi, after.heap/mebi)
	r.report.check(after.goroutines <= before.goroutines+5, "goroutines at rest: %.0f after the first round, %.0f at the end", before.goroutines, after.goroutines)
	if after.goroutines > before.goroutines+5 {
		r.report.say("they stand at\n%s", strings.Join(after.stacks, "\n"))
	}
	r.report.check(r.rounds > 0 && r.reloads > 0 && r.scrapes > 0, "%d rounds of trouble, %d reloads, %d scrapes meanwhile", r.rounds, r.reloads, r.scrapes)
	for _, outcome := range []string{"ok", "timeout", "reset", "eof", "not_tls", "refused", "dns_servfail"} {
		r.report.check(last.ended[outcome] > 0, "%.0f examinations ended with %s", last.ended[outcome], outcome)
	}
	allowed := 1.5*r.interval.Seconds() + 15
	r.report.check(r.longest < allowed, "no target was left alone for longer than %.0f s, besides what scanning was behind; %.0f s are promised", r.longest, allowed)
	r.report.check(r.behind < r.interval.Seconds(), "scanning was %.0f s behind at most", r.behind)
	return nil
}

// until waits until a sample is as it should be.
func (r *run) until(ctx context.Context, d *daemon, what string, is func(*sample) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("after %v it was not so that %s", patience, what))
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if s, err := d.sample(ctx); err == nil && is(s) { // until it is loaded there is an error
			return nil
		}
		select {
		case <-tick.C:
		case err := <-d.done:
			d.done <- err
			return errors.New("certscan ended before " + what)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// rest lets nothing be due, waits until nothing happens, and says what is held.
func (r *run) rest(ctx context.Context, d *daemon) (state, error) {
	r.fleet.Trouble(0)
	if err := r.become(ctx, d, quiet); err != nil {
		return state{}, err
	}
	var before float64
	still := 0
	if err := r.until(ctx, d, "nothing is examined any more", func(s *sample) bool {
		if still++; s.probes != before {
			still = 0
		}
		before = s.probes
		return still == 15 // longer than an examination with its confirmation, and than workers stay
	}); err != nil {
		return state{}, err
	}
	return d.state(ctx)
}

// become changes the interval.
func (r *run) become(ctx context.Context, d *daemon, interval time.Duration) error {
	if err := r.configure(r.listen, interval); err != nil {
		return err
	}
	return d.reload(ctx)
}

// work lets things happen for as long as was said.
func (r *run) work(ctx context.Context, d *daemon) error {
	if err := r.become(ctx, d, r.interval); err != nil {
		return err
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.duration)
	defer cancel()
	g, gctx := errgroup.WithContext(ctx)
	scraped := make(chan int, scrapers)
	for i := range scrapers {
		g.Go(func() error { return r.scrape(gctx, d, i, scraped) })
	}
	g.Go(func() error { return r.trouble(gctx, d) })
	g.Go(func() error { return r.look(gctx, d, begun) })
	err := g.Wait()
	close(scraped)
	for n := range scraped {
		r.scrapes += n
	}
	if ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		return nil // it was long enough
	}
	return err
}

// trouble lets one thing after the other happen.
func (r *run) trouble(ctx context.Context, d *daemon) error {
	strike, reload := time.NewTicker(troubleEvery), time.NewTicker(r.duration/(reloads+1))
	defer strike.Stop()
	defer reload.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.DeadlineExceeded
		case err := <-d.done:
			d.done <- err
			return errors.New("certscan ended by itself")
		case <-strike.C:
			r.rounds++
			r.fleet.Trouble(r.rounds)
		case <-reload.C:
			if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				return err
			}
			r.reloads++
		}
	}
}

// look notes how long targets were not examined, and how far scanning is behind.
func (r *run) look(ctx context.Context, d *daemon, begun time.Time) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s, err := d.sample(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if len(s.last) != r.endpoints {
			return fmt.Errorf("the metrics have %d targets, want %d", len(s.last), r.endpoints)
		}
		r.behind = max(r.behind, s.lag)
		for _, last := range s.last {
			// Before things began nothing was due.
			waited := s.at - max(last, float64(begun.Unix()))
			r.longest = max(r.longest, waited-s.lag)
		}
	}
}

// scrape asks for pages, and sometimes goes away in the middle.
func (r *run) scrape(ctx context.Context, d *daemon, i int, scraped chan<- int) error {
	pages := []string{"/metrics", "/api/v1/findings?limit=1000", "/sd", "/metrics/targets?shard=0&shards=3", "/api/v1/targets", "/"}
	tick := time.NewTicker(scrapeEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		if n%10 == 9 {
			if conn, err := new(net.Dialer).DialContext(ctx, "tcp", r.listen); err == nil {
				_, _ = conn.Write([]byte("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"))
				conn.Close()
			}
		}
		path := pages[(n+i)%len(pages)]
		if err := d.get(ctx, path, nil); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			scraped <- n
			return nil
		}
	}
}

// counted compares the history with what the metrics counted.
func (r *run) counted(ctx context.Context) error {
	db, err := store.Open(ctx, filepath.Join(r.dir, "certscan.db"), store.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	problems, err := db.Check(ctx)
	if err != nil {
		return err
	}
	r.report.check(len(problems) == 0, "the history is sound %v", problems)
	var sum float64
	targets, least := 0, int64(1<<62)
	for t, err := range db.List(ctx) {
		if err != nil {
			return err
		}
		spans, err := db.Spans(ctx, t.Key())
		if err != nil {
			return err
		}
		var n int64
		for _, s := range spans {
			n += s.Count
		}
		targets, least, sum = targets+1, min(least, n), sum+float64(n)
	}
	due := int64(1 + r.duration/(r.interval*3/2))
	r.report.check(targets == r.endpoints && least >= due, "each of %d targets was examined %d times or more; %d are promised", targets, least, due)
	r.report.check(sum == r.probes, "the history has %.0f observations, of %.0f that were made", sum, r.probes)
	return nil
}
