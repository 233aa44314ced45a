package main

import (
	"fmt"
	"sync"
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
	plain    *verify.Judge // without rules and habits
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
func (c serveConfig) newBench(h *habits, signatures *store.Signatures, revoked *store.Revocations, note func(string, ...any)) (*bench, error) {
	b := &bench{policies: &policies{rules: policy.New(c.Policy), waivers: policy.NewWaivers(c.Waivers, now())}}
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
	opt.Signatures, opt.Revoked = signatures, revoked
	if b.plain, err = verify.New(opt); err != nil {
		return nil, err
	}
	b.judge = b.policies.over(habitJudge{b.plain, h})
	return b, nil
}

// habits are how targets are usually renewed: the part of the lifetime that is
// left then.
type habits struct {
	mu   sync.Mutex
	left map[string]float64
}

// learn takes over the renewals of targets.
func (h *habits) learn(renewals map[string][]inventory.Renewal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.left == nil {
		h.left = make(map[string]float64)
	}
	for target, list := range renewals {
		if left := verify.UsualLeft(list); left > 0 {
			h.left[target] = left
		} else {
			delete(h.left, target)
		}
	}
}

func (h *habits) forget(targets []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range targets {
		delete(h.left, t)
	}
}

func (h *habits) of(target string) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.left[target]
}

// habitJudge judges as another does, and whether a renewal is overdue.
type habitJudge struct {
	judge
	habits *habits
}

func (j habitJudge) JudgeTarget(t inventory.Target, views []inventory.Endpoint, now time.Time) inventory.TargetJudgement {
	out := j.judge.JudgeTarget(t, views, now)
	usual := j.habits.of(t.Key())
	if usual == 0 || out.Expiry == nil {
		return out
	}
	out.RenewalDue = verify.RenewalDue(usual, out.Expiry.At, out.Lifetime)
	if left := out.Expiry.At.Sub(now); !out.RenewalDue.IsZero() && now.After(out.RenewalDue) && left > 0 {
		out.Findings = append(out.Findings, inventory.Finding{
			Code: inventory.CodeRenewalOverdue, Severity: inventory.CodeRenewalOverdue.DefaultSeverity(),
			Subject: inventory.Subject{Kind: inventory.SubjectTarget, ID: t.Key()},
			Message: fmt.Sprintf("it was always renewed with %.0f%% of its lifetime left or more, and has %.0f%% left", 100*usual, 100*float64(left)/float64(out.Lifetime)),
		})
	}
	return out
}

// renew returns the same bench with waivers as of now: they end at midnight.
func (b *bench) renew(c serveConfig) *bench {
	n := *b
	n.policies = &policies{rules: b.policies.rules, waivers: policy.NewWaivers(c.Waivers, now())}
	return &n
}
