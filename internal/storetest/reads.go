package storetest

import (
	"errors"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
)

func finding(code inventory.Code, v inventory.View) inventory.Finding {
	return inventory.Finding{
		Code: code, Subject: inventory.Subject{Kind: inventory.SubjectView, ID: v.ID()},
		Severity: code.DefaultSeverity(), Message: string(code),
	}
}

// expiring returns an endpoint of t with a finding about expiry.
func expiring(t inventory.Target, addr string, at time.Time, tier inventory.Tier, s inventory.Severity) inventory.Endpoint {
	e := Seen(t, addr, at, Chain("a"))
	fi := finding(inventory.CodeExpiring, e.Observation.View())
	fi.Severity, fi.Message = s, "expires in "+string(tier)
	e.Judgement.Findings, e.Judgement.Tier = []inventory.Finding{fi}, tier
	return e
}

func findings(f *fixture) {
	t := Target("shop.example")
	r := f.record(t, expiring(t, address, hour(0), "30d", inventory.Info))
	if got := r.Endpoints[0].Judgement.Findings[0].Since; !got.Equal(hour(0)) {
		f.Errorf("since = %v, want now", got)
	}
	f.record(t, expiring(t, address, hour(1), "30d", inventory.Info))
	r = f.record(t, expiring(t, address, hour(2), "14d", inventory.Warning))
	if got := r.Endpoints[0].Judgement.Findings[0].Since; !got.Equal(hour(0)) {
		f.Errorf("since = %v, want when it opened, %v", got, hour(0))
	}
	open := all(f, f.OpenFindings(f.Context()))
	want := []inventory.FindingStep{{Until: hour(2), Severity: inventory.Info, Tier: "30d"}}
	if len(open) != 1 || open[0].Finding.Severity != inventory.Warning || open[0].Tier != "14d" || !cmp.Equal(open[0].Steps, want) || open[0].Target != t.Key() {
		f.Errorf("open = %+v, want one in the 14-day tier that was in the 30-day tier", open)
	}
	f.record(t, Seen(t, address, hour(3), Chain("b")))
	if open := all(f, f.OpenFindings(f.Context())); len(open) != 0 {
		f.Errorf("open = %+v, want none", open)
	}
	f.record(t, expiring(t, address, hour(5), "7d", inventory.Critical))
	ever := all(f, f.Findings(f.Context(), time.Time{}, time.Time{}))
	if len(ever) != 2 || !ever[0].Closed.Equal(hour(3)) || ever[0].Reason != "gone" || !ever[1].Closed.IsZero() {
		f.Errorf("all = %+v, want a closed one and an open one", ever)
	}
	for at, want := range map[int]int{1: 1, 3: 0, 4: 0, 5: 1} {
		if got := all(f, f.Findings(f.Context(), hour(at), hour(at))); len(got) != want {
			f.Errorf("%d findings at %d, want %d", len(got), at, want)
		}
	}
}

