package discover

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxYAML bounds, in octets, what is parsed at once: an entry of a top-level
// list, or a whole document that is none. A parsed one takes a hundred times
// that in memory.
const maxYAML = 1 << 20

// readYAML reads documents as document does, but a top-level list entry by
// entry: so a long list needs little memory, and an entry that is not even YAML
// costs itself and not the list.
//
// It can be cut because what belongs to an entry of a list at column 0 is
// indented (YAML 1.2, section 8.2.1), so a dash there begins the next one.
func (r *reader) readYAML(ls *lines) error {
	c := &chunk{first: 1}
	for {
		line, n, err := ls.next()
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errLongRow) {
			return err
		}
		end := errors.Is(err, io.EOF)
		divider := isDivider(line)
		if end || divider || c.inList && isEntry(line) {
			if err := r.chunk(c); err != nil {
				return err
			}
			c = &chunk{first: n, inList: c.inList && !divider}
		}
		if end {
			return nil
		}
		if divider {
			c.first = n + 1
			line = strings.TrimLeft(line[3:], " ") // a value may stand beside ---
			if line == "" {
				continue
			}
			c.first = n
		}
		c.add(line, err)
	}
}

// A chunk is a part of a YAML file that can be parsed by itself.
type chunk struct {
	text   []byte
	first  int  // number of its first line
	inList bool // in a document that is a list
	begun  bool // has more than comments
	err    error
}

func (c *chunk) add(line string, err error) {
	line = strings.ReplaceAll(line, "\r", " ") // a line end to the parser, but not to an editor
	text := strings.TrimSpace(line)
	switch {
	case c.begun || text == "" || text[0] == '#' || text[0] == '%':
	case isEntry(line):
		c.inList, c.begun = true, true
	default:
		c.begun = true
	}
	switch {
	case c.err != nil:
	case err != nil:
		c.err = err
	case len(c.text)+len(line) > maxYAML:
		c.err = fmt.Errorf("is longer than %d octets: write one entry for each target, beginning at the left margin, or CSV", maxYAML)
	default:
		c.text = append(append(c.text, line...), '\n')
	}
}

func isEntry(line string) bool { return line == "-" || strings.HasPrefix(line, "- ") }

func isDivider(line string) bool {
	return line == "---" || line == "..." || strings.HasPrefix(line, "--- ")
}

// chunk reads what is in c.
func (r *reader) chunk(c *chunk) error {
	if !c.begun {
		return nil
	}
	text := string(c.text)
	head, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	err := c.err
	if err == nil {
		err = checkNesting(text)
	}
	if err != nil {
		return r.problem(c.first, head, err)
	}
	f, err := parser.ParseBytes(c.text, 0, parser.AllowDuplicateMapKey()) // put knows better where they are
	if err != nil {
		line := c.first
		if ye, ok := errors.AsType[yaml.Error](err); ok {
			if tok := ye.GetToken(); tok != nil && tok.Position != nil {
				line += max(tok.Position.Line-1, 0)
			}
			err = errors.New(ye.GetMessage())
		}
		if strings.Contains(head, "[") {
			err = fmt.Errorf("%w (an IPv6 address in brackets needs quotation marks)", err)
		}
		return r.problem(line, head, fmt.Errorf("not YAML: %w", err))
	}
	for _, doc := range f.Docs {
		n, err := yamlNode(doc.Body, c.first-1, 1)
		if err == nil {
			err = r.document(n)
		} else {
			err = r.problem(n.line, head, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkNesting refuses text that would keep the parser busy: its time grows
// with the square of the depth.
func checkNesting(text string) error {
	const most = 100
	depth := 0
	for line := range strings.Lines(text) {
		rest := strings.TrimLeft(line, "-? ")
		if strings.Count(line[:len(line)-len(rest)], "- ") > most || strings.Count(line[:len(line)-len(rest)], "? ") > most {
			return fmt.Errorf("is nested more than %d deep", most)
		}
		for _, c := range []byte(line) {
			switch c {
			case '[', '{':
				depth++
			case ']', '}':
				depth--
			}
			if depth > most {
				return fmt.Errorf("is nested more than %d deep", most)
			}
		}
	}
	return nil
}

// yamlNode converts a node of the syntax tree. before is the number of lines
// before the chunk. With an error the node says only where it is.
func yamlNode(y ast.Node, before, depth int) (*node, error) {
	n := &node{}
	if y == nil {
		return n, nil
	}
	if tok := y.GetToken(); tok != nil && tok.Position != nil {
		n.line = before + tok.Position.Line
		n.text = tok.Value
	}
	if depth > maxDepth {
		return n, fmt.Errorf("is nested more than %d deep", maxDepth)
	}
	switch y := y.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		n.kind, n.text = scalar, y.Value
	case *ast.LiteralNode:
		n.kind, n.text = scalar, y.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		n.kind = scalar
	case *ast.SequenceNode:
		n.kind = list
		for _, v := range y.Values {
			item, err := yamlNode(v, before, depth+1)
			if err != nil {
				return item, err
			}
			n.items = append(n.items, item)
		}
	case *ast.MappingNode:
		n.kind = mapping
		for _, v := range y.Values {
			if at, err := n.yamlPair(v, before, depth); err != nil {
				return at, err
			}
		}
	case *ast.MappingValueNode:
		n.kind = mapping
		if at, err := n.yamlPair(y, before, depth); err != nil {
			return at, err
		}
	case *ast.TagNode:
		return yamlNode(y.Value, before, depth+1)
	case *ast.AnchorNode:
		return yamlNode(y.Value, before, depth+1)
	case *ast.AliasNode:
		n.kind, n.text = unsupported, "aliases (*name) are not read: write the value out"
	default:
		n.kind, n.text = unsupported, "this kind of YAML is not read: write the target as plain text"
	}
	return n, nil
}

// yamlPair adds a key and its value to n. With an error it says where.
func (n *node) yamlPair(pair *ast.MappingValueNode, before, depth int) (*node, error) {
	key, err := yamlNode(pair.Key, before, depth+1)
	if err != nil {
		return key, err
	}
	if key.kind != scalar {
		return key, errors.New("a key must be plain text (merge keys and aliases are not read)")
	}
	value, err := yamlNode(pair.Value, before, depth+1)
	if err != nil {
		return value, err
	}
	return key, n.put(key.text, value)
}
