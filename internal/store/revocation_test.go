package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/store"
	"example.com/certscan/internal/storetest"
)

// What is revoked for good is known from then on, whatever is recorded later.
func TestRevocationsAreKept(t *testing.T) {
	t.Parallel()
	db := open(t)
	revocations := func() *store.Revocations {
		t.Helper()
		r, err := db.Revocations(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	before := revocations()
	say := inventory.RevocationAnswer{
		Source: inventory.SourceCRL, URL: "http://ca.example/1.crl", Status: inventory.RevocationRevoked, Reason: "keyCompromise",
		RevokedAt: storetest.Start.Add(-9 * time.Hour), ThisUpdate: storetest.Start.Add(-time.Hour), NextUpdate: storetest.Start.Add(time.Hour),
	}
	hold, good, onecrl := say, say, say
	hold.Reason, good.Status, onecrl.Source = "certificateHold", inventory.RevocationGood, inventory.SourceOneCRL
	results := storetest.Fleet(6, storetest.Start)
	id := func(i int) inventory.Fingerprint { return results[i].Endpoints[0].Judgement.Certificate.SHA256 }
	for i, answers := range [][]inventory.RevocationAnswer{{good, say}, {hold}, {good}, {onecrl}, {say}} {
		j := &results[i].Endpoints[0].Judgement
		j.Verdict = &inventory.Verdict{Revocation: inventory.RevocationVerdict{Answers: answers}}
	}
	results[4].Endpoints[0].Judgement.Alternates = make([]inventory.Certificate, 1) // of which of both is it?
	above := inventory.FingerprintOf([]byte("intermediate"))
	results[5].Endpoints[0].Judgement.Verdict = &inventory.Verdict{Revocation: inventory.RevocationVerdict{
		Intermediates: []inventory.IntermediateRevocation{{SHA256: above, Answers: []inventory.RevocationAnswer{say}}},
	}}
	recordAll(t, db, results)
	recordAll(t, db, storetest.Fleet(6, storetest.Start.Add(time.Hour)))
	for _, known := range []*store.Revocations{before, revocations()} {
		for _, cert := range []inventory.Fingerprint{id(0), above} {
			if got, ok := known.Revoked(cert); !ok || !cmp.Equal(got, say) {
				t.Errorf("%+v, %v, want %+v", got, ok, say)
			}
		}
		for i := 1; i < 6; i++ {
			if got, ok := known.Revoked(id(i)); ok {
				t.Errorf("certificate %d is remembered as %+v", i, got)
			}
		}
	}
}
