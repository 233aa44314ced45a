package export_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"example.com/certscan/internal/export"
	"example.com/certscan/internal/inventory"
)

const day = 24 * time.Hour

func now() time.Time { return time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC) }

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func target(host string) inventory.Target {
	return inventory.Target{Host: host, Port: 443, Protocol: inventory.TLS}
}

// leaf is a certificate for host that ends in left.
func leaf(host string, left time.Duration) *inventory.Certificate {
	return &inventory.Certificate{
		SHA256: inventory.FingerprintOf([]byte(fmt.Sprint(host, left))), Serial: "0a1b2c", Subject: "CN=" + host, SubjectCN: host,
		Issuer: "CN=Lab CA R1,O=Lab Trust", IssuerCN: "Lab CA R1", IssuerOrg: "Lab Trust", Names: []string{host, "www." + host, "192.0.2.1"},
		NotBefore: now().Add(left - 90*day), NotAfter: now().Add(left), Key: "ECDSA P-256", Signature: "ECDSA-SHA256",
	}
}

func authority() *inventory.Certificate {
	c := leaf("Lab CA R1", 900*day)
	c.Names, c.Serial, c.IsCA = nil, "ff", true
	return c
}

// seen is an endpoint that serves c, which verifies.
func seen(t inventory.Target, address string, c *inventory.Certificate) inventory.Endpoint {
	return inventory.Endpoint{
		Observation: inventory.Observation{
			Target: t.Key(), Address: address, Location: inventory.LocalLocation, Offer: inventory.OfferDefault,
			Time: now().Add(-time.Minute), Reach: inventory.Reach{Status: inventory.ReachOK},
			TLS:     &inventory.TLSFacts{Version: "TLS 1.3", CipherSuite: "TLS_AES_128_GCM_SHA256"},
			Timings: inventory.Timings{Resolve: time.Millisecond, Connect: 2 * time.Millisecond, Handshake: 5 * time.Millisecond},
		},
		Judgement: inventory.Judgement{
			Certificate: c, Issuers: [][]*inventory.Certificate{{authority()}}, Lifetime: c.Lifetime(),
			Verdict: &inventory.Verdict{
				Time: inventory.StatusOnly{Status: inventory.TimeValid}, Name: inventory.StatusOnly{Status: inventory.NameMatch},
				Trust: inventory.TrustVerdict{Status: inventory.Trusted},
			},
			Expiry: &inventory.Expiry{At: c.NotAfter, By: "leaf"},
		},
	}
}

// down is an endpoint that does not answer, and did when it served last, if
// that is not nil.
func down(t inventory.Target, address string, reach inventory.ReachStatus, last *inventory.Certificate) inventory.Endpoint {
	e := inventory.Endpoint{Observation: inventory.Observation{
		Target: t.Key(), Address: address, Location: inventory.LocalLocation, Offer: inventory.OfferDefault,
		Time: now().Add(-time.Minute), Reach: inventory.Reach{Status: reach},
	}}
	if last != nil {
		e.Judgement = seen(t, address, last).Judgement
		e.Judgement.LastSeen = now().Add(-day)
	}
	return e
}

func finding(code inventory.Code, s inventory.Severity) inventory.Finding {
	return inventory.Finding{Code: code, Severity: s, Message: "it is so"}
}

// result joins endpoints into the result of t, in a tier.
func result(t inventory.Target, tier inventory.Tier, es ...inventory.Endpoint) inventory.Result {
	r := inventory.Result{Target: t, Endpoints: es}
	r.Judgement.Tier = tier
	verified := true
	for i, e := range es {
		verified = verified && e.Judgement.Verified()
		if x := e.Judgement.Expiry; x != nil && (r.Judgement.Expiry == nil || x.At.Before(r.Judgement.Expiry.At)) {
			r.Judgement.Expiry, r.Judgement.Lifetime = x, e.Judgement.Lifetime
		}
		es[i].Judgement.Tier = tier
	}
	if len(es) > 0 {
		r.Judgement.Verified = &verified
	}
	return r
}

// healthy is the result of a target with which nothing is wrong.
func healthy(host string) inventory.Result {
	t := target(host)
	return result(t, "", seen(t, "192.0.2.1", leaf(host, 80*day)))
}

// everything is a fleet with which every metric has a series.
func everything(t *testing.T, c *clock) *export.Exporter {
	t.Helper()
	e := newExporter(t, c, export.Settings{})
	expiring := target("expiring.example")
	expiring.Labels = map[string]string{"owner": "web", "environment": "prod", "platform": "k8s", "cost": "7"}
	r := result(expiring, "7d", seen(expiring, "192.0.2.2", leaf("expiring.example", 5*day)))
	r.Judgement.RenewalDue = now().Add(-day)
	waived := finding(inventory.CodeWeakKey, inventory.Critical)
	waived.Waived = &inventory.Waived{Until: "2026-12-31"}
	r.Judgement.Findings = []inventory.Finding{finding(inventory.CodeExpiring, inventory.Critical), waived}
	gone := target("gone.example")
	g := result(gone, "", down(gone, "192.0.2.3", inventory.ReachRefused, leaf("gone.example", 50*day)))
	e.Update([]inventory.Result{healthy("good.example"), r, g})
	e.Sources([]inventory.SourceStatus{{Name: "file:domains.txt", Kind: "file", Up: true, Targets: 3, LastSuccess: now()}})
	e.Own([]inventory.Finding{{
		Code: "source_shrunk", Severity: inventory.Warning, Subject: inventory.Subject{Kind: inventory.SubjectSource, ID: "file:domains.txt"},
	}})
	e.Probed(r.Endpoints[0].Observation)
	e.Recorded(20 * time.Millisecond)
	e.Loaded()
	return e
}

func newExporter(t testing.TB, c *clock, s export.Settings) *export.Exporter {
	t.Helper()
	s.Tiers = []inventory.Tier{"60d", "30d", "14d", "7d", "3d"}
	e, err := export.New(export.Options{
		Settings: s, Version: "1.2.3", Now: c.now,
		Lag: func() map[string]time.Duration {
			return map[string]time.Duration{inventory.LocalLocation: 1500 * time.Millisecond}
		},
		StoreSize: func() (int64, bool) { return 4096, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// get asks a handler.
func get(t testing.TB, h http.Handler, url string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// scrape returns what a handler serves.
func scrape(t testing.TB, h http.Handler, url string) string {
	t.Helper()
	w := get(t, h, url)
	if w.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", url, w.Code, w.Body)
	}
	return w.Body.String()
}

func metrics(t testing.TB, e *export.Exporter) string { return scrape(t, e.Metrics(), "/metrics") }

// parse reads the text format as Prometheus does.
func parse(t testing.TB, text string) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("parse: %v\n%s", err, text)
	}
	return families
}

// series returns the lines of a metric, without its name.
func series(text, name string) (list []string) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), name)
		if ok && (rest[0] == '{' || rest[0] == ' ') {
			list = append(list, rest)
		}
	}
	return list
}

// of returns the lines about one target, without its label.
func of(text, name, host string) (list []string) {
	for _, s := range series(text, name) {
		if rest, ok := strings.CutPrefix(s, `{target="`+host+`:443"`); ok {
			list = append(list, strings.TrimPrefix(rest, ","))
		}
	}
	return list
}
