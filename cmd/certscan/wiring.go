package main

import (
	"context"
	"errors"
	"fmt"
	stdio "io"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"example.com/certscan/internal/certfile"
	"example.com/certscan/internal/crl"
	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/fetch"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/location"
	"example.com/certscan/internal/probe"
	"example.com/certscan/internal/resolve"
	"example.com/certscan/internal/scan"
	"example.com/certscan/internal/store"
	"example.com/certscan/internal/verify"
)

// Every interface that a package declares is met by another package here.
var (
	_ scan.Judge    = (*verify.Judge)(nil)
	_ scan.Location = (*location.Local)(nil)

	_ location.Enumerator = (*probe.Prober)(nil)

	_ scan.Memory    = (*store.DB)(nil)
	_ scan.Evidence  = (*evidence.Source)(nil)
	_ scan.Admission = (*scan.Limiter)(nil)
)

// gate lets a location through a limiter.
type gate struct{ *scan.Limiter }

func (g gate) Enter(ctx context.Context, addr netip.AddrPort) (func(inventory.Observation), error) {
	leave, last, err := g.Limiter.Enter(ctx, addr)
	if last != nil {
		r := *last
		r.Detail = fmt.Sprintf("not tried: %s failed several times in a row just now (%s)", addr, last.Detail)
		return nil, &location.LeftAlone{Reach: r}
	}
	return leave, err
}

// recorder keeps results under the scan that saw them.
type recorder struct {
	db   *store.DB
	scan *string
}

func (r recorder) Record(ctx context.Context, results []inventory.Result) error {
	return r.db.Record(ctx, *r.scan, results)
}

// lazyResolver makes the resolver when a name is first to be resolved: who
// scans addresses only needs none.
type lazyResolver struct {
	make func() (*resolve.Resolver, error)
}

func (r lazyResolver) Resolve(ctx context.Context, name string) inventory.Resolution {
	res, err := r.make()
	if err != nil {
		return inventory.Resolution{Name: name, Status: inventory.ReachDNSTimeout, Detail: err.Error()}
	}
	return res.Resolve(ctx, name)
}

func newLocation(servers []string, p *probe.Prober, l *scan.Limiter) (*location.Local, error) {
	resolver, err := newResolver(servers)
	if err != nil {
		return nil, err
	}
	return location.NewLocal(location.Options{Resolver: resolver, Prober: p, Accepts: p, Gate: gate{l}})
}

func newResolver(servers []string) (lazyResolver, error) {
	make := sync.OnceValues(func() (*resolve.Resolver, error) { return resolve.New(resolve.Options{Servers: servers}) })
	if len(servers) > 0 {
		if _, err := make(); err != nil {
			return lazyResolver{}, usageError{fmt.Errorf("--resolver: %w", err)}
		}
	}
	return lazyResolver{make}, nil
}

func addFetchFlags(fs *pflag.FlagSet, allow *[]string, proxy *string) {
	fs.StringArrayVar(allow, "allow-fetch", nil, "let certificates send us to this `CIDR|HOST`, although it is private or loopback; repeatable")
	fs.StringVar(proxy, "fetch-proxy", "", "fetch issuers, CRLs and OCSP responses through the HTTP proxy at `URL`; one with a password stands in $"+proxyVariable)
}

// fetcher gets URLs for evidence through the guarded client.
type fetcher struct{ client *fetch.Client }

func (f fetcher) Fetch(ctx context.Context, r evidence.Request) (evidence.Answer, error) {
	var (
		res  fetch.Response
		err  error
		cond = fetch.Conditional{ETag: r.Validators.ETag, LastModified: r.Validators.LastModified}
	)
	switch {
	case r.To != nil:
		res, err = f.client.Download(ctx, r.URL, cond, r.Limit, r.To)
	case r.Body != nil:
		res, err = f.client.Post(ctx, r.URL, r.ContentType, r.Body, r.Limit)
	default:
		res, err = f.client.Get(ctx, r.URL, cond, r.Limit)
	}
	if err != nil {
		return evidence.Answer{}, err
	}
	return evidence.Answer{
		Body: res.Body, NotModified: res.NotModified, Fresh: res.Fresh,
		Validators: evidence.Validators{ETag: res.ETag, LastModified: res.LastModified},
	}, nil
}

// proxyVariable is where a proxy with a password is given: command lines are
// for everybody to read.
const proxyVariable = "CERTSCAN_FETCH_PROXY"

// newEvidence is the guarded way to what certificates point at. opt says where
// to keep what was got.
func newEvidence(io streams, allow []string, proxy string, opt evidence.Options) (*evidence.Source, error) {
	if u, err := url.Parse(proxy); err == nil && u.User != nil {
		return nil, usagef("--fetch-proxy has a user name: set it as %s in the environment instead", proxyVariable)
	}
	return guardedEvidence(io, allow, proxy, opt)
}