func unjudged(f *fixture) {
	t := Target("shop.example")
	a, b := "192.0.2.1", "192.0.2.2"
	ofTarget := finding(inventory.CodeAddressesDisagree, inventory.View{})
	ofTarget.Subject = inventory.Subject{Kind: inventory.SubjectTarget, ID: t.Key()}
	both := []string{a, b}
	r := inventory.Result{Target: t, Endpoints: Resolved(both, expiring(t, a, hour(0), "7d", inventory.Critical), expiring(t, b, hour(0), "7d", inventory.Critical))}
	r.Judgement.Findings = []inventory.Finding{ofTarget}
	f.recordAll(r)
	if got := len(all(f, f.OpenFindings(f.Context()))); got != 3 {
		f.Fatalf("%d open, want 3", got)
	}
	f.record(t, Resolved([]string{a}, Seen(t, a, hour(1), Chain("a")))...)
	if open := all(f, f.OpenFindings(f.Context())); len(open) != 1 || !strings.HasPrefix(open[0].Finding.Subject.ID, b) {
		f.Errorf("open = %+v, want that of the view that nobody looked at", open)
	}
	carried := inventory.Result{
		Target: t, Endpoints: Resolved([]string{a}, Seen(t, a, hour(2), Chain("a"))),
		Carried: []inventory.Endpoint{expiring(t, b, hour(0), "3d", inventory.Critical)},
	}
	results := []inventory.Result{carried}
	f.recordAll(results...)
	if got := results[0].Carried[0].Judgement.Findings[0].Since; !got.Equal(hour(0)) {
		f.Errorf("since of a carried finding = %v", got)
	}
	carried.Endpoints = Resolved([]string{a}, Seen(t, a, hour(3), Chain("a")))
	f.recordAll(carried) // the third time without b
	closed := all(f, f.Findings(f.Context(), hour(2), time.Time{}))
	if len(closed) != 1 || closed[0].Reason != "address gone" || !closed[0].Closed.Equal(hour(3)) {
		f.Errorf("findings since 2 = %+v, want one closed as address gone", closed)
	}
}

func fleetFindings(f *fixture) {
	reused := func(name string) inventory.Finding {
		return inventory.Finding{
			Code: inventory.CodeKeyReused, Severity: inventory.Warning, Message: "shares its key",
			Subject: inventory.Subject{Kind: inventory.SubjectCertificate, ID: inventory.FingerprintOf(Chain(name)[0]).String()},
		}
	}
	put := func(findings ...inventory.Finding) {
		f.Helper()
		if err := f.RecordFleet(f.Context(), findings); err != nil {
			f.Fatal(err)
		}
	}
	a, b := Target("a.example"), Target("b.example")
	begin(f, "one", hour(0))
	f.recordAll(
		inventory.Result{Target: a, Endpoints: []inventory.Endpoint{Seen(a, address, hour(0), Chain("a"))}},
		inventory.Result{Target: b, Endpoints: []inventory.Endpoint{Seen(b, address, hour(0), Chain("b"))}},
	)
	put(reused("a"), reused("b"))
	begin(f, "two", hour(1))
	f.record(a, Seen(a, address, hour(1), Chain("a")))
	again := []inventory.Finding{reused("a")}
	put(again...)
	if !again[0].Since.Equal(hour(0)) {
		f.Errorf("since = %v, want %v", again[0].Since, hour(0))
	}
	if got := len(all(f, f.OpenFindings(f.Context()))); got != 2 {
		f.Errorf("%d open, want 2: the second scan did not look at b", got)
	}
	begin(f, "three", hour(2))
	f.record(b, Seen(b, address, hour(2), Chain("c")))
	put()
	if open := all(f, f.OpenFindings(f.Context())); len(open) != 1 || open[0].Finding.Subject != reused("a").Subject {
		f.Errorf("open = %+v, want that of a: b is served nowhere", open)
	}
}

// fleetNow: where no scan runs, as in the daemon, what is found has nothing to
// do with when the last probe was.
func fleetNow(f *fixture) {
	t := Target("shop.example")
	shrunk := func() []inventory.Finding {
		return []inventory.Finding{{
			Code: inventory.CodeSourceShrunk, Severity: inventory.Warning,
			Subject: inventory.Subject{Kind: inventory.SubjectSource, ID: "file:domains.txt"},
		}}
	}
	check := func(when string) {
		f.Helper()
		found := shrunk()
		if err := f.RecordFleet(f.Context(), found); err != nil {
			f.Fatal(err)
		}
		if !found[0].Since.Equal(Now()) {
			f.Errorf("%s: open since %v, want now, %v", when, found[0].Since, Now())
		}
		if err := f.RecordFleet(f.Context(), nil); err != nil {
			f.Fatal(err)
		}
		if got := all(f, f.Findings(f.Context(), time.Time{}, time.Time{})); !got[len(got)-1].Closed.Equal(Now()) {
			f.Errorf("%s: closed at %v, want now, %v", when, got[len(got)-1].Closed, Now())
		}
	}
	f.record(t, Seen(t, address, hour(0), Chain("a")))
	check("hours after the last probe")
	f.record(t, Seen(t, address, Now().Add(24*time.Hour), Chain("a")))
	check("after a probe by a clock that was ahead")
	begin(f, "one", hour(1))
	f.record(t, Seen(t, address, hour(1), Chain("a")))
	if err := f.EndScan(f.Context(), "one", hour(2), false); err != nil {
		f.Fatal(err)
	}
	check("after a scan")
}

