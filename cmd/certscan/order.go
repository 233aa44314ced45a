package main

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// resumeLast takes up the last interrupted scan: its arguments, with the flags
// that are given now on top, unless targets are named again; and the targets
// that it has finished.
func (j *scanJob) resumeLast(ctx context.Context, args []string) ([]string, error) {
	info, done, err := j.db.Resumable(ctx)
	if err != nil {
		return nil, fmt.Errorf("--resume: %w", err)
	}
	j.info, j.done = info, done
	if len(args) > 0 || len(j.flags.files) > 0 {
		return args, nil
	}
	cmd, f := scanCommand(j.io)
	if err := cmd.ParseFlags(info.Arguments); err != nil {
		return nil, fmt.Errorf("--resume: arguments of scan %s: %w", info.ID, err)
	}
	for _, file := range f.files {
		if file == "-" {
			return nil, usagef("--resume: scan %s read its targets from standard input: give them again with -f -", info.ID)
		}
	}
	targets := cmd.Flags().Args()
	if len(j.io.args) > 0 {
		if err := cmd.ParseFlags(j.io.args[1:]); err != nil {
			return nil, usageError{flagError(err)}
		}
	}
	f.storeFlags, f.resume = j.flags.storeFlags, true
	j.flags = f
	j.note("resuming the scan that began at %s: certscan scan %s", info.Started.Format(time.DateTime), strings.Join(info.Arguments, " "))
	return targets, nil
}

// order reports what the scan that is resumed has finished, and returns what is
// left in the order in which it is to be examined.
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
			r, err := judgeStored(ctx, j.evidence, j.judge, st, j.settings.at)
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

// spread puts targets in the order in which they are to be examined: by a hash,
// so that names that share an address are not all asked at once, but every third
// one that failed the last time, as long as there are any, so that their timeouts
// pass while others answer. They are no more than that for the first results to
// show whether it is the network that is down.
func spread(targets []inventory.Target, failed map[string]bool) {
	type placed struct {
		hash   uint64
		target inventory.Target
	}
	var dead, rest []placed
	for _, t := range targets {
		h := fnv.New64a()
		h.Write([]byte(t.Key()))
		if p := (placed{h.Sum64(), t}); failed[t.Key()] {
			dead = append(dead, p)
		} else {
			rest = append(rest, p)
		}
	}
	for _, list := range [][]placed{dead, rest} {
		slices.SortFunc(list, func(a, b placed) int { return cmp.Compare(a.hash, b.hash) })
	}
	for i := range targets {
		from := &rest
		if len(rest) == 0 || i%3 == 2 && len(dead) > 0 {
			from = &dead
		}
		targets[i], *from = (*from)[0].target, (*from)[1:]
	}
}

func keysOf(m map[string]string) iter.Seq[string] { return maps.Keys(m) }
