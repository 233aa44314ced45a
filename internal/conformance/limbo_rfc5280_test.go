package conformance_test

import (
	"math/big"
	"testing"
	"time"
)

// rfc5280Cases are the profile of RFC 5280, name constraints aside.
func rfc5280Cases() []limboCase {
	unknown := set(oidPrivate, true, der(0x05))
	location := seq(seq(oid("\x2b\x06\x01\x05\x05\x07\x30\x02"), dns("example.com")))
	return []limboCase{
		{"rfc5280::ee-empty-issuer", direct(nil, with(issuer(seq()))), "unknown_issuer", found("unknown_issuer")},
		{"rfc5280::ca-empty-subject", direct(with(issuer(seq()), subject(seq())), nil), "", found("ca_subject", "issuer_empty")},
		{"rfc5280::unknown-critical-extension-ee", direct(nil, with(unknown)), "unhandled_critical", found("unhandled_critical_extension")},
		{"rfc5280::unknown-critical-extension-root", direct(with(unknown), nil), "unhandled_critical", found("unhandled_critical_extension")},
		{"rfc5280::unknown-critical-extension-intermediate", through(nil, with(unknown), nil), "unhandled_critical", found("unhandled_critical_extension")},
		{"own::unknown-extension-that-is-not-critical", direct(nil, with(set(oidPrivate, false, der(0x05)))), "", nil},
		{"rfc5280::chain-untrusted-root", func(tb testing.TB) given {
			root := newRoot(tb)
			ca := root.ca(limit(0))
			return serve(ca.leaf(), ca, root).under(newRoot(tb, issuer(dn("unrelated")), subject(dn("unrelated"))))
		}, "untrusted_root", found("untrusted_root")},
		{"rfc5280::intermediate-ca-without-ca-bit", through(nil, with(basic(true, false, -1)), nil), "not_a_ca", found("not_a_ca")},
		{"rfc5280::intermediate-ca-missing-basic-constraints", through(nil, with(drop(oidBasicConstraints)), nil), "not_a_ca", found("not_a_ca")},
		{"rfc5280::root-missing-basic-constraints", direct(with(drop(oidBasicConstraints)), nil), "not_a_ca", found("not_a_ca")},
		{"rfc5280::root-non-critical-basic-constraints", direct(with(basic(false, true, -1)), nil), "", found("ca_basic_constraints")},
		{"rfc5280::root-inconsistent-ca-extensions", direct(with(usage(true, 0x80)), nil), "not_a_ca", found("not_a_ca")},
		{"rfc5280::ica-ku-keycertsign", through(nil, with(limit(0), usage(true, 0x80)), nil), "not_a_ca", found("not_a_ca")},
		{"rfc5280::leaf-ku-keycertsign", direct(nil, with(basic(true, false, -1), usage(true, 0x84))), "", found("ca_leaf")},
		{"rfc5280::ee-aia", direct(nil, with(set(oidAIA, false, location))), "", nil},
		{"rfc5280::ee-critical-aia-invalid", direct(nil, with(set(oidAIA, true, location))), "", found("aia_critical", "malformed_certificate")},
		{"rfc5280::duplicate-extensions", direct(nil, with(twice(oidSAN))), "malformed", found("malformed_certificate")},
		{"rfc5280::no-keyusage", direct(nil, with(drop(oidKeyUsage))), "", nil},
		{"rfc5280::no-basicconstraints", direct(nil, nil), "", nil},
		{"rfc5280::mismatching-signature-algorithm", direct(nil, with(func(s *spec) {
			s.outerAlg = seq(oid("\x2a\x86\x48\xce\x3d\x04\x03\x03"))
		})), "malformed", found("malformed_certificate")},

		{"rfc5280::aki::critical-aki", func(tb testing.TB) given {
			key := newKey(tb)
			root := newRoot(tb, withKey(key), set(oidAKI, true, aki(keyID(spkiOf(tb, key)))))
			return serve(root.leaf()).under(root)
		}, "", found("aki_critical")},
		{"rfc5280::aki::leaf-missing-aki", direct(nil, with(drop(oidAKI))), "", found("aki_missing")},
		{"rfc5280::aki::intermediate-missing-aki", through(nil, with(drop(oidAKI)), nil), "", found("aki_missing")},
		{"rfc5280::aki::self-signed-root-missing-aki", direct(with(drop(oidAKI)), nil), "", nil},
		{"rfc5280::aki::cross-signed-root-missing-aki", func(tb testing.TB) given {
			cross := newRoot(tb).ca(drop(oidAKI))
			return serve(cross.leaf()).under(cross)
		}, "", found("aki_missing")},
		{"rfc5280::ski::critical-ski", direct(with(mark(oidSKI, true)), nil), "", found("ski_critical")},
		{"rfc5280::ski::root-missing-ski", direct(with(drop(oidSKI)), nil), "", found("ski_missing")},
		{"rfc5280::ski::intermediate-missing-ski", through(nil, with(drop(oidSKI)), nil), "", found("ski_missing")},

		{"rfc5280::eku::ee-wrong-eku", direct(nil, with(uses(false, clientAuth))), "bad_eku", found("bad_eku")},
		{"rfc5280::eku::ee-without-eku", direct(nil, with(drop(oidEKU))), "", found("eku_missing")},
		{"own::eku::ica-wrong-eku", through(nil, with(uses(false, clientAuth)), nil), "bad_eku", found("bad_eku")},
		{"rfc5280::pc::ica-noncritical-pc", through(nil, with(set(oidPolicyConstraints, false, seq(der(0x80, "\x03")))), nil), "", found("policy_constraints")},
		{"rfc5280::san::malformed", direct(nil, with(set(oidSAN, false, "example.com"))), "", found("malformed_san")},
		{"rfc5280::san::noncritical-with-empty-subject", direct(nil, with(subject(seq()))), "", found("san_critical")},
		{"rfc5280::san::underscore-dns", as("a_b.example.com", direct(nil, with(subject(dn("a_b.example.com")), names(dns("a_b.example.com"))))), "", found("san_underscore")},
		{"own::san::ip-of-eight-octets", direct(nil, with(names(dns("example.com"), der(0x87, "\xc0\x00\x02\x00\xff\xff\xff\x00")))), "", found("malformed_san")},

		{"rfc5280::serial::too-long", direct(nil, with(serial(new(big.Int).Lsh(big.NewInt(1), 175)))), "", found("bad_serial")},
		{"own::serial::21-octets", direct(nil, with(serial(new(big.Int).Lsh(big.NewInt(1), 159)))), "", found("bad_serial")},
		{"own::serial::20-octets", direct(nil, with(serial(new(big.Int).Lsh(big.NewInt(1), 158)))), "", nil},
		{"rfc5280::serial::zero", direct(nil, with(serial(new(big.Int)))), "", found("bad_serial")},
		{"rfc5280::serial::negative", direct(nil, with(serial(big.NewInt(-5)))), "", found("bad_serial")},

		{"invalid::invalid-issuer-key", func(tb testing.TB) given {
			broken := seq(seq(oid("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"), der(0x05)), der(0x03, "\x00"))
			root := newRoot(tb)
			ca := newRoot(tb).ca(withSPKI(broken))
			return serve(ca.leaf(), ca).under(root)
		}, "unknown_issuer", found("malformed_certificate", "unknown_issuer")},
		{"rfc5280::validity::expired-root", dated(-2000, -1, -1000, 1000, -10, 80, 0), "anchor_expired", found("anchor_expired")},
		{"rfc5280::validity::expired-intermediate", dated(-2000, 2000, -1000, -1, -10, 80, 0), "expired_chain", found("expired")},
		{"rfc5280::validity::expired-leaf", dated(-2000, 2000, -1000, 1000, -80, -1, 0), "", found("expired")},
		{"own::validity::root-not-yet-valid", dated(1, 2000, -1000, 1000, -10, 80, 0), "anchor_expired", found("anchor_expired")},
		{"own::validity::intermediate-not-yet-valid", dated(-2000, 2000, 1, 1000, -10, 80, 0), "expired_chain", found("not_yet_valid")},
		{"own::validity::leaf-not-yet-valid", dated(-2000, 2000, -1000, 1000, 1, 80, 0), "", found("not_yet_valid")},
		{"rfc5280::validity::notbefore-exact", dated(0, 80, 0, 80, 0, 80, 0), "", nil},
		{"rfc5280::validity::notbefore-fractional", dated(0, 80, 0, 80, 0, 80, -time.Millisecond), "", found("not_yet_valid")},
		{"rfc5280::validity::notafter-exact", dated(-80, 0, -80, 0, -80, 0, 0), "", found("expiring")},
		{"rfc5280::validity::notafter-fractional", dated(-80, 0, -80, 0, -80, 0, 5*time.Millisecond), "", found("expiring")},
		{"own::validity::notafter-one-second-past", dated(-80, 0, -80, 0, -80, 0, time.Second), "", found("expired")},
	}
}

// dated is root → intermediate → leaf with the days of validity around now,
// judged so much after it.
func dated(root1, root2, ca1, ca2, leaf1, leaf2 int, after time.Duration) func(testing.TB) given {
	between := func(from, to int) []option {
		return with(valid(now.Add(time.Duration(from)*day), now.Add(time.Duration(to)*day)))
	}
	return func(tb testing.TB) given {
		return through(between(root1, root2), between(ca1, ca2), between(leaf1, leaf2))(tb).when(now.Add(after))
	}
}
