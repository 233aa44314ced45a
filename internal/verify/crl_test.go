package verify_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/crl"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// A crlCase is one list and one certificate, and what the first says of the
// other.
type crlCase struct {
	name string
	list list // issued by the intermediate, unless it says by whom
	leaf *issued
	want string // "good", "revoked keyCompromise" or "unknown stale"

	about  *issued   // the intermediate above the leaf to ask about instead
	served []*issued // above the leaf; the intermediate if nil
}

// TestCRL judges lists by the rules of RFC 5280, section 6.3.3, and of the
// Baseline Requirements: in each group what is good, what is revoked, and what
// is not known.
func TestCRL(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA", pointsTo("http://crl.example/root.crl"))
	for group, cases := range map[string][]crlCase{
		"status":      crlStatus(t, ca),
		"time":        crlTime(t, root, ca),
		"points":      crlPoints(t, ca),
		"scope":       crlScope(t, root, ca),
		"unsupported": crlUnsupported(t, ca),
		"extensions":  crlExtensions(t, ca),
		"signers":     crlSigners(t, root, ca),
	} {
		for _, tt := range cases {
			t.Run(group+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				if tt.list.by == nil {
					tt.list.by = ca
				}
				chain := []*issued{tt.leaf}
				if tt.served == nil {
					chain = append(chain, ca)
				}
				chain = append(chain, tt.served...)
				if got := crlAnswer(t, root, chain, tt.about, tt.list.read(t)); got.text() != tt.want {
					t.Errorf("%s (%s), want %s", got.text(), got.Detail, tt.want)
				}
			})
		}
	}
}

type crlResult struct{ inventory.RevocationAnswer }

func (r crlResult) text() string {
	if r.Reason == "" {
		return r.Status
	}
	return r.Status + " " + r.Reason
}

// crlAnswer is what the judge has from the list about the leaf, or about a
// certificate above it.
func crlAnswer(t *testing.T, root *issued, chain []*issued, about *issued, list *inventory.CRL) crlResult {
	t.Helper()
	j, err := verify.New(verify.Options{Stores: []inventory.TrustStore{storeOf("test", false, root)}, Revocation: inventory.RevocationSoft})
	if err != nil {
		t.Fatal(err)
	}
	f := factsOf(ders(chain...))
	f.Given.CRLs = []*inventory.CRL{list}
	got, _ := j.Judge(f, nil, now)
	answers := got.Verdict.Revocation.Answers
	if about != nil {
		answers = nil
		for _, i := range got.Verdict.Revocation.Intermediates {
			if i.SHA256 == inventory.FingerprintOf(about.Raw) {
				answers = i.Answers
			}
		}
	}
	if len(answers) == 0 || answers[0].Source != inventory.SourceCRL {
		t.Fatalf("no answer of a list among %+v", got.Verdict.Revocation)
	}
	return crlResult{answers[0]}
}

func crlStatus(t *testing.T, ca *issued) []crlCase {
	leaf, other := ca.leaf(t), ca.leaf(t)
	others := [][]byte{entryOf(other, reasonOf(1))}
	cases := []crlCase{
		{name: "an empty list is good", leaf: leaf, want: "good"},
		{name: "a list of others is good", leaf: leaf, list: list{entries: others}, want: "good"},
		{name: "listed without a reason", leaf: leaf, list: list{entries: [][]byte{entryOf(leaf)}}, want: "revoked unspecified"},
		{name: "listed between others", leaf: leaf, list: list{entries: append(others, entryOf(leaf, reasonOf(4)), entryOf(ca))}, want: "revoked superseded"},
		{name: "on hold is revoked", leaf: leaf, list: list{entries: [][]byte{entryOf(leaf, reasonOf(6))}}, want: "revoked certificateHold"},
		{name: "removed, which only a delta list may say", leaf: leaf, list: list{entries: [][]byte{entryOf(leaf, reasonOf(8))}}, want: "unknown malformed"},
		{name: "somebody else on hold", leaf: leaf, list: list{entries: [][]byte{entryOf(other, reasonOf(6))}}, want: "good"},
	}
	for code, reason := range map[byte]string{
		0: "unspecified", 1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 5: "cessationOfOperation", 9: "privilegeWithdrawn", 10: "aACompromise",
	} {
		cases = append(cases, crlCase{name: reason, leaf: leaf, list: list{entries: [][]byte{entryOf(leaf, reasonOf(code))}}, want: "revoked " + reason})
	}
	return cases
}

