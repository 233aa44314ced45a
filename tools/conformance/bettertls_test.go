package conformance_test

import (
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Netflix/bettertls/test-suites/certutil"
	"github.com/Netflix/bettertls/test-suites/nameconstraints"
	"github.com/Netflix/bettertls/test-suites/pathbuilding"
	suite "github.com/Netflix/bettertls/test-suites/test-case"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// betterCases is how many cases the pinned version has.
const betterCases = 9572

// TestBetterTLS judges every case of Netflix's suite. A case is accepted if the
// chain is trusted, in time, and for the name.
func TestBetterTLS(t *testing.T) {
	root, key, err := certutil.GenerateSelfSignedCert("bettertls_trust_root")
	if err != nil {
		t.Fatal(err)
	}
	judge, err := verify.New(verify.Options{Stores: []inventory.TrustStore{
		{Name: "bettertls", Anchors: []inventory.Anchor{{DER: root.Raw}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	right, wrong := 0, 0
	for _, provider := range []suite.TestCaseProvider{nameconstraints.NewTestCaseProvider(), pathbuilding.NewTestCaseProvider()} {
		n, err := provider.GetTestCaseCount()
		if err != nil {
			t.Fatal(err)
		}
		indices := make(chan uint)
		var wg sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for i := range indices {
					ok := func() bool {
						c, err := provider.GetTestCase(i)
						if err != nil {
							t.Errorf("%s %d: %v", provider.Name(), i, err)
							return false
						}
						chain, err := c.GetCertificates(root, key)
						if err != nil {
							t.Errorf("%s %d: %v", provider.Name(), i, err)
							return false
						}
						return agrees(t, judge, provider.Name(), i, c, chain.Certificate)
					}()
					mu.Lock()
					if ok {
						right++
					} else {
						wrong++
					}
					mu.Unlock()
				}
			})
		}
		for i := range n {
			indices <- i
		}
		close(indices)
		wg.Wait()
	}
	t.Logf("conformance: BetterTLS: cases %d, right %d, wrong %d, not run 0", right+wrong, right, wrong)
	if right != betterCases || wrong > 0 {
		t.Errorf("%d right and %d wrong, want %d right", right, wrong, betterCases)
	}
}

func agrees(t *testing.T, judge *verify.Judge, suiteName string, i uint, c suite.TestCase, chain [][]byte) bool {
	t.Helper()
	host := strings.ToLower(c.GetHostname())
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.String()
	}
	got, _ := judge.Judge(inventory.Facts{
		Target: inventory.Target{Host: host, Port: 443, Protocol: inventory.TLS},
		Observation: inventory.Observation{
			Offer: inventory.OfferDefault, Chain: chain, Reach: inventory.Reach{Status: inventory.ReachOK},
		},
	}, nil, time.Now())
	v := got.Verdict
	accepted := v.Trust.Status == inventory.Trusted && v.Time.Status == inventory.TimeValid && v.Name.Status == inventory.NameMatch
	expected := c.ExpectedResult()
	want := expected == suite.EXPECTED_RESULT_PASS || expected == suite.EXPECTED_RESULT_SOFT_PASS
	if accepted != want {
		t.Errorf("%s %d: accepted %t (time %s, name %s, trust %s: %s), expected %s",
			suiteName, i, accepted, v.Time.Status, v.Name.Status, v.Trust.Status, v.Trust.Stores[0].Detail, expected)
	}
	return accepted == want
}
