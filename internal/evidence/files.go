package evidence

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"example.com/certscan/internal/inventory"
)

// unusedFor is how long a CRL that nobody asks for stays in the directory. One
// that has expired still proves what it says is revoked.
const unusedFor = 60 * 24 * time.Hour

// Names of the files of one list, after the SHA-256 of its URL.
const (
	bodySuffix = ".crl"
	noteSuffix = ".json"
	newPrefix  = "new-" // begins the names of files that are being written
)

// A note is what is known of a CRL in a file beside it. A body that is not the
// one it tells of is not used, so the two need not be replaced at once.
type note struct {
	URL          string                `json:"url"`
	SHA256       inventory.Fingerprint `json:"sha256"`
	ETag         string                `json:"etag,omitempty"`
	LastModified string                `json:"last_modified,omitempty"`
	FetchedAt    time.Time             `json:"fetched_at"`
	Expires      time.Time             `json:"expires"`
}

// files are CRLs in a directory, one process writing at a time.
type files struct {
	limit int64                         // of the directory in octets
	full  func(dir string, limit int64) // told once that lists are removed for it

	mu      sync.Mutex
	dir     string         // under mu; "" until a temporary one is made
	temp    bool           // under mu; dir is to be removed
	counted bool           // under mu; used is right
	used    int64          // under mu; octets in the directory, or more
	spooled int64          // under mu; of these in files that are being written
	held    map[string]int // under mu; what must not be removed, see hold
	told    bool           // under mu
}

// path returns a file's path, or an error if there is no directory yet.
func (f *files) path(url, suffix string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dir == "" {
		return "", fs.ErrNotExist
	}
	return filepath.Join(f.dir, stem(url)+suffix), nil
}

// stem begins the names of the files of the list at url.
func stem(url string) string {
	id := sha256.Sum256([]byte(url))
	return hex.EncodeToString(id[:])
}

// note returns what is known of the list at url.
func (f *files) note(url string) (note, error) {
	path, err := f.path(url, noteSuffix)
	if err != nil {
		return note{}, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return note{}, err
	}
	var n note
	if err := json.Unmarshal(text, &n); err != nil {
		return note{}, fmt.Errorf("%q: %w", path, err)
	}
	if n.URL != url {
		return note{}, fmt.Errorf("%q is about another URL", path)
	}
	return n, nil
}

// open opens the body of the list at url, and says that it was of use. The caller
// holds the list.
func (f *files) open(url string) (*os.File, error) {
	path, err := f.path(url, bodySuffix)
	if err != nil {
		return nil, err
	}
	body, err := os.Open(path)
	if err == nil {
		f.use(url)
	}
	return body, err
}

// use says that the list at url is of use, if it is there.
func (f *files) use(url string) {
	now := time.Now()
	for _, suffix := range []string{bodySuffix, noteSuffix} {
		if path, err := f.path(url, suffix); err == nil {
			_ = os.Chtimes(path, now, now) // who may only read need not
		}
	}
}

// keep gives the body its place, nil if it has it already, and notes n.
func (f *files) keep(body *spool, n note) error {
	name := stem(n.URL)
	f.hold(name)
	defer f.letGo(name)
	if body != nil {
		path, err := f.path(n.URL, bodySuffix)
		if err == nil {
			err = body.rename(path)
		}
		if err != nil {
			return err
		}
	}
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	s := &spool{files: f}
	defer s.discard()
	_, err = s.Write(text)
	if err != nil {
		return err
	}
	path, err := f.path(n.URL, noteSuffix)
	if err != nil {
		return err
	}
	return s.rename(path)
}

// create creates a file to be renamed.
func (f *files) create() (*os.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dir == "" {
		dir, err := os.MkdirTemp("", "certscan-crl-")
		if err != nil {
			return nil, err
		}
		f.dir, f.temp = dir, true
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(f.dir, newPrefix)
	if err == nil {
		f.held[filepath.Base(file.Name())]++ // before anybody makes room
	}
	return file, err
}

// close removes a temporary directory.
func (f *files) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.temp {
		return nil
	}
	dir := f.dir
	f.dir, f.temp = "", false
	return os.RemoveAll(dir)
}

// A spool is a file that comes to be when something is written to it.
type spool struct {
	files *files
	file  *os.File
	size  int64 // of the file in octets
	taken int64 // of the directory in octets
	err   error // the first of writing: a fault of ours and not of who sent it
}

// Write implements [io.Writer].
func (s *spool) Write(b []byte) (n int, err error) {
	if s.err == nil && s.file == nil {
		s.file, s.err = s.files.create()
	}
	size := s.size + int64(len(b))
	if more := blocks(size) - s.taken; s.err == nil && more > 0 {
		if s.err = s.files.take(more, size); s.err == nil {
			s.taken += more
		}
	}
	if s.err == nil {
		n, s.err = s.file.Write(b)
		s.size += int64(n)
	}
	return n, s.err
}

// reader is what was written, from its beginning.
func (s *spool) reader() (io.Reader, error) {
	if s.file == nil {
		return strings.NewReader(""), nil
	}
	_, err := s.file.Seek(0, io.SeekStart)
	return s.file, err
}

func (s *spool) rename(path string) error {
	if s.file == nil {
		return errors.New("nothing was written")
	}
	name := s.file.Name()
	if err := s.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(name, path); err != nil {
		return err
	}
	s.done(true)
	return nil
}

// done gives back what was held for writing.
func (s *spool) done(stays bool) {
	s.files.give(s.taken, stays)
	s.files.letGo(filepath.Base(s.file.Name()))
	s.file, s.taken = nil, 0
}

// discard removes what has not been given a name.
func (s *spool) discard() {
	if s.file != nil {
		s.file.Close()
		os.Remove(s.file.Name())
		s.done(false)
	}
}

// RemoveUnused removes the CRLs in dir that nobody has asked for in 60 days, and
// what a process that died left there. A directory that does not exist is empty.
func RemoveUnused(dir string, now time.Time) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("unused CRLs: %w", err)
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue // gone, or none of ours
		}
		limit := unusedFor
		switch name := e.Name(); {
		case strings.HasPrefix(name, newPrefix):
			limit = 24 * time.Hour
		case !strings.HasSuffix(name, bodySuffix) && !strings.HasSuffix(name, noteSuffix):
			continue
		}
		if now.Sub(info.ModTime()) > limit {
			errs = append(errs, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("unused CRLs: %w", err)
	}
	return nil
}
