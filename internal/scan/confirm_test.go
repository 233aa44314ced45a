package scan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
)

// judged is r with findings on its only view.
func judged(r inventory.Result, codes ...inventory.Code) inventory.Result {
	e := &r.Endpoints[0]
	for _, c := range codes {
		e.Judgement.Findings = append(e.Judgement.Findings, inventory.Finding{
			Code: c, Severity: c.DefaultSeverity(), Message: string(c), Subject: inventory.Subject{Kind: inventory.SubjectView, ID: e.Observation.View().ID()},
		})
	}
	return r
}

func wordsOf(findings []inventory.Finding) string {
	var words []string
	for _, f := range findings {
		words = append(words, string(f.Code))
	}
	return strings.Join(words, " ")
}

// A step is one result given to a Confirm, and what is to become of it.
type step struct {
	how    string // "examined", "rejudged", "failed" (examined without an answer) or "late" (examined, and time went on since it was judged)
	found  []inventory.Code
	after  time.Duration // since the step before
	told   string        // codes that are left
	opened string
	closed string
	again  bool
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	const (
		mismatch = inventory.CodeNameMismatch
		dead     = inventory.CodeUnreachable
		expired  = inventory.CodeExpired
		info     = inventory.CodeExtraCertificates
	)
	is := func(c ...inventory.Code) []inventory.Code { return c }
	var comesAndGoes []step
	for range 2 {
		comesAndGoes = append(comesAndGoes,
			step{how: "examined", found: is(mismatch), again: true},
			step{how: "examined", found: is(mismatch), after: time.Minute, told: "name_mismatch", opened: "name_mismatch"},
			step{how: "examined", after: time.Hour, closed: "name_mismatch"})
	}
	comesAndGoes = append(comesAndGoes,
		step{how: "examined", found: is(mismatch), again: true},
		step{how: "examined", found: is(mismatch), after: time.Minute, told: "name_mismatch", opened: "name_mismatch"},
		step{how: "examined", after: time.Hour, told: "name_mismatch"},
		step{how: "rejudged", after: time.Hour, told: "name_mismatch"},
		step{how: "examined", found: is(mismatch), after: time.Hour, told: "name_mismatch"},
		step{how: "examined", after: time.Hour, told: "name_mismatch"},
		step{how: "examined", after: 3 * time.Hour, told: "name_mismatch"},
		step{how: "examined", after: time.Hour, closed: "name_mismatch"},
		step{how: "examined", found: is(mismatch), after: time.Hour, again: true})
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"a failure to connect is told after three in a row", []step{
			{how: "examined"},
			{how: "failed", found: is(dead), again: true},
			{how: "failed", found: is(dead), again: true},
			{how: "failed", found: is(dead), told: "unreachable", opened: "unreachable"},
			{how: "failed", found: is(dead), told: "unreachable"},
			{how: "examined", closed: "unreachable"},
		}},
		{"an answer in between begins the count anew", []step{
			{how: "failed", found: is(dead), again: true},
			{how: "failed", found: is(dead), again: true},
			{how: "examined"},
			{how: "failed", found: is(dead), again: true},
			{how: "failed", found: is(dead), again: true},
			{how: "failed", found: is(dead), told: "unreachable", opened: "unreachable"},
		}},
		{"whatever else is wrong is told after one confirmation", []step{
			{how: "examined", found: is(mismatch), again: true},
			{how: "examined", found: is(mismatch), told: "name_mismatch", opened: "name_mismatch"},
			{how: "examined", closed: "name_mismatch"},
		}},
		{"what was seen once is not told", []step{
			{how: "examined", found: is(mismatch), again: true},
			{how: "examined"},
			{how: "examined", found: is(mismatch), again: true},
		}},
		{"information is told at once", []step{{how: "examined", found: is(info), told: "extra_certificates", opened: "extra_certificates"}}},
		{"time opens findings without an examination", []step{
			{how: "examined"},
			{how: "rejudged", found: is(expired), told: "expired", opened: "expired"},
			{how: "rejudged", closed: "expired"},
		}},
		{"what was judged before time opened a finding does not close it", []step{
			{how: "examined"},
			{how: "rejudged", found: is(expired), told: "expired", opened: "expired"},
			{how: "late", told: "expired"},
			{how: "examined", found: is(expired), told: "expired"},
			{how: "examined", closed: "expired"},
		}},
		{"judging again is no confirmation", []step{
			{how: "examined", found: is(mismatch), again: true},
			{how: "rejudged", found: is(mismatch), again: true},
			{how: "failed", found: is(dead), again: true},
			{how: "rejudged", found: is(dead), again: true},
			{how: "rejudged", found: is(dead), again: true},
			{how: "rejudged", found: is(dead), again: true},
		}},
		{"what comes and goes is held open until it stays away", comesAndGoes},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := scan.NewConfirm(scan.ConfirmOptions{})
				target := watched(1)[0]
				for i, s := range tt.steps {
					time.Sleep(s.after)
					leaf := "leaf"
					if s.how == "failed" || slices.Contains(s.found, dead) {
						leaf = ""
					}
					r := judged(result(target, time.Now(), leaf), s.found...)
					if s.how == "late" {
						r.Endpoints[0].Judgement.ValidUntil = time.Now()
					}
					give := c.Examined
					if s.how == "rejudged" {
						give = c.Rejudged
					}
					shown := r
					shown.Endpoints = slices.Clone(r.Endpoints)
					out := give(&r)
					if c.Hide(&shown); out.Again && len(shown.Endpoints[0].Judgement.Findings) > 0 {
						t.Errorf("step %d: what is held back is shown", i)
					}
					got := step{s.how, s.found, s.after, wordsOf(r.Endpoints[0].Judgement.Findings), wordsOf(out.Opened), wordsOf(out.Closed), out.Again}
					if diff := cmp.Diff(s, got, cmp.AllowUnexported(step{})); diff != "" {
						t.Errorf("step %d (-want +got):\n%s", i, diff)
					}
				}
			})
		})
	}
}

