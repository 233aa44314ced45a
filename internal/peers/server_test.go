// Package peers_test holds certscan's prober against servers that other people
// wrote, from the packages of a Debian system, and against what openssl says of
// the same servers. A server that is not installed is left out, and the test
// says so; with CERTSCAN_PEERS=require in the environment it fails instead.
//
// Every server is started by its test, on loopback, from a directory and with a
// configuration of its own, so that an instance of the system is not disturbed.
package peers_test

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

//go:embed packages.txt
var packages string

const (
	startLimit = 30 * time.Second // for a server to accept connections
	stopLimit  = 10 * time.Second // for a server to end when asked
)

// leaveOut ends a test for which the machine lacks something.
func leaveOut(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CERTSCAN_PEERS") == "require" {
		t.Fatalf("%s (CERTSCAN_PEERS=require)", why)
	}
	t.Skipf("left out: %s", why)
}

// find returns the path of a program of a Debian package. Server programs are
// often not in PATH: the patterns say where else they may be.
func find(t *testing.T, pkg, program string, patterns ...string) string {
	t.Helper()
	if !slices.Contains(strings.Fields(packages), pkg) {
		t.Fatalf("packages.txt lacks %q", pkg)
	}
	candidates := []string{program, "/usr/sbin/" + program}
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		candidates = append(candidates, found...)
	}
	for _, c := range candidates {
		if path, err := exec.LookPath(c); err == nil {
			return path
		}
	}
	leaveOut(t, "no "+program+" here: apt-get install "+pkg)
	return ""
}

// needRoot leaves out a server that can only be started by root.
func needRoot(t *testing.T, server string) {
	t.Helper()
	if os.Geteuid() != 0 {
		leaveOut(t, server+" can only be started by root")
	}
}

// tempDir returns a directory that every user can enter: many servers drop their
// privileges.
func tempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil { //nolint:gosec // it is to be entered by others
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil { //nolint:gosec // servers read it under other names
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, elem ...string) string {
	t.Helper()
	dir := filepath.Join(elem...)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // as tempDir
		t.Fatal(err)
	}
	return dir
}

// An account is who runs a server that refuses to be run by root.
type account struct {
	name       string
	credential *syscall.Credential
}

// unprivileged returns the named system account if the test is run by root, else
// the account that runs the test.
func unprivileged(t *testing.T, pkg, name string) account {
	t.Helper()
	if os.Geteuid() != 0 {
		me, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		return account{name: me.Username}
	}
	u, err := user.Lookup(name)
	if err != nil {
		leaveOut(t, "no user "+name+" here: apt-get install "+pkg)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return account{name: name, credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
}

// own gives all of dir to a.
func (a account) own(t *testing.T, dir string) {
	t.Helper()
	if a.credential == nil {
		return
	}
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(a.credential.Uid), int(a.credential.Gid))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a command to its end.
func (a account) run(t *testing.T, dir, path string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// freePort returns a port of 127.0.0.1 that nobody listens on.
func freePort(t *testing.T) uint16 {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return uint16(ln.Addr().(*net.TCPAddr).Port) //nolint:errcheck,gosec // it is TCP
}

// serve starts a server that stays in the foreground, and returns when it
// accepts connections on all ports. It is stopped by its process ID, with sig
// first, when the test ends.
func (a account) serve(t *testing.T, dir string, sig syscall.Signal, ports []uint16, path string, args ...string) {
	t.Helper()
	out := new(lockedBuffer)
	cmd := exec.Command(path, args...) //nolint:noctx // it outlives t.Context, to be stopped in order
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.WaitDelay = stopLimit
	cmd.Env = append(os.Environ(), "OPENSSL_CONF=/dev/null", "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: a.credential,
		Setsid:     true,
		Pdeathsig:  sig, // also if the test is killed
	}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // Pdeathsig is about the thread that starts the process
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // why it ended is in out
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(sig)
		select {
		case <-ended:
		case <-time.After(stopLimit):
			t.Errorf("%s did not end", path)
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it left of its session
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%s", path, out)
		}
	})
	for _, port := range ports {
		await(t, port, ended, out)
	}
}

// await returns when something accepts connections on port.
func await(t *testing.T, port uint16, ended <-chan struct{}, out *lockedBuffer) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address(port))
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatalf("the server ended:\n%s", out)
		case <-limit.C:
			t.Fatalf("nothing listens on port %d after %v: %v", port, startLimit, err)
		}
	}
}

func address(port uint16) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
}

// A lockedBuffer is what a server says, readable while it says more.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // under mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
