package store

import (
	"context"
	"database/sql"
	"errors"

	"example.com/certscan/internal/inventory"
)

// Evidence returns what was stored for n, also if it has expired, and whether
// anything was. CRLs are not in the store.
func (d *DB) Evidence(ctx context.Context, n inventory.Need) (inventory.Evidence, bool, error) {
	ev := inventory.Evidence{Need: n}
	var (
		packed           []byte
		fetched, expires int64
	)
	err := d.r.QueryRowContext(ctx, `
		SELECT certificates, ocsp, error, error_word, fetched_at, expires FROM evidence WHERE kind = ? AND url = ? AND request = ?`,
		string(n.Kind), n.URL, n.Request).Scan(&packed, &ev.OCSP, &ev.Error, &ev.ErrorWord, &fetched, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return ev, false, nil
	}
	if err == nil {
		ev.Certificates, err = unpackBlobs(packed)
	}
	ev.FetchedAt, ev.Expires = fromMillis(fetched), fromMillis(expires)
	return ev, err == nil, d.explain("read evidence", err)
}

// PutEvidence stores what was got for a need, in place of what was before.
func (d *DB) PutEvidence(ctx context.Context, ev inventory.Evidence) error {
	return d.write(ctx, "store evidence", func(w *writer) error {
		_, err := w.exec(`
			INSERT INTO evidence (kind, url, request, certificates, ocsp, error, error_word, fetched_at, expires)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (kind, url, request) DO UPDATE SET
				certificates = excluded.certificates, ocsp = excluded.ocsp, error = excluded.error, error_word = excluded.error_word,
				fetched_at = excluded.fetched_at, expires = excluded.expires`,
			string(ev.Need.Kind), ev.Need.URL, ev.Need.Request, packBlobs(ev.Certificates), ev.OCSP,
			clip(ev.Error, maxText), ev.ErrorWord, millis(ev.FetchedAt), millis(ev.Expires))
		return err
	})
}
