package inventory

import (
	"cmp"
	"slices"
	"time"
)

// A WaivedKind is a kind of finding of one target for which somebody answers
// wherever it was found.
type WaivedKind struct {
	Code  Code
	Rule  string
	Until time.Time // midnight, in UTC, at the end of the last day; of several waivers the earliest
}

// WaivedKinds returns the kinds of which all findings of a target, its own and
// those of its views, are waived, sorted: alerts leave out what has one. Ignored
// findings are told to nobody, so they are none.
func WaivedKinds(lists ...[]Finding) (waived []WaivedKind) {
	type kind struct {
		code Code
		rule string
	}
	var open map[kind]bool // some finding counts
	for _, list := range lists {
		for i := range list {
			f := &list[i]
			if f.Ignored != "" {
				continue
			}
			if until, ok := f.waivedUntil(); ok {
				waived = append(waived, WaivedKind{f.Code, f.Rule, until})
				continue
			}
			if open == nil {
				open = make(map[kind]bool)
			}
			open[kind{f.Code, f.Rule}] = true
		}
	}
	if waived == nil {
		return nil
	}
	waived = slices.DeleteFunc(waived, func(w WaivedKind) bool { return open[kind{w.Code, w.Rule}] })
	slices.SortFunc(waived, func(a, b WaivedKind) int {
		return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Rule, b.Rule), a.Until.Compare(b.Until))
	})
	return slices.CompactFunc(waived, func(a, b WaivedKind) bool { return a.Code == b.Code && a.Rule == b.Rule })
}

// waivedUntil is when the waiver of f ends; without a date it is none.
func (f *Finding) waivedUntil() (time.Time, bool) {
	if f.Waived == nil {
		return time.Time{}, false
	}
	last, err := time.Parse(time.DateOnly, f.Waived.Until)
	return last.AddDate(0, 0, 1), err == nil
}
