package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"example.com/certscan/internal/inventory"
)

// LastScan names the latest scan that has ended, where a scan is asked for.
const LastScan = "last"

// judging is what chains were judged by besides trust stores, as it is stored.
type judging struct {
	Distrust []inventory.DistrustInfo `json:"distrust_lists,omitempty"`
	LogList  *inventory.LogListInfo   `json:"ct_log_list,omitempty"`

	Revocation *inventory.RevocationInfo `json:"revocation,omitempty"`
}

// BeginScan notes that a scan has begun. One that is known by its id is being
// resumed, and keeps what it has finished.
func (d *DB) BeginScan(ctx context.Context, info inventory.ScanInfo) error {
	arguments, err := jsonText(append([]string{}, info.Arguments...))
	if err != nil {
		return err
	}
	stores, err := jsonText(append([]inventory.StoreInfo{}, info.Stores...))
	if err != nil {
		return err
	}
	judging, err := jsonText(judging{info.Distrust, info.LogList, info.Revocation})
	if err != nil {
		return err
	}
	return d.write(ctx, "begin scan", func(w *writer) error {
		w.scanStarted, w.lastProbe = millis(info.Started), 0
		// Nobody else writes, so a scan without an end was killed.
		if _, err := w.exec(`
			UPDATE scan SET ended = max(started, coalesce((SELECT max(last_seen) FROM view), 0))
			WHERE ended IS NULL AND id <> ?`, info.ID); err != nil {
			return err
		}
		if _, err := w.exec(`
			INSERT INTO scan (id, version, arguments, started, ended, partial, stores, judging) VALUES (?, ?, ?, ?, NULL, 1, ?, ?)
			ON CONFLICT (id) DO UPDATE SET ended = NULL, partial = 1, version = excluded.version, stores = excluded.stores, judging = excluded.judging`,
			info.ID, info.Version, arguments, millis(info.Started), stores, judging); err != nil {
			return err
		}
		// Only the last interrupted scan can be resumed.
		_, err := w.exec(`
			DELETE FROM progress WHERE scan <> ?1 AND scan <> coalesce(
				(SELECT id FROM scan WHERE partial AND id <> ?1 ORDER BY started DESC, id DESC LIMIT 1), '')`, info.ID)
		return err
	})
}

// EndScan notes that a scan has ended. A partial one can be resumed.
func (d *DB) EndScan(ctx context.Context, id string, ended time.Time, partial bool) error {
	return d.write(ctx, "end scan", func(w *writer) error {
		w.scanStarted = 0
		n, err := w.exec(`UPDATE scan SET ended = ?, partial = ? WHERE id = ?`, millis(ended), partial, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w %q", inventory.ErrUnknownScan, id)
		}
		if partial {
			return nil
		}
		_, err = w.exec(`DELETE FROM progress WHERE scan = ?`, id)
		return err
	})
}

const scanColumns = `id, version, arguments, started, ended, partial, stores, judging`

// Scan returns a scan by its id, by a beginning of it that no other has, or by
// [LastScan]. The end of a scan that runs, or was killed and nothing was scanned
// since, is zero.
func (d *DB) Scan(ctx context.Context, id string) (inventory.ScanInfo, error) {
	query, args := `SELECT `+scanColumns+` FROM scan WHERE id = ?1 OR substr(id, 1, length(?1)) = ?1 ORDER BY id <> ?1 LIMIT 2`, []any{id}
	if id == LastScan {
		query, args = `SELECT `+scanColumns+` FROM scan WHERE ended IS NOT NULL ORDER BY started DESC, id DESC LIMIT 1`, nil
	}
	found, err := d.scans(ctx, query, args...)
	switch {
	case err != nil:
		return inventory.ScanInfo{}, err
	case len(found) == 0 || id == "":
		return inventory.ScanInfo{}, d.explain("find scan", fmt.Errorf("%w %q", inventory.ErrUnknownScan, id))
	case len(found) > 1 && found[0].ID != id:
		return inventory.ScanInfo{}, d.explain("find scan", fmt.Errorf("%w %q: more than one begins so", inventory.ErrUnknownScan, id))
	}
	return found[0], nil
}

// Scans returns every scan, the latest first.
func (d *DB) Scans(ctx context.Context) ([]inventory.ScanInfo, error) {
	return d.scans(ctx, `SELECT `+scanColumns+` FROM scan ORDER BY started DESC, id DESC`)
}

func (d *DB) scans(ctx context.Context, query string, args ...any) ([]inventory.ScanInfo, error) {
	var infos []inventory.ScanInfo
	rows, err := d.r.QueryContext(ctx, query, args...)
	err = forEach(rows, err, func(rows *sql.Rows) error {
		var (
			i                         inventory.ScanInfo
			arguments, stores, judged string
			started                   int64
			ended                     sql.NullInt64
			by                        judging
		)
		if err := rows.Scan(&i.ID, &i.Version, &arguments, &started, &ended, &i.Partial, &stores, &judged); err != nil {
			return err
		}
		i.Started, i.Ended = fromMillis(started), fromMillis(ended.Int64)
		infos = append(infos, i)
		last := &infos[len(infos)-1]
		err := errors.Join(
			json.Unmarshal([]byte(arguments), &last.Arguments), json.Unmarshal([]byte(stores), &last.Stores), json.Unmarshal([]byte(judged), &by),
		)
		last.Distrust, last.LogList, last.Revocation = by.Distrust, by.LogList, by.Revocation
		return err
	})
	return infos, d.explain("list scans", err)
}

// Resumable returns the last scan that was interrupted or killed, and tells
// which targets it has finished. Begin it again with the same id.
func (d *DB) Resumable(ctx context.Context) (inventory.ScanInfo, func(target string) bool, error) {
	found, err := d.scans(ctx, `SELECT `+scanColumns+` FROM scan WHERE partial ORDER BY started DESC, id DESC LIMIT 1`)
	if err != nil {
		return inventory.ScanInfo{}, nil, err
	}
	if len(found) == 0 {
		return inventory.ScanInfo{}, nil, d.explain("resume", fmt.Errorf("%w: no scan was interrupted", inventory.ErrNothingToResume))
	}
	done := make(map[stateID]struct{})
	rows, err := d.r.QueryContext(ctx, `SELECT targets FROM progress WHERE scan = ?`, found[0].ID)
	err = forEach(rows, err, func(rows *sql.Rows) error {
		var ids sql.RawBytes
		if err := rows.Scan(&ids); err != nil {
			return err
		}
		for ; len(ids) >= len(stateID{}); ids = ids[len(stateID{}):] {
			done[stateID(ids[:len(stateID{})])] = struct{}{}
		}
		return nil
	})
	if err != nil {
		return inventory.ScanInfo{}, nil, d.explain("resume", err)
	}
	return found[0], func(target string) bool { _, ok := done[doneID(target)]; return ok }, nil
}
