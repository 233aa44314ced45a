package main

import (
	"context"
	"log/slog"
	"sync"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/store"
)

// exporter shows what the daemon knows. It is what internal/export offers.
type exporter interface {
	Update(results []inventory.Result)
	Remove(targets []string)
	Loaded()
	Sources(statuses []inventory.SourceStatus)
	Own(findings []inventory.Finding)
	Probed(o inventory.Observation)
}

// nobody is an exporter that shows nothing.
type nobody struct{}

func (nobody) Update([]inventory.Result)        {}
func (nobody) Remove([]string)                  {}
func (nobody) Loaded()                          {}
func (nobody) Sources([]inventory.SourceStatus) {}
func (nobody) Own([]inventory.Finding)          {}
func (nobody) Probed(inventory.Observation)     {}

// A ledger keeps results and shows them, in the same order.
type ledger struct {
	mu     sync.Mutex
	db     *store.DB
	judge  *liveJudge
	export exporter
	log    *slog.Logger
}

// Record implements [scan.Recorder].
func (l *ledger) Record(ctx context.Context, results []inventory.Result) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.db.Record(ctx, "", results); err != nil {
		return err
	}
	for i := range results {
		l.judge.policies().mark(results[i])
		for j := range results[i].Endpoints {
			l.export.Probed(results[i].Endpoints[j].Observation)
		}
	}
	l.export.Update(results)
	return nil
}
