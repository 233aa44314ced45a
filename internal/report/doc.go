// Package report writes results for people, spreadsheets and programs: one
// handler per output format over one stream of results, and the listings of the
// commands that read the store.
//
// It judges nothing and looks nothing up: what it prints was decided before. It
// keeps no more of a result than its format has to hold back until the end.
//
// Its invariant: text that strangers wrote (certificates, DNS, banners) reaches
// no output raw. See [Clean] for terminals; JSON escapes it without loss, CSV
// also disarms formulas, and labels are escaped and cut.
package report
