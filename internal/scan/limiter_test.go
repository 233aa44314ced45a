package scan_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
)

// visit makes one connection through l that takes as long as took says.
func visit(ctx context.Context, l *scan.Limiter, addr netip.AddrPort, took func() time.Duration, status inventory.ReachStatus) (*inventory.Reach, error) {
	leave, last, err := l.Enter(ctx, addr)
	if leave == nil {
		return last, err
	}
	d := took()
	time.Sleep(d) // fake time: every test here runs in a bubble
	o := inventory.Observation{Reach: inventory.Reach{Status: status}, Timings: inventory.Timings{Handshake: d}}
	if status == inventory.ReachOK {
		o.Chain = [][]byte{{1}}
	}
	leave(o)
	return nil, nil
}

func addr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 443)
}

func TestTooManyConnectionsAreNotKeptInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// A machine that can work on 400 handshakes of 200 ms at a time: beyond
		// that each one slows all the others down.
		const capacity, budget = 400, 5 * time.Second
		l := scan.NewLimiter(scan.LimiterOptions{Max: 10_000, PerNetwork: 10_000})
		var inFlight, most, late atomic.Int64
		var wg sync.WaitGroup
		start := time.Now()
		for i := range 10_000 {
			wg.Go(func() {
				_, err := visit(t.Context(), l, addr(i), func() time.Duration {
					n := inFlight.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					slow := max(1, float64(n)/capacity)
					d := time.Duration(float64(200*time.Millisecond) * slow * (0.9 + 0.2*rand.Float64()))
					time.AfterFunc(d, func() { inFlight.Add(-1) })
					if d > budget {
						late.Add(1)
					}
					return d
				}, inventory.ReachOK)
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		took := time.Since(start)
		if late.Load() > 0 || most.Load() > 3*capacity {
			t.Errorf("%d handshakes over budget, %d in flight at most; want none and at most %d", late.Load(), most.Load(), 3*capacity)
		}
		if ideal := 10_000 / capacity * 200 * time.Millisecond; took > 2*ideal {
			t.Errorf("took %v, want at most twice the ideal %v", took, ideal)
		}
	})
}

func TestFailuresDoNotShrinkTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := scan.NewLimiter(scan.LimiterOptions{Max: 500, PerNetwork: 10_000})
		var wg sync.WaitGroup
		for i := range 10_000 {
			wg.Go(func() {
				if i%3 == 0 {
					visit(t.Context(), l, addr(i), func() time.Duration { return 5 * time.Second }, inventory.ReachTimeout)
					return
				}
				visit(t.Context(), l, addr(i), func() time.Duration { return 100 * time.Millisecond }, inventory.ReachOK)
			})
		}
		wg.Wait()
		if limit, inFlight := l.Limit(); limit != 500 || inFlight != 0 {
			t.Errorf("limit %d with %d in flight, want 500 and 0", limit, inFlight)
		}
	})
}

func TestOneAddressIsTreatedPolitely(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := scan.NewLimiter(scan.LimiterOptions{Max: 1000, PerAddress: 3, PerSecond: 10})
		var now, most atomic.Int64
		var wg sync.WaitGroup
		start := time.Now()
		for range 100 {
			wg.Go(func() {
				visit(t.Context(), l, addr(1), func() time.Duration {
					most.Store(max(most.Load(), now.Add(1)))
					time.AfterFunc(time.Millisecond, func() { now.Add(-1) })
					return time.Millisecond
				}, inventory.ReachOK)
			})
		}
		wg.Wait()
		if took := time.Since(start); most.Load() > 3 || took < 9*time.Second {
			t.Errorf("%d connections at a time, all done in %v; want at most 3, and ten a second", most.Load(), took)
		}
	})
}

func TestAnAddressThatRefusesFiveTimesIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := scan.NewLimiter(scan.LimiterOptions{Rest: time.Minute})
		short := func() time.Duration { return time.Millisecond }
		for n := range 8 {
			last, err := visit(t.Context(), l, addr(1), short, inventory.ReachRefused)
			if err != nil || (last != nil) != (n >= 5) {
				t.Fatalf("connection %d: left alone: %v, error %v", n, last, err)
			}
		}
		if last, _ := visit(t.Context(), l, netip.AddrPortFrom(addr(1).Addr(), 8443), short, inventory.ReachOK); last != nil {
			t.Errorf("another port of the address is left alone too: %v", last)
		}
		time.Sleep(time.Minute + time.Second)
		if last, _ := visit(t.Context(), l, addr(1), short, inventory.ReachOK); last != nil {
			t.Errorf("still left alone after its rest: %v", last)
		}
	})
}

// A server that takes connections and is silent for some names serves others.
func TestSilenceAfterConnectingDoesNotCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := scan.NewLimiter(scan.LimiterOptions{})
		for n := range 10 {
			last, err := visit(t.Context(), l, addr(1), func() time.Duration { return time.Second }, inventory.ReachTimeout)
			if err != nil || last != nil {
				t.Fatalf("connection %d: left alone: %v, error %v", n, last, err)
			}
		}
		for n := range 6 { // nobody answers the connection
			leave, last, err := l.Enter(t.Context(), addr(2))
			if err != nil || (last != nil) != (n >= 5) {
				t.Fatalf("connection %d: left alone: %v, error %v", n, last, err)
			}
			if leave != nil {
				leave(inventory.Observation{Reach: inventory.Reach{Status: inventory.ReachTimeout}, Timings: inventory.Timings{Connect: time.Second}})
			}
		}
	})
}

func TestAdmissionFollowsTheLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := scan.NewLimiter(scan.LimiterOptions{Max: 10_000})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		n := 0
		for l.Admit(ctx) == nil {
			n++
		}
		if n < 64 || n > 1000 {
			t.Errorf("%d targets were admitted before any answered, want a few hundred", n)
		}
		for range n {
			l.Done()
		}
		if err := l.Admit(t.Context()); err != nil {
			t.Errorf("after all were done: %v", err)
		}
	})
}

func TestWhoeverGivesUpWaitingLeavesNoTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := scan.NewLimiter(scan.LimiterOptions{Max: 1})
		leave, _, err := l.Enter(t.Context(), addr(1))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if leave, _, err := l.Enter(ctx, addr(i)); err == nil {
					leave(inventory.Observation{})
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		leave(inventory.Observation{})
		for i := range 50 { // too late from the beginning
			if _, _, err := l.Enter(ctx, addr(i)); err == nil {
				t.Error("entered with a context that has ended")
			}
		}
		if _, inFlight := l.Limit(); inFlight != 0 {
			t.Errorf("%d in flight after all have left", inFlight)
		}
		if leave, _, err := l.Enter(t.Context(), addr(2)); err != nil {
			t.Error(err)
		} else {
			leave(inventory.Observation{})
		}
	})
}

func ExampleLimiter() {
	l := scan.NewLimiter(scan.LimiterOptions{Max: 1000})
	limit, inFlight := l.Limit()
	fmt.Println(limit, inFlight)
	// Output: 64 0
}
