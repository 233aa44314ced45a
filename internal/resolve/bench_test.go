package resolve_test

import (
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"example.com/certscan/internal/resolve"
)

// BenchmarkResolve measures this process alone: the server is another one.
func BenchmarkResolve(b *testing.B) {
	server := startBenchmarkServer(b)
	r := newResolver(b, resolve.Options{Servers: []string{server}, Timeout: 5 * time.Second})
	b.ReportAllocs()
	b.SetParallelism(32)
	var n atomic.Int64
	before := cpu(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			name := fmt.Sprintf("n%d.test", n.Add(1))
			if got := r.Resolve(b.Context(), name); len(got.Addresses) != 2 || got.Detail != "" {
				b.Errorf("%+v", got)
			}
		}
	})
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-us/name")
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
