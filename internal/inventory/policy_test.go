package inventory_test

import (
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
)

func TestKeyPattern(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, canonical string
		matches, others    []string
	}{
		{"ECDSA", "ECDSA", []string{"ECDSA P-256", "ECDSA explicit parameters"}, []string{"RSA 2048", ""}},
		{"ecdsa p-256", "ECDSA P-256", []string{"ECDSA P-256"}, []string{"ECDSA P-384", "ECDSA", "RSA 256"}},
		{"RSA >= 3072", "RSA>=3072", []string{"RSA 3072", "RSA 4096"}, []string{"RSA 3071", "RSA", "RSA-PSS 4096", "ECDSA P-256"}},
		{"RSA 2048", "RSA 2048", []string{"RSA 2048"}, []string{"RSA 4096"}},
		{"ed25519", "Ed25519", []string{"Ed25519"}, []string{"Ed448"}},
		{"ML-DSA-65", "ML-DSA-65", []string{"ML-DSA-65"}, []string{"ML-DSA-44"}},
	} {
		p, err := inventory.ParseKeyPattern(tt.pattern)
		if err != nil || p.String() != tt.canonical {
			t.Errorf("%q was read as %q, %v, want %q", tt.pattern, p, err, tt.canonical)
		}
		for _, k := range tt.matches {
			if !p.Match(k) {
				t.Errorf("%q does not match %q", tt.pattern, k)
			}
		}
		for _, k := range tt.others {
			if p.Match(k) {
				t.Errorf("%q matches %q", tt.pattern, k)
			}
		}
	}
	for _, s := range []string{"", "AES", "RSA>=", "RSA>=-1", "RSA>=1000000", "RSA 3k", "ECDSA>=256", "ECDSA P-25", "Ed25519 255"} {
		if p, err := inventory.ParseKeyPattern(s); err == nil {
			t.Errorf("%q was read as %q", s, p)
		}
	}
}

// What a policy forbids to negotiate is what the name of a suite says.
func TestCipherClass(t *testing.T) {
	t.Parallel()
	for suite, want := range map[string][]inventory.CipherClass{
		"TLS_AES_128_GCM_SHA256":                  nil,
		"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256":   nil,
		"TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA":      {inventory.CipherCBC},
		"TLS_RSA_WITH_AES_128_GCM_SHA256":         {inventory.CipherRSAKex},
		"TLS_RSA_WITH_3DES_EDE_CBC_SHA":           {inventory.Cipher3DES, inventory.CipherRSAKex, inventory.CipherCBC},
		"TLS_RSA_EXPORT_WITH_DES40_CBC_SHA":       {inventory.CipherExport, inventory.CipherRSAKex, inventory.CipherCBC},
		"TLS_RSA_WITH_DES_CBC_SHA":                {inventory.CipherDES, inventory.CipherRSAKex, inventory.CipherCBC},
		"TLS_ECDHE_RSA_WITH_RC4_128_SHA":          {inventory.CipherRC4},
		"TLS_DH_anon_WITH_AES_128_GCM_SHA256":     {inventory.CipherAnonymous},
		"TLS_RSA_WITH_NULL_SHA":                   {inventory.CipherNull, inventory.CipherRSAKex},
		"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_": nil,
	} {
		var got []inventory.CipherClass
		for _, c := range inventory.CipherClasses() {
			if c.Has(suite) {
				got = append(got, c)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s is %v, want %v", suite, got, want)
			continue
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%s is %v, want %v", suite, got, want)
			}
		}
	}
}

func TestLastDay(t *testing.T) {
	t.Parallel()
	w := inventory.Waiver{Until: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	if got := w.LastDay(); got != "2026-12-31" {
		t.Errorf("got %s", got)
	}
}
