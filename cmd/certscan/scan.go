package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/probe"
	"example.com/certscan/internal/report"
	"example.com/certscan/internal/scan"
	"example.com/certscan/internal/store"
	"example.com/certscan/internal/verify"
)

// scanFlags are the flags of scan, as given.
type scanFlags struct {
	targetFlags
	judgeFlags
	storeFlags
	outputFlags

	resolve    []string
	resolver   []string
	addresses  string
	mode       string
	offers     string
	samples    int
	accepts    string
	timeout    time.Duration
	conc       int
	perAddress int
	retries    int
	allowFetch []string
	fetchProxy string
	expect     []string
	ignore     []string
	baseline   string
	failOn     string
	resume     bool
	noStore    bool
	quiet      bool
	noProgress bool
	cpuProfile string
	concAsked  func() bool // whether --concurrency was given
}

func newScanCommand(io streams) *cobra.Command {
	cmd, _ := scanCommand(io)
	return cmd
}

// scanCommand returns the command and the flags that it parses into, so that
// --resume can read the arguments of an earlier scan again.
func scanCommand(io streams) (*cobra.Command, *scanFlags) {
	f := new(scanFlags)
	cmd := &cobra.Command{
		Use:   "scan [flags] [TARGET...]",
		Short: "Examine endpoints now, and keep what was seen",
		Long: `scan resolves each target, connects to every address of it, keeps whatever
certificate is served, judges it, stores it, and reports.

A TARGET is [PROTOCOL://]NAME[@ADDRESS][:PORT]:
  example.com                     TLS on port 443
  example.com:8443, [2001:db8::7]:443, 2001:db8::7
  smtp://mx.example.com           STARTTLS; also lmtp imap pop3 ftp ldap
                                  xmpp-client xmpp-server nntp sieve postgres
                                  mysql irc
  shop.example.com@192.0.2.7      ask this address for that name
  shop.example.com@lb-1.example.net:443

Files hold one target a line with # comments, or CSV with a header (columns
target or host, port, protocol, address; owner, environment, platform and all
others become labels), YAML, or Prometheus file_sd in JSON or YAML.
` + exitHelp,
		Example: `  certscan scan example.com smtp://mx.example.com
  certscan scan -f domains.txt --format csv -o inventory.csv
  kubectl get ingress -A -o json | jq -r '..|.host? // empty' |
    certscan scan -f -

  # in a certbot deploy hook: is the renewed certificate served everywhere?
  certscan scan --expect $RENEWED_LINEAGE/fullchain.pem shop.example.com

  # in CI: fail only on what was not there in the last scan
  certscan scan -f domains.txt --baseline last --fail-on warning`,
		RunE: func(cmd *cobra.Command, args []string) error { return runScan(cmd.Context(), io, f, args) },
	}
	fs := cmd.Flags()
	f.targetFlags.add(fs)
	fs.StringArrayVar(&f.resolve, "resolve", nil, "connect to `NAME=ADDR[,ADDR]` instead of asking DNS for NAME; repeatable")
	fs.StringArrayVar(&f.resolver, "resolver", nil, "ask this DNS `SERVER` (ADDR[:PORT]) instead of the system's; repeatable")
	fs.StringVar(&f.addresses, "addresses", "all", "examine `WHICH` addresses of a name: all, or the first")
	fs.StringVar(&f.mode, "mode", "full", "`MODE` of probing: full handshakes, or a census, which stops after the certificate and so proves no possession of its key")
	fs.StringVar(&f.offers, "offers", "default", "handshakes to make, a `LIST`: default, all, or some of ecdsa,rsa,no_sni")
	fs.IntVar(&f.samples, "samples", 1, "make `N` handshakes per address, to see a pool behind it")
	fs.StringVar(&f.accepts, "accepts", "never", "ask `WHEN` what servers take besides what they like best (old versions, weak suites, post-quantum groups), with some 15 connections: never, new (never asked before), due (not within a day), always")
	fs.DurationVar(&f.timeout, "timeout", 10*time.Second, "`DURATION` of one probe at most, from connecting to the last byte")
	fs.IntVar(&f.conc, "concurrency", 256, "at most `N` connections in flight; how many serve best is found out")
	fs.IntVar(&f.perAddress, "per-address", 2, "at most `N` connections in flight to one address")
	fs.IntVar(&f.retries, "retries", 1, "make `N` further attempts after a reset, inside the timeout")
	f.judgeFlags.add(fs, verify.ProfileAuto)
	addFetchFlags(fs, &f.allowFetch, &f.fetchProxy)
	fs.StringArrayVar(&f.expect, "expect", nil, "the certificate that should be served: a `FILE|SHA256`; repeatable. What is not served everywhere is a critical finding")
	fs.StringArrayVar(&f.ignore, "ignore", nil, "do not count the finding `CODE[@TARGET]`; repeatable")
	fs.StringVar(&f.baseline, "baseline", "", "count only what is not in an earlier report (`FILE|SCAN|last`): json output, the ID of a scan, or the last one")
	fs.StringVar(&f.failOn, "fail-on", "critical", "exit with 3 on findings of this `SEVERITY` or worse: critical, warning, never")
	f.outputFlags.add(fs, report.Formats()...)
	f.storeFlags.add(fs)
	fs.BoolVar(&f.noStore, "no-store", false, "keep nothing")
	fs.BoolVar(&f.resume, "resume", false, "finish the last scan that was interrupted")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "no progress and no notes, only errors")
	fs.BoolVar(&f.noProgress, "no-progress", false, "no progress bar")
	fs.StringVar(&f.cpuProfile, "cpuprofile", "", "write a CPU profile to `FILE`, for the benchmark")
	f.concAsked = func() bool { return fs.Changed("concurrency") }
	_ = fs.MarkHidden("cpuprofile") // fails only for a flag that is not there
	return cmd, f
}

