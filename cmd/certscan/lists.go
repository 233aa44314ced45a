package main

import (
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
)

// listFlags are those of every command that lists something from the history.
type listFlags struct {
	storeFlags
	outputFlags
}

func (f *listFlags) add(cmd *cobra.Command) {
	f.outputFlags.add(cmd.Flags(), report.ListFormats()...)
	f.storeFlags.add(cmd.Flags())
}

// open checks the flags and opens the history.
func (f *listFlags) open(cmd *cobra.Command, io streams) (*history, error) {
	if err := f.outputFlags.check(); err != nil {
		return nil, err
	}
	db, err := openReading(cmd.Context(), io, f.storeFlags)
	if err != nil {
		return nil, err
	}
	return &history{DB: db, at: now()}, nil
}

// oneArgument demands exactly one argument, and says what it is.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("%s needs one argument, %s; got %d", cmd.Name(), what, len(args))
		}
		return nil
	}
}

func newFindingsCommand(io streams) *cobra.Command {
	var f listFlags
	var since, until string
	cmd := &cobra.Command{
		Use:   "findings",
		Short: "List what was found when, for how long, and what is still open",
		Long: `findings lists what was found when, for how long, and what is still open, in the
order in which it was found: the newest last.`,
		Example: `  certscan findings                         open now
  certscan findings --since 7d              also what was closed since
  certscan findings --since 2026-10-01 --until 2026-11-01 --format csv`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, to, err := period(since, until, now())
			if err != nil {
				return err
			}
			h, err := f.open(cmd, io)
			if err != nil {
				return err
			}
			defer h.Close()
			var spans []inventory.FindingSpan
			for s, err := range h.Findings(cmd.Context(), from, to) {
				if err != nil {
					return err
				}
				spans = append(spans, s)
			}
			return list(io, f.outputFlags, h, func(w writer, opt report.Options) error {
				return report.FindingSpans(w, f.format, slices.Values(spans), opt)
			})
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "from this `TIME` on: a date, or an age such as 7d")
	cmd.Flags().StringVar(&until, "until", "", "up to this `TIME`")
	f.add(cmd)
	return cmd
}

// period reads what --since and --until say: without both it is now.
func period(since, until string, now time.Time) (from, to time.Time, err error) {
	from, to = now, now
	if since != "" {
		if from, err = moment("--since", since, now); err != nil {
			return from, to, err
		}
	}
	if until != "" {
		if to, err = moment("--until", until, now); err != nil {
			return from, to, err
		}
		if since == "" {
			from = to
		}
	}
	if to.Before(from) {
		return from, to, usagef("--until %s is before --since %s", until, since)
	}
	return from, to, nil
}

// moment reads a time, or an age before now.
func moment(flag, s string, now time.Time) (time.Time, error) {
	if d, err := inventory.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	t, err := parseTime(flag, s)
	if err != nil {
		return t, usagef("%s %q is neither a time nor an age: want 2026-11-22, 2026-11-22T08:00:00Z or 7d", flag, s)
	}
	return t, nil
}

func newHistoryCommand(io streams) *cobra.Command {
	var f listFlags
	cmd := &cobra.Command{
		Use:     "history TARGET",
		Short:   "Show what a target served when",
		Example: `  certscan history shop.example.com`,
		Args:    oneArgument("a target"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := targetKey(args[0]); err != nil {
				return err
			}
			h, err := f.open(cmd, io)
			if err != nil {
				return err
			}
			defer h.Close()
			spans, err := byName(cmd.Context(), h, args[0], h.Spans)
			if err != nil {
				return err
			}
			return list(io, f.outputFlags, h, func(w writer, opt report.Options) error {
				return report.History(w, f.format, spans, opt)
			})
		},
	}
	f.add(cmd)
	return cmd
}

func newDiffCommand(io streams) *cobra.Command {
	var f listFlags
	var since string
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Show what appeared, changed and vanished",
		Example: `  certscan diff                    since the scan before the last
  certscan diff --since 7d
  certscan diff --since 01923f60-0000-7000-8000-000000000000`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := f.open(cmd, io)
			if err != nil {
				return err
			}
			defer h.Close()
			from, err := h.before(cmd, since)
			if err != nil {
				return err
			}
			var changes []inventory.Change
			for c, err := range h.Changes(cmd.Context(), from, h.at) {
				if err != nil {
					return err
				}
				changes = append(changes, c)
			}
			if len(changes) == 0 && (io.outWidth == 0 || f.output != "") { // a terminal is told in place of the answer
				noter(io)("nothing changed since %s", from.UTC().Format(time.DateTime))
			}
			return list(io, f.outputFlags, h, func(w writer, opt report.Options) error {
				return report.Changes(w, f.format, changes, opt)
			})
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "compare with this `DURATION|TIME|SCAN` (default: the scan before the last)")
	f.add(cmd)
	return cmd
}

// before is the moment that diff compares with.
func (h *history) before(cmd *cobra.Command, since string) (time.Time, error) {
	if since != "" {
		if t, err := moment("--since", since, h.at); err == nil {
			return t, nil
		}
		info, err := h.Scan(cmd.Context(), since)
		if err != nil {
			return time.Time{}, usagef("--since %q is no age, no time and no scan of the history", since)
		}
		return info.Ended, nil
	}
	scans, err := h.Scans(cmd.Context())
	if err != nil {
		return time.Time{}, err
	}
	if len(scans) < 2 {
		return time.Time{}, errors.New("there is nothing to compare with yet: the history holds fewer than two scans")
	}
	return scans[1].Ended, nil
}
