package scan_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
)

// fleet is a location whose endpoints answer after a second of fake time.
type fleet struct {
	answer func(w inventory.Work) []inventory.Observation

	mu   sync.Mutex
	work []inventory.Work
}

func (f *fleet) Examine(ctx context.Context, w inventory.Work) iter.Seq[inventory.Observation] {
	f.mu.Lock()
	f.work = append(f.work, w)
	f.mu.Unlock()
	return func(yield func(inventory.Observation) bool) {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
		for _, o := range f.answer(w) {
			if !yield(o) {
				return
			}
		}
	}
}

// served is an observation of t at an address with a chain of the given texts.
func served(t inventory.Target, address string, chain ...string) inventory.Observation {
	o := inventory.Observation{
		Target: t.Key(), Address: address, Location: inventory.LocalLocation, Offer: inventory.OfferDefault,
		Reach: inventory.Reach{Status: inventory.ReachOK},
	}
	for _, c := range chain {
		o.Chain = append(o.Chain, []byte(c))
	}
	return o
}

func healthy(w inventory.Work) []inventory.Observation {
	return []inventory.Observation{served(w.Target, "192.0.2.1", "leaf of "+w.Target.Host)}
}

// literal judges by the words in the first certificate, and needs an issuer
// for one that says so.
type literal struct{}

func (literal) Judge(f inventory.Facts, ev inventory.EvidenceSet, _ time.Time) (inventory.Judgement, []inventory.Need) {
	chain := f.Observation.Chain
	if len(chain) == 0 {
		chain = f.LastChain
	}
	if f.Observation.Reach.Status.IsDNS() {
		return inventory.Judgement{Findings: []inventory.Finding{finding(f, inventory.CodeDNSFailure)}}, nil
	}
	if len(chain) == 0 {
		return inventory.Judgement{Findings: []inventory.Finding{finding(f, inventory.CodeUnreachable)}}, nil
	}
	j := inventory.Judgement{LastSeen: f.LastSeen, Certificate: &inventory.Certificate{Issuer: "CN=Known"}, Verdict: &inventory.Verdict{}}
	j.Verdict.Trust.Status, j.Verdict.Revocation.Detail = inventory.Trusted, string(f.LastStaple)
	text := string(chain[0])
	if _, issuer, ok := strings.Cut(text, "unknown issuer "); ok {
		j.Certificate.Issuer = issuer
		j.Verdict.Trust.Status = inventory.TrustUnknownIssuer
		j.Findings = append(j.Findings, finding(f, inventory.CodeUnknownIssuer))
		if f.PreviousChain != nil {
			j.Findings = append(j.Findings, finding(f, inventory.CodeChainBroken))
		}
	}
	var needs []inventory.Need
	if url, ok := strings.CutPrefix(text, "needs list "); ok {
		n := inventory.Need{Kind: inventory.NeedCRL, URL: url}
		e, got := ev[n]
		if !got {
			return j, []inventory.Need{n}
		}
		j.Verdict.Revocation.Reason = e.ErrorWord
	}
	if strings.Contains(text, "needs issuer") {
		for level := range 10 {
			n := inventory.Need{Kind: inventory.NeedIssuer, URL: fmt.Sprintf("http://aia.test/%d", level)}
			if _, got := ev[n]; !got {
				return j, []inventory.Need{n}
			}
			if level == 1 {
				break // two are enough
			}
		}
		j.Findings = append(j.Findings, finding(f, inventory.CodeIncompleteChain))
	}
	return j, needs
}

func (literal) JudgeTarget(_ inventory.Target, views []inventory.Endpoint, _ time.Time) inventory.TargetJudgement {
	return inventory.TargetJudgement{Lifetime: time.Duration(len(views))}
}

func finding(f inventory.Facts, c inventory.Code) inventory.Finding {
	return inventory.Finding{Code: c, Subject: inventory.Subject{Kind: inventory.SubjectView, ID: f.Observation.View().ID()}}
}

type memory struct {
	known  map[string][]inventory.KnownView
	chains map[inventory.Fingerprint][][]byte
	staple []byte   // of every view
	beside [][]byte // what the default offer was answered when the others were asked
}

func (m memory) Prefetch(context.Context, []string) error { return nil }

func (m memory) Known(_ context.Context, target string) ([]inventory.KnownView, error) {
	return m.known[target], nil
}

