// Package evidence gets and remembers what judging needs beyond what an
// endpoint served: issuers that were left out of a chain, revocation lists, OCSP
// answers, and the trust stores.
//
// It does not judge, and it trusts nothing that it fetched: an issuer or a list
// is worth what its signature proves to whoever asked. Its invariant: [Source.Get]
// always answers, and what could not be got is evidence with an error, never a
// guess. Whatever is remembered, of the good and of the bad, has a time at
// which it is asked for again.
package evidence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"example.com/certscan/internal/inventory"
)

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

// A Request says what to get.
type Request struct {
	URL        string
	Validators Validators

	Body        []byte // is posted, if not nil
	ContentType string // of Body

	Limit int64     // of the answer in bytes; 0: the fetcher's own
	To    io.Writer // if not nil, takes the answer's body as it arrives
}

// A Fetcher gets URLs that strangers wrote. It bounds time and bytes and
// refuses addresses inside our own network. An error of it may have a method
// Word() string that says why in one word; what it wraps is then the reason
// without the URL, which [inventory.Evidence] names already.
type Fetcher interface {
	Fetch(ctx context.Context, r Request) (Answer, error)
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
	Cache   Cache                               // nothing but CRLs is kept beyond the process if nil
	Log     *slog.Logger                        // discards if nil

	// ReadCRL reads a list from a stream. CRLs are not got if it is nil.
	ReadCRL func(io.Reader) (*inventory.CRL, error)

	// NextUpdate says until when an OCSP response claims to hold, zero if it
	// does not say. An error means that it is none. Responses are kept by the
	// word of HTTP alone if it is nil.
	NextUpdate func(ocsp []byte) (time.Time, error)

	CRLDir   string // where CRLs are kept; defaults to a directory that Close removes
	CRLBytes int64  // of one list at most; defaults to 128 MiB

	// DirBytes bounds CRLDir in octets; defaults to 1 GiB. What was used longest
	// ago is removed first, and nothing that is in use.
	DirBytes int64

	// Offline answers from what is kept, however old, and asks nobody. Somebody
	// else may: what has expired or is missing is looked up again each time.
	Offline bool

	Concurrency int // fetches at a time; defaults to 128
	PerHost     int // of these to one host; defaults to 8
	MemoryBytes int // of evidence remembered in the process; defaults to 16 MiB
	TableBytes  int // of the tables of CRLs remembered in the process; defaults to 128 MiB. The last one used may be larger

	// HeldBytes bounds the tables of CRLs that are held at a time, here and by
	// whoever got them; defaults to 320 MiB. A list that does not fit is told as
	// unknown after a while.
	HeldBytes int64

	Now func() time.Time // defaults to time.Now
}

const (
	defaultCRLBytes   = 128 << 20
	defaultDirBytes   = 1 << 30
	defaultTableBytes = 128 << 20
	defaultHeldBytes  = 320 << 20

	// maxShared bounds what [Source.Shared] returns.
	maxShared = 256

	// maxReaders is how many lists are read at a time: each may be large.
	maxReaders = 2
)

// A Source answers needs. It is safe for concurrent use.
type Source struct {
	opt     Options
	slots   chan struct{}
	readers chan struct{}
	hosts   hosts
	files   files
	tables  tables

	mu      sync.Mutex
	memory  memory                     // under mu; of issuers and OCSP answers
	lists   memory                     // under mu; of CRLs
	running map[inventory.Need]*flight // under mu
	shared  inventory.EvidenceSet      // under mu; nil when it has to be made again
	until   time.Time                  // under mu; when something in shared expires
}

// A flight is somebody's being asked, which others wait for.
type flight struct {
	done     chan struct{} // closed when what follows is set
	evidence inventory.Evidence
	ended    bool // who asked was interrupted: this says nothing
}

