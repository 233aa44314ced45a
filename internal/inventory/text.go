package inventory

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes hostile text safe to print: control characters and invalid UTF-8
// are escaped as \x1b, invisible and bidirectional control characters (C1,
// zero-width and other blank ones) as <U+202E>. Cleaning twice changes nothing
// more.
func Clean(s string) string {
	i := firstUnsafe(s)
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	b.WriteString(s[:i])
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1, r < utf8.RuneSelf && !Visible(r):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !Visible(r):
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// firstUnsafe is the index of the first byte that Clean would change, or -1.
func firstUnsafe(s string) int {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || !Visible(r) {
			return i
		}
		i += n
	}
	return -1
}

// Visible reports whether a terminal shows r as a mark of its own. The braille
// blank counts as a symbol in Unicode and the Hangul fillers as letters.
func Visible(r rune) bool {
	return unicode.IsPrint(r) && r != '\u2800' && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

// CleanCut is Clean of at most limit runes of s, with … for the rest.
func CleanCut(s string, limit int) string {
	if len(s) > limit { // as many bytes as runes, or more
		n := 0
		for i := range s {
			if n == limit {
				s = s[:i] + "…"
				break
			}
			n++
		}
	}
	return Clean(s)
}
