//go:build unix

package store

import (
	"os"

	"golang.org/x/sys/unix"
)

const errWouldBlock = unix.EWOULDBLOCK

func lockFile(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EINTR { //nolint:errorlint // a plain errno
			return err
		}
	}
}

func writable(dir string) bool { return unix.Access(dir, unix.W_OK) == nil }
