package main

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/export"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/policy"
)

// A view that was not seen this time is waived like one that was: else the
// finding of both counts, and alerts.
func TestCarriedViewsAreWaived(t *testing.T) {
	t.Parallel()
	target, err := discover.ParseTarget("legacy.example.com")
	if err != nil {
		t.Fatal(err)
	}
	view := func(address string) inventory.Endpoint {
		id := inventory.View{Target: target.Key(), Address: address, Location: inventory.LocalLocation, Offer: inventory.OfferDefault}
		f := inventory.Finding{Code: inventory.CodeSelfSigned, Severity: inventory.Critical, Subject: inventory.Subject{Kind: inventory.SubjectView, ID: id.ID()}}
		return inventory.Endpoint{
			Observation: inventory.Observation{Target: target.Key(), Address: address, Location: inventory.LocalLocation, Offer: inventory.OfferDefault},
			Judgement:   inventory.Judgement{Findings: []inventory.Finding{f}},
		}
	}
	r := inventory.Result{Target: target, Endpoints: []inventory.Endpoint{view("192.0.2.1")}, Carried: []inventory.Endpoint{view("192.0.2.2")}}
	waiver := inventory.Waiver{Codes: []inventory.Code{inventory.CodeSelfSigned}, Owner: "web", Reason: "OPS-1", Until: time.Now().Add(48 * time.Hour)}
	p := &policies{rules: policy.New(inventory.Policy{}), waivers: policy.NewWaivers([]inventory.Waiver{waiver}, time.Now())}
	p.mark(r)

	e, err := export.New(export.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e.Update([]inventory.Result{r})
	e.Loaded()
	rec := httptest.NewRecorder()
	e.Metrics().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if want := `certscan_target_finding_waived{target="legacy.example.com:443",code="self_signed",rule=""}`; !strings.Contains(rec.Body.String(), want) {
		t.Errorf("no %s", want)
	}
}
