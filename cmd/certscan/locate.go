package main

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"

	"example.com/certscan/internal/inventory"
)

// locator finds the lines of lists that name targets, so that code scanning can
// point at them. It reads each list once more, and only when it is first asked.
type locator struct{ lists map[string]map[string]int }

// maxLocated bounds how much of a list is looked at, in octets.
const maxLocated = 64 << 20

// line is the first line of file that names t: its host with its port, or its
// host. 0 if there is none, or file is no plain file.
func (l *locator) line(file string, t inventory.Target) int {
	if l.lists == nil {
		l.lists = make(map[string]map[string]int)
	}
	words, ok := l.lists[file]
	if !ok {
		words = wordsOf(file)
		l.lists[file] = words
	}
	for _, name := range []string{t.Key(), t.Host + ":" + strconv.Itoa(int(t.Port)), t.Host} {
		if n := words[strings.ToLower(name)]; n > 0 {
			return n
		}
	}
	return 0
}

// wordsOf maps the words of a list to the first line that has them. A list that
// cannot be read now has none: it was read before, and its targets are known.
func wordsOf(file string) map[string]int {
	words := make(map[string]int)
	if plainFile(file) != nil {
		return words
	}
	f, err := os.Open(file)
	if err != nil {
		return words
	}
	defer f.Close()
	sc := bufio.NewScanner(io.LimitReader(f, maxLocated))
	for n := 1; sc.Scan(); n++ {
		text, _, _ := strings.Cut(sc.Text(), "#")
		for w := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return strings.ContainsRune(" \t,;\"'{}=", r) }) {
			if _, rest, ok := strings.Cut(w, "://"); ok { // as a URL
				w, _, _ = strings.Cut(rest, "/")
			}
			for _, w := range []string{w, strings.TrimSuffix(w, "."), strings.Trim(w, "[]")} {
				if words[w] == 0 {
					words[w] = n
				}
			}
		}
	}
	return words
}
