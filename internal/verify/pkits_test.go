package verify_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// pkitsRevocation are the sections of invalid vectors in which the path is good
// and only a CRL, which is not judged here, makes them invalid.
var pkitsRevocation = []string{"4.4.", "4.5.", "4.7.4 ", "4.7.5 ", "4.14.", "4.15."}

// pkitsDSA are valid vectors signed with 1024-bit DSA and SHA-1, which no client
// of TLS accepts any more.
var pkitsDSA = []string{"4.1.4 Valid DSA Signatures Test4", "4.1.5 Valid DSA Parameter Inheritance Test5"}

// TestPKITS judges the vectors of NIST's suite that ship with Go. The suite
// predates TLS: its end entities have no names and some no key usage for it.
func TestPKITS(t *testing.T) {
	t.Parallel()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatalf("find the toolchain: %v", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src/crypto/x509/testdata/nist-pkits")
	raw, err := os.ReadFile(filepath.Join(dir, "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name                                                                        string
		CertPath                                                                    []string
		InitialPolicySet                                                            []string
		InitialPolicyMappingInhibit, InitialExplicitPolicy, InitialAnyPolicyInhibit bool
		ShouldValidate                                                              bool
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		der, err := os.ReadFile(filepath.Join(dir, "certs", name))
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	at := time.Date(2012, 6, 1, 0, 0, 0, 0, time.UTC)
	judged := 0
	for _, v := range vectors {
		if v.InitialPolicyMappingInhibit || v.InitialExplicitPolicy || v.InitialAnyPolicyInhibit || !slices.Equal(v.InitialPolicySet, []string{"anyPolicy"}) {
			continue // TLS has no such inputs
		}
		revocation := slices.ContainsFunc(pkitsRevocation, func(p string) bool { return strings.HasPrefix(v.Name, p) })
		if revocation && !v.ShouldValidate {
			continue
		}
		judged++
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			var chain [][]byte
			for i := len(v.CertPath) - 1; i > 0; i-- {
				chain = append(chain, read(v.CertPath[i]))
			}
			store := inventory.TrustStore{Name: "pkits", Anchors: []inventory.Anchor{{DER: read(v.CertPath[0])}}}
			j, err := verify.New(verify.Options{Stores: []inventory.TrustStore{store}})
			if err != nil {
				t.Fatal(err)
			}
			f := factsOf(chain)
			f.Target.Host = ""
			got, _ := j.Judge(f, nil, at)
			ok := got.Verdict.Trust.Status == inventory.Trusted && got.Verdict.Time.Status == inventory.TimeValid
			if want := v.ShouldValidate && !slices.Contains(pkitsDSA, v.Name); ok != want {
				t.Errorf("time %s, trust %s (%s), want valid: %t", got.Verdict.Time.Status, got.Verdict.Trust.Status, got.Verdict.Trust.Stores[0].Detail, want)
			}
		})
	}
	if want := 167; judged != want || len(vectors) != 249 {
		t.Errorf("judged %d of %d vectors, want %d of 249", judged, len(vectors), want)
	}
}
