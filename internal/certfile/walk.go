package certfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// extensions are what a file in a directory has to end with to be read. A file
// that is named itself may be called anything.
func extensions() []string {
	return []string{".pem", ".crt", ".cer", ".cert", ".der", ".p7b", ".p7c", ".p7s", ".p12", ".pfx"}
}

// ReadAll reads files, every certificate file below directories, and what
// patterns such as "*.pem" match, in that order and each file once. It always
// goes on: what could not be read is in the problems, in words for a person.
// A file that was only found in a directory and is sound, but has no
// certificate in it (a private key), is no problem.
func ReadAll(paths []string, opt Options) (all []Contents, problems []error) {
	if opt.opening == nil {
		opt.opening = make(chan struct{}, 1)
	}
	seen := make(map[string]bool)
	read := func(path string, named bool) {
		if key := filepath.Clean(path); seen[key] {
			return
		} else {
			seen[key] = true
		}
		c, err := Read(path, opt)
		switch {
		case err == nil:
			all = append(all, c)
			problems = append(problems, c.Problems...)
		case named || !errors.Is(err, ErrNoCertificate):
			problems = append(problems, err)
		}
	}
	for _, path := range paths {
		st, err := os.Stat(path)
		switch {
		case err == nil && st.IsDir():
			problems = append(problems, walk(path, read)...)
		case err == nil || !strings.ContainsAny(path, "*?["):
			read(path, true)
		default:
			matches, err := filepath.Glob(path)
			if err != nil {
				problems = append(problems, fmt.Errorf("%q: %w", path, err))
			} else if len(matches) == 0 {
				problems = append(problems, fmt.Errorf("%q matches no file", path))
			}
			for _, m := range matches {
				read(m, false)
			}
		}
	}
	return all, problems
}

// walk calls read for every certificate file below dir. Links to files are
// followed, because certbot and others put nothing else into their directories.
func walk(dir string, read func(path string, named bool)) (problems []error) {
	// The function only returns nil, so WalkDir does too.
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			problems = append(problems, err)
			return nil
		}
		if !slices.Contains(extensions(), strings.ToLower(filepath.Ext(path))) || d.IsDir() {
			return nil
		}
		st, err := os.Stat(path)
		switch {
		case err != nil:
			problems = append(problems, err)
		case st.Mode().IsRegular():
			read(path, false)
		}
		return nil
	})
	return problems
}
