package store

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// Renewals returns how the certificates of targets were renewed, oldest first:
// of one target, or of all if key is "". A certificate that other addresses of
// the target have later counts once, and one that is not newer than all before
// it is no renewal.
func (d *DB) Renewals(ctx context.Context, key string) (map[string][]inventory.Renewal, error) {
	found := make(map[string][]inventory.Renewal)
	err := d.snapshot(ctx, "read renewals", func(tx *sql.Tx) error {
		of, args := "", []any(nil)
		if key != "" { // of its own, so that the index by target is used
			of, args = "AND target = ?1", []any{key}
		}
		rows, err := tx.QueryContext(ctx, `
			WITH served AS (
				SELECT target, address, location, seq, first_seen, chain FROM span
				WHERE chain IS NOT NULL AND offer = 'default' `+of+`
				UNION ALL
				SELECT target, address, location, seq, first_seen, chain FROM view AS v
				WHERE chain IS NOT NULL AND offer = 'default' `+of+` AND EXISTS (
					SELECT 1 FROM span AS s WHERE s.target = v.target)
			)
			SELECT s.target, s.address || '|' || s.location, s.first_seen, l.not_before, l.not_after
			FROM served AS s
			JOIN chain AS c ON c.id = s.chain
			JOIN certificate AS l ON l.sha256 = substr(c.certificates, 1, 32)
			WHERE l.not_after > l.not_before
			ORDER BY s.target, s.address, s.location, s.seq`, args...)
		var (
			target, view string
			last         servedLeaf
		)
		return forEach(rows, err, func(rows *sql.Rows) error {
			var (
				next servedLeaf
				t, v string
			)
			if err := rows.Scan(&t, &v, &next.at, &next.notBefore, &next.notAfter); err != nil {
				return err
			}
			switch {
			case t != target || v != view:
				target, view, last = t, v, next
			case next.notBefore > last.notBefore:
				found[t] = append(found[t], last.renewedBy(next))
				last = next
			}
			return nil
		})
	})
	for t, list := range found {
		slices.SortStableFunc(list, func(a, b inventory.Renewal) int { return a.At.Compare(b.At) })
		found[t] = slices.CompactFunc(list, func(a, b inventory.Renewal) bool { return a.NotBefore.Equal(b.NotBefore) })
	}
	return found, err
}

// A servedLeaf is the leaf of a span: first seen in milliseconds, valid in
// seconds.
type servedLeaf struct{ at, notBefore, notAfter int64 }

func (l servedLeaf) renewedBy(next servedLeaf) inventory.Renewal {
	at := fromMillis(next.at)
	return inventory.Renewal{
		At: at, NotBefore: time.Unix(next.notBefore, 0).UTC(),
		Left: time.Unix(l.notAfter, 0).Sub(at), Lifetime: time.Duration(l.notAfter-l.notBefore) * time.Second,
	}
}
