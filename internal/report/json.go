package report

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"example.com/certscan/internal/inventory"
)

// flushEvery is how long a line may wait for company, so that a reader of a
// pipe sees results while the scan goes on.
const flushEvery = 250 * time.Millisecond

// An encoder turns records into JSON that is also safe to look at: what
// [Clean] would replace is escaped instead, which loses nothing.
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
		if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
			out = fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
		} else {
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		done = i + n
	}
	return append(out, b[done:]...)
}

// nextUnsafe is the index of the next character that has to be escaped, or -1.
// It looks at eight bytes at a time where they are ASCII, as nearly all are.
func nextUnsafe(b []byte, from int) int {
	const ones = 0x0101010101010101
	for i := from; i < len(b); {
		if len(b)-i >= 8 {
			x := binary.LittleEndian.Uint64(b[i:])
			dels := x ^ 0x7f*ones // a DEL becomes a zero byte
			if (x|(dels-ones)&^dels)&(0x80*ones) == 0 {
				i += 8
				continue
			}
		}
		if b[i] < utf8.RuneSelf {
			if b[i] == 0x7f {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if !visible(r) {
			return i
		}
		i += n
	}
	return -1
}

// endpointRecord is [inventory.NewEndpointRecord] with times in whole seconds
// and no list that is null. Nothing that r shares with e is changed.
func endpointRecord(t inventory.Target, e inventory.Endpoint) inventory.EndpointRecord {
	r := inventory.NewEndpointRecord(t, e)
	r.Time = seconds(r.Time)
	if r.LastSeen != nil {
		seen := seconds(*r.LastSeen)
		r.LastSeen = &seen
	}
	r.Certificate = certificateRecord(r.Certificate)
	for i := range r.Chain {
		r.Chain[i].NotAfter = seconds(r.Chain[i].NotAfter)
	}
	if len(r.Alternates) > 0 {
		r.Alternates = append([]inventory.Certificate(nil), r.Alternates...)
		for i := range r.Alternates {
			r.Alternates[i] = *certificateRecord(&r.Alternates[i])
		}
	}
	r.Verdict = verdictRecord(r.Verdict)
	r.Expiry = expiryRecord(r.Expiry)
	r.Findings = findingRecords(r.Findings)
	return r
}

func targetRecord(r inventory.Result) inventory.TargetRecord {
	rec := inventory.NewTargetRecord(r)
	rec.Expiry = expiryRecord(rec.Expiry)
	rec.Findings = findingRecords(rec.Findings)
	return rec
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

func certificateRecord(c *inventory.Certificate) *inventory.Certificate {
	if c == nil || c.Names != nil && whole(c.NotBefore) && whole(c.NotAfter) {
		return c
	}
	r := *c
	r.NotBefore, r.NotAfter = seconds(c.NotBefore), seconds(c.NotAfter)
	if r.Names == nil {
		r.Names = []string{}
	}
	return &r
}

func verdictRecord(v *inventory.Verdict) *inventory.Verdict {
	if v == nil || v.Trust.Stores != nil && (v.Revocation.CheckedAt.IsZero() || whole(v.Revocation.CheckedAt)) &&
		!slices.ContainsFunc(v.Trust.Stores, func(s inventory.StoreVerdict) bool { return s.Paths == nil }) {
		return v
	}
	r := *v
	r.Trust.Stores = make([]inventory.StoreVerdict, len(v.Trust.Stores))
	for i, s := range v.Trust.Stores {
		if s.Paths == nil {
			s.Paths = [][]inventory.Fingerprint{}
		}
		r.Trust.Stores[i] = s
	}
	if !r.Revocation.CheckedAt.IsZero() {
		r.Revocation.CheckedAt = seconds(r.Revocation.CheckedAt)
	}
	return &r
}

func expiryRecord(e *inventory.Expiry) *inventory.Expiry {
	if e == nil || whole(e.At) {
		return e
	}
	r := *e
	r.At = seconds(e.At)
	return &r
}

func findingRecords(fs []inventory.Finding) []inventory.Finding {
	if fs != nil && !slices.ContainsFunc(fs, func(f inventory.Finding) bool { return !f.Since.IsZero() && !whole(f.Since) }) {
		return fs
	}
	out := make([]inventory.Finding, len(fs))
	for i, f := range fs {
		if !f.Since.IsZero() {
			f.Since = seconds(f.Since)
		}
		out[i] = f
	}
	return out
}

// whole reports whether t needs no [seconds].
func whole(t time.Time) bool { return t.Nanosecond() == 0 && t.Location() == time.UTC }

// jsonlHandler writes one object per line and keeps nothing.
type jsonlHandler struct {
	w     *bufio.Writer
	enc   *encoder
	flush time.Time // of the last flush
}

func newJSONL(w io.Writer) *jsonlHandler {
	return &jsonlHandler{w: bufio.NewWriterSize(w, 64<<10), enc: newEncoder(), flush: time.Now()}
}

func (h *jsonlHandler) line(v any) error {
	b, err := h.enc.encode(v)
	if err != nil {
		return err
	}
	h.w.Write(b)
	return h.w.WriteByte('\n') // a bufio.Writer's error sticks
}

func (h *jsonlHandler) Result(r inventory.Result) error {
	for _, e := range r.Endpoints {
		if err := h.line(endpointRecord(r.Target, e)); err != nil {
			return err
		}
	}
	if err := h.line(targetRecord(r)); err != nil {
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
	if err := h.line(summaryLine{summaryRecord(sum), inventory.RecordSchema, scanRecord(info)}); err != nil {
		return err
	}
	return h.w.Flush()
}

// jsonHandler writes one object. Endpoints go out as they come; targets wait,
// encoded, for their turn. The scan stands behind them because how it ended is
// known only then.
type jsonHandler struct {
	w       *bufio.Writer
	enc     *encoder
	targets blocks
	some    bool // an endpoint was written
	started bool
}

func newJSON(w io.Writer) *jsonHandler {
	return &jsonHandler{w: bufio.NewWriterSize(w, 64<<10), enc: newEncoder()}
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
		b, err := h.enc.encode(endpointRecord(r.Target, e))
		if err != nil {
			return err
		}
		if h.some {
			h.w.WriteByte(',')
		}
		h.some = true
		h.w.WriteByte('\n')
		h.w.Write(b)
	}
	b, err := h.enc.encode(targetRecord(r))
	if err != nil {
		return err
	}
	if !h.targets.empty() {
		h.targets.write([]byte(","))
	}
	h.targets.write([]byte("\n"))
	h.targets.write(b)
	_, err = h.w.Write(nil)
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
	for _, part := range []struct {
		name  string
		value any
	}{{"findings", sum.Findings}, {"scan", scanRecord(info)}, {"summary", sum}} {
		b, err := h.enc.encode(part.value)
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
