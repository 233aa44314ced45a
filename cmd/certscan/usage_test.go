package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// ended is how a command ended and what it said.
type ended struct {
	status      int
	out, errors string
}

// certscan runs a command in this process. Its history is in dir, and DIR in an
// argument is dir.
func certscan(t *testing.T, ctx context.Context, dir, stdin string, args ...string) ended {
	t.Helper()
	for i, a := range args {
		args[i] = strings.ReplaceAll(a, "DIR", dir)
	}
	var out, errs bytes.Buffer
	status := run(ctx, args, streams{in: strings.NewReader(stdin), out: &out, err: &errs, env: func(name string) string {
		return map[string]string{"XDG_STATE_HOME": dir}[name]
	}})
	return ended{status, out.String(), errs.String()}
}

// writeFiles writes files into dir, by name.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// aLine is what one thing said on standard error looks like.
var aLine = regexp.MustCompile(`^certscan: [^\x00-\x1f\x7f]+$`)

// checkComplaint demands one clear line on standard error, nothing on standard
// output, and after a wrong usage the pointer to the help.
func checkComplaint(t *testing.T, got ended, status int, want string) {
	t.Helper()
	if got.status != status {
		t.Errorf("exit status %d, want %d", got.status, status)
	}
	if got.out != "" {
		t.Errorf("standard output has %q, want nothing", got.out)
	}
	lines := strings.Split(strings.TrimSuffix(got.errors, "\n"), "\n")
	if status == exitUsage && len(lines) > 1 { // see TestPointsToTheHelp
		last := lines[len(lines)-1]
		if lines = lines[:len(lines)-1]; !regexp.MustCompile(`^Run 'certscan[ a-z]* --help' for usage\.$`).MatchString(last) {
			t.Errorf("the last line is %q, want a pointer to the help", last)
		}
	}
	if len(lines) != 1 || !aLine.MatchString(lines[0]) {
		t.Fatalf("standard error has %q, want one line", got.errors)
	}
	if !regexp.MustCompile(want).MatchString(lines[0]) {
		t.Errorf("standard error has\n\t%s\nwant a match for\n\t%s", lines[0], want)
	}
	if strings.Contains(got.errors, "strconv.") || strings.Contains(got.errors, "%!") {
		t.Errorf("standard error has a programmer's words: %s", got.errors)
	}
}

// badFiles are the files that the table of wrong usages names.
func badFiles() map[string]string {
	return map[string]string{
		"empty":         "",
		"comments.txt":  "# nothing but this\n\n",
		"text.db":       "this is no database",
		"text.pem":      "this is no certificate",
		"empty.csv":     "host,port\n",
		"nohost.csv":    "a,b\n1,2\n",
		"truncated":     `[{"targets": ["a"`,
		"empty.json":    "{}",
		"truncated.pem": "-----BEGIN CERTIFICATE-----\nMIIB\n",
	}
}

func TestWrongUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args, want string
		status     int // 2 if not given
	}{
		{args: "scna", want: `certscan has no command "scna"; did you mean scan\?$`},
		{args: "db chekc", want: `certscan db has no command "chekc"; did you mean check\?$`},
		{args: "completion tcsh", want: `certscan completion has no command "tcsh"`},
		{args: "help scna", want: `there is no help for "scna"`},
		{args: "version x", want: `version takes no argument, got "x"`},
		{args: "version --format xml", want: `--format "xml" is not known: want one of table, json`},
		{args: "demo x", want: `demo takes no argument, got "x"`},
		{args: "demo --endpoints -1", want: `--endpoints -1 is out of range: want 1 to`},
		{args: "demo --format xml", want: `--format "xml" is not known`},

		{args: "scan", want: `nothing to scan: name a target, or give a list with -f FILE$`},
		{args: "scan --nope x", want: `unknown flag: --nope`},
		{args: "scan -f", want: `flag needs an argument: 'f' in -f`},
		{args: "scan --timeout 5 x", want: `--timeout "5": want a number with a unit, such as 10s$`},
		{args: "scan --timeout 1ms x", want: `--timeout 1ms is out of range: want 100ms to 10m`},
		{args: "scan --concurrency many x", want: `--concurrency "many": want a whole number$`},
		{args: "scan --concurrency 0 x", want: `--concurrency 0 is out of range: want 1 to 100000`},
		{args: "scan --retries -1 x", want: `--retries -1 is out of range: want 0 to 10`},
		{args: "scan --samples 0 x", want: `--samples 0 is out of range: want 1 to 100`},
		{args: "scan --per-address 0 x", want: `--per-address 0 is out of range: want 1 or more`},
		{args: "scan --quiet=loud x", want: `--quiet "loud": want true, false or nothing`},
		{args: "scan --format xml x", want: `--format "xml" is not known: want one of table, json, jsonl, csv, prometheus`},
		{args: "scan --addresses some x", want: `--addresses "some" is not known: want all or first`},
		{args: "scan --mode half x", want: `--mode "half" is not known: want full or census`},
		{args: "scan --mode census --expect DIR/text.pem x", want: `--expect needs --mode full`},
		{args: "scan --offers dsa x", want: `--offers "dsa": "dsa" is not known: want all, or some of`},
		{args: "scan --resolve x x", want: `--resolve "x": want NAME=ADDRESS`},
		{args: "scan --resolve x=y x", want: `--resolve "x=y": "y" is not an IP address`},
		{args: "scan --resolver ns.example.com x", want: `--resolver: .*"ns.example.com" is not an IP address: write 192\.0\.2\.53`},
		{args: "scan --roots DIR/missing x", want: `--roots: trust store ".*missing": no such file; a trust store is system, mozilla, or`},
		{args: "scan --roots DIR/text.pem x", want: `--roots: trust store ".*text.pem": neither PEM`},
		{args: "scan --roots DIR/empty x", want: `--roots: trust store ".*empty": empty`},
		{args: "scan --tiers 30 x", want: `--tiers "30": "30" is not a distance: want days or hours, such as`},
		{args: "scan --tiers 30d,30d x", want: `--tiers "30d,30d": "30d" stands there twice`},
		{args: "scan --at tomorrow x", want: `--at "tomorrow" is not a time: want 2026-11-22T08:00:00Z or 2026-11-22`},
		{args: "scan --expect DIR/missing x", want: `--expect: .*missing.*: want a file with the certificate, or its SHA-256 of 64 digits$`},
		{args: "scan --expect DIR/text.pem x", want: `--expect: .*text.pem: neither PEM`},
		{args: "scan --ignore typo x", want: `--ignore: there is no finding "typo": want one of addresses_disagree, `},
		{args: "scan --ignore expired@ x", want: `--ignore "expired@": there is nothing after the @`},
		{args: "scan --baseline DIR/missing x", want: `--baseline ".*missing": there is no such file, and no such scan in the history`},
		{args: "scan --baseline DIR/missing --no-store x", want: `--baseline ".*missing": there is no such file, and no history`},
		{args: "scan --baseline DIR/text.db x", want: `--baseline ".*text.db" is not a report in json or jsonl`},
		{args: "scan --baseline DIR/empty.json x", want: `--baseline ".*empty.json" is not a report in json or jsonl`},
		{args: "scan --baseline last --no-store x", want: `--baseline last needs the history`},
		{args: "scan --fail-on info x", want: `--fail-on "info" is not known: want critical, warning or never`},
		{args: "scan --label web x", want: `--label "web": want KEY=VALUE`},
		{args: "scan --starttls gopher x", want: `--starttls "gopher" is not known: want one of smtp, lmtp, imap, `},
		{args: "scan --allow-fetch 10.0.0.0/99 x", want: `--allow-fetch: "10.0.0.0/99" is neither a network`},
		{args: "scan --fetch-proxy proxy x", want: `--fetch-proxy .*: the proxy is not an http, https or socks5 URL`},
		{args: "scan --resume --no-store", want: `--resume needs the history`},
		{args: "scan --resume", want: `nothing to resume`, status: exitError},

		{args: "scan -f DIR/missing", want: `open .*missing: no such file or directory`},
		{args: "scan -f DIR", want: `is a directory`},
		{args: "scan -f DIR/empty", want: `empty: no target in it`},
		{args: "scan -f DIR/comments.txt", want: `comments.txt: no target in it`},
		{args: "scan -f DIR/empty.csv", want: `empty.csv: no target in it`},
		{args: "scan -f DIR/nohost.csv", want: `nohost.csv: line 1: .* must name its columns, .*; this one has "a,b"`},
		{args: "scan -f DIR/truncated", want: `truncated: line 1: the JSON text ends too early`},
		{args: "scan -f -", want: `standard input: no target in it`},
		{args: "scan http://x", want: `target "http://x": http has no certificate: write https://`},
		{args: "scan gopher://x", want: `target "gopher://x": protocol "gopher" is not known: it is one of tls, `},
		{args: "scan x:99999", want: `target "x:99999": port "99999" is not a number from 1 to 65535`},
		{args: "scan https://u@x/", want: `target "https://u@x/": has an @ in a URL`},
		{args: "scan *.example.com", want: `target "\*.example.com": a wildcard names no server`},
		{args: "scan x@", want: `target "x@": has nothing after the @`},
		{args: "scan 1.2.3", want: `target "1.2.3": "1.2.3" is not an IPv4 address`},
		{args: "scan a\tb", want: `target "a\\tb": has a space or a control character in it`},

		{args: "scan -o DIR 127.0.0.1:1", want: `--output ".*": is a directory`, status: exitError},
		{args: "scan -o DIR/missing/out 127.0.0.1:1", want: `--output ".*missing/out": no such file or directory`, status: exitError},
		{args: "scan --db DIR/text.db x", want: `"\S*text.db": .*not a SQLite database; (--no-store scans without history; )?--db can name another file`, status: exitError},
		{args: "scan --db DIR x", want: `is a directory; --no-store scans without history`, status: exitError},
		{args: "scan --db DIR/empty/new.db x", want: `mkdir \S*empty: not a directory`, status: exitError},

		{args: "inventory", want: `there is no history at \S*certscan.db yet: scan something first, or name another file with --db`, status: exitError},
		{args: "inventory --db DIR/text.db", want: `not a SQLite database`, status: exitError},
		{args: "inventory --db DIR/empty", want: `nothing is in it yet; scan something first`, status: exitError},
		{args: "inventory --db DIR", want: `not a regular file`, status: exitError},
		{args: "inventory --format xml", want: `--format "xml" is not known`},
		{args: "inventory --tier soon", want: `--tier "soon" is not a duration: want such as 36h, 30d or 2w`},
		{args: "inventory --finding typo", want: `--finding: there is no finding "typo": want one of`},
		{args: "inventory --finding source_failed", want: "--finding: source_failed is about certscan itself and no target: see certscan findings"},
		{args: "inventory --label web", want: `--label "web": want KEY=VALUE`},
		{args: "inventory --at soon", want: `--at "soon" is not a time`},
		{args: "inventory --roots DIR/missing", want: `--roots: trust store`},
		{args: "inventory --by colour", want: `--by: cannot group by "colour": want one of certificate, `},
		{args: "inventory --by owner --format prometheus", want: `--by has no prometheus format: want one of`},
		{args: "inventory forget", want: `forget needs a target, as inventory prints it`},
		{args: "inventory forget http://x", want: `target "http://x": http has no certificate`},
		{args: "findings x", want: `findings takes no argument, got "x"`},
		{args: "findings --format prometheus", want: `--format "prometheus" is not known`},
		{args: "findings --since soon", want: `--since "soon" is neither a time nor an age: want`},
		{args: "findings --until soon", want: `--until "soon" is neither a time nor an age`},
		{args: "findings --since 1d --until 3d", want: `--until 3d is before --since 1d`},
		{args: "show", want: `show needs one argument, a target or a SHA-256; got 0`},
		{args: "show a b", want: `show needs one argument, a target or a SHA-256; got 2`},
		{args: "show --format csv x", want: `--format "csv" is not known: want one of table, json`},
		{args: "where", want: `where needs one argument, a SHA-256 or a name; got 0`},
		{args: "where 1234", want: `"1234" is too short: want at least 8 digits of a SHA-256`},
		{args: "where *", want: `"\*" is neither a name nor a SHA-256`},
		{args: "history", want: `history needs one argument, a target; got 0`},
		{args: "history http://x", want: `target "http://x"`},
		{args: "diff x", want: `diff takes no argument, got "x"`},
		{args: "diff", want: `there is no history at`, status: exitError},

		{args: "verify", want: `nothing to verify: name files or directories, or --leaf FILE`},
		{args: "verify --leaf DIR/missing", want: `--leaf: open .*missing: no such file or directory`},
		{args: "verify --leaf DIR/text.pem", want: `--leaf: .*text.pem: neither PEM`},
		{args: "verify --chain DIR/text.pem", want: `--chain needs --leaf`},
		{args: "verify --leaf DIR/text.pem DIR/text.pem", want: `give files, or --leaf with --chain, but not both`},
		{args: "verify --name a..b DIR/text.pem", want: `--name: target "a..b": host "a..b" has an empty label`},
		{args: "verify --password-file DIR/missing DIR/text.pem", want: `--password-file: open .*missing`},
		{args: "verify --fail-on info DIR/text.pem", want: `--fail-on "info" is not known`},
		{args: "verify --format csv DIR/text.pem", want: `--format "csv" is not known: want one of table, json`},
		{args: "verify --roots DIR/missing DIR/text.pem", want: `--roots: trust store`},
		{args: "verify --tiers x DIR/text.pem", want: `--tiers "x"`},

		{args: "db backup", want: `backup needs one argument, the file to write; got 0`},
		{args: "db backup DIR/copy.db", want: `there is no history at`, status: exitError},
		{args: "db prune --older-than 1h", want: `--older-than "1h": want a day or more, such as 400d`},
		{args: "db prune --older-than long", want: `--older-than "long": want a day or more, such as 400d`},
		{args: "db check x", want: `check takes no argument, got "x"`},
		{args: "db check --db DIR/text.db", want: `not a SQLite database`, status: exitError},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeFiles(t, dir, badFiles())
			if tt.status == 0 {
				tt.status = exitUsage
			}
			checkComplaint(t, certscan(t, t.Context(), dir, "", strings.Split(tt.args, " ")...), tt.status, tt.want)
			for name, want := range badFiles() {
				if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
					t.Errorf("%s was changed: %q, %v", name, got, err)
				}
			}
		})
	}
}

