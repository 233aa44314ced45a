//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long anything may take that is not the soak itself.
const patience = 10 * time.Minute

// quiet is an interval in which nothing is due.
const quiet = 30 * 24 * time.Hour

// A daemon is certscan serve as a process.
type daemon struct {
	cmd  *exec.Cmd
	dir  string
	base string // URL
	done chan error
}

// configure writes the configuration.
func (r *run) configure(listen string, interval time.Duration) error {
	return os.WriteFile(filepath.Join(r.dir, "certscan.yaml"), []byte(`
sources:
  - name: fleet
    files: [targets.txt]
    labels: {owner: soak}
scan: {interval: `+interval.String()+`, timeout: 5s, confirm: 1s, offers: default, accepts: false, per_address: 8, resolvers: ["`+r.fleet.Resolver()+`"]}
trust: {stores: [lab-public.pem], allow_fetch: [`+strings.Join(r.fleet.AllowFetch(), ", ")+`]}
web: {listen: "`+listen+`", profiling: true}
store: {path: certscan.db}
`), 0o600)
}

// start starts the daemon over the whole fleet, whose names it has to resolve.
func (r *run) start(ctx context.Context, binary string) (*daemon, error) {
	if _, _, err := r.fleet.WriteRoots(r.dir); err != nil {
		return nil, err
	}
	var list strings.Builder
	for t := range r.fleet.Targets() {
		name, address, _ := strings.Cut(t, "@")
		list.WriteString(name + address[strings.LastIndexByte(address, ':'):] + "\n")
	}
	if err := os.WriteFile(filepath.Join(r.dir, "targets.txt"), []byte(list.String()), 0o600); err != nil {
		return nil, err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r.listen = ln.Addr().String()
	ln.Close() // for the daemon
	if err := r.configure(r.listen, r.interval); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(r.dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	d := &daemon{dir: r.dir, base: "http://" + r.listen, done: make(chan error, 1)}
	d.cmd = exec.CommandContext(ctx, binary, "serve", "-c", filepath.Join(r.dir, "certscan.yaml"), "--log-level", "warn")
	d.cmd.Env = append(os.Environ(), "GORACE=log_path="+filepath.Join(r.dir, "race"))
	d.cmd.Stderr = log
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { d.done <- d.cmd.Wait() }()
	return d, nil
}

// stop ends the daemon as systemd does. A race that was found is an error: the
// detector gives the process another exit status.
func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	var err error
	select {
	case err = <-d.done:
	case <-time.After(time.Minute):
		err = errors.New("it did not end within a minute of SIGTERM")
	}
	races, globErr := filepath.Glob(filepath.Join(d.dir, "race.*"))
	for _, path := range races {
		text, readErr := os.ReadFile(path)
		err = errors.Join(err, readErr, fmt.Errorf("data race:\n%s", text))
	}
	return errors.Join(err, globErr)
}

// tail is the end of what the daemon logged.
func (d *daemon) tail() string {
	const most = 8 << 10
	text, err := os.ReadFile(filepath.Join(d.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-most):])
}

// get reads a page whole.
func (d *daemon) get(ctx context.Context, path string, line func(string)) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+path, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	for {
		text, err := lines.ReadString('\n')
		if text != "" && line != nil {
			line(strings.TrimSuffix(text, "\n"))
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, res.Status)
	}
	return nil
}

// reload lets the daemon read its configuration again.
func (d *daemon) reload(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+"/-/reload", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("reload: %s", res.Status)
	}
	return nil
}

// A sample is what the daemon's metrics say at one moment.
type sample struct {
	at     float64            // when it was asked for, in seconds since 1970
	probes float64            // examinations since it started
	ended  map[string]float64 // the same by how they ended
	lag    float64            // seconds
	last   map[string]float64 // by target: when it was examined last
}

var series = regexp.MustCompile(`^(\w+)(?:\{(.*)\})? ([^ ]+)$`)

// sample scrapes.
func (d *daemon) sample(ctx context.Context) (*sample, error) {
	s := &sample{at: float64(time.Now().UnixMilli()) / 1000, last: make(map[string]float64), ended: make(map[string]float64)}
	err := d.get(ctx, "/metrics", func(line string) {
		if !strings.HasPrefix(line, "certscan_") {
			return
		}
		m := series.FindStringSubmatch(line)
		if m == nil {
			return
		}
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return
		}
		switch m[1] {
		case "certscan_probes_total":
			s.probes += v
			s.ended[label(m[2], "outcome")] += v
		case "certscan_scan_lag_seconds":
			s.lag = v
		case "certscan_endpoint_last_probe_timestamp_seconds":
			t := label(m[2], "target")
			s.last[t] = max(s.last[t], v)
		}
	})
	return s, err
}

// label is the value of a label that has no quotation marks in it.
func label(labels, name string) string {
	_, rest, _ := strings.Cut(","+labels, ","+name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// A state is what the process holds.
type state struct {
	heap       float64 // bytes, after a collection
	goroutines float64
	stacks     []string // where they stand, lines of their profile
}

var (
	heapAlloc  = regexp.MustCompile(`^# HeapAlloc = (\d+)`)
	goroutines = regexp.MustCompile(`^goroutine profile: total (\d+)`)
)

func (d *daemon) state(ctx context.Context) (s state, err error) {
	find := func(re *regexp.Regexp, v *float64) func(string) {
		return func(line string) {
			if m := re.FindStringSubmatch(line); m != nil {
				*v, _ = strconv.ParseFloat(m[1], 64)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if err := d.get(ctx, "/debug/pprof/heap?gc=1&debug=1", find(heapAlloc, &s.heap)); err != nil {
		return s, err
	}
	count := find(goroutines, &s.goroutines)
	err = d.get(ctx, "/debug/pprof/goroutine?debug=1", func(line string) {
		count(line)
		s.stacks = append(s.stacks, line)
	})
	if err == nil && (s.heap == 0 || s.goroutines == 0) {
		err = errors.New("the profiles do not say what the process holds")
	}
	return s, err
}