func crlTime(t *testing.T, root, ca *issued) []crlCase {
	leaf := ca.leaf(t)
	listed, held := [][]byte{entryOf(leaf, reasonOf(1))}, [][]byte{entryOf(leaf, reasonOf(6))}
	at := func(this, next time.Duration, entries [][]byte) list {
		return list{this: now.Add(this), next: now.Add(next), entries: entries}
	}
	without := func(this time.Duration, entries [][]byte) list {
		return list{this: now.Add(this), noNext: true, entries: entries}
	}
	return []crlCase{
		{name: "in its last second", leaf: leaf, list: at(-7*day, 0, nil), want: "good"},
		{name: "after nextUpdate", leaf: leaf, list: at(-7*day, -time.Second, nil), want: "unknown stale"},
		{name: "revoked outlives nextUpdate", leaf: leaf, list: at(-70*day, -63*day, listed), want: "revoked keyCompromise"},
		{name: "a hold does not outlive nextUpdate", leaf: leaf, list: at(-7*day, -time.Second, held), want: "unknown stale"},
		{name: "of tomorrow", leaf: leaf, list: at(day, 8*day, nil), want: "unknown not_yet_valid"},
		{name: "of tomorrow, and listed", leaf: leaf, list: at(day, 8*day, listed), want: "unknown not_yet_valid"},
		{name: "a clock that is half a minute ahead", leaf: leaf, list: at(30*time.Second, 7*day, nil), want: "good"},
		{name: "without nextUpdate, of a week ago", leaf: leaf, list: without(-7*day, nil), want: "good"},
		{name: "without nextUpdate, older", leaf: leaf, list: without(-7*day-time.Second, nil), want: "unknown stale"},
		{name: "without nextUpdate, listed", leaf: leaf, list: without(-8*day, listed), want: "revoked keyCompromise"},
		{name: "without nextUpdate, on hold", leaf: leaf, list: without(-day, held), want: "revoked certificateHold"},
		{name: "of a private authority, for a month", leaf: leaf, list: at(-20*day, 10*day, nil), want: "good"},
		{name: "for a quarter, of six days ago", leaf: leaf, list: at(-6*day, 86*day, nil), want: "good"},
		{name: "for a quarter, of eight days ago", leaf: leaf, list: at(-8*day, 84*day, nil), want: "unknown stale"},
		{name: "for a quarter, of eight days ago, listed", leaf: leaf, list: at(-8*day, 84*day, listed), want: "revoked keyCompromise"},
		{name: "of a root, for a year, of ten months ago", leaf: leaf, about: ca, list: with(at(-300*day, 65*day, nil), root), want: "good"},
		{name: "of a root, for ten years, of two years ago", leaf: leaf, about: ca, list: with(at(-730*day, 3000*day, nil), root), want: "unknown stale"},
		{name: "of a root, without nextUpdate, of a month ago", leaf: leaf, about: ca, list: with(without(-30*day, nil), root), want: "unknown stale"},
		{name: "of a root, revoked two years ago", leaf: leaf, about: ca, list: with(at(-730*day, -365*day, [][]byte{entryOf(ca, reasonOf(2))}), root), want: "revoked cACompromise"},
	}
}

func with(l list, by *issued) list { l.by = by; return l }

// distribution is a CRLDistributionPoints extension of one point.
func distribution(fields ...[]byte) change {
	return extension(false, tlv(0x30, tlv(0x30, fields...)), 2, 5, 29, 31)
}

