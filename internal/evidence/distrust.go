package evidence

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"example.com/certscan/internal/inventory"
)

// DistrustBuiltin is the name of the list that certscan brings.
const DistrustBuiltin = "built-in"

const (
	maxDistrustBytes = 1 << 20 // of a file
	maxDistrustDepth = 20      // of nesting; the parser's time grows with its square
)

// builtin is what is known of authorities that stores and builds of before its
// dates still trust. All is copied from its source: nothing is here that was not
// published. An entry stays when everybody else has dropped the authority.
func builtin() inventory.DistrustList {
	key := func(digits string) (f inventory.Fingerprint) {
		_, _ = hex.Decode(f[:], []byte(digits)) // constants, which a test reads
		return f
	}
	list := inventory.DistrustList{Name: DistrustBuiltin, Entries: []inventory.Distrusted{
		{
			Name: "emSign ECC Root CA - G3", Key: key("8d417db2dd8bf5e3084d1e3f196d583849d81bdd4c00c70b9d39369e96b8c782"),
			Date: "2026-10-20", Reason: "private keys of eMudhra intermediates were compromised (CVE-2026-111943)",
			Source: "Debian ca-certificates 20250419~deb12u2, https://bugs.debian.org/1151413",
		},
		{
			Name: "AAA Certificate Services (Comodo)", Key: key("bd153ed7b0434f6886b17bce8bbe84ed340c7132d702a8f4fa318f756ecbd6f3"),
			Date: "2026-10-20", Reason: "removed together with emSign ECC Root CA - G3 after the compromise of eMudhra intermediates",
			Source: "Debian ca-certificates 20250419~deb12u2, https://bugs.debian.org/1151413",
		},
	}}
	// The source has keys and no names. Go's list of them is the same in 1.26.11.
	for _, digits := range []string{
		"ebed6475c2c2d80fcb199f3fe8dd6e6b3ce60b77eb15d4e42c3dec0c6f5b5105",
		"49dd353dc2b919a3770645117d0e60c16115e7d1bc259eefe734b00ea434fe5f",
		"e0254c7fcdc265e2f0f8a428dabb75ab4ae039b4872d62f5ee57f0877d5a8a41",
		"5c0660a2b164910d8ff589c18e14552e9e0ec237dcefe2cb736d41a4811f81a0",
		"43bffa19d6ef651451f6841e019931e96f6f2eaeff28ab4b6f1ce4576de2717b",
		"63ecefee431d49523bc1136c4e72d0206a477086caf606cd5cf025686c109cf8",
		"ec4ffa1ad0ac88081314b7aaffef6a91f97cd57291bb5ba686c5415f5eb4f6b6",
		"92c063d67e8f14db71d288e11266ffdaf69cbf115f7bab14f3bc2f68d25e0e30",
	} {
		list.Entries = append(list.Entries, inventory.Distrusted{
			Key: key(digits), Date: "2026-10-19", Reason: "compromised eMudhra intermediate (CVE-2026-111943)",
			Source: "Go 1.26.10, src/crypto/x509/verify.go, distrustedSPKIHashes",
		})
	}
	list.Date = latest(list.Entries)
	return list
}

func latest(entries []inventory.Distrusted) (day string) {
	for _, e := range entries {
		day = max(day, e.Date)
	}
	return day
}

// DistrustLists returns the built-in list and those of the files. A file may say
// that it stands instead of the built-in one.
func DistrustLists(files []string) ([]inventory.DistrustList, error) {
	lists := []inventory.DistrustList{builtin()}
	instead := false
	var errs []error
	for _, path := range files {
		list, alone, err := readDistrust(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		instead = instead || alone
		lists = append(lists, list)
	}
	if instead {
		lists = lists[1:]
	}
	return lists, errors.Join(errs...)
}

func readDistrust(path string) (list inventory.DistrustList, alone bool, err error) {
	fail := func(err error) (inventory.DistrustList, bool, error) {
		return list, false, fmt.Errorf("distrust list %q: %w", path, err)
	}
	st, err := os.Stat(path) // first: to open a pipe may wait for ever
	if err != nil {
		return fail(errors.Unwrap(err))
	}
	if !st.Mode().IsRegular() {
		return fail(errors.New("not a regular file"))
	}
	f, err := os.Open(path)
	if err != nil {
		return fail(errors.Unwrap(err))
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxDistrustBytes+1))
	if err != nil {
		return fail(err)
	}
	if len(data) > maxDistrustBytes {
		return fail(fmt.Errorf("larger than %d MiB", maxDistrustBytes>>20))
	}
	entries, alone, err := ParseDistrust(data, filepath.Base(path))
	if err != nil {
		return fail(err)
	}
	return inventory.DistrustList{Name: path, Date: latest(entries), Entries: entries}, alone, nil
}

