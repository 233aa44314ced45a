// Package conformance asks the judge what independent suites that come as data
// ask. It is a module of its own so that their dependencies never touch the
// product's, and not part of `go test ./...` because it takes half a minute and
// fetches them.
package conformance_test
