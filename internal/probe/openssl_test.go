package probe_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"example.com/certscan/internal/inventory"
)

// Servers that share too little with Go's client for a certificate to be seen,
// and those that only a permissive client reaches.
func TestServersThatGoDoesNotReach(t *testing.T) {
	t.Parallel()
	const (
		handshake = inventory.CaptureHandshake
		raw       = inventory.CaptureRawHello
		all       = "ALL:COMPLEMENTOFALL:!aNULL:@SECLEVEL=0"
	)
	var (
		rsa   = newOpensslKey(t, "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
		p256  = newOpensslKey(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
		ed448 = newOpensslKey(t, "-algorithm", "ED448")
		pss   = newOpensslKey(t, "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048")
		curve = func(name string) opensslKey {
			return newOpensslKey(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:"+name)
		}
		dsaParam = filepath.Join(t.TempDir(), "dsa.pem")
	)
	openssl(t, "genpkey", "-genparam", "-algorithm", "DSA", "-pkeyopt", "dsa_paramgen_bits:1024", "-pkeyopt", "dsa_paramgen_q_bits:160", "-out", dsaParam)
	dsa := newOpensslKey(t, "-paramfile", dsaParam)

	for _, tt := range []struct {
		name    string
		key     opensslKey
		args    []string
		method  inventory.CaptureMethod
		version string
		suite   string // if it is known for sure
	}{
		{"TLS 1.0 only", rsa, []string{"-tls1", "-cipher", all}, handshake, "TLS 1.0", ""},
		{"TLS 1.1 only", rsa, []string{"-tls1_1", "-cipher", all}, handshake, "TLS 1.1", ""},
		{"RSA key exchange only", rsa, []string{"-tls1_2", "-cipher", "AES128-GCM-SHA256"}, handshake, "TLS 1.2", "TLS_RSA_WITH_AES_128_GCM_SHA256"},
		{"CBC with SHA-256 only", rsa, []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"}, handshake, "TLS 1.2", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256"},
		{"CBC with SHA-384 only", rsa, []string{"-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384"}, raw, "TLS 1.2", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384"},
		{"CCM only", p256, []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-CCM"}, raw, "TLS 1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_CCM"},
		{"CCM-8 only", p256, []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-CCM8:@SECLEVEL=0"}, raw, "TLS 1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8"},
		{"Camellia only", rsa, []string{"-tls1_2", "-cipher", "ECDHE-RSA-CAMELLIA128-SHA256"}, raw, "TLS 1.2", "TLS_ECDHE_RSA_WITH_CAMELLIA_128_CBC_SHA256"},
		{"ARIA only", rsa, []string{"-tls1_2", "-cipher", "ECDHE-ARIA128-GCM-SHA256"}, raw, "TLS 1.2", "TLS_ECDHE_RSA_WITH_ARIA_128_GCM_SHA256"},
		{"no encryption at all", rsa, []string{"-tls1_2", "-cipher", "NULL-SHA256:@SECLEVEL=0"}, raw, "TLS 1.2", "TLS_RSA_WITH_NULL_SHA256"},
		{"DHE only", rsa, []string{"-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"}, raw, "TLS 1.2", "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"},
		{"brainpool group only", rsa, []string{"-tls1_2", "-groups", "brainpoolP256r1", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"}, raw, "TLS 1.2", ""},
		{"secp256k1 group only", rsa, []string{"-tls1_2", "-groups", "secp256k1", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"}, raw, "TLS 1.2", ""},
		{"signatures with SHA-1 only", rsa, []string{"-tls1_2", "-sigalgs", "RSA+SHA1", "-cipher", all}, handshake, "TLS 1.2", ""},
		{"DSA certificate", dsa, []string{"-tls1_2", "-cipher", all}, raw, "TLS 1.2", ""},
		{"P-224 certificate", curve("P-224"), []string{"-tls1_2", "-cipher", all}, raw, "TLS 1.2", ""},
		{"secp256k1 certificate", curve("secp256k1"), []string{"-tls1_2", "-cipher", all}, raw, "TLS 1.2", ""},
		{"brainpool certificate", curve("brainpoolP384r1"), []string{"-tls1_2", "-cipher", all}, raw, "TLS 1.2", ""},
		{"Ed448 certificate, TLS 1.2", ed448, []string{"-tls1_2"}, raw, "TLS 1.2", ""},
		{"RSA-PSS certificate, TLS 1.2", pss, []string{"-tls1_2"}, raw, "TLS 1.2", ""},
		{"Ed448 certificate, TLS 1.3", ed448, []string{"-tls1_3"}, raw, "TLS 1.3", "TLS_AES_128_GCM_SHA256"},
		{"RSA-PSS certificate, TLS 1.3", pss, []string{"-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"}, raw, "TLS 1.3", "TLS_CHACHA20_POLY1305_SHA256"},
		{"Ed448 certificate after a HelloRetryRequest", ed448, []string{"-tls1_3", "-groups", "P-384", "-ciphersuites", "TLS_AES_256_GCM_SHA384"}, raw, "TLS 1.3", "TLS_AES_256_GCM_SHA384"},
		{"Ed448 certificate after a HelloRetryRequest with a cookie", ed448, []string{"-stateless", "-tls1_3"}, raw, "TLS 1.3", ""},
		{"HelloRetryRequest for P-521", rsa, []string{"-tls1_3", "-groups", "P-521"}, handshake, "TLS 1.3", ""},
		{"P-384 group only", p256, []string{"-tls1_2", "-groups", "P-384"}, handshake, "TLS 1.2", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := examine(t, serveOpenssl(t, append([]string{"-key", tt.key.key, "-cert", tt.key.cert}, tt.args...)...))
			wantLeaf(t, got, tt.key.der)
			if got.Reach.Status != inventory.ReachOK {
				t.Errorf("reach = %+v, want ok", got.Reach)
			}
			if got.Capture == nil || got.TLS == nil {
				t.Fatalf("capture = %v, TLS = %v, want both", got.Capture, got.TLS)
			}
			want := inventory.Capture{Method: tt.method, HandshakeComplete: tt.method == handshake, PossessionProven: tt.method == handshake}
			if *got.Capture != want {
				t.Errorf("capture = %+v, want %+v", *got.Capture, want)
			}
			if got.TLS.Version != tt.version {
				t.Errorf("version = %q, want %q", got.TLS.Version, tt.version)
			}
			if tt.suite != "" && got.TLS.CipherSuite != tt.suite {
				t.Errorf("suite = %q, want %q", got.TLS.CipherSuite, tt.suite)
			}
		})
	}
}

// What cannot give a certificate says why, in the words of the first answer.
func TestServersWithoutCertificate(t *testing.T) {
	t.Parallel()
	p256 := newOpensslKey(t, "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
	for _, tt := range []struct {
		name string
		args []string
		want inventory.Reach
	}{
		{"anonymous key exchange", []string{"-nocert", "-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"}, inventory.Reach{Status: "tls_alert", Detail: "handshake_failure (40)"}},
		{"group that is not offered", []string{"-key", p256.key, "-cert", p256.cert, "-tls1_3", "-groups", "ffdhe2048"}, inventory.Reach{Status: "tls_alert", Detail: "handshake_failure (40)"}},
		{
			"name that is not served",
			[]string{"-key", p256.key, "-cert", p256.cert, "-key2", p256.key, "-cert2", p256.cert, "-servername", "other.example", "-servername_fatal"},
			inventory.Reach{Status: "tls_alert", Detail: "unrecognized_name (112)"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := examine(t, serveOpenssl(t, tt.args...))
			if got.Reach != tt.want {
				t.Errorf("reach = %+v, want %+v", got.Reach, tt.want)
			}
			if got.Capture != nil || got.Chain != nil {
				t.Errorf("capture = %v with %d certificates, want none", got.Capture, len(got.Chain))
			}
		})
	}
}

func wantLeaf(t *testing.T, got inventory.Observation, leaf []byte) {
	t.Helper()
	if len(got.Chain) == 0 {
		t.Fatalf("no certificate, reach = %+v", got.Reach)
	}
	if !bytes.Equal(got.Chain[0], leaf) {
		t.Errorf("leaf is %s, want %s", inventory.FingerprintOf(got.Chain[0]), inventory.FingerprintOf(leaf))
	}
}
