package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	errReadOnly = errors.New("opened for reading only")
	errForeign  = unusableError{errors.New("a SQLite database of another program")}
	errFormat   = unusableError{errors.New("not a SQLite database")}
)

// An unusableError is [ErrUnusable] without saying so: what is wrong with the
// file is enough.
type unusableError struct{ error }

func (e unusableError) Is(target error) bool { return target == ErrUnusable }
func (e unusableError) Unwrap() error        { return e.error }

// A newerError is a store that a newer certscan wrote.
type newerError struct{ have, know int }

func (e newerError) Error() string {
	return fmt.Sprintf("schema %d was written by a newer certscan, and this one knows %d; use the newer one", e.have, e.know)
}

func (e newerError) Is(target error) bool { return target == ErrUnusable }

// An olderError is a store that only a writer can bring up to date.
type olderError struct{ have, know int }

func (e olderError) Error() string {
	if e.have == 0 {
		return "nothing is in it yet; scan something first"
	}
	return fmt.Sprintf("schema %d is older than the %d of this certscan; the next scan brings it up to date", e.have, e.know)
}

// explain names the store in err and says what to do where that can be known.
// Where another file would do, it is [ErrUnusable]: how one is named is known to
// the caller.
func (d *DB) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	hint, unusable := "", false
	switch sqliteCode(err) {
	case sqlite3.SQLITE_FULL:
		hint = "the disk is full: make room and run it again; what was stored before is safe"
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		hint, unusable = "the file or its directory cannot be written to: change its permissions", true
	case sqlite3.SQLITE_CANTOPEN:
		hint, unusable = "the file or its directory cannot be opened: check its permissions", true
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		hint = "another program holds it: try again when that has ended"
	case sqlite3.SQLITE_NOTADB:
		hint, unusable = errFormat.Error(), true
	case sqlite3.SQLITE_IOERR:
		hint = "the disk failed, or a limit on the size of files was met (ulimit -f): see to that and run it again; what was stored before is safe"
	case sqlite3.SQLITE_CORRUPT:
		hint, unusable = "the file is damaged: restore a backup", true
	}
	switch {
	case hint != "":
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = "the disk is full: make room and run it again; what was stored before is safe"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EISDIR), errors.Is(err, syscall.ENOTDIR):
		unusable = true
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		hint, unusable = "change its permissions", true
	}
	if hint != "" {
		hint = " (" + hint + ")"
	}
	err = fmt.Errorf("store %q: %s: %w%s", d.path, what, err, hint)
	if unusable {
		return unusableError{err}
	}
	return err
}

// sqliteCode is the primary result code in err, 0 if there is none.
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// prepareFile makes the directories of path and the file itself, for nobody
// else to read, and looks that what is there can be a database.
func prepareFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return checkHeader(path)
}

// checkHeader looks whether path is a SQLite database or empty.
func checkHeader(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return unusableError{errors.New("not a regular file")}
	}
	magic := make([]byte, 16)
	n, err := io.ReadFull(f, magic)
	switch {
	case errors.Is(err, io.EOF):
		return nil // empty: new
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case string(magic[:n]) != "SQLite format 3\x00":
		return errFormat
	}
	return nil
}

// sealed reports whether path is a complete database in a place where SQLite
// could not make the index of a write-ahead log, which even readers need.
func sealed(path string) bool {
	_, err := os.Stat(path + "-wal")
	return errors.Is(err, fs.ErrNotExist) && !writable(filepath.Dir(path))
}
