package conformance_test

import (
	"fmt"
	"testing"
)

func list(n ...string) []string { return n }

// constraintCases are name constraints.
func constraintCases() []limboCase {
	// within is a root that permits and excludes, and a leaf with the names,
	// asked for as host.
	within := func(host string, permitted, excluded []string, n ...string) func(testing.TB) given {
		return as(host, direct(with(nameLimits(permitted, excluded)), with(subject(seq()), set(oidSAN, true, seq(n...)))))
	}
	const bad = "name_constraint"
	exampleCom := list(dns("example.com"))
	return []limboCase{
		{"rfc5280::nc::permitted-dns-mismatch", within("not-example.com", exampleCom, nil, dns("not-example.com")), bad, found(bad)},
		{"rfc5280::nc::excluded-dns-match", within("example.com", nil, exampleCom, dns("example.com")), bad, found(bad)},
		{"rfc5280::nc::permitted-dns-match", within("example.com", exampleCom, nil, dns("example.com")), "", nil},
		{"rfc5280::nc::permitted-dns-match-noncritical", direct(with(set(oidNameConstraints, false, constraints(exampleCom, nil))), nil), "", found("name_constraints_critical")},
		{"rfc5280::nc::permitted-dns-match-more", within("foo.bar.example.com", exampleCom, nil, dns("foo.bar.example.com")), "", nil},
		{"rfc5280::nc::excluded-dns-match-second", within("example.com", nil, list(dns("not-allowed.example.com")), dns("example.com"), dns("not-allowed.example.com")), bad, found(bad)},
		{"rfc5280::nc::permitted-ip-mismatch", within("198.41.0.4", list(network("192.5.6.0/24")), nil, ip("198.41.0.4")), bad, found(bad)},
		{"rfc5280::nc::excluded-ipv4-match", within("192.5.6.30", nil, list(network("192.5.6.0/24")), ip("192.5.6.30")), bad, found(bad)},
		{"rfc5280::nc::excluded-ipv6-match", within("2606:4700::1", nil, list(network("2606:4700::1/128")), ip("2606:4700::1")), bad, found(bad)},
		{"rfc5280::nc::permitted-ipv4-match", within("192.5.6.30", list(network("192.5.6.0/24")), nil, ip("192.5.6.30")), "", nil},
		{"rfc5280::nc::permitted-ipv6-match", within("2606:4700::1", list(network("2606:4700::1/128")), nil, ip("2606:4700::1")), "", nil},
		{"rfc5280::nc::permitted-dn-mismatch", direct(with(nameLimits(list(dir(dn("foo"))), nil)), with(subject(dn("not-foo")), names(dir(dn("not-foo")), dns("example.com")))), bad, found("cn_not_in_san", bad, "san_kind")},
		{"rfc5280::nc::excluded-dn-match", direct(with(nameLimits(nil, list(dir(dn("foo"))))), with(subject(dn("foo")), names(dir(dn("foo")), dns("example.com")))), bad, found("cn_not_in_san", bad, "san_kind")},
		{"rfc5280::nc::permitted-dn-match", direct(with(nameLimits(list(dir(dn("example.com"))), nil)), nil), "", nil},
		{"own::nc::permitted-dn-match-normalised", direct(with(nameLimits(list(dir(dn("  EXAMPLE.com "))), nil)), nil), "", nil},
		{"rfc5280::nc::permitted-dn-match-subject-san-mismatch", direct(with(nameLimits(list(dir(dn("foo"))), nil)), with(subject(dn("not-foo")), names(dir(dn("foo")), dns("example.com")))), bad, found("cn_not_in_san", bad, "san_kind")},
		{"rfc5280::nc::excluded-dn-match-sub-mismatch", direct(with(nameLimits(nil, list(dir(dn("foo"))))), with(subject(dn("foo")), names(dir(dn("not-foo")), dns("example.com")))), bad, found("cn_not_in_san", bad, "san_kind")},
		{"rfc5280::nc::permitted-self-issued", func(tb testing.TB) given {
			same := dn("not-example.com")
			root := newRoot(tb, issuer(same), subject(same), names(dns("not-example.com")), nameLimits(exampleCom, nil))
			ca := root.ca(subject(same), names(dns("not-example.com")))
			return serve(ca.leaf(), ca).under(root)
		}, "", nil},
		{"rfc5280::nc::excluded-self-issued-leaf", func(tb testing.TB) given {
			same := dn("not-example.com")
			root := newRoot(tb, nameLimits(exampleCom, nil))
			ca := root.ca(subject(same), names())
			return serve(ca.leaf(subject(same), names(dns("not-example.com"))), ca).under(root).as("not-example.com")
		}, bad, found(bad)},
		{"rfc5280::nc::excluded-match-permitted-and-excluded", within("example.com", exampleCom, exampleCom, dns("example.com")), bad, found(bad)},
		{"rfc5280::nc::permitted-different-constraint-type", within("example.com", list(network("192.5.6.0/24")), nil, dns("example.com")), "", nil},
		{"rfc5280::nc::excluded-different-constraint-type", within("example.com", nil, list(network("192.5.6.0/24")), dns("example.com")), "", nil},
		{"rfc5280::nc::invalid-dnsname-wildcard", within("foo.example.com", list(dns("*.example.com")), nil, dns("foo.example.com")), bad, found(bad)},
		{"rfc5280::nc::invalid-dnsname-leading-period", within("foo.example.com", list(dns(".example.com")), nil, dns("foo.example.com")), "", found("name_constraints_dot")},
		{"rfc5280::nc::invalid-ipv4-address", within("192.5.6.30", list(ip("192.5.6.30")), nil, ip("192.5.6.30")), "unknown_issuer", found("unknown_issuer")},
		{"rfc5280::nc::invalid-ipv6-address", within("2606:4700::1", list(ip("2606:4700::1")), nil, ip("2606:4700::1")), "unknown_issuer", found("unknown_issuer")},
		{"rfc5280::nc::invalid-email-address", within("example.com", list(email("invalid@invalid@example.com")), nil, dns("example.com"), email("example@example.com")), bad, found(bad, "san_kind")},
		{"rfc5280::nc::not-allowed-in-ee-noncritical", direct(nil, with(set(oidNameConstraints, false, constraints(exampleCom, nil)))), "", found("name_constraints_leaf")},
		{"rfc5280::nc::not-allowed-in-ee-critical", direct(nil, with(nameLimits(exampleCom, nil))), "", found("name_constraints_leaf")},
		{"rfc5280::nc::intermediate-with-san-rejected-by-intermediate-nc", func(tb testing.TB) given {
			root := newRoot(tb)
			one := root.ca(nameLimits(list(dns("permitted.example.com")), list(dns("forbidden.example.com"))))
			two := one.ca(names(dns("forbidden.example.com")))
			return serve(two.leaf(subject(dn("permitted.example.com")), names(dns("permitted.example.com"))), two, one).under(root).as("permitted.example.com")
		}, bad, found(bad)},
		{"rfc5280::nc::intermediate-with-san-rejected-by-root-nc", func(tb testing.TB) given {
			root := newRoot(tb, nameLimits(list(dns("permitted.example.com")), list(dns("forbidden.example.com"))))
			one := root.ca(drop(oidSAN))
			two := one.ca(names(dns("forbidden.example.com")))
			return serve(two.leaf(subject(dn("permitted.example.com")), names(dns("permitted.example.com"))), two, one).under(root).as("permitted.example.com")
		}, bad, found(bad)},
		{"rfc5280::nc::restrictive-permits-in-intermediates-narrows", nested(list(dns("foo.example.com"), dns("bar.example.com")), list(dns("bar.example.com"))), bad, found(bad)},
		{"rfc5280::nc::restrictive-permits-in-intermediates-widens", nested(list(dns("bar.example.com")), list(dns("foo.example.com"), dns("bar.example.com"))), bad, found(bad)},
		{"rfc5280::nc::nc-permits-invalid-dns-san", within("foo.example.com", exampleCom, nil, dns(".example.com"), dns("foo.example.com")), bad, found(bad, "san_syntax")},
		{"rfc5280::nc::nc-permits-invalid-ip-san", within("192.5.6.30", list(network("192.5.6.0/24")), nil, network("192.5.6.0/24"), ip("192.5.6.30")), "", found("malformed_san")},
		{"rfc5280::nc::nc-permits-invalid-email-san", within("example.com", list(email("example.com")), nil, dns("example.com"), email("good@example.com"), email("invalid@address@example.com")), bad, found(bad, "san_kind")},
		{"rfc5280::nc::nc-forbids-alternate-chain-ica", alternate(true), "", nil},
		{"rfc5280::nc::nc-forbids-same-chain-ica", alternate(false), "", found("extra_certificates")},
		{"rfc5280::nc::nc-permits-email-exact", within("example.com", list(email("foo@example.com")), nil, dns("example.com"), email("foo@example.com")), "", found("san_kind")},
		{"rfc5280::nc::nc-permits-email-domain", within("example.com", list(email("example.com")), nil, dns("example.com"), email("foo@example.com")), "", found("san_kind")},
		{"rfc5280::nc::nc-forbids-othername", within("example.com", exampleCom, list(other()), dns("example.com"), other()), bad, found(bad, "san_kind")},
		{"rfc5280::nc::nc-forbids-othername-noop", within("example.com", exampleCom, list(other()), dns("example.com")), "", nil},
		{"cve::cve-2025-61727", within("bar.example.com", exampleCom, list(dns("bar.example.com")), dns("*.example.com")), bad, found(bad)},
		{"cve::cve-2025-61727-nc-permits-variant", within("foo.example.com", list(dns("foo.example.com")), nil, dns("*.example.com")), bad, found(bad)},

		{"webpki::nc::permitted-dns-match-noncritical", through(nil, with(set(oidNameConstraints, false, constraints(exampleCom, nil))), nil), "", found("name_constraints_critical")},
		{"webpki::nc::intermediate-permitted-excluded-subtrees-both-null", through(nil, with(nameLimits(nil, nil)), nil), "", found("malformed_certificate", "name_constraints")},
		{"webpki::nc::intermediate-permitted-excluded-subtrees-both-empty-sequences", through(nil, with(nameLimits(list(), list())), nil), "", found("malformed_certificate", "name_constraints")},

		{"pathological::nc-dos-1", crowd(1500, 1500, 0), "limit_exceeded", found("unknown_issuer")},
		{"pathological::nc-dos-2", crowd(1500, 0, 1500), "limit_exceeded", found("unknown_issuer")},
		{"pathological::nc-dos-3", crowd(1500, 750, 750), "limit_exceeded", found("unknown_issuer")},
		{"own::nc::many-but-bearable", crowd(400, 100, 100), "", nil},
	}
}

