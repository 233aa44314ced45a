package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/resolve"
)

func TestNextServer(t *testing.T) {
	t.Parallel()
	good := zone("shop.test. 300 A 192.0.2.9")
	closed, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing := closed.LocalAddr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, first := range map[string]string{
		"after SERVFAIL":                      serve(t, rcode(dns.RcodeServerFailure)),
		"after REFUSED":                       serve(t, rcode(dns.RcodeRefused)),
		"after silence":                       serve(t, silent),
		"after a port that nobody listens on": refusing,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			second := serve(t, good)
			got := newResolver(t, resolve.Options{Servers: []string{first, second}}).Resolve(t.Context(), "shop.test")
			want := inventory.Resolution{Name: "shop.test", Status: "ok", Addresses: addrs("192.0.2.9"), TTL: 300, Server: second}
			if diff := cmp.Diff(want, got, compareAddrs); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("what a server says counts for more than silence", func(t *testing.T) {
		t.Parallel()
		servers := []string{serve(t, rcode(dns.RcodeServerFailure)), refusing}
		got := newResolver(t, resolve.Options{Servers: servers, Attempts: 1}).Resolve(t.Context(), "shop.test")
		if got.Status != inventory.ReachDNSServFail || !strings.Contains(got.Detail, servers[0]) {
			t.Errorf("%+v, want dns_servfail of the first server", got)
		}
	})
	t.Run("a port that nobody listens on is told", func(t *testing.T) {
		t.Parallel()
		got := newResolver(t, resolve.Options{Servers: []string{refusing}, Attempts: 1}).Resolve(t.Context(), "shop.test")
		want := inventory.Resolution{Name: "shop.test", Status: "dns_timeout", Detail: "no answer from " + refusing + ": connection refused"}
		if diff := cmp.Diff(want, got, compareAddrs); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("a dead server is soon asked last", func(t *testing.T) {
		t.Parallel()
		var dead counted
		servers := []string{serve(t, dead.wrap(silent)), serve(t, zone("a.test. 1 A 192.0.2.1"))}
		r := newResolver(t, resolve.Options{Servers: servers, Timeout: 50 * time.Millisecond})
		for i := range 20 {
			if got := r.Resolve(t.Context(), fmt.Sprintf("n%d.test", i)); got.Status != inventory.ReachDNSNXDomain {
				t.Fatalf("%+v, want dns_nxdomain", got)
			}
		}
		if n := dead.total(); n != 6 {
			t.Errorf("the dead server was asked %d questions, want those of 3 names", n)
		}
	})
}

func TestLostPacketsLoseNobody(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := make(map[string]int)
	server := serve(t, func(q *dns.Msg, tcp bool) *dns.Msg {
		mu.Lock()
		defer mu.Unlock()
		seen[q.Question[0].String()]++
		if seen[q.Question[0].String()] <= 2 {
			return nil // the first two get lost
		}
		return zone("shop.test. 300 A 192.0.2.9", "shop.test. 300 AAAA 2001:db8::1")(q, tcp)
	})
	got := newResolver(t, resolve.Options{Servers: []string{server}, Timeout: 100 * time.Millisecond}).Resolve(t.Context(), "shop.test")
	if diff := cmp.Diff(addrs("192.0.2.9", "2001:db8::1"), got.Addresses, compareAddrs); diff != "" || got.Detail != "" {
		t.Errorf("%+v (-want +got):\n%s", got, diff)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	heard := make(chan struct{})
	server := serve(t, func(q *dns.Msg, tcp bool) *dns.Msg {
		if asked.Add(1) <= 2 {
			heard <- struct{}{}
			return nil
		}
		return zone("shop.test. 300 A 192.0.2.9")(q, tcp)
	})
	r := newResolver(t, resolve.Options{Servers: []string{server}, Timeout: time.Minute})
	ctx, cancel := context.WithCancelCause(t.Context())
	var first, second inventory.Resolution
	var wg sync.WaitGroup
	wg.Go(func() { first = r.Resolve(ctx, "shop.test") })
	<-heard
	<-heard // both questions have come
	wg.Go(func() { second = r.Resolve(t.Context(), "shop.test") })
	cancel(errors.New("interrupted"))
	wg.Wait()
	if first.Status != inventory.ReachDNSTimeout || first.Detail != "given up: interrupted" {
		t.Errorf("who was cancelled got %+v", first)
	}
	if second.Status != inventory.ReachOK {
		t.Errorf("who waited for the same name got %+v, want an answer", second)
	}
	if got := r.Resolve(ctx, "other.test"); got.Status != inventory.ReachDNSTimeout {
		t.Errorf("with a context that has ended: %+v", got)
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	server := serve(t, func(q *dns.Msg, tcp bool) *dns.Msg {
		if q.Question[0].Name == "half.test." && q.Question[0].Qtype == dns.TypeA {
			return zone("half.test. 300 A 192.0.2.9")(q, tcp)
		}
		return nil
	})
	r := newResolver(t, resolve.Options{Servers: []string{server}, Timeout: time.Minute})
	for _, want := range []inventory.Resolution{
		{Name: "none.test", Status: "dns_timeout", Detail: "no answer in time from " + server},
		{Name: "half.test", Status: "ok", Partial: true, Detail: "AAAA: dns_timeout: no answer in time", Addresses: addrs("192.0.2.9"), TTL: 300, Server: server},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if diff := cmp.Diff(want, r.Resolve(ctx, want.Name), compareAddrs); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		cancel()
	}
}

// Having no file descriptor left is our fault and nobody else's.
func TestNoFileDescriptor(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), withoutFiles+"=1")
	out, err := cmd.Output()
	if want := "local_error: socket to ask 127.0.0.1:53: too many open files"; err != nil || string(out) != want {
		t.Errorf("%q, %v, want %q", out, err, want)
	}
}
