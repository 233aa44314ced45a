package resolve_test

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/resolve"
)

func TestCache(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, ask string
		server    handler
		keeps     time.Duration // and not longer
	}{
		{"an answer for its TTL", "shop.test", zone("shop.test. 300 A 192.0.2.9", "shop.test. 300 AAAA 2001:db8::1"), 300 * time.Second},
		{"a family's absence holds no longer than it says", "shop.test", zone("shop.test. 300 A 192.0.2.9"), 60 * time.Second},
		{"a short TTL for half a minute", "shop.test", zone("shop.test. 0 A 192.0.2.9", "shop.test. 0 AAAA 2001:db8::1"), 30 * time.Second},
		{"a long TTL for an hour", "shop.test", zone("shop.test. 86400 A 192.0.2.9", "shop.test. 86400 AAAA 2001:db8::1"), time.Hour},
		{"no such name as long as its SOA says", "gone.test", zone(), time.Minute},
		{"no such name for five minutes at most", "gone.test", func(q *dns.Msg, _ bool) *dns.Msg {
			m := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
			m.Ns = []dns.RR{soa(3600)}
			return m
		}, 5 * time.Minute},
		{"a failure for five seconds", "shop.test", rcode(dns.RcodeServerFailure), 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked counted
			now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
			r := newResolver(t, resolve.Options{
				Servers: []string{serve(t, asked.wrap(tt.server))}, Attempts: 1,
				Now: func() time.Time { return now },
			})
			first := r.Resolve(t.Context(), tt.ask)
			if len(first.Addresses) > 0 {
				r.Resolve(t.Context(), tt.ask).Addresses[0] = netip.Addr{} // must be the caller's own
			}
			now = now.Add(tt.keeps - 1)
			if diff := cmp.Diff(first, r.Resolve(t.Context(), tt.ask), compareAddrs); diff != "" {
				t.Errorf("from the cache (-first +second):\n%s", diff)
			}
			if n := asked.total(); n != 2 {
				t.Errorf("%d questions before the time was over, want 2", n)
			}
			now = now.Add(1)
			r.Resolve(t.Context(), tt.ask)
			if n := asked.total(); n != 4 {
				t.Errorf("%d questions after the time was over, want 4", n)
			}
		})
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := newResolver(t, resolve.Options{Servers: []string{"127.0.0.1"}, Now: func() time.Time { return now }})
	names := make([]string, 3*resolve.MaxCached)
	for i := range names {
		names[i] = fmt.Sprintf("n%d.test", i)
	}
	resolve.Fill(r, names)
	if n := resolve.Cached(r); n > resolve.MaxCached || n < resolve.MaxCached/2 {
		t.Errorf("%d names are remembered, want at most %d and not many less", n, resolve.MaxCached)
	}
}

func TestOneQuestionForMany(t *testing.T) {
	t.Parallel()
	var asked counted
	release := make(chan struct{})
	server := serve(t, asked.wrap(func(q *dns.Msg, tcp bool) *dns.Msg {
		<-release
		return zone("shop.test. 300 A 192.0.2.9")(q, tcp)
	}))
	r := newResolver(t, resolve.Options{Servers: []string{server}, Timeout: 5 * time.Second})
	var ok atomic.Int32
	var wg, begun sync.WaitGroup
	for range 50 {
		begun.Add(1)
		wg.Go(func() {
			begun.Done()
			if r.Resolve(t.Context(), "shop.test").Status == inventory.ReachOK {
				ok.Add(1)
			}
		})
	}
	begun.Wait()
	close(release)
	wg.Wait()
	if n := asked.total(); n != 2 || ok.Load() != 50 {
		t.Errorf("%d questions and %d answers, want 2 and 50", n, ok.Load())
	}
}
