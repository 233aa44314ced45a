package scan_test

import (
	"fmt"
	"testing"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
)

// What shows that our own side works ends the suspicion, and nothing else does.
func TestOwnSideRecovers(t *testing.T) {
	t.Parallel()
	is := func(s inventory.ReachStatus, leaf, resolved bool) func(o *inventory.Observation) {
		return func(o *inventory.Observation) {
			o.Reach.Status = s
			if leaf {
				o.Chain = [][]byte{[]byte("leaf")}
			}
			if resolved {
				o.Resolution = &inventory.Resolution{Status: inventory.ReachOK}
			}
			if s.IsDNS() {
				o.Address, o.Resolution = "", &inventory.Resolution{Status: s}
			}
		}
	}
	silent, unresolved := is(inventory.ReachTimeout, false, false), is(inventory.ReachDNSTimeout, false, false)
	for _, tt := range []struct {
		name      string
		all       func(*inventory.Observation) // of the first thousand
		then      func(*inventory.Observation) // one is so
		recovered bool
	}{
		{"a certificate", silent, is(inventory.ReachOK, true, true), true},
		{"a refusal", silent, is(inventory.ReachRefused, false, true), true},
		{"an alert", silent, is(inventory.ReachTLSAlert, false, true), true},
		{"silence", silent, silent, false},
		{"no address for the name", silent, is(inventory.ReachDNSNXDomain, false, false), false},
		{"a name that is resolved", unresolved, is(inventory.ReachTimeout, false, true), true},
		{"a name that does not exist", unresolved, is(inventory.ReachDNSNXDomain, false, false), true},
		{"a certificate at an address that needs no resolver", unresolved, is(inventory.ReachOK, true, false), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, n := scan.NewOwnSide(), 0
			give := func(change func(*inventory.Observation)) (told int) {
				target := inventory.Target{Host: fmt.Sprintf("n%d.example.com", n), Port: 443, Protocol: inventory.TLS}
				o := served(target, fmt.Sprintf("192.0.%d.%d", n/250, n%250))
				change(&o)
				n++
				e := inventory.Endpoint{Observation: o}
				if len(o.Chain) == 0 {
					e.Judgement.Findings = []inventory.Finding{{Code: inventory.CodeUnreachable}}
				}
				if o.Reach.Status.IsDNS() {
					e.Judgement.Findings = []inventory.Finding{{Code: inventory.CodeDNSFailure}}
				}
				for _, r := range s.Pass(inventory.Result{Target: target, Endpoints: []inventory.Endpoint{e}}) {
					told += len(r.Endpoints[0].Judgement.Findings)
				}
				return told
			}
			for range 1000 {
				if told := give(tt.all); told != 0 {
					t.Fatalf("told of %d targets when nothing answers", told)
				}
			}
			give(tt.then)
			if told := give(tt.all); (told > 0) != tt.recovered {
				t.Errorf("told of %d targets after it, want one: %v", told, tt.recovered)
			}
		})
	}
}