// The help has an answer to wrong flags and arguments, and none to what is wrong
// with a file.
func TestPointsToTheHelp(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]bool{
		"scan --nope x":                     true,
		"scan":                              true,
		"config check":                      true,
		"serve":                             true,
		"scan --timeout 5 x":                true,
		"scan -f DIR/missing":               false,
		"scan --expect DIR/missing x":       false,
		"config check DIR/missing":          false,
		"config check DIR/bad.yaml":         false,
		"config print -c DIR/bad.yaml":      false,
		"scan --policy DIR/bad.yaml x":      false,
		"serve -c DIR/missing":              false,
		"serve -c DIR/bad.yaml":             false,
		"serve -c DIR/policy.yaml":          false,
		"config check DIR/bad.yaml DIR/bad": false,
	} {
		dir := t.TempDir()
		writeFiles(t, dir, map[string]string{"bad.yaml": "nonsense: 1\nsources: 7\n", "policy.yaml": "store: {retention: 30d}\n"})
		got := certscan(t, t.Context(), dir, "", strings.Split(args, " ")...)
		if has := strings.Contains(got.errors, "--help' for usage"); got.status != exitUsage || has != want {
			t.Errorf("%s: exit status %d, points to the help: %v, want %v: %s", args, got.status, has, want, got.errors)
		}
	}
}

