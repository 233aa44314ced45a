// Package config reads configuration files into [Config].
//
// It is strict: what it does not know, what stands there twice, and what has the
// wrong form is refused, and all problems are told at once, each with file, line,
// column and path. It opens no other file than the one it is given, and defaults
// to nothing that is not written at the field. Its invariant: a Config that was
// returned without an error has no problem that this package can know of.
package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/parser"

	"example.com/certscan/internal/inventory"
)

// maxFile bounds a configuration in octets. A parsed one takes a hundred times
// that in memory.
const maxFile = 1 << 20

// maxNesting bounds the depth of a file: the time that the parser takes grows
// with the square of it.
const maxNesting = 50

// A Problem is one thing that is wrong with a file.
type Problem struct {
	File         string
	Line, Column int    // from 1; 0 if it is about the whole file
	Path         string // of the value: "policy.rules[2].require.keys"; "" is the file
	Err          error
}

// Error says where, and what.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	if p.Path != "" {
		b.WriteString(": ")
		b.WriteString(p.Path)
	}
	fmt.Fprintf(&b, ": %v", p.Err)
	return b.String()
}

// Unwrap returns what is wrong.
func (p Problem) Unwrap() error { return p.Err }

// Problems are all that is wrong with a file, in its order.
type Problems []Problem

// Error has one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Parsers read what other packages know the form of, so that flags and files
// mean the same. All are required where a file has such values.
type Parsers struct {
	Target func(text string, without inventory.Protocol) (inventory.Target, error) // without: of text that names none
	Fetch  func(text string) error                                                 // of trust.allow_fetch
	DNS    func(text string) error                                                 // of scan.resolvers

	// File, if not nil, is asked whether what a key such as "trust.onecrl" names
	// can be used. A path is absolute; a trust store may also be [StoreSystem]
	// or [StoreMozilla].
	File func(key, path string) error
}

// Load reads the file at path. The error is of type [Problems] if the file could
// be read and is wrong.
func Load(path string, p Parsers) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Read(path, f, p)
}

// Read reads a configuration; name is what problems call it, and relative paths
// in it begin at its directory.
func Read(name string, r io.Reader, p Parsers) (*Config, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d := &decoder{file: name, parsers: p}
	cfg := Default()
	if root, ok := d.parse(text); ok {
		d.config(root, cfg)
	}
	if len(d.problems) > 0 {
		d.sort()
		return nil, d.problems
	}
	return cfg, nil
}

// config reads the whole file. Each block has a function and a file of its own.
func (d *decoder) config(n node, c *Config) {
	n.mapping(fields{
		"sources": func(n node) { c.Sources = d.sources(n) },
		"scan":    func(n node) { d.scan(n, &c.Scan) },
		"tiers":   func(n node) { d.tiers(n, &c.Tiers) },
		"trust":   func(n node) { d.trust(n, &c.Trust) },
		"policy":  func(n node) { d.policy(n, &c.Policy) },
		"waivers": func(n node) { c.Waivers = items(n, d.waiver) },
		"metrics": func(n node) { d.metrics(n, &c.Metrics) },
		"web":     func(n node) { d.web(n, &c.Web) },
		"store":   func(n node) { d.store(n, &c.Store) },

		"locations": reserved("other locations"),
		"ct":        reserved("watching Certificate Transparency logs"),
		"renew":     reserved("triggering renewals"),
	})
}

// reserved refuses a block that a later version reads.
func reserved(what string) func(node) {
	return func(n node) { n.fail("%s is not in this version of certscan: leave the key out", what) }
}

// parse makes nodes of text.
func (d *decoder) parse(text []byte) (node, bool) {
	whole := node{d: d}
	if len(text) > maxFile {
		whole.fail("is longer than %d octets", maxFile)
		return whole, false
	}
	if err := checkNesting(string(text)); err != nil {
		whole.fail("%w", err)
		return whole, false
	}
	f, err := parser.ParseBytes(text, 0, parser.AllowDuplicateMapKey()) // mapping tells of all of them
	if err != nil {
		p := Problem{File: d.file, Err: fmt.Errorf("is not YAML: %w", err)}
		if ye, ok := errors.AsType[yaml.Error](err); ok {
			p.Err = errors.New("is not YAML: " + ye.GetMessage())
			if tok := ye.GetToken(); tok != nil && tok.Position != nil {
				p.Line, p.Column = tok.Position.Line, tok.Position.Column
			}
		}
		if bareStar.Match(text) {
			p.Err = fmt.Errorf("%w; text that begins with * stands in quotation marks", p.Err)
		}
		d.problems = append(d.problems, p)
		return whole, false
	}
	switch {
	case len(f.Docs) == 0 || len(f.Docs) == 1 && f.Docs[0].Body == nil:
		whole.fail("is empty")
		return whole, false
	case len(f.Docs) > 1:
		whole.fail("has %d documents: want one", len(f.Docs))
		return whole, false
	}
	return node{d: d, y: f.Docs[0].Body}, true
}

// bareStar matches a value that is a star, as selectors may be.
var bareStar = regexp.MustCompile(`(?m)(:|-)[ \t]+\*[ \t]*($|#)`)

// checkNesting refuses text that would keep the parser busy.
func checkNesting(text string) error {
	depth := 0
	for line := range strings.Lines(text) {
		rest := strings.TrimLeft(line, " -?")
		lead := line[:len(line)-len(rest)]
		if strings.Count(lead, "- ")+strings.Count(lead, "? ") > maxNesting {
			return fmt.Errorf("is nested more than %d deep", maxNesting)
		}
		for _, c := range []byte(line) {
			switch c {
			case '[', '{':
				depth++
			case ']', '}':
				depth--
			}
			if depth > maxNesting {
				return fmt.Errorf("is nested more than %d deep", maxNesting)
			}
		}
	}
	return nil
}
