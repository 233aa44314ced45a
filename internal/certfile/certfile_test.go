package certfile_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/pkcs7"
	"software.sslmate.com/src/go-pkcs12"

	"example.com/certscan/internal/certfile"
)

// newCertificate is self-signed.
func newCertificate(tb testing.TB, name string) ([]byte, *ecdsa.PrivateKey) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return der, key
}

func block(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func keyPEM(tb testing.TB, key *ecdsa.PrivateKey) string {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return block("PRIVATE KEY", der)
}

func write(tb testing.TB, dir, name string, data []byte) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func degenerate(tb testing.TB, certs ...[]byte) []byte {
	tb.Helper()
	p7, err := pkcs7.DegenerateCertificate(bytes.Join(certs, nil))
	if err != nil {
		tb.Fatal(err)
	}
	return p7
}

// indefinite writes the constructed elements of depth levels of a PKCS #7 file
// with indefinite lengths, as streaming writers do.
func indefinite(tb testing.TB, certs ...[]byte) []byte {
	tb.Helper()
	wrap := func(tag byte, parts ...[]byte) []byte {
		return append(append([]byte{tag, 0x80}, bytes.Join(parts, nil)...), 0, 0)
	}
	signedData := []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02}
	data := []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01}
	return wrap(0x30, signedData, wrap(0xa0,
		wrap(0x30, []byte{2, 1, 1, 0x31, 0}, wrap(0x30, data), wrap(0xa0, certs...), []byte{0x31, 0})))
}

func utf16LE(s string) []byte {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

func TestReadFrom(t *testing.T) {
	t.Parallel()
	a, key := newCertificate(t, "a.example")
	b, _ := newCertificate(t, "b.example")
	pemA, pemB := block("CERTIFICATE", a), block("CERTIFICATE", b)
	broken := "-----BEGIN CERTIFICATE-----\nMIIB!!!\n-----END CERTIFICATE-----\n"
	negative := append([]byte{0x30, 3}, 2, 1, 1) // a SEQUENCE, but nothing that crypto/x509 takes

	for _, tt := range []struct {
		name     string
		data     string
		want     [][]byte
		lines    []int
		problems []string // one for each problem
	}{
		{name: "PEM", data: pemA + pemB, want: [][]byte{a, b}, lines: []int{1, 1 + strings.Count(pemA, "\n")}},
		{name: "PEM with junk around and a key between", data: "subject=a\n" + pemA + "junk: 1\n" + keyPEM(t, key) + pemB + "the end", want: [][]byte{a, b}},
		{name: "PEM with CRLF", data: strings.ReplaceAll(pemA+pemB, "\n", "\r\n"), want: [][]byte{a, b}},
		{name: "PEM with lone CRs", data: strings.ReplaceAll(pemA+pemB, "\n", "\r"), want: [][]byte{a, b}},
		{name: "PEM indented, as in YAML", data: "cert: |\n  " + strings.ReplaceAll(pemA, "\n", "\n  "), want: [][]byte{a}, lines: []int{2}},
		{name: "PEM on one line", data: strings.ReplaceAll(pemA, "\n", ""), want: [][]byte{a}},
		{name: "PEM with a byte order mark", data: "\xef\xbb\xbf" + pemA, want: [][]byte{a}},
		{name: "PEM in UTF-16", data: string(utf16LE(pemA)), want: [][]byte{a}},
		{name: "PEM after text that begins like DER", data: "0 s:CN = a.example\n" + pemA, want: [][]byte{a}},
		{name: "OpenSSL's trusted certificate", data: block("TRUSTED CERTIFICATE", append(bytes.Clone(a), 0x30, 0)), want: [][]byte{a}},
		{
			name: "a broken block hides neither neighbour", data: pemA + broken + pemB, want: [][]byte{a, b},
			problems: []string{"illegal base64"},
		},
		{
			name: "a block without an end hides nothing", data: "-----BEGIN CERTIFICATE-----\nMIIB\n" + pemA, want: [][]byte{a},
			problems: []string{"another begins at line 3"},
		},
		{name: "the last block is cut off", data: pemA + pemB[:len(pemB)/2], want: [][]byte{a}, problems: []string{"without an end"}},
		{
			name: "files joined without a line break", data: strings.TrimSpace(pemA) + pemB, want: [][]byte{a, b},
			problems: []string{"put a line break between"},
		},
		{
			name: "a block that ends as another", data: strings.Replace(pemA, "END CERTIFICATE", "END FOO", 1) + pemB, want: [][]byte{b},
			problems: []string{`ends at line`},
		},
		{
			name: "a cut off certificate in a whole block", data: block("CERTIFICATE", a[:100]) + pemB, want: [][]byte{b},
			problems: []string{"100 bytes are not DER"},
		},
		{
			name: "bytes after the certificate in its block", data: block("CERTIFICATE", append(bytes.Clone(a), 1, 2)), want: [][]byte{a},
			problems: []string{"2 bytes after the certificate"},
		},
		{name: "what crypto/x509 refuses is returned", data: block("CERTIFICATE", negative), want: [][]byte{negative}},
		{name: "DER", data: string(a), want: [][]byte{a}, lines: []int{0}},
		{name: "DER, one after the other", data: string(a) + string(b) + "\n", want: [][]byte{a, b}},
		{name: "DER with junk after it", data: string(a) + "junk", want: [][]byte{a}, problems: []string{"4 bytes after certificate 1"}},
		{name: "base64 without armour", data: base64.StdEncoding.EncodeToString(a) + "\n", want: [][]byte{a}},
		{name: "PKCS #7 in DER", data: string(degenerate(t, a, b)), want: [][]byte{a, b}},
		{name: "PKCS #7 in PEM", data: block("PKCS7", degenerate(t, a, b)), want: [][]byte{a, b}, lines: []int{1, 1}},
		{name: "PKCS #7 in BER", data: string(indefinite(t, a, b)), want: [][]byte{a, b}},
		{
			name: "PKCS #7 with a certificate that crypto/x509 refuses", data: string(indefinite(t, a, negative, b)),
			want: [][]byte{a, negative, b},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := certfile.ReadFrom(strings.NewReader(tt.data), "x", certfile.Options{})
			if err != nil {
				t.Fatalf("ReadFrom: %v", err)
			}
			checkFound(t, got.Certificates, tt.want, tt.lines)
			checkProblems(t, got.Problems, tt.problems)
		})
	}
}

