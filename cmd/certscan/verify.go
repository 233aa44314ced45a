package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	stdio "io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"example.com/certscan/internal/certfile"
	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
	"example.com/certscan/internal/verify"
)

// verifyFlags are the flags of verify.
type verifyFlags struct {
	judgeFlags
	givenFlags
	outputFlags
	leaf       string
	chain      []string
	name       string
	fetch      bool
	allowFetch []string
	fetchProxy string
	passwords  string
	failOn     string
	labels     []string
}

func newVerifyCommand(io streams) *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify [flags] [FILE...]",
		Short: "Judge certificate files, without a connection",
		Long: `verify judges the certificates in files (PEM, DER, PKCS#7, PKCS#12) and
directories by the same code as scan; - is standard input. In a file with
several, those that issued others there are their chain. A file that is broken
is reported and the rest is judged. Private keys are passed over.

Nothing is fetched without --fetch. Revocation is then judged by what --crl and
--ocsp give, and is otherwise not known.
` + exitHelp,
		Example: `  certscan verify /etc/letsencrypt/live/*/fullchain.pem
  certscan verify --name shop.example.com fullchain.pem
  certscan verify --leaf cert.pem --chain chain.pem --roots root.pem
  certscan verify --leaf cert.pem --chain ca.pem --roots root.pem --crl ca.crl
  certscan verify --at 2026-12-24 cert.pem
  certscan verify /etc/ssl/private --format json`,
		RunE: func(cmd *cobra.Command, args []string) error { return runVerify(cmd.Context(), io, f, args) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.leaf, "leaf", "", "judge the first certificate in `FILE`")
	fs.StringArrayVar(&f.chain, "chain", nil, "with these certificates as served after it: a `FILE`; repeatable")
	fs.StringArrayVar(&f.labels, "label", nil, "select the rules of --policy as for a target with the label `KEY=VALUE`; repeatable")
	fs.StringVar(&f.name, "name", "", "check that the certificate is for this DNS `NAME` or IP address")
	f.givenFlags.add(fs)
	fs.BoolVar(&f.fetch, "fetch", false, "fetch missing issuers, CRLs and OCSP responses from where the certificates say they are")
	addFetchFlags(fs, &f.allowFetch, &f.fetchProxy)
	fs.StringVar(&f.passwords, "password-file", "", "try the passwords in `FILE`, one a line, on PKCS#12 files")
	fs.StringVar(&f.failOn, "fail-on", "critical", "exit with 3 on findings of this `SEVERITY` or worse: critical, warning, never")
	f.judgeFlags.add(fs, verify.ProfilePublic)
	f.outputFlags.add(fs, "table", "json", "sarif", "junit")
	return cmd
}

// fileVerdict is what is said of one certificate in a file: an endpoint's
// record without what only a connection tells. Problem is set instead when
// something in the file could not be read.
type fileVerdict struct {
	File        string                  `json:"file"`
	Line        int                     `json:"line,omitempty"`
	Problem     string                  `json:"problem,omitempty"`
	Name        string                  `json:"name"`
	Certificate *inventory.Certificate  `json:"certificate"`
	Chain       []inventory.ChainRecord `json:"chain"`
	Verdict     *inventory.Verdict      `json:"verdict"`
	Expiry      *inventory.Expiry       `json:"expiry"`
	Tier        inventory.Tier          `json:"tier"`
	Findings    []inventory.Finding     `json:"findings"`

	served []inventory.Certificate
	judged inventory.Judgement
}

// verifier judges files.
type verifier struct {
	judge   *verify.Judge
	trust   trust
	source  *evidence.Source // nil: nothing is fetched
	target  inventory.Target
	given   inventory.Given
	options certfile.Options
	at      time.Time

	policies *policies
	labels   map[string]string // of what is judged, for the selectors of rules

	mu      sync.Mutex
	fetched map[inventory.Fingerprint][]byte // under mu
}

