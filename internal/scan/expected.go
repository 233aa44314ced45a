package scan

import (
	"time"

	"example.com/certscan/internal/inventory"
)

// ofExpectation reports whether such findings come of an expectation: without
// one, that they are not found says nothing.
func ofExpectation(c inventory.Code) bool {
	return c == inventory.CodeNotDeployed || c == inventory.CodePartiallyDeployed
}

// issued is when the first and the last of some certificates were issued.
type issued struct{ first, last time.Time }

// issuedOf is that of the leaves which r's default views serve, or served last.
// It also reports whether all of them serve one now.
func issuedOf(r *inventory.Result) (is issued, one bool) {
	var leaf inventory.Fingerprint
	one = true
	for _, views := range [][]inventory.Endpoint{r.Endpoints, r.Carried} {
		for i := range views {
			o, j := &views[i].Observation, &views[i].Judgement
			if o.Offer != inventory.OfferDefault {
				continue
			}
			if j.Certificate == nil || len(o.Chain) == 0 || o.Capture == nil || !o.Capture.PossessionProven {
				one = false
			}
			certs := j.Alternates
			if j.Certificate != nil {
				certs = append([]inventory.Certificate{*j.Certificate}, certs...)
			}
			for _, c := range certs {
				one = one && (leaf.IsZero() || leaf == c.SHA256)
				leaf = c.SHA256
				if is.first.IsZero() || c.NotBefore.Before(is.first) {
					is.first = c.NotBefore
				}
				is.last = later(is.last, c.NotBefore)
			}
		}
	}
	return is, one && !leaf.IsZero()
}

// awaits reports whether an open finding of an expectation stays for that r knows
// of none. What was expected is in place, or out of date, once every address
// serves one certificate that is newer: than all that were served when that was
// first known if it was nowhere, else than some and older than none.
func (fs *findingState) awaits(c inventory.Code, r *inventory.Result) bool {
	if !ofExpectation(c) {
		return false
	}
	is, one := issuedOf(r)
	if fs.served.first.IsZero() {
		fs.served = is
	}
	than := fs.served.first
	if c == inventory.CodeNotDeployed {
		than = fs.served.last
	}
	return !one || !is.first.After(than) || is.first.Before(fs.served.last)
}
