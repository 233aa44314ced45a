package conformance_test

import (
	"math/big"
	"testing"
)

// rsaKey makes an RSA key, once for a certificate.
func rsaKey(tb testing.TB, bits int) option {
	tb.Helper()
	return withKey(newRSA(tb, bits))
}

// curveKey is a SubjectPublicKeyInfo on a named curve, by its identifier.
func curveKey(curve string, octets int) option {
	return withSPKI(seq(seq(oid("\x2a\x86\x48\xce\x3d\x02\x01"), oid(curve)), der(0x03, "\x00\x04"+string(make([]byte, octets)))))
}

// dsaKey is a SubjectPublicKeyInfo of a DSA key of the size.
func dsaKey(tb testing.TB, bits uint) option {
	tb.Helper()
	n := integer(tb, new(big.Int).SetBit(big.NewInt(1), int(bits-1), 1))
	params := seq(n, integer(tb, big.NewInt(7)), integer(tb, big.NewInt(2)))
	return withSPKI(seq(seq(oid("\x2a\x86\x48\xce\x38\x04\x01"), params), der(0x03, "\x00"+n)))
}

// webpkiCases are the profile of the Baseline Requirements, names aside.
func webpkiCases() []limboCase {
	key := func(make func(testing.TB) option, inRoot bool) func(testing.TB) given {
		return func(tb testing.TB) given {
			if inRoot {
				return direct(with(make(tb)), nil)(tb)
			}
			return direct(nil, with(make(tb)))(tb)
		}
	}
	rsa := func(bits int) func(testing.TB) option {
		return func(tb testing.TB) option { return rsaKey(tb, bits) }
	}
	// rootAKI is a root whose authorityKeyIdentifier has the fields.
	rootAKI := func(fields func(id string) string) func(testing.TB) given {
		return func(tb testing.TB) given {
			k := newKey(tb)
			root := newRoot(tb, withKey(k), set(oidAKI, false, seq(fields(keyID(spkiOf(tb, k))))))
			return serve(root.leaf()).under(root)
		}
	}
	authority := der(0xa1, dir(dn("myCN")))
	const p192 = "\x2a\x86\x48\xce\x3d\x03\x01\x01"
	eku := func(ids ...string) func(testing.TB) given { return direct(nil, with(uses(false, ids...))) }
	return []limboCase{
		{"webpki::aki::root-with-aki-missing-keyidentifier", rootAKI(func(string) string { return "" }), "", found("root_aki")},
		{"webpki::aki::root-with-aki-authoritycertissuer", rootAKI(func(id string) string { return der(0x80, id) + authority }), "", found("aki_issuer")},
		{"webpki::aki::root-with-aki-authoritycertserialnumber", rootAKI(func(id string) string { return der(0x80, id) + der(0x82, "\x04\xd2") }), "", found("aki_issuer")},
		{"webpki::aki::root-with-aki-all-fields", rootAKI(func(id string) string { return der(0x80, id) + authority + der(0x82, "\x04\xd2") }), "", found("aki_issuer")},
		{"webpki::aki::root-with-aki-ski-mismatch", rootAKI(func(string) string { return der(0x80, "another") }), "", found("root_aki")},

		{"webpki::eku::ee-anyeku", eku(serverAuth, anyUse), "", found("eku_any")},
		{"webpki::eku::ee-empty", eku(), "bad_eku", found("bad_eku", "eku_missing")},
		{"webpki::eku::ee-critical-eku", direct(nil, with(uses(true, serverAuth))), "", found("eku_critical")},
		{"webpki::eku::ee-without-eku", direct(nil, with(drop(oidEKU))), "", found("eku_missing")},
		{"webpki::eku::root-has-eku", direct(with(uses(false, serverAuth)), nil), "", found("root_eku")},
		{"webpki::eku::ee-clientauth-only", eku(clientAuth), "bad_eku", found("bad_eku")},
		{"webpki::eku::ee-precertificate-only", eku(precertSigning), "bad_eku", found("bad_eku", "eku_forbidden")},
		{"webpki::eku::ee-precertificate-with-serverauth", eku(serverAuth, precertSigning), "", found("eku_forbidden")},
		{"webpki::eku::ee-serverauth-with-additional", eku(serverAuth, clientAuth), "", found("eku_client_auth")},
		{"webpki::eku::ee-codesigning-with-serverauth", eku(serverAuth, codeSigning), "", found("eku_forbidden")},
		{"webpki::eku::ee-emailprotection-with-serverauth", eku(serverAuth, emailUse), "", found("eku_forbidden")},
		{"webpki::eku::ee-timestamping-with-serverauth", eku(serverAuth, timeStamping), "", found("eku_forbidden")},
		{"webpki::eku::ee-ocspsigning-with-serverauth", eku(serverAuth, ocspSigning), "", found("eku_forbidden")},

		{"webpki::ku::ee-rsa-without-any-usages", func(tb testing.TB) given {
			return direct(nil, with(rsaKey(tb, 2048), usage(true, 0)))(tb)
		}, "", found("key_usage")},
		{"own::ku::ee-ecdsa-with-key-encipherment", direct(nil, with(usage(true, 0xa0))), "", found("key_usage")},
		{"own::ku::ee-rsa-with-both-usages", func(tb testing.TB) given {
			return direct(nil, with(rsaKey(tb, 2048), usage(true, 0xa0)))(tb)
		}, "", nil},
		{"own::ku::ee-not-critical", direct(nil, with(usage(false, 0x80))), "", found("key_usage_critical")},
		{"own::ku::ca-not-critical", through(nil, with(usage(false, 0x06)), nil), "", found("ca_key_usage_critical")},
		{"own::ku::ca-without", through(nil, with(drop(oidKeyUsage)), nil), "", found("ca_key_usage")},

		{"webpki::forbidden-weak-rsa-key-in-leaf", key(rsa(1024), false), "", found("weak_key")},
		{"webpki::forbidden-weak-rsa-in-root", key(rsa(1024), true), "", found("root_key")},
		{"webpki::forbidden-rsa-not-divisable-by-8-in-leaf", key(rsa(2052), false), "", found("rsa_modulus")},
		{"webpki::forbidden-rsa-key-not-divisable-by-8-in-root", key(rsa(2052), true), "", found("rsa_modulus")},
		{"webpki::forbidden-p192-leaf", key(func(testing.TB) option { return curveKey(p192, 48) }, false), "", found("weak_key")},
		{"webpki::forbidden-p192-root", key(func(testing.TB) option { return curveKey(p192, 48) }, true), "unknown_issuer", found("unknown_issuer")},
		{"webpki::forbidden-dsa-leaf", key(func(tb testing.TB) option { return dsaKey(tb, 3072) }, false), "", found("forbidden_key")},
		{"webpki::forbidden-dsa-root", key(func(tb testing.TB) option { return dsaKey(tb, 3072) }, true), "unknown_issuer", found("unknown_issuer")},
		{"own::forbidden-secp256k1-leaf", key(func(testing.TB) option { return curveKey("\x2b\x81\x04\x00\x0a", 64) }, false), "", found("forbidden_key")},
		{"webpki::explicit-curve", key(func(testing.TB) option {
			return withSPKI(seq(seq(oid("\x2a\x86\x48\xce\x3d\x02\x01"), seq(der(0x02, "\x01"))), der(0x03, "\x00\x04"+string(make([]byte, 64)))))
		}, false), "", found("malformed_certificate")},

		{"webpki::v1-cert", direct(nil, with(func(s *spec) { s.version, s.bare = 1, true })), "", found("aki_missing", "eku_missing", "no_san", "version")},
		{"webpki::ee-basicconstraints-ca", direct(nil, with(limit(-1))), "", found("ca_leaf")},
		{"webpki::ca-as-leaf", func(tb testing.TB) given {
			root := newRoot(tb)
			return serve(root.ca(names(dns("example.com")), subject(dn("example.com")))).under(root)
		}, "", found("ca_leaf", "eku_missing", "key_usage", "validity_too_long")},
		{"webpki::malformed-aia", direct(nil, with(set(oidAIA, false, "malformed"))), "", found("malformed_certificate")},
	}
}