// ParseDistrust reads a distrust list, YAML or JSON. Every problem is an error
// that begins with name:line. With alone the list stands instead of the built-in
// one.
func ParseDistrust(data []byte, name string) (entries []inventory.Distrusted, alone bool, err error) {
	p := distrustParser{name: name}
	if err := shallow(string(data)); err != nil {
		return nil, false, fmt.Errorf("%s: %w", name, err)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		line := 1
		if ye, ok := errors.AsType[yaml.Error](err); ok {
			if tok := ye.GetToken(); tok != nil && tok.Position != nil {
				line = tok.Position.Line
			}
			err = errors.New(ye.GetMessage())
		}
		return nil, false, fmt.Errorf("%s:%d: not YAML: %w", name, line, err)
	}
	if len(file.Docs) != 1 || file.Docs[0].Body == nil {
		return nil, false, fmt.Errorf("%s:1: want one document with a list called distrust", name)
	}
	for _, pair := range p.pairs(file.Docs[0].Body, "a mapping with a list called distrust") {
		switch pair.key {
		case "distrust":
			list, ok := pair.value.(*ast.SequenceNode)
			if !ok {
				p.problem(pair.value, "distrust: want a list of entries")
				continue
			}
			for _, n := range list.Values {
				entries = append(entries, p.entry(n))
			}
		case "builtin":
			switch text, _ := scalar(pair.value); text {
			case "true", "false":
				alone = text == "false"
			default:
				p.problem(pair.value, "builtin: want true or false")
			}
		default:
			p.problem(pair.at, "%q is not known: want distrust or builtin", pair.key)
		}
	}
	if len(p.problems) > 0 {
		return nil, false, errors.Join(p.problems...)
	}
	return entries, alone, nil
}

// shallow refuses text that is nested as no list of entries is.
func shallow(text string) error {
	depth := 0
	for line := range strings.Lines(text) {
		indent := line[:len(line)-len(strings.TrimLeft(line, "-? "))]
		for _, c := range []byte(line) {
			switch c {
			case '[', '{':
				depth++
			case ']', '}':
				depth--
			}
			if depth > maxDistrustDepth || strings.Count(indent, "- ")+strings.Count(indent, "? ") > maxDistrustDepth || len(indent) > 200 {
				return fmt.Errorf("is nested more than %d deep", maxDistrustDepth)
			}
		}
	}
	return nil
}

type distrustParser struct {
	name     string
	problems []error
}

func (p *distrustParser) problem(at ast.Node, format string, args ...any) {
	line := 1
	if at != nil && at.GetToken() != nil && at.GetToken().Position != nil {
		line = at.GetToken().Position.Line
	}
	p.problems = append(p.problems, fmt.Errorf("%s:%d: %s", p.name, line, fmt.Sprintf(format, args...)))
}

type pair struct {
	key   string
	at    ast.Node // of the key
	value ast.Node
}

// pairs are the fields of a mapping.
func (p *distrustParser) pairs(n ast.Node, want string) (out []pair) {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		p.problem(n, "want %s", want)
	}
	for _, v := range values {
		key, ok := scalar(v.Key)
		if !ok {
			p.problem(v.Key, "want the name of a field")
			continue
		}
		out = append(out, pair{key, v.Key, v.Value})
	}
	return out
}

// scalar is the text of a node that is neither a list nor a mapping.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value), true
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return strings.TrimSpace(n.GetToken().Value), true
	}
	return "", false
}

// entry reads one entry; what is wrong with it is in p.problems.
func (p *distrustParser) entry(n ast.Node) (e inventory.Distrusted) {
	var about []string
	for _, f := range p.pairs(n, "an entry such as {key: SHA-256, reason: text}") {
		text, ok := scalar(f.value)
		if !ok || text == "" {
			p.problem(f.at, "%s: want text", f.key)
			continue
		}
		var err error
		switch f.key {
		case "certificate":
			e.Certificate, err = inventory.ParseFingerprint(text)
		case "key":
			e.Key, err = inventory.ParseFingerprint(text)
		case "key_id":
			e.KeyID, err = hex.DecodeString(strings.ReplaceAll(text, ":", ""))
		case "issuer":
			e.Issuer = text
			if strings.Contains(text, "=") { // else it is a common name
				_, err = inventory.ParseName(text)
			}
		case "after":
			e.After, err = endOf(text)
		case "date":
			e.Date = text
			_, err = time.Parse(time.DateOnly, text)
		case "name":
			e.Name = text
		case "reason":
			e.Reason = text
		case "source":
			e.Source = text
		default:
			p.problem(f.at, "%q is not known: want certificate, key, key_id or issuer, and reason, date, source, after, name", f.key)
		}
		if slices.Contains([]string{"certificate", "key", "key_id", "issuer"}, f.key) {
			about = append(about, f.key)
		}
		if err != nil {
			p.problem(f.value, "%s: %v", f.key, err)
		}
	}
	switch {
	case len(about) != 1:
		p.problem(n, "an entry is about one of certificate, key, key_id and issuer; this one has %d of them", len(about))
	case e.Reason == "":
		p.problem(n, "reason is missing: whoever reads a verdict wants to know why")
	}
	return e
}

// endOf reads a time; of a day, its last second.
func endOf(s string) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.Add(24*time.Hour - time.Second), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is not a time: want 2026-10-20 or 2026-10-20T12:00:00Z", s)
	}
	return t.UTC(), nil
}
