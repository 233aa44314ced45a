package scan_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
)

// named is an examination of a target whose name was resolved, or was not: with
// "" it was.
func named(target inventory.Target, failure inventory.ReachStatus) inventory.Result {
	if failure == "" {
		r := result(target, time.Now(), "leaf")
		r.Endpoints[0].Observation.Resolution = &inventory.Resolution{Status: inventory.ReachOK, Server: "192.0.2.53:53"}
		return r
	}
	r := result(target, time.Now(), "")
	o := &r.Endpoints[0].Observation
	o.Address, o.Reach = "", inventory.Reach{Status: failure, Detail: "no answer from 192.0.2.53:53"}
	o.Resolution = &inventory.Resolution{Status: failure}
	return judged(r, inventory.CodeDNSFailure)
}

// A resolver that answers nobody is one finding about our own side, and none of
// its names, however few they are.
func TestConfirmWithoutResolver(t *testing.T) {
	t.Parallel()
	const timeout, servfail, gone = inventory.ReachDNSTimeout, inventory.ReachDNSServFail, inventory.ReachDNSNXDomain
	same := func(s inventory.ReachStatus) func(int) inventory.ReachStatus {
		return func(int) inventory.ReachStatus { return s }
	}
	first := func(n int, s inventory.ReachStatus) func(int) inventory.ReachStatus {
		return func(i int) inventory.ReachStatus {
			if i < n {
				return s
			}
			return ""
		}
	}
	for _, tt := range []struct {
		name    string
		n       int
		failure func(i int) inventory.ReachStatus
		own     int
		told    int // names
		after   int // names, when the first of them is dead for good and the others are resolved again
	}{
		{"nobody is answered", 12, same(timeout), 1, 0, 1},
		{"every answer is a failure", 3, same(servfail), 1, 0, 1},
		{"two names are too few to tell", 2, same(timeout), 0, 2, 1},
		{"no name exists, which is an answer", 5, same(gone), 0, 5, 1},
		{"one is answered", 12, first(11, timeout), 0, 11, 1},
		{"names of a zone that is dead", 5, first(3, servfail), 0, 3, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				asked, changes := 0, 0
				c := scan.NewConfirm(scan.ConfirmOptions{Sample: func(int) { asked++ }})
				targets := watched(tt.n)
				round := func(failure func(int) inventory.ReachStatus) (told int) {
					for i, target := range targets {
						r := named(target, failure(i))
						if c.Examined(&r).Own {
							changes++
						}
						told += len(r.Endpoints[0].Judgement.Findings)
						time.Sleep(time.Second)
					}
					return told
				}
				round(same(""))
				told := 0
				for range 5 {
					told = round(tt.failure)
				}
				own := c.Own()
				if told != tt.told || len(own) != tt.own || changes != tt.own {
					t.Errorf("told %d names and own findings %v after %d changes, want %d and %d", told, own, changes, tt.told, tt.own)
				}
				if tt.own == 1 && (own[0].Code != inventory.CodeLocationAnomalous || !strings.Contains(own[0].Message, "resolver")) {
					t.Errorf("own finding %+v, want one of the resolver", own[0])
				}
				for range 4 {
					told = round(first(1, timeout))
				}
				if told != tt.after || len(c.Own()) != 0 {
					t.Errorf("when it answers again: told %d names and own findings %v, want %d and none", told, c.Own(), tt.after)
				}
			})
		})
	}
}

// A name that fails before others were asked may be the first of all: they are
// asked, and it waits for them. What failed while nobody was answered is not
// held against it when that ends.
func TestConfirmAsksOthersForTheResolver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := scan.NewConfirm(scan.ConfirmOptions{Sample: func(int) { asked++ }})
		targets := watched(4)
		examine := func(i int, failure inventory.ReachStatus) string {
			time.Sleep(15 * time.Second)
			r := named(targets[i], failure)
			c.Examined(&r)
			return wordsOf(r.Endpoints[0].Judgement.Findings)
		}
		for i := range targets {
			examine(i, "")
		}
		for range 4 {
			if told := examine(0, inventory.ReachDNSTimeout); told != "" {
				t.Fatalf("told %q before anybody else was asked", told)
			}
		}
		if asked == 0 {
			t.Error("nobody else was asked")
		}
		for i := range targets {
			examine(i, inventory.ReachDNSTimeout)
		}
		if len(c.Own()) != 1 {
			t.Errorf("own findings %v, want one", c.Own())
		}
		examine(1, "")
		if told := examine(0, inventory.ReachDNSTimeout); told != "" || len(c.Own()) != 0 {
			t.Errorf("after the first answer told %q of one that was under way, and own findings %v", told, c.Own())
		}
	})
}

// Several targets of one name are one name.
func TestConfirmOfOneNameWithoutResolver(t *testing.T) {
	t.Parallel()
	c, told := scan.NewConfirm(scan.ConfirmOptions{}), ""
	for range 3 {
		for _, port := range []uint16{25, 465, 587} {
			r := named(inventory.Target{Host: "mail.example", Port: port, Protocol: inventory.TLS}, inventory.ReachDNSTimeout)
			c.Examined(&r)
			told += wordsOf(r.Endpoints[0].Judgement.Findings)
		}
	}
	if told != strings.Repeat("dns_failure", 3) || len(c.Own()) != 0 {
		t.Errorf("told %q and own findings %v, want each told once", told, c.Own())
	}
}

// A restart while nobody is answered changes nothing.
func TestConfirmRestoresWithoutResolver(t *testing.T) {
	t.Parallel()
	c := scan.NewConfirm(scan.ConfirmOptions{})
	for _, target := range watched(5) {
		r := named(target, inventory.ReachDNSTimeout)
		c.Restore(&r, func(inventory.FindingKey) bool { return false }, func(inventory.View) int64 { return 7 })
	}
	if c.Restored(); len(c.Own()) != 1 {
		t.Errorf("own findings %v, want one", c.Own())
	}
	r := named(watched(1)[0], inventory.ReachDNSTimeout)
	if out := c.Examined(&r); len(out.Opened) > 0 || out.Again {
		t.Errorf("after the restart: %+v", out)
	}
}
