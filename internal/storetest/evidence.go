package storetest

import (
	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
)

func evidence(f *fixture) {
	issuer := inventory.Need{Kind: inventory.NeedIssuer, URL: "http://ca.example/issuer.crt"}
	first := inventory.Need{Kind: inventory.NeedOCSP, URL: "http://ocsp.example/", Request: "MEIwQDA+"}
	second := first
	second.Request = "MEIwQDA/"
	for _, need := range []inventory.Need{issuer, first, second} {
		if _, ok, err := f.Evidence(f.Context(), need); ok || err != nil {
			f.Errorf("Evidence of an empty store: %v, %v", ok, err)
		}
	}
	for _, ev := range []inventory.Evidence{
		{Need: issuer, Error: "404 Not Found", ErrorWord: inventory.EvidenceHTTP, FetchedAt: hour(0), Expires: hour(1)},
		{Need: issuer, Certificates: Chain("a"), FetchedAt: hour(1), Expires: hour(25)},
		{Need: first, OCSP: []byte("good"), FetchedAt: hour(1), Expires: hour(25)},
		{Need: second, OCSP: []byte("revoked"), FetchedAt: hour(1), Expires: hour(2)},
	} {
		if err := f.PutEvidence(f.Context(), ev); err != nil {
			f.Fatal(err)
		}
		got, ok, err := f.Evidence(f.Context(), ev.Need)
		if diff := cmp.Diff(ev, got); !ok || err != nil || diff != "" {
			f.Errorf("Evidence: %v, %v (-put +got):\n%s", ok, err, diff)
		}
	}
	if got, _, _ := f.Evidence(f.Context(), first); string(got.OCSP) != "good" {
		f.Errorf("the answer to one request is %q, want that of another left alone", got.OCSP)
	}
}
