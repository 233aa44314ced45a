package discover_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/inventory"
)

func named(t *testing.T, text, source string, labels map[string]string) inventory.Target {
	t.Helper()
	got, err := discover.ParseTarget(text)
	if err != nil {
		t.Fatal(err)
	}
	got.Labels, got.Sources = labels, []string{source}
	return got
}

func TestSetMerges(t *testing.T) {
	t.Parallel()
	var set discover.Set
	var conflicts []discover.Conflict
	first := map[string]string{"owner": "web"}
	for _, target := range []inventory.Target{
		named(t, "a.example", "file:1.csv", first),
		named(t, "b.example", "file:1.csv", first),
		named(t, "https://A.example/", "file:2.csv", map[string]string{"owner": "web", "environment": "prod"}),
		named(t, "a.example:8443", "file:2.csv", nil),
		named(t, "a.example@192.0.2.7", "file:2.csv", nil),
		named(t, "a.example:443", "file:3.csv", map[string]string{"owner": "ops", "environment": "test", "platform": "k8s"}),
		named(t, "a.example:443", "file:2.csv", nil),
		named(t, "b.example.", "arg", nil),
	} {
		conflicts = append(conflicts, set.Add(target)...)
	}
	want := []inventory.Target{
		{
			Host: "a.example", Port: 443, Protocol: "tls", Sources: []string{"file:1.csv", "file:2.csv", "file:3.csv"},
			Labels: map[string]string{"owner": "web", "environment": "prod", "platform": "k8s"},
		},
		{Host: "b.example", Port: 443, Protocol: "tls", Sources: []string{"file:1.csv", "arg"}, Labels: map[string]string{"owner": "web"}},
		{Host: "a.example", Port: 8443, Protocol: "tls", Sources: []string{"file:2.csv"}},
		{Host: "a.example", Port: 443, Protocol: "tls", Address: "192.0.2.7", Sources: []string{"file:2.csv"}},
	}
	if diff := cmp.Diff(want, set.Targets()); diff != "" || len(set.Targets()) != len(want) {
		t.Errorf("%d targets (-want +got):\n%s", len(set.Targets()), diff)
	}
	wantConflicts := []discover.Conflict{
		{Target: "a.example:443", Label: "environment", Kept: "prod", Dropped: "test", KeptFrom: "file:2.csv", DroppedFrom: "file:3.csv"},
		{Target: "a.example:443", Label: "owner", Kept: "web", Dropped: "ops", KeptFrom: "file:1.csv", DroppedFrom: "file:3.csv"},
	}
	if diff := cmp.Diff(wantConflicts, conflicts); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"owner": "web"}, first); diff != "" {
		t.Errorf("Add changed the labels that it was given (-want +got):\n%s", diff)
	}
}

// fleet is a CSV file of n targets with a realistic variety of labels.
func fleet(n int) string {
	var b strings.Builder
	b.WriteString("host,port,owner,environment,platform\n")
	for i := range n {
		fmt.Fprintf(&b, "host-%d.region-%d.example.com,443,team-%d,%s,%s\n",
			i, i%7, i%50, []string{"prod", "test", "dev"}[i%3], []string{"k8s", "vm", "cdn", "lb"}[i%4])
	}
	return b.String()
}

// heap reports what is live after build, in octets, with what it returns alive.
func heap(build func() *discover.Set) (uint64, *discover.Set) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	set := build()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc), set
}

func readInto(set *discover.Set, name, text string) error {
	for t, err := range discover.Read(name, strings.NewReader(text), discover.Options{}) {
		if err != nil {
			return err
		}
		set.Add(t)
	}
	return nil
}

// BenchmarkSet reads 100,000 targets from CSV, and the same again from another
// file, so that everything merges.
func BenchmarkSet(b *testing.B) {
	const n = 100_000
	text := fleet(n)
	b.ReportAllocs()
	var most uint64
	for b.Loop() {
		live, set := heap(func() *discover.Set {
			set := new(discover.Set)
			for _, name := range []string{"a.csv", "b.csv"} {
				if err := readInto(set, name, text); err != nil {
					b.Fatal(err)
				}
			}
			return set
		})
		if len(set.Targets()) != n {
			b.Fatalf("%d targets, want %d", len(set.Targets()), n)
		}
		most = max(most, live)
	}
	b.ReportMetric(float64(most)/(1<<20), "MiB-live")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*n), "ns/row")
}

func BenchmarkReadYAML(b *testing.B) {
	const n = 10_000
	text := strings.Repeat("- host: a.example.com\n  port: 8443\n  labels: {owner: web, env: prod}\n", n)
	b.ReportAllocs()
	for b.Loop() {
		if err := readInto(new(discover.Set), "a.yaml", text); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
}

func BenchmarkParseTarget(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := discover.ParseTarget("www.example.com:8443"); err != nil {
			b.Fatal(err)
		}
	}
}

// A set of 100,000 targets has to leave room for the scan beside it.
func TestSetIsLean(t *testing.T) {
	const n = 20_000 // not parallel: it measures the heap
	text := fleet(n)
	live, set := heap(func() *discover.Set {
		set := new(discover.Set)
		for _, name := range []string{"a.csv", "b.csv"} {
			if err := readInto(set, name, text); err != nil {
				t.Fatal(err)
			}
		}
		return set
	})
	if len(set.Targets()) != n || live > n*400 {
		t.Errorf("%d targets hold %d octets, want %d and at most 400 each", len(set.Targets()), live, n)
	}
}
