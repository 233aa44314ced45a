package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/onecrl"
	"example.com/certscan/internal/verify"
)

// revocationFlags say what is asked about revocation.
type revocationFlags struct {
	mode   string
	oneCRL string
}

func (f *revocationFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.mode, "revocation", string(inventory.RevocationSoft), "ask whether certificates are revoked (`MODE`): soft (what cannot be found out is information), hard (it is critical), off")
	fs.StringVar(&f.oneCRL, "onecrl", "", "the intermediates on Mozilla's list in `FILE` (onecrl.json) are revoked")
}

// check refuses a mode that there is not.
func (f *revocationFlags) check() error {
	modes := []string{string(inventory.RevocationSoft), string(inventory.RevocationHard), string(inventory.RevocationOff)}
	if !slices.Contains(modes, f.mode) {
		return usagef("--revocation %q is not known: want %s", f.mode, strings.Join(modes, ", "))
	}
	return nil
}

// apply puts the flags into the options of judging.
func (f *revocationFlags) apply(opt *verify.Options, note func(string, ...any)) error {
	if err := f.check(); err != nil {
		return err
	}
	opt.Revocation = inventory.RevocationMode(f.mode)
	if f.oneCRL == "" {
		return nil
	}
	var problems []error
	var err error
	if opt.OneCRL, problems, err = readOneCRL(f.oneCRL); err != nil {
		return usageError{fmt.Errorf("--onecrl: %w", err)}
	}
	for _, p := range problems {
		note("--onecrl: %q: %v", f.oneCRL, p)
	}
	return nil
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
