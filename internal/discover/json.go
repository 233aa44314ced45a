package discover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxJSON bounds a JSON file, in octets.
const maxJSON = 64 << 20

// readJSON reads a document as document does, but top-level entries one by one,
// so that only one is in memory.
func (r *reader) readJSON(src io.Reader) error {
	in := &lineCounter{r: io.LimitReader(src, maxJSON+1)}
	dec := json.NewDecoder(in)
	dec.UseNumber()
	err := r.jsonDocument(dec, in)
	switch {
	case in.read > maxJSON:
		return fmt.Errorf("is larger than %d MiB: split it, or write it as CSV", maxJSON>>20)
	case err == nil, errors.Is(err, errStopped):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("the JSON text ends too early")
		return fmt.Errorf("line %d: %w", in.line(in.read), err)
	}
	return fmt.Errorf("line %d: %w", in.line(dec.InputOffset()), err)
}

func (r *reader) jsonDocument(dec *json.Decoder, in *lineCounter) error {
	tok, err := dec.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil // empty
		}
		return err
	}
	if tok != json.Delim('[') {
		n, err := jsonNode(dec, in, tok, 1)
		if err != nil {
			return err
		}
		if err := r.document(n); err != nil {
			return err
		}
		return jsonEnd(dec)
	}
	for dec.More() {
		n, err := jsonValue(dec, in, 1)
		if err != nil {
			return err
		}
		if err := r.entry(n); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil { // the closing bracket
		return err
	}
	return jsonEnd(dec)
}

// jsonEnd refuses anything after the document.
func jsonEnd(dec *json.Decoder) error {
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something after the end of the JSON text")
	}
	return nil
}

func jsonValue(dec *json.Decoder, in *lineCounter, depth int) (*node, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	return jsonNode(dec, in, tok, depth)
}

// jsonNode reads the value that begins with tok.
func jsonNode(dec *json.Decoder, in *lineCounter, tok json.Token, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("is nested more than %d deep", maxDepth)
	}
	n := &node{line: in.line(dec.InputOffset())}
	switch v := tok.(type) {
	case nil:
		return n, nil
	case json.Delim:
		n.kind = list
		if v == '{' {
			n.kind = mapping
		}
		for dec.More() {
			var key json.Token
			var err error
			if n.kind == mapping {
				if key, err = dec.Token(); err != nil {
					return nil, err
				}
			}
			item, err := jsonValue(dec, in, depth+1)
			if err != nil {
				return nil, err
			}
			if n.kind == list {
				n.items = append(n.items, item)
			} else if err := n.put(fmt.Sprint(key), item); err != nil {
				return nil, err
			}
		}
		_, err := dec.Token() // the closing one
		return n, err
	default:
		n.kind, n.text = scalar, fmt.Sprint(v)
		return n, nil
	}
}

// A lineCounter knows the line of an offset in what was read through it, for
// offsets that only grow.
type lineCounter struct {
	r     io.Reader
	read  int64
	ends  []int64 // offsets of line ends not yet counted
	count int     // line ends before that
}

func (l *lineCounter) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	for i, c := range b[:n] {
		if c == '\n' {
			l.ends = append(l.ends, l.read+int64(i))
		}
	}
	l.read += int64(n)
	return n, err
}

// line returns the number, from 1, of the line that holds the octet before
// offset.
func (l *lineCounter) line(offset int64) int {
	passed := 0
	for passed < len(l.ends) && l.ends[passed] < offset {
		passed++
	}
	l.count += passed
	l.ends = l.ends[passed:]
	return l.count + 1
}
