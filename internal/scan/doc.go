// Package scan decides which target is examined when, sees it through judging,
// and hands the results on.
//
// It opens no connection, reads no certificate and knows no format: locations
// examine, judges judge, stores remember, and all of them are interfaces here.
// Its invariant: every target it was given ends as exactly one result, or the
// run says that it is partial.
package scan
