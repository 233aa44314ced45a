package verify

import (
	"errors"
	"slices"

	"example.com/certscan/internal/inventory"
)

// A jury is which of the Judge's stores are asked about a target, and which of
// them decides.
type jury struct {
	stores  []int
	decider int
	key     string // tells juries apart
}

// newJury is the jury for every target that no store is chosen for.
func newJury(stores []inventory.TrustStore) (jury, error) {
	out := jury{decider: -1}
	for i, s := range stores {
		if s.Only && len(s.For) == 0 {
			return out, errors.New("verify: a trust store is for certain targets only, and there are none")
		}
		if s.Only {
			continue
		}
		out.add(i)
		if out.decider < 0 && len(s.For) == 0 {
			out.decider = i
		}
	}
	if out.decider < 0 {
		return out, errors.New("verify: a trust store is required that decides where no other does")
	}
	return out, nil
}

func (y *jury) add(store int) {
	y.stores = append(y.stores, store)
	y.key += string(rune(store))
}

// juryOf is the jury for t: an internal authority decides where it was asked to,
// and so never blesses a public name.
func (j *Judge) juryOf(t inventory.Target) jury {
	var chosen []int
	for i, s := range j.stores {
		for _, sel := range s.For {
			if sel.Match(t) {
				chosen = append(chosen, i)
				break
			}
		}
	}
	if len(chosen) == 0 {
		return j.jury
	}
	out := jury{decider: chosen[0]}
	for i, s := range j.stores {
		if !s.Only || slices.Contains(chosen, i) {
			out.add(i)
		}
	}
	return out
}
