package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"example.com/certscan/internal/config"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/policy"
	"example.com/certscan/internal/report"
)

// policyFlags name the files with an organisation's own rules.
type policyFlags struct {
	policy  []string
	waivers []string
}

func (f *policyFlags) add(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.policy, "policy", nil, "judge by the rules, severities and waivers in `FILE` (YAML) as well; repeatable")
	fs.StringArrayVar(&f.waivers, "waivers", nil, "do not count the findings that the waivers in `FILE` (YAML) are for, until they end; repeatable")
}

// load reads the files; nil if none is named. A file with a mistake is refused
// whole: half a policy is none.
func (f *policyFlags) load(at time.Time) (*policies, error) {
	if len(f.policy)+len(f.waivers) == 0 {
		return nil, nil
	}
	all := new(config.Config)
	var problems []error
	read := func(flag, path string) *config.Config {
		err := plainFile(path)
		var cfg *config.Config
		if err == nil {
			cfg, err = config.Load(path, configParsers())
		}
		if err != nil {
			if _, told := errors.AsType[config.Problems](err); !told {
				err = fmt.Errorf("%s: %w", flag, err)
			}
			problems = append(problems, err)
			return new(config.Config)
		}
		return cfg
	}
	for _, path := range f.policy {
		if err := all.Merge(read("--policy", path)); err != nil {
			problems = append(problems, fmt.Errorf("--policy %q: %w", path, err))
		}
	}
	for _, path := range f.waivers {
		cfg := read("--waivers", path)
		if len(cfg.Policy.Rules)+len(cfg.Policy.Severities) > 0 {
			problems = append(problems, fmt.Errorf("--waivers %q: has rules: give it as --policy", path))
		}
		all.Waivers = append(all.Waivers, cfg.Waivers...)
	}
	if len(problems) > 0 {
		return nil, usageError{errors.Join(problems...)}
	}
	return newPolicies(all, at), nil
}

func newPolicies(cfg *config.Config, at time.Time) *policies {
	p := &policies{rules: policy.New(cfg.Policy), waivers: policy.NewWaivers(cfg.Waivers, at), idle: make(map[string]inventory.Selector)}
	for _, r := range cfg.Policy.Rules {
		p.idle[r.Name] = r.Targets
	}
	return p
}

// policies are an organisation's own rules. The nil value has none.
type policies struct {
	rules   *policy.Policy
	waivers *policy.Waivers
	idle    map[string]inventory.Selector // of the rules that have selected no target yet, by their names
}

// over makes inner judge by the rules as well.
func (p *policies) over(inner judge) judge {
	if p == nil {
		return inner
	}
	return policyJudge{inner, p.rules}
}

// mark marks the findings of t and its views for which somebody answers.
func (p *policies) mark(r inventory.Result) {
	if p == nil {
		return
	}
	maps.DeleteFunc(p.idle, func(_ string, s inventory.Selector) bool { return s.Match(r.Target) })
	for i := range r.Endpoints {
		p.waivers.Mark(r.Target, r.Endpoints[i].Judgement.Findings)
	}
	for i := range r.Carried {
		p.waivers.Mark(r.Target, r.Carried[i].Judgement.Findings)
	}
	p.waivers.Mark(r.Target, r.Judgement.Findings)
}

// fleet regrades and marks findings that belong to no single target.
func (p *policies) fleet(findings []inventory.Finding) []inventory.Finding {
	if p != nil {
		p.rules.RegradeFleet(findings)
		p.waivers.MarkFleet(findings)
	}
	return findings
}

// returned reports whether f counts again because its waiver has ended.
func (p *policies) returned(t inventory.Target, f inventory.Finding) bool {
	return p != nil && p.waivers.Ended(t, f)
}

// tell notes what is odd about the waivers, and which rules are for nobody. all
// says that every target and finding there is was seen.
func (p *policies) tell(note func(string, ...any), all bool) {
	if p == nil {
		return
	}
	if all {
		for _, name := range slices.Sorted(maps.Keys(p.idle)) {
			note("the rule %s selects none of the targets: no target is %s", name, p.idle[name])
		}
	}
	for _, n := range p.waivers.Notes(all) {
		note("%s", n)
	}
}