// maxJudging is how many files are judged at a time. Most of them wait for
// servers, of which some do not answer.
const maxJudging = 64

func runVerify(ctx context.Context, io streams, f verifyFlags, args []string) error {
	limit, err := parseSeverity(f.failOn)
	if err != nil {
		return err
	}
	if err := f.outputFlags.check(); err != nil {
		return err
	}
	v, err := newVerifier(io, f)
	if err != nil {
		return err
	}
	defer v.close()
	var verdicts []fileVerdict
	switch {
	case f.leaf != "" && len(args) > 0:
		return usagef("give files, or --leaf with --chain, but not both")
	case f.leaf != "":
		one, err := v.pair(ctx, f.leaf, f.chain)
		if err != nil {
			return err
		}
		verdicts = append(verdicts, one)
	case len(f.chain) > 0:
		return usagef("--chain needs --leaf")
	case len(args) == 0:
		return usagef("nothing to verify: name files or directories, or --leaf FILE")
	default:
		verdicts = v.files(ctx, io, args)
		if ctx.Err() != nil {
			return errors.New("interrupted while the files were read")
		}
	}
	v.policies.files(v.labels, v.target, verdicts, v.at, noter(io))
	v.trust.tellStale(nil, noter(io))
	v.trust.tellUnmet(v.judge, noter(io))
	err = listing(io, f.outputFlags, v.at, v.lookup, func(w writer, opt report.Options) error {
		opt.FailOn = limit
		return writeVerdicts(w, f.format, verdicts, opt)
	})
	if err != nil {
		return err
	}
	return verifyStatus(verdicts, limit)
}

// verifyStatus is the exit status, as an error: a file that somebody named and
// that cannot be read is as bad as a bad certificate.
func verifyStatus(verdicts []fileVerdict, limit inventory.Severity) error {
	judged, broken, found := 0, 0, false
	for _, v := range verdicts {
		if v.Problem != "" {
			broken++
			continue
		}
		judged++
		found = found || anyCounts(v.Findings, limit)
	}
	switch {
	case judged == 0:
		return errors.New("no certificate could be read")
	case found || broken > 0 && limit != "":
		return errFindings
	}
	return nil
}

