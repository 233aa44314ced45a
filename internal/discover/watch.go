package discover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"example.com/certscan/internal/inventory"
)

const (
	fewestLost = 5 // targets that a source loses if it shrinks suddenly

	anHour = time.Hour // between two looks at sources if none asks for one

	// shrunkRounds is how many readings in a row have to say so before a source
	// that shrank suddenly is believed.
	shrunkRounds = 3
)

// A Source names targets, again and again.
type Source struct {
	Name  string // "file:domains.txt"; unique
	Kind  string // "list" or "file"
	Every time.Duration

	Min    int     // fewer targets are a failure; default 1
	Shrink float64 // losing more than this part, and five targets, is sudden; default 0.5

	// Read returns all targets of the source. With an error what it returns is
	// added to the last set, and nothing is taken away.
	Read func(ctx context.Context) ([]inventory.Target, error)
}

// A Fleet is what all sources say together.
type Fleet struct {
	Targets   []inventory.Target
	Conflicts []Conflict
	Sources   []inventory.SourceStatus
	Findings  []inventory.Finding // about sources
}

// A Watcher reads sources, each at its own interval.
//
// A source that cannot be read, is empty or shrinks suddenly keeps its last set,
// and there is a finding about it. What shrank suddenly is believed when three
// readings in a row say so. The zero value watches nothing. It is safe for
// concurrent use.
type Watcher struct {
	reading sync.Mutex // held while sources are read; taken before mu

	mu      sync.Mutex
	sources []*watched    // under mu, replaced whole
	changed chan struct{} // under mu; closed when the sources were replaced
}

// A watched source belongs to the watcher's mu, but for its Source.
type watched struct {
	Source
	next    time.Time
	targets []inventory.Target // the last set that was believed
	asked   bool               // a person asked for the next reading
	shrunk  int                // readings in a row that would make it much smaller
	lost    int                // targets that the last of them would lose
	status  inventory.SourceStatus
}

// Configure replaces the sources. One that was there before keeps its set, but
// is believed if the next reading says that it shrank: somebody is looking. Of
// another, last is what is remembered by its name from before. It does not wait
// for a reading that hangs; what that gives in the end counts for nothing.
func (w *Watcher) Configure(sources []Source, last map[string][]inventory.Target) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.sources
	w.sources = make([]*watched, 0, len(sources))
	for _, s := range sources {
		n := &watched{Source: s, targets: last[s.Name]}
		n.status = inventory.SourceStatus{Name: s.Name, Kind: s.Kind, Targets: len(n.targets)}
		if i := slices.IndexFunc(old, func(o *watched) bool { return o.Name == s.Name }); i >= 0 {
			n.targets, n.status, n.asked = old[i].targets, old[i].status, true
		}
		w.sources = append(w.sources, n)
	}
	if w.changed != nil {
		close(w.changed)
	}
	w.changed = make(chan struct{})
}

// Names are those of the sources.
func (w *Watcher) Names() (names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sources {
		names = append(names, s.Name)
	}
	return names
}

// Run calls found with the fleet, first once all sources were read, and then
// whenever some were read again, until ctx ends or found fails.
func (w *Watcher) Run(ctx context.Context, found func(Fleet) error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		f, wait, changed := w.Read(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if f != nil {
			if err := found(*f); err != nil {
				return err
			}
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// Read reads the sources that are due. It returns the fleet, nil if no source
// was due, when to read again, and a channel that is closed when that is sooner.
func (w *Watcher) Read(ctx context.Context) (f *Fleet, wait time.Duration, changed <-chan struct{}) {
	w.reading.Lock()
	defer w.reading.Unlock()
	now := time.Now()
	read := false
	for s := w.due(now); s != nil && ctx.Err() == nil; s = w.due(now) {
		got, err := s.Read(ctx) // may hang, which is to hold up nobody but the other sources
		w.mu.Lock()
		if ctx.Err() == nil { // else it says nothing of the source
			s.take(got, err, now)
		}
		s.next = now.Add(cmp.Or(s.Every, time.Minute))
		w.mu.Unlock()
		read = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	wait = anHour
	for _, s := range w.sources {
		wait = min(wait, s.next.Sub(now))
	}
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	if read || len(w.sources) == 0 {
		f = w.fleet()
	}
	return f, wait, w.changed
}

// due is a source that is to be read, nil if none is.
func (w *Watcher) due(now time.Time) *watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.sources {
		if !s.next.After(now) {
			return s
		}
	}
	return nil
}

// take takes over what was read from a source, as far as it is believed.
func (s *watched) take(got []inventory.Target, err error, now time.Time) {
	asked := s.asked
	s.asked = false // whoever asked looked at this reading
	switch least := max(1, s.Min); {
	case err == nil && len(got) == 0:
		err = errors.New("there is no target in it")
	case err == nil && len(got) < least:
		err = fmt.Errorf("there are %d targets in it, and there should be at least %d", len(got), least)
	}
	if err != nil {
		var set Set // the targets that are there now know their labels better
		for _, t := range slices.Concat(got, s.targets) {
			set.Add(t)
		}
		s.targets = set.Targets()
		s.status.Up, s.status.Error, s.status.Targets = false, err.Error(), len(s.targets)
		return
	}
	s.status.Up, s.status.Error, s.status.LastSuccess = true, "", now.UTC()
	lost := missing(s.targets, got)
	if !asked && lost >= fewestLost && float64(lost) > cmp.Or(s.Shrink, 0.5)*float64(len(s.targets)) {
		s.lost = lost
		if s.shrunk++; s.shrunk < shrunkRounds {
			return
		}
	}
	s.shrunk, s.targets, s.status.Targets = 0, got, len(got)
}

// missing counts the targets that are in old and not in now.
func missing(old, now []inventory.Target) (n int) {
	if len(old) == 0 {
		return 0
	}
	there := make(map[string]bool, len(now))
	for _, t := range now {
		there[t.Key()] = true
	}
	for _, t := range old {
		if !there[t.Key()] {
			n++
		}
	}
	return n
}

// fleet puts the sources together. Called under mu.
func (w *Watcher) fleet() *Fleet {
	var (
		f   Fleet
		set Set
	)
	for _, s := range w.sources {
		f.Sources = append(f.Sources, s.status)
		for _, t := range s.targets {
			f.Conflicts = append(f.Conflicts, set.Add(t)...)
		}
		find := func(code inventory.Code, format string, args ...any) {
			f.Findings = append(f.Findings, inventory.Finding{
				Code: code, Severity: code.DefaultSeverity(), Message: fmt.Sprintf(format, args...),
				Subject: inventory.Subject{Kind: inventory.SubjectSource, ID: s.Name},
			})
		}
		if s.status.Error != "" {
			find(inventory.CodeSourceFailed, "the source could not be read, or not wholly, so no target of its %d is taken away: %s", len(s.targets), s.status.Error)
		}
		if s.shrunk > 0 {
			find(inventory.CodeSourceShrunk, "%d of %d targets are gone from the source; they are kept until %d readings in a row say so (this was number %d)",
				s.lost, len(s.targets), shrunkRounds, s.shrunk)
		}
	}
	f.Targets = set.Targets()
	return &f
}