func begin(f *fixture, id string, at time.Time) {
	f.Helper()
	info := inventory.ScanInfo{
		ID: id, Version: "v1", Arguments: []string{"-f", "domains.txt"}, Started: at, Partial: true,
		Stores:   []inventory.StoreInfo{{Name: "mozilla", Date: "2026-10-30"}},
		Distrust: []inventory.DistrustInfo{{Name: "/etc/distrust.yaml", Date: "2026-10-30", Entries: 2}},
		LogList:  &inventory.LogListInfo{Name: "/etc/logs.json", Version: "93.1", Date: "2026-11-20", Logs: 60},

		Revocation: &inventory.RevocationInfo{Mode: inventory.RevocationHard, OneCRL: "/etc/onecrl.json", Entries: 1500},
	}
	if err := f.BeginScan(f.Context(), info); err != nil {
		f.Fatal(err)
	}
}

func past(f *fixture) {
	t := Target("shop.example")
	f.record(t, Seen(t, address, hour(0), Chain("a")))
	f.record(t, Seen(t, address, hour(10), Chain("b")))
	f.record(t, Failed(t, address, hour(20), inventory.ReachTimeout))
	if _, err := f.Forget(f.Context(), t.Key()); err != nil {
		f.Fatal(err)
	}
	for _, tt := range []struct {
		at                         time.Time
		targets                    int
		chain, lastChain, previous [][]byte
	}{
		{at: hour(-1)},
		{at: hour(0), targets: 1, chain: Chain("a")},
		{at: hour(9), targets: 1, chain: Chain("a")},
		{at: hour(10), targets: 1, chain: Chain("b"), previous: Chain("a")},
		{at: hour(25), targets: 1, lastChain: Chain("b"), previous: Chain("a")},
		{at: Now().Add(time.Hour)},
	} {
		got := all(f, f.Targets(f.Context(), tt.at))
		if len(got) != tt.targets {
			f.Errorf("at %v: %d targets, want %d", tt.at, len(got), tt.targets)
			continue
		}
		if tt.targets == 0 {
			continue
		}
		v := got[0].Views[0].Facts
		if !cmp.Equal(v.Observation.Chain, tt.chain) || !cmp.Equal(v.LastChain, tt.lastChain) || !cmp.Equal(v.PreviousChain, tt.previous) {
			f.Errorf("at %v: chain %d, last %d, previous %d certificates; want %d, %d, %d", tt.at,
				len(v.Observation.Chain), len(v.LastChain), len(v.PreviousChain), len(tt.chain), len(tt.lastChain), len(tt.previous))
		}
	}
}

// At the time of the latest examination, and later, all that it left is known.
// Before, it is said that it is not.
func pastAndLatest(f *fixture) {
	t := Target("shop.example")
	for n := range 3 {
		e := Seen(t, address, hour(n), Chain("a"))
		e.Observation.Staple = []byte("staple")
		e.Observation.Capture = &inventory.Capture{Method: inventory.CaptureHandshake, HandshakeComplete: true}
		f.record(t, e)
	}
	want := f.target(t).Views[0]
	for _, tt := range []struct {
		at   time.Time
		past bool
	}{{hour(1), true}, {hour(2), false}, {hour(9), false}} {
		got := all(f, f.Targets(f.Context(), tt.at))[0].Views[0]
		if got.Facts.Past != tt.past || got.Facts.Past != (got.Facts.Observation.Staple == nil) {
			f.Errorf("at %v: past %v, staple %q", tt.at, got.Facts.Past, got.Facts.Observation.Staple)
		}
		if diff := cmp.Diff(want, got); !tt.past && diff != "" {
			f.Errorf("at %v it is not what it is now (-now +then):\n%s", tt.at, diff)
		}
	}
}

