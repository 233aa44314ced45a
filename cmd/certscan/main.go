// Command certscan keeps an inventory of the certificates that a fleet of TLS
// endpoints serves, and tells the truth about each of them.
//
// This package is flags, signals, exit statuses and wiring: one file per
// command, and the only place that sees two packages at once. Its invariant:
// standard output carries the answer and nothing else, and the exit status says
// what the answer was.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"example.com/certscan/internal/config"
	"example.com/certscan/internal/report"
	"example.com/certscan/internal/store"
)

// Exit statuses are part of the command-line contract: the first that holds, in
// the order usage, error, findings.
const (
	exitOK       = 0
	exitError    = 1 // the job could not be done, or not wholly
	exitUsage    = 2 // wrong flags, arguments or configuration
	exitFindings = 3 // it was done, and there is something to act on
)

const exitHelp = `
Exit status:
  0  done, and nothing at or above --fail-on was found
  1  the job could not be done: nothing could be examined, it was interrupted,
     a row of a list could not be read, or a result could not be written
  2  wrong flags, arguments or configuration
  3  done, and there are findings at or above --fail-on`

// errFindings ends a command that worked and found problems. They have been
// printed already.
var errFindings = errors.New("findings")

// usageError marks an error of the caller's, answered with a pointer to --help
// unless it is about a file.
type usageError struct{ error }

func (u usageError) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// streams is what a command touches outside of its arguments.
type streams struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) string
	args     []string // of the command, as given

	// Of the terminal, when out or err is one; 0 and false when piped.
	outWidth    int
	errTerminal bool
}

// noteWriter writes to a terminal, and breaks what certscan notes there between
// words. What else is written, a progress bar, passes as it is.
type noteWriter struct {
	terminal // for its size
	width    int
}

// A terminal is what [os.Stderr] is.
type terminal interface {
	io.Writer
	Fd() uintptr
}

// Write implements [io.Writer].
func (n noteWriter) Write(p []byte) (int, error) {
	text, whole := strings.CutSuffix(string(p), "\n")
	if !whole || !strings.HasPrefix(text, "certscan: ") || strings.Contains(text, "\n") {
		return n.terminal.Write(p)
	}
	if _, err := io.WriteString(n.terminal, report.Wrap(text, n.width)+"\n"); err != nil {
		return 0, err
	}
	return len(p), nil
}

// colour reports whether the answer may be coloured (https://no-color.org).
func (s streams) colour() bool {
	return s.outWidth > 0 && s.env("NO_COLOR") == "" && s.env("TERM") != "dumb"
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	io := streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Getenv}
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		io.outWidth = w
	}
	if w, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil {
		io.errTerminal, io.err = true, noteWriter{os.Stderr, w}
	}
	os.Exit(run(ctx, os.Args[1:], io))
}

// run is main without the process: everything it touches is an argument.
func run(ctx context.Context, args []string, io streams) int {
	io.args = args
	cmd := newRootCommand(io)
	cmd.SetArgs(args)
	err := elsewhere(cmd, args, cmd.ExecuteContext(ctx))
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.Is(err, syscall.EPIPE):
		return exitError // whoever reads us has gone; there is nobody to tell
	}
	// Arguments, file names and what SQLite says are as somebody else wrote them.
	for _, line := range linesOf(err) {
		fmt.Fprintf(io.err, "certscan: %s\n", report.Clean(line))
	}
	if _, ok := errors.AsType[usageError](err); ok {
		if !ofFile(err) {
			fmt.Fprintf(io.err, "Run '%s --help' for usage.\n", called(cmd, args))
		}
		return exitUsage
	}
	return exitError
}

// ofFile reports whether what is wrong is a file or in one, so that the help of
// the command has no answer.
func ofFile(err error) bool {
	_, inside := errors.AsType[config.Problems](err)
	_, path := errors.AsType[*fs.PathError](err)
	return inside || path || errors.Is(err, fs.ErrNotExist)
}

// linesOf is what to tell of err: one line, unless it is about many places in a
// file.
func linesOf(err error) []string {
	if _, ok := errors.AsType[config.Problems](err); ok {
		return strings.Split(err.Error(), "\n")
	}
	return []string{strings.ReplaceAll(err.Error(), "\n", "; ")}
}

// elsewhere says how to name another file where err is that the one with the
// history cannot be used.
func elsewhere(root *cobra.Command, args []string, err error) error {
	if !errors.Is(err, store.ErrUnusable) {
		return err
	}
	c, _, findErr := root.Find(args)
	switch {
	case findErr != nil:
		return err
	case c.Name() == "serve":
		return fmt.Errorf("%w; store.path can name another file", err)
	case c.Flags().Lookup("db") != nil:
		return fmt.Errorf("%w; --db can name another file", err)
	}
	return err
}

// called is the command that args name, to point to the right help.
func called(root *cobra.Command, args []string) string {
	if c, _, err := root.Find(args); err == nil {
		return c.CommandPath()
	}
	return root.CommandPath()
}

func newRootCommand(io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "certscan",
		Short: "Find out which certificates a fleet serves, and whether they are right",
		Long: `certscan connects to every address of every endpoint, keeps whatever certificate
is served, above all a bad one, and judges time, name, chain and keys as
independent facts. What it saw is kept in a SQLite file, so that the next scan
can tell what changed.
` + exitHelp,
		Example: `  certscan demo                         try it on a fleet with every defect
  certscan scan www.example.com smtp://mx.example.com
  certscan scan -f domains.txt --format csv -o inventory.csv
  certscan inventory --tier 30d         what expires next, from the last scans
  certscan where '*.example.com'        who serves certificates below a name`,
		Version:       version(),
		SilenceErrors: true, // run prints them, once
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.Flags().Bool("version", false, "print the version alone")
	cmd.SetVersionTemplate("{{.DisplayName}} {{.Version}}\n")
	cmd.SetIn(io.in)
	cmd.SetOut(io.out)
	cmd.SetErr(io.err)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{flagError(err)} })
	cmd.SetUsageTemplate(strings.NewReplacer(".FlagUsages |", ".FlagUsagesWrapped 80 |").Replace(cmd.UsageTemplate()))
	cmd.AddCommand(
		newScanCommand(io), newServeCommand(io), newDemoCommand(io), newInventoryCommand(io), newFindingsCommand(io), newShowCommand(io),
		newWhereCommand(io), newHistoryCommand(io), newDiffCommand(io), newVerifyCommand(io), newRulesCommand(io), newDashboardsCommand(io), newConfigCommand(io), newDBCommand(io), newVersionCommand(io),
	)
	finishCommands(cmd)
	return cmd
}

// now is the wall clock in the precision that the history has: with less, what
// a scan has just found would seem to lie ahead.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
