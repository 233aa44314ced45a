package export

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"example.com/certscan/internal/inventory"
)

// maxLabel bounds a label value that strangers wrote, in runes.
const maxLabel = 200

// clean makes hostile text fit for a label value, and short.
func clean(s string) string { return inventory.CleanCut(s, maxLabel) }

// escape makes clean text a label value of the text format.
func escape(s string) string {
	if !strings.ContainsAny(s, "\\\"\n") {
		return s
	}
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s)
}

// value is hostile text as it stands between the quotes of a label.
func value(s string) string { return escape(clean(s)) }

// labels renders pairs of a name and a value: name="value",...
func labels(pairs ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(pairs[i])
		b.WriteString(`="`)
		b.WriteString(value(pairs[i+1]))
		b.WriteByte('"')
	}
	return b.String()
}

// flushAt is how much a [buffer] holds before it hands it on, in bytes.
const flushAt = 64 << 10

// A buffer collects text. Unlike [bufio.Writer]'s, its methods are cheap enough
// for ten of them in each of a million lines.
type buffer struct {
	out  io.Writer
	text []byte
	err  error // the first of out; nothing is written after it
}

func newBuffer(out io.Writer) *buffer {
	return &buffer{out: out, text: make([]byte, 0, flushAt+4<<10)}
}

// Write makes a buffer a writer for others; it never fails.
func (b *buffer) Write(p []byte) (int, error) {
	b.text = append(b.text, p...)
	return len(p), nil
}

func (b *buffer) WriteString(s string) { b.text = append(b.text, s...) }

// flush hands on what there is.
func (b *buffer) flush() {
	if b.err == nil && len(b.text) > 0 {
		_, b.err = b.out.Write(b.text)
	}
	b.text = b.text[:0]
}

// A text writes Prometheus's text format 0.0.4. What goes wrong is the
// connection's: the buffer keeps it, and nobody can be told.
type text struct {
	w *buffer

	family family
	open   bool // the head of family is written
}

// begin begins a family. Its head is written with its first series: a family
// without series would be an empty promise.
func (x *text) begin(f family) { x.family, x.open = f, false }

// series begins a series of the family and leaves its labels to the caller,
// who calls end.
func (x *text) series() *buffer {
	if !x.open {
		x.open = true
		fmt.Fprintf(x.w, "# HELP %s %s\n# TYPE %s %s\n", x.family.name, x.family.help, x.family.name, x.family.kind)
	}
	x.w.WriteString(x.family.name)
	return x.w
}

func (x *text) end(v int64) {
	x.w.WriteString(" ")
	x.w.text = strconv.AppendInt(x.w.text, v, 10)
	x.newline()
}

// newline ends a line.
func (x *text) newline() {
	x.w.WriteString("\n")
	if len(x.w.text) >= flushAt {
		x.w.flush()
	}
}

// sample writes a series with its labels.
func (x *text) sample(labels string, v int64) {
	x.labelled(labels)
	x.end(v)
}

// labelled begins a series with labels that are rendered already, "" for none.
func (x *text) labelled(labels string) {
	w := x.series()
	if labels != "" {
		w.WriteString("{")
		w.WriteString(labels)
		w.WriteString("}")
	}
}

// fraction ends a series with a number of at most so many decimals.
func (x *text) fraction(v float64, decimals int) {
	x.w.WriteString(" ")
	unit := math.Pow10(decimals)
	x.w.text = strconv.AppendFloat(x.w.text, math.Round(v*unit)/unit, 'f', -1, 64)
	x.newline()
}

// seconds writes a series whose value has a fraction.
func (x *text) seconds(labels string, v float64) {
	x.labelled(labels)
	x.fraction(v, 6)
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// A family is a metric with its type and what it means.
type family struct{ name, kind, help string }

const gauge = "gauge"
