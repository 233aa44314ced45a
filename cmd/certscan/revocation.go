package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/onecrl"
	"example.com/certscan/internal/report"
	"example.com/certscan/internal/verify"
)

// revocationFlags say what is asked about revocation.
type revocationFlags struct {
	revocation string
	oneCRL     string
}

func (f *revocationFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.revocation, "revocation", "", "ask whether certificates are revoked (`MODE`): soft (what cannot be found out is information), hard (it is critical), off (default soft; for what is stored, that of the last scan)")
	fs.StringVar(&f.oneCRL, "onecrl", "", "the intermediates on Mozilla's list in `FILE` (onecrl.json) are revoked (default for what is stored: that of the last scan)")
}

// revocation is what is asked. The zero value is the default.
type revocation struct {
	mode inventory.RevocationMode
	list []inventory.OneCRLEntry
	path string // of the list, "" if there is none
}

// load checks the mode and reads the list.
func (f *revocationFlags) load(note func(string, ...any)) (r revocation, err error) {
	modes := []string{string(inventory.RevocationSoft), string(inventory.RevocationHard), string(inventory.RevocationOff)}
	if f.revocation != "" && !slices.Contains(modes, f.revocation) {
		return r, usagef("--revocation %q is not known: want %s", f.revocation, strings.Join(modes, ", "))
	}
	r.mode = inventory.RevocationMode(f.revocation)
	if f.oneCRL == "" {
		return r, nil
	}
	if r.path, err = filepath.Abs(f.oneCRL); err != nil { // the history has to find it again from elsewhere
		r.path = f.oneCRL
	}
	var problems []error
	if r.list, problems, err = readOneCRL(f.oneCRL); err != nil {
		return r, usageError{fmt.Errorf("--onecrl: %w", err)}
	}
	for _, p := range problems {
		note("--onecrl: %q: %v", f.oneCRL, p)
	}
	return r, nil
}

// again takes what the last scan asked, unless the flags say something else.
func (f *revocationFlags) again(last inventory.ScanInfo, note func(string, ...any)) {
	was := last.Revocation
	if was == nil { // of a version that asked nothing
		was = &inventory.RevocationInfo{Mode: inventory.RevocationOff}
	}
	f.revocation = cmp.Or(f.revocation, string(was.Mode))
	if f.oneCRL != "" || was.OneCRL == "" {
		return
	}
	if !readable(was.OneCRL) {
		note("the last scan took %s for a list of revoked intermediates, which cannot be read now: --onecrl names another", was.OneCRL)
		return
	}
	f.oneCRL = was.OneCRL
}

// apply puts it into the options of judging.
func (r revocation) apply(opt *verify.Options) {
	opt.Revocation, opt.OneCRL = cmp.Or(r.mode, inventory.RevocationSoft), r.list
}

// info names it for the record and the history.
func (r revocation) info() *inventory.RevocationInfo {
	return &inventory.RevocationInfo{Mode: cmp.Or(r.mode, inventory.RevocationSoft), OneCRL: r.path, Entries: len(r.list)}
}

func readOneCRL(path string) ([]inventory.OneCRLEntry, []error, error) {
	if err := plainFile(path); err != nil {
		return nil, nil, err
	}
	r, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	list, problems, err := onecrl.Read(r)
	if err != nil {
		return nil, nil, fmt.Errorf("%q: %w", path, err)
	}
	return list, problems, nil
}

// revocationLine tells a person what is known of revocation, if it was asked for.
func revocationLine(w writer, v *inventory.Verdict, opt report.Options) {
	if v == nil || v.Revocation.Status == inventory.NotChecked || v.Revocation.Status == "" {
		return
	}
	r := &v.Revocation
	text := r.Status
	if r.Reason != "" {
		text += ", " + r.Reason
	}
	if r.Source != "" {
		text += ", by " + r.Source
	}
	if !r.CheckedAt.IsZero() {
		text += " of " + r.CheckedAt.UTC().Format("2006-01-02 15:04 MST")
	}
	if r.Detail != "" {
		text += ": " + r.Detail
	}
	report.Fact(w, "Revocation", report.Clean(text), opt)
}
