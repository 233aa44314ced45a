package discover

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// hostColumns are the names for the column with the host, the most telling
// first: where there are two of them, the other is a label.
func hostColumns() []string {
	return []string{"target", "host", "hostname", "fqdn", "domain", "name"}
}

// columns say where things stand in a CSV file; -1 is nowhere.
type columns struct {
	header                        []string
	host, port, protocol, address int
}

// newColumns reads a header.
func newColumns(header []string) (columns, error) {
	lower := make([]string, len(header))
	for i, name := range header {
		lower[i] = strings.ToLower(strings.TrimSpace(name))
	}
	find := func(names ...string) int {
		for _, name := range names {
			if i := slices.Index(lower, name); i >= 0 {
				return i
			}
		}
		return -1
	}
	c := columns{
		header: header, host: find(hostColumns()...), port: find("port"),
		protocol: find("protocol", "proto"), address: find("address", "ip"),
	}
	if c.host < 0 {
		return c, fmt.Errorf("the first line of a CSV file must name its columns, and one of them %s; this one has %q",
			strings.Join(hostColumns(), ", "), clip(strings.Join(header, ",")))
	}
	return c, nil
}

// row sorts the cells of a row.
func (c columns) row(cells []string, labels []label) (row, error) {
	for len(cells) > len(c.header) && strings.TrimSpace(cells[len(cells)-1]) == "" {
		cells = cells[:len(cells)-1] // spreadsheets write empty cells at the end
	}
	w := row{labels: labels[:0]}
	if c.host < len(cells) {
		w.target = strings.TrimSpace(cells[c.host])
	}
	if len(cells) != len(c.header) {
		return w, fmt.Errorf("the row has %d cells and the header %d", len(cells), len(c.header))
	}
	for i, cell := range cells {
		switch i {
		case c.host:
		case c.port:
			w.port = cell
		case c.protocol:
			w.scheme = cell
		case c.address:
			w.address = cell
		default:
			w.labels = append(w.labels, label{c.header[i], cell})
		}
	}
	return w, nil
}

// readCSV reads CSV with a header, separated by comma, semicolon or tab.
func (r *reader) readCSV(ls *lines) error {
	var cols columns
	var comma byte
	var labels []label
	for {
		rec, err := nextRecord(ls, comma)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errLongRow):
		case err != nil:
			return err
		case strings.Trim(rec.text, " \t\",;") == "" || rec.text[0] == '#':
			continue // also a row of empty cells
		case comma == 0:
			comma = separator(rec.text)
		}
		var cells []string
		if err == nil {
			cells, err = csvCells(rec.text, comma)
		}
		if cols.header == nil {
			if err == nil {
				cols, err = newColumns(cells)
			}
			if err != nil {
				return fmt.Errorf("line %d: %w", rec.line, err)
			}
			r.empty = fmt.Sprintf(": there is no row below the header %q", clip(rec.text))
			if n := len(rec.more); n > 0 {
				r.empty = fmt.Sprintf(": a quotation mark in the header of line %d closes only in line %d, and there is no row below", rec.line, rec.line+n)
			}
			continue
		}
		w := row{labels: labels}
		if err == nil {
			w, err = cols.row(cells, labels)
		}
		if err != nil {
			// Perhaps its quotation mark was not meant to go on for lines.
			ls.back(rec.more)
			err = r.problem(rec.line, rec.text, err)
		} else {
			err = r.row(rec.line, w)
		}
		if err != nil {
			return err
		}
		labels = w.labels
	}
}

// A record is a row of CSV: several lines where a quoted cell holds line ends.
type record struct {
	text string
	line int        // number of the first
	more []numbered // the lines after the first
}

// nextRecord returns the next record. Where a quotation mark is not closed
// within maxRow octets, it is the line alone: that costs a row and not the rest
// of the file.
func nextRecord(ls *lines, comma byte) (record, error) {
	first, n, err := ls.next()
	rec := record{text: first, line: n}
	if err != nil || !opensQuote(first, comma, false) {
		return rec, err
	}
	text := []byte(first)
	for open := true; open; {
		line, at, err := ls.next()
		rec.more = append(rec.more, numbered{line, at, err})
		if err != nil || len(text)+len(line) > maxRow {
			ls.back(rec.more)
			return record{text: first, line: n}, nil
		}
		text = append(append(text, '\n'), line...)
		open = opensQuote(line, comma, true)
	}
	rec.text = string(text)
	return rec, nil
}

// opensQuote reports whether a quoted cell is open at the end of line, given
// whether one was at its beginning.
func opensQuote(line string, comma byte, open bool) bool {
	start, closed := !open, false // of a cell; by the octet before
	for _, c := range []byte(line) {
		quote := c == '"' && (open || start || closed)
		if quote {
			open = !open
		}
		closed = quote && !open
		start = !open && (c == comma || comma == 0 && strings.IndexByte(",;\t", c) >= 0)
	}
	return open
}

// csvCells splits a record.
func csvCells(record string, comma byte) ([]string, error) {
	if !strings.Contains(record, `"`) {
		return strings.Split(record, string(comma)), nil
	}
	cr := csv.NewReader(strings.NewReader(record))
	cr.Comma = rune(comma)
	cr.FieldsPerRecord = -1
	cells, err := cr.Read()
	if pe, ok := errors.AsType[*csv.ParseError](err); ok {
		err = fmt.Errorf("at octet %d: %w (a quotation mark inside a cell is written twice, and the cell in quotation marks)", pe.Column, pe.Err)
	}
	return cells, err
}

// separator guesses what separates the columns of a header.
func separator(header string) byte {
	best := byte(',')
	for _, c := range []byte{';', '\t'} {
		if strings.Count(header, string(c)) > strings.Count(header, string(best)) {
			best = c
		}
	}
	return best
}

// isHeader reports whether the first line of a file of unknown format is the
// header of a CSV file. One word alone is not: it could be a host.
func isHeader(line string) bool {
	cells, err := csvCells(line, separator(line))
	if err != nil || len(cells) < 2 {
		return false
	}
	_, err = newColumns(cells)
	return err == nil
}
