package evidence

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

const (
	// maxCertificates bounds the certificates of one answer. Bridge authorities
	// publish a few dozen.
	maxCertificates = 128

	// maxOCSP bounds an OCSP response in bytes.
	maxOCSP = 64 << 10

	// maxOCSPGet is the longest URL that an OCSP request is put into (RFC 5019,
	// section 5).
	maxOCSPGet = 255
)

// ask fetches, and reports whether the answer is worth keeping in the cache.
// What was had before stands in where it is better than none.
func (s *Source) ask(ctx context.Context, need inventory.Need, old remembered) (r remembered, keep bool) {
	r.evidence.Need = need
	var (
		answer Answer
		body   *spool
		err    error
	)
	switch need.Kind {
	case inventory.NeedIssuer:
		r.evidence.Certificates, answer, err = s.askIssuer(ctx, need.URL, old.validators)
	case inventory.NeedOCSP:
		r.evidence.OCSP, answer, err = s.askOCSP(ctx, need)
	case inventory.NeedCRL:
		s.files.use(need.URL) // whatever comes of this
		body = &spool{files: &s.files}
		defer body.discard()
		r.evidence.CRL, answer, err = s.askCRL(ctx, need.URL, old.validators, body)
	default:
		err = &notAsked{fmt.Errorf("evidence of the kind %q is not fetched by this version", need.Kind)}
	}
	if err != nil {
		return s.without(ctx, need, old, err)
	}
	r.validators = answer.Validators
	if answer.NotModified {
		had, err := s.whole(ctx, old)
		if errors.Is(err, errCrowded) {
			return s.without(ctx, need, remembered{}, &local{errCrowded})
		}
		if err != nil { // what has not changed is damaged here
			return s.ask(ctx, need, remembered{})
		}
		r.evidence, body = had.evidence, nil
		if r.validators == (Validators{}) {
			r.validators = old.validators
		}
	}
	now := s.opt.Now()
	r.evidence.FetchedAt, r.evidence.Expires = now, now.Add(s.lifetime(r.evidence, answer.Fresh, now))
	if old.says(r.evidence) {
		r.evidence.FetchedAt = old.evidence.FetchedAt
	}
	if need.Kind != inventory.NeedCRL {
		return r, true
	}
	if err := s.files.keep(body, r.note()); err != nil {
		s.opt.Log.WarnContext(ctx, "keeping a CRL", "url", need.URL, "err", err)
	}
	return r, false
}

func (s *Source) askIssuer(ctx context.Context, url string, v Validators) ([][]byte, Answer, error) {
	answer, err := s.fetch(ctx, Request{URL: url, Validators: v})
	if err != nil || answer.NotModified {
		return nil, answer, err
	}
	certs, err := s.opt.Decode(answer.Body)
	if err != nil {
		return nil, answer, &malformed{fmt.Errorf("the answer has no certificate: %w", err)}
	}
	if len(certs) > maxCertificates {
		return nil, answer, &malformed{fmt.Errorf("the answer has %d certificates, more than %d", len(certs), maxCertificates)}
	}
	return certs, answer, nil
}

// askOCSP asks by GET where the request is short enough, because answers to that
// come from caches near by (RFC 5019, section 5), and else by POST.
func (s *Source) askOCSP(ctx context.Context, need inventory.Need) ([]byte, Answer, error) {
	der, err := base64.StdEncoding.DecodeString(need.Request)
	if err != nil || len(der) == 0 {
		return nil, Answer{}, &notAsked{fmt.Errorf("the OCSP request %q is not base64", need.Request)}
	}
	post := Request{URL: need.URL, Body: der, ContentType: "application/ocsp-request", Limit: maxOCSP}
	get := Request{URL: strings.TrimSuffix(need.URL, "/") + "/" + url.QueryEscape(need.Request), Limit: maxOCSP}
	var answer Answer
	if len(get.URL) > maxOCSPGet || strings.ContainsAny(need.URL, "?#") {
		answer, err = s.fetch(ctx, post)
	} else {
		answer, err = s.fetch(ctx, get)
		if class, word := classify(err); class == wrong && word == inventory.EvidenceHTTP {
			answer, err = s.fetch(ctx, post) // there are responders that know nothing else
		}
	}
	if err == nil && s.opt.NextUpdate != nil {
		if _, bad := s.opt.NextUpdate(answer.Body); bad != nil {
			err = &malformed{fmt.Errorf("the answer is no OCSP response: %w", bad)}
		}
	}
	return answer.Body, answer, err
}

// askCRL writes the list to body as it comes, and reads it from there: a slow
// server holds up nobody else who has a list to read.
func (s *Source) askCRL(ctx context.Context, url string, v Validators, body *spool) (*inventory.CRL, Answer, error) {
	if s.opt.ReadCRL == nil {
		return nil, Answer{}, &notAsked{errors.New("CRLs are not read")}
	}
	answer, err := s.fetch(ctx, Request{URL: url, Validators: v, Limit: s.opt.CRLBytes, To: body})
	if body.err != nil {
		err = &local{body.err}
	}
	if err != nil || answer.NotModified {
		return nil, answer, err
	}
	r, err := body.reader()
	if err != nil {
		return nil, answer, &local{err}
	}
	crl, err := s.readCRL(ctx, r, body.size)
	return crl, answer, err
}

