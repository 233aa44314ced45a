package evidence_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
)

type answerFunc = func(context.Context) (evidence.Answer, error)

// table is a CRL's entries of a size.
type table int

func (table) Lookup([]byte) (inventory.RevokedEntry, bool) { return inventory.RevokedEntry{}, false }
func (table) Len() int                                     { return 0 }
func (t table) Bytes() int                                 { return int(t) }

// A reader takes "crl SECONDS TEXT" for a CRL that holds for so many seconds
// from the start of fake time, and counts what it reads.
type reader struct {
	mu   sync.Mutex
	read int
}

var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of synctest

func (r *reader) ReadCRL(from io.Reader) (*inventory.CRL, error) {
	r.mu.Lock()
	r.read++
	r.mu.Unlock()
	text, err := io.ReadAll(from)
	if err != nil {
		return nil, err
	}
	var seconds int
	if _, err := fmt.Sscanf(string(text), "crl %d", &seconds); err != nil {
		return nil, errors.New("not a list")
	}
	return &inventory.CRL{SHA256: inventory.FingerprintOf(text), NextUpdate: start.Add(time.Duration(seconds) * time.Second), Entries: table(len(text))}, nil
}

func list(name string) inventory.Need {
	return inventory.Need{Kind: inventory.NeedCRL, URL: "http://crl.example/" + name}
}

// is reports whether e is the list with that text.
func is(e inventory.Evidence, text string) bool {
	return e.Error == "" && e.CRL != nil && e.CRL.SHA256 == inventory.FingerprintOf([]byte(text))
}

const day = 24 * time.Hour

func TestWhenACRLIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		body  string
		fresh time.Duration
		lasts time.Duration
	}{
		{"HTTP says nothing", "crl 864000", -1, 4 * time.Hour},
		{"HTTP says how long", "crl 864000", 6 * time.Hour, 6 * time.Hour},
		{"HTTP says for ever", "crl 864000", 1 << 60, 24 * time.Hour},
		{"HTTP forbids to keep it", "crl 864000", 0, time.Hour},
		{"it ends before HTTP's word does", "crl 1800", 6 * time.Hour, 30 * time.Minute},
		{"it has expired", "crl 0", 6 * time.Hour, 10 * time.Minute},
		{"it expired long ago", "crl -864000", -1, 10 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := &network{urls: map[string]answerFunc{"*": body(tt.body, tt.fresh)}}
				s := newSource(t, evidence.Options{Fetcher: n, ReadCRL: new(reader).ReadCRL})
				got := s.Get(t.Context(), list("a"))
				if !is(got, tt.body) || got.Expires.Sub(start) != tt.lasts || !got.FetchedAt.Equal(start) {
					t.Fatalf("Get = %+v, want the list for %v", got, tt.lasts)
				}
				time.Sleep(tt.lasts - 1)
				s.Get(t.Context(), list("a"))
				if n.count() != 1 {
					t.Errorf("asked %d times while it was fresh", n.count())
				}
				time.Sleep(time.Nanosecond)
				s.Get(t.Context(), list("a"))
				if n.count() != 2 {
					t.Errorf("asked %d times in all, want 2", n.count())
				}
			})
		})
	}
}

// One fetch for each URL, and one reading, however many ask.
func TestACRLIsFetchedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &network{urls: map[string]answerFunc{"*": func(context.Context) (evidence.Answer, error) {
			time.Sleep(time.Second)
			return evidence.Answer{Body: []byte("crl 864000"), Fresh: -1}, nil
		}}}
		var r reader
		s := newSource(t, evidence.Options{Fetcher: n, ReadCRL: r.ReadCRL})
		var mu sync.Mutex
		seen := make(map[*inventory.CRL]int)
		var wg sync.WaitGroup
		for i := range 10_000 {
			wg.Go(func() {
				got := s.Get(t.Context(), list(fmt.Sprint(i%20)))
				mu.Lock()
				defer mu.Unlock()
				seen[got.CRL]++
			})
		}
		wg.Wait()
		if n.count() != 20 || r.read != 20 || len(seen) != 20 || seen[nil] != 0 {
			t.Errorf("%d fetches, %d readings, %d lists, want 20 of each", n.count(), r.read, len(seen))
		}
		if shared := s.Shared(); len(shared) != 20 || shared[list("3")].CRL == nil {
			t.Errorf("%d lists are shared, want 20", len(shared))
		}
	})
}