func TestConfirmRestores(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		code  inventory.Code
		open  bool
		count int64
		want  step
		next  step // the examination after it, which finds the same
	}{
		{"what was open is not told anew", inventory.CodeNameMismatch, true, 1, step{told: "name_mismatch"}, step{told: "name_mismatch"}},
		{"time went on meanwhile", inventory.CodeExpired, false, 1, step{told: "expired", opened: "expired"}, step{told: "expired"}},
		{"what was seen once still needs another", inventory.CodeNameMismatch, false, 1, step{again: true}, step{told: "name_mismatch", opened: "name_mismatch"}},
		{"what was seen often is judged otherwise now", inventory.CodeNameMismatch, false, 7, step{told: "name_mismatch", opened: "name_mismatch"}, step{told: "name_mismatch"}},
		{"two failures still need a third", inventory.CodeUnreachable, false, 2, step{again: true}, step{told: "unreachable", opened: "unreachable"}},
		{"what is not known may only not have been asked yet", inventory.CodeUnknownIssuer, false, 7, step{}, step{told: "unknown_issuer", opened: "unknown_issuer"}},
		{"more failures were held back, and are looked at again", inventory.CodeUnreachable, false, 3, step{}, step{told: "unreachable", opened: "unreachable"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := scan.NewConfirm(scan.ConfirmOptions{})
			leaf := "leaf"
			if tt.code == inventory.CodeUnreachable {
				leaf = ""
			}
			r := judged(result(watched(1)[0], time.Now(), leaf), tt.code)
			out := c.Restore(&r, func(inventory.FindingKey) bool { return tt.open }, func(inventory.View) int64 { return tt.count })
			check := func(want step, out scan.Outcome) {
				t.Helper()
				got := step{told: wordsOf(r.Endpoints[0].Judgement.Findings), opened: wordsOf(out.Opened), closed: wordsOf(out.Closed), again: out.Again}
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(step{})); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			check(tt.want, out)
			r = judged(result(watched(1)[0], time.Now(), leaf), tt.code)
			check(tt.next, c.Examined(&r))
		})
	}
}