func (m memory) Chain(_ context.Context, id inventory.Fingerprint) ([][]byte, error) {
	c, ok := m.chains[id]
	if !ok {
		return nil, errors.New("no such chain")
	}
	return c, nil
}

func (m memory) Target(_ context.Context, key string) (st inventory.StoredTarget, _ error) {
	for _, k := range m.known[key] {
		o := inventory.Observation{
			Target: key, Address: k.View.Address, Location: k.View.Location, Offer: k.View.Offer, Time: k.LastSeen,
			Reach: inventory.Reach{Status: k.Reach}, Chain: m.chains[k.Chain],
		}
		f := inventory.Facts{Observation: o, LastChain: m.chains[k.LastChain], LastStaple: m.staple}
		if o.Offer != inventory.OfferDefault {
			f.DefaultChain = m.beside
		}
		st.Views = append(st.Views, inventory.StoredView{Facts: f})
	}
	return st, nil
}

type notebook struct {
	batches [][]string
	fail    error
}

func (n *notebook) Record(_ context.Context, results []inventory.Result) error {
	var names []string
	for _, r := range results {
		names = append(names, r.Target.Host)
	}
	n.batches = append(n.batches, names)
	return n.fail
}

func (n *notebook) all() []string { return slices.Sorted(slices.Values(slices.Concat(n.batches...))) }

type urls struct {
	mu    sync.Mutex
	asked []string
}

func (u *urls) Get(_ context.Context, n inventory.Need) inventory.Evidence {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.asked = append(u.asked, n.URL)
	return inventory.Evidence{Need: n, Error: "status 404"}
}

func (u *urls) Shared() inventory.EvidenceSet { return nil }

func targets(n int) iter.Seq[inventory.Target] {
	return func(yield func(inventory.Target) bool) {
		for i := range n {
			if !yield(inventory.Target{Host: fmt.Sprintf("n%05d.site%d.com", i, i), Port: 443, Protocol: inventory.TLS}) {
				return
			}
		}
	}
}

// run runs an engine over n targets and returns the results by host.
func run(t *testing.T, ctx context.Context, opt scan.Options, n int) (map[string]inventory.Result, error) {
	t.Helper()
	if opt.Judge == nil {
		opt.Judge = literal{}
	}
	if opt.Admission == nil {
		opt.Admission = scan.NewLimiter(scan.LimiterOptions{Max: 100})
	}
	if opt.Work == nil {
		opt.Work = func(t inventory.Target) inventory.Work { return inventory.Work{Target: t} }
	}
	e, err := scan.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]inventory.Result)
	list := func(context.Context) iter.Seq[inventory.Target] { return targets(n) }
	err = e.Run(ctx, list, func(r inventory.Result) error {
		got[r.Target.Host] = r
		return nil
	})
	return got, err
}

func codes(r inventory.Result) []inventory.Code {
	var c []inventory.Code
	for _, e := range r.Endpoints {
		for _, f := range e.Judgement.Findings {
			c = append(c, f.Code)
		}
	}
	return c
}

func TestEveryTargetIsRecordedAndReportedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book := new(notebook)
		got, err := run(t, t.Context(), scan.Options{Location: &fleet{answer: healthy}, Recorder: book, OwnSide: scan.NewOwnSide()}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 1000 || len(book.all()) != 1000 || len(slices.Compact(book.all())) != 1000 {
			t.Errorf("%d reported, %d recorded, want 1000 each, none twice", len(got), len(book.all()))
		}
		if len(book.batches) > 20 {
			t.Errorf("%d batches for 1000 results, want few large ones", len(book.batches))
		}
	})
}

func TestAnInterruptedScanKeepsWhatWasSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("ctrl-c")
		time.AfterFunc(1500*time.Millisecond, func() { cancel(why) })
		book := new(notebook)
		got, err := run(t, ctx, scan.Options{Location: &fleet{answer: healthy}, Recorder: book}, 1000)
		if !errors.Is(err, why) {
			t.Errorf("Run: %v, want %v", err, why)
		}
		if len(got) == 0 || len(got) == 1000 || len(got) != len(book.all()) {
			t.Errorf("%d reported and %d recorded, want the same number, some but not all", len(got), len(book.all()))
		}
		for host, r := range got {
			if len(r.Endpoints) != 1 {
				t.Errorf("%s was kept without its endpoint", host)
			}
		}
	})
}

