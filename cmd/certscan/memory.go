package main

import "runtime/debug"

// collectLess lets garbage wait where there is little else: with the default of
// Go a scan of a few thousand targets, which keeps some 10 MiB, would collect
// once in a hundred handshakes. A long list is collected as usual, and a soft
// limit keeps what many connections in flight need from being multiplied. GOGC
// and GOMEMLIMIT in the environment have the last word.
func collectLess(io streams, targets int) {
	if io.env("GOGC") == "" {
		debug.SetGCPercent(min(400, max(100, 4_000_000/max(targets, 1))))
	}
	if io.env("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(36<<20 + 700*int64(targets))
	}
}
