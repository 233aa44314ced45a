package store

import (
	"context"
	"fmt"

	"example.com/certscan/internal/inventory"
)

// Rejudged stores the findings of results that were judged again by what is
// stored, without another examination, in one transaction. Their endpoints are
// the current views of their targets, with the observations that are stored. It
// writes into the findings since when they have been open, and into the results
// how many views are retired.
//
// It returns the results that it stored. One whose target was examined, or
// forgotten, since it was read is left out: it is about what was.
func (d *DB) Rejudged(ctx context.Context, results []inventory.Result) (stored []inventory.Result, err error) {
	if len(results) == 0 {
		return nil, nil
	}
	keys := make([]string, len(results))
	for i := range results {
		keys[i] = results[i].Target.Key()
	}
	var revoked map[inventory.Fingerprint]inventory.RevocationAnswer
	err = d.write(ctx, "record findings", func(w *writer) error {
		known, err := d.load(w, keys)
		if err != nil {
			return err
		}
		b := newBatch(w, millis(d.now()))
		revoked = b.revoked
		if b.open, err = w.openFindings(keys); err != nil {
			return fmt.Errorf("open findings: %w", err)
		}
		for i, key := range keys {
			r := &results[i]
			if !known[key].asStored(r) {
				continue
			}
			judged := judgements{}
			for j := range r.Endpoints {
				judged.add(&r.Endpoints[j].Judgement, r.Endpoints[j].Observation.View())
			}
			judged.addTarget(&r.Judgement, key)
			if err := b.findings(key, judged, nil, b.now); err != nil {
				return fmt.Errorf("%s: findings: %w", key, err)
			}
			if err := b.noteRevoked(d.revoked, r); err != nil {
				return fmt.Errorf("%s: what is revoked: %w", key, err)
			}
			r.Retired = known[key].retired()
			stored = append(stored, *r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	d.learn(revoked)
	return stored, nil
}

// asStored reports whether the endpoints of r are the current views of t, as
// they were examined last.
func (t *knownTarget) asStored(r *inventory.Result) bool {
	n := 0
	for _, k := range t.views {
		if k.retired == 0 {
			n++
		}
	}
	if !t.stored || n != len(r.Endpoints) {
		return false
	}
	for i := range r.Endpoints {
		o := &r.Endpoints[i].Observation
		if k := t.find(o.View()); k == nil || k.retired != 0 || k.lastSeen != millis(o.Time) {
			return false
		}
	}
	return true
}
