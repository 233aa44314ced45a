package scan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"example.com/certscan/internal/inventory"
)

// judgeAll judges every endpoint of r, adds the current views that this
// examination did not see, and judges the target over all of them.
func (e *Engine) judgeAll(ctx context.Context, r *inventory.Result, known []inventory.KnownView) error {
	byView := make(map[inventory.View]inventory.KnownView, len(known))
	for _, k := range known {
		byView[k.View] = k
	}
	defaults := make(map[string][][]byte) // by address
	for i := range r.Endpoints {
		o := r.Endpoints[i].Observation
		if o.Offer == inventory.OfferDefault {
			defaults[o.Address] = o.Chain
		}
		k := byView[o.View()]
		delete(byView, o.View())
		if changed(&o, k) {
			if r.Replaced == nil {
				r.Replaced = make(map[string]inventory.Fingerprint)
			}
			r.Changed, r.Replaced[o.Address] = true, k.LastChain
		}
		if k.Accepted != nil && o.TLS != nil && o.TLS.Accepts == nil { // asked more seldom, and remembered
			facts := *o.TLS
			k.Accepted.Apply(&facts)
			o.TLS, r.Endpoints[i].Observation.TLS = &facts, &facts
		}
		f := inventory.Facts{Target: r.Target, Observation: o}
		if o.Offer != inventory.OfferDefault {
			f.DefaultChain = defaults[o.Address]
		}
		var err error
		if r.Endpoints[i].Judgement, err = e.judge(ctx, f, k); err != nil {
			return err
		}
	}
	if err := e.carry(ctx, r, byView); err != nil {
		return err
	}
	views := r.Endpoints
	if len(r.Carried) > 0 {
		views = append(views[:len(views):len(views)], r.Carried...)
	}
	r.Judgement = e.opt.Judge.JudgeTarget(r.Target, views, e.opt.Now())
	return nil
}

// changed reports whether the default offer was answered with another chain than
// the last time. A pool behind one address answers with several.
func changed(o *inventory.Observation, k inventory.KnownView) bool {
	if o.Offer != inventory.OfferDefault || len(o.Chain) == 0 || k.LastChain.IsZero() || inventory.ChainID(o.Chain) == k.LastChain {
		return false
	}
	return !slices.ContainsFunc(o.Alternates, func(c [][]byte) bool { return inventory.ChainID(c) == k.LastChain })
}

// carry adds the current views that this examination did not see, because they
// are of other offers or further addresses, or did not come with the name this
// time, also those that never answered. They are judged by all that is remembered
// of them, and compared with what the default offer was answered then: what is
// said of them does not depend on which examination it was.
func (e *Engine) carry(ctx context.Context, r *inventory.Result, unseen map[inventory.View]inventory.KnownView) error {
	maps.DeleteFunc(unseen, func(v inventory.View, _ inventory.KnownView) bool { return v.Address == "" })
	if len(unseen) == 0 {
		return nil
	}
	st, err := e.opt.Memory.Target(ctx, r.Target.Key())
	if errors.Is(err, inventory.ErrUnknownTarget) {
		return nil // it was forgotten meanwhile
	}
	if err != nil {
		return fmt.Errorf("what is remembered: %w", err)
	}
	for _, v := range st.Views {
		f := v.Facts
		k, carried := unseen[f.Observation.View()]
		if !carried {
			continue
		}
		f.Target = r.Target
		j, err := e.judge(ctx, f, k)
		if err != nil {
			return err
		}
		r.Carried = append(r.Carried, inventory.Endpoint{Observation: f.Observation, Judgement: j})
	}
	return nil
}

// judge judges one view by what was seen now and what is remembered of it.
func (e *Engine) judge(ctx context.Context, f inventory.Facts, k inventory.KnownView) (inventory.Judgement, error) {
	var err error
	if len(f.Observation.Chain) == 0 && !k.LastChain.IsZero() {
		if f.LastChain, err = e.opt.Memory.Chain(ctx, k.LastChain); err != nil {
			return inventory.Judgement{}, fmt.Errorf("last chain of %s: %w", f.Observation.View().ID(), err)
		}
		f.LastSeen = k.LastSeen
		if err := e.beside(ctx, &f); err != nil {
			return inventory.Judgement{}, fmt.Errorf("what came with the last chain of %s: %w", f.Observation.View().ID(), err)
		}
	}
	var ev inventory.EvidenceSet
	if e.opt.Evidence != nil {
		ev = e.opt.Evidence.Shared()
	}
	j, ev := JudgeWith(ctx, e.opt.Judge, e.opt.Evidence, f, ev, e.opt.Now())
	if !chainFailed(j) {
		return j, nil
	}
	// The chain does not verify. Whether that is news depends on the one that
	// was served before, which is not worth loading for every healthy endpoint.
	before := k.PreviousChain
	if len(f.Observation.Chain) > 0 && k.LastChain != inventory.ChainID(f.Observation.Chain) {
		before = k.LastChain
	}
	if before.IsZero() {
		return j, nil
	}
	if f.PreviousChain, err = e.opt.Memory.Chain(ctx, before); err != nil {
		return inventory.Judgement{}, fmt.Errorf("previous chain of %s: %w", f.Observation.View().ID(), err)
	}
	j, _ = JudgeWith(ctx, e.opt.Judge, e.opt.Evidence, f, ev, e.opt.Now())
	return j, nil
}

// beside adds what was served beside the last chain, which is remembered of the
// view.
func (e *Engine) beside(ctx context.Context, f *inventory.Facts) error {
	st, err := e.opt.Memory.Target(ctx, f.Target.Key())
	if errors.Is(err, inventory.ErrUnknownTarget) {
		return nil // it was forgotten meanwhile
	}
	for _, v := range st.Views {
		was := &v.Facts
		switch {
		case was.Observation.View() != f.Observation.View():
		case len(was.Observation.Chain) > 0:
			f.LastStaple, f.LastSCTs = was.Observation.Staple, was.Observation.SCTs
		default:
			f.LastStaple, f.LastSCTs = was.LastStaple, was.LastSCTs
		}
	}
	return err
}

func chainFailed(j inventory.Judgement) bool {
	return j.Verdict != nil && j.Verdict.Trust.Status != inventory.Trusted
}

// JudgeWith judges, gets what the judge asks for, and judges again, a few rounds
// at most: what it still lacks then is unknown. With a nil Evidence nothing is
// got. It returns ev with what was got.
func JudgeWith(ctx context.Context, judge Judge, source Evidence, f inventory.Facts, ev inventory.EvidenceSet, now time.Time) (inventory.Judgement, inventory.EvidenceSet) {
	for round := 0; ; round++ {
		j, needs := guarded(judge, f, ev, now)
		if len(needs) == 0 || source == nil || round == needRounds {
			return j, ev
		}
		got := make([]inventory.Evidence, len(needs))
		var wg sync.WaitGroup
		for i, n := range needs {
			wg.Go(func() { got[i] = source.Get(ctx, n) })
		}
		wg.Wait()
		more := make(inventory.EvidenceSet, len(ev)+len(needs))
		maps.Copy(more, ev)
		for i, n := range needs {
			more[n] = got[i]
		}
		ev = more
	}
}
