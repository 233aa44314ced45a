//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// revocation measures what it costs to ask whether certificates are revoked: the
// time of a warm scan of a fleet that shares a few lists, and the memory that
// one very long list takes.
func (l *lane) revocation(ctx context.Context) error {
	if err := l.sharedLists(ctx, 20, 1000); err != nil {
		return err
	}
	return l.longList(ctx, 1_350_000)
}

func (l *lane) sharedLists(ctx context.Context, lists, entries int) error {
	f, stop, err := l.startFleet(ctx, fleetOptions{n: l.endpoints, chain: "p256", lists: lists, entries: entries})
	if err != nil {
		return err
	}
	defer stop()
	if _, err := l.plain(ctx, f.Targets, "", ""); err != nil { // the fleet makes its certificates now
		return err
	}
	scan := func(mode string) func(int) (usage, error) {
		return func(int) (usage, error) {
			return l.asking(ctx, l.endpoints, mode, f, filepath.Join(l.dir, "revocation-"+mode+".db"))
		}
	}
	const soft, off = "--revocation soft", "--revocation off"
	cold := make(map[string]usage)
	for name, mode := range map[string]string{soft: "soft", off: "off"} {
		if cold[name], err = scan(mode)(0); err != nil {
			return err
		}
	}
	got, err := turns(l.rounds, []contender{{off, scan("off")}}, []contender{{soft, scan("soft")}})
	if err != nil {
		return err
	}
	n, err := fetches(ctx, f.Requests)
	if err != nil {
		return err
	}
	l.title("Revocation of %d endpoints that share %d CRLs of %d entries: %d fetches in %d scans", l.endpoints, lists, entries, n, l.rounds+1)
	l.head("run", "CPU per endpoint, first scan", "unchanged, median of "+strconv.Itoa(l.rounds), "of off", "largest RSS")
	for _, name := range []string{off, soft} {
		us := got[name]
		l.row(name, perEndpoint(cold[name].cpu, l.endpoints), perEndpoint(median(us, cpu), l.endpoints), fmt.Sprintf("%.2f", ratios(us, got[off])),
			mebibytes(median(us, func(u usage) int64 { return u.rss })))
	}
	return nil
}

func (l *lane) longList(ctx context.Context, entries int) error {
	const n = 100
	f, stop, err := l.startFleet(ctx, fleetOptions{n: n, chain: "p256", lists: 1, entries: entries})
	if err != nil {
		return err
	}
	defer stop()
	l.title("Memory for one CRL of %d entries", entries)
	l.head("run", "largest RSS", "CPU", "wall")
	for _, run := range []struct{ name, mode string }{{"off", "off"}, {"fetched", "soft"}, {"from its file", "soft"}} {
		u, err := l.asking(ctx, n, run.mode, f, filepath.Join(l.dir, "long.db"))
		if err != nil {
			return err
		}
		l.row(run.name, mebibytes(u.rss), u.cpu.String(), u.wall.String())
	}
	return nil
}

// asking scans n endpoints and checks that all of them are known not to be
// revoked, if that was asked.
func (l *lane) asking(ctx context.Context, n int, mode string, f fleetInfo, db string) (usage, error) {
	u, err := l.scan(ctx, everything(n), "--db", db, "--revocation", mode, "--allow-fetch", f.Allow, "--roots", f.Roots, "-f", f.Targets)
	if err != nil {
		return u, err
	}
	want := map[string]string{"soft": "good", "off": "not_checked"}[mode]
	report, err := os.Open(l.report())
	if err != nil {
		return u, err
	}
	defer report.Close()
	found := 0
	for in := json.NewDecoder(report); ; {
		var line struct {
			Verdict *struct{ Revocation struct{ Status string } }
		}
		err := in.Decode(&line)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return u, err
		}
		if line.Verdict != nil && line.Verdict.Revocation.Status == want {
			found++
		}
	}
	if found != n {
		return u, fmt.Errorf("%d of %d endpoints are %q", found, n, want)
	}
	return u, nil
}

// fetches asks the fleet how often its lists were asked for.
func fetches(ctx context.Context, url string) (n int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var counts map[string]int
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&counts); err != nil {
		return 0, err
	}
	for name, c := range counts {
		if strings.HasPrefix(name, "fleet-list-") {
			n += c
		}
	}
	return n, nil
}