// What waited for admission says since when it knows of nothing new.
func TestAResultSaysWhenItWasBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		got, err := run(t, t.Context(), scan.Options{
			Location: &fleet{answer: healthy}, LookAhead: 1, Admission: &oneAtATime{place: make(chan struct{}, 1)},
		}, 3)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []time.Duration{0, 0, time.Second} { // each is taken up when the one before it begins
			if r := got[fmt.Sprintf("n%05d.site%d.com", i, i)]; r.Begun.Sub(start) != want {
				t.Errorf("target %d was taken up after %v, want %v", i, r.Begun.Sub(start), want)
			}
		}
	})
}

// oneAtATime admits one target at a time.
type oneAtATime struct{ place chan struct{} }

func (o *oneAtATime) Admit(context.Context) error { o.place <- struct{}{}; return nil }
func (o *oneAtATime) Done()                       { <-o.place }

// A hung recorder records nothing until it is told to.
type hung struct{ release chan struct{} }

func (h hung) Record(context.Context, []inventory.Result) error { <-h.release; return nil }

// A recorder that is slow, or hangs, holds examinations up, so that results do
// not pile up in memory, and the schedule shows that it is behind.
func TestARecorderThatHangsHoldsExaminationsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n = 10_000
		f, h, ended := &fleet{answer: healthy}, hung{make(chan struct{})}, make(chan int)
		begun := func() int {
			f.mu.Lock()
			defer f.mu.Unlock()
			return len(f.work)
		}
		go func() {
			got, err := run(t, t.Context(), scan.Options{Location: f, Recorder: h}, n)
			if err != nil {
				t.Error(err)
			}
			ended <- len(got)
		}()
		time.Sleep(time.Hour)
		if got := begun(); got < 1000 || got > 2500 {
			t.Errorf("%d of %d targets were begun while nothing was recorded, want some and not all", got, n)
		}
		close(h.release)
		if got := <-ended; got != n {
			t.Errorf("%d of %d targets were reported in the end", got, n)
		}
	})
}

// A run that cannot be recorded or reported ends, also one whose targets never
// do, and begins no further examinations.
func TestAScanThatCannotBeRecordedEnds(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	for _, tt := range []struct {
		name    string
		record  error
		report  error
		targets func(ctx context.Context) iter.Seq[inventory.Target]
	}{
		{"a long list is not recorded", full, nil, func(context.Context) iter.Seq[inventory.Target] { return targets(100_000) }},
		{"a long list is not reported", nil, full, func(context.Context) iter.Seq[inventory.Target] { return targets(100_000) }},
		{"a schedule is not recorded", full, nil, nil},
		{"a schedule is not reported", nil, full, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				f := &fleet{answer: healthy}
				s := scan.NewSchedule(scan.ScheduleOptions{})
				s.Set(watched(10))
				if tt.targets == nil {
					tt.targets = s.Due
				}
				e, err := scan.New(scan.Options{
					Location: f, Judge: literal{}, Admission: scan.NewLimiter(scan.LimiterOptions{Max: 100}),
					Recorder: &notebook{fail: tt.record}, LookAhead: 1, Work: s.Work,
				})
				if err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				err = e.Run(ctx, tt.targets, func(r inventory.Result) error { s.Done(r); return tt.report })
				if !errors.Is(err, full) || time.Since(begun) > 5*time.Second {
					t.Errorf("Run: %v after %v, want %v within seconds", err, time.Since(begun), full)
				}
				if len(f.work) > 1000 {
					t.Errorf("%d targets were begun, of which none could be kept", len(f.work))
				}
			})
		})
	}
}