// runScan checks everything that can be checked, then scans.
func runScan(ctx context.Context, io streams, f *scanFlags, args []string) (err error) {
	job := &scanJob{io: io, flags: f, started: now()}
	defer job.close()
	if !f.resume { // else the history says what is to be done
		if err := job.prepare(ctx, args); err != nil {
			return err
		}
	}
	if err := job.openStore(ctx); err != nil {
		return err
	}
	if f.resume {
		if args, err = job.resumeLast(ctx, args); err != nil {
			return err
		}
		if err := job.prepare(ctx, args); err != nil {
			return err
		}
	}
	if err := job.wire(ctx); err != nil {
		return err
	}
	if f.cpuProfile != "" {
		stop, err := profile(f.cpuProfile)
		if err != nil {
			return err
		}
		defer stop()
	}
	return job.run(ctx)
}

// scanJob is one scan being set up and run.
type scanJob struct {
	io      streams
	flags   *scanFlags
	started time.Time

	db      *store.DB // nil with --no-store
	dbPath  string
	info    inventory.ScanInfo
	made    string                   // path of db, if it is new
	done    func(target string) bool // by the scan that is resumed; nil otherwise
	targets []inventory.Target
	badRows int    // of the lists: targets that nobody knows
	trust   *trust // given by demo; otherwise --roots says which

	settings scanSettings
	limiter  *scan.Limiter
	plain    *verify.Judge
	judge    judge
	engine   *scan.Engine
	evidence *evidence.Source
	own      *scan.OwnSide
	out      *answer
}

// mostAddresses is how many addresses of one name a scan examines: all that an
// honest name has.
const mostAddresses = 1024

// scanSettings are the flags, checked.
type scanSettings struct {
	work     func(inventory.Target) inventory.Work
	judging  verify.Options // what flags alone say
	failOn   inventory.Severity
	counting counting
	at       time.Time
	fixed    bool // judge at a fixed time
}

func (j *scanJob) close() {
	if j.out != nil {
		j.out.discard()
	}
	if j.evidence != nil {
		if err := j.evidence.Close(); err != nil {
			j.warn("%v", err)
		}
		j.evidence = nil
	}
	if j.db != nil {
		j.db.Close()
		j.db = nil
	}
}

// note tells something once that is not the answer.
func (j *scanJob) note(format string, args ...any) {
	if !j.flags.quiet {
		j.warn(format, args...)
	}
}

// warn tells something that is not the answer and that nobody may miss.
func (j *scanJob) warn(format string, args ...any) {
	fmt.Fprintf(j.io.err, "certscan: %s\n", report.Clean(fmt.Sprintf(format, args...)))
}

