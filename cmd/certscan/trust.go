package main

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"example.com/certscan/internal/certfile"
	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
	"example.com/certscan/internal/scan"
	"example.com/certscan/internal/store"
	"example.com/certscan/internal/verify"
)

// trustFlags say what is trusted, for which targets, and who is not.
type trustFlags struct {
	transparencyFlags
	revocationFlags
	roots    []string
	rootsFor []string
	distrust []string
}

func (f *trustFlags) add(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.roots, "roots", nil, "trust `STORE`: system, mozilla, or a file or directory of certificates; repeatable, the first decides (default system; for what is stored, those of the last scan)")
	fs.StringArrayVar(&f.rootsFor, "roots-for", nil, "for the targets that a selector chooses, another store decides: `SELECTOR=STORE`, such as environment=internal=corp.pem; repeatable, the first that fits")
	fs.StringArrayVar(&f.distrust, "distrust", nil, "trust no chain over whom `FILE` (YAML or JSON) names, in addition to the built-in list; repeatable")
	f.transparencyFlags.add(fs)
	f.revocationFlags.add(fs)
}

// given reports whether a flag says what is trusted.
func (f *trustFlags) given() bool { return len(f.roots)+len(f.rootsFor) > 0 }

// trust is what chains are judged by.
type trust struct {
	stores   []inventory.TrustStore
	distrust []inventory.DistrustList
	logs     logList

	revocation revocation
}

// apply makes opt judge by it.
func (t trust) apply(opt *verify.Options) {
	opt.Stores, opt.Distrust, opt.Logs = t.stores, t.distrusted(), t.logs.list
	t.revocation.apply(opt)
}

func (t trust) distrusted() (all []inventory.Distrusted) {
	for _, l := range t.distrust {
		all = append(all, l.Entries...)
	}
	return all
}

// note writes into info what it was, for reports and for the history.
func (t trust) note(info *inventory.ScanInfo) {
	info.Stores = evidence.Infos(t.stores)
	info.Distrust = make([]inventory.DistrustInfo, 0, len(t.distrust))
	for _, l := range t.distrust {
		info.Distrust = append(info.Distrust, inventory.DistrustInfo{Name: l.Name, Date: l.Date, Entries: len(l.Entries)})
	}
	info.LogList = t.logs.info()
	info.Revocation = t.revocation.info()
}

// load reads the stores and lists, and tells what is odd about them.
func (f trustFlags) load(note func(string, ...any)) (t trust, err error) {
	roots := slices.Clone(f.roots)
	if len(roots) == 0 {
		roots = []string{evidence.StoreSystem}
	}
	if t.stores, err = loadStores("--roots", roots); err != nil {
		return t, err
	}
	for _, s := range f.rootsFor {
		if err := t.decideFor(s); err != nil {
			return t, err
		}
	}
	for _, s := range t.stores {
		if s.Note != "" {
			note("trust store %s: %s", s.Name, s.Note)
		}
	}
	lists := make([]string, 0, len(f.distrust))
	for _, path := range f.distrust { // the history has to find it again from elsewhere
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		lists = append(lists, path)
	}
	if t.distrust, err = evidence.DistrustLists(lists); err != nil {
		return t, usageError{fmt.Errorf("--distrust: %w", err)}
	}
	if t.revocation, err = f.revocationFlags.load(note); err != nil {
		return t, err
	}
	t.logs, err = f.transparencyFlags.load(note)
	return t, err
}

// loadStores reads trust stores by name or path.
func loadStores(flag string, specs []string) ([]inventory.TrustStore, error) {
	for i, s := range specs { // the history has to find it again from elsewhere
		if abs, err := filepath.Abs(s); err == nil && s != evidence.StoreSystem && s != evidence.StoreMozilla {
			specs[i] = abs
			if err := plainFile(abs); err != nil {
				return nil, usageError{fmt.Errorf("%s: %w", flag, err)}
			}
		}
	}
	stores, err := evidence.Stores(specs, evidence.StoreOptions{Decode: certfile.Decode})
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", flag, err)}
	}
	return stores, nil
}

