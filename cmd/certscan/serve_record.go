package main

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"example.com/certscan/internal/export"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
	"example.com/certscan/internal/server"
	"example.com/certscan/internal/store"
)

// A display shows what the daemon knows: to Prometheus, and to whoever asks.
type display struct {
	*export.Exporter
	index *server.Index
}

func (d display) update(results []inventory.Result) {
	d.Update(results)
	d.index.Update(results)
}

func (d display) remove(targets []string) {
	d.Remove(targets)
	d.index.Remove(targets)
}

func (d display) ofSources(statuses []inventory.SourceStatus) {
	d.Sources(statuses)
	d.index.Sources(statuses)
}

// own shows findings about our own side, and those of several targets.
func (d display) own(own, fleet []inventory.Finding) {
	d.Own(own)
	d.index.Own(slices.Concat(own, fleet))
}

// A ledger keeps results, shows them and tells what changed, always in this
// order and one after the other, so that nobody is told what is not kept.
type ledger struct {
	db      *store.DB
	judge   *liveJudge
	confirm *scan.Confirm
	rejudge *scan.Rejudge
	export  display
	log     *slog.Logger

	// watched reports whether somebody still names a target.
	watched func(target string) bool

	// soon asks for an examination that confirms what is held back.
	soon func(target string)

	mu       sync.Mutex
	judging  map[string]bool // targets being judged again; taken out when they are examined
	awaited  map[string]bool // targets that all waits for
	all      func()          // see whenJudged; nil if nobody waits
	sources  []inventory.Finding
	fleet    []inventory.Finding    // of several targets
	ownFound []inventory.FindingKey // those of no single target that are told
}

// Record implements [scan.Recorder]. It leaves out the targets that were removed
// while they were examined: to keep them would bring them back.
func (l *ledger) Record(ctx context.Context, results []inventory.Result) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	results = slices.DeleteFunc(slices.Clone(results), func(r inventory.Result) bool { return !l.watched(r.Target.Key()) })
	outcomes := make([]scan.Outcome, len(results))
	own := false
	for i := range results {
		delete(l.judging, results[i].Target.Key())
		outcomes[i] = l.confirm.Examined(&results[i])
		own = own || outcomes[i].Own
		for j := range results[i].Endpoints {
			l.export.Probed(results[i].Endpoints[j].Observation)
		}
	}
	begun := time.Now()
	if err := l.db.Record(ctx, "", results); err != nil {
		return err
	}
	l.export.Recorded(time.Since(begun))
	l.show(ctx, results, outcomes)
	if own {
		return l.recordOwn(ctx)
	}
	return nil
}

// begin says that targets are being judged by what is stored now.
func (l *ledger) begin(targets []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range targets {
		l.judging[t] = true
	}
}

// rejudged keeps results that were judged again. Of those that were examined
// since begin, more is known already.
func (l *ledger) rejudged(ctx context.Context, results []inventory.Result, confirm func(*inventory.Result) scan.Outcome) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	results = slices.DeleteFunc(results, func(r inventory.Result) bool {
		key := r.Target.Key()
		present := l.judging[key]
		delete(l.judging, key)
		return !present
	})
	outcomes := make(map[string]scan.Outcome, len(results))
	for i := range results {
		outcomes[results[i].Target.Key()] = confirm(&results[i])
	}
	stored, err := l.db.Rejudged(ctx, results)
	if err != nil {
		return err
	}
	list := make([]scan.Outcome, len(stored))
	for i := range stored {
		list[i] = outcomes[stored[i].Target.Key()]
	}
	l.show(ctx, stored, list)
	return nil
}

// show shows results that are kept, and tells what became of their findings.
func (l *ledger) show(ctx context.Context, results []inventory.Result, outcomes []scan.Outcome) {
	for i := range results {
		l.judge.policies().mark(results[i])
		l.rejudge.Set(results[i])
		l.judge.policies().mark(inventory.Result{Target: results[i].Target, Judgement: inventory.TargetJudgement{Findings: outcomes[i].Opened}})
		l.tell(ctx, results[i].Target.Key(), outcomes[i].Opened, outcomes[i].Closed)
		if outcomes[i].Again {
			l.soon(results[i].Target.Key())
		}
		delete(l.awaited, results[i].Target.Key())
	}
	l.export.update(results)
	l.allJudged()
}