// fetch waits for its turn: first among those to the same host, so that a host
// that does not answer never holds more than its share of the slots.
func (s *Source) fetch(ctx context.Context, r Request) (answer Answer, err error) {
	h, err := s.hosts.enter(ctx, r.URL)
	if err != nil {
		return Answer{}, err
	}
	defer func() {
		body, ok := r.To.(*spool)
		began := ok && (body.file != nil || body.err != nil) // that the rest of a large file is slow is no silence
		s.hosts.leave(h, err, began || ctx.Err() != nil)
	}()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return Answer{}, &notAsked{context.Cause(ctx)}
	}
	return s.opt.Fetcher.Fetch(ctx, r)
}

// whole returns r with its list read, if that is in a file only.
func (s *Source) whole(ctx context.Context, r remembered) (remembered, error) {
	if r.body.IsZero() {
		return r, nil
	}
	if s.opt.ReadCRL == nil {
		return r, errors.New("CRLs are not read")
	}
	name := stem(r.evidence.Need.URL)
	s.files.hold(name)
	defer s.files.letGo(name)
	f, err := s.files.open(r.evidence.Need.URL)
	if err != nil {
		return r, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return r, err
	}
	crl, err := s.readCRL(ctx, f, info.Size())
	if err != nil {
		return r, fmt.Errorf("%q: %w", f.Name(), err)
	}
	if crl.SHA256 != r.body {
		return r, fmt.Errorf("%q is not the list that its note tells of", f.Name())
	}
	r.evidence.CRL, r.body = crl, inventory.Fingerprint{}
	return r, nil
}

// says reports whether e is the list or the OCSP answer that r is. Then it was
// fetched when r was: what it says was true at that time, and may not be any
// more.
func (r remembered) says(e inventory.Evidence) bool {
	switch {
	case e.CRL != nil && r.evidence.CRL != nil:
		return e.CRL.SHA256 == r.evidence.CRL.SHA256
	case e.CRL != nil:
		return e.CRL.SHA256 == r.body
	}
	return len(e.OCSP) > 0 && bytes.Equal(e.OCSP, r.evidence.OCSP)
}

func (r remembered) note() note {
	n := note{
		URL: r.evidence.Need.URL, ETag: r.validators.ETag, LastModified: r.validators.LastModified,
		FetchedAt: r.evidence.FetchedAt, Expires: r.evidence.Expires,
	}
	if r.evidence.CRL != nil {
		n.SHA256 = r.evidence.CRL.SHA256
	}
	return n
}

// How long answers are remembered.
const (
	minFresh = time.Hour

	freshIssuer    = 24 * time.Hour
	maxFreshIssuer = 7 * 24 * time.Hour

	// What is revoked has to be known within a day, however long a server lets
	// its answer be kept.
	freshRevocation    = 4 * time.Hour
	maxFreshRevocation = 24 * time.Hour

	// askAgain is how long an answer stands that has expired by its own word.
	askAgain = 10 * time.Minute
)

// lifetime is how long e may be used. HTTP's word is in fresh, negative if there
// is none; an answer that names the time of its next update is not kept longer.
func (s *Source) lifetime(e inventory.Evidence, fresh time.Duration, now time.Time) time.Duration {
	usual, most := freshRevocation, maxFreshRevocation
	if e.Need.Kind == inventory.NeedIssuer {
		usual, most = freshIssuer, maxFreshIssuer
	}
	d := usual
	if fresh >= 0 {
		d = min(max(fresh, minFresh), most)
	}
	var next time.Time
	if e.CRL != nil {
		next = e.CRL.NextUpdate
	} else if len(e.OCSP) > 0 && s.opt.NextUpdate != nil {
		next, _ = s.opt.NextUpdate(e.OCSP) // was read before
	}
	if !next.IsZero() {
		d = max(min(d, next.Sub(now)), askAgain)
	}
	return d
}

// readCRL reads one list of size octets, when it is its turn and there is memory
// for its table, which is not larger than the list by much.
func (s *Source) readCRL(ctx context.Context, r io.Reader, size int64) (*inventory.CRL, error) {
	if err := s.await(ctx, size); err != nil {
		return nil, err
	}
	select {
	case s.readers <- struct{}{}:
		defer func() { <-s.readers }()
	case <-ctx.Done():
		s.tables.used.Add(-size)
		return nil, &notAsked{context.Cause(ctx)}
	}
	crl, err := s.opt.ReadCRL(r)
	if err != nil {
		s.tables.used.Add(-size)
		return nil, &malformed{fmt.Errorf("the answer is no CRL: %w", err)}
	}
	s.tables.keep(crl, size)
	return crl, nil
}
