package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"example.com/certscan/internal/inventory"
)

// maxText bounds how much hostile text one cell or message keeps, in runes.
const maxText = 512

// Clean is [inventory.Clean], for who prints beside what this package does.
func Clean(s string) string { return inventory.Clean(s) }

// word is Clean without spaces, for cells that hold a list.
func word(s string) string { return strings.ReplaceAll(inventory.CleanCut(s, maxText), " ", `\x20`) }

// width is the number of terminal columns that clean text takes.
func width(s string) int {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return uniseg.StringWidth(s)
		}
	}
	return len(s)
}

// cutEnd shortens s to w columns and marks the cut.
func cutEnd(s string, w int) string {
	if width(s) <= w {
		return s
	}
	if w < 1 {
		return ""
	}
	head, _ := split(s, w-1)
	return head + "…"
}

// cutMiddle shortens s to w columns and keeps both ends: of a name the most
// telling parts are the first label and what stands after the last dot.
func cutMiddle(s string, w int) string {
	if width(s) <= w {
		return s
	}
	if w < 5 {
		return cutEnd(s, w)
	}
	tail := (w - 1) / 2
	head, _ := split(s, w-1-tail)
	_, end := split(s, width(s)-tail)
	return head + "…" + end
}

// cutList shortens a list of words to w columns by counting those left out.
func cutList(s string, w int) string {
	if width(s) <= w {
		return s
	}
	words := strings.Split(s, " ")
	for keep := len(words) - 1; keep > 0; keep-- {
		short := fmt.Sprintf("%s +%d", strings.Join(words[:keep], " "), len(words)-keep)
		if width(short) <= w {
			return short
		}
	}
	if len(words) == 1 {
		return cutEnd(s, w)
	}
	more := fmt.Sprintf(" +%d", len(words)-1)
	return cutEnd(words[0], w-len(more)) + more
}

// split divides s after the last whole character within w columns.
func split(s string, w int) (head, tail string) {
	rest, state, used := s, -1, 0
	for rest != "" {
		var n int
		var cluster string
		cluster, rest, n, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if used+n > w {
			return s[:len(s)-len(rest)-len(cluster)], s[len(s)-len(rest)-len(cluster):]
		}
		used += n
	}
	return s, ""
}

// wrap breaks text between words into lines of at most w columns; w 0 or less
// is no limit. A longer word stays whole.
func wrap(s string, w int) []string {
	if w <= 0 || width(s) <= w {
		return []string{s}
	}
	var lines []string
	line := ""
	for f := range strings.FieldsSeq(s) {
		switch {
		case line == "":
			line = f
		case width(line)+1+width(f) <= w:
			line += " " + f
		default:
			lines = append(lines, line)
			line = f
		}
	}
	return append(lines, line)
}

// Fact writes a name and what there is to say of it, within the terminal if w is
// one. Foreign text in value is to be cleaned before.
func Fact(w io.Writer, name, value string, opt Options) {
	const indent = 13
	for i, line := range wrap(value, opt.Width-indent) {
		if i > 0 {
			name = ""
		}
		fmt.Fprintf(w, "%-12s %s\n", name, line)
	}
}

// Wrap breaks text between words into lines of at most w columns, all but the
// first indented by two; a longer word stays whole. w 0 or less is no limit.
func Wrap(s string, w int) string { return strings.Join(wrap(s, w-2), "\n  ") }

// A style is how a piece of text looks on a terminal with colours.
type style string

const (
	plain  style = ""
	bold   style = "\x1b[1m"
	dim    style = "\x1b[2m"
	red    style = "\x1b[31m"
	yellow style = "\x1b[33m"
	green  style = "\x1b[32m"

	reset = "\x1b[0m"
)

// paint wraps clean text in a style if colours are wanted.
func paint(s string, st style, color bool) string {
	if !color || st == plain || s == "" {
		return s
	}
	return string(st) + s + reset
}

// plural says "1 endpoint" and "2 endpoints".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