// whenJudged has f called when each of the targets was judged from now on, or is
// gone. It replaces what it was told before.
func (l *ledger) whenJudged(targets []string, f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.awaited, l.all = make(map[string]bool, len(targets)), f
	for _, t := range targets {
		l.awaited[t] = true
	}
	l.allJudged()
}

// allJudged calls what waits for that if it is so. Called under mu.
func (l *ledger) allJudged() {
	if l.all != nil && len(l.awaited) == 0 {
		l.all()
		l.awaited, l.all = nil, nil
	}
}

func (l *ledger) tell(ctx context.Context, target string, opened, closed []inventory.Finding) {
	for _, f := range opened {
		l.log.Log(ctx, levelOf(f), "finding opened", "target", target, "code", f.Code, "severity", f.Severity, "subject", f.Subject.ID, "message", f.Message)
	}
	for _, f := range closed {
		l.log.InfoContext(ctx, "finding closed", "target", target, "code", f.Code, "subject", f.Subject.ID)
	}
}

// levelOf is how loud the log tells of a finding. What is waived is no news.
func levelOf(f inventory.Finding) slog.Level {
	switch {
	case !f.Counts():
	case f.Severity == inventory.Critical:
		return slog.LevelError
	case f.Severity == inventory.Warning:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// remove forgets targets that nobody names any more; their history stays.
func (l *ledger) remove(ctx context.Context, targets []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range targets {
		delete(l.judging, t)
		delete(l.awaited, t)
		if _, err := l.db.Forget(ctx, t); err != nil && !unknown(err) {
			return err
		}
	}
	l.confirm.Forget(targets)
	l.rejudge.Forget(targets)
	l.export.remove(targets)
	l.allJudged()
	return nil
}

// ofSources takes over how the sources do.
func (l *ledger) ofSources(ctx context.Context, statuses []inventory.SourceStatus, findings []inventory.Finding) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sources = findings
	l.export.ofSources(statuses)
	return l.recordOwn(ctx)
}

// ofFleet takes over the findings that concern several targets.
func (l *ledger) ofFleet(ctx context.Context, findings []inventory.Finding) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fleet = findings
	return l.recordOwn(ctx)
}

// toldBefore takes over which findings of no single target are open in the
// history: they are not told again.
func (l *ledger) toldBefore(keys []inventory.FindingKey) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ownFound = keys
}

// recordOwn keeps and shows the findings of no single target. Called under mu.
func (l *ledger) recordOwn(ctx context.Context) error {
	own := slices.Concat(l.sources, l.confirm.Own())
	all := l.judge.policies().fleet(slices.Concat(own, l.fleet))
	if err := l.db.RecordFleet(ctx, all); err != nil {
		return err
	}
	var keys []inventory.FindingKey
	var opened, closed []inventory.Finding
	for _, f := range all {
		keys = append(keys, f.Key())
		if !slices.Contains(l.ownFound, f.Key()) {
			opened = append(opened, f)
		}
	}
	for _, k := range l.ownFound {
		if !slices.Contains(keys, k) {
			closed = append(closed, inventory.Finding{Code: k.Code, Rule: k.Rule, Subject: k.Subject})
		}
	}
	l.ownFound = keys
	l.tell(ctx, "", opened, closed)
	l.export.own(all[:len(own)], all[len(own):]) // with the times that the history gave them
	return nil
}

// mark marks the findings of a result that is only shown for which somebody
// answers.
func (l *ledger) mark(r inventory.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.judge.policies().mark(r)
}

// alive waits until the ledger is free: a daemon whose history hangs is not
// alive.
func (l *ledger) alive() {
	l.mu.Lock()
	defer l.mu.Unlock() // to have waited is all
}

// historySize is the size of the history's file with its log, and whether it is
// known: it is not if path is not what was opened any more.
func historySize(path string, opened os.FileInfo) (int64, bool) {
	st, err := os.Stat(path)
	if err != nil || !os.SameFile(st, opened) {
		return 0, false
	}
	size := st.Size()
	if log, err := os.Stat(path + "-wal"); err == nil {
		size += log.Size()
	}
	return size, true
}