// nested is a root over two intermediates, which permit one thing after the
// other, for foo.example.com.
func nested(first, second []string) func(testing.TB) given {
	return func(tb testing.TB) given {
		root := newRoot(tb)
		one := root.ca(nameLimits(first, nil))
		two := one.ca(nameLimits(second, nil), drop(oidSAN))
		return serve(two.leaf(subject(dn("foo.example.com")), names(dns("foo.example.com"))), two, one).under(root).as("foo.example.com")
	}
}

// alternate is a leaf under an authority that has two certificates: one leads to
// a root that is not trusted, or over constraints that it breaks.
func alternate(untrusted bool) func(testing.TB) given {
	return func(tb testing.TB) given {
		a, b := newRoot(tb, drop(oidSAN)), newRoot(tb, drop(oidSAN), issuer(dn("b")), subject(dn("b")))
		limited := a.ca(drop(oidSAN), nameLimits(nil, list(dns("forbidden.example.com"))))
		key, name := newKey(tb), subject(dn("an intermediate"))
		forbidden := limited.ca(withKey(key), name, names(dns("forbidden.example.com")))
		free := b.ca(withKey(key), name, drop(oidSAN))
		if untrusted {
			forbidden = b.ca(withKey(key), name, names(dns("forbidden.example.com")))
			free = limited.ca(withKey(key), name, drop(oidSAN))
			return serve(forbidden.leaf(), free, limited).under(a)
		}
		return serve(forbidden.leaf(), free, forbidden, limited).under(a, b)
	}
}

// crowd is a leaf with so many names under so many constraints.
func crowd(n, permitted, excluded int) func(testing.TB) given {
	many := func(n int, format string) (all []string) {
		for i := range n {
			all = append(all, dns(fmt.Sprintf(format, i)))
		}
		return all
	}
	return func(tb testing.TB) given {
		in := many(permitted, "p%d.example.com")
		if permitted > 0 {
			in = append(in, dns("example.com"))
		}
		ca := newRoot(tb).ca // the root permits all
		limited := ca(nameLimits(in, append(many(excluded, "x%d.example.com"), dns("excluded.example.com"))))
		root := limited
		return serve(root.leaf(set(oidSAN, false, seq(append(many(n, "n%d.example.com"), dns("example.com"))...)))).under(root)
	}
}
