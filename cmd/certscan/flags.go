package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// storeFlags say where history is kept.
type storeFlags struct{ db string }

func (f *storeFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.db, "db", "", "SQLite `FILE` with the history (default certscan/certscan.db in the state directory, $XDG_STATE_HOME)")
}

// path is where the database is: the flag's, or the state directory's of the
// XDG Base Directory Specification.
func (f *storeFlags) path(env func(string) string) (string, error) {
	path, err := historyPath(f.db, env)
	switch {
	case errors.Is(err, errNoHome):
		return "", usagef("%w: give --db FILE, or --no-store", err)
	case err != nil:
		return "", usageError{fmt.Errorf("--db: %w", err)}
	}
	return path, nil
}

var errNoHome = errors.New("no home directory to keep history in")

// historyPath is path, or if that is "" where the database is by default.
func historyPath(path string, env func(string) string) (string, error) {
	if path != "" {
		return path, plainFile(path)
	}
	state := env("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // relative ones are to be ignored, says the specification
		home := env("HOME")
		if home == "" {
			return "", errNoHome
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "certscan", "certscan.db"), nil
}

// outputFlags say how the answer is written, and where.
type outputFlags struct {
	format  string
	output  string
	formats []string
}

func (f *outputFlags) add(fs *pflag.FlagSet, formats ...string) {
	f.formats = formats
	fs.StringVar(&f.format, "format", formats[0], "write `FORMAT`: "+strings.Join(formats, ", "))
	fs.StringVarP(&f.output, "output", "o", "", "write to `FILE` instead of standard output; it is replaced when the answer is complete")
}

func (f *outputFlags) check() error {
	if !slices.Contains(f.formats, f.format) {
		return usagef("--format %q is not known: want one of %s", f.format, strings.Join(f.formats, ", "))
	}
	return nil
}

// judgeFlags say how certificates are judged.
type judgeFlags struct {
	requirementFlags
	trustFlags
	policyFlags
	tiers string
	at    string
}

func (f *judgeFlags) add(fs *pflag.FlagSet, profile verify.Profile) {
	f.requirementFlags.add(fs, profile)
	f.trustFlags.add(fs)
	f.policyFlags.add(fs)
	fs.StringVar(&f.tiers, "tiers", "60d,30d,14d,7d,3d", "distances to expiry at which to tell, a `LIST`, for lifetimes of 90 days or more; shorter ones in proportion")
	fs.StringVar(&f.at, "at", "", "judge as of `TIME` (RFC 3339 or YYYY-MM-DD) instead of now")
}

// time is the moment to judge at, and whether it was asked for.
func (f *judgeFlags) time() (time.Time, bool, error) {
	if f.at == "" {
		return now(), false, nil
	}
	t, err := parseTime("--at", f.at)
	return t, true, err
}

func parseTime(flag, s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, usagef("%s %q is not a time: want 2026-11-22T08:00:00Z or 2026-11-22", flag, s)
}

// parseTiers reads "60d,30d,14d".
func parseTiers(s string) ([]time.Duration, error) {
	var tiers []time.Duration
	for part := range strings.SplitSeq(s, ",") {
		d, err := inventory.ParseDuration(strings.TrimSpace(part))
		if err != nil || d <= 0 {
			return nil, usagef("--tiers %q: %q is not a distance: want days or hours, such as 60d,30d,14d,7d,3d", s, part)
		}
		if slices.Contains(tiers, d) {
			return nil, usagef("--tiers %q: %q stands there twice", s, part)
		}
		tiers = append(tiers, d)
	}
	slices.Sort(tiers)
	slices.Reverse(tiers)
	return tiers, nil
}

// parseOffers reads "default", "all" or a list.
func parseOffers(s string) ([]inventory.Offer, error) {
	all := []inventory.Offer{inventory.OfferDefault, inventory.OfferECDSA, inventory.OfferRSA, inventory.OfferNoSNI}
	if s == "all" {
		return all, nil
	}
	offers := []inventory.Offer{inventory.OfferDefault} // the others are compared with it
	for part := range strings.SplitSeq(s, ",") {
		o := inventory.Offer(strings.TrimSpace(part))
		if !slices.Contains(all, o) {
			return nil, usagef("--offers %q: %q is not known: want all, or some of default, ecdsa, rsa, no_sni", s, part)
		}
		if !slices.Contains(offers, o) {
			offers = append(offers, o)
		}
	}
	return offers, nil
}

// parseResolve reads NAME=ADDR[,ADDR] into addresses by name.
func parseResolve(flags []string) (map[string][]netip.Addr, error) {
	pinned := make(map[string][]netip.Addr)
	for _, s := range flags {
		name, list, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, usagef("--resolve %q: want NAME=ADDRESS[,ADDRESS]", s)
		}
		key := strings.ToLower(strings.TrimSuffix(name, "."))
		for part := range strings.SplitSeq(list, ",") {
			a, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(part), "[]"))
			if err != nil {
				return nil, usagef("--resolve %q: %q is not an IP address", s, part)
			}
			pinned[key] = append(pinned[key], a.Unmap())
		}
	}
	return pinned, nil
}

