// Package evidence gets and remembers what judging needs beyond what an
// endpoint served: issuers that were left out of a chain, and the trust stores.
//
// It does not judge, and it trusts nothing that it fetched: an issuer is worth
// what its signature proves to whoever asked. Its invariant: [Source.Get]
// always answers, and what could not be got is evidence with an error, never a
// guess. Whatever is remembered, of the good and of the bad, has a time at
// which it is asked for again.
package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"example.com/certscan/internal/inventory"
)

// How long answers are remembered.
const (
	defaultFresh = 24 * time.Hour
	minFresh     = time.Hour
	maxFresh     = 7 * 24 * time.Hour

	// A server that answers wrongly will do so for a while. One that does not
	// answer may be out of reach only from here and only now, and what our own
	// guard refused may be allowed in the next run.
	wrongFor  = time.Hour
	silentFor = 5 * time.Minute

	// keepFor is how long an answer stands in for one that cannot be got just
	// now: a caIssuers URL has the same issuer behind it for years.
	keepFor = 7 * 24 * time.Hour
)

// maxCertificates bounds the certificates of one answer. Bridge authorities
// publish a few dozen.
const maxCertificates = 128

// Validators are what a server gave to ask later whether anything changed.
type Validators struct {
	ETag         string
	LastModified string
}

// An Answer is what a URL answered.
type Answer struct {
	Body        []byte
	Validators  Validators
	NotModified bool          // nothing changed since the validators that were sent
	Fresh       time.Duration // how long it may be kept; negative if the server does not say
}

// A Fetcher gets URLs that strangers wrote. It bounds time and bytes and
// refuses addresses inside our own network. An error of it may have a method
// Word() string that says why in one word; what it wraps is then the reason
// without the URL, which [inventory.Evidence] names already.
type Fetcher interface {
	Fetch(ctx context.Context, url string, v Validators) (Answer, error)
}

// A Cache remembers evidence beyond the life of the process.
type Cache interface {
	// Evidence returns what was put for need, fresh or not.
	Evidence(ctx context.Context, need inventory.Need) (inventory.Evidence, bool, error)
	PutEvidence(ctx context.Context, e inventory.Evidence) error
}

// Options configure a [Source].
type Options struct {
	Fetcher Fetcher                             // required
	Decode  func(body []byte) ([][]byte, error) // required: the certificates in DER, PEM or PKCS #7
	Cache   Cache                               // nothing is kept beyond the process if nil
	Log     *slog.Logger                        // discards if nil

	Concurrency int // fetches at a time; defaults to 32
	PerHost     int // of these to one host; defaults to 4
	MemoryBytes int // of evidence remembered in the process; defaults to 16 MiB

	Now func() time.Time // defaults to time.Now
}

// A Source answers needs. It is safe for concurrent use.
type Source struct {
	opt   Options
	slots chan struct{}
	hosts hosts

	mu      sync.Mutex
	memory  memory                           // under mu
	running map[inventory.Need]chan struct{} // under mu; closed when whoever asks is done
}

// New returns a source.
func New(opt Options) (*Source, error) {
	if opt.Fetcher == nil || opt.Decode == nil {
		return nil, errors.New("evidence: fetcher and decoder are required")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.Concurrency = cmp.Or(opt.Concurrency, 32)
	return &Source{
		opt:     opt,
		slots:   make(chan struct{}, opt.Concurrency),
		hosts:   hosts{limit: cmp.Or(opt.PerHost, 4), now: opt.Now, all: make(map[string]*host)},
		memory:  newMemory(cmp.Or(opt.MemoryBytes, 16<<20)),
		running: make(map[inventory.Need]chan struct{}),
	}, nil
}

// Get returns the evidence for need: remembered, or fetched now. It is fetched
// once however many ask. There is always an answer: the reason why there are
// no certificates is in its Error.
func (s *Source) Get(ctx context.Context, need inventory.Need) inventory.Evidence {
	if need.Kind != inventory.NeedIssuer {
		return s.failure(need, fmt.Errorf("evidence of the kind %q is not fetched by this version", need.Kind), 0)
	}
	for {
		e, busy := s.recall(need)
		switch {
		case e != nil:
			return *e
		case busy == nil: // it is on us
			return s.obtain(ctx, need)
		}
		select {
		case <-busy: // the answer is remembered, or it is on us
		case <-ctx.Done():
			return s.failure(need, fmt.Errorf("not waited for: %w", context.Cause(ctx)), 0)
		}
	}
}

// recall returns what is remembered and still fresh, or else what to wait for
// while somebody else asks. If both are nil the caller has to ask, by obtain.
func (s *Source) recall(need inventory.Need) (*inventory.Evidence, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.memory.get(need); ok && s.opt.Now().Before(r.evidence.Expires) {
		return &r.evidence, nil
	}
	if busy, ok := s.running[need]; ok {
		return nil, busy
	}
	s.running[need] = make(chan struct{})
	return nil, nil
}

// obtain asks the cache, then the network, and remembers what they said.
func (s *Source) obtain(ctx context.Context, need inventory.Need) inventory.Evidence {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		close(s.running[need])
		delete(s.running, need)
	}()
	s.mu.Lock()
	old, _ := s.memory.get(need)
	s.mu.Unlock()

	if s.opt.Cache != nil && len(old.evidence.Certificates) == 0 {
		switch e, ok, err := s.opt.Cache.Evidence(ctx, need); {
		case err != nil && ctx.Err() == nil:
			s.opt.Log.WarnContext(ctx, "reading remembered evidence", "url", need.URL, "err", err)
		case ok && s.opt.Now().Before(e.Expires):
			s.remember(remembered{evidence: e})
			return e
		case ok:
			old.evidence = e
		}
	}
	fresh, keep := s.ask(ctx, need, old)
	if ctx.Err() != nil && fresh.evidence.Error != "" {
		return fresh.evidence // says nothing about the URL
	}
	s.remember(fresh)
	if s.opt.Cache != nil && keep {
		if err := s.opt.Cache.PutEvidence(ctx, fresh.evidence); err != nil && ctx.Err() == nil {
			s.opt.Log.WarnContext(ctx, "remembering evidence", "url", need.URL, "err", err)
		}
	}
	return fresh.evidence
}