func crlPoints(t *testing.T, ca *issued) []crlCase {
	const here, there = "http://crl.example/1.crl", "http://crl.example/2.crl"
	leaf, none, two := ca.leaf(t, pointsTo(here)), ca.leaf(t), ca.leaf(t, pointsTo("ldap://crl.example/cn=CA", here))
	commonName := func(s string) []byte {
		return tlv(0x31, tlv(0x30, tlv(0x06, []byte{0x55, 4, 3}), tlv(0x0c, []byte(s))))
	}
	partition := func(s string) []byte { return tlv(0x30, tlv(0x06, []byte{0x55, 4, 3}), tlv(0x0c, []byte(s))) }
	relative := ca.leaf(t, distribution(tlv(0xa0, tlv(0xa1, partition("p1")))))
	var rdns []byte
	for _, b := range [][]byte{ca.RawSubject[2:], commonName("P1")} {
		rdns = append(rdns, b...)
	}
	entryOfDirectory := tlv(0xa4, tlv(0x30, rdns))
	directory := ca.leaf(t, distribution(fullName(entryOfDirectory)))
	of := func(idp []byte, entries ...[]byte) list { return list{extensions: [][]byte{idp}, entries: entries} }
	uri := func(s ...string) []byte {
		var names [][]byte
		for _, u := range s {
			names = append(names, generalURI(u))
		}
		return fullName(names...)
	}
	return []crlCase{
		{name: "the same address", leaf: leaf, list: of(scope(uri(here))), want: "good"},
		{name: "the same address, listed", leaf: leaf, list: of(scope(uri(here)), entryOf(leaf)), want: "revoked unspecified"},
		{name: "one of several addresses", leaf: leaf, list: of(scope(uri(there, here))), want: "good"},
		{name: "one of the certificate's addresses", leaf: two, list: of(scope(uri(here))), want: "good"},
		{name: "an address among other names", leaf: leaf, list: of(scope(fullName(tlv(0x81, []byte("a@crl.example")), generalURI(here)))), want: "good"},
		{name: "another address", leaf: leaf, list: of(scope(uri(there))), want: "unknown idp_mismatch"},
		{name: "another address, listed", leaf: leaf, list: of(scope(uri(there)), entryOf(leaf)), want: "revoked unspecified"},
		{name: "another address, not critical", leaf: leaf, list: of(listExtension(28, false, tlv(0x30, uri(there)))), want: "unknown idp_mismatch"},
		{name: "the same address in capitals", leaf: leaf, list: of(scope(uri("http://CRL.example/1.crl"))), want: "unknown idp_mismatch"},
		{name: "the same address, escaped", leaf: leaf, list: of(scope(uri("http://crl.example/%31.crl"))), want: "unknown idp_mismatch"},
		{name: "the address as another kind of name", leaf: leaf, list: of(scope(fullName(tlv(0x82, []byte(here))))), want: "unknown idp_mismatch"},
		{name: "an address, and the certificate points nowhere", leaf: none, list: of(scope(uri(here))), want: "unknown idp_mismatch"},
		{name: "the issuer's entry, and the certificate points nowhere", leaf: none, list: of(scope(fullName(tlv(0xa4, ca.RawSubject)))), want: "good"},
		{name: "the issuer's entry, and the certificate points elsewhere", leaf: leaf, list: of(scope(fullName(tlv(0xa4, ca.RawSubject)))), want: "unknown idp_mismatch"},
		{name: "no name at all, for a certificate that points", leaf: leaf, list: of(scope(onlyUser)), want: "good"},
		{name: "without a scope, for a certificate that points elsewhere", leaf: leaf, want: "good"},
		{name: "the same relative name", leaf: relative, list: of(scope(tlv(0xa0, tlv(0xa1, partition("P1"))))), want: "good"},
		{name: "the same relative name, listed", leaf: relative, list: of(scope(tlv(0xa0, tlv(0xa1, partition("p1")))), entryOf(relative)), want: "revoked unspecified"},
		{name: "another relative name", leaf: relative, list: of(scope(tlv(0xa0, tlv(0xa1, partition("p2"))))), want: "unknown idp_mismatch"},
		{name: "a relative and a full name", leaf: relative, list: of(scope(fullName(entryOfDirectory))), want: "good"},
		{name: "a full and a relative name", leaf: directory, list: of(scope(tlv(0xa0, tlv(0xa1, partition("p1"))))), want: "good"},
	}
}

