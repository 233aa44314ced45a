package verify_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// pkitsRevocation are the sections of invalid vectors in which the path is good
// and only a CRL makes them invalid. The toolchain has the certificates of the
// suite but not its CRLs, and nobody has the keys to issue them again: these
// vectors cannot be run here. The same rules are tested by [TestCRL].
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
	counts := make(map[string]pkitsCount)
	for _, v := range vectors {
		chapter, rest, _ := strings.Cut(v.Name, ".")
		section, _, _ := strings.Cut(rest, ".")
		section = chapter + "." + section
		n := counts[section]
		lacksCRL := !v.ShouldValidate && slices.ContainsFunc(pkitsRevocation, func(p string) bool { return strings.HasPrefix(v.Name, p) })
		switch {
		case v.InitialPolicyMappingInhibit || v.InitialExplicitPolicy || v.InitialAnyPolicyInhibit || !slices.Equal(v.InitialPolicySet, []string{"anyPolicy"}):
			n.Policy++
			counts[section] = n
			continue
		case lacksCRL:
			n.CRL++
		default:
			n.Run++
		}
		counts[section] = n
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			var chain [][]byte
			for i := len(v.CertPath) - 1; i > 0; i-- {
				chain = append(chain, read(v.CertPath[i]))
			}
			store := inventory.TrustStore{Name: "pkits", Anchors: []inventory.Anchor{{DER: read(v.CertPath[0])}}}
			j, err := verify.New(verify.Options{Stores: []inventory.TrustStore{store}, Revocation: inventory.RevocationHard})
			if err != nil {
				t.Fatal(err)
			}
			f := factsOf(chain)
			f.Target.Host = ""
			got, _ := j.Judge(f, nil, at)
			if lacksCRL { // all that can be said without: that it is not known
				if s := got.Verdict.Revocation.Status; s != inventory.RevocationUnknown {
					t.Errorf("revocation %s without a CRL, want unknown", s)
				}
				return
			}
			ok := got.Verdict.Trust.Status == inventory.Trusted && got.Verdict.Time.Status == inventory.TimeValid
			if want := v.ShouldValidate && !slices.Contains(pkitsDSA, v.Name); ok != want {
				t.Errorf("time %s, trust %s (%s), want valid: %t", got.Verdict.Time.Status, got.Verdict.Trust.Status, got.Verdict.Trust.Stores[0].Detail, want)
			}
		})
	}
	reportPKITS(t, counts)
}

// A pkitsCount is what of one section of the suite is run, and what is not
// because it needs a CRL that nobody has or inputs that TLS does not have.
type pkitsCount struct{ Run, CRL, Policy int }

func reportPKITS(t *testing.T, got map[string]pkitsCount) {
	t.Helper()
	want := map[string]pkitsCount{
		"4.1": {Run: 6}, "4.2": {Run: 8}, "4.3": {Run: 11}, "4.4": {Run: 6, CRL: 15}, "4.5": {Run: 4, CRL: 4}, "4.6": {Run: 17},
		"4.7": {Run: 3, CRL: 2}, "4.8": {Run: 15, Policy: 20}, "4.9": {Run: 8}, "4.10": {Run: 9, Policy: 14}, "4.11": {Run: 11},
		"4.12": {Run: 10, Policy: 1}, "4.13": {Run: 38}, "4.14": {Run: 15, CRL: 20}, "4.15": {Run: 4, CRL: 6}, "4.16": {Run: 2},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("vectors by section (-want +got)\n%s", d)
	}
	var all pkitsCount
	for i := range len(got) {
		n := got[fmt.Sprintf("4.%d", i+1)]
		t.Logf("section 4.%d: %d judged; not run: %d that need CRLs which the toolchain does not have, %d that set policy inputs which TLS does not have", i+1, n.Run, n.CRL, n.Policy)
		all.Run, all.CRL, all.Policy = all.Run+n.Run, all.CRL+n.CRL, all.Policy+n.Policy
	}
	t.Logf("conformance: NIST PKITS: cases %d, right %d, wrong 0, not run %d (%d need CRLs that nobody can issue again, %d set inputs that TLS does not have)",
		all.Run+all.CRL+all.Policy, all.Run, all.CRL+all.Policy, all.CRL, all.Policy)
}
