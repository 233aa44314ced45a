package main

import (
	"bytes"
	"database/sql"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"example.com/certscan/internal/lab"
	"example.com/certscan/internal/store"
)

// aFleet is what the tests of processes scan.
type aFleet struct {
	*lab.Lab
	roots string
	list  string // file with all targets, which need no resolver
}

func newFleet(t *testing.T, opt lab.Options) aFleet {
	t.Helper()
	fleet := startLab(t, opt)
	dir := t.TempDir()
	roots, _, err := fleet.WriteRoots(dir)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for target := range fleet.Targets() {
		text.WriteString(target + "\n")
	}
	list := filepath.Join(dir, "targets.txt")
	if err := os.WriteFile(list, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return aFleet{fleet, roots, list}
}

// process is the certscan command as a process of its own.
func process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), executable(t), args...)
	cmd.Args[0] = "certscan" // see TestMain
	cmd.Env = append(os.Environ(), "XDG_STATE_HOME="+t.TempDir())
	return cmd
}

func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// end runs cmd and says how that ended.
func end(t *testing.T, cmd *exec.Cmd) ended {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok || ok && !exit.Exited() {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, errs.String())
	}
	return ended{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// filled makes a database with one scan of the fleet in it.
func (f aFleet) filled(t *testing.T, path string) {
	t.Helper()
	got := certscan(t, t.Context(), t.TempDir(), "", "scan", "--db", path, "--roots", f.roots, "--quiet", "--format", "jsonl", "-f", f.list)
	if got.status != exitOK || got.errors != "" {
		t.Fatalf("exit status %d: %s", got.status, got.errors)
	}
}

// TestBadDatabase gives every command that opens a database one that it cannot
// use: each says in one line what is wrong and what to do, and changes nothing.
func TestBadDatabase(t *testing.T) {
	t.Parallel()
	fleet := newFleet(t, lab.Options{Scenarios: []string{}, Endpoints: 5})
	good := filepath.Join(t.TempDir(), "good.db")
	fleet.filled(t, good)

	for _, tt := range []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"another program's", func(t *testing.T, path string) {
			query(t, path, `CREATE TABLE bookmarks (url TEXT)`)
		}, `a SQLite database of another program; (--no-store scans without history; )?--db can name another file$`},
		{"a newer certscan's", func(t *testing.T, path string) {
			copyFile(t, good, path)
			query(t, path, `PRAGMA user_version = 99`)
		}, `schema 99 was written by a newer certscan, .*; use the newer one; (--no-store scans without history; )?--db can name another file$`},
		{"cut off", func(t *testing.T, path string) {
			copyFile(t, good, path)
			if err := os.Truncate(path, 20_000); err != nil {
				t.Fatal(err)
			}
		}, `the file is damaged: restore a backup\); (--no-store scans without history; )?--db can name another file$`},
		{"overwritten", func(t *testing.T, path string) {
			copyFile(t, good, path)
			for page := range len(readFile(t, path))/pageSize - 1 {
				overwrite(t, path, page+1)
			}
		}, `the file is damaged: restore a backup\); (--no-store scans without history; )?--db can name another file$`},
		{"of text", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("text, and no database\n", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, `not a SQLite database; (--no-store scans without history; )?--db can name another file$`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "bad.db")
			tt.make(t, path)
			before := readFile(t, path)
			for _, args := range []string{
				"scan 127.0.0.1:1", "scan --resume", "inventory", "inventory --by owner", "inventory forget x", "findings", "show x",
				"where example.com", "history x", "diff", "db check", "db prune", "db backup DIR/copy.db",
			} {
				t.Run(args, func(t *testing.T) {
					got := certscan(t, t.Context(), dir, "", append(strings.Fields(args), "--db", path)...)
					checkComplaint(t, got, exitError, regexp.QuoteMeta(path)+`": .*`+tt.want)
					if readFile(t, path) != before {
						t.Error("the file was changed")
					}
				})
			}
		})
	}
}

