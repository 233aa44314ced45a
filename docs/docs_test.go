// Package docs_test holds the manual against the program: every finding has an
// entry, the reference is what --help says, and every link leads somewhere.
package docs_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
)

var update = flag.Bool("update", false, "write reference.md anew")

func TestEveryFindingIsExplained(t *testing.T) {
	t.Parallel()
	page := read(t, "findings.md")
	var want []string
	for _, c := range inventory.Codes() {
		want = append(want, string(c.Code))
	}
	slices.Sort(want)
	var entries, listed []string
	for _, m := range regexp.MustCompile(`(?m)^### (\S+)$`).FindAllStringSubmatch(page, -1) {
		entries = append(entries, m[1])
	}
	for _, m := range regexp.MustCompile(`\[(\w+)\]\(#(\w+)\)`).FindAllStringSubmatch(page, -1) {
		if m[1] != m[2] {
			t.Errorf("findings.md: %s links to %s", m[1], m[2])
		}
		listed = append(listed, m[1])
	}
	for name, got := range map[string][]string{"entries": entries, "the table": listed} {
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("findings.md, %s (-codes +page):\n%s", name, diff)
		}
	}
}

func TestEverySeverityIsRight(t *testing.T) {
	t.Parallel()
	page := read(t, "findings.md")
	for _, c := range inventory.Codes() {
		_, entry, _ := strings.Cut(page, "\n### "+string(c.Code)+"\n\n")
		word, _, _ := strings.Cut(entry, " ")
		if word = strings.ToLower(strings.Trim(word, ".,:")); word != string(c.Severity) && word != "by" { // by tier
			t.Errorf("findings.md: %s begins with %q, and its severity is %s", c.Code, word, c.Severity)
		}
	}
}

// TestReference keeps reference.md to what --help says. After a change to a
// flag: go test ./docs -update.
func TestReference(t *testing.T) {
	t.Parallel()
	got := "# Reference\n\nWhat `--help` says, for every command. Written by `go test ./docs -update`.\n" + helpOf(t, build(t))
	if *update {
		if err := os.WriteFile("reference.md", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(read(t, "reference.md"), got); diff != "" {
		t.Errorf("reference.md is not what --help says; go test ./docs -update (-page +help):\n%s", diff)
	}
}

// build compiles the program as a user would.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "certscan")
	// The test cache sees the files that a test opens and not those that its
	// children do.
	sources, err := filepath.Glob("../cmd/certscan/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("find the program's files: %v", err)
	}
	for _, name := range sources {
		if _, err := os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin, "../cmd/certscan")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// helpOf is the help of a command and of all below it.
func helpOf(t *testing.T, bin string, path ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, append(slices.Clone(path), "--help")...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v --help: %v", path, err)
	}
	help := string(bytes.TrimSpace(out))
	page := fmt.Sprintf("\n## %s\n\n```\n%s\n```\n", strings.Join(append([]string{"certscan"}, path...), " "), help)
	_, list, _ := strings.Cut(help, "\nAvailable Commands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.Lines(list) {
		if f := strings.Fields(line); len(f) > 0 && f[0] != "help" && f[0] != "completion" {
			page += helpOf(t, bin, append(slices.Clone(path), f[0])...)
		}
	}
	return page
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinks(t *testing.T) {
	t.Parallel()
	pages := []string{"../README.md", "../CHANGELOG.md", "../CONTRIBUTING.md"}
	for _, pattern := range []string{"*.md", "adr/*.md", "runbooks/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	n := 0
	for _, page := range pages {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			n++
			file, anchor, _ := strings.Cut(m[1], "#")
			file = filepath.Join(filepath.Dir(page), file)
			if strings.HasPrefix(m[1], "#") {
				file = page
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: link to %s: %v", page, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(read(t, file)), anchor) {
				t.Errorf("%s: link to %s: no such heading", page, m[1])
			}
		}
	}
	if n == 0 {
		t.Error("no link was found in any page")
	}
}

// anchors are the names that GitHub gives to headings.
func anchors(page string) []string {
	var all []string
	drop := regexp.MustCompile(`[^\w\- ]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		all = append(all, strings.ReplaceAll(drop.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
