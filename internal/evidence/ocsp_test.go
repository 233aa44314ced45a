package evidence_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
)

func TestOCSP(t *testing.T) {
	t.Parallel()
	short, long := []byte("\xfb\xef\xbe request"), bytes.Repeat([]byte("long"), 60)
	need := func(url string, der []byte) inventory.Need {
		return inventory.Need{Kind: inventory.NeedOCSP, URL: url, Request: base64.StdEncoding.EncodeToString(der)}
	}
	get := func(base string) string { return base + url.QueryEscape(base64.StdEncoding.EncodeToString(short)) }
	for _, tt := range []struct {
		name  string
		need  inventory.Need
		urls  map[string]answerFunc
		asked []string
		want  string
		word  string
	}{
		{
			name: "a short request is a GET", need: need("http://o.example", short), urls: map[string]answerFunc{"*": body("ocsp 86400", -1)},
			asked: []string{get("http://o.example/")}, want: "ocsp 86400",
		},
		{
			name: "no second slash", need: need("http://o.example/r/", short), urls: map[string]answerFunc{"*": body("ocsp 86400", -1)},
			asked: []string{get("http://o.example/r/")}, want: "ocsp 86400",
		},
		{
			name: "a long one is a POST", need: need("http://o.example", long), urls: map[string]answerFunc{"*": body("ocsp 86400", -1)},
			asked: []string{fmt.Sprintf("POST http://o.example application/ocsp-request %x", long)}, want: "ocsp 86400",
		},
		{
			name: "a responder that knows POST only", need: need("http://o.example", short),
			urls:  map[string]answerFunc{get("http://o.example/"): fails(wordError("status 405")), "*": body("ocsp 86400", -1)},
			asked: []string{get("http://o.example/"), fmt.Sprintf("POST http://o.example application/ocsp-request %x", short)}, want: "ocsp 86400",
		},
		{
			name: "silence is not asked again", need: need("http://o.example", short), urls: map[string]answerFunc{"*": fails(wordError("timeout"))},
			asked: []string{get("http://o.example/")}, word: inventory.EvidenceTimeout,
		},
		{
			name: "a web page", need: need("http://o.example", short), urls: map[string]answerFunc{"*": body("<html>", -1)},
			asked: []string{get("http://o.example/")}, word: inventory.EvidenceMalformed,
		},
		{
			name: "too large", need: need("http://o.example", short), urls: map[string]answerFunc{"*": body("ocsp 1"+strings.Repeat(" ", 1<<16), -1)},
			asked: []string{get("http://o.example/")}, word: inventory.EvidenceTooLarge,
		},
		{name: "a request that is none", need: inventory.Need{Kind: inventory.NeedOCSP, URL: "http://o.example", Request: "%"}, word: inventory.EvidenceNotFetched},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n := &network{urls: tt.urls}
			s := newSource(t, evidence.Options{Fetcher: n, NextUpdate: nextUpdate})
			got := s.Get(t.Context(), tt.need)
			if string(got.OCSP) != tt.want || got.ErrorWord != tt.word {
				t.Errorf("Get = %q, %q (%s), want %q, %q", got.OCSP, got.ErrorWord, got.Error, tt.want, tt.word)
			}
			if !slices.Equal(n.asked, tt.asked) {
				t.Errorf("asked %q, want %q", n.asked, tt.asked)
			}
		})
	}
}

// nextUpdate reads "ocsp SECONDS".
func nextUpdate(der []byte) (time.Time, error) {
	var seconds int
	if _, err := fmt.Sscanf(string(der), "ocsp %d", &seconds); err != nil {
		return time.Time{}, errors.New("not a response")
	}
	return start.Add(time.Duration(seconds) * time.Second), nil
}

// An answer is kept until it says that there is a next one, and stands in when
// the responder does not answer.
func TestOCSPIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		need := inventory.Need{Kind: inventory.NeedOCSP, URL: "http://o.example", Request: "YQ=="}
		other := need
		other.Request = "Yg=="
		n := &network{urls: map[string]answerFunc{"*": body("ocsp 7200", 10*time.Hour)}}
		var c cache
		process := func() *evidence.Source {
			return newSource(t, evidence.Options{Fetcher: n, Cache: &c, NextUpdate: nextUpdate})
		}
		process().Get(t.Context(), need)
		process().Get(t.Context(), other)
		time.Sleep(2*time.Hour - 1)
		process().Get(t.Context(), need)
		if n.count() != 2 {
			t.Errorf("%d fetches for two requests", n.count())
		}
		time.Sleep(time.Nanosecond)
		n.set("*", fails(wordError("timeout")))
		got := process().Get(t.Context(), need)
		if n.count() != 3 || string(got.OCSP) != "ocsp 7200" {
			t.Errorf("after it ended: %+v after %d fetches, want the old answer", got, n.count())
		}
	})
}
