package export_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"example.com/certscan/internal/export"
	"example.com/certscan/internal/inventory"
)

// fleet is n healthy targets of one address with random names.
func fleet(n int) []inventory.Result {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]inventory.Result, n)
	for i := range out {
		host := fmt.Sprintf("%x.svc-%x.example.com", r.Uint64(), r.Uint32())
		t := target(host)
		t.Labels = map[string]string{"owner": fmt.Sprint("team-", i%40), "environment": "prod"}
		out[i] = result(t, "", seen(t, fmt.Sprintf("10.%d.%d.7", i/256%256, i%256), leaf(host, time.Duration(40+i%50)*day)))
	}
	return out
}

// null is a response that nobody reads.
type null struct{ header http.Header }

func (n null) Header() http.Header         { return n.header }
func (n null) WriteHeader(int)             {}
func (n null) Write(b []byte) (int, error) { return len(b), nil }

func BenchmarkScrape(b *testing.B) {
	e := newExporter(b, &clock{now()}, export.Settings{})
	e.Update(fleet(10_000))
	e.Loaded()
	for _, coding := range []string{"identity", "gzip"} {
		b.Run(coding, func(b *testing.B) {
			b.ReportAllocs()
			r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil)
			if err != nil {
				b.Fatal(err)
			}
			r.Header.Set("Accept-Encoding", coding)
			for b.Loop() {
				e.Metrics().ServeHTTP(null{http.Header{}}, r)
			}
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	all := fleet(10_000)
	e := newExporter(b, &clock{now()}, export.Settings{})
	e.Update(all)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		first := i * 250 % len(all)
		e.Update(all[first : first+250])
	}
}