// policyJudge judges as another does, and by the rules.
type policyJudge struct {
	judge
	rules *policy.Policy
}

func (j policyJudge) Judge(f inventory.Facts, ev inventory.EvidenceSet, now time.Time) (inventory.Judgement, []inventory.Need) {
	out, needs := j.judge.Judge(f, ev, now)
	j.rules.Regrade(f.Target, out.Findings)
	found, until := j.rules.View(f, out, now)
	out.Findings = append(out.Findings, found...)
	if !until.IsZero() && (out.ValidUntil.IsZero() || until.Before(out.ValidUntil)) {
		out.ValidUntil = until
	}
	return out, needs
}

func (j policyJudge) JudgeTarget(t inventory.Target, views []inventory.Endpoint, now time.Time) inventory.TargetJudgement {
	out := j.judge.JudgeTarget(t, views, now)
	j.rules.Regrade(t, out.Findings)
	out.Findings = append(out.Findings, j.rules.Target(t)...)
	return out
}

// files judges what verify has judged by the rules as well. Rules about
// connections and targets say nothing of files, which is told once.
func (p *policies) files(labels map[string]string, named inventory.Target, verdicts []fileVerdict, at time.Time, note func(string, ...any)) {
	if p == nil {
		return
	}
	named.Labels = labels
	var judged []*inventory.Certificate
	for i := range verdicts {
		v := &verdicts[i]
		if v.Problem != "" {
			continue
		}
		judged = append(judged, v.judged.Certificate)
		t := named
		t.Sources = []string{"file:" + v.File}
		p.rules.RegradeFile(t, v.judged.Certificate, v.Findings)
		v.Findings = append(v.Findings, p.rules.File(t, v.judged, at)...)
		p.waivers.MarkFile(t, v.judged.Certificate, v.Findings)
	}
	if names := p.rules.Unselected(named, judged); len(names) > 0 && len(judged) > 0 {
		note("the rules %s select none of these certificates: --name and --label say whose they are", strings.Join(names, ", "))
	}
	if names := p.rules.OfConnections(); len(names) > 0 {
		note("what the rules %s ask of connections and targets was not judged: there are files only", strings.Join(names, ", "))
	}
	if places := p.waivers.Unused(); len(places) > 0 && len(judged) > 0 {
		note("the waivers %s are for nothing that was found in these files", strings.Join(places, ", "))
	}
	p.tell(note, false)
}

// reported is what formats of findings say of verdicts.
func reported(verdicts []fileVerdict) []report.File {
	files := make([]report.File, len(verdicts))
	for i, v := range verdicts {
		files[i] = report.File{Path: v.File, Line: v.Line, Problem: v.Problem, Findings: v.Findings}
		if v.Certificate != nil {
			files[i].Name = v.Certificate.Subject
		}
	}
	return files
}

// codeAndRule names what f is: "expired", "policy:keys".
func codeAndRule(f inventory.Finding) string {
	if f.Rule == "" {
		return string(f.Code)
	}
	return string(f.Code) + ":" + report.Clean(f.Rule)
}

// waivedNote says under a finding who answers for it.
func waivedNote(f inventory.Finding) string {
	switch {
	case f.Waived != nil:
		return fmt.Sprintf(", waived until %s by %s: %s", report.Clean(f.Waived.Until), report.Clean(f.Waived.Owner), report.Clean(f.Waived.Reason))
	case f.Ignored != "":
		return ", ignored"
	}
	return ""
}

// anyCounts reports whether a finding counts that is at least as bad as limit.
func anyCounts(findings []inventory.Finding, limit inventory.Severity) bool {
	return limit != "" && slices.ContainsFunc(findings, func(f inventory.Finding) bool { return f.Counts() && f.Severity.AtLeast(limit) })
}
