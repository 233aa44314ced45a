package policy

import (
	"fmt"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// longWaiver is how far ahead a waiver may end without a word about it.
const longWaiver = 366 * 24 * time.Hour

// Waivers say which findings somebody answers for. They remember what they were
// used for, and must not be used concurrently.
type Waivers struct {
	list []inventory.Waiver
	used []bool // has matched a finding
	now  time.Time
}

// NewWaivers returns the waivers of list as of now.
func NewWaivers(list []inventory.Waiver, now time.Time) *Waivers {
	return &Waivers{slices.Clone(list), make([]bool, len(list)), now}
}

// Mark marks those findings of t and its views for which somebody answers.
func (w *Waivers) Mark(t inventory.Target, findings []inventory.Finding) {
	w.mark(findings, func(s inventory.Selector, f inventory.Finding) bool { return s.MatchFinding(t, f) })
}

// MarkFile is Mark for findings of a certificate that nobody served: without a
// host in t, any name of c is one.
func (w *Waivers) MarkFile(t inventory.Target, c *inventory.Certificate, findings []inventory.Finding) {
	w.mark(findings, func(s inventory.Selector, f inventory.Finding) bool {
		return anyName(t, c, func(t inventory.Target) bool { return s.MatchFinding(t, f) })
	})
}

// MarkFleet is Mark for findings that belong to no single target.
func (w *Waivers) MarkFleet(findings []inventory.Finding) {
	w.mark(findings, inventory.Selector.MatchFleet)
}

func (w *Waivers) mark(findings []inventory.Finding, selects func(inventory.Selector, inventory.Finding) bool) {
	for i := range findings {
		f := &findings[i]
		var best *inventory.Waiver
		for k := range w.list {
			v := &w.list[k]
			if !slices.Contains(v.Codes, f.Code) || v.Rule != "" && v.Rule != f.Rule || !selects(v.Targets, *f) {
				continue
			}
			w.used[k] = true
			if w.holds(v) && (best == nil || v.Until.After(best.Until)) {
				best = v
			}
		}
		if best != nil {
			f.Waived = &inventory.Waived{Owner: best.Owner, Reason: best.Reason, Until: best.LastDay()}
		}
	}
}

// Ended reports whether a waiver for f, a finding of t, has ended and none holds:
// such a finding is no old news.
func (w *Waivers) Ended(t inventory.Target, f inventory.Finding) bool {
	return f.Waived == nil && slices.ContainsFunc(w.list, func(v inventory.Waiver) bool {
		return !w.holds(&v) && slices.Contains(v.Codes, f.Code) && (v.Rule == "" || v.Rule == f.Rule) && v.Targets.MatchFinding(t, f)
	})
}

func (w *Waivers) holds(v *inventory.Waiver) bool { return w.now.Before(v.Until) }

// Unused names the places of the waivers that hold and matched no finding that
// was marked.
func (w *Waivers) Unused() (places []string) {
	for i := range w.list {
		if v := &w.list[i]; !w.used[i] && w.holds(v) {
			places = append(places, v.Place)
		}
	}
	return places
}

// Notes are what whoever keeps the waivers should know, once all findings were
// marked: which have ended, match nothing, or end too far from now. all says
// that every finding there is was marked.
func (w *Waivers) Notes(all bool) (notes []string) {
	for i := range w.list {
		v := &w.list[i]
		name := fmt.Sprintf("waiver %s (owner %s)", v.Place, v.Owner)
		switch {
		case !w.holds(v) && w.used[i]:
			notes = append(notes, fmt.Sprintf("%s ended on %s: what it was for counts again", name, v.LastDay()))
		case !w.holds(v) && all:
			notes = append(notes, fmt.Sprintf("%s ended on %s and is for nothing that was found: remove it", name, v.LastDay()))
		case !w.used[i] && all && w.holds(v):
			notes = append(notes, fmt.Sprintf("%s is for nothing that was found: remove it, or correct its targets and code", name))
		}
		if v.Until.Sub(w.now) > longWaiver {
			notes = append(notes, fmt.Sprintf("%s ends only on %s: a waiver of more than a year is a decision, write it as a rule of the policy", name, v.LastDay()))
		}
	}
	return notes
}
