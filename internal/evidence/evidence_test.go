package evidence_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wordError fails as the guarded client does.
type wordError string

func (e wordError) Error() string { return "fetch: " + string(e) }
func (e wordError) Word() string  { return string(e) }

// urlError is one that wraps what went wrong, and adds the URL.
type urlError struct {
	wordError
	cause error
}

func (e *urlError) Error() string { return "fetch " + aURL + ": " + e.cause.Error() }
func (e *urlError) Unwrap() error { return e.cause }

// network is a Fetcher whose answers are functions by URL.
type network struct {
	mu    sync.Mutex
	asked []string // URL and validators, in order
	urls  map[string]func(context.Context) (evidence.Answer, error)
}

func (n *network) Fetch(ctx context.Context, r evidence.Request) (evidence.Answer, error) {
	n.mu.Lock()
	asked := strings.TrimSpace(r.URL + " " + r.Validators.ETag)
	if r.Body != nil {
		asked = fmt.Sprintf("POST %s %s %x", r.URL, r.ContentType, r.Body)
	}
	n.asked = append(n.asked, asked)
	answer, ok := n.urls[r.URL]
	n.mu.Unlock()
	if !ok {
		answer = n.urls["*"]
	}
	a, err := answer(ctx)
	if err == nil && r.Limit > 0 && int64(len(a.Body)) > r.Limit {
		return evidence.Answer{}, wordError("too_large")
	}
	if r.To != nil && err == nil {
		_, err = r.To.Write(a.Body)
		a.Body = nil
	}
	return a, err
}

func (n *network) set(url string, answer func(context.Context) (evidence.Answer, error)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.urls[url] = answer
}

func (n *network) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.asked)
}

func body(s string, fresh time.Duration) func(context.Context) (evidence.Answer, error) {
	return func(context.Context) (evidence.Answer, error) {
		return evidence.Answer{Body: []byte(s), Fresh: fresh, Validators: evidence.Validators{ETag: `"1"`}}, nil
	}
}

func fails(err error) func(context.Context) (evidence.Answer, error) {
	return func(context.Context) (evidence.Answer, error) { return evidence.Answer{}, err }
}

// hangs answers as a host does that drops every packet.
func hangs(ctx context.Context) (evidence.Answer, error) {
	select {
	case <-time.After(10 * time.Second):
		return evidence.Answer{}, wordError("timeout")
	case <-ctx.Done():
		return evidence.Answer{}, context.Cause(ctx)
	}
}

// cache is a Cache in a map.
type cache struct {
	mu  sync.Mutex
	all map[inventory.Need]inventory.Evidence
	err error
}

func (c *cache) Evidence(_ context.Context, need inventory.Need) (inventory.Evidence, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.all[need]
	return e, ok, c.err
}

func (c *cache) PutEvidence(_ context.Context, e inventory.Evidence) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = make(map[inventory.Need]inventory.Evidence)
	}
	c.all[e.Need] = e
	return c.err
}

// words takes every word of an answer for a certificate.
func words(body []byte) ([][]byte, error) {
	var all [][]byte
	for w := range strings.FieldsSeq(string(body)) {
		all = append(all, []byte(w))
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate in it")
	}
	return all, nil
}

func newSource(tb testing.TB, opt evidence.Options) *evidence.Source {
	tb.Helper()
	if opt.Decode == nil {
		opt.Decode = words
	}
	s, err := evidence.New(opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func issuer(url string) inventory.Need { return inventory.Need{Kind: inventory.NeedIssuer, URL: url} }

const aURL = "http://aia.example/a.crt"

// What is asked again, and when, by what was answered first.
func TestGetRemembers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		answer    func(context.Context) (evidence.Answer, error)
		certs     string
		wantError string
		lasts     time.Duration
		persisted bool
	}{
		{name: "a server that says nothing of freshness", answer: body("x y", -1), certs: "x y", lasts: 24 * time.Hour, persisted: true},
		{name: "a server that says how long", answer: body("x", 3*time.Hour), certs: "x", lasts: 3 * time.Hour, persisted: true},
		{name: "a server that forbids caching", answer: body("x", 0), certs: "x", lasts: time.Hour, persisted: true},
		{name: "a server that says for ever", answer: body("x", 1<<60), certs: "x", lasts: 7 * 24 * time.Hour, persisted: true},
		{name: "not found", answer: fails(fmt.Errorf("get: %w", &urlError{wordError("status 404"), errors.New("not here")})), wantError: "not here", lasts: time.Hour, persisted: true},
		{name: "no certificate", answer: body("", -1), wantError: "the answer has no certificate: no certificate in it", lasts: time.Hour, persisted: true},
		{name: "too many certificates", answer: body(strings.Repeat("x ", 129), -1), wantError: "129 certificates, more than 128", lasts: time.Hour, persisted: true},
		{name: "no answer", answer: fails(wordError("timeout")), wantError: "fetch: timeout", lasts: 5 * time.Minute, persisted: true},
		{name: "a refused address", answer: fails(wordError("refused_address")), wantError: "fetch: refused_address", lasts: 5 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := &network{urls: map[string]func(context.Context) (evidence.Answer, error){"*": tt.answer}}
				var c cache
				s := newSource(t, evidence.Options{Fetcher: n, Cache: &c})
				start := time.Now()
				got := s.Get(t.Context(), issuer(aURL))
				if string(joined(got.Certificates)) != tt.certs || !strings.Contains(got.Error, tt.wantError) || strings.Contains(got.Error, aURL) || (got.Error == "") != (tt.wantError == "") {
					t.Fatalf("Get = %q, error %q, want %q, %q", got.Certificates, got.Error, tt.certs, tt.wantError)
				}
				if !got.FetchedAt.Equal(start) || got.Expires.Sub(start) != tt.lasts || got.Need != issuer(aURL) {
					t.Errorf("fetched %v, lasts %v, want %v", got.FetchedAt, got.Expires.Sub(start), tt.lasts)
				}
				if _, ok := c.all[issuer(aURL)]; ok != tt.persisted {
					t.Errorf("persisted: %v, want %v", ok, tt.persisted)
				}
				time.Sleep(tt.lasts - time.Nanosecond)
				s.Get(t.Context(), issuer(aURL))
				if n.count() != 1 {
					t.Errorf("asked %d times before it expired", n.count())
				}
				time.Sleep(1 * time.Nanosecond)
				s.Get(t.Context(), issuer(aURL))
				if n.count() != 2 {
					t.Errorf("asked %d times after it expired, want 2", n.count())
				}
			})
		})
	}
}