// What comes and goes still does after a restart: it is held open, and not told
// again.
func TestConfirmRemembers(t *testing.T) {
	t.Parallel()
	const mismatch = inventory.CodeNameMismatch
	target := watched(1)[0]
	key := judged(result(target, time.Time{}, "leaf"), mismatch).Endpoints[0].Judgement.Findings[0]
	for _, tt := range []struct {
		name    string
		openFor []time.Duration // ago, of each time it was told: from when to when; 0 is still open
		reason  string
		restart string // codes that are left at the restart, when nothing is found
		closed  string // at the restart
		after   step   // two examinations that find it, within a minute
		calm    string // codes that are left an interval later, when nothing is found
	}{
		{"never told", nil, "", "", "", step{told: "name_mismatch", opened: "name_mismatch"}, ""},
		{
			"held open",
			[]time.Duration{8 * time.Hour, 7 * time.Hour, 5 * time.Hour, 4 * time.Hour, time.Hour, 0},
			inventory.ReasonGone,
			"name_mismatch", "",
			step{told: "name_mismatch"},
			"name_mismatch",
		},
		{
			"told the third time by the restart",
			[]time.Duration{8 * time.Hour, 7 * time.Hour, 5 * time.Hour, 4 * time.Hour},
			inventory.ReasonGone,
			"", "",
			step{told: "name_mismatch", opened: "name_mismatch"},
			"name_mismatch",
		},
		{"open once", []time.Duration{time.Hour, 0}, inventory.ReasonGone, "", "name_mismatch", step{told: "name_mismatch", opened: "name_mismatch"}, ""},
		{
			"long ago",
			[]time.Duration{40 * time.Hour, 39 * time.Hour, 30 * time.Hour, 20 * time.Hour, 14 * time.Hour, 0},
			inventory.ReasonGone,
			"", "name_mismatch",
			step{told: "name_mismatch", opened: "name_mismatch"},
			"",
		},
		{
			"of an address that went away",
			[]time.Duration{8 * time.Hour, 7 * time.Hour, 5 * time.Hour, 4 * time.Hour},
			inventory.ReasonAddressGone,
			"", "",
			step{told: "name_mismatch", opened: "name_mismatch"},
			"",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := scan.NewConfirm(scan.ConfirmOptions{})
				open := false
				for span := range slices.Chunk(tt.openFor, 2) {
					s := inventory.FindingSpan{Finding: key, Target: target.Key(), Opened: time.Now().Add(-span[0]), Closed: time.Now().Add(-span[1]), Reason: tt.reason}
					if open = span[1] == 0; open {
						s.Closed, s.Reason = time.Time{}, ""
					}
					if s.Closed.IsZero() || time.Since(s.Closed) < c.Memory() {
						c.Remember(s)
					}
				}
				var last scan.Outcome
				give := func(how func(*inventory.Result) scan.Outcome, found ...inventory.Code) string {
					r := judged(result(target, time.Now(), "leaf"), found...)
					last = how(&r)
					return wordsOf(r.Endpoints[0].Judgement.Findings)
				}
				told := give(func(r *inventory.Result) scan.Outcome {
					return c.Restore(r, func(inventory.FindingKey) bool { return open }, func(inventory.View) int64 { return 1 })
				})
				if told != tt.restart || wordsOf(last.Closed) != tt.closed || len(last.Opened) > 0 {
					t.Errorf("at the restart told %q, opened %v, closed %v; want told %q, closed %q", told, last.Opened, last.Closed, tt.restart, tt.closed)
				}
				give(c.Examined, mismatch)
				time.Sleep(time.Minute)
				told = give(c.Examined, mismatch)
				if got := (step{told: told, opened: wordsOf(last.Opened)}); !cmp.Equal(tt.after, got, cmp.AllowUnexported(step{})) {
					t.Errorf("when it is back: %+v, want %+v", got, tt.after)
				}
				time.Sleep(time.Hour)
				if told = give(c.Examined); told != tt.calm {
					t.Errorf("when it is gone again: told %q, want %q", told, tt.calm)
				}
				time.Sleep(4 * time.Hour)
				if told = give(c.Examined); told != "" {
					t.Errorf("after it stayed away: told %q", told)
				}
			})
		})
	}
}

