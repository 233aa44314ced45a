package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"example.com/certscan/internal/inventory"
)

// A decoder turns the nodes of one file into values, and collects what is wrong
// with them. A reader of a wrong value returns the zero value and goes on.
type decoder struct {
	file     string
	parsers  Parsers
	problems Problems
	visit    func(path string, known fields) // if not nil, is told of each mapping; for tests
}

// sort puts the problems in the order of the file.
func (d *decoder) sort() {
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// A node is a value in the file, with the path to it.
type node struct {
	d    *decoder
	y    ast.Node // nil for nothing
	path string
}

// fields are the readers of the values of a mapping, by key.
type fields map[string]func(node)

// fail notes a problem with n.
func (n node) fail(format string, args ...any) {
	p := Problem{File: n.d.file, Path: n.path, Err: fmt.Errorf(format, args...)}
	p.Line, p.Column = n.position()
	n.d.problems = append(n.d.problems, p)
}

// position is where n begins. A mapping's own token is the colon of its first
// key, so the key is asked instead.
func (n node) position() (line, column int) {
	y := n.y
	switch m := y.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			y = m.Values[0].Key
		}
	case *ast.MappingValueNode:
		y = m.Key
	}
	if y == nil {
		return 0, 0
	}
	tok := y.GetToken()
	if tok == nil || tok.Position == nil {
		return 0, 0
	}
	return tok.Position.Line, tok.Position.Column
}

// place is where n stands, for messages of later: "policy.yaml:12".
func (n node) place() string {
	line, _ := n.position()
	return n.d.file + ":" + strconv.Itoa(line)
}

func (n node) key(k string) node {
	if n.path != "" {
		k = n.path + "." + k
	}
	n.path = k
	return n
}

// kind names what n is, for messages.
func (n node) kind() string {
	switch n.y.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AliasNode, *ast.AnchorNode, *ast.MergeKeyNode:
		return "an alias or anchor"
	case *ast.TagNode:
		return "a tag"
	}
	return "a plain value"
}

// wrong notes that n is not what was wanted.
func (n node) wrong(want string) {
	switch n.y.(type) {
	case *ast.AliasNode:
		n.fail("is an alias, which is not read: want %s; text that begins with * stands in quotation marks", want)
	default:
		n.fail("is %s: want %s", n.kind(), want)
	}
}