func joined(ders [][]byte) []byte {
	var all []string
	for _, d := range ders {
		all = append(all, string(d))
	}
	return []byte(strings.Join(all, " "))
}

func TestGetAsksOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &network{urls: map[string]func(context.Context) (evidence.Answer, error){"*": func(ctx context.Context) (evidence.Answer, error) {
			select {
			case <-time.After(time.Second):
				return evidence.Answer{Body: []byte("x"), Fresh: -1}, nil
			case <-ctx.Done():
				return evidence.Answer{}, context.Cause(ctx)
			}
		}}}
		s := newSource(t, evidence.Options{Fetcher: n})
		first, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if got := s.Get(first, issuer(aURL)); got.Error != "interrupted" {
				t.Errorf("Get = %+v after it was cancelled", got)
			}
		})
		synctest.Wait()
		for range 20 {
			wg.Go(func() {
				if got := s.Get(t.Context(), issuer(aURL)); got.Error != "" {
					t.Errorf("Get: %s", got.Error)
				}
			})
		}
		synctest.Wait()
		cancel(errors.New("interrupted")) // another takes over
		wg.Wait()
		if n.count() != 2 {
			t.Errorf("asked %d times, want once by the first and once by who took over", n.count())
		}
	})
}

// A dead host delays nobody else, and is left alone after a few timeouts.
func TestDeadHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &network{urls: map[string]func(context.Context) (evidence.Answer, error){"*": hangs, "http://alive.example/": body("x", -1)}}
		s := newSource(t, evidence.Options{Fetcher: n})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				if got := s.Get(t.Context(), issuer(fmt.Sprintf("http://dead.example/%d.crt", i))); !strings.Contains(got.Error, "timeout") {
					t.Errorf("Get = %+v", got)
				}
			})
		}
		synctest.Wait()
		if got := s.Get(t.Context(), issuer("http://alive.example/")); got.Error != "" || time.Since(start) != 0 {
			t.Errorf("Get = %q after %v, want it at once", got.Error, time.Since(start))
		}
		wg.Wait()
		if took := time.Since(start); took > 20*time.Second || n.count() > 10 {
			t.Errorf("%d fetches in %v, want the host to be left alone", n.count(), took)
		}
		got := s.Get(t.Context(), issuer("http://dead.example/new.crt"))
		if want := `not asked: its host is left alone until 2000-01-01T00:05:10Z, because "http://dead.example:80" did not answer 3 times in a row: `; !strings.HasPrefix(got.Error, want) {
			t.Errorf("error = %q, want %q", got.Error, want)
		}
		n.set("*", body("x", -1))
		time.Sleep(10 * time.Minute)
		if got := s.Get(t.Context(), issuer("http://dead.example/new.crt")); got.Error != "" {
			t.Errorf("after a while: %s", got.Error)
		}
	})
}

