package store

import "strings"

// bulkRows is how many rows go into one statement. A statement costs several
// times as much as a row.
const bulkRows = 16

// A bulk is an INSERT that waits until it has enough rows. Owned by one batch.
type bulk struct {
	into    string // INSERT INTO table (columns)
	columns int
	after   string // ON CONFLICT ...
	args    []any
	many    string // the statement for bulkRows, once it was needed
}

// add adds a row. The batch must flush before it ends, and before it reads the
// table.
func (b *bulk) add(w *writer, row ...any) error {
	b.args = append(b.args, row...)
	if len(b.args) < bulkRows*b.columns {
		return nil
	}
	return b.flush(w)
}

func (b *bulk) flush(w *writer) error {
	n := len(b.args) / b.columns
	if n == 0 {
		return nil
	}
	defer func() { clear(b.args); b.args = b.args[:0] }()
	if n == bulkRows {
		if b.many == "" {
			b.many = b.statement(n)
		}
		_, err := w.exec(b.many, b.args...)
		return err
	}
	one := b.statement(1)
	for i := range n {
		if _, err := w.exec(one, b.args[i*b.columns:(i+1)*b.columns]...); err != nil {
			return err
		}
	}
	return nil
}

func (b *bulk) statement(rows int) string {
	row := "(" + strings.Repeat("?, ", b.columns-1) + "?)"
	return b.into + " VALUES " + strings.Repeat(row+", ", rows-1) + row + " " + b.after
}
