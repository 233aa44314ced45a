// Package conformance asks the judge what independent test suites ask.
//
// The cases of x509-limbo are rebuilt here from their descriptions, as
// certificates that are made on the spot; suites that come as data are asked in
// tools/conformance, because they are modules of their own. Its invariant: a case
// says exactly which findings it has, so that one too many fails as one too few
// does.
package conformance_test