// parseLabels reads K=V.
func parseLabels(flags []string) (map[string]string, error) {
	labels := make(map[string]string)
	for _, s := range flags {
		k, v, ok := strings.Cut(s, "=")
		if !ok || k == "" {
			return nil, usagef("--label %q: want KEY=VALUE", s)
		}
		labels[inventory.LabelName(k)] = v
	}
	return labels, nil
}

// parseIgnores reads CODE[@TARGET].
func parseIgnores(flags []string) ([]ignore, error) {
	var ignores []ignore
	for _, s := range flags {
		code, target, at := strings.Cut(s, "@")
		if at && target == "" {
			return nil, usagef("--ignore %q: there is nothing after the @: want CODE@TARGET, or CODE for all targets", s)
		}
		if err := knownCode("--ignore", code); err != nil {
			return nil, err
		}
		ignores = append(ignores, ignore{inventory.Code(code), target})
	}
	return ignores, nil
}

// knownCode refuses what is no code of a finding that targets can have.
func knownCode(flag, code string) error {
	if inventory.Code(code).OwnSide() {
		return usagef("%s: %s is about certscan itself and no target: see certscan findings", flag, code)
	}
	var codes []string
	for _, i := range inventory.Codes() {
		if !i.Code.OwnSide() {
			codes = append(codes, string(i.Code))
		}
	}
	if slices.Contains(codes, code) {
		return nil
	}
	slices.Sort(codes)
	return usagef("%s: there is no finding %q: want one of %s", flag, code, strings.Join(codes, ", "))
}

// parseSeverity reads the limit of --fail-on; "never" is "".
func parseSeverity(s string) (inventory.Severity, error) {
	switch s {
	case "critical", "warning":
		return inventory.Severity(s), nil
	case "never":
		return "", nil
	}
	return "", usagef("--fail-on %q is not known: want critical, warning or never", s)
}

// partialSuffix marks the answer of a scan that was interrupted.
const partialSuffix = ".partial"

// replaceFile is a file that takes its place when it is complete, so that a
// reader never sees half an answer and an old one survives a failure.
type replaceFile struct {
	f       *os.File
	path    string // as asked for
	real    string // the place to take: path, behind links
	inPlace bool   // f is path itself
}

func createReplacing(path string) (*replaceFile, error) {
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() { // a pipe or a device is written as it is
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, outputError(path, err)
		}
		return &replaceFile{f, path, path, true}, nil
	}
	// What a link points at is replaced, and not the link.
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = path // there is nothing yet
	}
	f, err := createBeside(real)
	if err != nil {
		return nil, outputError(path, err)
	}
	r := &replaceFile{f, path, real, false}
	if st, err := os.Stat(real); err == nil { // it stays as private as it was
		if err := f.Chmod(st.Mode().Perm()); err != nil {
			r.discard()
			return nil, outputError(path, err)
		}
	}
	return r, nil
}

// createBeside creates a file with a name of its own in the directory of path.
// Other than that of [os.CreateTemp] its mode is what the umask says.
func createBeside(path string) (*os.File, error) {
	for try := 0; ; try++ {
		name := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%08x", filepath.Base(path), rand.Uint32()))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) || try == 100 {
			return f, err
		}
	}
}

// Write implements [io.Writer].
func (r *replaceFile) Write(p []byte) (int, error) {
	n, err := r.f.Write(p)
	if err != nil {
		return n, outputError(r.path, err)
	}
	return n, nil
}

// commit puts the file in its place.
func (r *replaceFile) commit() error {
	err := r.f.Close()
	if err == nil && !r.inPlace {
		err = os.Rename(r.f.Name(), r.real)
	}
	if err != nil {
		return outputError(r.path, err)
	}
	return nil
}

// aside lets the file take a place beside its own, because it is not the whole
// answer, and an older one that is whole is worth more.
func (r *replaceFile) aside() {
	if !r.inPlace {
		r.real += partialSuffix
		r.path = r.real
	}
}

// discard removes what was written, if it was not committed.
func (r *replaceFile) discard() {
	if r.f.Close() == nil && !r.inPlace {
		os.Remove(r.f.Name())
	}
}

// outputError names the file that was asked for in err, and not the one that is
// to take its place.
func outputError(path string, err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	} else if l, ok := errors.AsType[*os.LinkError](err); ok {
		err = l.Err
	}
	return fmt.Errorf("--output %q: %w", path, err)
}