// A process that starts with a directory of lists fetches none while they are
// fresh, and asks with condition when they are not.
func TestCRLsAreKeptInFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "certscan.db-crl")
		n := &network{urls: map[string]answerFunc{"*": body("crl 864000", -1)}}
		var r reader
		process := func(n evidence.Fetcher) *evidence.Source {
			return newSource(t, evidence.Options{Fetcher: n, ReadCRL: r.ReadCRL, CRLDir: dir})
		}
		first := process(n).Get(t.Context(), list("a"))

		warm := process(n)
		if got := warm.Get(t.Context(), list("a")); !is(got, "crl 864000") || !got.FetchedAt.Equal(first.FetchedAt) || !got.Expires.Equal(first.Expires) || n.count() != 1 {
			t.Errorf("warm start: %+v after %d fetches", got, n.count())
		}
		time.Sleep(5 * time.Hour)
		n.set("*", func(context.Context) (evidence.Answer, error) {
			return evidence.Answer{NotModified: true, Fresh: 2 * time.Hour}, nil
		})
		if got := process(n).Get(t.Context(), list("a")); !is(got, "crl 864000") || time.Until(got.Expires) != 2*time.Hour {
			t.Errorf("not modified: %+v", got)
		}
		n.set("*", fails(wordError("connect")))
		time.Sleep(3 * time.Hour)
		if got := process(n).Get(t.Context(), list("a")); !is(got, "crl 864000") || !got.FetchedAt.Equal(start) || time.Until(got.Expires) != 5*time.Minute {
			t.Errorf("while the host is dead: %+v, want the old list", got)
		}
		n.set("*", body("<html>", -1))
		if got := process(n).Get(t.Context(), list("a")); !is(got, "crl 864000") {
			t.Errorf("while the host serves nonsense: %+v, want the old list", got)
		}
		offline := newSource(t, evidence.Options{Offline: true, ReadCRL: r.ReadCRL, CRLDir: dir})
		time.Sleep(100 * day)
		if got := offline.Get(t.Context(), list("a")); !is(got, "crl 864000") {
			t.Errorf("offline: %+v, want the old list", got)
		}
		if got := offline.Get(t.Context(), list("b")); got.ErrorWord != inventory.EvidenceNotFetched {
			t.Errorf("offline, never fetched: %+v", got)
		}
		want := []string{list("a").URL, list("a").URL + ` "1"`, list("a").URL + ` "1"`, list("a").URL + ` "1"`}
		if diff := cmp.Diff(want, n.asked); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

// What is damaged, half written or somebody else's is fetched again.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		damage func(name string, content []byte) []byte // nil removes
	}{
		{"no body", func(name string, b []byte) []byte { return keepIf(!strings.HasSuffix(name, ".crl"), b) }},
		{"no note", func(name string, b []byte) []byte { return keepIf(!strings.HasSuffix(name, ".json"), b) }},
		{"another body", func(name string, b []byte) []byte { return bytes.Replace(b, []byte("crl 8640"), []byte("crl 9640"), 1) }},
		{"half a body", func(name string, b []byte) []byte {
			if strings.HasSuffix(name, ".crl") {
				return b[:3]
			}
			return b
		}},
		{"a note that is no JSON", func(_ string, b []byte) []byte { return bytes.ReplaceAll(b, []byte("{"), nil) }},
		{"a note about another URL", func(_ string, b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("crl.example"), []byte("crl.invalid"))
		}},
	} {
		for _, fresh := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, fresh %v", tt.name, fresh), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					dir := t.TempDir()
					n := &network{urls: map[string]answerFunc{"*": body("crl 864000", -1)}}
					open := func() *evidence.Source {
						return newSource(t, evidence.Options{Fetcher: n, ReadCRL: new(reader).ReadCRL, CRLDir: dir})
					}
					open().Get(t.Context(), list("a"))
					names, err := filepath.Glob(filepath.Join(dir, "*"))
					if err != nil || len(names) != 2 {
						t.Fatalf("%v in the directory (%v), want a body and a note", names, err)
					}
					for _, name := range names {
						damage(t, name, tt.damage)
					}
					if !fresh {
						time.Sleep(day)
						// The first answer is that nothing changed, if it is asked like that.
						n.mu.Lock()
						full := n.urls["*"]
						n.urls["*"] = func(ctx context.Context) (evidence.Answer, error) {
							n.mu.Lock()
							defer n.mu.Unlock()
							if strings.HasSuffix(n.asked[len(n.asked)-1], `"1"`) {
								return evidence.Answer{NotModified: true}, nil
							}
							return full(ctx)
						}
						n.mu.Unlock()
					}
					if got := open().Get(t.Context(), list("a")); !is(got, "crl 864000") {
						t.Errorf("Get = %+v", got)
					}
					if got := n.asked[len(n.asked)-1]; got != list("a").URL {
						t.Errorf("the last request was %q, want one without a condition", got)
					}
				})
			})
		}
	}
}

