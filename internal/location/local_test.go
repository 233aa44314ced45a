package location_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/location"
)

type names map[string]inventory.Resolution

func (n names) Resolve(_ context.Context, name string) inventory.Resolution {
	time.Sleep(10 * time.Millisecond)
	r, ok := n[name]
	if !ok {
		return inventory.Resolution{Name: name, Status: inventory.ReachDNSNXDomain, Detail: "no such name"}
	}
	return r
}

// peers answer probes by address; each takes a second, a dead one its budget.
type peers struct {
	answer func(req inventory.ProbeRequest, n int) inventory.Observation

	mu     sync.Mutex
	probes []string
}

func (p *peers) Probe(ctx context.Context, req inventory.ProbeRequest) inventory.Observation {
	p.mu.Lock()
	p.probes = append(p.probes, req.Address.String()+" "+string(req.Offer))
	n := 0
	for _, s := range p.probes {
		if strings.HasPrefix(s, req.Address.String()+" ") {
			n++
		}
	}
	p.mu.Unlock()
	o := inventory.Observation{Address: req.Address.String(), Offer: req.Offer, Time: time.Now(), Reach: inventory.Reach{Status: inventory.ReachOK}}
	if p.answer != nil {
		o = p.answer(req, n)
		o.Address, o.Offer = req.Address.String(), req.Offer
	} else {
		o.Chain = [][]byte{[]byte("leaf")}
	}
	d := time.Second
	if o.Reach.Status == inventory.ReachTimeout {
		d = time.Hour
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return o
}

func resolved(name string, addrs ...string) inventory.Resolution {
	r := inventory.Resolution{Name: name, Status: inventory.ReachOK}
	for _, a := range addrs {
		r.Addresses = append(r.Addresses, netip.MustParseAddr(a))
	}
	return r
}

func examine(t *testing.T, ctx context.Context, opt location.Options, w inventory.Work) []inventory.Observation {
	t.Helper()
	l, err := location.NewLocal(opt)
	if err != nil {
		t.Fatal(err)
	}
	if w.Timeout == 0 {
		w.Timeout = 5 * time.Second
	}
	return slices.SortedFunc(l.Examine(ctx, w), func(a, b inventory.Observation) int { return strings.Compare(a.View().ID(), b.View().ID()) })
}

func target(host, address string) inventory.Target {
	return inventory.Target{Host: host, Port: 443, Protocol: inventory.TLS, Address: address}
}

func TestEveryAddressIsExaminedAndADeadOneHidesNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &peers{answer: func(req inventory.ProbeRequest, _ int) inventory.Observation {
			if req.Address.Is6() {
				return inventory.Observation{Reach: inventory.Reach{Status: inventory.ReachTimeout}}
			}
			return inventory.Observation{Chain: [][]byte{[]byte(req.Address.String())}, Reach: inventory.Reach{Status: inventory.ReachOK}}
		}}
		dns := names{"a.test": resolved("a.test", "192.0.2.1", "192.0.2.2", "2001:db8::1")}
		start := time.Now()
		got := examine(t, t.Context(), location.Options{Resolver: dns, Prober: p}, inventory.Work{Target: target("a.test", ""), Slot: 42})
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("took %v: the addresses waited for each other", took)
		}
		var seen []string
		for _, o := range got {
			seen = append(seen, fmt.Sprintf("%s %s %d", o.Address, o.Reach.Status, len(o.Chain)))
			if o.Location != inventory.LocalLocation || o.Target != "a.test:443" || o.Slot != 42 || o.Resolution == nil || o.Timings.Resolve != 10*time.Millisecond {
				t.Errorf("observation lacks where it is from: %+v", o)
			}
		}
		want := []string{"192.0.2.1 ok 1", "192.0.2.2 ok 1", "2001:db8::1 timeout 0"}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("observations (-want +got):\n%s", diff)
		}
	})
}

