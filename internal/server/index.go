package server

import (
	"maps"
	"slices"
	"sync"
	"time"

	"example.com/certscan/internal/inventory"
)

// An Index has what is told of the whole fleet: every target with its verdict
// and findings, in memory, so that reading it takes no database. It is safe for
// concurrent use.
type Index struct {
	now func() time.Time

	mu      sync.RWMutex
	loaded  bool
	entries map[string]*entry // replaced and never changed
	keys    []string          // of entries, sorted; nil when it has to be made again
	sources []inventory.SourceStatus
	own     []inventory.Finding // of what is no target's
}

// An entry is one target.
type entry struct {
	target   inventory.Target
	examined bool
	record   inventory.TargetRecord
	findings []inventory.Finding // of the target and of its views
	failing  int                 // views that gave no certificate
	at       time.Time           // of the last observation
}

// NewIndex returns an Index that knows nothing yet. now is the clock; nil is
// [time.Now].
func NewIndex(now func() time.Time) *Index {
	if now == nil {
		now = time.Now
	}
	return &Index{now: now, entries: make(map[string]*entry)}
}

// Set says what the inventory is: these targets and no others.
func (x *Index) Set(targets []inventory.Target) {
	x.mu.Lock()
	defer x.mu.Unlock()
	entries := make(map[string]*entry, len(targets))
	for _, t := range targets {
		key := t.Key()
		if old := x.entries[key]; old != nil {
			e := *old
			e.target = t
			entries[key] = &e
			continue
		}
		entries[key] = &entry{target: t, record: inventory.NewTargetRecord(inventory.Result{Target: t})}
	}
	x.entries, x.keys = entries, nil
}

// Update takes in results; each replaces all that is known of its target. A
// finding that does not say since when it is open has been so since an earlier
// result, or since now.
func (x *Index) Update(results []inventory.Result) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range results {
		r := &results[i]
		key := r.Target.Key()
		e := &entry{target: r.Target, examined: true, record: inventory.NewTargetRecord(*r), findings: []inventory.Finding{}}
		e.record.Endpoints += len(r.Carried)
		e.findings = append(e.findings, r.Judgement.Findings...)
		for _, v := range slices.Concat(r.Endpoints, r.Carried) {
			e.findings = append(e.findings, v.Judgement.Findings...)
			if len(v.Observation.Chain) == 0 {
				e.failing++
			}
			if v.Observation.Time.After(e.at) {
				e.at = v.Observation.Time
			}
		}
		old := x.entries[key]
		if old == nil {
			x.keys = nil
			old = new(entry)
		}
		x.since(e.findings, old.findings)
		e.record.Findings = e.findings[:len(r.Judgement.Findings):len(r.Judgement.Findings)]
		x.entries[key] = e
	}
}

// since fills in since when findings are open. What was open before the state
// was loaded, nobody here knows.
func (x *Index) since(findings, before []inventory.Finding) {
	known := make(map[inventory.FindingKey]time.Time, len(before))
	for _, f := range before {
		known[f.Key()] = f.Since
	}
	for i := range findings {
		f := &findings[i]
		if !f.Since.IsZero() {
			continue
		}
		if t, ok := known[f.Key()]; ok {
			f.Since = t
		} else if x.loaded {
			f.Since = x.now().UTC().Truncate(time.Second)
		}
	}
}

// Remove forgets targets.
func (x *Index) Remove(targets []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, key := range targets {
		delete(x.entries, key)
	}
	x.keys = nil
}

// Loaded says that everything that is stored was told. Until then nothing is
// answered: half a fleet is a wrong answer.
func (x *Index) Loaded() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.loaded = true
}

// Sources takes in how the sources of targets do, all of them.
func (x *Index) Sources(list []inventory.SourceStatus) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sources = slices.Clone(list)
}

// Own takes in the open findings that are no target's, all of them.
func (x *Index) Own(open []inventory.Finding) {
	x.mu.Lock()
	defer x.mu.Unlock()
	own := slices.Clone(open)
	x.since(own, x.own)
	x.own = own
}

func (x *Index) isLoaded() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.loaded
}

// after returns the entries with a key behind cursor, in the order of keys.
func (x *Index) after(cursor string) []*entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.keys == nil {
		x.keys = slices.Sorted(maps.Keys(x.entries))
	}
	i, found := slices.BinarySearch(x.keys, cursor)
	if found {
		i++
	}
	out := make([]*entry, 0, len(x.keys)-i)
	for _, k := range x.keys[i:] {
		out = append(out, x.entries[k])
	}
	return out
}

// get returns one entry, or nil.
func (x *Index) get(key string) *entry {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.entries[key]
}

// fleet returns what is no target's.
func (x *Index) fleet() (sources []inventory.SourceStatus, own []inventory.Finding) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.sources, x.own
}

// Totals are what a fleet adds up to.
type Totals struct {
	Targets       int            `json:"targets"`
	Verified      int            `json:"targets_verified"` // every view is in time, matches, is trusted and not revoked
	NotVerified   int            `json:"targets_not_verified"`
	Unknown       int            `json:"targets_unknown"` // not examined yet, or never seen with a certificate
	Expired       int            `json:"targets_expired"`
	Tiers         map[string]int `json:"tiers"` // targets by tier; outside of all is "none", without a certificate "unknown"
	Endpoints     int            `json:"endpoints"`
	Failing       int            `json:"endpoints_failing"` // that gave no certificate
	Critical      int            `json:"critical"`          // findings that count
	Warning       int            `json:"warning"`
	Info          int            `json:"info"`
	Waived        int            `json:"waived"` // findings that do not
	Codes         map[string]int `json:"codes"`  // findings that count
	SourcesFailed int            `json:"sources_failed"`
}

func (x *Index) totals() Totals {
	t := Totals{Tiers: make(map[string]int), Codes: make(map[string]int)}
	count := func(findings []inventory.Finding) {
		for i := range findings {
			f := &findings[i]
			if !f.Counts() {
				t.Waived++
				continue
			}
			t.Codes[string(f.Code)]++
			switch f.Severity {
			case inventory.Critical:
				t.Critical++
			case inventory.Warning:
				t.Warning++
			default:
				t.Info++
			}
		}
	}
	for _, e := range x.after("") {
		t.Targets++
		t.Endpoints += e.record.Endpoints
		t.Failing += e.failing
		tier := string(e.record.Tier)
		switch {
		case e.record.Expiry == nil:
			tier = "unknown"
		case tier == "":
			tier = "none"
		}
		t.Tiers[tier]++
		switch v := e.record.Verified; {
		case v == nil:
			t.Unknown++
		case *v:
			t.Verified++
		default:
			t.NotVerified++
		}
		count(e.findings)
	}
	t.Expired = t.Tiers[string(inventory.TierExpired)]
	sources, own := x.fleet()
	count(own)
	for _, s := range sources {
		if !s.Up {
			t.SourcesFailed++
		}
	}
	return t
}