func keepIf(keep bool, b []byte) []byte {
	if keep {
		return b
	}
	return nil
}

func damage(t *testing.T, name string, change func(string, []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if b = change(name, b); b == nil {
		err = os.Remove(name)
	} else {
		err = os.WriteFile(name, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Lists that do not fit are read from their files again, and not fetched.
func TestTablesAreBounded(t *testing.T) {
	t.Parallel()
	text := "crl 864000 " + strings.Repeat("x", 4000)
	n := &network{urls: map[string]answerFunc{"*": body(text, -1)}}
	var r reader
	s := newSource(t, evidence.Options{Fetcher: n, ReadCRL: r.ReadCRL, TableBytes: 10_000, Now: func() time.Time { return start }})
	for _, name := range []string{"a", "b", "a", "c", "a", "b"} {
		if got := s.Get(t.Context(), list(name)); !is(got, text) {
			t.Fatalf("Get = %+v", got)
		}
		if n := len(s.Shared()); n > 2 {
			t.Errorf("%d lists are remembered, want at most 2", n)
		}
	}
	if n.count() != 3 || r.read != 4 {
		t.Errorf("%d fetches and %d readings, want 3 and 4", n.count(), r.read)
	}
}

func TestWhyThereIsNoCRL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer answerFunc
		need   inventory.Need
		word   string
		lasts  time.Duration
	}{
		{"no address", fails(wordError("dns")), list("a"), inventory.EvidenceUnreachable, 5 * time.Minute},
		{"no connection", fails(wordError("connect")), list("a"), inventory.EvidenceUnreachable, 5 * time.Minute},
		{"silence", fails(wordError("timeout")), list("a"), inventory.EvidenceTimeout, 5 * time.Minute},
		{"not found", fails(wordError("status 404")), list("a"), inventory.EvidenceHTTP, time.Hour},
		{"a loop", fails(wordError("redirect_loop")), list("a"), inventory.EvidenceHTTP, time.Hour},
		{"a bad https server", fails(wordError("tls")), list("a"), inventory.EvidenceTLS, time.Hour},
		{"too large", body("crl 864000 "+strings.Repeat("x", 1000), -1), list("a"), inventory.EvidenceTooLarge, time.Hour},
		{"a private address", fails(wordError("refused_address")), list("a"), inventory.EvidenceRefused, 5 * time.Minute},
		{"ldap", fails(wordError("bad_url")), list("a"), inventory.EvidenceBadURL, 5 * time.Minute},
		{"a web page", body("<html>", -1), list("a"), inventory.EvidenceMalformed, time.Hour},
		{"nothing", body("", -1), list("a"), inventory.EvidenceMalformed, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := &network{urls: map[string]answerFunc{"*": tt.answer}}
				var c cache
				dir := t.TempDir()
				opt := evidence.Options{Fetcher: n, Cache: &c, ReadCRL: new(reader).ReadCRL, CRLBytes: 900, CRLDir: dir}
				s := newSource(t, opt)
				got := s.Get(t.Context(), tt.need)
				if got.CRL != nil || got.Error == "" || got.ErrorWord != tt.word || got.Expires.Sub(start) != tt.lasts {
					t.Errorf("Get = %+v, want %s for %v", got, tt.word, tt.lasts)
				}
				if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
					t.Errorf("%v are left in the directory (%v)", left, err)
				}
				if shared := s.Shared()[tt.need]; shared.ErrorWord != tt.word {
					t.Errorf("shared is %+v", shared)
				}
				again := newSource(t, opt).Get(t.Context(), tt.need) // another process
				if _, kept := c.all[tt.need]; kept != (n.count() == 1) || again.ErrorWord != tt.word {
					t.Errorf("another process got %+v after %d fetches", again, n.count())
				}
			})
		})
	}
	t.Run("a directory that cannot be written", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		n := &network{urls: map[string]answerFunc{"*": body("crl 864000", -1)}}
		s := newSource(t, evidence.Options{Fetcher: n, ReadCRL: new(reader).ReadCRL, CRLDir: filepath.Join(file, "crl")})
		if got := s.Get(t.Context(), list("a")); got.ErrorWord != inventory.EvidenceLocal {
			t.Errorf("Get = %+v", got)
		}
	})
}

