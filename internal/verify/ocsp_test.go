package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// softJudge asks about revocation.
func softJudge(tb testing.TB, stores ...inventory.TrustStore) *verify.Judge {
	tb.Helper()
	return revocationJudge(tb, verify.Options{Stores: stores, Revocation: inventory.RevocationSoft})
}

func revocationJudge(tb testing.TB, opt verify.Options) *verify.Judge {
	tb.Helper()
	j, err := verify.New(opt)
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

func TestOCSP(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca, other := root.ca(t, "CA"), root.ca(t, "Other CA")
	leaf, second := ca.leaf(t), ca.leaf(t)
	delegate := ca.responder(t)
	with := func(changes ...change) *issued { return ca.responder(t, changes...) }
	of := func(s single) []single {
		s.of, s.issuer = leaf, ca
		return []single{s}
	}
	both := func(list ...single) []single {
		for i := range list {
			if list[i].of == nil {
				list[i].of = leaf
			}
			list[i].issuer = ca
		}
		return list
	}
	good, unknown, revoked := single{status: ocspGood}, single{status: ocspUnknown}, single{status: ocspRevoked(now.Add(-2*day), 1)}
	delegated := func(to *issued) response {
		return response{by: to, singles: of(good), certs: []*issued{to}}
	}
	eku := func(usages ...x509.ExtKeyUsage) change {
		return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
	}
	edKey := func() *issued {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := leafTemplate(t)
		c.Subject.CommonName, c.ExtKeyUsage, c.ExtraExtensions = "Ed", []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, nil
		return sign(t, c, ca, key)
	}()
	rsaDelegate := func() *issued {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		c := leafTemplate(t)
		c.Subject.CommonName, c.ExtKeyUsage, c.ExtraExtensions = "RSA", []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, nil
		return sign(t, c, ca, key)
	}()
	scts := []int{1, 3, 6, 1, 4, 1, 11129, 2, 4, 5}

	tests := []struct {
		name string
		r    response
		want string // status and reason
	}{
		// Who signs.
		{"signed by the issuer, by name", response{by: ca, singles: of(good)}, "good"},
		{"signed by the issuer, by key", response{by: ca, byKey: true, singles: of(good)}, "good"},
		{"signed by the issuer, revoked", response{by: ca, singles: of(revoked)}, "revoked keyCompromise"},
		{"signed by the issuer, unknown", response{by: ca, singles: of(unknown)}, "unknown unknown"},
		{"the issuer embeds itself", response{by: ca, singles: of(good), certs: []*issued{ca}}, "good"},
		{"the issuer embeds itself and others", response{by: ca, singles: of(revoked), certs: []*issued{delegate, ca}}, "revoked keyCompromise"},
		{"delegated, by name", response{by: delegate, singles: of(good), certs: []*issued{delegate}}, "good"},
		{"delegated, by key", response{by: delegate, byKey: true, singles: of(revoked), certs: []*issued{delegate}}, "revoked keyCompromise"},
		{"delegated, behind other certificates", response{by: delegate, singles: of(good), certs: []*issued{root, other, second, delegate}}, "good"},
		{"delegated, behind one of the same name", response{by: delegate, singles: of(good), certs: []*issued{with(), delegate}}, "good"},
		{"delegated to Ed25519", response{by: edKey, singles: of(good), certs: []*issued{edKey}}, "good"},
		{"delegated to RSA", response{by: rsaDelegate, singles: of(good), certs: []*issued{rsaDelegate}}, "good"},
		{"delegated, and its certificate is missing", response{by: delegate, singles: of(good)}, "unknown unauthorized_responder"},
		{"delegated without the usage", delegated(with(eku())), "unknown unauthorized_responder"},
		{"delegated by any usage", delegated(with(eku(x509.ExtKeyUsageAny))), "unknown unauthorized_responder"},
		{"delegated by another usage", delegated(with(eku(x509.ExtKeyUsageServerAuth))), "unknown unauthorized_responder"},
		{"delegated by several usages", delegated(with(eku(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageOCSPSigning))), "good"},
		{"delegated, expired", delegated(with(expires(-day))), "unknown unauthorized_responder"},
		{"delegated, not valid yet", delegated(with(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) })), "unknown unauthorized_responder"},
		{"delegated since the response was made", delegated(with(func(c *x509.Certificate) { c.NotBefore = now.Add(-time.Minute) })), "unknown stale"},
		{"delegated without the key usage", delegated(with(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })), "unknown unauthorized_responder"},
		{"delegated without any key usage", delegated(with(func(c *x509.Certificate) { c.KeyUsage = 0 })), "good"},
		{"delegated with an unknown critical extension", delegated(with(extension(true, []byte{5, 0}, 1, 2, 3, 4))), "unknown unauthorized_responder"},
		{"delegated by another CA", delegated(other.responder(t)), "unknown unauthorized_responder"},
		{"delegated by the root", delegated(root.responder(t)), "unknown unauthorized_responder"},
		{"delegated by a CA of the same name", delegated(root.ca(t, "CA").responder(t)), "unknown unauthorized_responder"},
		{"the delegate is not the one that is named", response{by: delegate, named: leaf, singles: of(good), certs: []*issued{delegate}}, "unknown unauthorized_responder"},
		{"signed by another CA", response{by: other, singles: of(good), certs: []*issued{other}}, "unknown unauthorized_responder"},
		{"signed by another CA in the issuer's name", response{by: other, named: ca, singles: of(good)}, "unknown bad_signature"},
		{"signed by the leaf itself", response{by: leaf, singles: of(good), certs: []*issued{leaf}}, "unknown unauthorized_responder"},
		{"the signature is wrong", response{by: ca, singles: of(good), broken: true}, "unknown bad_signature"},
		{"the delegate's signature is wrong", response{by: delegate, singles: of(revoked), certs: []*issued{delegate}, broken: true}, "unknown bad_signature"},
		{"signed with SHA-1", response{by: ca, singles: of(good), sha1: true}, "good"},

		// What it is about.
		{"the CertID is of SHA-256", response{by: ca, singles: of(single{hash: crypto.SHA256})}, "good"},
		{"the CertID is of SHA-384, revoked", response{by: ca, singles: of(single{hash: crypto.SHA384, status: revoked.status})}, "revoked keyCompromise"},
		{"the CertID is of SHA-512", response{by: ca, singles: of(single{hash: crypto.SHA512})}, "good"},
		{"the CertID is of MD5", response{by: ca, singles: of(single{hash: crypto.MD5})}, "unknown other_certificate"},
		{"it is about another serial number", response{by: ca, singles: both(single{of: second})}, "unknown other_certificate"},
		{"it is about another issuer's", response{by: ca, singles: []single{{of: leaf, issuer: other}}}, "unknown other_certificate"},
		{"it is about nothing", response{by: ca}, "unknown other_certificate"},
		{"another certificate is revoked", response{by: ca, singles: both(single{of: second, status: revoked.status}, good)}, "good"},
		{"this certificate is revoked, and another good", response{by: ca, singles: both(single{of: second}, revoked)}, "revoked keyCompromise"},
		{"good and revoked", response{by: ca, singles: both(good, revoked)}, "revoked keyCompromise"},
		{"revoked and good", response{by: ca, singles: both(revoked, good)}, "revoked keyCompromise"},
		{"good and unknown", response{by: ca, singles: both(good, unknown)}, "unknown unknown"},
		{"unknown, good and revoked by another hash", response{by: ca, singles: both(unknown, good, single{hash: crypto.SHA256, status: revoked.status})}, "revoked keyCompromise"},
		{"revoked without a reason", response{by: ca, singles: of(single{status: ocspRevoked(now.Add(-day), -1)})}, "revoked unspecified"},
		{"on hold", response{by: ca, singles: of(single{status: ocspRevoked(now.Add(-day), 6)})}, "revoked certificateHold"},

		// When.
		{"from the future", response{by: ca, singles: of(single{this: now.Add(time.Hour)})}, "unknown not_yet_valid"},
		{"from a clock that is a little ahead", response{by: ca, produced: now.Add(2 * time.Second), singles: of(single{this: now.Add(2 * time.Second)})}, "good"},
		{"to the last second", response{by: ca, singles: of(single{next: now})}, "good"},
		{"a second too late", response{by: ca, singles: of(single{next: now.Add(-time.Second)})}, "unknown stale"},
		{"revoked by what is too old", response{by: ca, singles: of(single{status: revoked.status, next: now.Add(-time.Second)})}, "revoked keyCompromise"},
		{"revoked in the future", response{by: ca, singles: of(single{status: revoked.status, this: now.Add(time.Hour)})}, "unknown not_yet_valid"},
		{"on hold by what is too old", response{by: ca, singles: of(single{status: ocspRevoked(now.Add(-3*day), 6), next: now.Add(-time.Second)})}, "unknown stale"},
		{"unknown by what is too old", response{by: ca, singles: of(single{status: ocspUnknown, next: now.Add(-time.Second)})}, "unknown stale"},
		{"nine days old", response{by: ca, produced: now.Add(-9 * day), singles: of(single{this: now.Add(-9 * day)})}, "good"},
		{"eleven days old", response{by: ca, produced: now.Add(-9 * day), singles: of(single{this: now.Add(-11 * day)})}, "unknown stale"},
		{"without an end, of today", response{by: ca, singles: of(single{noNext: true})}, "good"},
		{"without an end, revoked", response{by: ca, singles: of(single{noNext: true, status: revoked.status})}, "revoked keyCompromise"},
		{"without an end, eight days old", response{by: ca, produced: now.Add(-8 * day), singles: of(single{this: now.Add(-8 * day), noNext: true})}, "unknown stale"},
		{"it ends before it begins", response{by: ca, singles: of(single{this: now.Add(30 * time.Second), next: now.Add(20 * time.Second)})}, "unknown malformed"},
		{"an old one beside a new one", response{by: ca, singles: both(single{this: now.Add(-5 * day), next: now.Add(-day)}, good)}, "good"},
		{"produced in the future", response{by: ca, produced: now.Add(time.Hour), singles: of(good)}, "unknown not_yet_valid"},
		{"produced before the certificate", response{by: ca, produced: now.Add(-11 * day), singles: of(good)}, "unknown stale"},

		// Extensions.
		{"an extension", response{by: ca, singles: of(good), extensions: [][]byte{ocspExtension(t, false, []byte{5, 0}, 1, 2, 3)}}, "good"},
		{"a critical extension", response{by: ca, singles: of(good), extensions: [][]byte{ocspExtension(t, true, []byte{5, 0}, 1, 2, 3)}}, "unknown unhandled_critical"},
		{"a critical extension of a revocation", response{by: ca, singles: of(revoked), extensions: [][]byte{ocspExtension(t, true, []byte{5, 0}, 1, 2, 3)}}, "unknown unhandled_critical"},
		{"a single extension", response{by: ca, singles: of(single{extensions: [][]byte{ocspExtension(t, false, []byte{5, 0}, 1, 2, 3)}})}, "good"},
		{"a critical single extension", response{by: ca, singles: of(single{extensions: [][]byte{ocspExtension(t, true, []byte{5, 0}, 1, 2, 3)}})}, "unknown unhandled_critical"},
		{"a critical single extension for another", response{by: ca, singles: both(single{of: second, extensions: [][]byte{ocspExtension(t, true, []byte{5, 0}, 1, 2, 3)}}, good)}, "good"},
		{"critical SCTs", response{by: ca, singles: of(single{extensions: [][]byte{ocspExtension(t, true, []byte{4, 0}, scts...)}})}, "good"},
		{"an extension twice", response{by: ca, singles: of(good), extensions: [][]byte{ocspExtension(t, false, nil, 1, 2, 3), ocspExtension(t, false, nil, 1, 2, 3)}}, "unknown malformed"},

		// No answer, or none that can be read.
		{"malformedRequest", response{status: 1}, "unknown malformed_request"},
		{"internalError", response{status: 2}, "unknown internal_error"},
		{"tryLater", response{status: 3}, "unknown try_later"},
		{"sigRequired", response{status: 5}, "unknown signature_required"},
		{"unauthorized", response{status: 6}, "unknown unauthorized"},
		{"a status that there is not", response{status: 17}, "unknown malformed"},
		{"of another type", response{by: ca, singles: of(good), kind: []int{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}}, "unknown unsupported"},
		{"version 1, spelled out", response{by: ca, singles: of(good), version: tlv(0xa0, tlv(0x02, []byte{0}))}, "good"},
		{"version 2", response{by: ca, singles: of(good), version: tlv(0xa0, tlv(0x02, []byte{1}))}, "unknown malformed"},
		{"trailing octets", response{by: ca, singles: of(good), after: []byte{5, 0}}, "unknown malformed"},
		{"an error and trailing octets", response{status: 3, after: []byte{0}}, "unknown malformed"},
		{"trailing octets after the certificates", response{by: ca, singles: of(good), more: tlv(0x05)}, "unknown malformed"},
		{"trailing octets inside", response{by: ca, singles: of(good), edit: func(b []byte) []byte { return tlv(0x30, b[content(b):], tlv(0x05)) }}, "unknown malformed"},
		{"a length that is not DER", response{by: ca, singles: of(good), edit: func(b []byte) []byte {
			return append([]byte{0x30, 0x83, 0, b[2], b[3]}, b[content(b):]...)
		}}, "unknown malformed"},
		{"a time in minutes", response{by: ca, singles: of(good), edit: func(b []byte) []byte {
			return bytes.Replace(b, []byte(now.Add(-time.Hour).Format("20060102150405Z")), []byte("202611220700+00"), 1)
		}}, "unknown malformed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := factsOf(ders(leaf, ca))
			f.Observation.Staple = tt.r.der(t)
			j := softJudge(t, storeOf("test", false, root))
			got, _ := j.Judge(f, nil, now)
			v := got.Verdict.Revocation
			if have := strings.TrimSpace(v.Status + " " + v.Reason); have != tt.want {
				t.Errorf("verdict = %q, want %q (%s)", have, tt.want, v.Detail)
			}
			if v.Status == inventory.RevocationRevoked && v.RevokedAt.IsZero() {
				t.Error("revoked, but nobody knows when")
			}
			if again, _ := j.Judge(f, nil, now); again.Verdict.Revocation.Status != v.Status {
				t.Errorf("judged again: %q", again.Verdict.Revocation.Status)
			}
		})
	}
}

