package certfile

import "time"

// Impatient is opt with another patience.
func Impatient(opt Options, patience time.Duration) Options {
	opt.patience = patience
	return opt
}