func TestWhatJudgingNeedsIsFetchedAndJudgedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		u := new(urls)
		got, err := run(t, t.Context(), scan.Options{Evidence: u, Location: &fleet{answer: func(w inventory.Work) []inventory.Observation {
			return []inventory.Observation{served(w.Target, "192.0.2.1", "needs issuer")}
		}}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"http://aia.test/0", "http://aia.test/1"}, u.asked); diff != "" {
			t.Errorf("asked for (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]inventory.Code{inventory.CodeIncompleteChain}, codes(got["n00000.site0.com"])); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
}

// lists is evidence that takes ten seconds to find out that a host is dead, and
// then knows.
type lists struct {
	asked atomic.Bool
	known chan struct{} // closed when the timeout is over

	mu     sync.Mutex
	shared inventory.EvidenceSet
	gets   int
}

func (l *lists) Get(_ context.Context, n inventory.Need) inventory.Evidence {
	e := inventory.Evidence{Need: n, CRL: new(inventory.CRL), ErrorWord: "alive"}
	if strings.Contains(n.URL, "dead") {
		if l.asked.CompareAndSwap(false, true) {
			time.Sleep(10 * time.Second)
			close(l.known)
		}
		<-l.known
		e = inventory.Evidence{Need: n, ErrorWord: inventory.EvidenceTimeout}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gets++
	l.shared = maps.Clone(l.shared)
	if l.shared == nil {
		l.shared = make(inventory.EvidenceSet)
	}
	l.shared[n] = e
	return e
}

func (l *lists) Shared() inventory.EvidenceSet {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.shared
}

// A dead host holds up nothing but the verdicts that need it, and a scan by no
// more than one timeout, even if every certificate names it.
func TestADeadRevocationHost(t *testing.T) {
	t.Parallel()
	const n, inFlight = 10_000, 256 // of a second each: 32 s with the limiter's slow start
	for _, tt := range []struct {
		name  string
		every int // of how many targets one names the dead host
		most  time.Duration
	}{
		{"none", n + 1, 33 * time.Second},
		{"one in twenty", 20, 33 * time.Second},
		{"all", 1, 43 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				l := &lists{known: make(chan struct{})}
				start := time.Now()
				got, err := run(t, t.Context(), scan.Options{
					Evidence: l, Admission: scan.NewLimiter(scan.LimiterOptions{Max: inFlight}),
					Location: &fleet{answer: func(w inventory.Work) []inventory.Observation {
						text := "needs list alive"
						if asked.Add(1)%int64(tt.every) == 0 {
							text = "needs list dead"
						}
						return []inventory.Observation{served(w.Target, "192.0.2.1", text)}
					}},
				}, n)
				if err != nil {
					t.Fatal(err)
				}
				words := make(map[string]int)
				for _, r := range got {
					words[r.Endpoints[0].Judgement.Verdict.Revocation.Reason]++
				}
				if dead := n / tt.every; words[inventory.EvidenceTimeout] != dead || words["alive"] != n-dead {
					t.Errorf("verdicts %v, want %d of a dead host", words, dead)
				}
				if took := time.Since(start); took > tt.most {
					t.Errorf("took %v, want at most %v", took, tt.most)
				}
				if l.gets > n/2 {
					t.Errorf("asked %d times for what was had", l.gets)
				}
			})
		})
	}
}

func TestWhatIsRememberedIsJudgedToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		target := inventory.Target{Host: "n00000.site0.com", Port: 443, Protocol: inventory.TLS}
		good, other := [][]byte{[]byte("good")}, [][]byte{[]byte("other")}
		seen := time.Now().Add(-time.Hour)
		view := func(address string) inventory.View { return served(target, address).View() }
		mem := memory{
			staple: []byte("staple"),
			chains: map[inventory.Fingerprint][][]byte{inventory.ChainID(good): good, inventory.ChainID(other): other},
			known: map[string][]inventory.KnownView{target.Key(): {
				{View: view("192.0.2.1"), Chain: inventory.ChainID(good), LastChain: inventory.ChainID(good), LastSeen: seen, Reach: inventory.ReachOK},
				{View: view("192.0.2.2"), LastChain: inventory.ChainID(other), LastSeen: seen, Reach: inventory.ReachTimeout, Flaps: true},
				{View: view("192.0.2.3"), Chain: inventory.ChainID(good), LastChain: inventory.ChainID(good), LastSeen: seen, Reach: inventory.ReachOK},
			}},
		}
		loc := &fleet{answer: func(w inventory.Work) []inventory.Observation {
			dead := served(w.Target, "192.0.2.2")
			dead.Reach.Status = inventory.ReachTimeout
			return []inventory.Observation{served(w.Target, "192.0.2.1", "unknown issuer CN=New"), dead}
		}}
		got, err := run(t, t.Context(), scan.Options{Memory: mem, Location: loc}, 1)
		if err != nil {
			t.Fatal(err)
		}
		r := got[target.Host]
		if want := []inventory.Code{inventory.CodeUnknownIssuer, inventory.CodeChainBroken}; !slices.Equal(codes(r), want) {
			t.Errorf("findings %v, want %v: the chain verified before", codes(r), want)
		}
		if j := r.Endpoints[1].Judgement; j.Certificate == nil || !j.LastSeen.Equal(seen) {
			t.Errorf("the silent endpoint lost the certificate that it last served")
		} else if j.Verdict.Revocation.Detail != "staple" {
			t.Errorf("the silent endpoint lost what it last stapled: %+v", j.Verdict.Revocation)
		}
		if len(r.Carried) != 1 || r.Carried[0].Observation.Address != "192.0.2.3" || r.Judgement.Lifetime != 3 {
			t.Fatalf("carried %d views and judged the target over %d, want 1 and 3", len(r.Carried), r.Judgement.Lifetime)
		}
		if e := r.Carried[0]; !slices.EqualFunc(e.Observation.Chain, good, slices.Equal) || !e.Judgement.LastSeen.IsZero() {
			t.Errorf("a view that was not examined is judged as if it did not answer: %+v", e)
		}
		if loc.work[0].Samples < 2 {
			t.Errorf("a view that flaps got %d handshakes", loc.work[0].Samples)
		}
	})
}

