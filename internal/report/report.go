package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// A Handler writes results in one format. Its methods are not safe for
// concurrent use. The first error of the writer is returned by the call that
// meets it and by every later one.
type Handler interface {
	// Result takes what one target gave; targets may come in any order.
	Result(inventory.Result) error

	// Close writes what was held back and the summary, and flushes. It does not
	// close the writer.
	Close(inventory.ScanInfo, inventory.Summary) error
}

// Options say how a report looks.
type Options struct {
	Width int       // columns of the terminal to fit into; 0: not a terminal, cut nothing
	Color bool      // the caller knows the terminal and NO_COLOR
	Now   time.Time // what days left are counted from; zero: the present

	// OnlyProblems leaves out of the table the targets without a finding that
	// counts and is at least a warning.
	OnlyProblems bool

	// FailOn is the severity from which on a finding is a failure in junit; "" is
	// never.
	FailOn inventory.Severity

	// Locate finds the line of a list that names a target, for sarif and junit; 0
	// if there is none. nil finds none.
	Locate func(file string, t inventory.Target) (line int)

	// Lookup finds a certificate that is named by its fingerprint only, to say
	// more of it in trees and histories; nil finds none.
	Lookup func(inventory.Fingerprint) (inventory.Certificate, bool)
}

func (o Options) withDefaults() Options {
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Lookup == nil {
		o.Lookup = func(inventory.Fingerprint) (inventory.Certificate, bool) { return inventory.Certificate{}, false }
	}
	return o
}

// Formats returns the formats that [New] knows, the default first.
func Formats() []string {
	return []string{"table", "json", "jsonl", "csv", "prometheus", "sarif", "junit"}
}

// ListFormats returns the formats of the listings ([Groups], [History] and the
// like), the default first.
func ListFormats() []string { return []string{"table", "json", "jsonl", "csv"} }

// CheckFormat returns an error that lists the known formats if format is none
// of them.
func CheckFormat(format string, known []string) error {
	if slices.Contains(known, format) {
		return nil
	}
	return fmt.Errorf("unknown format %q: want one of %s", format, strings.Join(known, ", "))
}

// New returns the handler that writes format to w.
func New(format string, w io.Writer, opt Options) (Handler, error) {
	if err := CheckFormat(format, Formats()); err != nil {
		return nil, err
	}
	opt = opt.withDefaults()
	switch format {
	case "json":
		return newJSON(w), nil
	case "jsonl":
		return newJSONL(w), nil
	case "csv":
		return newCSV(w, opt), nil
	case "prometheus":
		return newPrometheus(w), nil
	case "sarif":
		return newSARIF(w, opt), nil
	case "junit":
		return newJUnit(w, opt), nil
	}
	return newTable(w, opt), nil
}
