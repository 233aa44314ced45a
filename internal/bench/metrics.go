//go:build unix

package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"example.com/certscan/internal/export"
	"example.com/certscan/internal/inventory"
)

// metricsOptions say what the exporter's process serves.
type metricsOptions struct{ targets int }

func (o *metricsOptions) flags() {
	flag.IntVar(&o.targets, "metrics-targets", 100_000, "targets of the part metrics, one address each")
}

// weight is what a process has cost so far, and what it holds.
type weight struct {
	CPU  time.Duration // when it was asked
	Then time.Duration // CPU when it had answered
	RSS  int64         // bytes
	Peak int64         // bytes, since the last time
	Heap int64         // bytes that live
}

// metrics measures a scrape of a large fleet by another process.
func (l *lane) metrics(ctx context.Context) error {
	const limitCPU, limitMemory = 2 * time.Second, 300 << 20
	cmd := command(ctx, l.self, "-role", "metrics", "-metrics-targets", strconv.Itoa(l.metricsOf.targets))
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		in.Close() // it ends then
		_ = cmd.Wait()
	}()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the exporter's process: %w", err)
	}
	url := "http://" + strings.TrimSpace(address)
	l.title("Metrics of %d targets of one address, detail all, median of %d scrapes", l.metricsOf.targets, l.rounds)
	l.head("scrape", "series", "bytes", "CPU", "extra memory", "memory at rest", "live heap")
	for _, coding := range []string{"identity", "gzip"} {
		var cpus []time.Duration
		var extra, bytes, series int64
		var before, after weight
		for range l.rounds {
			if before, err = weigh(ctx, url); err != nil {
				return err
			}
			if series, bytes, err = scrape(ctx, url+"/metrics", coding); err != nil {
				return err
			}
			if after, err = weigh(ctx, url); err != nil {
				return err
			}
			cpus, extra = append(cpus, after.CPU-before.Then), max(extra, after.Peak-before.RSS)
		}
		slices.Sort(cpus)
		cpu := cpus[len(cpus)/2]
		l.row(coding, strconv.FormatInt(series, 10), strconv.FormatInt(bytes, 10), cpu.Round(time.Millisecond).String(),
			mebibytes(extra), mebibytes(before.RSS), mebibytes(before.Heap))
		if cpu > limitCPU || extra > limitMemory {
			l.out.Flush()
			return fmt.Errorf("a scrape with %s took %v and %s, and may take %v and %s", coding, cpu, mebibytes(extra), limitCPU, mebibytes(limitMemory))
		}
	}
	return nil
}

// weigh asks the exporter's process.
func weigh(ctx context.Context, url string) (w weight, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/weight", nil)
	if err != nil {
		return w, err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return w, err
	}
	defer answer.Body.Close()
	return w, json.NewDecoder(answer.Body).Decode(&w)
}

// scrape reads all that is served, and counts the series and the bytes that
// came over the wire.
func scrape(ctx context.Context, url, coding string) (series, bytes int64, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, 0, err
	}
	r.Header.Set("Accept-Encoding", coding)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, 0, err
	}
	defer answer.Body.Close()
	wire := &counted{r: answer.Body}
	var body io.Reader = wire
	if coding == "gzip" {
		if body, err = gzip.NewReader(wire); err != nil {
			return 0, 0, err
		}
	}
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "#") {
			series++
		}
	}
	return series, wire.n, lines.Err()
}

type counted struct {
	r io.Reader
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// exporter serves the metrics of a fleet until its standard input is closed.
func exporter(o metricsOptions) error {
	e, err := export.New(export.Options{Version: "bench"})
	if err != nil {
		return err
	}
	fill(e, o.targets)
	e.Loaded()
	mux := http.NewServeMux()
	mux.Handle("/metrics", e.Metrics())
	mux.HandleFunc("/weight", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(weighed())
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	go func() { _ = http.Serve(ln, mux) }()
	fmt.Println(ln.Addr())
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // until the parent closes it
	return nil
}

// weighed collects garbage, after it has read what there was at most.
func weighed() (w weight) {
	w.CPU = spent()
	w.Peak = status("VmHWM:")
	debug.FreeOSMemory()
	w.RSS = status("VmRSS:")
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // the peak begins anew
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	w.Heap = int64(m.HeapAlloc)
	w.Then = spent()
	return w
}

// spent is this process's processor time.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// status reads a number of kilobytes from Linux's account of this process.
func status(key string) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), key)
	if f := strings.Fields(rest); len(f) > 0 {
		n, _ := strconv.ParseInt(f[0], 10, 64)
		return n << 10
	}
	return 0
}

// fill gives e healthy targets of one address, with random names: sequential
// ones compress, and sort, too well.
func fill(e *export.Exporter, n int) {
	r := rand.New(rand.NewPCG(1, 2))
	now := time.Now()
	ca := &inventory.Certificate{SHA256: inventory.FingerprintOf([]byte("ca")), SubjectCN: "Bench CA", NotAfter: now.Add(9000 * time.Hour)}
	verified := true
	batch := make([]inventory.Result, 0, 1000)
	for i := range n {
		host := fmt.Sprintf("%x.svc-%x.example.com", r.Uint64(), r.Uint32())
		t := inventory.Target{Host: host, Port: 443, Protocol: inventory.TLS, Labels: map[string]string{
			"owner": "team-" + strconv.Itoa(i%40), "environment": "prod", "platform": "k8s",
		}}
		c := &inventory.Certificate{
			SHA256: inventory.FingerprintOf([]byte(host)), SubjectCN: host, IssuerCN: "R" + strconv.Itoa(10+i%5), IssuerOrg: "Bench Trust",
			Serial: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()), Key: "ECDSA P-256", Signature: "ECDSA-SHA256",
			NotBefore: now.Add(-time.Duration(r.IntN(1000)) * time.Hour), NotAfter: now.Add(time.Duration(1500+r.IntN(600)) * time.Hour),
		}
		x := &inventory.Expiry{At: c.NotAfter}
		batch = append(batch, inventory.Result{
			Target: t,
			Endpoints: []inventory.Endpoint{{
				Observation: inventory.Observation{
					Target: t.Key(), Address: fmt.Sprintf("10.%d.%d.%d", r.IntN(256), r.IntN(256), r.IntN(256)), Location: inventory.LocalLocation,
					Offer: inventory.OfferDefault, Time: now.Add(-time.Duration(r.IntN(3600)) * time.Second),
					Reach: inventory.Reach{Status: inventory.ReachOK}, Timings: inventory.Timings{Connect: time.Millisecond, Handshake: 3 * time.Millisecond},
				},
				Judgement: inventory.Judgement{Certificate: c, Issuers: [][]*inventory.Certificate{{ca}}, Expiry: x, Lifetime: c.Lifetime()},
			}},
			Judgement: inventory.TargetJudgement{Expiry: x, Lifetime: c.Lifetime(), Verified: &verified},
		})
		if len(batch) == cap(batch) {
			e.Update(batch)
			batch = batch[:0]
		}
	}
	e.Update(batch)
}
