package certfile

import "time"

// Impatient is opt with another patience, and a function that waits until nothing
// is being opened with it any more.
func Impatient(opt Options, patience time.Duration) (impatient Options, wait func()) {
	opt.patience, opt.opening = patience, make(chan struct{}, 1)
	return opt, func() { opt.opening <- struct{}{} }
}
