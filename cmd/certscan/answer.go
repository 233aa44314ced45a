package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
	"example.com/certscan/internal/scan"
	"example.com/certscan/internal/verify"
)

// ignore is a finding that somebody has decided not to count.
type ignore struct {
	code   inventory.Code
	target string // key or host; "" is everywhere
}

// counting says which findings count.
type counting struct {
	ignores  []ignore
	baseline map[inventory.FindingKey]bool
	policies *policies
	failOn   inventory.Severity // for formats that tell failures; "" is never
}

// mark marks those of t's findings that do not count. They stay visible.
func (c counting) mark(t inventory.Target, findings []inventory.Finding) {
	for i := range findings {
		f := &findings[i]
		switch {
		case f.Waived != nil:
		case slices.ContainsFunc(c.ignores, func(g ignore) bool {
			return g.code == f.Code && (g.target == "" || g.target == t.Host || g.target == t.Key() || g.target == f.Subject.ID)
		}):
			f.Ignored = "flag"
		case c.baseline[f.Key()] && !c.policies.returned(t, *f):
			f.Ignored = "baseline"
		}
	}
}

// answer is a report being written, with the sums over what it was given.
type answer struct {
	handler  report.Handler
	tally    report.Tally
	fleet    *verify.Fleet
	counting counting
	file     *replaceFile // nil: standard output
	badRows  int          // of the target lists
	unrooted unrooted
}

func newAnswer(io streams, f outputFlags, at time.Time, c counting) (*answer, error) {
	a := &answer{fleet: verify.NewFleet(), counting: c, unrooted: make(unrooted)}
	a.tally.Now = at
	w, opt, err := a.open(io, f)
	if err != nil {
		return nil, err
	}
	opt.Now, opt.FailOn, opt.Locate = at, c.failOn, new(locator).line
	if a.handler, err = report.New(f.format, w, opt); err != nil {
		a.discard()
		return nil, usageError{err}
	}
	return a, nil
}

// open opens the output: a terminal, a pipe, or a file that takes its place at
// the end.
func (a *answer) open(io streams, f outputFlags) (io.Writer, report.Options, error) {
	if f.output == "" || f.output == "-" {
		return io.out, report.Options{Width: io.outWidth, Color: io.colour()}, nil
	}
	var err error
	a.file, err = createReplacing(f.output)
	return a.file, report.Options{}, err
}

// result reports one target.
func (a *answer) result(r inventory.Result) error {
	a.counting.policies.mark(r)
	for i := range r.Endpoints {
		a.counting.mark(r.Target, r.Endpoints[i].Judgement.Findings)
	}
	a.counting.mark(r.Target, r.Judgement.Findings)
	a.tally.Add(r)
	a.fleet.Add(r)
	a.unrooted.add(r)
	return a.handler.Result(r)
}

// ofFleet are the findings that belong to no single target.
func (a *answer) ofFleet() []inventory.Finding { return a.counting.policies.fleet(a.fleet.Findings()) }

// finish writes the summary and puts the answer in its place. own is nil where
// nothing was examined.
func (a *answer) finish(info inventory.ScanInfo, fleet []inventory.Finding, own *scan.OwnSide) (inventory.Summary, error) {
	a.counting.mark(inventory.Target{}, fleet)
	a.tally.AddFindings(fleet...)
	sum := a.tally.Summary()
	sum.Partial = info.Partial
	sum.BadRows = a.badRows
	sum.TargetsNotExamined += a.badRows
	if own != nil {
		sum.OwnFaults = own.Faults()
		sum.TargetsNotExamined += own.NotExamined()
	}
	if err := a.handler.Close(info, sum); err != nil {
		return sum, fmt.Errorf("write the answer: %w", err)
	}
	if a.file != nil {
		if info.Partial {
			a.file.aside()
		}
		return sum, a.file.commit()
	}
	return sum, nil
}

// discard drops an answer that was not finished.
func (a *answer) discard() {
	if a.file != nil {
		a.file.discard()
	}
}

// all iterates over list.
func all(list []inventory.Target) func(context.Context) iter.Seq[inventory.Target] {
	return func(context.Context) iter.Seq[inventory.Target] { return slices.Values(list) }
}
