//go:build !unix

package main

// enoughFiles has nothing to do where the system sets no limit on open files.
func enoughFiles(_, _ *int, _ bool, _ func(string, ...any)) error { return nil }
