package store

import (
	"context"
	"fmt"
)

// LimitPages makes the disk full when the file has n pages more than now.
func (d *DB) LimitPages(ctx context.Context, n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var have int
	if err := d.w.conn.QueryRowContext(ctx, `PRAGMA page_count`).Scan(&have); err != nil {
		return err
	}
	return d.w.conn.QueryRowContext(ctx, fmt.Sprintf(`PRAGMA max_page_count = %d`, have+n)).Scan(&have)
}

// Exec changes the file behind the store's back.
func (d *DB) Exec(ctx context.Context, query string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.w.conn.ExecContext(ctx, query)
	return err
}

// Rows counts the rows of a table.
func (d *DB) Rows(ctx context.Context, table string) (n int, err error) {
	err = d.r.QueryRowContext(ctx, `SELECT count(*) FROM `+table).Scan(&n)
	return n, err
}
