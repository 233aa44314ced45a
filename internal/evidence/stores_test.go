package evidence_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
)

func newRoot(tb testing.TB, name string) []byte {
	tb.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Unix(1<<32, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, pub, key)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func pemOf(ders ...[]byte) []byte {
	var out []byte
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

// write makes a file that was last changed on day.
func write(tb testing.TB, path string, data []byte, day string) string {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.Chtimes(path, at, at); err != nil {
		tb.Fatal(err)
	}
	return path
}

// decode is the PEM and DER part of what certfile does.
func decode(data []byte) ([][]byte, error) {
	var ders [][]byte
	if _, err := x509.ParseCertificate(data); err == nil {
		return [][]byte{data}, nil
	}
	for b, rest := pem.Decode(data); b != nil; b, rest = pem.Decode(rest) {
		ders = append(ders, b.Bytes)
	}
	if len(ders) == 0 {
		return nil, errors.New("no certificate in it")
	}
	return ders, nil
}

func env(file, dir string) func(string) string {
	return func(key string) string {
		return map[string]string{"SSL_CERT_FILE": file, "SSL_CERT_DIR": dir}[key]
	}
}

func anchors(s inventory.TrustStore) [][]byte {
	var ders [][]byte
	for _, a := range s.Anchors {
		ders = append(ders, a.DER)
	}
	return ders
}

func TestStores(t *testing.T) {
	t.Parallel()
	a, b, c := newRoot(t, "a"), newRoot(t, "b"), newRoot(t, "c")
	dir := t.TempDir()
	bundleFile := write(t, filepath.Join(dir, "bundle.crt"), pemOf(a, b, a), "2026-11-01")
	roots := filepath.Join(dir, "roots")
	write(t, filepath.Join(roots, "a.pem"), pemOf(a), "2026-03-01")
	write(t, filepath.Join(roots, "b.pem"), pemOf(b), "2026-03-01")
	write(t, filepath.Join(roots, "local.pem"), pemOf(c), "2026-11-02")
	write(t, filepath.Join(roots, "README"), []byte("nothing"), "2026-11-03")
	if err := os.Symlink("a.pem", filepath.Join(roots, "12345678.0")); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	derFile := write(t, filepath.Join(dir, "root.der"), c, "2026-01-02")

	for _, tt := range []struct {
		name   string
		specs  []string
		file   string // SSL_CERT_FILE
		dir    string // SSL_CERT_DIR
		goos   string
		want   []inventory.TrustStore // without anchors and note
		roots  [][]byte               // of the first; nil: Mozilla's
		noteOf string
	}{
		{
			name: "the system's bundle", file: bundleFile, dir: empty,
			want: []inventory.TrustStore{{Name: "system", Date: "2026-11-01", Public: true}}, roots: [][]byte{a, b},
		},
		{
			name: "the system's directory is dated by what most of its files say", file: "none", dir: empty + ":" + roots,
			want: []inventory.TrustStore{{Name: "system", Date: "2026-03-01", Public: true}}, roots: [][]byte{a, b, c},
		},
		{
			name: "bundle and directory are one store", specs: []string{"system"}, file: bundleFile, dir: roots,
			want: []inventory.TrustStore{{Name: "system", Date: "2026-03-01", Public: true}}, roots: [][]byte{a, b, c},
		},
		{
			name: "an empty system falls back and says so", file: "none", dir: empty,
			want: []inventory.TrustStore{{Name: "mozilla", Public: true}}, noteOf: "the system has no roots",
		},
		{
			name: "so does one whose roots are in no files", goos: "windows",
			want: []inventory.TrustStore{{Name: "mozilla", Public: true}}, noteOf: "the roots of windows cannot be listed",
		},
		{
			name: "the stand-in is not listed twice", specs: []string{"system", "mozilla", "mozilla"}, goos: "darwin",
			want: []inventory.TrustStore{{Name: "mozilla", Public: true}}, noteOf: "darwin",
		},
		{
			name: "files keep their order and are not public", specs: []string{bundleFile, derFile, roots},
			want: []inventory.TrustStore{
				{Name: bundleFile, Date: "2026-11-01"}, {Name: derFile, Date: "2026-01-02"}, {Name: roots, Date: "2026-11-02"},
			},
			roots: [][]byte{a, b},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			goos := tt.goos
			if goos == "" {
				goos = "linux"
			}
			got, err := evidence.Stores(tt.specs, evidence.StoreOptions{Decode: decode, Getenv: env(tt.file, tt.dir), GOOS: goos})
			if err != nil {
				t.Fatal(err)
			}
			if tt.roots != nil {
				if diff := cmp.Diff(tt.roots, anchors(got[0])); diff != "" {
					t.Errorf("anchors (-want +got):\n%s", diff)
				}
			} else if len(got[0].Anchors) < 50 {
				t.Errorf("%d anchors, want Mozilla's", len(got[0].Anchors))
			}
			if !strings.Contains(got[0].Note, tt.noteOf) || (got[0].Note == "") != (tt.noteOf == "") {
				t.Errorf("note = %q, want it to contain %q", got[0].Note, tt.noteOf)
			}
			for i := range got {
				got[i].Anchors, got[i].Note = nil, ""
				if got[i].Name == "mozilla" {
					got[i].Date = ""
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("stores (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStoresRefuses(t *testing.T) {
	t.Parallel()
	a := newRoot(t, "a")
	dir := t.TempDir()
	text := write(t, filepath.Join(dir, "text/x.pem"), []byte("nothing"), "2026-01-01")
	trusted := write(t, filepath.Join(dir, "trusted.pem"), pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: a}), "2026-01-01")
	write(t, filepath.Join(dir, "mixed/a.pem"), pemOf(a), "2026-01-01")
	write(t, filepath.Join(dir, "mixed/b.pem"), []byte("-----BEGIN"), "2026-01-01")
	write(t, filepath.Join(dir, "none/notes.txt"), []byte("nothing"), "2026-01-01")

	for _, tt := range []struct{ name, spec, want string }{
		{"a missing file", filepath.Join(dir, "gone.pem"), "no such file; a trust store is system, mozilla"},
		{"a file without a certificate", text, `trust store "` + text + `": no certificate in it`},
		{"OpenSSL's trusted certificates", trusted, "whose trust settings are not read"},
		{"a directory with a broken root", filepath.Join(dir, "mixed"), "b.pem: no certificate in it"},
		{"a directory without roots", filepath.Join(dir, "none"), "no certificate in it, nor in any of its files"},
		{"nothing", "", "the name is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := evidence.Stores([]string{"mozilla", tt.spec}, evidence.StoreOptions{Decode: decode})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want it to contain %q", err, tt.want)
			}
		})
	}
}

func TestMozilla(t *testing.T) {
	t.Parallel()
	stores, err := evidence.Stores([]string{"mozilla"}, evidence.StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	infos := evidence.Infos(stores)
	if len(infos) != 1 || !regexp.MustCompile(`^20\d\d-\d\d-\d\d$`).MatchString(infos[0].Date) {
		t.Errorf("Infos = %+v, want a date", infos)
	}
	constrained := 0
	for _, a := range stores[0].Anchors {
		if _, err := x509.ParseCertificate(a.DER); err != nil {
			t.Errorf("a root does not parse: %v", err)
		}
		if a.Constraint != nil {
			constrained++
		}
	}
	if constrained == 0 {
		t.Error("no root carries its constraint; Mozilla has had some since 2024")
	}
}

func TestVersionDate(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"v0.0.0-20261030153154-30a33513ff6d":       "2026-10-30",
		"v1.2.4-0.20261030153154-30a33513ff6d":     "2026-10-30",
		"v1.2.4-pre.0.20261030153154-30a33513ff6d": "2026-10-30",
		"v1.2.3":      "",
		"v1.2.3-rc-1": "",
		"(devel)":     "",
		"":            "",
	} {
		if got := evidence.VersionDate(version); got != want {
			t.Errorf("%q is of %q, want %q", version, got, want)
		}
	}
}

// The date that is shown has to be that of the roots that are compiled in.
func TestMozillaVersion(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := evidence.MozillaModule + " " + evidence.MozillaVersion; !strings.Contains(string(mod), want) {
		t.Errorf("go.mod does not ask for %s: change the constant", want)
	}
}