func (s *Source) remember(r remembered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory.put(r)
}

// ask fetches, and reports whether the answer is worth keeping beyond the
// process. What was had before stands in where the network fails.
func (s *Source) ask(ctx context.Context, need inventory.Need, old remembered) (r remembered, keep bool) {
	answer, err := s.fetch(ctx, need.URL, old)
	now := s.opt.Now()
	if err != nil {
		class := classOf(err)
		if class == silent && len(old.evidence.Certificates) > 0 && now.Sub(old.evidence.FetchedAt) < keepFor {
			old.evidence.Expires = now.Add(silentFor)
			return old, false
		}
		return remembered{evidence: s.failure(need, err, class.lasts())}, class != ours
	}
	fresh := defaultFresh
	if answer.Fresh >= 0 {
		fresh = min(max(answer.Fresh, minFresh), maxFresh)
	}
	e := inventory.Evidence{Need: need, FetchedAt: now, Expires: now.Add(fresh)}
	if answer.NotModified {
		e.Certificates = old.evidence.Certificates
		return remembered{e, old.validators}, true
	}
	e.Certificates, err = s.opt.Decode(answer.Body)
	switch {
	case err != nil:
		err = fmt.Errorf("the answer has no certificate: %w", err)
	case len(e.Certificates) > maxCertificates:
		err = fmt.Errorf("the answer has %d certificates, more than %d", len(e.Certificates), maxCertificates)
	default:
		return remembered{e, answer.Validators}, true
	}
	return remembered{evidence: s.failure(need, err, wrongFor)}, true
}

// fetch waits for its turn: first among those to the same host, so that a host
// that does not answer never holds more than its share of the slots.
func (s *Source) fetch(ctx context.Context, url string, old remembered) (Answer, error) {
	h, err := s.hosts.enter(ctx, url)
	if err != nil {
		return Answer{}, err
	}
	var answer Answer
	defer func() { s.hosts.leave(h, err) }()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		err = context.Cause(ctx)
		return Answer{}, err
	}
	var v Validators
	if len(old.evidence.Certificates) > 0 {
		v = old.validators
	}
	answer, err = s.opt.Fetcher.Fetch(ctx, url, v)
	return answer, err
}

// failure is evidence of why there is none.
func (s *Source) failure(need inventory.Need, err error, lasts time.Duration) inventory.Evidence {
	now := s.opt.Now()
	return inventory.Evidence{Need: need, Error: reasonOf(err), FetchedAt: now, Expires: now.Add(lasts)}
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

// A class is whose fault a failure is, which decides how long it is believed.
type class int

const (
	wrong  class = iota // the server's: it answered, but not with what it should
	silent              // nobody's in particular: no answer
	ours                // our own rules refuse to ask
)

func (c class) lasts() time.Duration {
	if c == wrong {
		return wrongFor
	}
	return silentFor
}

func classOf(err error) class {
	var worded interface{ Word() string }
	if !errors.As(err, &worded) {
		return wrong
	}
	switch worded.Word() {
	case "refused_address", "bad_url":
		return ours
	case "dns", "connect", "timeout":
		return silent
	}
	return wrong
}