func TestWhereToConnect(t *testing.T) {
	t.Parallel()
	dns := names{"a.test": resolved("a.test", "192.0.2.1", "192.0.2.2"), "lb.test": resolved("lb.test", "192.0.2.7")}
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprintf("192.0.2.%d", i))
	}
	dns["many.test"] = resolved("many.test", many...)
	for _, tt := range []struct {
		name string
		work inventory.Work
		want []string
	}{
		{"an address needs no resolver", inventory.Work{Target: target("2001:db8::7", "")}, []string{"2001:db8::7 default"}},
		{"the name at another host", inventory.Work{Target: target("a.test", "lb.test")}, []string{"192.0.2.7 default"}},
		{"the name at an address", inventory.Work{Target: target("a.test", "192.0.2.9")}, []string{"192.0.2.9 default"}},
		{"pinned", inventory.Work{Target: target("a.test", ""), Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.3")}}, []string{"192.0.2.3 default"}},
		{"the first only", inventory.Work{Target: target("a.test", ""), FirstOnly: true}, []string{"192.0.2.1 default"}},
		{"a census has its own offer", inventory.Work{Target: target("lb.test", ""), Mode: inventory.ModeCensus}, []string{"192.0.2.7 census"}},
		{"every offer", inventory.Work{Target: target("lb.test", ""), Offers: []inventory.Offer{"default", "rsa", "no_sni"}}, []string{"192.0.2.7 default", "192.0.2.7 rsa", "192.0.2.7 no_sni"}},
		{"an address has no name to leave out", inventory.Work{Target: target("192.0.2.7", ""), Offers: []inventory.Offer{"default", "no_sni"}}, []string{"192.0.2.7 default"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := new(peers)
				examine(t, t.Context(), location.Options{Resolver: dns, Prober: p}, tt.work)
				if diff := cmp.Diff(tt.want, p.probes); diff != "" {
					t.Errorf("probes (-want +got):\n%s", diff)
				}
			})
		})
	}
	t.Run("a large set is taken whole if asked for", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			got := examine(t, t.Context(), location.Options{Resolver: dns, Prober: new(peers)}, inventory.Work{Target: target("many.test", ""), Limit: 100})
			if len(got) != 40 || got[0].Unexamined != 0 {
				t.Errorf("%d addresses examined, %d left out", len(got), got[0].Unexamined)
			}
		})
	})
	t.Run("a large set is taken in turns", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			seen := make(map[string]bool)
			for slot := range int64(40) {
				got := examine(t, t.Context(), location.Options{Resolver: dns, Prober: new(peers)}, inventory.Work{Target: target("many.test", ""), Slot: slot})
				if len(got) != location.MaxAddresses {
					t.Fatalf("%d addresses examined, want %d", len(got), location.MaxAddresses)
				}
				for _, o := range got {
					seen[o.Address] = true
					if o.Unexamined != 40-location.MaxAddresses {
						t.Errorf("%d addresses are said to be left out", o.Unexamined)
					}
				}
				if len(got[0].Resolution.Addresses) != 40 {
					t.Errorf("the observation forgot the addresses that were not examined")
				}
			}
			if len(seen) != 40 {
				t.Errorf("%d of 40 addresses were ever examined", len(seen))
			}
		})
	})
}

func TestANameThatDoesNotResolveIsAnObservation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := examine(t, t.Context(), location.Options{Resolver: names{}, Prober: new(peers)}, inventory.Work{Target: target("gone.test", "")})
		if len(got) != 1 || got[0].Address != "" || got[0].Reach.Status != inventory.ReachDNSNXDomain || got[0].Reach.Detail == "" || got[0].Time.IsZero() {
			t.Errorf("got %+v, want one observation without an address", got)
		}
	})
}

func TestRetriesAndSamples(t *testing.T) {
	t.Parallel()
	ok := func(chain string) inventory.Observation {
		return inventory.Observation{Chain: [][]byte{[]byte(chain)}, Reach: inventory.Reach{Status: inventory.ReachOK}}
	}
	failed := func(s inventory.ReachStatus) inventory.Observation {
		return inventory.Observation{Reach: inventory.Reach{Status: s}}
	}
	for _, tt := range []struct {
		name       string
		work       inventory.Work
		answer     func(req inventory.ProbeRequest, n int) inventory.Observation
		probes     int
		status     inventory.ReachStatus
		alternates int
	}{
		{"a reset is tried again", inventory.Work{Retries: 2}, func(_ inventory.ProbeRequest, n int) inventory.Observation {
			if n == 1 {
				return failed(inventory.ReachReset)
			}
			return ok("a")
		}, 2, inventory.ReachOK, 0},
		{"a refusal is an answer", inventory.Work{Retries: 2}, func(inventory.ProbeRequest, int) inventory.Observation {
			return failed(inventory.ReachRefused)
		}, 1, inventory.ReachRefused, 0},
		{"no retry goes over the budget", inventory.Work{Retries: 9}, func(inventory.ProbeRequest, int) inventory.Observation {
			return failed(inventory.ReachEOF)
		}, 4, inventory.ReachEOF, 0},
		{"a dead server is not asked in other words", inventory.Work{Offers: []inventory.Offer{"default", "rsa", "ecdsa"}}, func(inventory.ProbeRequest, int) inventory.Observation {
			return failed(inventory.ReachTimeout)
		}, 1, inventory.ReachTimeout, 0},
		{"a pool is seen by several handshakes", inventory.Work{Samples: 6}, func(_ inventory.ProbeRequest, n int) inventory.Observation {
			return ok(fmt.Sprint(n % 3))
		}, 6, inventory.ReachOK, 2},
		{"silence after another offer says nothing", inventory.Work{Offers: []inventory.Offer{"default", "rsa"}}, func(req inventory.ProbeRequest, _ int) inventory.Observation {
			if req.Offer == inventory.OfferRSA {
				return failed(inventory.ReachTimeout)
			}
			return ok("ecdsa")
		}, 2, inventory.ReachOK, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &peers{answer: tt.answer}
				tt.work.Target = target("192.0.2.1", "")
				got := examine(t, t.Context(), location.Options{Resolver: names{}, Prober: p}, tt.work)
				if len(p.probes) != tt.probes || len(got) != 1 || got[0].Reach.Status != tt.status || len(got[0].Alternates) != tt.alternates {
					t.Errorf("%d probes, observations %+v; want %d, one %s with %d alternates", len(p.probes), got, tt.probes, tt.status, tt.alternates)
				}
			})
		})
	}
}