func ders(found []certfile.Found) [][]byte {
	var all [][]byte
	for _, f := range found {
		all = append(all, f.DER)
	}
	return all
}

func checkFound(t *testing.T, got []certfile.Found, want [][]byte, lines []int) {
	t.Helper()
	for i, f := range got {
		if f.Index != i {
			t.Errorf("certificate %d has index %d", i, f.Index)
		}
		if lines != nil && i < len(lines) && f.Line != lines[i] {
			t.Errorf("certificate %d is at line %d, want %d", i, f.Line, lines[i])
		}
	}
	if diff := cmp.Diff(want, ders(got)); diff != "" {
		t.Errorf("certificates (-want +got):\n%s", diff)
	}
}

func checkProblems(t *testing.T, got []error, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("problems = %v, want %q", got, want)
	}
	for i, err := range got {
		if !strings.Contains(err.Error(), want[i]) {
			t.Errorf("problem %d = %q, want it to contain %q", i, err, want[i])
		}
	}
}

func TestReadFromNothing(t *testing.T) {
	t.Parallel()
	a, key := newCertificate(t, "a.example")
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := x509.ParseCertificate(a)
	if err != nil {
		t.Fatal(err)
	}
	issuer.KeyUsage, issuer.SubjectKeyId = x509.KeyUsageCRLSign, []byte{1}
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), NextUpdate: time.Unix(1, 0)}, issuer, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}

	for _, tt := range []struct {
		name  string
		data  string
		want  string
		sound bool // nothing is wrong with it but that there is no certificate
	}{
		{name: "empty", data: "", want: "empty"},
		{name: "white space", data: " \n", want: "empty"},
		{name: "HTML", data: "<html>not found</html>", want: "neither PEM, DER"},
		{name: "random bytes", data: "0\x82\xff\xffabc", want: "neither PEM, DER"},
		{name: "a private key in PEM", data: keyPEM(t, key), want: "no certificate in it, only a private key", sound: true},
		{name: "a private key in DER", data: string(pkcs8), want: "only a private key", sound: true},
		{name: "a request", data: string(csr), want: "only a certificate request", sound: true},
		{name: "a revocation list", data: string(crl), want: "only a revocation list", sound: true},
		{name: "PKCS #7 without certificates", data: string(degenerate(t)), want: "PKCS #7 without certificates", sound: true},
		{name: "PKCS #7 that is cut off", data: string(degenerate(t, a)[:300]), want: "neither PEM, DER"},
		{name: "every block broken", data: "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", want: "x:1: CERTIFICATE block: illegal base64"},
		{name: "nested deeper than anything real", data: strings.Repeat("\x30\x80", 1<<20), want: "neither PEM, DER"},
		{
			name: "PKCS #7 with more entries than anything real", data: string(indefinite(t, bytes.Repeat([]byte{0x30, 0}, 1<<16+1))),
			want: "its list of certificates is malformed or too long",
		},
		{name: "PKCS #7 with a broken list", data: string(indefinite(t, []byte{0x30, 1, 0x30})), want: "entry 1 of the PKCS #7 is not DER"},
		{name: "too large", data: strings.Repeat("x", certfile.MaxFileSize+1), want: "x: larger than 16 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := certfile.ReadFrom(strings.NewReader(tt.data), "x", certfile.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error = %v, want it to contain %q", err, tt.want)
			}
			if got := errors.Is(err, certfile.ErrNoCertificate); got != tt.sound {
				t.Errorf("is ErrNoCertificate: %v, want %v", got, tt.sound)
			}
		})
	}
}

