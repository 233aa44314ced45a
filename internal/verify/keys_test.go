package verify_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
)

// rsaLeaf is a certificate for an RSA key that need not be a sane one.
func rsaLeaf(t *testing.T, ca *issued, n *big.Int, e int64) [][]byte {
	t.Helper()
	key, err := asn1.Marshal(struct{ N, E *big.Int }{n, big.NewInt(e)})
	if err != nil {
		t.Fatal(err)
	}
	spki, err := asn1.Marshal(struct {
		Algorithm struct {
			OID    asn1.ObjectIdentifier
			Params asn1.RawValue
		}
		Key asn1.BitString
	}{
		struct {
			OID    asn1.ObjectIdentifier
			Params asn1.RawValue
		}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue},
		asn1.BitString{Bytes: key, BitLength: 8 * len(key)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{withKey(t, ca.leaf(t).Raw, spki, ca), ca.Raw}
}

// rough is a random number without small factors. For what is tested here it
// need not be prime, and primes take long to find.
func rough(t *testing.T, bits int) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-1)))
	if err != nil {
		t.Fatal(err)
	}
	n.SetBit(n, bits-1, 1).SetBit(n, bits-2, 1)
	return coprime(n.SetBit(n, 0, 1))
}

// coprime returns the first odd number from n on without small factors.
func coprime(n *big.Int) *big.Int {
	small := product(752)
	for new(big.Int).GCD(nil, nil, n, small).Cmp(big.NewInt(1)) != 0 {
		n.Add(n, big.NewInt(2))
	}
	return n
}

func product(below int64) *big.Int {
	m := big.NewInt(1)
	for p := int64(2); p < below; p++ {
		if big.NewInt(p).ProbablyPrime(10) {
			m.Mul(m, big.NewInt(p))
		}
	}
	return m
}

// rocaFactor has the form k·M + (65537^a mod M) of the defective library.
func rocaFactor(t *testing.T) *big.Int {
	t.Helper()
	m := product(168)
	p := new(big.Int).Exp(big.NewInt(65537), rough(t, 200), m)
	p.Add(p, new(big.Int).Mul(rough(t, 1030-m.BitLen()), m))
	for new(big.Int).GCD(nil, nil, p, product(752)).Cmp(big.NewInt(1)) != 0 {
		p.Add(p, m)
	}
	return p
}

func TestCompromisedKeys(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	j := newJudge(t, storeOf("test", false, root))
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := rough(t, 1024)
	next := coprime(new(big.Int).Add(p, big.NewInt(2)))
	small := new(big.Int).Mul(big.NewInt(751), rough(t, 2040))
	for _, tt := range []struct {
		name  string
		n     *big.Int
		e     int64
		codes []string
		says  string
	}{
		{"sound", good.N, 65537, []string{}, ""},
		{"close primes", new(big.Int).Mul(p, next), 65537, []string{"compromised_key"}, "Fermat"},
		{"a square", new(big.Int).Mul(p, p), 65537, []string{"compromised_key"}, "Fermat"},
		{"a small factor", small, 65537, []string{"compromised_key"}, "751"},
		{"ROCA", new(big.Int).Mul(rocaFactor(t), rocaFactor(t)), 65537, []string{"compromised_key"}, "ROCA"},
		{"exponent 1", good.N, 1, []string{"compromised_key"}, "does not encrypt"},
		{"even exponent", good.N, 65536, []string{"compromised_key"}, "even"},
		{"exponent 3", good.N, 3, []string{}, ""},
		{"1024 bits", rough(t, 1024), 65537, []string{"weak_key"}, "fewer than 2048 bits"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, _ := j.Judge(factsOf(rsaLeaf(t, root, tt.n, tt.e)[:1]), nil, now)
			if diff := cmp.Diff(tt.codes, codes(got.Findings)); diff != "" {
				t.Errorf("codes (-want +got):\n%s", diff)
			}
			if text := fmt.Sprint(got.Findings); !strings.Contains(text, tt.says) {
				t.Errorf("findings do not say %q: %s", tt.says, text)
			}
		})
	}
}

func TestKindsOfKey(t *testing.T) {
	t.Parallel()
	root := newRoot(t, "Root")
	spki := func(alg, params, key string) []byte {
		id := "\x06" + string(rune(len(alg))) + alg + params
		bits := "\x00" + key
		body := "\x30" + string(rune(len(id))) + id + "\x03" + string(rune(len(bits))) + bits
		return []byte("\x30" + string(rune(len(body))) + body)
	}
	const ec = "\x2a\x86\x48\xce\x3d\x02\x01"
	point := "\x04" + strings.Repeat("\x01", 64)
	for _, tt := range []struct {
		label string
		spki  []byte
		codes []string // for a public certificate
	}{
		{"ECDSA secp256k1", spki(ec, "\x06\x05\x2b\x81\x04\x00\x0a", point), []string{"forbidden_key"}},
		{"ECDSA brainpoolP256r1", spki(ec, "\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x07", point), []string{"forbidden_key"}},
		{"ECDSA P-192", spki(ec, "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x01", "\x04"+strings.Repeat("\x01", 48)), []string{"weak_key"}},
		{
			"ECDSA explicit parameters", spki(ec, "\x30\x05\x02\x01\x01\x30\x00", point), []string{"malformed_certificate"},
		},
		{"Ed25519", spki("\x2b\x65\x70", "", strings.Repeat("\x01", 32)), []string{"forbidden_key"}},
		{"Ed448", spki("\x2b\x65\x71", "", strings.Repeat("\x01", 57)), []string{"forbidden_key"}},
		{"ML-DSA-65", spki("\x60\x86\x48\x01\x65\x03\x04\x03\x12", "", strings.Repeat("\x01", 40)), []string{"forbidden_key"}},
	} {
		t.Run(tt.label, func(t *testing.T) {
			t.Parallel()
			leaf := root.leaf(t, func(c *x509.Certificate) { c.Subject.CommonName = "" })
			f := factsOf([][]byte{withKey(t, leaf.Raw, tt.spki, root)})
			for _, public := range []bool{true, false} {
				got, _ := newJudge(t, storeOf("test", public, root)).Judge(f, nil, now)
				if got.Certificate.Key != tt.label || got.Verdict.Trust.Status != inventory.Trusted {
					t.Errorf("key %q, trust %s", got.Certificate.Key, got.Verdict.Trust.Status)
				}
				var found []string
				for _, c := range codes(got.Findings) {
					if !strings.HasPrefix(c, "profile") { // the name is no public one
						found = append(found, c)
					}
				}
				want := tt.codes
				if !public && want[0] == "forbidden_key" {
					want = nil
				}
				if diff := cmp.Diff(want, found); diff != "" {
					t.Errorf("public %t, codes (-want +got):\n%s", public, diff)
				}
			}
		})
	}
}