// TestDamagedPage damages each page of a database in turn. Whatever a command
// makes of it, it must not call damage an answer without saying so: check finds
// it, and a complaint is one line.
func TestDamagedPage(t *testing.T) {
	t.Parallel()
	fleet := newFleet(t, lab.Options{Scenarios: []string{}, Endpoints: 5})
	dir := t.TempDir()
	good := filepath.Join(dir, "good.db")
	fleet.filled(t, good)
	pages := len(readFile(t, good)) / pageSize
	if pages < 10 {
		t.Fatalf("the database has %d pages, too few to prove anything", pages)
	}
	for page := range pages {
		path := filepath.Join(dir, "bad.db")
		copyFile(t, good, path)
		if !overwrite(t, path, page) {
			continue // an unused page
		}
		check := certscan(t, t.Context(), dir, "", "db", "check", "--db", path)
		if check.status != exitError || check.out == "ok\n" || strings.Count(check.errors, "\n") != 1 {
			t.Errorf("page %d: check: exit status %d, %q, %q", page, check.status, check.out, check.errors)
		}
		for _, args := range []string{"inventory --format json", "scan --quiet --format json -f " + fleet.list} {
			got := certscan(t, t.Context(), dir, "", append(strings.Fields(args), "--db", path)...)
			if got.status != exitOK && got.status != exitFindings && (got.status != exitError || !aLine.MatchString(strings.TrimSuffix(got.errors, "\n"))) {
				t.Errorf("page %d: %s: exit status %d: %s", page, args, got.status, got.errors)
			}
		}
	}
}

// TestLockedDatabase: one process writes; others are told which, and may read.
func TestLockedDatabase(t *testing.T) {
	t.Parallel()
	fleet := newFleet(t, lab.Options{Scenarios: []string{}, Endpoints: 5})
	path := filepath.Join(t.TempDir(), "some.db")
	fleet.filled(t, path)
	db, err := store.Open(t.Context(), path, store.Options{Command: "certscan scan the-other"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, args := range []string{"scan 127.0.0.1:1", "scan --resume", "inventory forget x", "db prune"} {
		got := certscan(t, t.Context(), t.TempDir(), "", append(strings.Fields(args), "--db", path)...)
		checkComplaint(t, got, exitError, `in use by process \d+ \(certscan scan the-other\): wait until it ends, or stop it; (--no-store scans without history; )?--db can name another file$`)
	}
	for _, args := range []string{"inventory", "findings", "where .example.com", "db check", "db backup DIR/copy.db"} {
		got := certscan(t, t.Context(), t.TempDir(), "", append(strings.Fields(args), "--db", path)...)
		if got.status != exitOK {
			t.Errorf("%s: exit status %d: %s", args, got.status, got.errors)
		}
	}
}

// TestReadOnlyDatabase gives a user files that belong to somebody else: they may
// be read, and everything else is refused in one line.
func TestReadOnlyDatabase(t *testing.T) {
	t.Parallel()
	fleet := newFleet(t, lab.Options{Scenarios: []string{}, Endpoints: 5})
	dir := publicDir(t)
	path, program := filepath.Join(dir, "some.db"), filepath.Join(dir, "certscan")
	fleet.filled(t, path)
	copyFile(t, executable(t), program)
	for name, mode := range map[string]os.FileMode{program: 0o755, path: 0o444, path + ".lock": 0o444, dir: 0o555} {
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(dir, 0o755) })
	before := readFile(t, path)

	for _, tt := range []struct {
		args string
		want string // "": it works
	}{
		{"inventory --roots system --db " + path, ""},
		{"findings --db " + path, ""},
		{"db check --db " + path, ""},
		{"scan --db " + path + " 127.0.0.1:1", `some.db": .*permission denied.*; --no-store scans without history`},
		{"inventory forget x --db " + path, `some.db": .*permission denied.*change its permissions\); (--no-store scans without history; )?--db can name another file$`},
		{"db prune --db " + path, `some.db": .*permission denied`},
		{"db backup --db " + path + " " + dir + "/copy.db", `permission|cannot be (opened|written)`},
		{"scan --db " + dir + "/new.db 127.0.0.1:1", `new.db": .*permission denied.*; --no-store scans without history`},
		{"scan --no-store -o " + dir + "/out.csv 127.0.0.1:1", `--output ".*out.csv": permission denied`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			cmd := process(t, strings.Fields(tt.args)...)
			cmd.Path, cmd.Dir = program, "/"
			asNobody(cmd)
			got := end(t, cmd)
			if tt.want == "" {
				if got.status != exitOK || got.errors != "" {
					t.Errorf("exit status %d: %s", got.status, got.errors)
				}
				return
			}
			checkComplaint(t, got, exitError, tt.want)
		})
	}
	if readFile(t, path) != before {
		t.Error("the file was changed")
	}
}

