package store

import (
	"slices"

	"example.com/certscan/internal/inventory"
)

// An answer is what one location learned of the addresses of a target.
type answer struct {
	location  string
	addresses []string // those that exist now
	partial   bool     // there may be others
}

// answersOf returns the addresses of r's target by location, where they are
// known: a resolution that failed says nothing about any address. Where there
// was nothing to resolve, the addresses that were examined are the answer, and a
// partial one if others wait for their turn.
func answersOf(r *inventory.Result) []answer {
	var answers []answer
	for i := range r.Endpoints {
		o := &r.Endpoints[i].Observation
		if o.Address == "" || o.Resolution != nil && o.Resolution.Status != inventory.ReachOK {
			continue
		}
		at := slices.IndexFunc(answers, func(a answer) bool { return a.location == o.Location })
		if at < 0 {
			at = len(answers)
			answers = append(answers, answer{location: o.Location})
		}
		a := &answers[at]
		switch res := o.Resolution; {
		case res == nil:
			a.partial = a.partial || o.Unexamined > 0
		case len(a.addresses) == 0:
			a.partial = res.Partial // as in all others of this examination
			for _, addr := range res.Addresses {
				a.addresses = append(a.addresses, addr.String())
			}
		}
		if !slices.Contains(a.addresses, o.Address) {
			a.addresses = append(a.addresses, o.Address)
		}
	}
	return answers
}

// retired is the number of views whose address is no longer among the answers
// for the name. That the name did not resolve once is none.
func (t *knownTarget) retired() (n int) {
	for _, k := range t.views {
		if k.retired != 0 && k.view.Address != "" {
			n++
		}
	}
	return n
}

// currency counts the views that the target's name does not lead to any more,
// and retires those that it has not led to for long enough. It returns the ids
// of the views that it retired, with the reason for closing their findings.
func (b *batch) currency(t *knownTarget, r *inventory.Result, at int64) (map[string]string, error) {
	var gone map[string]string
	retire := func(k *knownView, reason string) error {
		if gone == nil {
			gone = make(map[string]string)
		}
		gone[k.view.ID()] = reason
		k.retired = max(at, k.lastSeen)
		_, err := b.w.exec(`UPDATE view SET missed = ?, retired = ? WHERE id = ?`, k.missed, k.retired, k.id)
		return err
	}
	for _, a := range answersOf(r) {
		for _, k := range t.views {
			if k.view.Location != a.location || k.retired != 0 {
				continue
			}
			listed := slices.Contains(a.addresses, k.view.Address)
			if listed && k.missed == 0 {
				continue // as nearly always
			}
			err := b.flushed(k)
			switch {
			case err != nil:
			case k.view.Address == "": // the name resolves again
				err = retire(k, inventory.ReasonGone)
			case listed:
				k.missed = 0
				_, err = b.w.exec(`UPDATE view SET missed = 0 WHERE id = ?`, k.id)
			case a.partial: // that it is not among them says nothing
			case k.missed+1 >= missesToRetire:
				k.missed++
				err = retire(k, inventory.ReasonAddressGone)
			default:
				k.missed++
				_, err = b.w.exec(`UPDATE view SET missed = ? WHERE id = ?`, k.missed, k.id)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return gone, nil
}