// New returns a source. It has to be closed.
func New(opt Options) (*Source, error) {
	if opt.Fetcher == nil && !opt.Offline || opt.Decode == nil {
		return nil, errors.New("evidence: fetcher and decoder are required")
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	opt.CRLBytes = cmp.Or(opt.CRLBytes, defaultCRLBytes)
	return &Source{
		opt:     opt,
		slots:   make(chan struct{}, cmp.Or(opt.Concurrency, 128)),
		readers: make(chan struct{}, maxReaders),
		hosts:   hosts{limit: cmp.Or(opt.PerHost, 8), now: opt.Now, all: make(map[string]*host)},
		files: files{
			dir: opt.CRLDir, limit: cmp.Or(opt.DirBytes, defaultDirBytes), held: make(map[string]int),
			full: func(dir string, limit int64) {
				opt.Log.Warn("the directory of CRLs is full: those that were used longest ago are removed", "dir", dir, "bytes", limit)
			},
		},
		tables:  newTables(cmp.Or(opt.HeldBytes, defaultHeldBytes)),
		memory:  newMemory(cmp.Or(opt.MemoryBytes, 16<<20)),
		lists:   newMemory(cmp.Or(opt.TableBytes, defaultTableBytes)),
		running: make(map[inventory.Need]*flight),
	}, nil
}

// Close removes what was only kept for as long as the source is used.
func (s *Source) Close() error {
	if err := s.files.close(); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	return nil
}

// Get returns the evidence for need: remembered, or fetched now. It is fetched
// once however many ask. There is always an answer: the reason why there is
// nothing is in its Error.
func (s *Source) Get(ctx context.Context, need inventory.Need) inventory.Evidence {
	for {
		e, f, mine := s.recall(need)
		switch {
		case e != nil:
			return *e
		case mine:
			s.fly(ctx, need, f)
			return f.evidence
		}
		select {
		case <-f.done:
			if !f.ended {
				return f.evidence
			}
		case <-ctx.Done():
			return s.failure(need, &notAsked{context.Cause(ctx)}, 0)
		}
	}
}

// Shared returns CRLs that are remembered and fresh, and which of them could not
// be got: the last used ones, to judge with before anything is asked for. The
// set is not to be changed.
func (s *Source) Shared() inventory.EvidenceSet {
	now := s.opt.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared == nil || !s.until.IsZero() && !now.Before(s.until) {
		s.shared, s.until = s.lists.fresh(maxShared, now)
	}
	return s.shared
}

// recall returns what is remembered and still fresh, or else what to wait for
// while somebody else asks; or it is on the caller to ask.
func (s *Source) recall(need inventory.Need) (e *inventory.Evidence, f *flight, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r, ok := s.of(need).get(need); ok && s.opt.Now().Before(r.evidence.Expires) {
		return &r.evidence, nil, false
	}
	if f, ok := s.running[need]; ok {
		return nil, f, false
	}
	f = &flight{done: make(chan struct{})}
	s.running[need] = f
	return nil, f, true
}

// fly obtains what f is for, and tells those who wait.
func (s *Source) fly(ctx context.Context, need inventory.Need, f *flight) {
	f.evidence, f.ended = s.obtain(ctx, need)
	s.mu.Lock()
	delete(s.running, need)
	s.mu.Unlock()
	close(f.done)
}

// of is the memory that need is remembered in. Called under mu.
func (s *Source) of(need inventory.Need) *memory {
	if need.Kind == inventory.NeedCRL {
		return &s.lists
	}
	return &s.memory
}

func (s *Source) remember(r remembered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of(r.evidence.Need).put(r)
	if r.evidence.Need.Kind == inventory.NeedCRL {
		s.shared = nil
	}
}

// obtain asks the memory, the cache, then the network, and remembers what they
// said. It reports whether that was ended by ctx, and so says nothing.
func (s *Source) obtain(ctx context.Context, need inventory.Need) (e inventory.Evidence, ended bool) {
	s.mu.Lock()
	old, _ := s.of(need).get(need)
	s.mu.Unlock()
	if s.opt.Offline || !old.has() {
		old = s.kept(ctx, need).with(old)
	}
	if !old.evidence.FetchedAt.IsZero() && (s.opt.Offline || s.opt.Now().Before(old.evidence.Expires)) {
		whole, err := s.whole(ctx, old)
		if err == nil {
			s.remember(whole)
			return whole.evidence, false
		}
		if ctx.Err() != nil {
			return s.failure(need, &notAsked{context.Cause(ctx)}, 0), true
		}
		if errors.Is(err, errCrowded) { // it is as good as before, later
			return s.crowded(need), false
		}
		s.opt.Log.WarnContext(ctx, "reading a kept CRL", "url", need.URL, "err", err)
		old = remembered{}
	}
	if s.opt.Offline {
		return s.failure(need, errOffline, 0), false
	}
	r, keep := s.ask(ctx, need, old)
	if ctx.Err() != nil && r.evidence.Error != "" {
		r.evidence.ErrorWord = inventory.EvidenceNotFetched
		return r.evidence, true
	}
	s.remember(r)
	if s.opt.Cache != nil && keep {
		if err := s.opt.Cache.PutEvidence(ctx, r.evidence); err != nil && ctx.Err() == nil {
			s.opt.Log.WarnContext(ctx, "remembering evidence", "url", need.URL, "err", err)
		}
	}
	return r.evidence, false
}

// crowded is that there was no memory for what is kept of need. Who is asked for
// it soon after does not wait again.
func (s *Source) crowded(need inventory.Need) inventory.Evidence {
	e := s.failure(need, &local{errCrowded}, silentFor)
	if !s.opt.Offline {
		s.remember(remembered{evidence: e})
	}
	return e
}

// kept is what is kept of need beyond the process. A list is not read yet.
func (s *Source) kept(ctx context.Context, need inventory.Need) remembered {
	if need.Kind == inventory.NeedCRL {
		n, err := s.files.note(need.URL)
		if err == nil {
			return remembered{
				evidence:   inventory.Evidence{Need: need, FetchedAt: n.FetchedAt, Expires: n.Expires},
				validators: Validators{ETag: n.ETag, LastModified: n.LastModified},
				body:       n.SHA256,
			}
		}
		if !errors.Is(err, fs.ErrNotExist) {
			s.opt.Log.WarnContext(ctx, "reading a kept CRL", "url", need.URL, "err", err)
		}
	}
	if s.opt.Cache == nil {
		return remembered{}
	}
	e, ok, err := s.opt.Cache.Evidence(ctx, need)
	if err != nil && ctx.Err() == nil {
		s.opt.Log.WarnContext(ctx, "reading remembered evidence", "url", need.URL, "err", err)
	}
	if err != nil || !ok || need.Kind == inventory.NeedCRL && e.Error == "" {
		return remembered{}
	}
	return remembered{evidence: e}
}
