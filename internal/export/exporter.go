package export

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/certscan/internal/inventory"
)

// A Detail says which targets /metrics shows.
type Detail string

// All shows every target. Attention shows those that are in a tier, have an open
// finding or a stale view, and each for an hour longer, so that alerts end. None
// shows only totals of the fleet.
const (
	DetailAll       Detail = "all"
	DetailAttention Detail = "attention"
	DetailNone      Detail = "none"
)

// linger is how long what has ended is still shown: the alerts look back an
// hour, so that they survive a restart.
const linger = time.Hour

// Settings are what may change while the exporter runs.
type Settings struct {
	Detail Detail   // defaults to [DetailAll]
	Labels []string // labels of targets that certscan_target_info shows; defaults to owner, environment, platform

	// MaxSeries bounds the series of targets in one answer; 0 is no bound. What
	// expires last is left out first.
	MaxSeries int

	// StaleAfter is how old the last examination of an endpoint may be; defaults
	// to 2.5 hours.
	StaleAfter time.Duration

	// Tiers are the nominal tiers, so that empty ones show a 0 in totals.
	Tiers []inventory.Tier
}

// Options of an [Exporter].
type Options struct {
	Settings

	Version  string // of certscan
	Location string // that is always there; defaults to [inventory.LocalLocation]

	// Lag returns, by location, the age of the oldest slot that is due and not
	// begun. It is asked when the metrics are scraped; nil leaves them out.
	Lag func() map[string]time.Duration

	// StoreSize returns the size of the history with its log, in bytes, and
	// whether it is known. It is asked when the metrics are scraped; nil leaves it
	// out.
	StoreSize func() (int64, bool)

	Now func() time.Time // defaults to time.Now
}

// An Exporter keeps one compact record for each target, and renders them. It is
// safe for concurrent use.
type Exporter struct {
	opt Options
	own *process

	loaded atomic.Bool
	shown  atomic.Pointer[snapshot]

	mu       sync.Mutex // held by those that make a new snapshot
	settings settings
	targets  map[string]*target
	certs    certificates
	kinds    map[string]*kind
	sources  []inventory.SourceStatus
	faults   []fault
	reloaded bool
	reloadAt time.Time

	showing sync.Mutex
	issuers map[string]time.Time // that totals showed within the hour; under showing
}

// A snapshot is what is served, immutable.
type snapshot struct {
	settings settings
	targets  []*target // by key
	slots    int       // certificates have numbers below this one
	kinds    []*kind
	sources  []inventory.SourceStatus
	faults   []fault
	reloaded bool
	reloadAt time.Time
}

// settings are valid [Settings] with what follows from them.
type settings struct {
	Settings
	names []labelPair
}

// A labelPair is a label of targets and how it is called in metrics.
type labelPair struct{ of, as string }

// A fault is a finding about the scanner itself.
type fault struct {
	labels string
	closed time.Time // zero while open
}

// New returns an Exporter, or says what is wrong with the settings.
func New(opt Options) (*Exporter, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Location == "" {
		opt.Location = inventory.LocalLocation
	}
	s, err := opt.Settings.check()
	if err != nil {
		return nil, err
	}
	e := &Exporter{
		opt: opt, settings: s, targets: make(map[string]*target), kinds: make(map[string]*kind),
		certs: newCertificates(), issuers: make(map[string]time.Time), reloaded: true, reloadAt: opt.Now(),
	}
	if e.own, err = newProcess(opt); err != nil {
		return nil, err
	}
	e.shown.Store(e.take(nil))
	return e, nil
}

// check fills in defaults.
func (s Settings) check() (settings, error) {
	if s.Detail == "" {
		s.Detail = DetailAll
	}
	if !slices.Contains([]Detail{DetailAll, DetailAttention, DetailNone}, s.Detail) {
		return settings{}, fmt.Errorf("detail %q: want all, attention or none", s.Detail)
	}
	if s.MaxSeries < 0 || s.StaleAfter < 0 {
		return settings{}, errors.New("the cap on series and the age of what is stale must not be negative")
	}
	if s.StaleAfter == 0 {
		s.StaleAfter = 150 * time.Minute
	}
	if s.Labels == nil {
		s.Labels = inventory.DefaultLabels()
	}
	used := make(map[string]string)
	out := settings{Settings: s}
	for _, l := range s.Labels {
		as := "label_" + inventory.MetricLabel(l) // a bare name would clash with those of scrape jobs
		switch before, taken := used[as]; {
		case l == "":
			return settings{}, errors.New("labels: one is empty")
		case taken && before == l:
			continue
		case taken:
			return settings{}, fmt.Errorf("labels: %q and %q would both be %s: rename one", before, l, as)
		}
		used[as] = l
		out.names = append(out.names, labelPair{l, as})
	}
	slices.SortFunc(out.names, func(a, b labelPair) int { return strings.Compare(a.as, b.as) })
	return out, nil
}

// Set changes the settings, or says what is wrong with them and leaves the old
// ones.
func (e *Exporter) Set(s Settings) error {
	checked, err := s.check()
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settings = checked
	list := make([]*target, 0, len(e.targets))
	for _, t := range e.shown.Load().targets {
		renamed := *t
		renamed.info = checked.info(t.named)
		e.targets[t.key] = &renamed
		list = append(list, &renamed)
	}
	e.shown.Store(e.take(list))
	return nil
}

