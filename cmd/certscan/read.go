package main

import (
	"context"
	"errors"
	"fmt"
	stdio "io"
	"io/fs"
	"iter"
	"os"
	"strings"
	"time"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
	"example.com/certscan/internal/scan"
	"example.com/certscan/internal/store"
	"example.com/certscan/internal/verify"
)

// writer is where an answer goes.
type writer = stdio.Writer

// history is the database opened for reading, with what judges what is in it.
// Readers never wait for a scan, and connect to nothing.
type history struct {
	*store.DB
	plain *verify.Judge // without an organisation's own rules
	judge judge
	at    time.Time
	past  time.Time // zero: as it stands now
	trust trust

	evidence *evidence.Source // what the scans fetched; nil if nothing is judged

	policies *policies

	since map[inventory.FindingKey]time.Time // of findings that were open at that time; nil until needed
}

// openHistory opens the database for judging what is in it.
func openHistory(ctx context.Context, io streams, sf storeFlags, jf judgeFlags) (*history, error) {
	at, fixed, err := jf.time()
	if err != nil {
		return nil, err
	}
	opt := verify.Options{}
	if opt.Tiers, err = parseTiers(jf.tiers); err != nil {
		return nil, err
	}
	if err := jf.requirementFlags.apply(&opt); err != nil {
		return nil, err
	}
	h := &history{at: at}
	if h.policies, err = jf.policyFlags.load(at); err != nil {
		return nil, err
	}
	if jf.trustFlags.given() || len(jf.distrust) > 0 || jf.logList != "" || jf.revocation != "" || jf.oneCRL != "" { // a mistake of the caller's shows first
		if _, err = jf.trustFlags.load(func(string, ...any) {}); err != nil {
			return nil, err
		}
	}
	if h.DB, err = openReading(ctx, io, sf); err != nil {
		return nil, err
	}
	if fixed {
		h.past = at
	}
	path, err := sf.path(io.env)
	if err == nil {
		h.evidence, err = rememberedEvidence(h.DB, path)
	}
	if err == nil {
		err = h.judgeAs(ctx, io, jf.trustFlags, opt)
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Close closes the database.
func (h *history) Close() error {
	var err error
	if h.evidence != nil {
		err = h.evidence.Close()
	}
	return errors.Join(err, h.DB.Close())
}

// judgeAs prepares to judge by the stores that were named, or else by those of
// the last scan: the same endpoint gets the same verdict from both.
func (h *history) judgeAs(ctx context.Context, io streams, f trustFlags, opt verify.Options) (err error) {
	if h.trust, err = f.loadAgain(ctx, h.DB, noter(io)); err != nil {
		return err
	}
	h.trust.apply(&opt)
	h.trust.logs.tellStale(h.at, nil, noter(io))
	if err = recall(ctx, h.DB, &opt); err != nil {
		return err
	}
	if h.plain, err = verify.New(opt); err != nil {
		return err
	}
	h.judge = h.policies.over(h.plain)
	return nil
}

// openReading opens the database for reading alone.
func openReading(ctx context.Context, io streams, sf storeFlags) (*store.DB, error) {
	return openExisting(ctx, io, sf, store.Options{ReadOnly: true})
}

// openForChange opens the database to change it, which no scan may do just then.
func openForChange(ctx context.Context, io streams, sf storeFlags) (*store.DB, error) {
	return openExisting(ctx, io, sf, store.Options{})
}

func openExisting(ctx context.Context, io streams, sf storeFlags, opt store.Options) (*store.DB, error) {
	path, err := sf.path(io.env)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no history at %s yet: scan something first, or name another file with --db", path)
	}
	return store.Open(ctx, path, opt)
}

func (h *history) info() inventory.ScanInfo {
	info := inventory.ScanInfo{Version: version(), Started: h.at, Ended: h.at}
	h.trust.note(&info)
	return info
}

// results judges all that is stored, one target after the other.
func (h *history) results(ctx context.Context) iter.Seq2[inventory.Result, error] {
	return func(yield func(inventory.Result, error) bool) {
		for st, err := range h.Targets(ctx, h.past) {
			if err != nil {
				yield(inventory.Result{}, err)
				return
			}
			if !yield(h.result(ctx, st)) {
				return
			}
		}
	}
}

// result judges what is stored of one target, and says since when its findings
// are open.
func (h *history) result(ctx context.Context, st inventory.StoredTarget) (inventory.Result, error) {
	if h.since == nil {
		h.since = make(map[inventory.FindingKey]time.Time)
		for s, err := range h.Findings(ctx, h.at, h.at) {
			if err != nil {
				return inventory.Result{}, err
			}
			h.since[s.Finding.Key()] = s.Opened
		}
	}
	r, err := judgeStored(ctx, h.evidence, h.judge, st, h.at)
	fill := func(findings []inventory.Finding) {
		for i := range findings {
			findings[i].Since = h.since[findings[i].Key()]
		}
	}
	fill(r.Judgement.Findings)
	for _, e := range r.Endpoints {
		fill(e.Judgement.Findings)
	}
	h.policies.mark(r)
	return r, err
}

// judgeStored judges what is stored of a target, with the evidence of source.
func judgeStored(ctx context.Context, source *evidence.Source, judge judge, st inventory.StoredTarget, at time.Time) (inventory.Result, error) {
	r := inventory.Result{Target: st.Target}
	for _, v := range st.Views {
		j, err := judgeFacts(ctx, source, judge, v.Facts, at)
		if err != nil {
			return r, fmt.Errorf("%s: %w", st.Target, err)
		}
		r.Endpoints = append(r.Endpoints, inventory.Endpoint{Observation: v.Facts.Observation, Judgement: j})
	}
	r.Judgement = judge.JudgeTarget(st.Target, r.Endpoints, at)
	return r, nil
}

// judge is what judges, with an expectation or without.
type judge = scan.Judge

// judgeFacts judges what is not from a scan, with the evidence of source.
func judgeFacts(ctx context.Context, source *evidence.Source, judge judge, f inventory.Facts, at time.Time) (inventory.Judgement, error) {
	j, _ := scan.JudgeWith(ctx, judge, source, f, source.Shared(), at)
	if ctx.Err() != nil {
		return j, context.Cause(ctx) // what could not be got is not unknown
	}
	return j, nil
}

// list writes a listing to standard output or --output.
func list(io streams, f outputFlags, h *history, write func(writer, report.Options) error) error {
	return listing(io, f, h.at, h.lookup, write)
}

// listing writes what needs no history.
func listing(io streams, f outputFlags, at time.Time, lookup lookup, write func(writer, report.Options) error) error {
	var a answer
	w, opt, err := a.open(io, f)
	if err != nil {
		return err
	}
	defer a.discard()
	opt.Now, opt.Lookup = at, lookup
	if err := write(w, opt); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	if a.file != nil {
		return a.file.commit()
	}
	return nil
}

// A lookup finds a certificate by its fingerprint. Where it does not, a listing
// shows the fingerprint alone.
type lookup func(inventory.Fingerprint) (inventory.Certificate, bool)

// lookup finds a certificate of the history, or a trust anchor.
func (h *history) lookup(fp inventory.Fingerprint) (inventory.Certificate, bool) {
	if der, _, err := h.Certificate(context.Background(), fp.String()); err == nil {
		return verify.Parse(der), true
	}
	return h.trust.anchor(fp)
}

// targetKey reads a target as a person types it into the form that the history
// knows.
func targetKey(s string) (string, error) {
	t, err := discover.ParseTarget(s)
	if err != nil {
		return "", usageError{err}
	}
	return t.Key(), nil
}

// byName gets something of the target that a person named. A bare host means the
// one target that has it, if there is none on the usual port.
func byName[T any](ctx context.Context, h *history, name string, get func(ctx context.Context, key string) (T, error)) (T, error) {
	var none T
	key, err := targetKey(name)
	if err != nil {
		return none, err
	}
	v, err := get(ctx, key)
	if !errors.Is(err, inventory.ErrUnknownTarget) {
		return v, err
	}
	keys, listErr := h.onHost(ctx, name)
	switch {
	case listErr != nil:
		return none, listErr
	case len(keys) == 0:
		return none, unknownTarget(key, err)
	case len(keys) > 1:
		return none, fmt.Errorf("the history knows no target %s; name one of %s", key, strings.Join(keys, ", "))
	}
	return get(ctx, keys[0])
}

// onHost are the targets with this host, if name is nothing more than a host.
func (h *history) onHost(ctx context.Context, name string) (keys []string, _ error) {
	t, err := discover.ParseTarget(name)
	if err != nil || t.Host != strings.ToLower(strings.TrimSuffix(name, ".")) {
		return nil, nil //nolint:nilerr // the caller has parsed it
	}
	for st, err := range h.Targets(ctx, h.past) {
		if err != nil {
			return nil, err
		}
		if st.Target.Host == t.Host {
			keys = append(keys, st.Target.Key())
		}
	}
	return keys, nil
}

// unknownTarget says how to find the target that was meant.
func unknownTarget(key string, err error) error {
	if errors.Is(err, inventory.ErrUnknownTarget) {
		return fmt.Errorf("the history knows no target %s: certscan inventory lists those that it knows", key)
	}
	return err
}
