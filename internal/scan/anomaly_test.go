package scan_test

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
)

// An outage is a fleet some of whose targets are dead, examined as the daemon
// does it.
type outage struct {
	confirm  *scan.Confirm
	targets  []inventory.Target
	dead     func(i int) bool
	failures []int64 // of each target, in a row
	asked    int     // examinations that would have to follow soon
}

func newOutage(n int) *outage {
	return &outage{
		confirm: scan.NewConfirm(scan.ConfirmOptions{}), targets: watched(n), failures: make([]int64, n),
		dead: func(int) bool { return false },
	}
}

func (o *outage) result(i int) inventory.Result {
	r := result(o.targets[i], time.Now(), "leaf")
	if o.dead(i) {
		r = judged(result(o.targets[i], time.Now(), ""), inventory.CodeUnreachable)
	}
	r.Endpoints[0].Judgement.Certificate = new(inventory.Certificate) // the one that it served last
	return r
}

// interval examines every target once, spread over an hour, and returns how many
// are told to be unreachable.
func (o *outage) interval() (told int) {
	for i := range o.targets {
		if o.failures[i]++; !o.dead(i) {
			o.failures[i] = 0
		}
		r := o.result(i)
		if o.confirm.Examined(&r).Again {
			o.asked++
		}
		told += len(r.Endpoints[0].Judgement.Findings)
		time.Sleep(time.Hour / time.Duration(len(o.targets)))
	}
	return told
}

func (o *outage) intervals(n int) (told int) {
	for range n {
		told = o.interval()
	}
	return told
}

// restart is a new daemon that knows what is stored.
func (o *outage) restart(t *testing.T) {
	t.Helper()
	o.confirm = scan.NewConfirm(scan.ConfirmOptions{})
	for i := range o.targets {
		r := o.result(i)
		out := o.confirm.Restore(&r, func(inventory.FindingKey) bool { return false }, func(inventory.View) int64 { return o.failures[i] })
		if len(out.Opened) > 0 || out.Again {
			t.Errorf("at a restart, of %s: %+v", o.targets[i], out)
		}
	}
	o.confirm.Restored()
}

func nobody(int) bool { return false }
func all(int) bool    { return true }

func share(dead, of int) func(int) bool { return func(i int) bool { return i%of < dead } }

// How the suspicion that all failures are our own ends, and what is told then.
func TestConfirmOwnSideEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		n     int
		after func(o *outage, t *testing.T) // an outage of everything
		ends  int                           // intervals until it is over, of a hundred; 100: it lasts
		told  int                           // targets in the end
	}{
		{"everybody answers", 60, func(o *outage, _ *testing.T) { o.dead = nobody }, 1, 0},
		{"nobody answers", 60, func(*outage, *testing.T) {}, 100, 0},
		{"a third is dead for good", 60, func(o *outage, _ *testing.T) { o.dead = share(1, 3) }, 3, 20},
		{"two thirds are dead for good", 60, func(o *outage, _ *testing.T) { o.dead = share(2, 3) }, 14, 40},
		{"few targets are left", 60, func(o *outage, _ *testing.T) {
			var gone []string
			for _, target := range o.targets[10:] {
				gone = append(gone, target.Key())
			}
			o.confirm.Forget(gone)
			o.targets = o.targets[:10]
		}, 1, 10},
		{"a restart, and nobody answers", 60, func(o *outage, t *testing.T) { o.restart(t) }, 100, 0},
		{"a restart, and everybody answers", 60, func(o *outage, t *testing.T) { o.restart(t); o.dead = nobody }, 1, 0},
		{"a restart, and a third is dead for good", 60, func(o *outage, t *testing.T) { o.restart(t); o.dead = share(1, 3) }, 3, 20},
		{"a restart of a small fleet", 10, func(o *outage, t *testing.T) {
			if told := o.interval(); told != 10 {
				t.Errorf("told of %d of ten, which are no measure of our side", told)
			}
		}, 1, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOutage(tt.n)
				o.intervals(2)
				if o.dead = all; tt.n >= 20 {
					if told := o.intervals(5); told != 0 || len(o.confirm.Own()) != 1 {
						t.Fatalf("told of %d targets in an outage, and %v of our own side", told, o.confirm.Own())
					}
				} else {
					o.intervals(5)
				}
				tt.after(o, t)
				ends := 100
				for i := range 100 {
					if o.interval(); len(o.confirm.Own()) == 0 {
						ends = i + 1
						break
					}
				}
				if told := o.intervals(3); told != tt.told || ends > tt.ends || ends < tt.ends-1 {
					t.Errorf("it ended after %d intervals and %d targets are told, want %d and %d", ends, told, tt.ends, tt.told)
				}
				if (len(o.confirm.Own()) == 0) != (tt.ends < 100) {
					t.Errorf("in the end own findings %v", o.confirm.Own())
				}
			})
		})
	}
}

// While our own side is at fault, nobody is examined more often for it.
func TestConfirmAsksNoMoreWhileOwnSideFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOutage(100)
		o.interval()
		o.dead = all
		o.interval()
		if o.asked == 0 || o.asked > 20 {
			t.Errorf("%d of 100 targets were to be examined soon when all failed, want those before it was known", o.asked)
		}
		o.asked = 0
		if o.intervals(3); o.asked != 0 {
			t.Errorf("%d of 100 targets were to be examined soon while our own side failed", o.asked)
		}
	})
}