func newVerifier(io streams, f verifyFlags) (*verifier, error) {
	v := &verifier{fetched: make(map[inventory.Fingerprint][]byte)}
	var err error
	if v.at, _, err = f.judgeFlags.time(); err != nil {
		return nil, err
	}
	tiers, err := parseTiers(f.tiers)
	if err != nil {
		return nil, err
	}
	if v.policies, err = f.policyFlags.load(v.at); err != nil {
		return nil, err
	}
	if v.labels, err = parseLabels(f.labels); err != nil {
		return nil, err
	}
	v.trust, err = f.trustFlags.load(noter(io))
	if err != nil {
		return nil, err
	}
	v.trust.logs.tellStale(v.at, nil, noter(io))
	opt := verify.Options{Tiers: tiers}
	v.trust.apply(&opt)
	if err := f.requirementFlags.apply(&opt); err != nil {
		return nil, err
	}
	if v.judge, err = verify.New(opt); err != nil {
		return nil, err
	}
	if f.name != "" {
		if v.target, err = discover.ParseTarget(f.name); err != nil {
			return nil, usageError{fmt.Errorf("--name: %w", err)}
		}
	}
	if f.passwords != "" {
		if v.options.Passwords, err = readLines(f.passwords); err != nil {
			return nil, usageError{fmt.Errorf("--password-file: %w", err)}
		}
	}
	if v.given, err = f.givenFlags.read(v.options); err != nil {
		return nil, err
	}
	if f.fetch {
		if v.source, err = newEvidence(io, f.allowFetch, f.fetchProxy, evidence.Options{}); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// close ends what was made for fetching.
func (v *verifier) close() {
	if v.source != nil {
		v.source.Close()
	}
}

// readLines reads a file of a few lines, without their ends.
func readLines(path string) ([]string, error) {
	if err := plainFile(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []string
	sc := bufio.NewScanner(stdio.LimitReader(f, 1<<20))
	for sc.Scan() {
		lines = append(lines, strings.TrimSuffix(sc.Text(), "\r"))
	}
	return lines, sc.Err()
}

// readChain reads all certificates of the files.
func readChain(paths []string, opt certfile.Options) ([][]byte, error) {
	var ders [][]byte
	for _, path := range paths {
		c, err := certfile.Read(path, opt)
		if err != nil {
			return nil, usageError{fmt.Errorf("--chain: %w", err)}
		}
		for _, found := range c.Certificates {
			ders = append(ders, found.DER)
		}
	}
	return ders, nil
}

// pair judges the first certificate of one file with those of others as chain.
func (v *verifier) pair(ctx context.Context, leaf string, chain []string) (fileVerdict, error) {
	first, err := certfile.Read(leaf, v.options)
	if err != nil {
		return fileVerdict{}, usageError{fmt.Errorf("--leaf: %w", err)}
	}
	ders := [][]byte{first.Certificates[0].DER}
	for _, found := range first.Certificates[1:] {
		ders = append(ders, found.DER)
	}
	rest, err := readChain(chain, v.options)
	if err != nil {
		return fileVerdict{}, err
	}
	return v.chain(ctx, leaf, first.Certificates[0].Line, append(ders, rest...)), nil
}

// files judges every certificate in files and directories, and says what could
// not be read.
func (v *verifier) files(ctx context.Context, io streams, paths []string) []fileVerdict {
	var verdicts []fileVerdict
	named := slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return p == discover.Stdin })
	all, problems := certfile.ReadAll(named, v.options)
	if len(named) < len(paths) {
		in := patiently(ctx, func() (stdio.Reader, error) { return io.in, nil })
		defer in.Close()
		c, err := certfile.ReadFrom(in, "standard input", v.options)
		if err != nil {
			problems = append(problems, err)
		} else {
			all = append(all, c)
		}
	}
	var ends []fileChain
	for _, c := range all {
		for _, end := range chainsOf(c.Certificates) {
			end.file = c.Path
			ends = append(ends, end)
		}
		problems = append(problems, c.Problems...)
	}
	verdicts = make([]fileVerdict, len(ends), len(ends)+len(problems))
	var judging errgroup.Group
	judging.SetLimit(maxJudging)
	for i, end := range ends {
		judging.Go(func() error {
			verdicts[i] = v.chain(ctx, end.file, end.line, end.ders)
			return nil
		})
	}
	_ = judging.Wait() // there are no errors
	for _, err := range problems {
		fv := fileVerdict{Problem: err.Error()}
		if p, ok := errors.AsType[*certfile.Problem](err); ok {
			fv.File, fv.Line, fv.Problem = p.Path, p.Line, p.Err.Error()
		} else if p, ok := errors.AsType[*fs.PathError](err); ok {
			fv.File, fv.Problem = p.Path, p.Err.Error()
		}
		verdicts = append(verdicts, fv)
	}
	return verdicts
}

// A fileChain is a certificate of a file and what may be its chain.
type fileChain struct {
	file string
	line int
	ders [][]byte
}

// chainsOf sorts the certificates of one file into those that issued no other
// in it, each with all the rest as its chain, in the order of the file.
func chainsOf(found []certfile.Found) []fileChain {
	subjects := make(map[string]int) // how often somebody else's issuer
	infos := make([]inventory.Certificate, len(found))
	for i, c := range found {
		infos[i] = verify.Parse(c.DER)
		if !infos[i].SelfIssued {
			subjects[infos[i].Issuer]++
		}
	}
	var chains []fileChain
	for i, c := range found {
		if subjects[infos[i].Subject] > 0 && infos[i].IsCA {
			continue
		}
		fc := fileChain{line: c.Line, ders: [][]byte{c.DER}}
		for k, other := range found {
			if k != i && subjects[infos[k].Subject] > 0 {
				fc.ders = append(fc.ders, other.DER)
			}
		}
		chains = append(chains, fc)
	}
	return chains
}

// chain judges one certificate as if it were served with the rest of ders.
func (v *verifier) chain(ctx context.Context, file string, line int, ders [][]byte) fileVerdict {
	facts := inventory.Facts{Target: v.target, Given: v.given, Observation: inventory.Observation{
		Offer: inventory.OfferDefault, Chain: ders, Reach: inventory.Reach{Status: inventory.ReachOK},
	}}
	ev := make(inventory.EvidenceSet)
	j, needs := v.judge.Judge(facts, ev, v.at)
	for len(needs) > 0 {
		got := make([]inventory.Evidence, len(needs))
		var wg sync.WaitGroup
		for i, n := range needs {
			wg.Go(func() { got[i] = v.get(ctx, n) })
		}
		wg.Wait()
		for i, n := range needs {
			ev[n] = got[i]
		}
		j, needs = v.judge.Judge(facts, ev, v.at)
	}
	fv := fileVerdict{
		File: file, Line: line, Name: v.target.Host, Certificate: j.Certificate, Verdict: j.Verdict, Expiry: j.Expiry, Tier: j.Tier,
		Chain: []inventory.ChainRecord{}, Findings: []inventory.Finding{}, served: j.Chain, judged: j,
	}
	for _, c := range j.Chain {
		fv.Chain = append(fv.Chain, inventory.NewChainRecord(c))
	}
	for _, f := range j.Findings {
		f.Subject = inventory.Subject{Kind: inventory.SubjectCertificate, ID: j.Certificate.SHA256.String()}
		fv.Findings = append(fv.Findings, f)
	}
	return fv
}

// get fetches, if that is wanted.
func (v *verifier) get(ctx context.Context, n inventory.Need) inventory.Evidence {
	if v.source == nil {
		return inventory.Evidence{Need: n, Error: "not fetched: --fetch does", ErrorWord: inventory.EvidenceNotFetched}
	}
	e := v.source.Get(ctx, n)
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, der := range e.Certificates {
		v.fetched[inventory.FingerprintOf(der)] = der
	}
	return e
}

// lookup finds a certificate that was fetched, or a trust anchor.
func (v *verifier) lookup(fp inventory.Fingerprint) (inventory.Certificate, bool) {
	if der, ok := v.fetched[fp]; ok {
		return verify.Parse(der), true
	}
	return v.trust.anchor(fp)
}

// writeVerdicts writes what was judged.
func writeVerdicts(w writer, format string, verdicts []fileVerdict, opt report.Options) error {
	if format == "json" {
		return report.JSON(w, struct {
			Schema       int           `json:"schema"`
			Certificates []fileVerdict `json:"certificates"`
		}{inventory.RecordSchema, verdicts}, "")
	}
	if format == "sarif" || format == "junit" {
		return report.Files(w, format, reported(verdicts), inventory.ScanInfo{Version: version()}, opt)
	}
	for i, v := range verdicts {
		if i > 0 {
			fmt.Fprintln(w)
		}
		where := v.File
		if v.Line > 0 {
			where = fmt.Sprintf("%s:%d", v.File, v.Line)
		}
		fmt.Fprintf(w, "%s\n", report.Clean(where))
		if v.Problem != "" {
			report.Fact(w, "Unreadable", report.Clean(v.Problem), opt)
			continue
		}
		findings(w, v.Findings, opt)
		revocationLine(w, v.Verdict, opt)
		timestamps(w, v.Verdict, opt)
		var stores []inventory.StoreVerdict
		if v.Verdict != nil {
			stores = v.Verdict.Trust.Stores
		}
		if err := report.Tree(w, *v.Certificate, v.served, stores, opt); err != nil {
			return err
		}
	}
	return nil
}