// storeIn is where in SELECTOR=STORE the store begins: behind the last =, since
// selectors are full of them, unless there is a file only behind an earlier one.
func storeIn(s string) int {
	last := strings.LastIndexByte(s, '=')
	for i := last; i > 0; i = strings.LastIndexByte(s[:i], '=') {
		name := s[i+1:]
		if _, err := inventory.ParseSelector(s[:i]); err == nil && name != "" && (name == evidence.StoreSystem || name == evidence.StoreMozilla || exists(name)) {
			return i
		}
	}
	return last
}

// decideFor adds a store that decides for some targets.
func (t *trust) decideFor(s string) error {
	i := storeIn(s)
	if i <= 0 || i == len(s)-1 {
		return usagef("--roots-for %q: want SELECTOR=STORE, such as environment=internal=/etc/pki/corp.pem", s)
	}
	sel, err := inventory.ParseSelector(s[:i])
	if err != nil {
		return usageError{fmt.Errorf("--roots-for %q: selector: %w", s, err)}
	}
	if sel.IsZero() || sel.OfFindings() {
		return usagef("--roots-for %q: the selector %q has to choose some targets by what they are; --roots is for all", s, s[:i])
	}
	stores, err := loadStores("--roots-for", []string{s[i+1:]})
	if err != nil {
		return err
	}
	for _, more := range stores {
		k := slices.IndexFunc(t.stores, func(o inventory.TrustStore) bool { return o.Name == more.Name })
		if k < 0 {
			more.Only = true
			k, t.stores = len(t.stores), append(t.stores, more)
		} else if !t.stores[k].Only && t.general() == k {
			return usagef("--roots-for %q: %s decides for all targets already; name another store first with --roots", s, more.Name)
		}
		t.stores[k].For = append(t.stores[k].For, sel)
	}
	return nil
}

// tellUnmet tells whom the files of --distrust name and nobody chains to, which
// may be well, or a slip of the pen.
func (t trust) tellUnmet(judge *verify.Judge, note func(string, ...any)) {
	unmet, first := judge.UnmetDistrust(), 0
	for _, l := range t.distrust {
		var names []string
		for _, i := range unmet {
			if i >= first && i < first+len(l.Entries) && l.Name != evidence.DistrustBuiltin {
				names = append(names, strconv.Quote(distrustedName(l.Entries[i-first])))
			}
		}
		if len(names) > 0 {
			note("distrust list %s: no chain and no trust store has %s", l.Name, strings.Join(names, ", "))
		}
		first += len(l.Entries)
	}
}

// distrustedName is what an entry says whom it means.
func distrustedName(e inventory.Distrusted) string {
	switch {
	case e.Name != "":
		return e.Name
	case e.Issuer != "":
		return e.Issuer
	case len(e.KeyID) > 0:
		return hex.EncodeToString(e.KeyID)
	case !e.Key.IsZero():
		return e.Key.String()
	}
	return e.Certificate.String()
}

// tellIdle tells which selectors of --roots-for choose none of the targets.
func (t *trust) tellIdle(targets []inventory.Target, note func(string, ...any)) {
	for _, s := range t.stores {
		for _, sel := range s.For {
			if !slices.ContainsFunc(targets, sel.Match) {
				note("--roots-for %s: selects none of the targets, so %s decides for none by it", sel, s.Name)
			}
		}
	}
}

// general is the store that decides where none was chosen.
func (t *trust) general() int {
	return slices.IndexFunc(t.stores, func(s inventory.TrustStore) bool { return !s.Only && len(s.For) == 0 })
}

// staleAfter is the age at which a store that is kept by somebody else has
// missed too much.
const staleAfter = 180 * 24 * time.Hour