func crlScope(t *testing.T, root, ca *issued) []crlCase {
	const here = "http://crl.example/1.crl"
	leaf := ca.leaf(t, pointsTo(here))
	old := ofVersion1(t, ca.leaf(t), ca)
	of := func(by *issued, fields ...[]byte) list { return list{by: by, extensions: [][]byte{scope(fields...)}} }
	listed := func(l list, c *issued) list { l.entries = [][]byte{entryOf(c)}; return l }
	return []crlCase{
		{name: "users, for a user", leaf: leaf, list: of(ca, onlyUser), want: "good"},
		{name: "users, for a revoked user", leaf: leaf, list: listed(of(ca, onlyUser), leaf), want: "revoked unspecified"},
		{name: "users at the same address", leaf: leaf, list: of(ca, fullName(generalURI(here)), onlyUser), want: "good"},
		{name: "CAs, for a user", leaf: leaf, list: of(ca, onlyCA), want: "unknown out_of_scope"},
		{name: "CAs, for a listed user", leaf: leaf, list: listed(of(ca, onlyCA), leaf), want: "revoked unspecified"},
		{name: "CAs at the same address, for a user", leaf: leaf, list: of(ca, fullName(generalURI(here)), onlyCA), want: "unknown out_of_scope"},
		{name: "CAs, for a CA", leaf: leaf, about: ca, list: of(root, onlyCA), want: "good"},
		{name: "CAs, for a revoked CA", leaf: leaf, about: ca, list: listed(of(root, onlyCA), ca), want: "revoked unspecified"},
		{name: "users, for a CA", leaf: leaf, about: ca, list: of(root, onlyUser), want: "unknown out_of_scope"},
		{name: "users, for a revoked CA", leaf: leaf, about: ca, list: listed(of(root, onlyUser), ca), want: "revoked unspecified"},
		{name: "both users and CAs, listed", leaf: leaf, list: listed(of(ca, onlyUser, onlyCA), leaf), want: "revoked unspecified"},
		{name: "attributes, which have serial numbers of their own", leaf: leaf, list: listed(of(ca, onlyAttributes), leaf), want: "unknown out_of_scope"},
		{name: "attributes", leaf: leaf, list: of(ca, onlyAttributes), want: "unknown out_of_scope"},
		{name: "both users and CAs", leaf: leaf, list: of(ca, onlyUser, onlyCA), want: "unknown malformed"},
		{name: "both users and attributes", leaf: leaf, list: of(ca, onlyUser, onlyAttributes), want: "unknown malformed"},
		{name: "users, for a certificate too old to say what it is", leaf: old, list: of(ca, onlyUser), want: "unknown out_of_scope"},
	}
}

func crlUnsupported(t *testing.T, ca *issued) []crlCase {
	const here = "http://crl.example/1.crl"
	leaf := ca.leaf(t, pointsTo(here))
	point := fullName(generalURI(here))
	others := ca.leaf(t, distribution(point, tlv(0xa2, tlv(0xa4, ca.RawSubject))))
	some := ca.leaf(t, distribution(point, tlv(0x81, []byte{1, 0x40})))
	either := ca.leaf(t, extension(false, tlv(0x30, tlv(0x30, point, tlv(0x81, []byte{1, 0x40})), tlv(0x30, point)), 2, 5, 29, 31))
	const there = "http://crl.example/2.crl"
	apart := ca.leaf(t, extension(false, tlv(0x30, tlv(0x30, point, tlv(0x81, []byte{1, 0x40})), tlv(0x30, fullName(generalURI(there)))), 2, 5, 29, 31))
	other := ca.leaf(t)
	certificateIssuer := func(name []byte) []byte { return listExtension(29, true, tlv(0x30, tlv(0xa4, name))) }
	byOther, byUs := certificateIssuer(newRoot(t, "Stranger").RawSubject), certificateIssuer(ca.RawSubject)
	delta := listExtension(27, true, tlv(0x02, []byte{1}))
	of := func(e []byte, entries ...[]byte) list { return list{extensions: [][]byte{e}, entries: entries} }
	return []crlCase{
		{name: "an indirect list", leaf: leaf, list: of(scope(point, indirect)), want: "unknown unsupported_crl"},
		{name: "an indirect list, listed", leaf: leaf, list: of(scope(point, indirect), entryOf(leaf)), want: "revoked unspecified"},
		{name: "an indirect list with the certificate of another issuer", leaf: leaf, list: of(scope(point, indirect), entryOf(leaf, byOther)), want: "unknown unsupported_crl"},
		{name: "an indirect list, listed after that of another issuer", leaf: leaf, list: of(scope(point, indirect), entryOf(other, byOther), entryOf(leaf)), want: "unknown unsupported_crl"},
		{name: "an indirect list, listed after that of another issuer and by name", leaf: leaf, list: of(scope(point, indirect), entryOf(other, byOther), entryOf(leaf, byUs)), want: "revoked unspecified"},
		{name: "a list for some reasons", leaf: leaf, list: of(scope(point, someReasons)), want: "unknown unsupported_crl"},
		{name: "a list for some reasons, listed", leaf: leaf, list: of(scope(point, someReasons), entryOf(leaf)), want: "revoked unspecified"},
		{name: "a delta list", leaf: leaf, list: of(delta), want: "unknown unsupported_crl"},
		{name: "a delta list, listed", leaf: leaf, list: of(delta, entryOf(leaf)), want: "revoked unspecified"},
		{name: "a delta list, taken back", leaf: leaf, list: of(delta, entryOf(leaf, reasonOf(8))), want: "unknown unsupported_crl"},
		{name: "a delta list that is not marked critical", leaf: leaf, list: of(listExtension(27, false, tlv(0x02, []byte{1}))), want: "unknown unsupported_crl"},
		{name: "the certificate names another issuer of lists", leaf: others, want: "unknown unsupported_crl"},
		{name: "the certificate names another issuer of lists, listed", leaf: others, list: list{entries: [][]byte{entryOf(others)}}, want: "revoked unspecified"},
		{name: "the certificate names a list for some reasons, listed", leaf: some, list: list{entries: [][]byte{entryOf(some)}}, want: "revoked unspecified"},
		{name: "the certificate names a list for some reasons", leaf: some, want: "unknown unsupported_crl"},
		{name: "the certificate names another list too", leaf: either, list: of(scope(point)), want: "good"},
		{name: "the list is the one for some reasons of two", leaf: apart, list: of(scope(point)), want: "unknown idp_mismatch"},
		{name: "the certificate names another list too, revoked", leaf: either, list: of(scope(point), entryOf(either)), want: "revoked unspecified"},
	}
}

