package evidence_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
)

// A certificate that anybody can make may name any address. Where nothing
// answers there, that must not hide what another certificate's list says.
func TestWhoseSilenceCounts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		named string // by the hostile certificate
		alone bool
	}{
		{"another port of the host", "http://crl.example:1/", false},
		{"another scheme", "https://crl.example/", false},
		{"another scheme at the port", "https://crl.example:80/", false},
		{"another host", "http://ocsp.example/", false},
		{"the very place", "http://crl.example/dead/", true},
		{"the very place with its port", "http://crl.example:80/", true},
		{"the very place in capitals", "HTTP://CRL.example/", true},
		{"the very place with a final dot", "http://crl.example./", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := &network{urls: map[string]answerFunc{"*": fails(wordError("connect")), list("a").URL: body("crl 864000", -1)}}
				s := newSource(t, evidence.Options{Fetcher: n, ReadCRL: new(reader).ReadCRL})
				for i := range 4 {
					s.Get(t.Context(), inventory.Need{Kind: inventory.NeedCRL, URL: fmt.Sprint(tt.named, i)})
				}
				got := s.Get(t.Context(), list("a"))
				if alone := !is(got, "crl 864000"); alone != tt.alone {
					t.Fatalf("Get = %+v, want it left alone: %v", got, tt.alone)
				}
				if tt.alone && (got.ErrorWord != inventory.EvidenceUnreachable || !strings.HasPrefix(got.Error, "not asked: its host is left alone until 2000-01-01T00:05:00Z, ")) {
					t.Errorf("error = %q (%s), want it said that the host is left alone", got.Error, got.ErrorWord)
				}
			})
		})
	}
}

// A host that sends a large file too slowly is not silent.
func TestASlowFileIsNoSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := slow{&network{urls: map[string]answerFunc{"*": body("crl 864000", -1)}}}
		s := newSource(t, evidence.Options{Fetcher: n, ReadCRL: new(reader).ReadCRL})
		for i := range 4 {
			if got := s.Get(t.Context(), list(fmt.Sprint("slow", i))); got.ErrorWord != inventory.EvidenceTimeout {
				t.Fatalf("Get = %+v", got)
			}
		}
		if got := s.Get(t.Context(), list("a")); !is(got, "crl 864000") {
			t.Errorf("another file: %+v", got)
		}
	})
}

// slow is a Fetcher that begins files whose URL says that they are slow, and
// times out.
type slow struct{ *network }

func (s slow) Fetch(ctx context.Context, r evidence.Request) (evidence.Answer, error) {
	a, err := s.network.Fetch(ctx, r)
	if err == nil && strings.Contains(r.URL, "slow") {
		time.Sleep(time.Minute)
		return evidence.Answer{}, wordError("timeout")
	}
	return a, err
}
