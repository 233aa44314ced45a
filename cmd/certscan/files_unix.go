//go:build unix

package main

import "syscall"

// filesBeside is how many file descriptors are wanted besides one for each
// connection in flight: database, resolver sockets, fetches, standard streams.
const filesBeside = 128

// enoughFiles raises the limit on open files as far as allowed. A concurrency
// above it is refused if somebody asked for it, and lowered if nobody did: a
// connection that found no descriptor would look like a dead endpoint. web is how
// many others may connect to us, which takes at most a quarter of what there is.
func enoughFiles(concurrency, web *int, asked bool, note func(string, ...any)) error {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return nil //nolint:nilerr // unknown limit: local_error tells if it is met
	}
	if want := uint64(*concurrency + *web + filesBeside); lim.Cur < want && lim.Cur < lim.Max {
		lim.Cur = min(want, lim.Max)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
			note("raise the limit on open files to %d: %v", lim.Cur, err)
		}
		_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim) // what it is now, whatever became of it
	}
	return shareFiles(lim.Cur, concurrency, web, asked, note)
}

// shareFiles is enoughFiles once the limit cannot be raised any more.
func shareFiles(limit uint64, concurrency, web *int, asked bool, note func(string, ...any)) error {
	if limit < uint64(*concurrency+*web+filesBeside) {
		*web = min(*web, int(limit/4))
	}
	beside := filesBeside + *web
	switch room := int64(limit) - int64(beside); {
	case int64(*concurrency) <= room:
	case !asked && room > 0:
		note("the limit of %d open files allows %d connections in flight and not %d: raise it with ulimit -n", limit, room, *concurrency)
		*concurrency = int(room)
	default:
		return usagef("--concurrency %d needs %d open files, and the limit is %d: raise it (ulimit -n), or use --concurrency %d",
			*concurrency, *concurrency+beside, limit, max(room, 1))
	}
	return nil
}
