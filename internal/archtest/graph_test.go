package archtest_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const wiring = "cmd/certscan" // the only package that sees all others

// allowed lists, for each package, which of ours its files may import.
func allowed() map[string][]string {
	words := []string{"internal/inventory"}
	return map[string][]string{
		"internal/inventory": {},
		"internal/blocklist": words,
		"internal/certfile":  words,
		"internal/config":    words,
		"internal/ct":        words,
		"internal/crl":       words,
		"internal/discover":  {"internal/inventory", "internal/resolve"},
		"internal/evidence":  words,
		"internal/export":    words,
		"internal/fetch":     words,
		"internal/lab":       words,
		"internal/location":  words,
		"internal/policy":    words,
		"internal/onecrl":    words,
		"internal/probe":     words,
		"internal/report":    words,
		"internal/resolve":   words,
		"internal/scan":      words,
		"internal/server":    words,
		"internal/store":     words,
		"internal/storetest": words,
		"internal/verify":    words,

		"alerts":               words,
		"dashboards":           words,
		"docs":                 words,
		"internal/archtest":    {},
		"internal/bench":       {"internal/export", "internal/inventory", "internal/lab"},
		"internal/conformance": words,
		"internal/peers":       words,
		"internal/promtest":    {},
		"internal/soak":        {"internal/inventory", "internal/lab", "internal/store"},
	}
}

// onlyTests may import these: they are tests, help them, or measure.
func onlyTests() []string {
	return []string{"internal/archtest", "internal/bench", "internal/conformance", "internal/peers", "internal/promtest", "internal/soak", "internal/storetest"}
}

// manyInTests are the packages whose tests look at several others together.
func manyInTests() []string {
	return []string{"internal/conformance", "internal/lab", "internal/peers", wiring}
}

// inTests lists what else of ours the tests of a package may import: the reader
// of what it judges, so that both agree.
func inTests() map[string][]string {
	return map[string][]string{
		"internal/verify": {"internal/crl"},
		"dashboards":      {"internal/export"},

		// /probe is shown, on real endpoints, to be what others expect.
		"internal/export": {"internal/discover", "internal/location", "internal/probe", "internal/resolve", "internal/verify"},
	}
}

// owners lists, for each third-party module, which packages may import it.
func owners() map[string][]string {
	return map[string][]string{
		"github.com/goccy/go-yaml":               {"internal/discover", "internal/config", "internal/evidence", "internal/server"},
		"github.com/google/uuid":                 {wiring, "internal/store", "internal/scan"},
		"github.com/klauspost/compress":          {"internal/export"},
		"github.com/miekg/dns":                   {"internal/resolve", "internal/lab"},
		"github.com/prometheus/client_golang":    {"internal/export"},
		"github.com/prometheus/common":           {"internal/export"},
		"github.com/prometheus/exporter-toolkit": {"internal/server"},
		"github.com/rivo/uniseg":                 {"internal/report"},
		"github.com/schollz/progressbar/v3":      {"internal/report"},
		"github.com/smallstep/pkcs7":             {"internal/lab"},
		"github.com/spf13/cobra":                 {wiring},
		"github.com/spf13/pflag":                 {wiring},
		"golang.org/x/crypto":                    {"internal/certfile", "internal/evidence", "internal/lab", "internal/probe", "internal/verify"},
		"golang.org/x/crypto/x509roots/fallback": {"internal/evidence"},
		"golang.org/x/net":                       {"internal/discover", "internal/lab", "internal/resolve", "internal/scan", "internal/server", "internal/verify"},
		"golang.org/x/sync":                      {"internal/evidence", "internal/fetch", "internal/location", "internal/resolve", "internal/scan", "internal/server", "internal/soak", wiring},
		"golang.org/x/sys":                       {wiring, "internal/probe", "internal/report", "internal/scan", "internal/store"},
		"golang.org/x/term":                      {wiring, "internal/report"},
		"golang.org/x/time":                      {"internal/evidence", "internal/export", "internal/fetch", "internal/location", "internal/resolve", "internal/scan"},
		"modernc.org/sqlite":                     {"internal/store"},
		"software.sslmate.com/src/go-pkcs12":     {"internal/certfile"},
	}
}

