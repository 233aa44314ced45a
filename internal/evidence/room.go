package evidence

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// block is what files are counted in: a disk has no smaller pieces.
const block = 4 << 10

// small is the size of lists in octets up to which some room is kept free of
// larger ones: most lists of honest authorities are that small.
const small = 1 << 20

// errNoRoom is why a list is not kept.
var errNoRoom = errors.New("too many large lists are being fetched: there is no room in their directory")

// blocks is n rounded up.
func blocks(n int64) int64 { return (n + block - 1) / block * block }

// take makes room for more octets of a file that is being written and will then
// have size. What is being written takes half of the directory at most, and with
// small files three quarters, so that nobody empties it with what may turn out
// to be useless.
func (f *files) take(more, size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	most := f.limit / 2
	if size <= small {
		most = f.limit / 4 * 3
	}
	if f.spooled+more > most {
		return errNoRoom
	}
	if !f.counted || f.used+more > f.limit {
		if err := f.evict(more); err != nil {
			return err
		}
	}
	f.used, f.spooled = f.used+more, f.spooled+more
	return nil
}

// give returns what was taken for a file that is not written any more, and
// whether it stays.
func (f *files) give(n int64, stays bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spooled -= n
	if !stays {
		f.used -= n
	}
}

// hold keeps the files of one list, or one new file, until it is let go as many
// times.
func (f *files) hold(stem string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held[stem]++
}

func (f *files) letGo(stem string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held[stem]--; f.held[stem] <= 0 {
		delete(f.held, stem)
	}
}

// kept is a list with its note, or what is left of them.
type kept struct {
	stem  string
	names []string
	size  int64 // in whole blocks
	used  time.Time
}

// evict removes the lists that were used longest ago, and some more, so that it
// is not to be done again at once. Called under mu.
func (f *files) evict(more int64) error {
	lists, err := f.listed()
	if err != nil {
		return err
	}
	f.counted, f.used = f.dir != "", f.spooled
	for _, p := range lists {
		f.used += p.size
	}
	if f.used+more <= f.limit {
		return nil
	}
	slices.SortFunc(lists, func(a, b kept) int { return a.used.Compare(b.used) })
	for _, p := range lists {
		if f.used+more <= f.limit/8*7 {
			break
		}
		if f.held[p.stem] > 0 {
			continue
		}
		var errs []error
		for _, name := range p.names {
			if err := os.Remove(filepath.Join(f.dir, name)); !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		f.used -= p.size
	}
	if !f.told && f.full != nil {
		f.told = true
		f.full(f.dir, f.limit)
	}
	if f.used+more > f.limit {
		return errNoRoom
	}
	return nil
}

// listed are the files in the directory but for those that are being written
// here. Called under mu.
func (f *files) listed() ([]kept, error) {
	entries, err := os.ReadDir(f.dir)
	if f.dir == "" || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("making room for lists: %w", err)
	}
	var all []kept
	at := make(map[string]int)
	for _, e := range entries {
		name := e.Name()
		stem, isBody := strings.CutSuffix(name, bodySuffix)
		stem, isNote := strings.CutSuffix(stem, noteSuffix)
		isNew := strings.HasPrefix(name, newPrefix)
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !isBody && !isNote && !isNew || isNew && f.held[name] > 0 {
			continue // gone, none of ours, or counted already
		}
		i, ok := at[stem]
		if !ok {
			i = len(all)
			at[stem], all = i, append(all, kept{stem: stem})
		}
		p := &all[i]
		p.names, p.size = append(p.names, name), p.size+blocks(info.Size())
		if info.ModTime().After(p.used) {
			p.used = info.ModTime()
		}
	}
	return all, nil
}
