package report

import (
	"bufio"
	"iter"
	"strings"
)

// A column of a grid. The last column is never padded.
type column struct {
	name  string
	right bool // align numbers
	min   int  // columns that it may be cut to where the terminal is narrow; 0: never cut
	cut   func(s string, w int) string
}

// A cell is clean text with a style.
type cell struct {
	text  string
	style style
}

// A grid writes rows under headings in columns as wide as what is in them, cut
// to a terminal's width if there is one.
type grid struct {
	w       *bufio.Writer
	width   int  // 0: no limit
	color   bool // else plain
	columns []column
}

const gap = 2 // blanks between columns

// write prints the heading and then the rows, which it goes through twice: once
// to measure and once to print, so that no row has to be kept as text.
func (g *grid) write(rows iter.Seq[[]cell]) error {
	widths := make([]int, len(g.columns))
	for i, c := range g.columns {
		widths[i] = len(c.name)
	}
	for row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], width(c.text))
		}
	}
	g.fit(widths)
	heading := make([]cell, len(g.columns))
	for i, c := range g.columns {
		heading[i] = cell{c.name, bold}
	}
	g.row(heading, widths)
	for row := range rows {
		g.row(row, widths)
	}
	_, err := g.w.Write(nil) // the sticky error of a bufio.Writer
	return err
}

// fit shrinks widths until they fit, the rightmost columns first: what stands
// to the left says which row it is.
func (g *grid) fit(widths []int) {
	if g.width <= 0 {
		return
	}
	over := gap * (len(widths) - 1)
	for _, w := range widths {
		over += w
	}
	over -= g.width
	for i := len(widths) - 1; i >= 0 && over > 0; i-- {
		if c := g.columns[i]; c.min > 0 && widths[i] > c.min {
			less := min(over, widths[i]-c.min)
			widths[i] -= less
			over -= less
		}
	}
}

func (g *grid) row(row []cell, widths []int) {
	pending := 0 // blanks are written only in front of text, so no line ends in them
	for i, c := range row {
		text := c.text
		used := width(text)
		if g.width > 0 && used > widths[i] && g.columns[i].cut != nil {
			text = g.columns[i].cut(text, widths[i])
			used = width(text)
		}
		fill := max(widths[i]-used, 0)
		if g.columns[i].right {
			pending, fill = pending+fill, 0
		}
		if text != "" {
			g.w.WriteString(strings.Repeat(" ", pending))
			g.w.WriteString(paint(text, c.style, g.color))
			pending = 0
		}
		pending += fill + gap
	}
	g.w.WriteByte('\n')
}
