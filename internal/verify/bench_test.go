package verify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"syscall"
	"testing"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/verify"
)

// known remembers every signature.
type known struct{}

func (known) Verified(_, _ inventory.Fingerprint) bool { return true }

// benchChains are n chains like Let's Encrypt's: P-256 under P-384 under RSA.
func benchChains(b *testing.B, n int) (inventory.TrustStore, []inventory.Facts) {
	b.Helper()
	rootKey, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		b.Fatal(err)
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	root := sign(b, caTemplate(b, "Root"), nil, rootKey)
	ca := sign(b, caTemplate(b, "CA"), root, caKey)
	facts := make([]inventory.Facts, n)
	for i := range facts {
		facts[i] = factsOf(ders(ca.leaf(b), ca))
	}
	return storeOf("test", true, root), facts
}

// BenchmarkJudgeFirst sees leaves for the first time and checks their signature.
func BenchmarkJudgeFirst(b *testing.B) { benchFirst(b, nil) }

// BenchmarkJudgeKnownEdge sees leaves for the first time in this process, and
// knows from an earlier run who signed them.
func BenchmarkJudgeKnownEdge(b *testing.B) { benchFirst(b, known{}) }

func benchFirst(b *testing.B, s verify.Signatures) {
	store, facts := benchChains(b, 2000)
	opt := verify.Options{Stores: []inventory.TrustStore{store}, Signatures: s}
	j := newJudgeWith(b, opt)
	b.ReportAllocs()
	defer reportCPU(b)()
	i := 0
	for b.Loop() {
		if i == len(facts) {
			b.StopTimer()
			j, i = newJudgeWith(b, opt), 0
			b.StartTimer()
		}
		j.Judge(facts[i], nil, now)
		i++
	}
}

// BenchmarkJudgeAgain sees an unchanged healthy view again.
func BenchmarkJudgeAgain(b *testing.B) {
	store, facts := benchChains(b, 1)
	j := newJudgeWith(b, verify.Options{Stores: []inventory.TrustStore{store}})
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		if got, _ := j.Judge(facts[0], nil, now); got.Verdict.Trust.Status != inventory.Trusted {
			b.Fatal(got.Verdict.Trust)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	_, facts := benchChains(b, 1)
	b.ReportAllocs()
	defer reportCPU(b)()
	for b.Loop() {
		verify.Parse(facts[0].Observation.Chain[0])
	}
}

// reportCPU adds the processor time of an iteration, which other work on the
// machine disturbs less than the clock. Call what it returns at the end.
func reportCPU(b *testing.B) func() {
	b.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	start := used()
	return func() { b.ReportMetric(float64((used()-start).Nanoseconds())/1000/float64(b.N), "cpu-µs/op") }
}

func newJudgeWith(b *testing.B, opt verify.Options) *verify.Judge {
	b.Helper()
	j, err := verify.New(opt)
	if err != nil {
		b.Fatal(err)
	}
	return j
}
