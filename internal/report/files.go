package report

import (
	"cmp"
	"fmt"
	"io"
	"strconv"

	"example.com/certscan/internal/inventory"
)

// A File is what was found of one certificate in a file, or that the file could
// not be read.
type File struct {
	Path     string
	Line     int    // from 1; 0 if it has none
	Name     string // of the certificate, for people
	Problem  string // why it could not be read
	Findings []inventory.Finding
}

// Files writes findings of files as sarif or junit.
func Files(w io.Writer, format string, files []File, info inventory.ScanInfo, opt Options) error {
	opt = opt.withDefaults()
	switch format {
	case "sarif":
		return sarifFiles(newSARIF(w, opt), files, info)
	case "junit":
		return junitFiles(newJUnit(w, opt), files)
	}
	return fmt.Errorf("unknown format %q: want sarif or junit", format)
}

func sarifFiles(h *sarifHandler, files []File, info inventory.ScanInfo) error {
	notes := []sarifNotification{}
	for _, f := range files {
		if f.Problem != "" {
			notes = append(notes, sarifNotification{"error", sarifText{inventory.Clean(f.place()) + ": " + inventory.Clean(f.Problem)}})
			continue
		}
		at := spot{name: f.Path, qualified: cmp.Or(f.Name, f.Path), file: f.Path, line: f.Line}
		clear(h.seen) // one certificate in two files has to be replaced twice
		if err := h.findings(at, f.Findings); err != nil {
			return err
		}
	}
	return h.end(info, len(notes) == 0, notes)
}

func junitFiles(h *junitHandler, files []File) error {
	for _, f := range files {
		var cases []junitCase
		switch {
		case f.Problem != "":
			cases = append(cases, junitCase{name: "readable", outcome: junitError, kind: "unreadable", message: f.Problem})
		case len(f.Findings) == 0:
			cases = append(cases, junitCase{name: cmp.Or(f.Name, "certificate")})
		}
		for _, found := range f.Findings {
			c := h.finding(found, false)
			c.name = codeName(found)
			cases = append(cases, c)
		}
		for i := range cases {
			cases[i].file, cases[i].line = f.Path, f.Line
		}
		h.suite(f.place(), nil, cases)
	}
	return h.end()
}

func (f File) place() string {
	if f.Line == 0 {
		return f.Path
	}
	return f.Path + ":" + strconv.Itoa(f.Line)
}
