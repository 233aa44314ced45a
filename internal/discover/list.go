package discover

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"example.com/certscan/internal/inventory"
)

// Stdin is the name of the list that is read from standard input.
const Stdin = "-"

// maxRow is the longest row, in octets, of a plain list or of CSV.
const maxRow = 64 << 10

// Options say how lists are read. The zero value is ready to use.
type Options struct {
	// Protocol is what rows that name none are for. Empty is [inventory.TLS].
	Protocol inventory.Protocol
}

// A Problem is a row that gives no target. The rest of its file is read.
type Problem struct {
	File string // as it was named, or "standard input"
	Line int    // from 1
	Text string // the row, shortened; hostile text
	Err  error
}

// Error is "FILE:LINE: what is wrong".
func (p *Problem) Error() string { return fmt.Sprintf("%s:%d: %v", p.File, p.Line, p.Err) }

// Unwrap returns Err.
func (p *Problem) Unwrap() error { return p.Err }

// ReadFile is [Read] of the file called name.
func ReadFile(name string, opt Options) iter.Seq2[inventory.Target, error] {
	return func(yield func(inventory.Target, error) bool) {
		f, err := os.Open(name)
		if err != nil {
			yield(inventory.Target{}, fmt.Errorf("target list: %w", err))
			return
		}
		defer f.Close()
		Read(name, f, opt)(yield)
	}
}

// Read reads a list of targets: plain, CSV, YAML, or Prometheus file_sd as
// JSON or YAML. The ending of name decides (csv, tsv, json, yaml, yml), else
// the content does; [Stdin] is standard input. Every target has one source:
// file:NAME or stdin.
//
// A row that is wrong yields a [*Problem], and reading goes on. Any other error
// is the last thing that is yielded: the list could not be read, or it has no
// target at all. Targets share label maps; do not change them.
func Read(name string, r io.Reader, opt Options) iter.Seq2[inventory.Target, error] {
	return func(yield func(inventory.Target, error) bool) {
		rd := &reader{file: name, opt: opt, yield: yield, sources: []string{"file:" + name}}
		if name == Stdin {
			rd.file, rd.sources = "standard input", []string{"stdin"}
		}
		err := rd.read(name, r)
		switch {
		case errors.Is(err, errStopped):
			return
		case err != nil:
			err = fmt.Errorf("%s: %w", rd.file, err)
		case rd.bad > 0 && rd.good == 0:
			err = fmt.Errorf("%s: no usable target: all %d rows are wrong", rd.file, rd.bad)
		case rd.good == 0:
			err = fmt.Errorf("%s: no target in it%s", rd.file, rd.empty)
		}
		if err != nil {
			yield(inventory.Target{}, err)
		}
	}
}

// errStopped: whoever reads has had enough.
var errStopped = errors.New("stopped")

// A reader reads one list.
type reader struct {
	file      string
	sources   []string
	opt       Options
	yield     func(inventory.Target, error) bool
	labels    labelSets
	good, bad int    // rows
	empty     string // why there is none
}

func (r *reader) read(name string, src io.Reader) error {
	br := bufio.NewReaderSize(src, maxRow)
	head, err := br.Peek(4 << 10)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")) {
		return errors.New("is UTF-16 text: save it as UTF-8")
	}
	if bom := []byte("\xef\xbb\xbf"); bytes.HasPrefix(head, bom) {
		head = head[len(bom):]
		if _, err := br.Discard(len(bom)); err != nil {
			return err
		}
	}
	switch format(name, head) {
	case "json":
		return r.readJSON(br)
	case "yaml":
		return r.readYAML(&lines{r: br})
	case "csv":
		return r.readCSV(&lines{r: br})
	}
	return r.readPlain(&lines{r: br})
}

// format tells what a list is written in by its name, else by how it starts.
func format(name string, head []byte) string {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv", ".tsv":
		return "csv"
	case ".json":
		return "json"
	case ".yaml", ".yml":
		return "yaml"
	}
	for line := range bytes.Lines(head) {
		text := strings.TrimSpace(string(line))
		switch {
		case text == "" || text[0] == '#':
			continue
		case text[0] == '{', text[0] == '[' && !isBracketedAddr(text):
			return "json"
		case isDivider(text), isEntry(text), text == "targets:", strings.HasPrefix(text, "targets: "):
			return "yaml"
		case isHeader(text):
			return "csv"
		}
		return "plain"
	}
	return "plain"
}

// isBracketedAddr tells [2001:db8::7] from the start of a JSON list.
func isBracketedAddr(s string) bool {
	inner := strings.TrimSpace(s[1:])
	return inner != "" && !strings.Contains(`"{[]`, inner[:1])
}