func TestPKCS12(t *testing.T) {
	t.Parallel()
	leafDER, key := newCertificate(t, "a.example")
	caDER, _ := newCertificate(t, "ca.example")
	leaf, err := x509.ParseCertificate(leafDER)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(caDER)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(enc *pkcs12.Encoder, password string) string {
		t.Helper()
		data, err := enc.Encode(key, leaf, []*x509.Certificate{ca}, password)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	store, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{ca}, "changeit")
	if err != nil {
		t.Fatal(err)
	}
	both := [][]byte{leafDER, caDER}

	for _, tt := range []struct {
		name      string
		data      string
		passwords []string
		want      [][]byte
		wantErr   string
	}{
		{name: "modern, right password second", data: encode(pkcs12.Modern, "s3cret"), passwords: []string{"no", "s3cret"}, want: both},
		{name: "old ciphers", data: encode(pkcs12.LegacyRC2, "s3cret"), passwords: []string{"s3cret"}, want: both},
		{name: "empty password", data: encode(pkcs12.Modern, ""), want: both},
		{name: "no encryption", data: encode(pkcs12.Passwordless, ""), want: both},
		{name: "Java trust store", data: string(store), passwords: []string{"changeit"}, want: [][]byte{caDER}},
		{name: "no password given", data: encode(pkcs12.Modern, "s3cret"), wantErr: "give it with --password-file"},
		{name: "wrong passwords", data: encode(pkcs12.Modern, "s3cret"), passwords: []string{"no"}, wantErr: "none of the passwords"},
		{
			// 70,000 rounds, changed to 8,388,607 after the fact.
			name:    "rounds without end",
			data:    strings.ReplaceAll(encode(pkcs12.Modern.WithIterations(70_000), ""), "\x02\x03\x01\x11\x70", "\x02\x03\x7f\xff\xff"),
			wantErr: "rounds of key derivation",
		},
		{name: "cut off", data: encode(pkcs12.Modern, "")[:400], wantErr: "neither PEM, DER"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := certfile.ReadFrom(strings.NewReader(tt.data), "x.p12", certfile.Options{Passwords: tt.passwords})
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error = %v, want it to contain %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			checkFound(t, got.Certificates, tt.want, nil)
			if secret, err := key.Bytes(); err != nil || bytes.Contains(slices.Concat(ders(got.Certificates)...), secret) {
				t.Error("the private key was kept")
			}
		})
	}
}