// prepare turns flags, files and arguments into settings and targets. All
// mistakes of the caller's show here, before anything is connected to.
func (j *scanJob) prepare(ctx context.Context, args []string) error {
	f := j.flags
	if err := f.outputFlags.check(); err != nil {
		return err
	}
	if err := f.checkNumbers(); err != nil {
		return err
	}
	pinned, err := parseResolve(f.resolve)
	if err != nil {
		return err
	}
	offers, err := parseOffers(f.offers)
	if err != nil {
		return err
	}
	if j.settings.judging.Tiers, err = parseTiers(f.tiers); err != nil {
		return err
	}
	if err := f.requirementFlags.apply(&j.settings.judging); err != nil {
		return err
	}
	if j.settings.failOn, err = parseSeverity(f.failOn); err != nil {
		return err
	}
	j.settings.counting.failOn = j.settings.failOn
	if j.settings.at, j.settings.fixed, err = f.judgeFlags.time(); err != nil {
		return err
	}
	if j.settings.counting.ignores, err = parseIgnores(f.ignore); err != nil {
		return err
	}
	if j.settings.counting.policies, err = f.policyFlags.load(j.settings.at); err != nil {
		return err
	}
	if err := enoughFiles(&f.conc, new(int), f.concAsked(), j.note); err != nil {
		return err
	}
	if j.trust == nil {
		t, err := f.trustFlags.load(j.note)
		if err != nil {
			return err
		}
		j.trust = &t
	}
	if j.targets, j.badRows, err = f.targetFlags.read(ctx, j.io, args, j.note, j.warn); err != nil {
		return err
	}
	if len(j.targets) == 0 {
		return usagef("nothing to scan: name a target, or give a list with -f FILE")
	}
	j.trust.tellIdle(j.targets, j.note)
	j.settings.work = func(t inventory.Target) inventory.Work {
		return inventory.Work{
			Target: t, Addresses: pinned[t.DialName()], FirstOnly: f.addresses == "first", Limit: mostAddresses,
			Mode: inventory.Mode(f.mode), Offers: offers, Samples: f.samples, Timeout: f.timeout, Retries: f.retries,
			Slot: j.started.Unix(),
		}
	}
	return nil
}

func (f *scanFlags) checkNumbers() error {
	switch {
	case f.addresses != "all" && f.addresses != "first":
		return usagef("--addresses %q is not known: want all or first", f.addresses)
	case f.mode != string(inventory.ModeFull) && f.mode != string(inventory.ModeCensus):
		return usagef("--mode %q is not known: want full or census", f.mode)
	case f.mode == string(inventory.ModeCensus) && len(f.expect) > 0:
		return usagef("--expect needs --mode full: a census does not prove what is deployed")
	case f.timeout < 100*time.Millisecond || f.timeout > 10*time.Minute:
		return usagef("--timeout %v is out of range: want 100ms to 10m", f.timeout)
	case f.conc < 1 || f.conc > 100_000:
		return usagef("--concurrency %d is out of range: want 1 to 100000", f.conc)
	case f.perAddress < 1:
		return usagef("--per-address %d is out of range: want 1 or more", f.perAddress)
	case f.retries < 0 || f.retries > 10:
		return usagef("--retries %d is out of range: want 0 to 10", f.retries)
	case !slices.Contains([]string{"never", "new", "due", "always"}, f.accepts):
		return usagef("--accepts %q is not known: want never, new, due or always", f.accepts)
	case f.accepts != "never" && f.mode == string(inventory.ModeCensus):
		return usagef("--accepts needs --mode full: a census makes as few connections as can be")
	case f.samples < 1 || f.samples > 100:
		return usagef("--samples %d is out of range: want 1 to 100", f.samples)
	}
	return nil
}

// openStore opens the history, unless nothing is to be kept.
func (j *scanJob) openStore(ctx context.Context) error {
	f := j.flags
	if f.noStore || f.at != "" {
		switch {
		case f.resume:
			return usagef("--resume needs the history: leave --no-store and --at out")
		case f.baseline != "" && f.baseline == "last":
			return usagef("--baseline last needs the history: leave --no-store and --at out, or give a FILE")
		}
		return nil
	}
	path, err := f.storeFlags.path(j.io.env)
	if err != nil {
		return err
	}
	if !exists(path) {
		j.made = path
	}
	j.dbPath = path
	if j.db, err = store.Open(ctx, path, store.Options{}); err != nil {
		return fmt.Errorf("%w; --no-store scans without history", err)
	}
	return nil
}

// wire puts the parts together.
func (j *scanJob) wire(ctx context.Context) error {
	f := j.flags
	var err error
	j.trust.note(&j.info)
	opt := j.settings.judging
	opt.Remember = 1024
	j.trust.apply(&opt)
	var keep evidence.Options
	if j.db != nil {
		if err = recall(ctx, j.db, &opt); err != nil {
			return err
		}
		keep.Cache, keep.CRLDir = j.db, crlDir(j.dbPath)
	}
	expecting, err := newExpectingJudge(opt, f.expect, j.targets)
	if err != nil {
		return err
	}
	j.plain, j.judge = expecting.plain, j.settings.counting.policies.over(expecting)
	if j.evidence, err = newEvidence(j.io, f.allowFetch, f.fetchProxy, keep); err != nil {
		return err
	}
	j.limiter = scan.NewLimiter(scan.LimiterOptions{Max: f.conc, PerAddress: f.perAddress})
	loc, err := newLocation(f.resolver, probe.New(probe.Options{}), j.limiter)
	if err != nil {
		return err
	}
	j.own = scan.NewOwnSide()
	j.tellStale()
	eopt := scan.Options{
		Location: loc, Judge: j.judge, Admission: j.limiter, Evidence: j.evidence, OwnSide: j.own, Work: j.settings.work,
	}
	if f.accepts != "never" {
		eopt.Accepts = f.acceptsWhen
	}
	if j.settings.fixed {
		eopt.Now = func() time.Time { return j.settings.at }
	}
	if j.db != nil {
		eopt.Memory = j.db
		eopt.Recorder = recorder{j.db, &j.info.ID}
	}
	if j.engine, err = scan.New(eopt); err != nil {
		return err
	}
	return j.begin(ctx)
}