// Who has no time left to wait learns nothing about the host: neither that it
// is dead nor that it is alive.
func TestImpatienceSaysNothingOfAHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &network{urls: map[string]answerFunc{"*": hangs}}
		s := newSource(t, evidence.Options{Fetcher: n})
		for i := range 20 {
			patience := time.Minute
			if i%2 == 1 {
				patience = time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			s.Get(ctx, issuer(fmt.Sprintf("http://dead.example/%d.crt", i)))
			cancel()
		}
		if n.count() != 5 {
			t.Errorf("%d fetches, want 3 that were not answered, and 2 between them that were not waited for", n.count())
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &network{urls: map[string]func(context.Context) (evidence.Answer, error){"*": func(context.Context) (evidence.Answer, error) {
			time.Sleep(time.Second)
			return evidence.Answer{Body: []byte("x"), Fresh: -1}, nil
		}}}
		s := newSource(t, evidence.Options{Fetcher: n, Concurrency: 6})
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 60 {
			wg.Go(func() { s.Get(t.Context(), issuer(fmt.Sprintf("http://h%d.example/", i))) })
		}
		wg.Wait()
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("60 fetches of a second took %v with 6 at a time, want 10s", took)
		}
	})
}

func TestRevalidation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &network{urls: map[string]func(context.Context) (evidence.Answer, error){"*": body("x", time.Hour)}}
		s := newSource(t, evidence.Options{Fetcher: n})
		first := s.Get(t.Context(), issuer(aURL))

		time.Sleep(time.Hour)
		n.set("*", func(context.Context) (evidence.Answer, error) {
			return evidence.Answer{NotModified: true, Fresh: 2 * time.Hour}, nil
		})
		got := s.Get(t.Context(), issuer(aURL))
		if string(joined(got.Certificates)) != "x" || !got.FetchedAt.After(first.FetchedAt) || time.Until(got.Expires) != 2*time.Hour {
			t.Errorf("after 304: %+v", got)
		}

		time.Sleep(2 * time.Hour)
		n.set("*", fails(wordError("timeout")))
		if kept := s.Get(t.Context(), issuer(aURL)); string(joined(kept.Certificates)) != "x" || !kept.FetchedAt.Equal(got.FetchedAt) {
			t.Errorf("while the host is silent: %+v, want what was had", kept)
		}
		n.set("*", fails(wordError("status 404")))
		time.Sleep(time.Hour)
		if gone := s.Get(t.Context(), issuer(aURL)); len(gone.Certificates) != 0 || gone.Error == "" {
			t.Errorf("when the host says it is gone: %+v", gone)
		}
		if diff := cmp.Diff([]string{aURL, aURL + ` "1"`, aURL + ` "1"`, aURL + ` "1"`}, n.asked); diff != "" {
			t.Errorf("requests (-want +got):\n%s", diff)
		}
	})
}

func TestCache(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	known := inventory.Evidence{Need: issuer(aURL), Certificates: [][]byte{[]byte("kept")}, FetchedAt: now.Add(-time.Hour), Expires: now.Add(time.Hour)}
	stale := known
	stale.Expires = now.Add(-time.Minute)

	for _, tt := range []struct {
		name   string
		cache  *cache
		answer func(context.Context) (evidence.Answer, error)
		want   string
		asked  int
	}{
		{"what is known is not asked", &cache{all: map[inventory.Need]inventory.Evidence{known.Need: known}}, body("new", -1), "kept", 0},
		{"what is stale is", &cache{all: map[inventory.Need]inventory.Evidence{known.Need: stale}}, body("new", -1), "new", 1},
		{"what is stale serves if nobody answers", &cache{all: map[inventory.Need]inventory.Evidence{known.Need: stale}}, fails(wordError("dns")), "kept", 1},
		{"a broken cache hinders nothing", &cache{err: errors.New("disk full")}, body("new", -1), "new", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := &network{urls: map[string]func(context.Context) (evidence.Answer, error){"*": tt.answer}}
			s := newSource(t, evidence.Options{Fetcher: n, Cache: tt.cache, Now: func() time.Time { return now }})
			for range 2 {
				if got := s.Get(t.Context(), issuer(aURL)); string(joined(got.Certificates)) != tt.want {
					t.Errorf("Get = %q, %q, want %q", got.Certificates, got.Error, tt.want)
				}
			}
			if n.count() != tt.asked {
				t.Errorf("asked %d times, want %d", n.count(), tt.asked)
			}
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	n := &network{urls: map[string]func(context.Context) (evidence.Answer, error){"*": body(strings.Repeat("x", 4000), -1)}}
	s := newSource(t, evidence.Options{Fetcher: n, MemoryBytes: 10_000}) // room for two
	get := func(name string) { s.Get(t.Context(), issuer("http://"+name+".example/")) }
	for _, name := range []string{"a", "b", "a", "c", "a", "b"} {
		get(name)
	}
	want := []string{"http://a.example/", "http://b.example/", "http://c.example/", "http://b.example/"}
	if diff := cmp.Diff(want, n.asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// What this version cannot get is never good.
func TestOtherKinds(t *testing.T) {
	t.Parallel()
	s := newSource(t, evidence.Options{Fetcher: &network{}})
	got := s.Get(t.Context(), inventory.Need{Kind: "new", URL: aURL})
	if !strings.Contains(got.Error, "is not fetched by this version") || got.ErrorWord != inventory.EvidenceNotFetched {
		t.Errorf("%+v", got)
	}
	if _, err := evidence.New(evidence.Options{}); err == nil {
		t.Error("New without a fetcher: no error")
	}
}