func TestReadAll(t *testing.T) {
	t.Parallel()
	a, key := newCertificate(t, "a.example")
	b, _ := newCertificate(t, "b.example")
	dir := t.TempDir()
	write(t, dir, "live/a/cert.pem", []byte(block("CERTIFICATE", a)))
	write(t, dir, "live/a/privkey.pem", []byte(keyPEM(t, key)))
	write(t, dir, "live/b/broken.crt", []byte("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"))
	write(t, dir, "live/b/cert.der", b)
	write(t, dir, "live/b/notes.txt", []byte("nothing"))
	extra := write(t, dir, "any-name", a)
	keyFile := write(t, dir, "any.key", []byte(keyPEM(t, key)))
	if err := os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "live/dangling.pem")); err != nil {
		t.Fatal(err)
	}

	got, problems := certfile.ReadAll([]string{
		filepath.Join(dir, "live"), extra, filepath.Join(dir, "live/*/cert.*"), filepath.Join(dir, "*.nothing"),
		filepath.Join(dir, "missing.pem"), keyFile,
	}, certfile.Options{})

	var paths []string
	for _, c := range got {
		rel, err := filepath.Rel(dir, c.Path)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, rel)
	}
	if diff := cmp.Diff([]string{"live/a/cert.pem", "live/b/cert.der", "any-name"}, paths); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	checkProblems(t, problems, []string{
		"broken.crt:1: CERTIFICATE block: illegal base64", "dangling.pem", "*.nothing\" matches no file", "missing.pem", "any.key: no certificate in it, only a private key",
	})
}

// The text stands behind the name of a URL, so there is no path in it.
func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	_, key := newCertificate(t, "a.example")
	for body, want := range map[string]string{
		"":                                "empty",
		"<html>":                          "neither PEM, DER, PKCS #7 nor PKCS #12",
		keyPEM(t, key):                    "no certificate in it, only a private key",
		"\n-----BEGIN CERTIFICATE-----\n": "line 2: CERTIFICATE block without an end",
	} {
		if _, err := certfile.Decode([]byte(body)); err == nil || err.Error() != want {
			t.Errorf("Decode(%q): %v, want %q", body, err, want)
		}
	}
}

func TestProblemsAreBounded(t *testing.T) {
	t.Parallel()
	broken := "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"
	a, _ := newCertificate(t, "a.example")
	got, err := certfile.ReadFrom(strings.NewReader(strings.Repeat(broken, 1000)+block("CERTIFICATE", a)), "x", certfile.Options{})
	if err != nil || len(got.Certificates) != 1 || len(got.Problems) != 101 {
		t.Fatalf("%d certificates, %d problems, %v", len(got.Certificates), len(got.Problems), err)
	}
	if last := got.Problems[100].Error(); last != "x: and 900 problems more" {
		t.Errorf("the last problem = %q", last)
	}
}

func TestReadDirectory(t *testing.T) {
	t.Parallel()
	if _, err := certfile.Read(t.TempDir(), certfile.Options{}); err == nil || !strings.Contains(err.Error(), "a directory") {
		t.Errorf("Read of a directory: %v", err)
	}
}

// FuzzDecode checks that whatever a caIssuers URL answers ends in certificates
// or an error, and that what was decoded decodes to itself.
func FuzzDecode(f *testing.F) {
	a, _ := newCertificate(f, "a.example")
	for _, seed := range [][]byte{
		a, []byte(block("CERTIFICATE", a)), degenerate(f, a), indefinite(f, a), []byte("<html>"), []byte("\x30\x80\x30\x80\x00\x00"),
		[]byte(block("PKCS7", degenerate(f, a, a))), []byte(strings.TrimSpace(block("CERTIFICATE", a)) + block("CERTIFICATE", a)),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		found, err := certfile.Decode(body)
		if (err == nil) != (len(found) > 0) {
			t.Fatalf("%d certificates and error %v", len(found), err)
		}
		for _, der := range found {
			again, err := certfile.Decode([]byte(block("CERTIFICATE", der)))
			if err != nil || len(again) != 1 || !bytes.Equal(again[0], der) {
				t.Fatalf("%x does not survive PEM: %x, %v", der, again, err)
			}
		}
	})
}

// FuzzReadFrom covers what only files may be: PKCS #12.
func FuzzReadFrom(f *testing.F) {
	der, key := newCertificate(f, "a.example")
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		f.Fatal(err)
	}
	for _, enc := range []*pkcs12.Encoder{pkcs12.Modern, pkcs12.LegacyRC2, pkcs12.Passwordless} {
		data, err := enc.WithIterations(1).Encode(key, leaf, nil, "")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := certfile.ReadFrom(bytes.NewReader(data), "x", certfile.Options{Passwords: []string{"a"}})
		if (err == nil) != (len(c.Certificates) > 0) {
			t.Fatalf("%d certificates and error %v", len(c.Certificates), err)
		}
	})
}
