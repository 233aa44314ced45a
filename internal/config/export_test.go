package config

import (
	"os"
	"regexp"
)

var index = regexp.MustCompile(`\[\d+\]`)

// Keys returns every key that the mappings of a file may have, such as
// "sources[].name".
func Keys(path string, p Parsers) (map[string]bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	keys := make(map[string]bool)
	d := &decoder{file: path, parsers: p, visit: func(at string, known fields) {
		at = index.ReplaceAllString(at, "[]")
		for k := range known {
			if at != "" {
				k = at + "." + k
			}
			keys[k] = true
		}
	}}
	if root, ok := d.parse(text); ok {
		d.config(root, Default())
	}
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	return keys, nil
}
