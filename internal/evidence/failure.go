package evidence

import (
	"context"
	"errors"
	"time"

	"example.com/certscan/internal/inventory"
)

// How long failures are remembered.
const (
	// A server that answers wrongly will do so for a while. One that does not
	// answer may be out of reach only from here and only now, and what our own
	// guard refused may be allowed in the next run.
	wrongFor  = time.Hour
	silentFor = 5 * time.Minute

	// keepFor is how long an issuer stands in for one that cannot be got just
	// now: a caIssuers URL has the same certificate behind it for years. What
	// says of itself until when it holds stands in for ever.
	keepFor = 7 * 24 * time.Hour
)

// without is what there is when asking failed, and whether that is worth
// keeping.
func (s *Source) without(ctx context.Context, need inventory.Need, old remembered, err error) (r remembered, keep bool) {
	class, _ := classify(err)
	now := s.opt.Now()
	standsIn := need.Kind != inventory.NeedIssuer || class == silent && now.Sub(old.evidence.FetchedAt) < keepFor
	if old.has() && standsIn && ctx.Err() == nil {
		had, damaged := s.whole(ctx, old)
		if damaged == nil {
			had.evidence.Expires = now.Add(class.lasts())
			return had, false
		}
	}
	return remembered{evidence: s.failure(need, err, class.lasts())}, class != ours
}

// failure is evidence of why there is none.
func (s *Source) failure(need inventory.Need, err error, lasts time.Duration) inventory.Evidence {
	now := s.opt.Now()
	_, word := classify(err)
	return inventory.Evidence{Need: need, Error: reasonOf(err), ErrorWord: word, FetchedAt: now, Expires: now.Add(lasts)}
}

// reasonOf is the text of err without the URL.
func reasonOf(err error) string {
	var alone *errSilent
	var worded interface {
		error
		Word() string
	}
	if !errors.As(err, &alone) && errors.As(err, &worded) {
		if cause := errors.Unwrap(worded); cause != nil {
			return cause.Error()
		}
	}
	return err.Error()
}

// errOffline is why there is nothing when nobody is asked.
var errOffline = errors.New("not fetched: only a scan fetches")

// notAsked: nobody was asked, or it was not waited for the answer.
type notAsked struct{ cause error }

func (e *notAsked) Error() string { return e.cause.Error() }
func (e *notAsked) Unwrap() error { return e.cause }

// malformed: the answer is not what was asked for.
type malformed struct{ cause error }

func (e *malformed) Error() string { return e.cause.Error() }
func (e *malformed) Unwrap() error { return e.cause }

// local: a fault of this machine, such as a full disk.
type local struct{ cause error }

func (e *local) Error() string { return e.cause.Error() }
func (e *local) Unwrap() error { return e.cause }

// A class is whose fault a failure is, which decides how long it is believed.
type class int

const (
	wrong  class = iota // the server's: it answered, but not with what it should
	silent              // nobody's in particular: no answer
	ours                // our own rules, or faults
)

func (c class) lasts() time.Duration {
	if c == wrong {
		return wrongFor
	}
	return silentFor
}

// classify says whose fault err is, and the word for it.
func classify(err error) (class, string) {
	var (
		unasked   *notAsked
		malformed *malformed
		local     *local
		worded    interface{ Word() string }
	)
	switch {
	case errors.As(err, &unasked), errors.Is(err, errOffline), errors.Is(err, context.Canceled):
		return ours, inventory.EvidenceNotFetched
	case errors.As(err, &malformed):
		return wrong, inventory.EvidenceMalformed
	case errors.As(err, &local):
		return ours, inventory.EvidenceLocal
	case !errors.As(err, &worded):
		return wrong, inventory.EvidenceMalformed
	}
	switch word := worded.Word(); word {
	case "refused_address", "bad_url":
		return ours, word // the same words
	case "dns", "connect":
		return silent, inventory.EvidenceUnreachable
	case "timeout":
		return silent, word
	case "tls", "too_large":
		return wrong, word
	}
	return wrong, inventory.EvidenceHTTP
}