func changes(f *fixture) {
	kinds := map[string]inventory.ChangeKind{
		"new.example": inventory.ChangeAppeared, "renewed.example": inventory.ChangeCertificate, "short.example": inventory.ChangeChain,
		"down.example": inventory.ChangeUnreachable, "up.example": inventory.ChangeReachable, "old.example": inventory.ChangeConnection,
		"gone.example": inventory.ChangeVanished, "same.example": "", "back.example": "",
	}
	for name := range kinds {
		t := Target(name)
		switch name {
		case "new.example":
		case "up.example":
			f.record(t, Failed(t, address, hour(0), inventory.ReachRefused))
		default:
			f.record(t, Seen(t, address, hour(0), Chain(name)))
		}
	}
	for name := range kinds {
		t := Target(name)
		e := Seen(t, address, hour(10), Chain(name))
		switch name {
		case "renewed.example":
			e = Seen(t, address, hour(10), Chain("renewed"))
		case "short.example":
			e = Seen(t, address, hour(10), Chain(name)[:1])
		case "down.example":
			e = Failed(t, address, hour(10), inventory.ReachRefused)
		case "old.example":
			e.Observation.TLS.Version = "TLS 1.2"
		case "back.example":
			f.record(t, Seen(t, address, hour(8), Chain("other")))
		case "gone.example":
			for n := range 3 {
				f.record(t, Seen(t, "192.0.2.99", hour(2+n), Chain(name)))
			}
			continue
		}
		f.record(t, e)
	}
	got := make(map[string]inventory.ChangeKind)
	for _, c := range all(f, f.Changes(f.Context(), hour(1), hour(11))) {
		if c.View.Address != address {
			continue // where gone.example went
		}
		got[strings.TrimSuffix(c.View.Target, ":443")] = c.Kind
		if (c.Before == nil) != (c.Kind == inventory.ChangeAppeared) || (c.After == nil) != (c.Kind == inventory.ChangeVanished) {
			f.Errorf("%s: before %v, after %v", c.View.Target, c.Before, c.After)
		}
		if c.Kind == inventory.ChangeCertificate && (!c.At.Equal(hour(10)) || c.Before.Chain[0] == c.After.Chain[0]) {
			f.Errorf("renewed at %v, want %v with both chains", c.At, hour(10))
		}
	}
	for name, kind := range kinds {
		if got[name] != kind {
			f.Errorf("%s: %q, want %q", name, got[name], kind)
		}
	}
	if got := all(f, f.Changes(f.Context(), hour(11), hour(12))); len(got) != 0 {
		f.Errorf("changes after the last one: %+v", got)
	}
}

