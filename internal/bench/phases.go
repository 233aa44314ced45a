//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// phases says which part of a scan the processor's time goes to, by a profile
// of it. What a part calls in other packages counts for the part.
func (l *lane) phases(ctx context.Context) error {
	f, stop, err := l.startFleet(ctx, fleetOptions{n: l.endpoints, chain: "p256"})
	if err != nil {
		return err
	}
	defer stop()
	if _, err := l.plain(ctx, f.Targets, "", ""); err != nil {
		return err
	}
	db := filepath.Join(l.dir, "phases.db")
	l.title("Where the time of a scan of %d endpoints goes, names resolved (profile)", l.endpoints)
	l.head("part", "first scan", "second scan")
	var shares [2]map[string]float64
	for n := range shares {
		profile := filepath.Join(l.dir, fmt.Sprintf("cpu-%d", n))
		if _, err := l.scan(ctx, everything(l.endpoints), "--db", db, "--roots", f.Roots, "-f", f.Names, "--resolver", f.Resolver, "--cpuprofile", profile); err != nil {
			return err
		}
		if shares[n], err = l.profile(ctx, profile); err != nil {
			return err
		}
	}
	for _, p := range []struct{ name, function string }{
		{"resolve", "internal/resolve.(*Resolver).Resolve"},
		{"probe (connect, handshake, capture)", "internal/probe.(*Prober).Probe"},
		{"what is known", "internal/store.(*DB).Known"},
		{"judge", "internal/verify.(*Judge).Judge"},
		{"store", "internal/store.(*DB).Record"},
		{"report", "main.(*answer).result"},
		{"garbage collection", "runtime.gcBgMarkWorker"},
	} {
		l.row(p.name, fmt.Sprintf("%.1f %%", shares[0][p.function]), fmt.Sprintf("%.1f %%", shares[1][p.function]))
	}
	return nil
}

// profile returns the share of each function, with what it calls, in percent.
func (l *lane) profile(ctx context.Context, path string) (map[string]float64, error) {
	cmd := command(ctx, "go", "tool", "pprof", "-top", "-cum", "-nodecount=100000", "-nodefraction=0", l.certscan, path)
	cmd.Stderr = nil
	cmd.WaitDelay = time.Minute
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("pprof: %w", err)
	}
	shares := make(map[string]float64)
	sc := bufio.NewScanner(bytes.NewReader(out))
	for sc.Scan() { // flat flat% sum% cum cum% name
		fields := strings.Fields(sc.Text())
		if len(fields) < 6 {
			continue
		}
		percent, err := strconv.ParseFloat(strings.TrimSuffix(fields[4], "%"), 64)
		if err == nil {
			shares[strings.TrimPrefix(fields[5], "example.com/certscan/")] = percent
		}
	}
	return shares, sc.Err()
}
