package probe_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/probe"
)

// serverEnv makes the test binary a TLS server for benchmarks, so that the CPU
// of the server is not in the numbers.
const serverEnv = "CERTSCAN_PROBE_BENCH_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(serverEnv) != "" {
		benchServer()
		return
	}
	goleak.VerifyTestMain(m)
}

// benchServer prints its address and serves until its standard input ends.
func benchServer() {
	tb := &mustBenchmark{}
	cert := issue(tb, certSpec{})
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		panic(err)
	}
	fmt.Println(ln.Addr())
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = c.Read(make([]byte, 1))
			}()
		}
	}()
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
}

func startBenchServer(b *testing.B) netip.AddrPort {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), serverEnv+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	var addr string
	if _, err := fmt.Fscanln(stdout, &addr); err != nil {
		b.Fatal(err)
	}
	return netip.MustParseAddrPort(addr)
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// perOp runs f b.N times, a few at once, and reports this process's CPU for each.
func perOp(b *testing.B, f func()) {
	b.Helper()
	b.ReportAllocs()
	f()
	before := cpu(b)
	b.ResetTimer()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f()
		}
	})
	b.StopTimer()
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

// BenchmarkFloor is what a plain Go loop pays: dial, handshake with the
// library's defaults and verification off, close.
func BenchmarkFloor(b *testing.B) {
	to := startBenchServer(b)
	perOp(b, func() {
		conn, err := tls.Dial("tcp", to.String(), &tls.Config{InsecureSkipVerify: true, ServerName: "shop.example"})
		if err != nil {
			b.Error(err)
			return
		}
		conn.Close()
	})
}

func BenchmarkProbe(b *testing.B)  { benchmarkProbe(b, inventory.ModeFull) }
func BenchmarkCensus(b *testing.B) { benchmarkProbe(b, inventory.ModeCensus) }

func benchmarkProbe(b *testing.B, mode inventory.Mode) {
	to := startBenchServer(b)
	p := probe.New(probe.Options{})
	req := request(to)
	req.Mode = mode
	perOp(b, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if o := p.Probe(ctx, req); len(o.Chain) == 0 {
			b.Errorf("no certificate: %v", o.Reach)
		}
	})
}

func request(to netip.AddrPort) inventory.ProbeRequest {
	return inventory.ProbeRequest{
		Target:  inventory.Target{Host: "shop.example", Port: to.Port(), Protocol: inventory.TLS},
		Address: to.Addr(),
		Offer:   inventory.OfferDefault,
		Mode:    inventory.ModeFull,
	}
}

// mustBenchmark lets helpers that take a testing.TB run in the server process,
// where nothing but a crash is noticed.
type mustBenchmark struct{ testing.TB }

func (*mustBenchmark) Helper() {}

func (*mustBenchmark) Fatal(args ...any) { panic(fmt.Sprint(args...)) }