func where(f *fixture) {
	a, b, c := Target("a.example"), Target("b.example"), Target("c.example")
	wild := Seen(b, address, hour(0), Chain("b"))
	wild.Judgement.Certificate.Names = []string{"*.b.example", "192.0.2.7"}
	f.record(a, Seen(a, address, hour(0), Chain("a")))
	f.record(b, wild)
	f.record(c, Seen(c, address, hour(0), Chain("c")))
	f.record(c, Failed(c, address, hour(1), inventory.ReachTimeout))
	leaf, issuer := inventory.FingerprintOf(Chain("a")[0]), inventory.FingerprintOf(Chain("a")[1])
	for _, tt := range []struct {
		name  string
		query inventory.Query
		want  string
	}{
		{"the leaf", inventory.Query{Digest: leaf.String()}, "a.example"},
		{"the beginning of its hash", inventory.Query{Digest: leaf.String()[:9]}, "a.example"},
		{"its key", inventory.Query{Digest: Certificate(Chain("a")[0]).SPKI.String()}, "a.example"},
		{"an intermediate, also where it was served last", inventory.Query{Digest: issuer.String()}, "a.example b.example c.example"},
		{"a name", inventory.Query{Name: "a.example"}, "a.example"},
		{"a name under a wildcard", inventory.Query{Name: "www.b.example"}, "b.example"},
		{"a name two labels under a wildcard", inventory.Query{Name: "x.www.b.example"}, ""},
		{"the wildcard itself", inventory.Query{Name: "*.b.example"}, "b.example"},
		{"all below a name, with an asterisk", inventory.Query{Name: "*.example"}, "a.example b.example c.example"},
		{"an address", inventory.Query{Name: "192.0.2.7"}, "b.example"},
		{"all below a name", inventory.Query{Name: ".example"}, "a.example b.example c.example"},
		{"not those that only end alike", inventory.Query{Name: ".xample"}, ""},
		{"nothing", inventory.Query{Digest: strings.Repeat("0", 64)}, ""},
	} {
		got, err := f.Where(f.Context(), tt.query)
		if err != nil {
			f.Errorf("%s: %v", tt.name, err)
		}
		var names []string
		for _, s := range got {
			names = append(names, strings.TrimSuffix(s.View.Target, ":443"))
			if s.LastKnown != (s.View.Target == c.Key()) {
				f.Errorf("%s: %s: last known = %v", tt.name, s.View.Target, s.LastKnown)
			}
		}
		if strings.Join(names, " ") != tt.want {
			f.Errorf("%s: %v, want %q", tt.name, names, tt.want)
		}
	}
	asked := 0
	all, err := f.ChainsTo(f.Context(), func(chain [][]byte) (inventory.Fingerprint, bool, error) {
		asked++
		return inventory.FingerprintOf(chain[1]), true, nil
	})
	if err != nil || len(all) != 3 || asked != 1 {
		f.Errorf("ChainsTo = %d views after %d questions, %v, want 3 after one: all chains have the same issuer", len(all), asked, err)
	}
	for _, s := range all {
		if s.Via != issuer || s.Position != 0 || s.Labels["owner"] != "web" || s.LastKnown != (s.View.Target == c.Key()) {
			f.Errorf("ChainsTo: %+v, want the leaf, the issuer that it was asked for, and whose it is", s)
		}
	}
	none, err := f.ChainsTo(f.Context(), func([][]byte) (inventory.Fingerprint, bool, error) { return issuer, false, nil })
	if err != nil || len(none) != 0 {
		f.Errorf("ChainsTo = %d views, %v, want none", len(none), err)
	}
	if _, err := f.Where(f.Context(), inventory.Query{Digest: "abc"}); err == nil {
		f.Error("three digits: no error")
	}
}

func certificates(f *fixture) {
	t := Target("shop.example")
	f.record(t, Seen(t, address, hour(0), Chain("a")))
	f.record(t, Seen(t, address, hour(1), Chain("a")))
	id := inventory.FingerprintOf(Chain("a")[0]).String()
	for _, digits := range []string{id, id[:8], id[:9], strings.ToUpper(id[:12])} {
		der, first, err := f.Certificate(f.Context(), digits)
		if err != nil || !cmp.Equal(der, Chain("a")[0]) || !first.Equal(hour(0)) {
			f.Errorf("Certificate(%s) = %d bytes, %v, %v", digits, len(der), first, err)
		}
	}
	if _, _, err := f.Certificate(f.Context(), strings.Repeat("0", 64)); !errors.Is(err, inventory.ErrUnknownCertificate) {
		f.Errorf("unknown: %v", err)
	}
	for _, digits := range []string{"", id[:7], id + "00", "not hexadecimal"} {
		if _, _, err := f.Certificate(f.Context(), digits); err == nil || errors.Is(err, inventory.ErrUnknownCertificate) {
			f.Errorf("Certificate(%q): %v, want an error about the digits", digits, err)
		}
	}
}

