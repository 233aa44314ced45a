package conformance_test

import (
	"slices"
	"testing"
)

// pathCases are lengths of paths and the ways through graphs.
func pathCases() []limboCase {
	// chain is a root over intermediates with these limits, in this order.
	chain := func(limits ...int) func(testing.TB) given {
		return func(tb testing.TB) given {
			root := newRoot(tb)
			above, served := root, []*authority(nil)
			for _, n := range limits {
				above = above.ca(limit(n))
				served = append(served, above)
			}
			slices.Reverse(served)
			return serve(append([]*authority{above.leaf()}, served...)...).under(root)
		}
	}
	return []limboCase{
		{"pathlen::ee-with-intermediate-pathlen-0", chain(0), "", nil},
		{"pathlen::ee-with-intermediate-pathlen-1", chain(1), "", nil},
		{"pathlen::ee-with-intermediate-pathlen-2", chain(2), "", nil},
		{"pathlen::validation-ignores-pathlen-in-leaf", func(tb testing.TB) given {
			root := newRoot(tb)
			ca := root.ca(limit(0))
			return serve(ca.ca(limit(0), subject(dn("example.com")), uses(false, serverAuth), usage(true, 0x84), valid(now.Add(-day), now.Add(80*day))), ca).under(root)
		}, "", found("ca_leaf")},
		{"pathlen::intermediate-violates-pathlen-0", chain(0, 0), "path_length", found("path_length")},
		{"pathlen::intermediate-pathlen-may-increase", chain(1, 2), "", nil},
		{"pathlen::intermediate-pathlen-too-long", chain(1, 0, 0), "path_length", found("path_length")},
		{"pathlen::self-issued-certs-pathlen", func(tb testing.TB) given {
			root := newRoot(tb)
			one := root.ca(limit(1))
			two := one.ca(limit(1), subject(one.name))
			three := two.ca(limit(0))
			return serve(three.leaf(), three, two, one).under(root)
		}, "", nil},
		{"own::names-that-are-equal-after-normalisation", func(tb testing.TB) given {
			root := newRoot(tb)
			ca := root.ca(subject(dn("Some   Authority")))
			return serve(ca.leaf(issuer(dn(" some authority"))), ca).under(root)
		}, "", nil},
		{"pathological::multiple-chains-expired-intermediate", func(tb testing.TB) given {
			root := newRoot(tb)
			two := newRoot(tb, issuer(dn("two")), subject(dn("two")))
			expired := two.ca(withKey(root.key), subject(root.name), valid(now.Add(-1000*day), now.Add(-500*day)))
			return serve(root.leaf(), expired).under(root, two)
		}, "", found("expired_in_chain")},
		{"pathological::intermediate-cycle-distinct-cas", cycle("one", "two"), "unknown_issuer", found("unknown_issuer")},
		{"pathological::intermediate-cycle-same-logical-ca", cycle("same", "same"), "unknown_issuer", found("unknown_issuer")},
		{"cve::cve-2024-0567", func(tb testing.TB) given {
			root := func(n string) *authority { return newRoot(tb, issuer(dn(n)), subject(dn(n)), drop(oidSAN)) }
			a, b, c := root("Root A"), root("Root B"), root("Root C")
			by := func(signer, of *authority) *authority {
				return signer.ca(subject(of.name), withKey(of.key), drop(oidSAN))
			}
			a1, b1, c1 := a.ca(drop(oidSAN)), b.ca(drop(oidSAN)), c.ca(drop(oidSAN))
			return serve(a1.leaf(), a1, by(b, a), by(c, a), b1, by(a, b), by(c, b), c1, by(a, c), by(b, c)).under(a)
		}, "", found("extra_certificates")},
		{"own::missing-intermediate", func(tb testing.TB) given {
			root := newRoot(tb)
			return serve(root.ca().leaf()).under(root)
		}, "unknown_issuer", found("unknown_issuer")},
		{"own::root-sent-along", func(tb testing.TB) given {
			root := newRoot(tb)
			ca := root.ca()
			return serve(ca.leaf(), ca, root).under(root)
		}, "", found("extra_certificates")},
		{"own::leaf-is-the-anchor", func(tb testing.TB) given {
			leaf := newRoot(tb).leaf()
			return serve(leaf).under(leaf)
		}, "", nil},
	}
}

// cycle is a leaf under two authorities that certify one another, beside a root
// that certifies neither.
func cycle(first, second string) func(testing.TB) given {
	return func(tb testing.TB) given {
		one := newRoot(tb, issuer(dn(first)), subject(dn(first)))
		two := newRoot(tb, issuer(dn(second)), subject(dn(second)))
		down := two.ca(subject(dn(first)), withKey(one.key))
		up := one.ca(subject(dn(second)), withKey(two.key))
		return serve(one.leaf(), down, up).under(newRoot(tb))
	}
}