// An address that comes back is another one.
func TestConfirmForgetsFailuresOfAddresses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		between func(r *inventory.Result) // of six examinations
		told    bool                      // at the third failure
	}{
		{"it was gone", func(*inventory.Result) {}, false},
		{"it had not its turn", func(r *inventory.Result) {
			r.Endpoints[0].Observation.Resolution = &inventory.Resolution{Addresses: addresses("192.0.2.1", "192.0.2.99")}
		}, true},
		{"the name was not resolved", func(r *inventory.Result) {
			o := &r.Endpoints[0].Observation
			o.Address, o.Chain, o.Reach.Status = "", nil, inventory.ReachDNSServFail
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, target, told := scan.NewConfirm(scan.ConfirmOptions{}), watched(1)[0], ""
			fails := func(address string) {
				r := judged(result(target, time.Now(), ""), inventory.CodeUnreachable)
				r.Endpoints[0].Observation.Address = address
				r.Endpoints[0].Judgement.Findings[0].Subject.ID = r.Endpoints[0].Observation.View().ID()
				c.Examined(&r)
				told = wordsOf(r.Endpoints[0].Judgement.Findings)
			}
			fails("192.0.2.99")
			fails("192.0.2.99")
			for i := range 6 {
				r := result(target, time.Now(), "leaf")
				r.Endpoints[0].Observation.Address = fmt.Sprintf("192.0.2.%d", i)
				tt.between(&r)
				c.Examined(&r)
			}
			if fails("192.0.2.99"); (told != "") != tt.told {
				t.Errorf("told %q at its third failure, want it told: %v", told, tt.told)
			}
		})
	}
}

// A view that an examination says nothing of is not current any more, and one
// that it could not look at is: what was told of it stays.
func TestConfirmOfViewsThatWereNotExamined(t *testing.T) {
	t.Parallel()
	c, target := scan.NewConfirm(scan.ConfirmOptions{}), watched(1)[0]
	give := func(r inventory.Result) (told string, out scan.Outcome) {
		out = c.Examined(&r)
		for _, views := range [][]inventory.Endpoint{r.Endpoints, r.Carried} {
			for _, e := range views {
				told += wordsOf(e.Judgement.Findings) + ";"
			}
		}
		return told, out
	}
	dead := func() inventory.Result {
		return judged(result(target, time.Now(), ""), inventory.CodeUnreachable)
	}
	lost := func() inventory.Result {
		r := result(target, time.Now(), "")
		o := &r.Endpoints[0].Observation
		o.Address, o.Reach.Status = "", inventory.ReachDNSTimeout
		r = judged(r, inventory.CodeDNSFailure)
		r.Carried = dead().Endpoints
		return r
	}
	for i, s := range []struct {
		r              inventory.Result
		told           string
		opened, closed string
	}{
		{dead(), ";", "", ""},
		{lost(), ";;", "", ""},
		{lost(), ";;", "", ""},
		{dead(), ";", "", ""},
		{dead(), "unreachable;", "unreachable", ""}, // the third that looked at it
		{lost(), ";unreachable;", "", ""},
		{lost(), ";unreachable;", "", ""},
		{lost(), "dns_failure;unreachable;", "dns_failure", ""},
		{lost(), "dns_failure;unreachable;", "", ""},
		{dead(), "unreachable;", "", "dns_failure"},
		{result(target, time.Now(), "leaf"), ";", "", "unreachable"},
	} {
		told, out := give(s.r)
		if told != s.told || wordsOf(out.Opened) != s.opened || wordsOf(out.Closed) != s.closed {
			t.Errorf("step %d: told %q, opened %q, closed %q; want %+v", i, told, wordsOf(out.Opened), wordsOf(out.Closed), s)
		}
	}
}

// However often it is judged again, only an examination takes a view away.
func TestConfirmKeepsViewsUntilAnExamination(t *testing.T) {
	t.Parallel()
	c, target := scan.NewConfirm(scan.ConfirmOptions{}), watched(1)[0]
	for range 2 {
		r := judged(result(target, time.Now(), "leaf"), inventory.CodeNameMismatch)
		c.Examined(&r)
	}
	closed := func(give func(*inventory.Result) scan.Outcome) string {
		r := result(target, time.Now(), "leaf")
		r.Endpoints[0].Observation.Address = "192.0.2.99"
		return wordsOf(give(&r).Closed)
	}
	for range 5 {
		if got := closed(c.Rejudged); got != "" {
			t.Fatalf("closed %q when it was judged again", got)
		}
	}
	if got := closed(c.Examined); got != "name_mismatch" {
		t.Errorf("closed %q by an examination that has no such view, want name_mismatch", got)
	}
}

func addresses(list ...string) (addrs []netip.Addr) {
	for _, a := range list {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs
}

// What the system refused us is no failure of the address: three such do not
// make the first one that is its own the third.
func TestOwnFaultsAreNoFailures(t *testing.T) {
	t.Parallel()
	for _, status := range []inventory.ReachStatus{inventory.ReachNoRoute, inventory.ReachLocalError} {
		o := newOutage(1)
		for range 3 {
			r := result(o.targets[0], time.Now(), "")
			r.Endpoints[0].Observation.Reach.Status = status
			o.confirm.Examined(&r)
		}
		r := judged(result(o.targets[0], time.Now(), ""), inventory.CodeUnreachable)
		if o.confirm.Examined(&r); len(r.Endpoints[0].Judgement.Findings) > 0 {
			t.Errorf("after three %s the first failure is told", status)
		}
	}
}