// A host that hangs costs one timeout, however many certificates name it, and
// whether for one list or for an OCSP answer each.
func TestADeadRevocationHost(t *testing.T) {
	t.Parallel()
	for name, need := range map[string]func(i int) inventory.Need{
		"one list": func(int) inventory.Need { return list("dead") },
		"OCSP": func(i int) inventory.Need {
			return inventory.Need{Kind: inventory.NeedOCSP, URL: "http://ocsp.example", Request: base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%05d", i))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := &network{urls: map[string]answerFunc{"*": hangs, list("alive").URL: body("crl 864000", -1)}}
				s := newSource(t, evidence.Options{Fetcher: n, ReadCRL: new(reader).ReadCRL})
				var wg sync.WaitGroup
				for i := range 10_000 {
					wg.Go(func() {
						if got := s.Get(t.Context(), need(i)); got.ErrorWord != inventory.EvidenceTimeout {
							t.Errorf("Get = %+v", got)
						}
					})
				}
				synctest.Wait()
				if got := s.Get(t.Context(), inventory.Need{Kind: inventory.NeedCRL, URL: list("alive").URL}); name == "OCSP" && got.Error != "" || time.Since(start) != 0 {
					t.Errorf("another list: %q after %v, want it at once", got.Error, time.Since(start))
				}
				wg.Wait()
				if took := time.Since(start); took > 11*time.Second {
					t.Errorf("10,000 waited for %v, want one timeout", took)
				}
				before := time.Now()
				s.Get(t.Context(), need(3))
				if took := time.Since(before); took != 0 {
					t.Errorf("after the timeout one more waited for %v", took)
				}
			})
		})
	}
}

// A list is in use as long as somebody asks for it, whether or not it changes or
// its host answers.
func TestWhatIsInUseStays(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]answerFunc{
		"a list that does not change": func(context.Context) (evidence.Answer, error) {
			return evidence.Answer{NotModified: true, Fresh: -1}, nil
		},
		"a list whose host is gone": fails(wordError("connect")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, now := t.TempDir(), time.Now()
			n := &network{urls: map[string]answerFunc{"*": body("crl 2000000000", -1)}}
			opt := evidence.Options{Fetcher: n, ReadCRL: new(reader).ReadCRL, CRLDir: dir, Now: func() time.Time { return now }}
			s := newSource(t, opt)
			s.Get(t.Context(), list("a"))
			names, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil || len(names) != 2 {
				t.Fatalf("%v in the directory (%v), want a body and a note", names, err)
			}
			for _, name := range names {
				if err := os.Chtimes(name, now, now.Add(-61*day)); err != nil {
					t.Fatal(err)
				}
			}
			n.set("*", answer)
			now = now.Add(day)
			s.Get(t.Context(), list("a"))
			if err := evidence.RemoveUnused(dir, now); err != nil {
				t.Fatal(err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 2 {
				t.Errorf("%v are left of a list that was asked for, want body and note", left)
			}
		})
	}
}

func TestRemoveUnused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Now()
	for name, age := range map[string]time.Duration{
		"new.crl": day, "new.json": day, "old.crl": 61 * day, "old.json": 61 * day, "new-1": time.Minute, "new-2": 2 * day, "mine": 99 * day,
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, now, now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	if err := evidence.RemoveUnused(dir, now); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if diff := cmp.Diff([]string{"mine", "new-1", "new.crl", "new.json"}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if err := evidence.RemoveUnused(filepath.Join(dir, "none"), now); err != nil {
		t.Error(err)
	}
}
