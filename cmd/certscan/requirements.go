package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"example.com/certscan/internal/blocklist"
	"example.com/certscan/internal/verify"
)

// requirementFlags say what is demanded of certificates besides that clients
// accept them.
type requirementFlags struct {
	profile  string
	weakKeys string
}

func (f *requirementFlags) add(fs *pflag.FlagSet, profile verify.Profile) {
	fs.StringVar(&f.profile, "profile", string(profile), "hold certificates to the rules for public CAs (`PROFILE`): auto (those of public roots), public (all), private (none)")
	fs.StringVar(&f.weakKeys, "weak-keys", "", "find the keys that are on the list in `FILE`, such as Debian's openssl-blacklist")
}

// apply puts the flags into the options of judging.
func (f *requirementFlags) apply(opt *verify.Options) error {
	opt.Profile = verify.Profile(f.profile)
	if !slices.Contains([]verify.Profile{verify.ProfileAuto, verify.ProfilePublic, verify.ProfilePrivate}, opt.Profile) {
		return usagef("--profile %q is not known: want auto, public or private", f.profile)
	}
	if f.weakKeys == "" {
		return nil
	}
	list, err := readBlocklist(f.weakKeys)
	if err != nil {
		return usageError{fmt.Errorf("--weak-keys: %w", err)}
	}
	opt.Blocklist = list
	return nil
}

func readBlocklist(path string) (*blocklist.List, error) {
	if err := plainFile(path); err != nil {
		return nil, err
	}
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	list, err := blocklist.Read(r)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return list, nil
}
