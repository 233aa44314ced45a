package evidence_test

import (
	"testing"
	"testing/synctest"
	"time"

	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
)

// A source that asks nobody lives as long as one that does, beside it: it tells
// what that one learned.
func TestOfflineTellsWhatOthersLearn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ocsp := inventory.Need{Kind: inventory.NeedOCSP, URL: "http://o.example", Request: "YQ=="}
		var c cache
		n := &network{urls: map[string]answerFunc{"*": body("ocsp 3600 good", -1), list("a").URL: body("crl 7200 first", -1)}}
		var asked, read reader
		dir := t.TempDir()
		asks := newSource(t, evidence.Options{Fetcher: n, Cache: &c, NextUpdate: nextUpdate, ReadCRL: asked.ReadCRL, CRLDir: dir})
		knows := newSource(t, evidence.Options{Offline: true, Cache: &c, NextUpdate: nextUpdate, ReadCRL: read.ReadCRL, CRLDir: dir})

		for _, need := range []inventory.Need{ocsp, list("a")} {
			if got := knows.Get(t.Context(), need); got.ErrorWord != inventory.EvidenceNotFetched {
				t.Errorf("before anybody asked: %+v", got)
			}
		}
		same := func(when, answer, crl string) {
			t.Helper()
			asks.Get(t.Context(), ocsp)
			asks.Get(t.Context(), list("a"))
			for range 2 {
				if got := knows.Get(t.Context(), ocsp); string(got.OCSP) != answer {
					t.Errorf("%s: the answer is %q (%s), want %q", when, got.OCSP, got.Error, answer)
				}
				if got := knows.Get(t.Context(), list("a")); !is(got, crl) {
					t.Errorf("%s: %+v, want the list %q", when, got, crl)
				}
			}
		}
		same("once somebody has", "ocsp 3600 good", "crl 7200 first")
		time.Sleep(3 * time.Hour)
		n.set("*", body("ocsp 86400 revoked", -1))
		n.set(list("a").URL, body("crl 86400 second", -1))
		same("after they have changed", "ocsp 86400 revoked", "crl 86400 second")

		n.set("*", fails(wordError("timeout")))
		n.set(list("a").URL, fails(wordError("timeout")))
		time.Sleep(100 * day)
		same("when they are long expired", "ocsp 86400 revoked", "crl 86400 second")
		if read.read != 2 {
			t.Errorf("%d readings of two lists", read.read)
		}
	})
}