func crlExtensions(t *testing.T, ca *issued) []crlCase {
	leaf, other := ca.leaf(t), ca.leaf(t)
	keyID := listExtension(35, false, tlv(0x30, tlv(0x80, ca.SubjectKeyId)))
	critical := [][]byte{unknownExtension(t, true)}
	listed := [][]byte{entryOf(leaf)}
	return []crlCase{
		{name: "an unknown one", leaf: leaf, list: list{extensions: [][]byte{unknownExtension(t, false)}}, want: "good"},
		{name: "an unknown one of the entry", leaf: leaf, list: list{entries: [][]byte{entryOf(leaf, unknownExtension(t, false))}}, want: "revoked unspecified"},
		{name: "an unknown critical one", leaf: leaf, list: list{extensions: critical}, want: "unknown unhandled_critical"},
		{name: "an unknown critical one, listed", leaf: leaf, list: list{extensions: critical, entries: listed}, want: "revoked unspecified"},
		{name: "an unknown critical one of somebody else's entry", leaf: leaf, list: list{entries: [][]byte{entryOf(other, unknownExtension(t, true))}}, want: "unknown unhandled_critical"},
		{name: "an unknown critical one of an entry after ours", leaf: leaf, list: list{entries: [][]byte{entryOf(leaf), entryOf(other, unknownExtension(t, true))}}, want: "revoked unspecified"},
		{name: "no number beside a key identifier", leaf: leaf, list: list{bare: true, extensions: [][]byte{keyID}}, want: "unknown malformed"},
		{name: "no number beside a key identifier, listed", leaf: leaf, list: list{bare: true, extensions: [][]byte{keyID}, entries: listed}, want: "revoked unspecified"},
		{name: "an unknown critical one of our entry", leaf: leaf, list: list{entries: [][]byte{entryOf(leaf, unknownExtension(t, true))}}, want: "revoked unspecified"},
		{name: "a critical number, listed", leaf: leaf, list: list{bare: true, extensions: [][]byte{listExtension(20, true, tlv(0x02, []byte{7}))}, entries: listed}, want: "revoked unspecified"},
		{name: "a critical number", leaf: leaf, list: list{bare: true, extensions: [][]byte{listExtension(20, true, tlv(0x02, []byte{7}))}}, want: "unknown malformed"},
		{name: "none at all", leaf: leaf, list: list{bare: true}, want: "good"},
		{name: "none at all, listed", leaf: leaf, list: list{bare: true, entries: listed}, want: "revoked unspecified"},
		{name: "only an unknown one", leaf: leaf, list: list{bare: true, extensions: [][]byte{unknownExtension(t, false)}}, want: "good"},
		{name: "version 1", leaf: leaf, list: list{bare: true, noVersion: true}, want: "good"},
		{name: "version 1, listed", leaf: leaf, list: list{bare: true, noVersion: true, entries: listed}, want: "revoked unspecified"},
	}
}

