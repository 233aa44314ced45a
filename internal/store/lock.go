package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// A fileLock is the writer's lock: held by the kernel on an open file, so that
// it goes with the process however that ends. The file says who holds it.
type fileLock struct{ f *os.File }

// takeLock does not wait. The file stays when the lock is released: removing it
// would let two processes lock two files of the same name.
func takeLock(path, command string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		holder, rerr := io.ReadAll(io.LimitReader(f, 1024))
		if errors.Is(err, errWouldBlock) {
			err = unusableError{fmt.Errorf("%w by %s: wait until it ends, or stop it", ErrLocked, describe(string(holder)))}
		}
		return nil, errors.Join(err, rerr, f.Close())
	}
	text := fmt.Sprintf("%d\n%s\n", os.Getpid(), clip(command, 512))
	if err := errors.Join(f.Truncate(0), writeAt(f, text)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &fileLock{f}, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

func (l *fileLock) release() error {
	return errors.Join(l.f.Truncate(0), l.f.Close())
}

func describe(holder string) string {
	pid, command, _ := strings.Cut(strings.TrimSpace(holder), "\n")
	if pid == "" {
		return "another process"
	}
	return fmt.Sprintf("process %s (%s)", pid, command)
}
