package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"example.com/certscan/internal/inventory"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// applicationID marks a SQLite file as ours ("cscn"), so that the path of
// somebody else's database does no harm.
const applicationID = 0x6373636e

// maxRemembered bounds what a writer remembers of the certificates and chains
// that it has stored, in entries.
const maxRemembered = 1 << 14

// A writer is the one connection that writes. It keeps its statements prepared
// for as long as it lives. Owned by DB.mu.
type writer struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt

	// stored holds what is known to be in the file: chain ids, and certificates
	// as far as nothing is left to learn about them; purely an optimisation.
	stored map[inventory.Fingerprint]struct{}

	families map[string]int64 // ids by content, of those that were asked for

	signatures  *Signatures // nil until asked for
	lastProbe   int64       // the latest time of an observation of the running scan
	scanStarted int64       // when the running scan began; 0: none runs
}

func newWriter(conn *sql.Conn) *writer {
	return &writer{conn: conn, stmts: make(map[string]*sql.Stmt), stored: make(map[inventory.Fingerprint]struct{}), families: make(map[string]int64)}
}

func (w *writer) close() error {
	var errs []error
	for _, s := range w.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, w.conn.Close())...)
}

// update runs f in a transaction. ctx can prevent it but not interrupt it: a
// batch takes milliseconds, and what was seen is worth them.
func (w *writer) update(ctx context.Context, f func(*writer) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := w.conn.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	if err := f(w); err != nil {
		w.forget()
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		w.forget()
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return nil
}

// forget drops what may no longer be in the file.
func (w *writer) forget() {
	clear(w.stored)
	clear(w.families)
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

func (w *writer) prepare(query string) (*sql.Stmt, error) {
	if s, ok := w.stmts[query]; ok {
		return s, nil
	}
	s, err := w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	w.stmts[query] = s
	return s, nil
}

// exec runs a statement and returns the number of rows that it touched. It
// takes no context: one that can end costs a goroutine for each statement.
func (w *writer) exec(query string, args ...any) (int64, error) {
	s, err := w.prepare(query)
	if err != nil {
		return 0, err
	}
	res, err := s.Exec(args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// insert is exec for a row whose id is wanted.
func (w *writer) insert(query string, args ...any) (int64, error) {
	s, err := w.prepare(query)
	if err != nil {
		return 0, err
	}
	res, err := s.Exec(args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// each calls f for every row of a query, with the row to scan from.
func (w *writer) each(query string, args []any, f func(*sql.Rows) error) error {
	s, err := w.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.Query(args...)
	return forEach(rows, err, f)
}

// remember notes that what id identifies is stored, and reports whether that
// was known.
func (w *writer) remember(id inventory.Fingerprint) (known bool) {
	if _, known = w.stored[id]; known {
		return true
	}
	if len(w.stored) >= maxRemembered {
		clear(w.stored)
	}
	w.stored[id] = struct{}{}
	return false
}

func forEach(rows *sql.Rows, err error, f func(*sql.Rows) error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// migrations returns the names of the files that make up the schema. Files are
// only ever added.
func migrations() []string {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql") // sorted
	if err != nil {
		return nil // the pattern is constant
	}
	return names
}

// migrate applies the files that the store has not seen. Their number is
// PRAGMA user_version.
func (w *writer) migrate(ctx context.Context) error {
	have, err := schemaVersion(ctx, w.conn)
	if err != nil {
		return err
	}
	names := migrations()
	if have == len(names) {
		return nil
	}
	return w.update(ctx, func(w *writer) error {
		for i, name := range names[have:] {
			text, err := migrationFiles.ReadFile(name)
			if err != nil {
				return err
			}
			if _, err := w.conn.ExecContext(ctx, string(text)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if _, err := w.conn.ExecContext(ctx, fmt.Sprintf(`PRAGMA user_version = %d`, have+i+1)); err != nil {
				return err
			}
		}
		_, err := w.conn.ExecContext(ctx, fmt.Sprintf(`PRAGMA application_id = %d`, applicationID))
		return err
	})
}

// schemaVersion returns the schema of a store, and refuses files that are not
// one of ours or that a newer certscan wrote.
func schemaVersion(ctx context.Context, q querier) (int, error) {
	var app, version, tables int
	for pragma, to := range map[string]*int{
		`PRAGMA application_id`:              &app,
		`PRAGMA user_version`:                &version,
		`SELECT count(*) FROM sqlite_master`: &tables,
	} {
		if err := q.QueryRowContext(ctx, pragma).Scan(to); err != nil {
			return 0, err
		}
	}
	if app != applicationID && tables > 0 {
		return 0, errForeign
	}
	if newest := len(migrations()); version > newest {
		return 0, newerError{have: version, know: newest}
	}
	return version, nil
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// one scans the only row of a query.
func (w *writer) one(query string, args []any, dest ...any) error {
	s, err := w.prepare(query)
	if err != nil {
		return err
	}
	return s.QueryRow(args...).Scan(dest...)
}