// TestFullDisk runs out of space at every stage of a first scan and of a later
// one: there is one line about it, what was stored before is whole, and with
// more space the same command works.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	fleet := newFleet(t, lab.Options{Scenarios: []string{}, Endpoints: 40})
	dir := t.TempDir()
	scan := func(limit, path string) ended {
		// A limit on the size of files is a full disk that needs no privileges.
		cmd := process(t, "-c", "ulimit -f "+limit+" && exec \"$0\" \"$@\"")
		cmd.Path, cmd.Args[0] = "/bin/sh", "sh"
		cmd.Args = append(cmd.Args, filepath.Join(dir, "certscan"),
			"scan", "--quiet", "--format", "json", "--db", path, "--roots", fleet.roots, "-f", fleet.list)
		return end(t, cmd)
	}
	if err := os.Symlink(executable(t), filepath.Join(dir, "certscan")); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []string{"0", "8", "40", "100", "120", "140", "unlimited"} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			fresh, known := filepath.Join(t.TempDir(), "fresh.db"), filepath.Join(t.TempDir(), "known.db")
			fleet.filled(t, known)
			for path, was := range map[string]int{fresh: 0, known: 40} {
				got := scan(limit, path)
				if limit == "unlimited" {
					if got.status != exitOK {
						t.Errorf("exit status %d: %s", got.status, got.errors)
					}
					continue
				}
				if got.status != exitOK { // a rescan may need no space
					checkFull(t, got)
				} else if path == fresh {
					t.Error("a first scan found space for everything: the limit is not one")
				}
				list := certscan(t, t.Context(), t.TempDir(), "", "inventory", "--format", "jsonl", "--db", path)
				if n := strings.Count(list.out, `{"type":"target"`); n < was || was > 0 && list.status != exitOK {
					t.Errorf("%d targets are left, there were %d: %s", n, was, list.errors)
				}
				if got := scan("unlimited", path); got.status != exitOK {
					t.Errorf("with more space: exit status %d: %s", got.status, got.errors)
				}
				if got := certscan(t, t.Context(), t.TempDir(), "", "db", "check", "--db", path); got.out != "ok\n" {
					t.Errorf("check: %s%s", got.out, got.errors)
				}
			}
		})
	}
}

func checkFull(t *testing.T, got ended) {
	t.Helper()
	if got.status != exitError || !aLine.MatchString(strings.TrimSuffix(got.errors, "\n")) ||
		!regexp.MustCompile(`(disk|file too large)`).MatchString(got.errors) {
		t.Errorf("exit status %d: %s", got.status, got.errors)
	}
}

const pageSize = 4096

// overwrite destroys a page of a database, and reports whether it held anything.
func overwrite(t *testing.T, path string, page int) bool {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old := make([]byte, pageSize)
	if _, err := f.ReadAt(old, int64(page)*pageSize); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte{0x5a}, pageSize), int64(page)*pageSize); err != nil {
		t.Fatal(err)
	}
	return !bytes.Equal(old, make([]byte, pageSize))
}

func query(t *testing.T, path, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// publicDir is a directory that everybody may enter, as those of t.TempDir are
// not.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "certscan-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asNobody takes root's privileges away, which would make permissions moot.
func asNobody(cmd *exec.Cmd) {
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	cmd.Env = append(cmd.Env, "HOME=/nonexistent", "TMPDIR=/tmp")
}
