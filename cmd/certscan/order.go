package main

import (
	"context"
	"hash/fnv"
	"iter"
	"maps"
	"slices"

	"example.com/certscan/internal/inventory"
)

// order reports what the scan that is resumed has finished, and returns what is
// left in the order in which it is to be examined: first what failed the last
// time, so that its timeouts pass while others answer; the rest spread by a
// hash, so that names that share an address are not all asked at once.
func (j *scanJob) order(ctx context.Context, out *answer) ([]inventory.Target, error) {
	todo := j.targets
	if j.done != nil {
		todo = nil
		for _, t := range j.targets {
			if !j.done(t.Key()) {
				todo = append(todo, t)
				continue
			}
			st, err := j.db.Target(ctx, t.Key())
			if err != nil {
				return nil, err
			}
			r, err := judgeStored(ctx, j.db, j.judge, st, j.settings.at)
			if err != nil {
				return nil, err
			}
			if err := out.result(r); err != nil {
				return nil, err
			}
		}
	}
	failed := map[string]bool{}
	if j.db != nil {
		var err error
		if failed, err = j.db.LastFailed(ctx); err != nil {
			return nil, err
		}
	}
	spread(todo, failed)
	return todo, nil
}

// spread sorts targets as [scanJob.order] says.
func spread(targets []inventory.Target, failed map[string]bool) {
	type place struct {
		hash  uint64
		later bool
	}
	type placed struct {
		place
		target inventory.Target
	}
	list := make([]placed, len(targets))
	for i, t := range targets {
		h := fnv.New64a()
		h.Write([]byte(t.Key()))
		list[i] = placed{place{h.Sum64(), !failed[t.Key()]}, t}
	}
	slices.SortFunc(list, func(a, b placed) int {
		switch {
		case a.later != b.later && b.later:
			return -1
		case a.later != b.later:
			return 1
		case a.hash < b.hash:
			return -1
		case a.hash > b.hash:
			return 1
		}
		return 0
	})
	for i, p := range list {
		targets[i] = p.target
	}
}

func keysOf(m map[string]string) iter.Seq[string] { return maps.Keys(m) }
