package report

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"

	"example.com/certscan/internal/inventory"
)

// An ordered keeps what was written of each target until the end, to put it out
// in the order of the targets, which finish in another order each time. All but
// the last megabytes wait in a temporary file, where one can be made.
type ordered struct {
	parts  []part
	held   []byte   // behind what is in file
	file   *os.File // nil while held is everything
	inFile int64    // bytes
	hold   int      // how many bytes may be held; 0: heldMax
}

// heldMax is about 20,000 rows.
const heldMax = 8 << 20

type part struct {
	target string
	at     int64
	size   int
}

// add takes a copy of b, which is all of one target.
func (o *ordered) add(target string, b []byte) error {
	o.parts = append(o.parts, part{target, o.inFile + int64(len(o.held)), len(b)})
	o.held = append(o.held, b...)
	if len(o.held) <= cmp.Or(o.hold, heldMax) {
		return nil
	}
	if o.file == nil {
		file, err := os.CreateTemp("", "certscan-report-*")
		if err != nil { // a container may have no such folder
			o.hold = len(o.held) + heldMax
			return nil //nolint:nilerr // memory does as well
		}
		_ = os.Remove(file.Name()) // it stays as long as it is open; where it cannot go yet, close removes it
		o.file = file
	}
	return o.spill()
}

func (o *ordered) spill() error {
	n, err := o.file.Write(o.held)
	o.inFile += int64(n)
	if err != nil {
		return fmt.Errorf("keep rows until they can be sorted: %w", err)
	}
	o.held = o.held[:0]
	return nil
}

// writeTo writes everything to w, sorted, and keeps nothing.
func (o *ordered) writeTo(w io.Writer) (err error) {
	if o.file != nil {
		defer func() {
			_ = o.file.Close() // it was only read since
			_ = os.Remove(o.file.Name())
			*o = ordered{}
		}()
		if err := o.spill(); err != nil {
			return err
		}
	}
	slices.SortStableFunc(o.parts, func(a, b part) int { return cmp.Compare(a.target, b.target) })
	var b []byte
	for _, p := range o.parts {
		if o.file == nil {
			b = o.held[p.at : p.at+int64(p.size)]
		} else {
			b = slices.Grow(b[:0], p.size)[:p.size]
			if _, err := o.file.ReadAt(b, p.at); err != nil {
				return fmt.Errorf("read the rows to be sorted: %w", err)
			}
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// inOrder is list in the order of the inventory: by address, place and offer.
func inOrder(list []inventory.Endpoint) []inventory.Endpoint {
	return slices.SortedStableFunc(slices.Values(list), func(a, b inventory.Endpoint) int {
		x, y := &a.Observation, &b.Observation
		return cmp.Or(cmp.Compare(x.Address, y.Address), cmp.Compare(x.Location, y.Location), cmp.Compare(x.Offer, y.Offer))
	})
}
