package discover

import (
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"example.com/certscan/internal/inventory"
)

// A Set is a list of targets without duplicates, in the order in which they
// were first named. The zero value is empty and ready to use. It is not safe
// for concurrent use.
type Set struct {
	targets []inventory.Target
	index   map[string]int // by Key, into targets

	// giver names the source of a label that did not come from the first source
	// of its target. Most do, so most are not in here.
	giver map[labelRef]string

	interned labelSets
	lists    map[string][]string // lists of sources, shared by the targets that have them
}

type labelRef struct {
	target int
	label  string
}

// A Conflict says that two sources disagree on a label. The earlier one won.
type Conflict struct {
	Target                string
	Label                 string
	Kept, Dropped         string // values
	KeptFrom, DroppedFrom string // sources
}

// Add puts t into the set. If it is there already, its labels and sources
// accumulate: the value of a label that was there first is kept, and every
// other one is returned as a conflict.
//
// Targets share their label maps and source slices; nobody may change them
// after Add.
func (s *Set) Add(t inventory.Target) []Conflict {
	key := t.Key()
	i, known := s.index[key]
	if !known {
		if s.index == nil {
			s.index = make(map[string]int)
		}
		s.index[key] = len(s.targets)
		s.targets = append(s.targets, t)
		return nil
	}
	old := &s.targets[i]
	conflicts := s.mergeLabels(i, key, t)
	old.Sources = s.mergeSources(old.Sources, t.Sources)
	return conflicts
}

func (s *Set) mergeLabels(i int, key string, t inventory.Target) []Conflict {
	old := &s.targets[i]
	var conflicts []Conflict
	merged := old.Labels
	from := first(t.Sources)
	for _, name := range slices.Sorted(maps.Keys(t.Labels)) {
		value := t.Labels[name]
		kept, had := old.Labels[name]
		switch {
		case !had:
			if len(merged) == len(old.Labels) {
				merged = maps.Clone(old.Labels)
			}
			if merged == nil {
				merged = make(map[string]string)
			}
			merged[name] = value
			if s.giver == nil {
				s.giver = make(map[labelRef]string)
			}
			s.giver[labelRef{i, name}] = from
		case kept != value:
			giver, later := s.giver[labelRef{i, name}]
			if !later {
				giver = first(old.Sources)
			}
			conflicts = append(conflicts, Conflict{
				Target: key, Label: name, Kept: kept, Dropped: value, KeptFrom: giver, DroppedFrom: from,
			})
		}
	}
	if len(merged) != len(old.Labels) {
		old.Labels = s.interned.share(merged)
	}
	return conflicts
}

func (s *Set) mergeSources(old, more []string) []string {
	merged := old
	for _, source := range more {
		if !slices.Contains(merged, source) {
			merged = append(slices.Clip(merged), source)
		}
	}
	if len(merged) == len(old) {
		return old
	}
	key := strings.Join(merged, "\x00")
	if shared, ok := s.lists[key]; ok {
		return shared
	}
	if s.lists == nil {
		s.lists = make(map[string][]string)
	}
	s.lists[key] = merged
	return merged
}

// Targets returns the targets in the order in which they were first named. The
// slice is the set's own: it is valid until the next Add and must not be
// changed.
func (s *Set) Targets() []inventory.Target { return slices.Clip(s.targets) }

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// labelSets shares equal label maps: a fleet has far fewer sets of labels than
// targets, and a map of three costs more than all the rest of a target. The key
// is the labels as text.
type labelSets map[string]map[string]string

// share returns a map that is equal to labels, the same for all that are.
func (l *labelSets) share(labels map[string]string) map[string]string {
	var key []byte
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		key = appendText(appendText(key, name), labels[name])
	}
	if shared, ok := (*l)[string(key)]; ok {
		return shared
	}
	l.put(key, labels)
	return labels
}

func (l *labelSets) put(key []byte, labels map[string]string) {
	if *l == nil {
		*l = make(labelSets)
	}
	(*l)[string(key)] = labels
}

// appendText appends s so that no other sequence of texts gives the same.
func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