// guardedEvidence is newEvidence with a proxy that nobody else can read.
func guardedEvidence(io streams, allow []string, proxy string, opt evidence.Options) (*evidence.Source, error) {
	if proxy == "" {
		proxy = io.env(proxyVariable)
	}
	networks, hosts, err := fetch.ParseAllow(allow)
	if err != nil {
		return nil, usageError{fmt.Errorf("--allow-fetch: %w", err)}
	}
	client, err := fetch.New(fetch.Options{Proxy: proxy, AllowNetworks: networks, AllowHosts: hosts})
	if err != nil {
		return nil, usageError{fmt.Errorf("--fetch-proxy or %s: %w", proxyVariable, err)}
	}
	opt.Fetcher = fetcher{client}
	return readingEvidence(opt)
}

// readingEvidence reads what evidence may be.
func readingEvidence(opt evidence.Options) (*evidence.Source, error) {
	opt.Decode, opt.NextUpdate = certfile.Decode, verify.OCSPNextUpdate
	opt.ReadCRL = func(r stdio.Reader) (*inventory.CRL, error) { return crl.Read(r, maxCRLBytes) }
	opt.CRLBytes = maxCRLBytes
	return evidence.New(opt)
}

// maxCRLBytes is the largest CRL that is fetched.
const maxCRLBytes = 128 << 20

// recall lets a judge know what earlier judgements proved.
func recall(ctx context.Context, db *store.DB, opt *verify.Options) (err error) {
	if opt.Signatures, err = db.Signatures(ctx); err != nil {
		return err
	}
	opt.Revoked, err = db.Revocations(ctx)
	return err
}

// crlDir is where the CRLs are kept that were fetched for the history at path.
func crlDir(path string) string { return path + "-crl" }

// rememberedEvidence is what a scan fetched for the history at path, and asks
// nobody.
func rememberedEvidence(db *store.DB, path string) (*evidence.Source, error) {
	return readingEvidence(evidence.Options{
		Offline: true, Cache: db, CRLDir: crlDir(path),
		TableBytes: 96 << 20, HeldBytes: 160 << 20, // beside a source that fetches, in the daemon
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// expectingJudge judges the targets that an expected certificate is for with
// that expectation, and all others without.
type expectingJudge struct {
	plain     *verify.Judge
	expecting *verify.Judge // nil: nothing is expected
	covers    func(inventory.Target) bool
}

func (j *expectingJudge) Judge(f inventory.Facts, ev inventory.EvidenceSet, now time.Time) (inventory.Judgement, []inventory.Need) {
	return j.plain.Judge(f, ev, now)
}

func (j *expectingJudge) JudgeTarget(t inventory.Target, views []inventory.Endpoint, now time.Time) inventory.TargetJudgement {
	if j.expecting != nil && j.covers(t) {
		return j.expecting.JudgeTarget(t, views, now)
	}
	return j.plain.JudgeTarget(t, views, now)
}

func newExpectingJudge(opt verify.Options, expect []string, targets []inventory.Target) (*expectingJudge, error) {
	judge, err := verify.New(opt)
	if err != nil {
		return nil, err
	}
	j := &expectingJudge{plain: judge}
	if len(expect) == 0 {
		return j, nil
	}
	expected, err := readExpected(expect)
	if err != nil {
		return nil, err
	}
	opt.Expect = expected.leaves
	if j.expecting, err = verify.New(opt); err != nil {
		return nil, err
	}
	j.covers = expected.covers
	for _, t := range targets {
		if j.covers(t) {
			return j, nil
		}
	}
	return nil, usagef("--expect: no target is among the names of the certificate: %v", expected.names())
}

// expected is what --expect names. A fingerprint alone says nothing of names,
// so it is expected everywhere; a file's certificate where it is valid.
type expected struct {
	leaves       []inventory.Certificate
	certificates [][]byte // DER of those that came in a file
	everywhere   bool
}

func readExpected(flags []string) (expected, error) {
	var e expected
	for _, s := range flags {
		if fp, err := inventory.ParseFingerprint(s); err == nil && !exists(s) {
			e.leaves, e.everywhere = append(e.leaves, inventory.Certificate{SHA256: fp}), true
			continue
		}
		contents, err := certfile.Read(s, certfile.Options{})
		if err != nil {
			return e, usageError{fmt.Errorf("--expect: %w: want a file with the certificate, or its SHA-256 of 64 digits", err)}
		}
		leaf := contents.Certificates[0].DER
		e.leaves = append(e.leaves, verify.Parse(leaf))
		e.certificates = append(e.certificates, leaf)
	}
	return e, nil
}

func (e expected) covers(t inventory.Target) bool {
	return e.everywhere || slices.ContainsFunc(e.certificates, func(der []byte) bool { return verify.Covers(der, t.Host) })
}

func (e expected) names() (names []string) {
	for _, c := range e.certificates {
		names = append(names, verify.Parse(c).Names...)
	}
	return names
}