func crlSigners(t *testing.T, root, ca *issued) []crlCase {
	usage := func(u x509.KeyUsage) change { return func(c *x509.Certificate) { c.KeyUsage = u } }
	leaf := ca.leaf(t)
	listed := [][]byte{entryOf(leaf)}
	stranger := newRoot(t, "CA")
	mute := root.ca(t, "Mute CA", usage(x509.KeyUsageCertSign))
	muted := mute.leaf(t)
	plain := root.ca(t, "Plain CA", usage(0))
	// The authority has a new key, which its old key vouches for, and signs its
	// lists with one of them.
	renewed := ca.ca(t, "CA")
	renewedMute := ca.ca(t, "CA", usage(x509.KeyUsageCertSign))
	both, mutes, strangers := []*issued{ca, renewed}, []*issued{ca, renewedMute}, []*issued{ca, stranger}
	capitals := tlv(0x30,
		tlv(0x31, tlv(0x30, tlv(0x06, []byte{0x55, 4, 10}), tlv(0x0c, []byte(" tEST ")))),
		tlv(0x31, tlv(0x30, tlv(0x06, []byte{0x55, 4, 3}), tlv(0x13, []byte("ca")))))
	return []crlCase{
		{name: "another key", leaf: leaf, list: list{key: stranger.key}, want: "unknown bad_signature"},
		{name: "another key, listed", leaf: leaf, list: list{key: stranger.key, entries: listed}, want: "unknown bad_signature"},
		{name: "an issuer's name in other letters", leaf: leaf, list: list{issuer: capitals}, want: "good"},
		{name: "an issuer's name in other letters, listed", leaf: leaf, list: list{issuer: capitals, entries: listed}, want: "revoked unspecified"},
		{name: "an issuer that may not sign lists", leaf: muted, served: []*issued{mute}, list: list{by: mute}, want: "unknown unauthorized_signer"},
		{name: "an issuer that may not sign lists, listed", leaf: muted, served: []*issued{mute}, list: list{by: mute, entries: [][]byte{entryOf(muted)}}, want: "unknown unauthorized_signer"},
		{name: "an issuer without key usage", leaf: plain.leaf(t), served: []*issued{plain}, list: list{by: plain}, want: "good"},
		{name: "the issuer's new key", leaf: leaf, served: both, list: list{by: renewed}, want: "good"},
		{name: "the issuer's new key, listed", leaf: leaf, served: both, list: list{by: renewed, entries: listed}, want: "revoked unspecified"},
		{name: "the issuer's new key that may not sign lists", leaf: leaf, served: mutes, list: list{by: renewedMute}, want: "unknown unauthorized_signer"},
		{name: "a stranger's key under the issuer's name", leaf: leaf, served: strangers, list: list{by: stranger, entries: listed}, want: "unknown bad_signature"},
		{name: "SHA-1, not listed", leaf: leaf, list: list{hash: crypto.SHA1}, want: "unknown weak_signature"},
		{name: "SHA-1, listed", leaf: leaf, list: list{hash: crypto.SHA1, entries: listed}, want: "revoked unspecified"},
		{name: "an unknown algorithm", leaf: leaf, list: list{algorithm: tlv(0x30, oid(t, 1, 2, 3))}, want: "unknown unsupported_signature"},
	}
}

// ofVersion1 makes a certificate one of version 1, which has no extensions.
func ofVersion1(t *testing.T, c, by *issued) *issued {
	t.Helper()
	var raw rawCertificate
	if _, err := asn1.Unmarshal(c.Raw, &raw); err != nil {
		t.Fatal(err)
	}
	var fields []asn1.RawValue
	if _, err := asn1.Unmarshal(raw.TBS.FullBytes, &fields); err != nil {
		t.Fatal(err)
	}
	var kept [][]byte
	for _, f := range fields[1:7] {
		kept = append(kept, f.FullBytes)
	}
	tbs := tlv(0x30, kept...)
	sum := sha256.Sum256(tbs)
	sig, err := by.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	whole := tlv(0x30, tbs, raw.Algorithm.FullBytes, tlv(0x03, []byte{0}, sig))
	return &issued{&x509.Certificate{Raw: whole}, c.key}
}

// The signature of a list that thousands of certificates share is checked once.
func TestCRLSignatureIsRemembered(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	good := list{by: ca}.read(t)
	j := newJudge(t, storeOf("test", false, root))
	if a := j.AskCRL(good, ca.leaf(t).Raw, ca.Raw, now); a.Status != inventory.RevocationGood {
		t.Fatalf("%s (%s), want good", a.Reason, a.Detail)
	}
	forged := *good
	forged.Signature = []byte("nobody looks at this again")
	if a := j.AskCRL(&forged, ca.leaf(t).Raw, ca.Raw, now); a.Status != inventory.RevocationGood {
		t.Errorf("%s (%s): the signature was checked again", a.Reason, a.Detail)
	}
	forged.SHA256 = inventory.FingerprintOf(nil)
	if a := j.AskCRL(&forged, ca.leaf(t).Raw, ca.Raw, now); a.Reason != inventory.UnknownBadSignature {
		t.Errorf("%s %s, want a bad signature: it is another list", a.Status, a.Reason)
	}
}