// testOwners lists the modules that tests, and packages for tests, may import
// besides those that somebody owns.
func testOwners() []string {
	return []string{
		"github.com/google/go-cmp",
		"github.com/prometheus/client_golang",
		"github.com/prometheus/client_model",
		"github.com/prometheus/common",
		"github.com/rogpeppe/go-internal",
		"go.uber.org/goleak",
	}
}

func TestGraph(t *testing.T) {
	t.Parallel()
	graph := allowed()
	for _, f := range tree(t) {
		may, known := graph[f.pkg]
		if !known && f.pkg != wiring {
			t.Errorf("%s: give package %s a place in the graph", f.path, f.pkg)
			continue
		}
		for imported := range f.imports(t) {
			dep, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			switch {
			case slices.Contains(may, dep):
			case f.test && (dep == f.pkg || dep == "internal/lab" || dep == "internal/promtest" || dep == "internal/storetest"):
			case f.test && (slices.Contains(manyInTests(), f.pkg) || slices.Contains(inTests()[f.pkg], dep)):
			case f.pkg == wiring && !slices.Contains(onlyTests(), dep):
			default:
				t.Errorf("%s must not import %s: what crosses packages is a type in internal/inventory or an interface of the caller", f.path, imported)
			}
		}
	}
}

func TestLibraries(t *testing.T) {
	t.Parallel()
	table := owners()
	for _, f := range tree(t) {
		for imported := range f.imports(t) {
			first, _, _ := strings.Cut(imported, "/")
			if !strings.Contains(first, ".") || strings.HasPrefix(imported, module+"/") {
				continue
			}
			lib := moduleOf(imported, slices.Collect(maps.Keys(table)))
			switch {
			case f.test && lib != "":
			case (f.test || slices.Contains(onlyTests(), f.pkg)) && moduleOf(imported, testOwners()) != "":
			case lib == "":
				t.Errorf("%s imports %s: give it an owner here and a line in docs/dependencies.md", f.path, imported)
			case !slices.Contains(table[lib], f.pkg):
				t.Errorf("%s must not import %s: only %s may", f.path, imported, strings.Join(table[lib], ", "))
			}
		}
	}
}

// moduleOf is the longest of modules that imported lies in.
func moduleOf(imported string, modules []string) string {
	best := ""
	for _, m := range modules {
		if (imported == m || strings.HasPrefix(imported, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	return best
}

// A dependency is a decision, and decisions are written down.
func TestDependenciesAreExplained(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile(filepath.Join(root, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[string]bool)
	modules := slices.Concat(slices.Collect(maps.Keys(owners())), testOwners())
	for _, f := range tree(t) {
		for imported := range f.imports(t) {
			if m := moduleOf(imported, modules); m != "" {
				used[m] = true
			}
		}
	}
	for m := range used {
		if !strings.Contains(string(doc), "| `"+m+"` |") {
			t.Errorf("docs/dependencies.md has no line for %s", m)
		}
	}
}

// The rules are worth what they catch.
func TestModuleOf(t *testing.T) {
	t.Parallel()
	modules := []string{"golang.org/x/crypto", "golang.org/x/crypto/x509roots/fallback"}
	for imported, want := range map[string]string{
		"golang.org/x/crypto/ocsp":                      "golang.org/x/crypto",
		"golang.org/x/crypto/x509roots/fallback/bundle": "golang.org/x/crypto/x509roots/fallback",
		"golang.org/x/cryptography":                     "",
	} {
		if got := moduleOf(imported, modules); got != want {
			t.Errorf("%s is of %q, want %q", imported, got, want)
		}
	}
}
