package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// Who is woken copies the commands of a runbook: each has to exist, with its
// flags.
func TestCommandsOfRunbooks(t *testing.T) {
	t.Parallel()
	root := newRootCommand(streams{env: func(string) string { return "" }})
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range commandLines(string(text)) {
			n++
			cmd, rest, err := root.Find(strings.Fields(line)[1:])
			if cmd == root && strings.HasPrefix(line, "certscan config ") {
				continue // comes with the daemon
			}
			if err != nil || cmd == root {
				t.Errorf("%s: %q: there is no such command", page, line)
				continue
			}
			for _, word := range rest {
				name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
				if strings.HasPrefix(word, "-") && word != "-" && flagOf(cmd.Flags(), name) == nil {
					t.Errorf("%s: %q: %s has no flag %s", page, line, cmd.CommandPath(), word)
				}
			}
		}
	}
	if n < 40 {
		t.Errorf("found %d commands in %d pages, want more", n, len(pages))
	}
}

func flagOf(fs *pflag.FlagSet, name string) *pflag.Flag {
	if len(name) == 1 {
		return fs.ShorthandLookup(name)
	}
	return fs.Lookup(name)
}

// commandLines are the calls of certscan in code blocks and between backquotes.
func commandLines(page string) []string {
	var found []string
	code := false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "```") {
			code = !code
			continue
		}
		var parts []string
		if code {
			parts = strings.FieldsFunc(line, func(r rune) bool { return r == '|' || r == ';' })
		} else {
			for i, part := range strings.Split(line, "`") {
				if i%2 == 1 {
					parts = append(parts, part)
				}
			}
		}
		for _, part := range parts {
			part, _, _ = strings.Cut(strings.TrimSpace(part), " #")
			part, _, _ = strings.Cut(part, " > ")
			if strings.HasPrefix(part, "certscan ") {
				found = append(found, strings.TrimSpace(part))
			}
		}
	}
	return found
}
