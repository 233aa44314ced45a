package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"example.com/certscan/internal/fetch"
)

func TestDownload(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("crl "), 1<<18) // 1 MiB
	s := serve(t, "127.0.0.1", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/gone":
			http.NotFound(w, r)
		case r.Header.Get("If-None-Match") == `"1"`:
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("Cache-Control", "max-age=60")
			_, _ = w.Write(large)
		}
	})
	silent := raw(t, func(_ net.Conn, stop <-chan struct{}) { <-stop })
	dripping := raw(t, func(conn net.Conn, stop <-chan struct{}) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		drip(conn, stop)
	})
	for _, tt := range []struct {
		name   string
		url    string
		cond   fetch.Conditional
		limit  int64
		reason fetch.Reason
		want   int // bytes
	}{
		{name: "the body goes to the writer", url: s.URL, limit: int64(len(large)), want: len(large)},
		{name: "not modified", url: s.URL, cond: fetch.Conditional{ETag: `"1"`}, limit: 1 << 20},
		{name: "larger than allowed", url: s.URL, limit: 1000, reason: fetch.ReasonTooLarge},
		{name: "not found", url: s.URL + "/gone", limit: 1000, reason: fetch.ReasonStatus},
		{name: "an address that is not allowed", url: "http://127.0.0.2/", limit: 1000, reason: fetch.ReasonRefusedAddress},
		{name: "a file", url: "file:///etc/passwd", limit: 1000, reason: fetch.ReasonBadURL},
		{name: "silence", url: silent, limit: 1000, reason: fetch.ReasonTimeout},
		{name: "a body that drips", url: dripping, limit: 1 << 20, reason: fetch.ReasonTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, fetch.Options{Timeout: 200 * time.Millisecond})
			var body bytes.Buffer
			res, err := c.Download(t.Context(), tt.url, tt.cond, tt.limit, &body)
			var failed *fetch.Error
			if tt.reason != "" {
				if !errors.As(err, &failed) || failed.Reason != tt.reason {
					t.Fatalf("Download: %v, want reason %q", err, tt.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if body.Len() != tt.want || res.Body != nil || res.NotModified != (tt.want == 0) {
				t.Errorf("%d bytes, %+v, want %d", body.Len(), res, tt.want)
			}
			if tt.want > 0 && (res.ETag != `"1"` || res.Fresh != time.Minute) {
				t.Errorf("ETag %q, fresh %v", res.ETag, res.Fresh)
			}
		})
	}
	t.Run("a body without end that comes fast", func(t *testing.T) {
		t.Parallel()
		endless := raw(t, func(conn net.Conn, _ <-chan struct{}) {
			_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
			for err == nil {
				_, err = conn.Write(make([]byte, 16<<10))
			}
		})
		c := newClient(t, fetch.Options{Timeout: 100 * time.Millisecond})
		began := time.Now()
		_, err := c.Download(t.Context(), endless, fetch.Conditional{}, 1<<50, io.Discard)
		if failed, ok := errors.AsType[*fetch.Error](err); !ok || failed.Reason != fetch.ReasonTimeout {
			t.Errorf("Download: %v after %v, want a timeout", err, time.Since(began))
		}
	})
	t.Run("the end of the context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("interrupted"))
		var failed *fetch.Error
		if _, err := newClient(t, fetch.Options{}).Download(ctx, s.URL, fetch.Conditional{}, 10, io.Discard); err == nil || errors.As(err, &failed) {
			t.Errorf("Download: %v, want that it was interrupted, and no fault of the URL", err)
		}
	})
}

// What progresses may take longer than the timeout.
func TestDownloadThatProgresses(t *testing.T) {
	t.Parallel()
	const timeout, parts = 300 * time.Millisecond, 8
	s := serve(t, "127.0.0.1", func(w http.ResponseWriter, _ *http.Request) {
		tick := time.NewTicker(80 * time.Millisecond) // for a part worth 250 ms
		defer tick.Stop()
		for range parts {
			_, _ = w.Write(make([]byte, 64<<10))
			w.(http.Flusher).Flush() //nolint:forcetypeassert // it is one
			<-tick.C
		}
	})
	start := time.Now()
	var body bytes.Buffer
	if _, err := newClient(t, fetch.Options{Timeout: timeout}).Download(t.Context(), s.URL, fetch.Conditional{}, 1<<20, &body); err != nil {
		t.Fatalf("after %v and %d bytes: %v", time.Since(start), body.Len(), err)
	}
	if body.Len() != parts*64<<10 || time.Since(start) < timeout {
		t.Errorf("%d bytes in %v", body.Len(), time.Since(start))
	}
}
