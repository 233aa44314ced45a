package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/policy"
)

// What is wrong with certscan itself is as bad as the configuration says.
func TestSeverityOfOwnFindings(t *testing.T) {
	t.Parallel()
	l, e := testLedger(t)
	e.Loaded()
	rules := inventory.Policy{Severities: []inventory.SeverityRule{{Code: inventory.CodeSourceFailed, Severity: inventory.Critical}}}
	l.judge.bench.Store(&bench{policies: &policies{rules: policy.New(rules), waivers: policy.NewWaivers(nil, now())}})
	failed := inventory.Finding{
		Code: inventory.CodeSourceFailed, Severity: inventory.Warning, Message: "gone", Subject: inventory.Subject{Kind: inventory.SubjectSource, ID: "lists"},
	}
	if err := l.ofSources(t.Context(), nil, []inventory.Finding{failed}); err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	e.Metrics().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if want := `certscan_own_finding{code="source_failed",subject="lists",severity="critical"} 1`; !strings.Contains(rec.Body.String(), want) {
		t.Errorf("no %s", want)
	}
	l.judge.bench.Store(new(bench))
	if err := l.ofFleet(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	rec = httptest.NewRecorder()
	e.Metrics().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if want := `certscan_own_finding{code="source_failed",subject="lists",severity="warning"} 1`; !strings.Contains(rec.Body.String(), want) {
		t.Errorf("without the entry, no %s", want)
	}
}