// content is where the content of the element b begins.
func content(b []byte) int {
	if b[1] < 0x80 {
		return 2
	}
	return 2 + int(b[1]&0x7f)
}

// No octet of a response can be changed, left out or doubled so that it says the
// opposite.
func TestOCSPMutations(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	leaf, delegate := root.leaf(t), root.responder(t)
	j := softJudge(t, storeOf("test", false, root))
	f := factsOf(ders(leaf))
	for status, opposite := range map[string]string{"good": "revoked", "revoked": "good"} {
		s := single{of: leaf, issuer: root}
		if status == "revoked" {
			s.status = ocspRevoked(now.Add(-day), 1)
		}
		der := response{by: delegate, singles: []single{s}, certs: []*issued{delegate}}.der(t)
		for i := range der {
			for _, changed := range [][]byte{
				bytes.Join([][]byte{der[:i], {der[i] ^ 1}, der[i+1:]}, nil),
				bytes.Join([][]byte{der[:i], {der[i] ^ 0x80}, der[i+1:]}, nil),
				bytes.Join([][]byte{der[:i], der[i+1:]}, nil),
				bytes.Join([][]byte{der[:i+1], der[i:]}, nil),
				der[:i],
			} {
				f.Observation.Staple = changed
				got, _ := j.Judge(f, nil, now)
				if v := got.Verdict.Revocation; v.Status == opposite || v.Status == "unknown" && v.Reason == "" {
					t.Fatalf("%s, changed at octet %d: %s %s", status, i, v.Status, v.Reason)
				}
			}
		}
	}
}

