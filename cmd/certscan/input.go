package main

import (
	"context"
	"fmt"
	stdio "io"
	"io/fs"
	"os"
)

// plainFile refuses to read what may never end or never begin: pipes, terminals
// and other devices. What is not there, or is a directory, shows when opened.
func plainFile(path string) error {
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() && !st.IsDir() {
		return fmt.Errorf("%q is a pipe or a device, not a file", path)
	}
	return nil
}

// isPipe reports whether path is a pipe, as what a shell puts in place of
// <(command) is.
func isPipe(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode()&fs.ModeNamedPipe != 0
}

// patiently reads what open gives, and ends with ctx even while that has nothing
// to read: closing a file does not wake who waits for it. Close it in any case.
func patiently(ctx context.Context, open func() (stdio.Reader, error)) stdio.ReadCloser {
	r, w := stdio.Pipe()
	stop := context.AfterFunc(ctx, func() { w.CloseWithError(ctx.Err()) })
	go func() {
		defer stop()
		src, err := open()
		if err == nil {
			_, err = stdio.Copy(w, src)
			if c, ok := src.(*os.File); ok && c != os.Stdin {
				c.Close()
			}
		}
		w.CloseWithError(err)
	}()
	return r
}
