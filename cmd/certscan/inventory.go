package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
	"example.com/certscan/internal/verify"
)

// inventoryFlags are the flags of inventory.
type inventoryFlags struct {
	judgeFlags
	storeFlags
	outputFlags
	filterFlags
	by       string
	chainsTo string
}

func newInventoryCommand(io streams) *cobra.Command {
	var f inventoryFlags
	cmd := &cobra.Command{
		Use:   "inventory [flags] [TEXT...]",
		Short: "List what the scans have found, as of now or of a date",
		Long: `inventory lists the endpoints that the history knows, judged as of now: what was
valid when it was scanned may have expired since. Nothing is connected to. TEXT
narrows the list to targets, names, issuers, labels or addresses that contain
it.`,
		Example: `  certscan inventory --tier 30d
  certscan inventory --by issuer
  certscan inventory --by owner --label environment=prod
  certscan inventory --finding addresses_disagree
  certscan inventory --at 2026-10-01 shop.example.com
  certscan inventory --format csv -o inventory.csv
  certscan inventory forget old.example.com:443`,
		RunE: func(cmd *cobra.Command, args []string) error { return runInventory(cmd.Context(), io, f, args) },
	}
	fs := cmd.Flags()
	f.filterFlags.add(fs)
	fs.StringVar(&f.by, "by", "", "count by `PROPERTY`: "+strings.Join(report.GroupKeys(), ", "))
	fs.StringVar(&f.chainsTo, "chains-to", "", "only endpoints whose chain leads to this authority: `ISSUER|SHA256|SPKI|FILE`")
	f.judgeFlags.add(fs, verify.ProfileAuto)
	f.outputFlags.add(fs, report.Formats()...)
	f.storeFlags.add(fs)
	cmd.AddCommand(newForgetCommand(io))
	return cmd
}

func runInventory(ctx context.Context, io streams, f inventoryFlags, text []string) error {
	if err := f.outputFlags.check(); err != nil {
		return err
	}
	keep, err := f.filterFlags.filter(text)
	if err != nil {
		return err
	}
	var groups *report.Grouper
	if f.by != "" {
		if groups, err = newGroups(f); err != nil {
			return err
		}
	}
	h, err := openHistory(ctx, io, f.storeFlags, f.judgeFlags)
	if err != nil {
		return err
	}
	defer h.Close()
	if f.chainsTo != "" {
		if keep, err = f.onlyChainsTo(ctx, io, h, keep); err != nil {
			return err
		}
	}
	if groups != nil {
		return inventoryBy(ctx, io, f, h, keep, groups)
	}
	out, err := newAnswer(io, f.outputFlags, h.at, counting{policies: h.policies, failOn: inventory.Critical})
	if err != nil {
		return err
	}
	defer out.discard()
	found := false
	for r, err := range h.results(ctx) {
		if err != nil {
			return err
		}
		if r, ok := keep(r); ok {
			found = true
			if err := out.result(r); err != nil {
				return err
			}
		}
	}
	if !found && f.textAlone(text) {
		return fmt.Errorf("nothing in the inventory has %q in its name, address, certificate or labels", strings.Join(text, " "))
	}
	if _, err = out.finish(h.info(), out.ofFleet(), nil); err != nil {
		return err
	}
	h.policies.tell(noter(io), true)
	h.trust.tellUnmet(h.plain, noter(io))
	return nil
}

// onlyChainsTo narrows a filter to the endpoints whose chain leads to somebody.
func (f *inventoryFlags) onlyChainsTo(ctx context.Context, io streams, h *history, keep filter) (filter, error) {
	if !h.past.IsZero() {
		return nil, usagef("--chains-to is about what is served now: leave --at out")
	}
	ask, err := parseChainsTo(f.chainsTo)
	if err != nil {
		return nil, err
	}
	found, err := h.chainsTo(ctx, io, ask)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, ask.none()
	}
	there := make(map[inventory.View]bool, len(found))
	for _, s := range found {
		there[s.View] = true
	}
	return func(r inventory.Result) (inventory.Result, bool) {
		r.Endpoints = slices.DeleteFunc(r.Endpoints, func(e inventory.Endpoint) bool { return !there[e.Observation.View()] })
		return keep(r)
	}, nil
}

func newGroups(f inventoryFlags) (*report.Grouper, error) {
	groups, err := report.NewGrouper(f.by)
	if err != nil {
		return nil, usageError{fmt.Errorf("--by: %w", err)}
	}
	if !slices.Contains(report.ListFormats(), f.format) {
		return nil, usagef("--by has no %s format: want one of %s", f.format, strings.Join(report.ListFormats(), ", "))
	}
	return groups, nil
}