// Who can forge a signature with SHA-1 must not become a responder.
func TestOCSPResponderSignedWithSHA1(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	root := sign(t, caTemplate(t, "RSA Root"), nil, key)
	leaf := root.leaf(t)
	for weak, want := range map[bool]string{false: "good", true: "unauthorized_responder"} {
		delegate := root.responder(t)
		if weak {
			delegate.Raw = resign(t, delegate.Raw, key, true)
		}
		f := factsOf(ders(leaf))
		f.Observation.Staple = response{by: delegate, singles: []single{{of: leaf, issuer: root}}, certs: []*issued{delegate}}.der(t)
		got, _ := softJudge(t, storeOf("test", false, root)).Judge(f, nil, now)
		if v := got.Verdict.Revocation; v.Reason != want && v.Status != want {
			t.Errorf("SHA-1 %v: %s %s, want %s", weak, v.Status, v.Reason, want)
		}
	}
}

// FuzzOCSP looks for responses that are read and should not be: an octet that
// the signature covers cannot change without it.
func FuzzOCSP(f *testing.F) {
	root := newRoot(f, "Root")
	leaf := root.leaf(f)
	delegate := root.responder(f)
	single := []single{{of: leaf, issuer: root}}
	good := response{by: root, singles: single}.der(f)
	f.Add(good)
	f.Add(response{by: delegate, byKey: true, singles: single, certs: []*issued{delegate}}.der(f))
	f.Add(response{status: 6}.der(f))
	j := softJudge(f, storeOf("test", false, root))
	f.Fuzz(func(t *testing.T, der []byte) {
		facts := factsOf(ders(leaf))
		facts.Observation.Staple = der
		got, _ := j.Judge(facts, nil, now)
		v := got.Verdict.Revocation
		switch {
		case len(der) == 0:
		case v.Status == inventory.RevocationRevoked:
			t.Errorf("revoked, and nobody signed that: %x", der)
		case v.Status == inventory.RevocationUnknown && v.Reason == "":
			t.Errorf("unknown without a reason: %x", der)
		}
	})
}
