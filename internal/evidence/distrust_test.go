package evidence_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
)

func TestBuiltinDistrust(t *testing.T) {
	t.Parallel()
	lists, err := evidence.DistrustLists(nil)
	if err != nil || len(lists) != 1 {
		t.Fatalf("DistrustLists = %v, %v, want the built-in list", lists, err)
	}
	keys := make(map[inventory.Fingerprint]bool)
	for _, e := range lists[0].Entries {
		if e.Key.IsZero() || e.Reason == "" || e.Source == "" || e.Date == "" || keys[e.Key] {
			t.Errorf("entry %+v lacks its key, reason, source or date, or is there twice", e)
		}
		keys[e.Key] = true
	}
	if lists[0].Date != "2026-10-20" {
		t.Errorf("Date = %q, want that of the latest decision", lists[0].Date)
	}
	// The roots themselves, as they were shipped.
	data, err := os.ReadFile("testdata/distrusted.pem")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		n++
		if !keys[inventory.FingerprintOf(c.RawSubjectPublicKeyInfo)] {
			t.Errorf("%s is not on the list", c.Subject)
		}
	}
	if n != 2 {
		t.Errorf("%d roots were read, want 2", n)
	}
}

const aKey = "8d417db2dd8bf5e3084d1e3f196d583849d81bdd4c00c70b9d39369e96b8c782"

func TestParseDistrust(t *testing.T) {
	t.Parallel()
	fp, err := inventory.ParseFingerprint(aKey)
	if err != nil {
		t.Fatal(err)
	}
	want := []inventory.Distrusted{
		{Key: fp, Name: "Some CA", Date: "2026-10-20", Reason: "keys were stolen", Source: "https://news.example/1"},
		{Certificate: fp, After: time.Date(2026, 10, 20, 23, 59, 59, 0, time.UTC), Reason: "is wound up"},
		{Issuer: "CN=Bad CA,O=Bad", After: time.Date(2026, 10, 20, 10, 0, 0, 0, time.UTC), Reason: "misissued"},
		{KeyID: []byte{0x7c, 0x5d, 0x02}, Reason: "ours, retired"},
	}
	for _, tt := range []struct{ name, text string }{
		{"YAML", `# the company's own
distrust:
  - key: ` + aKey + `
    name: Some CA
    date: 2026-10-20
    reason: keys were stolen
    source: https://news.example/1
  - certificate: ` + strings.ToUpper(aKey) + `
    after: 2026-10-20
    reason: is wound up
  - {issuer: "CN=Bad CA,O=Bad", after: 2026-10-20T12:00:00+02:00, reason: misissued}
  - key_id: 7C:5D:02
    reason: >
      ours,
      retired
builtin: false
`},
		{"JSON", `{"builtin": false, "distrust": [
 {"key": "` + aKey + `", "name": "Some CA", "date": "2026-10-20", "reason": "keys were stolen", "source": "https://news.example/1"},
 {"certificate": "` + aKey + `", "after": "2026-10-20", "reason": "is wound up"},
 {"issuer": "CN=Bad CA,O=Bad", "after": "2026-10-20T10:00:00Z", "reason": "misissued"},
 {"key_id": "7c5d02", "reason": "ours, retired"}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, alone, err := evidence.ParseDistrust([]byte(tt.text), "list")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" || !alone {
				t.Errorf("alone %v, entries differ (-want +got):\n%s", alone, diff)
			}
		})
	}
}

func TestParseDistrustRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"every problem with its line", `distrust:
  - key: 1234
    reason: x
  - reason: of nobody
  - key: ` + aKey + `
    issuer: CN=x
    reason: of two
  - key: ` + aKey + `
  - key: ` + aKey + `
    reason: x
    after: yesterday
    colour: red
`, []string{"list:2: key:", "list:4: an entry is about one of", "list:5: an entry is about one of", "list:8: reason is missing", "list:11: after:", "list:12: \"colour\" is not known"}},
		{"what is not YAML", "distrust:\n\t- x: [\n", []string{"list:2: not YAML"}},
		{"an empty file", "", []string{"list:1: want one document"}},
		{"a list without its name", "- key: x\n", []string{"list:1: want a mapping"}},
		{"a text for the list", "distrust: all\n", []string{"list:1: distrust: want a list"}},
		{"an unknown field", "distrusted: []\n", []string{`list:1: "distrusted" is not known`}},
		{"a list for a text", "distrust:\n- key: [a]\n  reason: x\n", []string{"list:2: key: want text"}},
		{"neither true nor false", "builtin: maybe\n", []string{"list:1: builtin: want true or false"}},
		{"the same field twice", "builtin: true\nbuiltin: false\n", []string{"list:2: not YAML"}},
		{"deep nesting", strings.Repeat("[", 1<<16), []string{"list: is nested more than"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := evidence.ParseDistrust([]byte(tt.text), "list")
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestDistrustFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := "distrust:\n- {key: " + aKey + ", reason: x, date: 2026-11-01}\n"
	more := write(t, filepath.Join(dir, "more.yml"), []byte(list), "2026-11-01")
	only := write(t, filepath.Join(dir, "only.yml"), []byte("builtin: false\n"+list), "2026-11-01")
	bad := write(t, filepath.Join(dir, "bad.yml"), []byte("x: y\n"), "2026-11-01")

	lists, err := evidence.DistrustLists([]string{more})
	if err != nil || len(lists) != 2 || lists[1].Name != more || lists[1].Date != "2026-11-01" {
		t.Errorf("DistrustLists(more) = %v, %v, want the built-in list and the file's", lists, err)
	}
	lists, err = evidence.DistrustLists([]string{only})
	if err != nil || len(lists) != 1 || lists[0].Name != only {
		t.Errorf("DistrustLists(only) = %v, %v, want the file's alone", lists, err)
	}
	_, err = evidence.DistrustLists([]string{bad, dir, filepath.Join(dir, "missing.yml")})
	for _, want := range []string{`bad.yml": bad.yml:1: "x" is not known`, "not a regular file", "no such file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q: %v", want, err)
		}
	}
}

func FuzzParseDistrust(f *testing.F) {
	f.Add([]byte("distrust:\n- {key: " + aKey + ", reason: x, after: 2026-11-01}\nbuiltin: true\n"))
	f.Add([]byte(`{"distrust": [{"key_id": "7c", "reason": "x"}]}`))
	f.Add([]byte("a: &x [*x]\n? b\n: |\n  c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, _, err := evidence.ParseDistrust(data, "list")
		if err != nil && entries != nil {
			t.Error("entries beside an error")
		}
		for _, e := range entries {
			if e.Reason == "" || e.Certificate.IsZero() && e.Key.IsZero() && len(e.KeyID) == 0 && e.Issuer == "" {
				t.Errorf("entry %+v is about nobody", e)
			}
		}
	})
}