// What nobody could look at, for the name did not resolve, is as it was: also what
// never answered.
func TestDeadViewsAreCarried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		target := inventory.Target{Host: "n00000.site0.com", Port: 443, Protocol: inventory.TLS}
		mem := memory{known: map[string][]inventory.KnownView{target.Key(): {
			{View: served(target, "192.0.2.1").View(), Reach: inventory.ReachRefused},
			{View: served(target, "").View(), Reach: inventory.ReachDNSServFail},
		}}}
		loc := &fleet{answer: func(w inventory.Work) []inventory.Observation {
			o := served(w.Target, "")
			o.Reach.Status = inventory.ReachDNSTimeout
			return []inventory.Observation{o}
		}}
		got, err := run(t, t.Context(), scan.Options{Memory: mem, Location: loc}, 1)
		if err != nil {
			t.Fatal(err)
		}
		r := got[target.Host]
		if len(r.Carried) != 1 || r.Carried[0].Observation.Reach.Status != inventory.ReachRefused || wordsOf(r.Carried[0].Judgement.Findings) != "unreachable" {
			t.Errorf("carried %+v, want the address that was dead before", r.Carried)
		}
	})
}

// That a server refuses to show a certificate of one kind means something only
// where it did show one.
func TestARefusedOfferIsAViewOnlyIfItWasOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		target := inventory.Target{Host: "n00000.site0.com", Port: 443, Protocol: inventory.TLS}
		rsa := served(target, "192.0.2.1").View()
		rsa.Offer = inventory.OfferRSA
		before := [][]byte{[]byte("rsa")}
		loc := &fleet{answer: func(w inventory.Work) []inventory.Observation {
			refused := served(w.Target, "192.0.2.1")
			refused.Offer, refused.Reach.Status = inventory.OfferRSA, inventory.ReachTLSAlert
			return append(healthy(w), refused)
		}}
		for _, known := range []bool{false, true} {
			mem := memory{chains: map[inventory.Fingerprint][][]byte{inventory.ChainID(before): before}}
			if known {
				mem.known = map[string][]inventory.KnownView{target.Key(): {{View: rsa, LastChain: inventory.ChainID(before)}}}
			}
			got, err := run(t, t.Context(), scan.Options{Memory: mem, Location: loc, Work: func(t inventory.Target) inventory.Work {
				return inventory.Work{Target: t, Offers: []inventory.Offer{inventory.OfferDefault, inventory.OfferRSA}}
			}}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if n := len(got[target.Host].Endpoints); (n == 2) != known {
				t.Errorf("%d endpoints where an RSA certificate was known: %v", n, known)
			}
		}
	})
}

