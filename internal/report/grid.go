package report

import (
	"bufio"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// A column of a grid.
type column struct {
	name  string
	right bool // align numbers
	fair  int  // width that it is cut to where the terminal is narrow; 0: never cut
	min   int  // width that it is cut to where even that is too wide
	cut   func(s string, w int) string

	// Where the whole is too wide, a column with spill moves to lines of its own
	// below each row, and then those with drop go, the rightmost first, until
	// the rest fits at fair widths.
	spill, drop bool
}

// A cell is clean text with a style.
type cell struct {
	text  string
	style style
}

// A grid writes rows under headings in columns as wide as what is in them, made
// to fit a terminal if there is one.
type grid struct {
	w       *bufio.Writer
	width   int // 0: no limit
	color   bool
	columns []column
}

const gap = 2 // blanks between columns

// write prints the heading and then the rows, which it goes through twice: once
// to measure and once to print, so that no row has to be kept as text.
func (g *grid) write(rows iter.Seq[[]cell]) error {
	widths := make([]int, len(g.columns))
	heading := make([]cell, len(g.columns))
	for i, c := range g.columns {
		heading[i], widths[i] = cell{c.name, bold}, len(c.name)
	}
	for row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], width(c.text))
		}
	}
	shown := g.choose(widths)
	g.fit(shown, widths)
	g.row(heading, shown, widths)
	for row := range rows {
		g.row(row, shown, widths)
		for i, c := range g.columns {
			if c.spill && !slices.Contains(shown, i) && row[i].text != "-" {
				for _, line := range wrap(row[i].text, g.width-4) {
					fmt.Fprintf(g.w, "    %s\n", paint(line, row[i].style, g.color))
				}
			}
		}
	}
	_, err := g.w.Write(nil) // the sticky error of a bufio.Writer
	return err
}

// choose returns the columns that have room.
func (g *grid) choose(widths []int) []int {
	shown := make([]int, len(g.columns))
	for i := range shown {
		shown[i] = i
	}
	if g.width <= 0 || total(shown, widths) <= g.width {
		return shown
	}
	shown = slices.DeleteFunc(shown, func(i int) bool { return g.columns[i].spill })
	fair := slices.Clone(widths)
	for i, c := range g.columns {
		if c.fair > 0 {
			fair[i] = min(fair[i], c.fair)
		}
	}
	for i := len(g.columns) - 1; i >= 0 && total(shown, fair) > g.width; i-- {
		if g.columns[i].drop {
			shown = slices.DeleteFunc(shown, func(j int) bool { return i == j })
		}
	}
	return shown
}

func total(shown, widths []int) int {
	n := gap * (len(shown) - 1)
	for _, i := range shown {
		n += widths[i]
	}
	return n
}

// fit shrinks widths until they fit: first the column that is the furthest above
// its fair width, so that a few long names cost the other columns nothing, and
// then from the right, as what stands to the left says which row it is.
func (g *grid) fit(shown, widths []int) {
	if g.width <= 0 {
		return
	}
	over := total(shown, widths) - g.width
	for ; over > 0; over-- {
		widest, excess := -1, 0
		for _, i := range shown {
			if e := widths[i] - g.columns[i].fair; g.columns[i].fair > 0 && e > excess {
				widest, excess = i, e
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	for _, i := range slices.Backward(shown) {
		if c := g.columns[i]; over > 0 && c.fair > 0 && widths[i] > c.min {
			less := min(over, widths[i]-c.min)
			widths[i] -= less
			over -= less
		}
	}
}

func (g *grid) row(row []cell, shown, widths []int) {
	pending := 0 // blanks are written only in front of text, so no line ends in them
	for _, i := range shown {
		text := row[i].text
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
			g.w.WriteString(paint(text, row[i].style, g.color))
			pending = 0
		}
		pending += fill + gap
	}
	g.w.WriteByte('\n')
}