// A list of another issuer says nothing, though it is rightly signed and has the
// serial number.
func TestCRLOfAnotherIssuer(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	leaf := ca.leaf(t)
	j := newJudge(t, storeOf("test", false, root))
	for _, by := range []*issued{root, root.ca(t, "Other CA"), newRoot(t, "Stranger")} {
		a := j.AskCRL(list{by: by, entries: [][]byte{entryOf(leaf)}}.read(t), leaf.Raw, ca.Raw, now)
		if a.Status != inventory.RevocationUnknown || a.Reason != inventory.UnknownWrongIssuer || !a.RevokedAt.IsZero() {
			t.Errorf("by %s: %+v, want unknown wrong_issuer", by.Subject, a)
		}
	}
}

// Whoever is said to share the issuer's name has to have it, and the right to
// sign lists.
func TestCRLSignersAreLookedAt(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	leaf := ca.leaf(t)
	j := newJudge(t, storeOf("test", false, root))
	plain := func(u x509.KeyUsage) change {
		return func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, u }
	}
	for _, tt := range []struct {
		name   string
		signer *issued
		want   string
	}{
		{"another authority of the same name", root.ca(t, "CA"), ""},
		{"no authority, but a signer of lists", root.ca(t, "CA", plain(x509.KeyUsageCRLSign)), ""},
		{"neither", root.ca(t, "CA", plain(0)), inventory.UnknownUnauthorizedSigner},
		{"another name", root.ca(t, "Other CA"), inventory.UnknownBadSignature},
	} {
		a := j.AskCRL(list{by: tt.signer, issuer: ca.RawSubject}.read(t), leaf.Raw, ca.Raw, now, tt.signer.Raw)
		if a.Reason != tt.want || (a.Status == inventory.RevocationGood) != (tt.want == "") {
			t.Errorf("%s: %s %s, want %q", tt.name, a.Status, a.Reason, tt.want)
		}
	}
}

// A serial number is the same number however the certificate spells it.
func TestCRLFindsSerialsThatAreNotDER(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	leaf := ca.leaf(t, func(c *x509.Certificate) { c.SerialNumber = big.NewInt(5) })
	padded := bytes.Clone(leaf.Raw)
	i := bytes.Index(padded, []byte{2, 1, 2, 2, 1, 5, 0x30}) // the version, and then the number
	if i < 0 || padded[1] != 0x82 || padded[5] != 0x82 {
		t.Fatalf("certificate of another form: %x", padded)
	}
	padded = append(padded[:i+3:i+3], append([]byte{2, 2, 0, 5}, padded[i+6:]...)...)
	padded[3]++ // the lengths of the whole and of what is signed
	padded[7]++
	j := newJudge(t, storeOf("test", false, root))
	a := j.AskCRL(list{by: ca, entries: [][]byte{entryOf(leaf)}}.read(t), padded, ca.Raw, now)
	if a.Status != inventory.RevocationRevoked {
		t.Errorf("%s %s (%s), want revoked", a.Status, a.Reason, a.Detail)
	}
}

// What is listed where the list is not to be believed is told all the same, and
// not only as information.
func TestCRLSuspicion(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	leaf := ca.leaf(t)
	held := [][]byte{entryOf(leaf, reasonOf(6))}
	j := newJudge(t, storeOf("test", false, root))
	for _, tt := range []struct {
		name string
		list list
		says string // of the suspicion, "" if there is none
	}{
		{"of tomorrow", list{by: ca, this: now.Add(24 * time.Hour), entries: [][]byte{entryOf(leaf, reasonOf(1))}}, "(keyCompromise, 2026-11-20)"},
		{"a hold on a list that is out of date", list{by: ca, this: now.Add(-8 * 24 * time.Hour), next: now.Add(-24 * time.Hour), entries: held}, "(certificateHold, 2026-11-20)"},
		{"taken back", list{by: ca, entries: [][]byte{entryOf(leaf, reasonOf(8))}}, ""},
		{"what a forger says", list{by: ca, key: newKey(t), entries: held}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			read := tt.list.read(t)
			a := j.AskCRL(read, leaf.Raw, ca.Raw, now)
			if a.Status != inventory.RevocationUnknown || a.Listed != (tt.says != "") || !strings.Contains(a.Detail, tt.says) {
				t.Errorf("%+v, want unknown, and in the detail %q", a, tt.says)
			}
			f := factsOf(ders(leaf, ca))
			f.Given.CRLs = []*inventory.CRL{read}
			soft, err := verify.New(verify.Options{Stores: []inventory.TrustStore{storeOf("test", false, root)}, Revocation: inventory.RevocationSoft})
			if err != nil {
				t.Fatal(err)
			}
			got, _ := soft.Judge(f, nil, now)
			if !slices.ContainsFunc(got.Findings, func(f inventory.Finding) bool {
				return f.Code == inventory.CodeCRLInvalid && f.Severity.AtLeast(inventory.Warning)
			}) {
				t.Errorf("findings %+v, want a warning that the list is invalid", got.Findings)
			}
		})
	}
}