// TestEmptyFlags demands of every command that an empty value, as of a variable
// that is not set, is not taken for a flag that was not given.
func TestEmptyFlags(t *testing.T) {
	t.Parallel()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.HasPrefix(f.Value.Type(), "string") || f.Name == "labels" {
				return
			}
			args := append(strings.Fields(cmd.CommandPath())[1:], "--"+f.Name+"=")
			t.Run(strings.Join(args, " "), func(t *testing.T) {
				checkComplaint(t, certscan(t, t.Context(), t.TempDir(), "", args...), exitUsage, "^certscan: --"+f.Name+" is empty: want .")
			})
		})
	}
	walk(newRootCommand(streams{}))
	for _, args := range []string{"rules --labels=", "dashboards fleet --labels="} {
		if got := certscan(t, t.Context(), t.TempDir(), "", strings.Split(args, " ")...); got.status != exitOK {
			t.Errorf("%s: an empty list of labels is none: %s", args, got.errors)
		}
	}
}

// TestHelp demands of every command that it says what it is for, shows how it is
// used, and fits a terminal.
func TestHelp(t *testing.T) {
	t.Parallel()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
			got := certscan(t, t.Context(), t.TempDir(), "", args...)
			if got.status != exitOK || got.errors != "" {
				t.Errorf("exit status %d, standard error %q", got.status, got.errors)
			}
			for line := range strings.Lines(got.out) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
					t.Errorf("a line has %d columns, want at most 80: %s", n, line)
				}
			}
			shell := cmd.HasParent() && cmd.Parent().Name() == "completion"
			if !shell && !cmd.HasSubCommands() && cmd.Example == "" {
				t.Error("there is no example")
			}
			if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
				t.Errorf("the short description is %q", cmd.Short)
			}
		})
	}
	walk(newRootCommand(streams{}))
}
