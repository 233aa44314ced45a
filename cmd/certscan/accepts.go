package main

import (
	"time"

	"example.com/certscan/internal/inventory"
)

// acceptsWhen reports whether to ask what servers accept, last asked at a time.
func (f *scanFlags) acceptsWhen(_ inventory.Target, last time.Time) bool {
	switch f.accepts {
	case "new":
		return last.IsZero()
	case "due":
		return inventory.AcceptsDue(last, now())
	}
	return f.accepts == "always"
}