// mapping reads the values of n by fields, in the order of the file. Keys that
// are unknown, there twice, or required and missing are problems.
func (n node) mapping(known fields, required ...string) {
	var pairs []*ast.MappingValueNode
	switch y := n.y.(type) {
	case *ast.MappingNode:
		pairs = y.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{y}
	default:
		n.wrong("a mapping with keys such as " + strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		return
	}
	if n.d.visit != nil {
		n.d.visit(n.path, known)
	}
	seen := make(map[string]bool)
	for _, pair := range pairs {
		at := node{n.d, pair.Key, n.path}
		k, ok := at.scalar()
		if !ok {
			at.fail("a key must be plain text; merge keys and aliases are not read")
			continue
		}
		read := known[k]
		switch {
		case seen[k]:
			at.key(k).fail("stands there twice")
		case read == nil:
			at.fail("there is no key %q here%s", k, suggest(k, known))
		default:
			v := n.key(k)
			if v.y = pair.Value; n.kindOf(pair.Value) == "nothing" {
				at.key(k).fail("has no value: give it one, or leave the key out")
			} else {
				read(v)
			}
		}
		seen[k] = true
	}
	for _, k := range required {
		if !seen[k] {
			n.fail("%s is missing", k)
		}
	}
}

func (n node) kindOf(y ast.Node) string {
	n.y = y
	return n.kind()
}

// suggest names the known key that is nearest to k, or all of them.
func suggest(k string, known fields) string {
	names := slices.Sorted(maps.Keys(known))
	best, distance := "", 3
	for _, name := range names {
		if d := editDistance(k, name); d < distance {
			best, distance = name, d
		}
	}
	if best != "" {
		return ": did you mean " + best + "?"
	}
	return ": want one of " + strings.Join(names, ", ")
}

// editDistance is the number of octets to insert, drop or replace; that of long
// words is not worth knowing.
func editDistance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// items reads every entry of the list n.
func items[T any](n node, read func(node) T) []T {
	seq, ok := n.y.(*ast.SequenceNode)
	if !ok {
		n.wrong("a list")
		return nil
	}
	out := make([]T, 0, len(seq.Values))
	for i, y := range seq.Values {
		out = append(out, read(node{n.d, y, fmt.Sprintf("%s[%d]", n.path, i)}))
	}
	if len(out) == 0 {
		what := "leave the key out, or name something"
		if n.path == "sources" { // which serve cannot do without
			what = "name a source with targets or files"
		}
		n.fail("is an empty list: %s", what)
	}
	return out
}

// oneOrMore reads the list n, or n itself as its only entry.
func oneOrMore[T any](n node, read func(node) T) []T {
	if _, ok := n.y.(*ast.SequenceNode); ok {
		return items(n, read)
	}
	return []T{read(n)}
}

// scalar is the text of a plain value.
func (n node) scalar() (string, bool) {
	switch y := n.y.(type) {
	case *ast.StringNode:
		return y.Value, true
	case *ast.LiteralNode:
		return strings.TrimSuffix(y.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return y.GetToken().Value, true
	}
	return "", false
}

// text reads text that is not empty, of one line and without control characters.
func (n node) text() string {
	s, ok := n.scalar()
	switch {
	case !ok:
		n.wrong("text")
		return ""
	case strings.TrimSpace(s) == "":
		n.fail("is empty")
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		n.fail("has a control character or more than one line")
	}
	return s
}

// word reads one of a few words.
func word[T ~string](n node, known ...T) T {
	s, ok := n.scalar()
	if !ok {
		n.wrong("a word")
		return ""
	}
	if !slices.Contains(known, T(s)) {
		words := make([]string, len(known))
		for i, k := range known {
			words[i] = string(k)
		}
		n.fail("%q is not known: want one of %s", s, strings.Join(words, ", "))
		return ""
	}
	return T(s)
}

// truth reads true or false.
func (n node) truth() bool {
	b, ok := n.y.(*ast.BoolNode)
	if !ok {
		n.wrong("true or false")
		return false
	}
	return b.Value
}

// integer reads a whole number within limits.
func (n node) integer(least, most int) int {
	s, ok := n.scalar()
	v, err := strconv.Atoi(s)
	switch {
	case !ok:
		n.wrong("a whole number")
	case err != nil:
		n.fail("%q is not a whole number", s)
	case v < least || v > most:
		n.fail("%d is out of range: want %d to %d", v, least, most)
	}
	return v
}

// duration reads a time with its unit, in days and weeks as well, that is more
// than nothing: "36h", "90d", "2w".
func (n node) duration() time.Duration {
	s, ok := n.scalar()
	if !ok {
		n.wrong("a duration such as 36h, 90d or 2w")
		return 0
	}
	d, err := inventory.ParseDuration(s)
	if err != nil || d <= 0 {
		n.fail("%q is not a duration: want such as 36h, 90d or 2w", s)
		return 0
	}
	return d
}

// day reads a date and returns the midnight, in UTC, at which it ends.
func (n node) day() time.Time {
	s, ok := n.scalar()
	if !ok {
		n.wrong("a date such as 2026-12-31")
		return time.Time{}
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		n.fail("%q is not a date: want such as 2026-12-31", s)
		return time.Time{}
	}
	return t.AddDate(0, 0, 1)
}

// parsed reads text by a parser of its own.
func parsed[T any](n node, parse func(string) (T, error)) T {
	s, ok := n.scalar()
	if !ok {
		n.wrong("text")
		var none T
		return none
	}
	v, err := parse(s)
	if err != nil {
		n.fail("%w", err)
	}
	return v
}

// selector reads an [inventory.Selector].
func (n node) selector() inventory.Selector { return parsed(n, inventory.ParseSelector) }