// A renewal is seen by the default offer first. What the others were answered
// before it is not compared with it.
func TestOtherOffersAreComparedWithTheirOwnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		target := inventory.Target{Host: "n00000.site0.com", Port: 443, Protocol: inventory.TLS}
		old, renewed := [][]byte{[]byte("old")}, [][]byte{[]byte("renewed")}
		before := inventory.ChainID(old)
		plain := served(target, "192.0.2.1").View()
		bare := plain
		bare.Offer = inventory.OfferNoSNI
		for _, tt := range []struct {
			name    string
			answers func(plain, bare *inventory.Observation) []inventory.Observation
			last    inventory.Fingerprint // of the default offer
			want    [][]byte              // what the answer without a server name is compared with
			changed bool
		}{
			{"nothing changed", func(plain, _ *inventory.Observation) []inventory.Observation {
				plain.Chain = old
				return []inventory.Observation{*plain}
			}, before, old, false},
			{"it was renewed", func(plain, _ *inventory.Observation) []inventory.Observation { return []inventory.Observation{*plain} }, before, old, true},
			{"both were asked", func(plain, bare *inventory.Observation) []inventory.Observation {
				return []inventory.Observation{*plain, *bare}
			}, before, renewed, true},
			{"a pool has the old one too", func(plain, _ *inventory.Observation) []inventory.Observation {
				plain.Alternates = [][][]byte{old}
				return []inventory.Observation{*plain}
			}, before, old, false},
			{"it does not answer", func(plain, _ *inventory.Observation) []inventory.Observation {
				plain.Chain, plain.Reach.Status = nil, inventory.ReachTimeout
				return []inventory.Observation{*plain}
			}, before, old, false},
			{"it never answered before", func(plain, _ *inventory.Observation) []inventory.Observation { return []inventory.Observation{*plain} }, inventory.Fingerprint{}, old, false},
		} {
			mem := memory{
				chains: map[inventory.Fingerprint][][]byte{before: old},
				known: map[string][]inventory.KnownView{target.Key(): {
					{View: plain, Chain: tt.last, LastChain: tt.last, Reach: inventory.ReachOK},
					{View: bare, Chain: before, LastChain: before, Reach: inventory.ReachOK},
				}},
				beside: old,
			}
			loc := &fleet{answer: func(w inventory.Work) []inventory.Observation {
				plain, bare := served(w.Target, "192.0.2.1"), served(w.Target, "192.0.2.1")
				plain.Chain, bare.Chain, bare.Offer = renewed, renewed, inventory.OfferNoSNI
				return tt.answers(&plain, &bare)
			}}
			var compared [][]byte
			got, err := run(t, t.Context(), scan.Options{Memory: mem, Location: loc, Judge: noting{func(f inventory.Facts) {
				if f.Observation.Offer == inventory.OfferNoSNI {
					compared = f.DefaultChain
				}
			}}}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(compared, tt.want, slices.Equal) {
				t.Errorf("%s: compared with %q, want %q", tt.name, compared, tt.want)
			}
			if r := got[target.Host]; r.Changed != tt.changed {
				t.Errorf("%s: changed %v, want %v", tt.name, r.Changed, tt.changed)
			} else if id, ok := r.Replaced["192.0.2.1"]; ok != tt.changed || ok && id != tt.last {
				t.Errorf("%s: it replaced %s, want %s", tt.name, id, tt.last)
			}
		}
	})
}

// What servers accept is asked of those that answer: one that does not owes no
// answer, and the others are not asked for it each time.
func TestWhatServersAcceptIsNotAskedForTheDead(t *testing.T) {
	t.Parallel()
	chain := inventory.ChainID([][]byte{[]byte("leaf")})
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	asked := func(days int) *inventory.Accepted { return &inventory.Accepted{At: at.AddDate(0, 0, days)} }
	for _, tt := range []struct {
		name  string
		views []inventory.KnownView
		want  time.Time
	}{
		{"nothing is known", nil, time.Time{}},
		{"all were asked", []inventory.KnownView{{Chain: chain, LastChain: chain, Accepted: asked(2)}, {Chain: chain, LastChain: chain, Accepted: asked(1)}}, at.AddDate(0, 0, 1)},
		{"one answers and never was", []inventory.KnownView{{Chain: chain, LastChain: chain, Accepted: asked(2)}, {Chain: chain, LastChain: chain}}, time.Time{}},
		{"one never answered", []inventory.KnownView{{Chain: chain, LastChain: chain, Accepted: asked(2)}, {}}, at.AddDate(0, 0, 2)},
		{"one does not answer any more", []inventory.KnownView{{Chain: chain, LastChain: chain, Accepted: asked(2)}, {LastChain: chain}}, at.AddDate(0, 0, 2)},
		{"one does not answer any more, and was asked long ago", []inventory.KnownView{{Chain: chain, LastChain: chain, Accepted: asked(2)}, {LastChain: chain, Accepted: asked(1)}}, at.AddDate(0, 0, 2)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				target := inventory.Target{Host: "n00000.site0.com", Port: 443, Protocol: inventory.TLS}
				mem := memory{chains: map[inventory.Fingerprint][][]byte{chain: {[]byte("leaf")}}, known: make(map[string][]inventory.KnownView)}
				for i, k := range tt.views {
					k.View = served(target, fmt.Sprintf("192.0.2.%d", i)).View()
					mem.known[target.Key()] = append(mem.known[target.Key()], k)
				}
				var last []time.Time
				_, err := run(t, t.Context(), scan.Options{Memory: mem, Location: &fleet{answer: healthy}, Accepts: func(_ inventory.Target, at time.Time) bool {
					last = append(last, at)
					return false
				}}, 1)
				if err != nil || len(last) != 1 || !last[0].Equal(tt.want) {
					t.Errorf("Run: %v; last asked at %v, want %v", err, last, tt.want)
				}
			})
		})
	}
}

