package conformance_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// The module whose test data is judged. Only files of it are read: its code is
// neither imported nor run.
const (
	zlintModule = "github.com/zmap/zlint/v3@v3.7.3"
	zlintSum    = "h1:k7MZOUjW0nhmvqvG/VtHExOREuXkcTAfee9zoNRe8Vo="
	zlintCerts  = 1432 // different ones, in 1,446 files
)

// download fetches a module and returns where it lies.
func download(t *testing.T, module, sum string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", module).Output()
	if err != nil {
		t.Fatalf("download %s: %v: %s", module, err, out)
	}
	var got struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got.Sum != sum {
		t.Fatalf("%s has the checksum %s, want %s", module, got.Sum, sum)
	}
	return got.Dir
}

// TestZlintCorpus takes every certificate of zlint's tests into the inventory:
// whatever is wrong with one, it has a record, and judging it ends.
func TestZlintCorpus(t *testing.T) {
	judge, err := verify.New(verify.Options{
		Stores: []inventory.TrustStore{{Name: "none"}}, Profile: verify.ProfilePublic,
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[inventory.Fingerprint]bool)
	files, wrong, refused := 0, 0, 0
	err = filepath.WalkDir(filepath.Join(download(t, zlintModule, zlintSum), "testdata"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		ders := certificatesIn(t, path)
		if len(ders) > 0 {
			files++
		}
		for _, der := range ders {
			info := verify.Parse(der)
			if !seen[info.SHA256] && info.ParseError != "" {
				refused++
			}
			seen[info.SHA256] = true
			if why := lacking(judge, der, info); why != "" {
				wrong++
				t.Errorf("%s: %s", path, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("conformance: zlint corpus: cases %d, right %d, wrong %d, not run 0 (%d files; a strict parser refuses %d)", len(seen), len(seen)-wrong, wrong, files, refused)
	if len(seen) != zlintCerts {
		t.Errorf("%d different certificates, want %d", len(seen), zlintCerts)
	}
}

// lacking says what of a record is not there.
func lacking(judge *verify.Judge, der []byte, info inventory.Certificate) string {
	got, _ := judge.Judge(inventory.Facts{Observation: inventory.Observation{
		Offer: inventory.OfferDefault, Chain: [][]byte{der}, Reach: inventory.Reach{Status: inventory.ReachOK},
	}}, nil, time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC))
	switch {
	case info.SHA256 != sha256.Sum256(der):
		return "its SHA-256 is wrong"
	case info.Serial == "":
		return "no serial number: " + info.ParseError
	case got.Certificate == nil || got.Certificate.SHA256 != info.SHA256:
		return "no record"
	case len(got.Findings) == 0:
		return "nothing was found, and no store trusts it"
	}
	library, err := x509.ParseCertificate(der)
	if err != nil { // some say that they begin in the year 1: crypto/x509 has to agree
		if info.NotBefore.IsZero() {
			return "no validity: " + info.ParseError
		}
		return ""
	}
	if !library.NotBefore.Equal(info.NotBefore) || !library.NotAfter.Equal(info.NotAfter) {
		return "its validity is not what crypto/x509 reads"
	}
	if n, ok := new(big.Int).SetString(info.Serial, 16); !ok || n.Cmp(library.SerialNumber) != 0 {
		return "its serial number is not what crypto/x509 reads"
	}
	return ""
}

// certificatesIn returns those of a PEM file.
func certificatesIn(t *testing.T, file string) [][]byte {
	t.Helper()
	rest, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if rest = bytes.TrimSpace(rest); len(rest) == 0 {
		return nil
	}
	var ders [][]byte
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return ders
		}
		if slices.Contains([]string{"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"}, block.Type) {
			ders = append(ders, block.Bytes)
		}
	}
}