// readPlain reads one target a line; # starts a comment.
func (r *reader) readPlain(ls *lines) error {
	for {
		line, n, err := ls.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errLongRow):
			if err := r.problem(n, line, err); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		text, _, _ := strings.Cut(line, "#") // no name has one, and of a URL the fragment is dropped
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if err := r.row(n, row{target: text}); err != nil {
			return err
		}
	}
}

// A row is one entry of a list before it is a target.
type row struct {
	target                string // any way that ParseTarget takes
	port, scheme, address string // "" where left out
	labels                []label
}

type label struct{ name, value string }

// row turns a row into a target, or into a problem.
func (r *reader) row(line int, w row) error {
	t, err := w.parse(r.opt.Protocol)
	if err != nil {
		return r.problem(line, w.target, fmt.Errorf("target %q: %w", clip(w.target), err))
	}
	// The row is a substring of its line or file, which must not stay in memory.
	t.Host, t.Address = strings.Clone(t.Host), strings.Clone(t.Address)
	t.Labels, t.Sources = r.labels.of(w.labels), r.sources
	r.good++
	if !r.yield(t, nil) {
		return errStopped
	}
	return nil
}

func (r *reader) problem(line int, text string, err error) error {
	r.bad++
	if !r.yield(inventory.Target{}, &Problem{File: r.file, Line: line, Text: clip(text), Err: err}) {
		return errStopped
	}
	return nil
}

func (w row) parse(defaultProto inventory.Protocol) (inventory.Target, error) {
	p, err := split(w.target)
	if err != nil {
		return inventory.Target{}, err
	}
	for _, f := range []struct {
		name          string
		field         *string
		value, inText string
	}{
		{"port", &p.port, strings.TrimSpace(w.port), p.port},
		{"protocol", &p.scheme, strings.ToLower(strings.TrimSpace(w.scheme)), p.scheme},
		{"address", &p.address, strings.Trim(strings.TrimSpace(w.address), "[]"), p.address},
	} {
		if f.value != "" && f.inText != "" && f.value != f.inText {
			return inventory.Target{}, fmt.Errorf("has %s %q in the target and %q beside it", f.name, clip(f.inText), clip(f.value))
		}
		if f.value != "" {
			*f.field = f.value
		}
	}
	return p.target(defaultProto)
}

// of gives labels the shape that targets have. Prometheus' own (__name) are
// dropped; team is an alias of owner, and env of environment, unless there are
// both. Of two labels with one name the first counts.
func (l *labelSets) of(labels []label) map[string]string {
	key := make([]byte, 0, 256)
	for _, x := range labels {
		key = appendText(appendText(key, x.name), x.value)
	}
	if shared, ok := (*l)[string(key)]; ok || len(labels) == 0 {
		return shared
	}
	m := make(map[string]string, len(labels))
	for _, x := range labels {
		name, value := strings.TrimSpace(x.name), strings.TrimSpace(x.value)
		if name == "" || value == "" || strings.HasPrefix(name, "__") {
			continue
		}
		name = strings.ToValidUTF8(knownLabel(name, labels), "\uFFFD")
		if _, ok := m[name]; !ok {
			// Cloned, since it is a substring of its line.
			m[strings.Clone(name)] = strings.Clone(strings.ToValidUTF8(value, "\uFFFD"))
		}
	}
	if len(m) == 0 {
		m = nil
	}
	l.put(key, m)
	return m
}

// knownLabel spells the labels that reports know the way they know them.
func knownLabel(name string, all []label) string {
	proper, lower := inventory.LabelName(name), strings.ToLower(name)
	if proper == name || proper == lower {
		return proper
	}
	if slices.ContainsFunc(all, func(x label) bool { return strings.EqualFold(x.name, proper) && x.value != "" }) {
		return lower
	}
	return proper
}

var errLongRow = fmt.Errorf("the row is longer than %d octets and was skipped", maxRow)

// lines gives the lines of a list one by one, without their ends.
type lines struct {
	r      *bufio.Reader // buffers maxRow octets
	n      int           // lines read
	unread []numbered    // in reverse order
}

type numbered struct {
	text string
	n    int
	err  error
}

// next returns the next line and its number. After errLongRow, when the line
// is only a beginning, it can go on; after any other error it cannot.
func (l *lines) next() (string, int, error) {
	if last := len(l.unread) - 1; last >= 0 {
		line := l.unread[last]
		l.unread = l.unread[:last]
		return line.text, line.n, line.err
	}
	b, err := l.r.ReadSlice('\n')
	l.n++
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		text := clip(string(b[:256]))
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = l.r.ReadSlice('\n')
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return "", l.n, err
		}
		return text, l.n, errLongRow
	case errors.Is(err, io.EOF) && len(b) > 0, err == nil:
		return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), l.n, nil
	}
	return "", l.n, err
}

// back makes next return these lines again.
func (l *lines) back(again []numbered) {
	for _, line := range slices.Backward(again) {
		l.unread = append(l.unread, line)
	}
}
