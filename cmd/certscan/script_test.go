package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"example.com/certscan/internal/lab"
)

// TestMain makes the test binary the certscan command, too: what is tested is
// the real main with the real streams and signals.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"certscan": main})
}

// scripted are the scenarios that the scripts and other tests scan.
func scripted() []string {
	return []string{
		"good", "sct-missing", "sct-invalid", "sct-tls", "good-rsa", "good-wildcard", "good-addresses-agree", "good-pinned", "good-named-elsewhere", "private-ca",
		"expired", "expiring-14d", "expiring-30d", "self-signed", "incomplete", "key-reused", "valid-too-long",
		"one-stale-node", "pool", "not-deployed", "partially-deployed", "deployed",
		"rsa-beside-expired", "default-differs", "smtp-good",
		"crl-host-dead", "crl-revoked", "ocsp-good", "staple-revoked",
		"closed", "silent", "one-address-dead", "dns-no-such-name", "renewed", "chain-broken",
	}
}

// startLab starts the scenarios that the lab has of those named.
func startLab(t *testing.T, opt lab.Options) *lab.Lab {
	t.Helper()
	fleet, err := lab.Start(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fleet.Close() })
	return fleet
}

// port is the one that all targets of the lab have.
func port(t *testing.T, fleet *lab.Lab) string {
	t.Helper()
	_, port, err := net.SplitHostPort(fleet.Scenarios()[0].Targets[0])
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestScripts runs the command lines of testdata, which read as what a user
// types, against a lab. In a script
//
//	$PORT              is the port of all targets
//	$RESOLVER $ALLOW   are for --resolver and --allow-fetch
//	$ROOTS $PRIVATE    are files for --roots
//	$LOGS              is a file for --ct-log-list
//	expect/NAME.pem    is the certificate that scenario NAME ought to serve
//	$GOOD              is the SHA-256 of the certificate that "good" serves
//	$WORK/state        is where history is kept
//
// and $PORT stands for the port in the script's files, too.
func TestScripts(t *testing.T) {
	t.Parallel()
	fleet := startLab(t, lab.Options{Scenarios: scripted()})
	public, private, err := fleet.WriteRoots(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	logs, err := fleet.WriteLogList(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	port := port(t, fleet)
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, "PORT="+port, "RESOLVER="+fleet.Resolver(), "ALLOW="+fleet.AllowFetch()[0],
				"ROOTS="+public, "PRIVATE="+private, "LOGS="+logs, "XDG_STATE_HOME="+filepath.Join(env.WorkDir, "state"),
				"NO_COLOR=1")
			for _, s := range fleet.Scenarios() {
				if s.Name == "good" {
					env.Vars = append(env.Vars, "GOOD="+s.Leaves[0].String())
				}
				if s.Expect == nil {
					continue
				}
				path := filepath.Join(env.WorkDir, "expect", s.Name+".pem")
				text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Expect})
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, text, 0o600)); err != nil {
					return err
				}
			}
			return expandPort(env.WorkDir, port)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status,
			"json":   checkJSON,
			"let":    let,
			"count":  count,
			"change": func(ts *testscript.TestScript, _ bool, args []string) { change(ts, fleet, args) },
		},
	})
}

// expandPort puts the port into the files of a script.
func expandPort(dir, port string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, bytes.ReplaceAll(text, []byte("$PORT"), []byte(port)), 0o600)
	})
}

// status runs a command that has to end with an exit status:
//
//	status 3 certscan scan expired.example.com
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N command args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// checkJSON compares a value in a JSON document, by its path, with a text; "len"
// is the length of a list. A value that is not there is "absent".
//
//	json stdout endpoints.0.reach.status ok
func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: [!] json file path value")
	}
	var v any
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &v); err != nil {
		ts.Fatalf("%s is not JSON: %v", args[0], err)
	}
	got := fmt.Sprint(at(v, strings.Split(args[1], ".")))
	if (got == args[2]) == neg {
		ts.Fatalf("%s is %q, want %q (negated: %v)", args[1], got, args[2], neg)
	}
}

// let sets a variable to a value in a JSON document, or to its beginning:
//
//	let NAME stdout endpoints.0.certificate.sha256 8
func let(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: let NAME file path [length]")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &v))
	value := fmt.Sprint(at(v, strings.Split(args[2], ".")))
	if len(args) == 4 {
		n, err := strconv.Atoi(args[3])
		ts.Check(err)
		value = value[:min(n, len(value))]
	}
	ts.Setenv(args[0], value)
}

func at(v any, path []string) any {
	if len(path) == 0 {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		if next, ok := v[path[0]]; ok {
			return at(next, path[1:])
		}
	case []any:
		if path[0] == "len" {
			return len(v)
		}
		if i, err := strconv.Atoi(path[0]); err == nil && i < len(v) {
			return at(v[i], path[1:])
		}
	}
	return "absent"
}

// count demands that so many lines of a file match a regular expression:
//
//	count stdout 3 '^good'
func count(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: count file N regexp")
	}
	re, err := regexp.Compile(args[2])
	ts.Check(err)
	n := 0
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		if re.MatchString(strings.TrimSuffix(line, "\n")) {
			n++
		}
	}
	if strconv.Itoa(n) != args[1] {
		ts.Fatalf("%d lines match %s, want %s", n, args[2], args[1])
	}
}

// change makes the second step of a scenario.
func change(ts *testscript.TestScript, fleet *lab.Lab, args []string) {
	for _, s := range fleet.Scenarios() {
		if len(args) == 1 && s.Name == args[0] && s.Change != nil {
			s.Change()
			return
		}
	}
	ts.Fatalf("usage: change SCENARIO, one that has a second step")
}