// Update takes results in. Each replaces all that was known of its target.
func (e *Exporter) Update(results []inventory.Result) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.opt.Now()
	changed := make(map[string]*target, len(results))
	for i := range results {
		t := e.record(&results[i], now)
		if before := e.targets[t.key]; before != nil {
			e.release(before)
		}
		e.targets[t.key], changed[t.key] = t, t
	}
	e.shown.Store(e.take(replace(e.shown.Load().targets, changed)))
}

// replace returns list, which is sorted and stays as it is, with the changed
// targets in it.
func replace(list []*target, changed map[string]*target) []*target {
	out := make([]*target, len(list), len(list)+len(changed))
	copy(out, list)
	added := 0
	for key, t := range changed {
		if i, ok := find(list, key); ok {
			out[i] = t
		} else {
			out = append(out, t)
			added++
		}
	}
	if added > 0 {
		slices.SortFunc(out, func(a, b *target) int { return strings.Compare(a.key, b.key) })
	}
	return out
}

func find(list []*target, key string) (int, bool) {
	return slices.BinarySearchFunc(list, key, func(t *target, key string) int { return strings.Compare(t.key, key) })
}

// Remove forgets targets, by their keys: their series vanish.
func (e *Exporter) Remove(targets []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, key := range targets {
		if t := e.targets[key]; t != nil {
			e.release(t)
			delete(e.targets, key)
		}
	}
	list := slices.Clone(e.shown.Load().targets)
	list = slices.DeleteFunc(list, func(t *target) bool { return e.targets[t.key] == nil })
	e.shown.Store(e.take(list))
}

// Loaded says that all that is stored has been taken in. Until then the metrics
// answer 503: a part of the fleet looks like a fleet that shrank.
func (e *Exporter) Loaded() { e.loaded.Store(true) }

// Sources takes in how the sources of targets do, all of them.
func (e *Exporter) Sources(list []inventory.SourceStatus) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b inventory.SourceStatus) int { return strings.Compare(value(a.Name), value(b.Name)) })
	list = slices.CompactFunc(list, func(a, b inventory.SourceStatus) bool { return value(a.Name) == value(b.Name) })
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sources = list
	e.shown.Store(e.take(e.shown.Load().targets))
}

// Own takes in the open findings about the scanner's own side, all of them.
func (e *Exporter) Own(open []inventory.Finding) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.opt.Now()
	var list []fault
	for _, f := range open {
		if f.Ignored == "" {
			list = append(list, fault{labels: labels("code", string(f.Code), "subject", f.Subject.ID, "severity", string(f.Severity))})
		}
	}
	for _, f := range e.faults {
		if f.closed.IsZero() {
			f.closed = now
		}
		if now.Sub(f.closed) < linger {
			list = append(list, f)
		}
	}
	slices.SortStableFunc(list, func(a, b fault) int { return strings.Compare(a.labels, b.labels) }) // open ones before closed ones
	e.faults = slices.CompactFunc(list, func(a, b fault) bool { return a.labels == b.labels })
	e.shown.Store(e.take(e.shown.Load().targets))
}

// Reloaded says how the last reading of the configuration went.
func (e *Exporter) Reloaded(ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reloaded = ok; ok {
		e.reloadAt = e.opt.Now()
	}
	e.shown.Store(e.take(e.shown.Load().targets))
}

// Closed tells of findings that closed before this process began, so that their
// alerts end. What is open again counts as open, and what is long past as
// nothing.
func (e *Exporter) Closed(spans []inventory.FindingSpan) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.opt.Now()
	changed := make(map[string]*target)
	for _, s := range spans {
		t := e.targets[s.Target]
		if t == nil || s.Closed.IsZero() || now.Sub(s.Closed) >= linger {
			continue
		}
		if changed[t.key] == nil {
			c := *t
			c.findings = slices.Clone(c.findings)
			changed[t.key], e.targets[t.key] = &c, &c
		}
		c := changed[t.key]
		c.findings = append(c.findings, finding{e.kind(s.Finding), s.Closed.Unix()})
	}
	for _, t := range changed {
		t.findings = sortFindings(t.findings)
		t.quietSince = max(t.quietSince, latest(t.findings))
	}
	e.shown.Store(e.take(replace(e.shown.Load().targets, changed)))
}

// take makes the snapshot that has these targets. The caller holds mu.
func (e *Exporter) take(targets []*target) *snapshot {
	s := &snapshot{
		settings: e.settings, targets: targets, slots: e.certs.slots, sources: e.sources, faults: e.faults,
		reloaded: e.reloaded, reloadAt: e.reloadAt,
	}
	if before := e.shown.Load(); before != nil && len(before.kinds) == len(e.kinds) {
		s.kinds = before.kinds
		return s
	}
	for _, k := range e.kinds {
		s.kinds = append(s.kinds, k)
	}
	slices.SortFunc(s.kinds, func(a, b *kind) int { return strings.Compare(a.labels, b.labels) })
	return s
}
