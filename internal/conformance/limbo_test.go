package conformance_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// given is what a case presents.
type given struct {
	chain, roots [][]byte
	host         string
	at           time.Time
}

// serve is a leaf and what is sent after it, for example.com.
func serve(chain ...*authority) given {
	g := given{host: "example.com", at: now}
	for _, c := range chain {
		g.chain = append(g.chain, c.der)
	}
	return g
}

func (g given) under(roots ...*authority) given {
	for _, r := range roots {
		g.roots = append(g.roots, r.der)
	}
	return g
}

func (g given) as(host string) given    { g.host = host; return g }
func (g given) when(at time.Time) given { g.at = at; return g }

// A limboCase is a case of x509-limbo under its own name, and all that is said
// of it.
type limboCase struct {
	id    string // "own::…" if the suite has none like it
	make  func(testing.TB) given
	trust inventory.TrustStatus // trusted if empty
	codes []string              // of all findings, with their rules
}

func found(codes ...string) []string { return codes }
func with(opts ...option) []option   { return opts }

// direct is root → leaf.
func direct(root, leaf []option) func(testing.TB) given {
	return func(tb testing.TB) given {
		r := newRoot(tb, root...)
		return serve(r.leaf(leaf...)).under(r)
	}
}

// through is root → intermediate → leaf.
func through(root, ca, leaf []option) func(testing.TB) given {
	return func(tb testing.TB) given {
		r := newRoot(tb, root...)
		c := r.ca(ca...)
		return serve(c.leaf(leaf...), c).under(r)
	}
}

// named is a leaf with the names, asked for as host.
func named(host string, n ...string) func(testing.TB) given {
	return func(tb testing.TB) given {
		return direct(nil, with(subject(seq()), set(oidSAN, true, seq(n...))))(tb).as(host)
	}
}

// as asks for another host.
func as(host string, f func(testing.TB) given) func(testing.TB) given {
	return func(tb testing.TB) given { return f(tb).as(host) }
}

// limboCases is how many cases x509-limbo has besides those of BetterTLS. Not
// rebuilt are those of real sites (14), of TLS clients (10), with CRLs (8, which
// the corpus of CRLs has), that limit the depth of a path (6), and 9 more.
const limboCases = 208

// TestLimbo judges the cases as a public CA's, since that is what the suite's
// profile is. Where its cases lack the criticality of keyUsage, which none is
// about, these have it.
func TestLimbo(t *testing.T) {
	t.Parallel()
	cases := slices.Concat(rfc5280Cases(), constraintCases(), webpkiCases(), nameCases(), pathCases())
	seen := make(map[string]bool)
	var right, own atomic.Int32
	t.Run("cases", func(t *testing.T) {
		for _, tt := range cases {
			if seen[tt.id] {
				t.Errorf("case %s is there twice", tt.id)
			}
			seen[tt.id] = true
			t.Run(tt.id, func(t *testing.T) {
				t.Parallel()
				tt.judge(t)
				switch {
				case t.Failed():
				case strings.HasPrefix(tt.id, "own::"):
					own.Add(1)
				default:
					right.Add(1)
				}
			})
		}
	})
	ours := 0
	for id := range seen {
		if strings.HasPrefix(id, "own::") {
			ours++
		}
	}
	theirs := len(seen) - ours
	t.Logf("conformance: x509-limbo, rebuilt: cases %d, right %d, wrong %d, not run %d (real sites, TLS clients, CRLs, limits of depth)",
		limboCases, right.Load(), theirs-int(right.Load()), limboCases-theirs)
	t.Logf("conformance: profile, cases of our own: cases %d, right %d, wrong %d, not run 0", ours, own.Load(), ours-int(own.Load()))
}

func (tt *limboCase) judge(t *testing.T) {
	t.Helper()
	g := tt.make(t)
	want := tt.trust
	if want == "" {
		want = inventory.Trusted
	}
	start := time.Now()
	got := judge(t, g)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	if got.Verdict.Trust.Status != want {
		t.Errorf("trust %s (%s), want %s", got.Verdict.Trust.Status, got.Verdict.Trust.Stores[0].Detail, want)
	}
	if diff := cmp.Diff(tt.codes, codes(got.Findings)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

func judge(tb testing.TB, g given) inventory.Judgement {
	tb.Helper()
	s := inventory.TrustStore{Name: "limbo"}
	for _, r := range g.roots {
		s.Anchors = append(s.Anchors, inventory.Anchor{DER: r})
	}
	j, err := verify.New(verify.Options{Stores: []inventory.TrustStore{s}, Profile: verify.ProfilePublic})
	if err != nil {
		tb.Fatal(err)
	}
	got, _ := j.Judge(inventory.Facts{
		Target: inventory.Target{Host: g.host, Port: 443, Protocol: inventory.TLS},
		Observation: inventory.Observation{
			Offer: inventory.OfferDefault, Chain: g.chain, Reach: inventory.Reach{Status: inventory.ReachOK},
		},
	}, nil, g.at)
	return got
}

func codes(findings []inventory.Finding) []string {
	var out []string
	for _, f := range findings {
		s := string(f.Code)
		if f.Rule != "" {
			s += "/" + f.Rule
		}
		out = append(out, strings.TrimPrefix(s, "profile/"))
	}
	slices.Sort(out)
	return out
}