func inventoryBy(ctx context.Context, io streams, f inventoryFlags, h *history, keep filter, groups *report.Grouper) error {
	for r, err := range h.results(ctx) {
		if err != nil {
			return err
		}
		if r, ok := keep(r); ok {
			groups.Add(r)
		}
	}
	return list(io, f.outputFlags, h, func(w writer, opt report.Options) error {
		return report.Groups(w, f.format, groups.Groups(), opt)
	})
}

func newForgetCommand(io streams) *cobra.Command {
	var f storeFlags
	cmd := &cobra.Command{
		Use:     "forget TARGET...",
		Short:   "Stop listing a target; its history stays until it is pruned",
		Example: `  certscan inventory forget old.example.com:443`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("forget needs a target, as inventory prints it")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var keys []string
			for _, a := range args {
				key, err := targetKey(a)
				if err != nil {
					return err
				}
				keys = append(keys, key)
			}
			db, err := openForChange(cmd.Context(), io, f)
			if err != nil {
				return err
			}
			defer db.Close()
			for _, key := range keys {
				n, err := db.Forget(cmd.Context(), key)
				if err != nil {
					return unknownTarget(key, err)
				}
				views := "views"
				if n == 1 {
					views = "view"
				}
				fmt.Fprintf(io.out, "%s: forgotten, with %d %s\n", key, n, views)
			}
			return nil
		},
	}
	f.add(cmd.Flags())
	return cmd
}

// filterFlags narrow a list of results.
type filterFlags struct {
	labels  []string
	issuer  string
	tier    string
	finding string
}

func (f *filterFlags) add(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.labels, "label", nil, "only targets with the label `KEY=VALUE`; repeatable")
	fs.StringVar(&f.issuer, "issuer", "", "only certificates whose issuer contains `TEXT`")
	fs.StringVar(&f.tier, "tier", "", "only what is in this `TIER` or nearer to expiry: 30d, expired")
	fs.StringVar(&f.finding, "finding", "", "only endpoints with the finding `CODE`")
}

// textAlone reports whether text is all that narrows the list, so that it is
// wrong if nothing is left. That nothing is in a tier is an answer.
func (f *inventoryFlags) textAlone(text []string) bool {
	return len(text) > 0 && len(f.labels) == 0 && f.issuer == "" && f.tier == "" && f.finding == "" && f.chainsTo == ""
}

// A filter takes from a result what does not belong, and reports whether
// anything is left.
type filter func(inventory.Result) (inventory.Result, bool)

func (f *filterFlags) filter(text []string) (filter, error) {
	labels, err := parseLabels(f.labels)
	if err != nil {
		return nil, err
	}
	nearest := time.Duration(-1)
	if f.tier != "" {
		if nearest, err = tierSize(inventory.Tier(f.tier)); err != nil {
			return nil, usageError{fmt.Errorf("--tier %w", err)}
		}
	}
	if f.finding != "" {
		if err := knownCode("--finding", f.finding); err != nil {
			return nil, err
		}
	}
	return func(r inventory.Result) (inventory.Result, bool) {
		for k, v := range labels {
			if r.Target.Label(k) != v {
				return r, false
			}
		}
		ofTarget := has(r.Judgement.Findings, inventory.Code(f.finding))
		r.Endpoints = slices.DeleteFunc(r.Endpoints, func(e inventory.Endpoint) bool {
			j := e.Judgement
			switch {
			case f.finding != "" && !ofTarget && !has(j.Findings, inventory.Code(f.finding)),
				f.issuer != "" && (j.Certificate == nil || !contains(j.Certificate.Issuer, f.issuer)),
				nearest >= 0 && !within(j.Tier, nearest):
				return true
			}
			return !slices.ContainsFunc(text, func(s string) bool { return mentions(r.Target, e, s) }) && len(text) > 0
		})
		return r, len(r.Endpoints) > 0
	}, nil
}

func has(findings []inventory.Finding, c inventory.Code) bool {
	return slices.ContainsFunc(findings, func(f inventory.Finding) bool { return f.Code == c })
}

func contains(s, part string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(part))
}

// tierSize is the distance that a tier is named after.
func tierSize(t inventory.Tier) (time.Duration, error) {
	if t == inventory.TierExpired {
		return 0, nil
	}
	return inventory.ParseDuration(string(t))
}

// within reports whether t is a tier, and no further from expiry than limit.
func within(t inventory.Tier, limit time.Duration) bool {
	size, err := tierSize(t)
	return t != "" && err == nil && size <= limit
}

// mentions reports whether text stands anywhere in what identifies e.
func mentions(t inventory.Target, e inventory.Endpoint, text string) bool {
	if contains(t.Key(), text) || contains(e.Observation.Address, text) {
		return true
	}
	for _, v := range t.Labels {
		if contains(v, text) {
			return true
		}
	}
	c := e.Judgement.Certificate
	return c != nil && (contains(c.Subject, text) || contains(c.Issuer, text) || contains(c.SHA256.String(), text) ||
		slices.ContainsFunc(c.Names, func(n string) bool { return contains(n, text) }))
}