// Of two lists with the same scope the later one says whether a hold is over; no
// other revocation ever is.
func TestALaterListEndsAHold(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	ca := root.ca(t, "CA")
	leaf := ca.leaf(t)
	held, revoked := [][]byte{entryOf(leaf, reasonOf(6))}, [][]byte{entryOf(leaf, reasonOf(1))}
	early, late := now.Add(-48*time.Hour), now.Add(-24*time.Hour)
	users := [][]byte{scope(onlyUser)}
	for _, tt := range []struct {
		name string
		a, b list
		want string
	}{
		{"a hold, and later none", list{this: early, entries: held}, list{this: late}, "good"},
		{"none, and later a hold", list{this: early}, list{this: late, entries: held}, "revoked"},
		{"a hold, and later none, by a list with another scope", list{this: early, entries: held}, list{this: late, extensions: users}, "revoked"},
		{"a hold, and later none, by a stranger", list{this: early, entries: held}, list{this: late, key: newKey(t)}, "revoked"},
		{"a revocation, and later none", list{this: early, entries: revoked}, list{this: late}, "revoked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j, err := verify.New(verify.Options{Stores: []inventory.TrustStore{storeOf("test", false, root)}, Revocation: inventory.RevocationSoft})
			if err != nil {
				t.Fatal(err)
			}
			tt.a.by, tt.b.by = ca, ca
			a, b := tt.a.read(t), tt.b.read(t)
			for _, lists := range [][]*inventory.CRL{{a, b}, {b, a}} {
				f := factsOf(ders(leaf, ca))
				f.Given.CRLs = lists
				if got, _ := j.Judge(f, nil, now); got.Verdict.Revocation.Status != tt.want {
					t.Errorf("%+v, want %s", got.Verdict.Revocation, tt.want)
				}
			}
		})
	}
}

// FuzzCRL looks for a list, damaged in any way, that says good.
func FuzzCRL(f *testing.F) {
	root := newRoot(f, "Root")
	ca := root.ca(f, "CA")
	leaf := ca.leaf(f)
	j := newJudge(f, storeOf("test", false, root))
	raw := list{by: ca, entries: [][]byte{entryOf(leaf, reasonOf(1))}}.der(f)
	f.Add(10, byte(1))
	f.Fuzz(func(t *testing.T, at int, flip byte) {
		if at < 0 || at >= len(raw) {
			return
		}
		damaged := bytes.Clone(raw)
		damaged[at] ^= flip
		got, err := crl.Read(bytes.NewReader(damaged), 1<<20)
		if err != nil {
			return
		}
		if a := j.AskCRL(got, leaf.Raw, ca.Raw, now); a.Status == inventory.RevocationGood {
			t.Errorf("with octet %d changed by %#x the list says good", at, flip)
		}
	})
}

// BenchmarkCRL is what one certificate more costs whose list is known.
func BenchmarkCRL(b *testing.B) {
	root := newRoot(b, "Root")
	ca := root.ca(b, "CA", pointsTo("http://crl.example/root.crl"))
	leaf := ca.leaf(b, pointsTo("http://crl.example/1.crl"))
	j := newJudge(b, storeOf("test", false, root))
	l := list{by: ca, extensions: [][]byte{scope(fullName(generalURI("http://crl.example/1.crl")), onlyUser)}}.read(b)
	b.ReportAllocs()
	for b.Loop() {
		if a := j.AskCRL(l, leaf.Raw, ca.Raw, now); a.Status != inventory.RevocationGood {
			b.Fatal(a)
		}
	}
}
