// Package store keeps the inventory and its history in one SQLite file.
//
// All SQL of certscan is in this package. It remembers facts and findings and
// judges nothing. One process writes, under a lock that the kernel releases
// when the process dies; readers need no lock and never wait.
//
// Its invariant: what one call to Record was given is stored whole or not at
// all, so a process that is killed at any point loses at most the call in
// flight and never leaves a torn state.
package store

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	_ "modernc.org/sqlite" // registers the "sqlite" driver
)

// Retention is how long history is kept by default.
const Retention = 400 * 24 * time.Hour

// Errors that callers branch on.
var (
	// ErrLocked: another process writes to the file.
	ErrLocked = errors.New("store is in use")

	// ErrUnusable: the file cannot be used, or not now, and another could be.
	// ErrLocked is one such error.
	ErrUnusable = errors.New("store is not usable")
)

// readers is how many queries may run at the same time. One that is iterated
// over keeps its connection.
const readers = 8

// Options of [Open]. The zero value opens for writing.
type Options struct {
	// ReadOnly opens an existing store to read it, also while another process
	// writes to it. Nothing is created or changed.
	ReadOnly bool

	// Command is told to whoever finds the store locked; defaults to the
	// command line of this process.
	Command string

	// Now is the time for what is recorded without a time of its own; defaults
	// to time.Now.
	Now func() time.Time
}

// A DB is an open store. It is safe for concurrent use.
type DB struct {
	path string
	now  func() time.Time
	lock *fileLock // nil when read-only
	r    *sql.DB
	wdb  *sql.DB // nil when read-only; has one connection

	mu    sync.Mutex // held while writing
	w     *writer    // under mu; nil when read-only
	cache knownCache // under mu

	revoked *Revocations // under mu; nil until somebody asks for it
}

// Open opens the store at path. For writing it creates what is missing
// (directories with mode 0700, files with 0600), takes the writer's lock and
// brings an older schema up to date.
func Open(ctx context.Context, path string, opt Options) (*DB, error) {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Command == "" {
		opt.Command = strings.Join(append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...), " ")
	}
	d := &DB{path: path, now: opt.Now}
	var err error
	if opt.ReadOnly {
		err = d.openRead(ctx)
	} else {
		err = d.openWrite(ctx, opt)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *DB) openWrite(ctx context.Context, opt Options) error {
	if err := prepareFile(d.path); err != nil {
		return d.explain("open", err)
	}
	if err := d.recognise(ctx); err != nil {
		return d.explain("open", err)
	}
	var err error
	if d.lock, err = takeLock(d.path+".lock", opt.Command); err != nil {
		return d.explain("lock", err)
	}
	if d.wdb, err = sql.Open("sqlite", dsn(d.path, "rw")); err != nil {
		return d.explain("open", err)
	}
	d.wdb.SetMaxOpenConns(1) // one writer: queue in Go instead of SQLITE_BUSY
	conn, err := d.wdb.Conn(ctx)
	if err != nil {
		return d.explain("open", err)
	}
	d.w = newWriter(conn)
	if err := d.w.migrate(ctx); err != nil {
		return d.explain("open", err)
	}
	var some bool
	if err := d.w.one(`SELECT EXISTS (SELECT 1 FROM target)`, nil, &some); err != nil {
		return d.explain("open", err)
	}
	if !some {
		d.cache.all = make(map[stateID]struct{})
	}
	return d.openReaders("ro")
}

// recognise refuses a database that is not ours while it is still untouched:
// to open it for writing would already make it use a write-ahead log.
func (d *DB) recognise(ctx context.Context) error {
	if info, err := os.Stat(d.path); err != nil || info.Size() == 0 {
		return err
	}
	r, err := sql.Open("sqlite", dsn(d.path, "ro"))
	if err != nil {
		return err
	}
	_, err = schemaVersion(ctx, r)
	return errors.Join(err, r.Close())
}

func (d *DB) openRead(ctx context.Context) error {
	if err := checkHeader(d.path); err != nil {
		return d.explain("open", err)
	}
	mode := "ro"
	if sealed(d.path) {
		mode += "&immutable=1"
	}
	if err := d.openReaders(mode); err != nil {
		return err
	}
	have, err := schemaVersion(ctx, d.r)
	if know := len(migrations()); err == nil && have < know {
		err = olderError{have: have, know: know}
	}
	return d.explain("open", err)
}

func (d *DB) openReaders(mode string) error {
	var err error
	if d.r, err = sql.Open("sqlite", dsn(d.path, mode)); err != nil {
		return d.explain("open for reading", err)
	}
	d.r.SetMaxOpenConns(readers)
	d.r.SetMaxIdleConns(readers)
	return nil
}

// dsn has the pragmas, since they are per connection: an Exec would reach only
// one of the pool.
func dsn(path, mode string) string {
	q := url.Values{
		"_pragma": {"busy_timeout(5000)", "temp_store(MEMORY)"},
		"_txlock": {"deferred"},
	}
	if mode == "rw" {
		// References are looked at by Check and not at every insert, which would
		// cost a first scan a fifth more.
		q["_pragma"] = append(q["_pragma"], "foreign_keys(OFF)", "synchronous(NORMAL)", "cache_size(-4000)",
			"wal_autocheckpoint(8000)", "journal_size_limit(67108864)")
		q["_journal_mode"] = []string{"WAL"}
		q["_txlock"] = []string{"immediate"}
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}
	return u.String() + "?mode=" + mode + "&" + q.Encode()
}

// Close closes the store and releases the lock. It waits for queries that have
// started.
func (d *DB) Close() error {
	var errs []error
	if d.r != nil {
		errs = append(errs, d.r.Close())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.w != nil {
		errs = append(errs, d.w.close())
		d.w = nil
	}
	if d.wdb != nil {
		errs = append(errs, d.wdb.Close()) // the last one out checkpoints the WAL
	}
	if d.lock != nil {
		errs = append(errs, d.lock.release())
		d.lock = nil
	}
	return errors.Join(errs...)
}

// write runs f in a transaction, alone.
func (d *DB) write(ctx context.Context, what string, f func(*writer) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.w == nil {
		return d.explain(what, errReadOnly)
	}
	if err := d.w.update(ctx, f); err != nil {
		d.cache.clear() // may hold what was rolled back
		return d.explain(what, err)
	}
	return nil
}

// snapshot runs f in a transaction that sees one state of the store.
func (d *DB) snapshot(ctx context.Context, what string, f func(*sql.Tx) error) error {
	tx, err := d.r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return d.explain(what, err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	return d.explain(what, f(tx))
}

// millis is t as stored; zero for the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is the inverse of millis.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