// noting judges as [literal] does, and tells what it is given.
type noting struct{ note func(inventory.Facts) }

func (n noting) Judge(f inventory.Facts, ev inventory.EvidenceSet, now time.Time) (inventory.Judgement, []inventory.Need) {
	n.note(f)
	return literal{}.Judge(f, ev, now)
}

func (noting) JudgeTarget(t inventory.Target, views []inventory.Endpoint, now time.Time) inventory.TargetJudgement {
	return literal{}.JudgeTarget(t, views, now)
}

func TestOwnFaultsAreToldOnce(t *testing.T) {
	t.Parallel()
	status := func(s inventory.ReachStatus) func(w inventory.Work) []inventory.Observation {
		return func(w inventory.Work) []inventory.Observation {
			o := served(w.Target, "192.0.2."+w.Target.Host[3:6])
			o.Reach.Status = s
			if s.IsDNS() {
				o.Address, o.Resolution = "", &inventory.Resolution{Status: s}
			}
			return []inventory.Observation{o}
		}
	}
	for _, tt := range []struct {
		name     string
		n        int
		answer   func(w inventory.Work) []inventory.Observation
		want     string // the fault, or none
		missed   int
		findings bool // stay
	}{
		{"no resolver answers", 237, status(inventory.ReachDNSTimeout), inventory.FaultNoResolver, 237, false},
		{"two names that time out are two findings", 2, status(inventory.ReachDNSTimeout), "", 0, true},
		{"every connection fails", 237, status(inventory.ReachTimeout), inventory.FaultNoNetwork, 237, false},
		{"a refusal shows that the network works", 50, status(inventory.ReachRefused), "", 0, true},
		{"three dead servers are three findings", 3, status(inventory.ReachTimeout), "", 0, true},
		{"no route for a family", 50, status(inventory.ReachNoRoute), inventory.FaultNoRoute, 50, false},
		{"a proxy replaces every certificate", 100, func(w inventory.Work) []inventory.Observation {
			return []inventory.Observation{served(w.Target, "192.0.2.1", "unknown issuer CN=Proxy")}
		}, inventory.FaultInterception, 100, false},
		{"each has its own unknown issuer", 100, func(w inventory.Work) []inventory.Observation {
			return []inventory.Observation{served(w.Target, "192.0.2.1", "unknown issuer CN="+w.Target.Host)}
		}, "", 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				own := scan.NewOwnSide()
				got, err := run(t, t.Context(), scan.Options{Location: &fleet{answer: tt.answer}, OwnSide: own}, tt.n)
				if err != nil {
					t.Fatal(err)
				}
				findings := 0
				for _, r := range got {
					findings += len(codes(r))
				}
				if (findings > 0) != tt.findings && tt.want != inventory.FaultNoRoute {
					t.Errorf("%d findings in %d results", findings, len(got))
				}
				var told []string
				for _, f := range own.Faults() {
					told = append(told, f.Code)
					if f.Count != tt.n {
						t.Errorf("fault %s counts %d, want %d", f.Code, f.Count, tt.n)
					}
				}
				if strings.Join(told, " ") != tt.want || own.NotExamined() != tt.missed || len(got) != tt.n {
					t.Errorf("told %q, %d not examined of %d; want %q, %d of %d", told, own.NotExamined(), len(got), tt.want, tt.missed, tt.n)
				}
			})
		})
	}
}
