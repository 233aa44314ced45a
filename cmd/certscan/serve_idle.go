package main

import (
	"context"
	"fmt"
	"slices"

	"example.com/certscan/internal/config"
	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/inventory"
)

// tellIdle tells once what the present configuration has that is for none of the
// targets, when all sources were read; and whom its distrust lists name in vain,
// when all targets were judged. It is called for one fleet after the other.
func (d *daemon) tellIdle(ctx context.Context, f discover.Fleet) {
	c := d.config.Load()
	if c == d.toldIdle || slices.ContainsFunc(f.Sources, func(s inventory.SourceStatus) bool { return !s.Up }) {
		return
	}
	d.toldIdle = c
	for _, i := range idle(c.Config, f.Targets) {
		d.log.WarnContext(ctx, "for none of the targets", "key", i.key, "name", i.name, "selector", i.selector.String())
	}
	keys := make([]string, len(f.Targets))
	for i, t := range f.Targets {
		keys[i] = t.Key()
	}
	d.ledger.whenJudged(keys, func() {
		b := d.judge.bench.Load()
		b.trust.tellUnmet(b.plain, d.note)
	})
}

// An idler is a part of a configuration that is for some targets.
type idler struct {
	key, name string
	selector  inventory.Selector
}

// idle returns what in c selects none of the targets. What is selected by
// findings is not known from targets.
func idle(c *config.Config, targets []inventory.Target) (list []idler) {
	for i, r := range c.Policy.Rules {
		list = append(list, idler{fmt.Sprintf("policy.rules[%d]", i), r.Name, r.Targets})
	}
	for i, r := range c.Policy.Severities {
		list = append(list, idler{fmt.Sprintf("policy.severities[%d]", i), string(r.Code), r.Targets})
	}
	for i, w := range c.Waivers {
		list = append(list, idler{fmt.Sprintf("waivers[%d]", i), w.Owner, w.Targets})
	}
	for i, r := range c.Trust.RootsFor {
		list = append(list, idler{fmt.Sprintf("trust.roots_for[%d]", i), r.Store, r.Targets})
	}
	return slices.DeleteFunc(list, func(i idler) bool {
		return i.selector.IsZero() || i.selector.OfFindings() || slices.ContainsFunc(targets, i.selector.Match)
	})
}