// begin opens the scan in the store, and loads what it is compared with.
func (j *scanJob) begin(ctx context.Context) error {
	var err error
	if j.settings.counting.baseline, err = loadBaseline(ctx, j.db, j.flags.baseline); err != nil {
		return err
	}
	// Before the scan is noted: one that cannot tell is none.
	if j.out, err = newAnswer(j.io, j.flags.outputFlags, j.settings.at, j.settings.counting); err != nil {
		return err
	}
	j.out.badRows = j.badRows
	if j.done == nil { // else it goes on under its old ID
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("scan ID: %w", err)
		}
		j.info.ID, j.info.Started = id.String(), j.started
		if len(j.io.args) > 0 {
			j.info.Arguments = j.io.args[1:] // without the command's name
		}
	}
	j.info.Version = version()
	if j.db == nil {
		return nil
	}
	if err := j.db.BeginScan(ctx, j.info); err != nil {
		return err
	}
	if j.made != "" {
		j.note("history is kept in %s", j.made)
	}
	if j.flags.baseline == store.LastScan && j.settings.counting.baseline == nil {
		j.note("--baseline last: this is the first scan, so every finding counts")
	}
	return nil
}

// run scans, reports and says how it ended.
func (j *scanJob) run(ctx context.Context) (err error) {
	out := j.out
	todo, err := j.order(ctx, out)
	if err != nil {
		return err
	}
	collectLess(j.io, len(j.targets))
	bar := report.NewProgress(j.io.err, j.showProgress(), len(todo))
	j.io.err = bar.Writer()
	bar.InFlight = func() int { _, n := j.limiter.Limit(); return n }
	runErr := j.engine.Run(ctx, all(todo), func(r inventory.Result) error {
		bar.Add(r)
		return out.result(r)
	})
	bar.Close()
	interrupted := runErr != nil && ctx.Err() != nil
	if runErr != nil && !interrupted {
		return runErr
	}
	ctx = context.WithoutCancel(ctx) // what follows is short, and has to be done
	j.info.Ended, j.info.Partial = now(), interrupted
	fleet := out.ofFleet()
	if j.db != nil {
		if err := errors.Join(j.db.RecordFleet(ctx, fleet), j.db.EndScan(ctx, j.info.ID, j.info.Ended, interrupted)); err != nil {
			return err
		}
		if err := evidence.RemoveUnused(crlDir(j.dbPath), now()); err != nil {
			j.warn("%v", err) // which is no reason to lose the answer
		}
	}
	sum, err := out.finish(j.info, fleet, j.own)
	if err != nil {
		return err
	}
	j.settings.counting.policies.tell(j.note, !interrupted)
	out.unrooted.tell(*j.trust, j.note)
	if !interrupted {
		j.trust.tellUnmet(j.plain, j.note)
	}
	return j.verdict(sum, interrupted)
}

// showProgress reports whether there is a terminal for a progress bar, on which
// no results appear meanwhile.
func (j *scanJob) showProgress() bool {
	f := j.flags
	streams := slices.Contains([]string{"csv", "json", "jsonl", "sarif", "junit"}, f.format)
	return j.io.errTerminal && !f.quiet && !f.noProgress && (f.output != "" || j.io.outWidth == 0 || !streams)
}

// verdict is the exit status, as an error.
func (j *scanJob) verdict(sum inventory.Summary, interrupted bool) error {
	hint := ""
	if f := j.out.file; f != nil {
		hint = fmt.Sprintf("; what was seen is in %s", f.path)
	}
	if j.db != nil {
		hint += "; certscan scan --resume finishes it"
	}
	switch {
	case interrupted:
		return fmt.Errorf("interrupted: %d of %d targets were examined%s", sum.Targets, len(j.targets), hint)
	case sum.TargetsNotExamined > sum.BadRows:
		return fmt.Errorf("%d of %d targets could not be examined from here%s", sum.TargetsNotExamined-sum.BadRows, sum.Targets, unread(sum.BadRows, ", and "))
	case sum.BadRows > 0:
		return errors.New(unread(sum.BadRows, ""))
	case j.settings.failOn == inventory.Critical && sum.Critical > 0,
		j.settings.failOn == inventory.Warning && sum.Critical+sum.Warning > 0:
		return errFindings
	}
	return nil
}