func scans(f *fixture) {
	if _, _, err := f.Resumable(f.Context()); !errors.Is(err, inventory.ErrNothingToResume) {
		f.Errorf("Resumable of an empty store: %v", err)
	}
	t, u := Target("shop.example"), Target("mail.example")
	end := func(id string, at time.Time, partial bool) {
		f.Helper()
		if err := f.EndScan(f.Context(), id, at, partial); err != nil {
			f.Fatal(err)
		}
	}
	begin(f, "first", hour(0))
	if err := f.Record(f.Context(), "first", []inventory.Result{{Target: t, Endpoints: []inventory.Endpoint{Seen(t, address, hour(0), Chain("a"))}}}); err != nil {
		f.Fatal(err)
	}
	begin(f, "second", hour(1)) // first was killed
	end("second", hour(2), false)
	info, done, err := f.Resumable(f.Context())
	if err != nil || info.ID != "first" || !done(t.Key()) || done(u.Key()) {
		f.Fatalf("Resumable = %+v, %v, want first with one target done", info, err)
	}
	want := inventory.ScanInfo{
		ID: "second", Version: "v1", Arguments: []string{"-f", "domains.txt"}, Started: hour(1), Ended: hour(2),
		Stores:   []inventory.StoreInfo{{Name: "mozilla", Date: "2026-10-30"}},
		Distrust: []inventory.DistrustInfo{{Name: "/etc/distrust.yaml", Date: "2026-10-30", Entries: 2}},
		LogList:  &inventory.LogListInfo{Name: "/etc/logs.json", Version: "93.1", Date: "2026-11-20", Logs: 60},

		Revocation: &inventory.RevocationInfo{Mode: inventory.RevocationHard, OneCRL: "/etc/onecrl.json", Entries: 1500},
	}
	for _, id := range []string{"second", "sec", "last"} {
		got, err := f.Scan(f.Context(), id)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			f.Errorf("Scan(%s): %v (-want +got):\n%s", id, err, diff)
		}
	}
	if got, err := f.Scan(f.Context(), "first"); err != nil || got.Ended.IsZero() || !got.Partial {
		f.Errorf("killed scan = %+v, %v, want an end and partial", got, err)
	}
	begin(f, "first", hour(0))
	end("first", hour(3), false)
	if _, _, err := f.Resumable(f.Context()); !errors.Is(err, inventory.ErrNothingToResume) {
		f.Errorf("Resumable after all is done: %v", err)
	}
	for _, id := range []string{"nobody", ""} {
		if _, err := f.Scan(f.Context(), id); !errors.Is(err, inventory.ErrUnknownScan) {
			f.Errorf("Scan(%q): %v", id, err)
		}
	}
	if err := f.EndScan(f.Context(), "nobody", hour(3), false); !errors.Is(err, inventory.ErrUnknownScan) {
		f.Errorf("EndScan(nobody): %v", err)
	}
	if got, err := f.Scans(f.Context()); err != nil || len(got) != 2 || got[0].ID != "second" {
		f.Errorf("Scans = %+v, %v", got, err)
	}
}

func lastFailed(f *fixture) {
	up, down, half, alert := Target("up.example"), Target("down.example"), Target("half.example"), Target("alert.example")
	f.record(up, Failed(up, address, hour(0), inventory.ReachTimeout))
	f.record(up, Seen(up, address, hour(1), Chain("a")))
	f.record(down, Failed(down, address, hour(0), inventory.ReachTimeout))
	f.record(half, Seen(half, address, hour(0), Chain("a")), Failed(half, "192.0.2.8", hour(0), inventory.ReachRefused))
	f.record(alert, Failed(alert, address, hour(0), inventory.ReachTLSAlert))
	got, err := f.LastFailed(f.Context())
	if err != nil || !cmp.Equal(got, map[string]bool{down.Key(): true}) {
		f.Errorf("LastFailed = %v, %v, want %s alone", got, err, down)
	}
}
