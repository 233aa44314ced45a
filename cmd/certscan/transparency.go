package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"example.com/certscan/internal/ct"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
	"example.com/certscan/internal/scan"
	"example.com/certscan/internal/verify"
)

// transparencyFlags say which Certificate Transparency logs are known.
type transparencyFlags struct{ logList string }

func (f *transparencyFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.logList, "ct-log-list", "", "verify SCTs against the logs in `FILE`, a list as browsers have it (JSON, version 3); without, that some are there is all that is known (default for what is stored: that of the last scan)")
}

// logList is the list that SCTs are verified against, and where it is from.
type logList struct {
	list *inventory.LogList // nil: there is none
	path string
}

// load reads the list that the flag names, if it does.
func (f *transparencyFlags) load(note func(string, ...any)) (l logList, err error) {
	if f.logList == "" {
		return l, nil
	}
	if l.path, err = filepath.Abs(f.logList); err != nil { // the history has to find it again from elsewhere
		l.path = f.logList
	}
	if l.list, err = readLogList(f.logList, note); err != nil {
		return l, usageError{fmt.Errorf("--ct-log-list: %w", err)}
	}
	return l, nil
}

// again takes the list of the last scan, unless the flag names one.
func (f *transparencyFlags) again(last inventory.ScanInfo, note func(string, ...any)) {
	if f.logList != "" || last.LogList == nil || last.LogList.Name == "" {
		return
	}
	if f.logList = last.LogList.Name; !readable(f.logList) {
		note("the last scan verified SCTs against %s, which cannot be read now: --ct-log-list names another", f.logList)
		f.logList = ""
	}
}

// readLogList reads a list, and tells which logs in it cannot be used.
func readLogList(path string, note func(string, ...any)) (*inventory.LogList, error) {
	if err := plainFile(path); err != nil {
		return nil, err
	}
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	list, problems, err := ct.ReadLogList(r)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	const most = 3 // of which each is told
	for i, p := range problems {
		if i == most {
			note("log list %q: %d further logs cannot be used", path, len(problems)-most)
			break
		}
		note("log list %q: %v; the others are used", path, p)
	}
	if list.Date.IsZero() {
		note("log list %q: it does not say of when it is, so nobody knows whether it is current", path)
	}
	return &list, nil
}

// tellStale tells that the list is too old to say which logs count, once and as
// a fault of our own side.
func (l logList) tellStale(at time.Time, own *scan.OwnSide, note func(string, ...any)) {
	if l.list == nil || !verify.LogListIsStale(l.list.Date, at) {
		return
	}
	m := fmt.Sprintf("the list of CT logs is of %s, more than 70 days old, so it does not say which logs count now and SCTs stay unverifiable: give --ct-log-list a newer one",
		l.list.Date.Format(time.DateOnly))
	note("%s", m)
	if own != nil {
		own.Add(inventory.FaultStaleLogList, m)
	}
}

// timestamps writes what the SCTs prove, where they matter.
func timestamps(w writer, v *inventory.Verdict, opt report.Options) {
	if v == nil || v.CT.Status == inventory.CTNotApplicable && len(v.CT.SCTs) == 0 {
		return
	}
	said := strings.Join(nonEmpty(v.CT.Status, v.CT.Detail), ": ")
	report.Fact(w, "SCTs", report.Clean(said), opt)
	for _, s := range v.CT.SCTs {
		what := s.Status
		if s.Detail != "" {
			what += ": " + s.Detail
		}
		from := ""
		if s.Log != "" {
			from = fmt.Sprintf(" of %s (%s)", s.Log, s.Operator)
		}
		report.Fact(w, "", report.Clean(fmt.Sprintf("by %s%s: %s", s.Source, from, what)), opt)
	}
}

// tellStale tells once what is too old to judge by.
func (j *scanJob) tellStale() {
	note := j.note
	if j.flags.format == "table" { // which tells it itself
		note = func(string, ...any) {}
	}
	j.trust.tellStale(j.own, note)
	j.trust.logs.tellStale(j.settings.at, j.own, note)
}

// info names the list for the record and the history.
func (l logList) info() *inventory.LogListInfo {
	if l.list == nil {
		return nil
	}
	info := &inventory.LogListInfo{Name: l.path, Version: l.list.Version, Logs: len(l.list.Logs)}
	if !l.list.Date.IsZero() {
		info.Date = l.list.Date.Format(time.DateOnly)
	}
	return info
}
