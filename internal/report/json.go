package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"example.com/certscan/internal/inventory"
)

// flushEvery is how long a line may wait for company, so that a reader of a
// pipe sees results while the scan goes on.
const flushEvery = 250 * time.Millisecond

// An encoder turns everything but the records of a scan into JSON, which a
// [recordEncoder] does faster, and as safe to look at.
type encoder struct {
	buf bytes.Buffer
	enc *json.Encoder
}

func newEncoder() *encoder {
	e := new(encoder)
	e.enc = json.NewEncoder(&e.buf)
	e.enc.SetEscapeHTML(false)
	return e
}

// encode returns v as one line without its end; it is valid until the next call.
func (e *encoder) encode(v any) ([]byte, error) {
	e.buf.Reset()
	if err := e.enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return escape(bytes.TrimSuffix(e.buf.Bytes(), []byte("\n"))), nil
}

// JSON writes v as one value and a line end, with indent for each level if it is
// not empty. What does not show is escaped.
func JSON(w io.Writer, v any, indent string) error {
	e := newEncoder()
	e.enc.SetIndent("", indent)
	b, err := e.encode(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// escape writes characters that do not show as \uXXXX. In JSON they stand in
// strings only, and those below U+0020 are escaped already.
func escape(b []byte) []byte {
	i := nextUnsafe(b, 0)
	if i < 0 {
		return b
	}
	out := make([]byte, 0, len(b)+32)
	done := 0
	for ; i >= 0; i = nextUnsafe(b, done) {
		r, n := utf8.DecodeRune(b[i:])
		out = append(out, b[done:i]...)
		out = appendEscape(out, r)
		done = i + n
	}
	return append(out, b[done:]...)
}

// nextUnsafe is the index of the next character that has to be escaped, or -1.
func nextUnsafe(b []byte, from int) int {
	for i := from; i < len(b); {
		if b[i] < utf8.RuneSelf && b[i] != 0x7f {
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if !inventory.Visible(r) {
			return i
		}
		i += n
	}
	return -1
}

func scanRecord(i inventory.ScanInfo) inventory.ScanInfo {
	i.Started, i.Ended = seconds(i.Started), seconds(i.Ended)
	if i.Arguments == nil {
		i.Arguments = []string{}
	}
	if i.Stores == nil {
		i.Stores = []inventory.StoreInfo{}
	}
	return i
}

func summaryRecord(s inventory.Summary) inventory.Summary {
	s.Type = "summary"
	s.Findings = findingRecords(s.Findings)
	if s.OwnFaults == nil {
		s.OwnFaults = []inventory.OwnFault{}
	}
	return s
}

// certificateRecord is c with times in whole seconds and no list that is null.
func certificateRecord(c *inventory.Certificate) *inventory.Certificate {
	if c == nil {
		return nil
	}
	r := *c
	r.NotBefore, r.NotAfter, r.Names = seconds(c.NotBefore), seconds(c.NotAfter), notNil(c.Names)
	return &r
}

func findingRecords(fs []inventory.Finding) []inventory.Finding {
	out := make([]inventory.Finding, len(fs))
	for i, f := range fs {
		if !f.Since.IsZero() {
			f.Since = seconds(f.Since)
		}
		out[i] = f
	}
	return out
}

// jsonlHandler writes one object per line and keeps nothing.
type jsonlHandler struct {
	w     *bufio.Writer
	enc   recordEncoder
	flush time.Time // of the last flush
}

func newJSONL(w io.Writer) *jsonlHandler {
	return &jsonlHandler{w: bufio.NewWriterSize(w, 64<<10), flush: time.Now()}
}

func (h *jsonlHandler) line(b []byte) error {
	h.w.Write(b)
	return h.w.WriteByte('\n') // a bufio.Writer's error sticks
}

func (h *jsonlHandler) Result(r inventory.Result) error {
	for _, e := range r.Endpoints {
		rec := inventory.NewEndpointRecord(r.Target, e)
		if err := h.line(h.enc.endpoint(&rec)); err != nil {
			return err
		}
	}
	rec := inventory.NewTargetRecord(r)
	if err := h.line(h.enc.target(&rec)); err != nil {
		return err
	}
	if time.Since(h.flush) < flushEvery {
		return nil
	}
	h.flush = time.Now()
	return h.w.Flush()
}

// summaryLine is the last line of jsonl.
type summaryLine struct {
	inventory.Summary
	Schema int                `json:"schema"`
	Scan   inventory.ScanInfo `json:"scan"`
}

func (h *jsonlHandler) Close(info inventory.ScanInfo, sum inventory.Summary) error {
	b, err := newEncoder().encode(summaryLine{summaryRecord(sum), inventory.RecordSchema, scanRecord(info)})
	if err != nil {
		return err
	}
	if err := h.line(b); err != nil {
		return err
	}
	return h.w.Flush()
}

// jsonHandler writes one object. Endpoints go out as they come; targets wait,
// encoded, for their turn. The scan stands behind them because how it ended is
// known only then.
type jsonHandler struct {
	w       *bufio.Writer
	enc     recordEncoder
	targets blocks
	some    bool // an endpoint was written
	started bool
}

func newJSON(w io.Writer) *jsonHandler {
	return &jsonHandler{w: bufio.NewWriterSize(w, 64<<10)}
}

func (h *jsonHandler) start() {
	if !h.started {
		fmt.Fprintf(h.w, `{"schema":%d,"endpoints":[`, inventory.RecordSchema)
		h.started = true
	}
}

func (h *jsonHandler) Result(r inventory.Result) error {
	h.start()
	for _, e := range r.Endpoints {
		rec := inventory.NewEndpointRecord(r.Target, e)
		if h.some {
			h.w.WriteByte(',')
		}
		h.some = true
		h.w.WriteByte('\n')
		h.w.Write(h.enc.endpoint(&rec))
	}
	rec := inventory.NewTargetRecord(r)
	if !h.targets.empty() {
		h.targets.write([]byte(","))
	}
	h.targets.write([]byte("\n"))
	h.targets.write(h.enc.target(&rec))
	_, err := h.w.Write(nil)
	return err
}

func (h *jsonHandler) Close(info inventory.ScanInfo, sum inventory.Summary) error {
	h.start()
	h.w.WriteString("],\n\"targets\":[")
	for _, b := range h.targets {
		h.w.Write(b)
	}
	h.w.WriteByte(']')
	sum = summaryRecord(sum)
	enc := newEncoder()
	for _, part := range []struct {
		name  string
		value any
	}{{"findings", sum.Findings}, {"scan", scanRecord(info)}, {"summary", sum}} {
		b, err := enc.encode(part.value)
		if err != nil {
			return err
		}
		fmt.Fprintf(h.w, ",\n%q:%s", part.name, b)
	}
	h.w.WriteString("}\n")
	return h.w.Flush()
}

// blocks hold bytes that wait, without the copies of a buffer that doubles.
type blocks [][]byte

const blockSize = 64 << 10

func (b *blocks) empty() bool { return len(*b) == 0 }

func (b *blocks) write(p []byte) {
	last := len(*b) - 1
	if last < 0 || len((*b)[last])+len(p) > cap((*b)[last]) {
		*b = append(*b, make([]byte, 0, max(blockSize, len(p))))
		last++
	}
	(*b)[last] = append((*b)[last], p...)
}