// A fleet of which most fail at once has one finding, and none of its targets.
func TestConfirmOwnSide(t *testing.T) {
	t.Parallel()
	const n = 100
	asked := 0
	c := scan.NewConfirm(scan.ConfirmOptions{Sample: func(int) { asked++ }})
	targets := watched(n)
	fails := func(i int) bool { return i%10 < 6 } // these were never well
	examine := func(i int, dead bool) (told string, out scan.Outcome) {
		r := result(targets[i], time.Now(), "leaf")
		if dead || fails(i) {
			r = judged(result(targets[i], time.Now(), ""), inventory.CodeUnreachable)
		}
		out = c.Examined(&r)
		return wordsOf(r.Endpoints[0].Judgement.Findings), out
	}
	for range 3 {
		for i := range n {
			examine(i, false)
		}
	}
	if told, _ := examine(0, false); told != "unreachable" || len(c.Own()) != 0 || asked != 0 {
		t.Fatalf("told %q, own findings %v, asked %d times, want those that were never well told", told, c.Own(), asked)
	}
	changes := 0
	for round := range 5 {
		for i := range n {
			told, out := examine(i, true)
			if out.Own {
				changes++
			}
			if want := map[bool]string{true: "unreachable"}[fails(i)]; told != want {
				t.Fatalf("round %d: %s is told %q, want %q: what was told stays, and nothing is added", round, targets[i], told, want)
			}
		}
	}
	own := c.Own()
	if len(own) != 1 || own[0].Code != inventory.CodeLocationAnomalous || own[0].Subject.ID != "local" || changes != 1 {
		t.Errorf("own findings %v after %d changes, want one about the location", own, changes)
	}
	if asked == 0 {
		t.Error("nobody was asked whether others answer")
	}
	for i := range n {
		_, out := examine(i, i == 59)
		if out.Own {
			changes++
			if n := i/10*4 + i%10 - 5; n != 15 { // those that were well, up to here
				t.Errorf("it ended when %d of the last 20 answered", n)
			}
		}
	}
	if len(c.Own()) != 0 || changes != 2 {
		t.Errorf("own findings %v after %d changes, want it ended by itself", c.Own(), changes)
	}
	if told, _ := examine(59, true); told != "unreachable" {
		t.Errorf("told %q of a target that is dead still, want unreachable", told)
	}
}

func TestConfirmOfASmallFleet(t *testing.T) {
	t.Parallel()
	c := scan.NewConfirm(scan.ConfirmOptions{})
	for i, target := range watched(10) {
		r := result(target, time.Now(), "leaf")
		c.Examined(&r)
		for k := range 3 {
			r := judged(result(target, time.Now(), ""), inventory.CodeUnreachable)
			c.Examined(&r)
			if told := wordsOf(r.Endpoints[0].Judgement.Findings); (told != "") != (k == 2) {
				t.Errorf("target %d, failure %d: told %q", i, k+1, told)
			}
		}
	}
	if len(c.Own()) != 0 {
		t.Error("ten targets say nothing about our own side")
	}
}

func TestConfirmForgetsAddresses(t *testing.T) {
	t.Parallel()
	c := scan.NewConfirm(scan.ConfirmOptions{})
	target := watched(1)[0]
	for range 2 {
		r := judged(result(target, time.Now(), "leaf"), inventory.CodeNameMismatch)
		c.Examined(&r)
	}
	closed := ""
	for i := range 6 {
		r := result(target, time.Now(), "leaf")
		r.Endpoints[0].Observation.Address = fmt.Sprintf("192.0.2.%d", 100+i)
		closed += wordsOf(c.Examined(&r).Closed)
	}
	if closed != "name_mismatch" {
		t.Errorf("closed %q, want the finding of the address that is gone, once", closed)
	}
}