// stale says which stores are too old, or have not heard of somebody who is
// distrusted. It is our own side's fault and no endpoint's.
func (t trust) stale(at time.Time) (messages []string) {
	list := t.distrusted()
	for _, s := range t.stores {
		if s.Name != evidence.StoreSystem && s.Name != evidence.StoreMozilla {
			continue // the company's own, whose age says nothing
		}
		var why []string
		if d, err := time.Parse(time.DateOnly, s.Date); err == nil && at.Sub(d) > staleAfter {
			why = append(why, fmt.Sprintf("is %d days old", int(at.Sub(d)/(24*time.Hour))))
		}
		var names []string
		for _, c := range verify.Distrusts(list, s) {
			names = append(names, fmt.Sprintf("%q", cmp.Or(c.SubjectCN, c.Subject)))
		}
		switch n := len(names); {
		case n == 1:
			why = append(why, "still has the distrusted root "+names[0])
		case n > 1:
			why = append(why, fmt.Sprintf("still has %d distrusted roots: %s", n, strings.Join(names, ", ")))
		}
		if len(why) == 0 {
			continue
		}
		fix := "update the system's ca-certificates, or judge by --roots mozilla"
		if s.Name == evidence.StoreMozilla {
			fix = "it comes with certscan: update certscan"
		}
		messages = append(messages, fmt.Sprintf("the trust store %s, of %s, %s; %s", s.Name, orUnknown(s.Date), strings.Join(why, " and "), fix))
	}
	return messages
}

// tellStale notes what is stale, and puts it among the faults of our own side.
func (t trust) tellStale(own *scan.OwnSide, note func(string, ...any)) {
	for _, m := range t.stale(now()) {
		note("%s", m)
		if own != nil {
			own.Add(inventory.FaultStaleStore, m)
		}
	}
}

// loadAgain reads what the last scan trusted, as far as the flags do not say:
// the same endpoint gets the same verdict from both.
func (f trustFlags) loadAgain(ctx context.Context, db *store.DB, note func(string, ...any)) (trust, error) {
	last, err := db.Scan(ctx, store.LastScan)
	switch {
	case errors.Is(err, inventory.ErrUnknownScan): // none has ended yet
		return f.load(note)
	case err != nil:
		return trust{}, err
	}
	if !f.given() {
		for _, s := range last.Stores {
			if s.Name != evidence.StoreSystem && s.Name != evidence.StoreMozilla && !readable(s.Name) {
				note("the last scan trusted %s, which cannot be read now: --roots names another", s.Name)
				continue
			}
			if !s.Only {
				f.roots = append(f.roots, s.Name)
			}
			for _, sel := range s.For {
				f.rootsFor = append(f.rootsFor, sel+"="+s.Name)
			}
		}
	}
	if len(f.distrust) == 0 {
		for _, l := range last.Distrust {
			switch {
			case l.Name == evidence.DistrustBuiltin:
			case readable(l.Name):
				f.distrust = append(f.distrust, l.Name)
			default:
				note("the last scan distrusted whom %s names, which cannot be read now: --distrust names another", l.Name)
			}
		}
	}
	f.transparencyFlags.again(last, note)
	f.revocationFlags.again(last, note)
	return f.load(note)
}

func readable(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	f.Close()
	return filepath.IsAbs(path)
}

// anchor finds a trust anchor.
func (t trust) anchor(fp inventory.Fingerprint) (inventory.Certificate, bool) {
	for _, s := range t.stores {
		for _, a := range s.Anchors {
			if inventory.FingerprintOf(a.DER) == fp {
				return verify.Parse(a.DER), true
			}
		}
	}
	return inventory.Certificate{}, false
}

// noter tells what is not the answer.
func noter(io streams) func(string, ...any) {
	return func(format string, args ...any) {
		fmt.Fprintf(io.err, "certscan: %s\n", report.Clean(fmt.Sprintf(format, args...)))
	}
}
