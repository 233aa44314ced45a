package verify

import "time"

// OCSPNextUpdate reads until when an OCSP response claims to hold, for whoever
// keeps it: nothing is verified. The time is zero if it does not say, and long
// past if the responder answered with an error, which holds for no time. An
// error means that it is no OCSP response.
func OCSPNextUpdate(der []byte) (time.Time, error) {
	r, err := parseOCSP(der)
	if err != nil {
		return time.Time{}, err
	}
	if r.status != 0 {
		return time.Unix(0, 0), nil
	}
	var first time.Time
	for _, s := range r.singles {
		if first.IsZero() || !s.nextUpdate.IsZero() && s.nextUpdate.Before(first) {
			first = s.nextUpdate
		}
	}
	return first, nil
}
