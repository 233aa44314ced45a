package inventory_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"example.com/certscan/internal/inventory"
)

func TestCleanShowsWhatHides(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"plain text is left alone", "shop.example, O=Let's Encrypt", "shop.example, O=Let's Encrypt"},
		{"letters of any script are left alone", "日本語 Ünïcödé مثال", "日本語 Ünïcödé مثال"},
		{"escape sequences", "\x1b[2J", `\x1b[2J`},
		{"newlines and tabs", "a\r\n\tb", `a\x0d\x0a\x09b`},
		{"DEL and NUL", "\x7f\x00", `\x7f\x00`},
		{"C1 controls", "\u009b31m\u0085", "<U+009B>31m<U+0085>"},
		{"direction overrides", "\u202egnp.exe\u2066x\u2069", "<U+202E>gnp.exe<U+2066>x<U+2069>"},
		{"zero-width characters", "a\u200bb\ufeffc\u00add", "a<U+200B>b<U+FEFF>c<U+00AD>d"},
		{"blanks that look like spaces", "a\u00a0b\u3000c\u3164", "a<U+00A0>b<U+3000>c<U+3164>"},
		{"line separators", "a\u2028b", "a<U+2028>b"},
		{"tags beyond the BMP", "\U000e0041", "<U+E0041>"},
		{"invalid UTF-8", "a\xff\xc3(", `a\xff\xc3(`},
		{"the replacement character itself", "\ufffd", "\ufffd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := inventory.Clean(tt.in); got != tt.want {
				t.Errorf("Clean(%q) = %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestCleanCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", ""}, {"ééé", "ééé"}, {"éééé", "ééé…"}, {"\xff\xff\xff\xff", `\xff\xff\xff…`}, {"ab\u202ecd", "ab<U+202E>…"},
	} {
		if got := inventory.CleanCut(tt.in, 3); got != tt.want {
			t.Errorf("%q is cut to %q, want %q", tt.in, got, tt.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "x", "\x1b]0;t\x07", "\u202e\u009b", "\xff\xfe", "日本", strings.Repeat("e\u0301", 9)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := inventory.Clean(s)
		if !utf8.ValidString(got) {
			t.Fatalf("Clean(%q) = %q is not UTF-8", s, got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("Clean(%q) = %q keeps %U", s, got, r)
			}
		}
		if again := inventory.Clean(got); again != got {
			t.Fatalf("Clean(Clean(%q)) = %q, want %q", s, again, got)
		}
	})
}
