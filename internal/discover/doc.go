// Package discover turns text into targets: arguments, plain lists, CSV, YAML
// and Prometheus file_sd, merged into one set that remembers who asked for
// what.
//
// It guesses nothing that could hide a mistake: a row that it does not
// understand is a [Problem] with file and line, and the rest goes on. Names are
// not resolved here, and wildcards are not expanded. Its invariant: parsing the
// key of a parsed target gives that target again.
package discover
