package report

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"iter"
	"strings"

	"example.com/certscan/internal/inventory"
)

// A listing is a view of the store that is one row per item in every format.
type listing[T any] struct {
	name    string           // of the array in json: "groups"
	columns []column         // of the table
	cells   func(T) []cell   // one for each column; "" prints as "-"
	header  []string         // of csv
	fields  func(T) []string // one for each name in header, not yet safe
	record  func(T) any      // for json; it has a "type"
	empty   string           // what a terminal is told when there is nothing
}

// write prints items in format. Tables go through them twice, so a table keeps
// what it was given.
func (l listing[T]) write(w io.Writer, format string, items iter.Seq[T], opt Options) error {
	if err := CheckFormat(format, ListFormats()); err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	var err error
	switch format {
	case "json":
		err = l.json(out, items)
	case "jsonl":
		err = l.jsonl(out, items)
	case "csv":
		err = l.csv(out, items)
	default:
		err = l.table(out, items, opt)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

func (l listing[T]) json(w *bufio.Writer, items iter.Seq[T]) error {
	enc := newEncoder()
	fmt.Fprintf(w, `{"schema":%d,%q:[`, inventory.RecordSchema, l.name)
	first := true
	for item := range items {
		b, err := enc.encode(l.record(item))
		if err != nil {
			return err
		}
		if !first {
			w.WriteByte(',')
		}
		first = false
		w.WriteByte('\n')
		w.Write(b)
	}
	_, err := w.WriteString("]}\n")
	return err
}

func (l listing[T]) jsonl(w *bufio.Writer, items iter.Seq[T]) error {
	enc := newEncoder()
	for item := range items {
		b, err := enc.encode(l.record(item))
		if err != nil {
			return err
		}
		w.Write(b)
		if err := w.WriteByte('\n'); err != nil {
			return err
		}
	}
	return nil
}

func (l listing[T]) csv(w *bufio.Writer, items iter.Seq[T]) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	if err := out.Write(l.header); err != nil {
		return err
	}
	for item := range items {
		row := l.fields(item)
		for i := range row {
			if !isNumber(row[i]) {
				row[i] = field(row[i])
			}
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// isNumber reports whether s is a whole number, which is no formula although it
// may begin with a sign.
func isNumber(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

func (l listing[T]) table(w *bufio.Writer, items iter.Seq[T], opt Options) error {
	var rows [][]cell
	for item := range items {
		row := l.cells(item)
		for i := range row {
			if row[i].text == "" {
				row[i] = cell{"-", dim}
			}
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 && opt.Width > 0 { // a program gets the heading alone
		fmt.Fprintln(w, l.empty)
		return nil
	}
	g := &grid{w: w, width: opt.Width, color: opt.Color, columns: l.columns}
	return g.write(func(yield func([]cell) bool) {
		for _, r := range rows {
			if !yield(r) {
				return
			}
		}
	})
}