// Who shows another chain without its key does not do so under the proof of
// those beside it.
func TestSamplesAreProvenTogether(t *testing.T) {
	t.Parallel()
	for _, proven := range []bool{true, false} {
		p := &peers{answer: func(_ inventory.ProbeRequest, n int) inventory.Observation {
			return inventory.Observation{
				Chain: [][]byte{[]byte(fmt.Sprint(n))}, Reach: inventory.Reach{Status: inventory.ReachOK},
				Capture: &inventory.Capture{Method: inventory.CaptureHandshake, PossessionProven: proven || n == 1},
			}
		}}
		synctest.Test(t, func(t *testing.T) {
			work := inventory.Work{Target: target("192.0.2.1", ""), Samples: 3}
			got := examine(t, t.Context(), location.Options{Resolver: names{}, Prober: p}, work)
			if len(got) != 1 || len(got[0].Alternates) != 2 || got[0].Capture.PossessionProven != proven {
				t.Errorf("observations %+v; want one with two alternates and proof %t", got, proven)
			}
		})
	}
}

// Whether a refusal means that a certificate is gone is for those to say who
// know whether there was one.
func TestARefusedOfferIsYielded(t *testing.T) {
	t.Parallel()
	p := &peers{answer: func(req inventory.ProbeRequest, _ int) inventory.Observation {
		if req.Offer == inventory.OfferRSA {
			return inventory.Observation{Reach: inventory.Reach{Status: inventory.ReachTLSAlert}}
		}
		return inventory.Observation{Chain: [][]byte{[]byte("ecdsa")}, Reach: inventory.Reach{Status: inventory.ReachOK}}
	}}
	got := examine(t, t.Context(), location.Options{Resolver: names{}, Prober: p},
		inventory.Work{Target: target("192.0.2.1", ""), Offers: []inventory.Offer{"default", "rsa"}, Timeout: time.Second})
	if len(got) != 2 || got[1].Offer != inventory.OfferRSA || got[1].Reach.Status != inventory.ReachTLSAlert {
		t.Errorf("observations %+v, want the refusal of the rsa offer too", got)
	}
}

type closedGate struct{}

func (closedGate) Enter(context.Context, netip.AddrPort) (func(inventory.Observation), error) {
	return nil, &location.LeftAlone{Reach: inventory.Reach{Status: inventory.ReachRefused, Detail: "refused five times"}}
}

func TestAnAddressThatIsLeftAloneIsRecordedAsSuch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := new(peers)
		got := examine(t, t.Context(), location.Options{Resolver: names{}, Prober: p, Gate: closedGate{}}, inventory.Work{Target: target("192.0.2.1", "")})
		if len(p.probes) != 0 || len(got) != 1 || got[0].Reach.Detail != "refused five times" {
			t.Errorf("probed %v, observed %+v", p.probes, got)
		}
	})
}

func TestNobodyWaitsForAReaderWhoHasGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // a goroutine that stays behind fails the bubble
		l, err := location.NewLocal(location.Options{Resolver: names{"a.test": resolved("a.test", "192.0.2.1", "192.0.2.2", "192.0.2.3")}, Prober: new(peers)})
		if err != nil {
			t.Fatal(err)
		}
		for range l.Examine(t.Context(), inventory.Work{Target: target("a.test", ""), Timeout: time.Second}) {
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(500*time.Millisecond, cancel)
		for o := range l.Examine(ctx, inventory.Work{Target: target("a.test", ""), Timeout: time.Minute}) {
			t.Errorf("observed %+v after the scan was cancelled", o)
		}
	})
}
