package report

import (
	"cmp"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// promWaived is a series of certscan_target_finding_waived.
type promWaived struct {
	labels string // beside target
	until  int64  // Unix seconds
}

// waivedFindings collects the findings of one target by code and rule: only
// where all of them are waived does the series exist, because alerts leave out
// what has one.
type waivedFindings struct {
	list []promWaived
	open map[string]bool // some finding counts
}

func (w *waivedFindings) add(f inventory.Finding) {
	l := labels("code", string(f.Code), "rule", f.Rule)
	if f.Waived == nil {
		if w.open == nil {
			w.open = make(map[string]bool)
		}
		w.open[l] = true
		return
	}
	last, err := time.Parse(time.DateOnly, f.Waived.Until)
	if err != nil {
		return // no date, no waiver
	}
	w.list = append(w.list, promWaived{l, last.AddDate(0, 0, 1).Unix()})
}

// all returns each series once, with the earliest end.
func (w *waivedFindings) all() []promWaived {
	w.list = slices.DeleteFunc(w.list, func(p promWaived) bool { return w.open[p.labels] })
	slices.SortFunc(w.list, func(a, b promWaived) int {
		return cmp.Or(cmp.Compare(a.labels, b.labels), cmp.Compare(a.until, b.until))
	})
	return slices.CompactFunc(w.list, func(a, b promWaived) bool { return a.labels == b.labels })
}

// waivedOf writes the metric of waived findings.
func (h *promHandler) waivedOf(keys []string) {
	open := false
	for _, k := range keys {
		for _, p := range h.targets[k].waived {
			if !open {
				h.family("certscan_target_finding_waived", "When the waiver ends under which a finding, open all the same, does not count; absent without one.")
				open = true
			}
			h.sample("certscan_target_finding_waived", labels("target", k)+","+p.labels, p.until)
		}
	}
}
