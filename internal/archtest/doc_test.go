// Package archtest_test holds the rules of the code base that a compiler does
// not know: who may import whom, which package owns which library, and what no
// file may do.
//
// It reads the files itself and does not ask "go list", because the test cache
// sees the files that a test opens but not those that a child process does, and
// would go on saying ok. Its invariant: a package or library that is in no table
// here fails, so that a reviewer sees each new edge of the graph.
package archtest_test
