package store

import (
	"context"
	"database/sql"
	"fmt"
	"iter"

	"example.com/certscan/internal/inventory"
)

// List returns the live targets in the order of their keys, without their views.
func (d *DB) List(ctx context.Context) iter.Seq2[inventory.Target, error] {
	return func(yield func(inventory.Target, error) bool) {
		stopped := false
		err := d.snapshot(ctx, "list targets", func(tx *sql.Tx) error {
			rows, err := tx.QueryContext(ctx, `SELECT `+targetColumns+` FROM target AS t WHERE t.forgotten IS NULL ORDER BY t.key`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() && !stopped {
				var r row
				if err := rows.Scan(&r.key, &r.host, &r.port, &r.protocol, &r.address, &r.labels, &r.sources, &r.firstSeen); err != nil {
					return err
				}
				st, err := r.target()
				if err != nil {
					return fmt.Errorf("%s: %w", r.key, err)
				}
				stopped = !yield(st.Target, nil)
			}
			return rows.Err()
		})
		if err != nil && !stopped {
			yield(inventory.Target{}, err)
		}
	}
}
