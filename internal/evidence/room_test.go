package evidence_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
)

// A server with another certificate and other URLs for each handshake does not
// fill the disk, and what is used stays.
func TestTheDirectoryIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	text := "crl 2000000000 " + strings.Repeat("x", 50_000)
	dir, now := t.TempDir(), time.Now()
	n := &network{urls: map[string]answerFunc{"*": body(text, -1)}}
	var log bytes.Buffer
	opt := evidence.Options{
		Fetcher: n, ReadCRL: new(reader).ReadCRL, CRLDir: dir, DirBytes: limit, TableBytes: 1, Now: func() time.Time { return now },
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	s := newSource(t, opt)
	for i := range 100 {
		for _, name := range []string{fmt.Sprint(i), "used"} {
			if got := s.Get(t.Context(), list(name)); !is(got, text) {
				t.Fatalf("%s: %+v", name, got)
			}
		}
		// File systems differ in how finely they tell time.
		used, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		var size int64
		for _, path := range used {
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			size += info.Size()
			if err := os.Chtimes(path, now, info.ModTime().Add(-time.Minute)); err != nil {
				t.Fatal(err)
			}
		}
		if size > limit {
			t.Fatalf("%d octets after %d lists, want at most %d", size, i+1, limit)
		}
	}
	if n.count() != 101 {
		t.Errorf("%d fetches, want one for each list: the one in use stays", n.count())
	}
	if told := strings.Count(log.String(), "is full"); told != 1 {
		t.Errorf("told %d times that it is full, want once:\n%s", told, &log)
	}

	// Another process finds what is there, and counts it.
	opt.DirBytes = limit / 4
	if got := newSource(t, opt).Get(t.Context(), list("more")); !is(got, text) {
		t.Fatalf("Get = %+v", got)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.crl")); err != nil || len(left) == 0 || len(left) > 5 {
		t.Errorf("%d lists are left (%v), want those that fit", len(left), err)
	}
}

// Lists that are still arriving count.
func TestWhatArrivesIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := &network{urls: map[string]answerFunc{"*": body("crl 2000000000 "+strings.Repeat("x", 600_000), -1), list("a").URL: body("crl 2000000000", -1)}}
	s := newSource(t, evidence.Options{Fetcher: n, ReadCRL: new(reader).ReadCRL, CRLDir: dir, DirBytes: 1 << 19})
	if got := s.Get(t.Context(), list("large")); got.ErrorWord != inventory.EvidenceLocal || !strings.Contains(got.Error, "no room") {
		t.Errorf("Get = %+v, want it told that there is no room", got)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v are left (%v)", left, err)
	}
	for range 3 {
		if got := s.Get(t.Context(), list("a")); !is(got, "crl 2000000000") {
			t.Errorf("another list: %+v", got)
		}
	}
}
