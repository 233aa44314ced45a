package main

import (
	"sync/atomic"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/policy"
	"example.com/certscan/internal/store"
	"example.com/certscan/internal/verify"
)

// A bench is what the daemon judges by at present. A reload replaces it whole.
type bench struct {
	trust    trust
	policies *policies
	judge    judge
}

// liveJudge judges by the present bench.
type liveJudge struct{ bench atomic.Pointer[bench] }

func (l *liveJudge) Judge(f inventory.Facts, ev inventory.EvidenceSet, now time.Time) (inventory.Judgement, []inventory.Need) {
	return l.bench.Load().judge.Judge(f, ev, now)
}

func (l *liveJudge) JudgeTarget(t inventory.Target, views []inventory.Endpoint, now time.Time) inventory.TargetJudgement {
	return l.bench.Load().judge.JudgeTarget(t, views, now)
}

func (l *liveJudge) policies() *policies { return l.bench.Load().policies }

// newBench reads trust stores and lists, and prepares to judge by them.
func (c serveConfig) newBench(signatures *store.Signatures, note func(string, ...any)) (*bench, error) {
	b := &bench{policies: &policies{policy.New(c.Policy), policy.NewWaivers(c.Waivers, now())}}
	opt, flags, err := c.judging()
	if err != nil {
		return nil, err
	}
	if c.trust != nil {
		b.trust = *c.trust
	} else if b.trust, err = flags.load(note); err != nil {
		return nil, err
	}
	b.trust.apply(&opt)
	opt.Signatures = signatures
	plain, err := verify.New(opt)
	if err != nil {
		return nil, err
	}
	b.judge = b.policies.over(plain)
	return b, nil
}

// renew returns the same bench with waivers as of now: they end at midnight.
func (b *bench) renew(c serveConfig) *bench {
	n := *b
	n.policies = &policies{b.policies.rules, policy.NewWaivers(c.Waivers, now())}
	return &n
}
