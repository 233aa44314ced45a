//go:build !linux

package main

// monotonic is the clock of systemd, which is not here.
func monotonic() int64 { return 0 }
