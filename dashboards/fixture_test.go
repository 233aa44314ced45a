package dashboards_test

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"example.com/certscan/internal/export"
	"example.com/certscan/internal/inventory"
)

// shop is the target that has everything: two addresses, of which one refuses, a
// renewal that arrived at the other, and findings.
const shop = "shop.example:443"

// certificate is one for host that ends in left, of a lifetime.
func certificate(host string, left, lifetime time.Duration, key string) *inventory.Certificate {
	end := time.Now().Add(left)
	return &inventory.Certificate{
		SHA256: inventory.FingerprintOf([]byte(fmt.Sprint(host, left))), Serial: "0a1b2c", Subject: "CN=" + host, SubjectCN: host,
		Issuer: "CN=Lab CA R1,O=Lab Trust", IssuerCN: "Lab CA R1", IssuerOrg: "Lab Trust", Names: []string{host},
		NotBefore: end.Add(-lifetime), NotAfter: end, Key: key, Signature: "ECDSA-SHA256",
	}
}

// endpoint is one that serves c, or served it before reach.
func endpoint(t inventory.Target, address string, reach inventory.ReachStatus, c *inventory.Certificate) inventory.Endpoint {
	e := inventory.Endpoint{Observation: inventory.Observation{
		Target: t.Key(), Address: address, Location: inventory.LocalLocation, Offer: inventory.OfferDefault, Time: time.Now(),
		Reach:   inventory.Reach{Status: reach},
		Timings: inventory.Timings{Resolve: time.Millisecond, Connect: 2 * time.Millisecond, Handshake: 5 * time.Millisecond},
	}}
	if c == nil {
		return e
	}
	root := certificate("Lab CA R1", 50*day, 3650*day, "RSA 4096")
	root.IsCA = true
	e.Judgement = inventory.Judgement{
		Certificate: c, Issuers: [][]*inventory.Certificate{{root}}, Lifetime: c.Lifetime(), Expiry: &inventory.Expiry{At: c.NotAfter, By: "leaf"},
		Verdict: &inventory.Verdict{
			Time: inventory.StatusOnly{Status: inventory.TimeValid}, Name: inventory.StatusOnly{Status: inventory.NameMatch},
			Trust: inventory.TrustVerdict{Status: inventory.Trusted},
		},
	}
	if reach != inventory.ReachOK {
		e.Judgement.LastSeen = time.Now().Add(-day)
	}
	return e
}

// result joins endpoints into the result of a target with an owner.
func result(host, owner string, tier inventory.Tier, verified bool, es ...func(inventory.Target) inventory.Endpoint) inventory.Result {
	t := inventory.Target{Host: host, Port: 443, Protocol: inventory.TLS, Labels: map[string]string{"environment": "prod", "platform": "k8s", "team": "a"}}
	if owner != "" {
		t.Labels["owner"] = owner
	}
	r := inventory.Result{Target: t}
	for _, f := range es {
		e := f(t)
		e.Judgement.Tier = tier
		r.Endpoints = append(r.Endpoints, e)
		if x := e.Judgement.Expiry; x != nil && (r.Judgement.Expiry == nil || x.At.Before(r.Judgement.Expiry.At)) {
			r.Judgement.Expiry, r.Judgement.Lifetime = x, e.Judgement.Lifetime
		}
	}
	if r.Judgement.Tier = tier; len(es) > 0 {
		r.Judgement.Verified = &verified
	}
	return r
}

// at is an endpoint of result.
func at(address string, reach inventory.ReachStatus, c *inventory.Certificate) func(inventory.Target) inventory.Endpoint {
	return func(t inventory.Target) inventory.Endpoint { return endpoint(t, address, reach, c) }
}

func finding(code inventory.Code, s inventory.Severity) inventory.Finding {
	return inventory.Finding{Code: code, Severity: s, Message: "it is so"}
}

// A certscan is an exporter that shows a small fleet with everything wrong that
// a dashboard has a panel for.
type certscan struct {
	*export.Exporter
	address string
	fleet   []inventory.Result
}

// renewed is the result of shop, before or after a renewal.
func renewed(after bool) inventory.Result {
	c := certificate("shop.example", 2*day, 90*day, "ECDSA P-256")
	now := c
	if after {
		now = certificate("shop.example", 89*day, 90*day, "ECDSA P-256")
	}
	r := result("shop.example", "web", "3d", true, at("192.0.2.1", inventory.ReachOK, now), at("192.0.2.2", inventory.ReachRefused, c))
	r.Judgement.Findings = []inventory.Finding{
		finding(inventory.CodeExpiring, inventory.Critical), finding(inventory.CodeAddressesDisagree, inventory.Warning), finding(inventory.CodeExtraCertificates, inventory.Info),
	}
	return r
}

func startCertscan(t *testing.T) *certscan {
	t.Helper()
	e, err := export.New(export.Options{
		Settings: export.Settings{Tiers: []inventory.Tier{"60d", "30d", "14d", "7d", "3d"}, Labels: []string{"owner", "environment", "platform", "team"}},
		Version:  "1.2.3",
		Lag: func() map[string]time.Duration {
			return map[string]time.Duration{inventory.LocalLocation: time.Second}
		},
		StoreSize: func() (int64, bool) { return 1 << 20, true },
	})
	if err != nil {
		t.Fatal(err)
	}
	expired := result("old.example", "", inventory.TierExpired, false, at("192.0.2.3", inventory.ReachOK, certificate("old.example", -day, 398*day, "RSA 2048")))
	expired.Judgement.Findings = []inventory.Finding{finding(inventory.CodeExpired, inventory.Critical)}
	waived := result("legacy.example", "core", "", true, at("192.0.2.4", inventory.ReachOK, certificate("legacy.example", 300*day, 398*day, "RSA 1024")))
	weak := finding(inventory.CodeWeakKey, inventory.Critical)
	weak.Waived = &inventory.Waived{Until: "2027-12-31"}
	waived.Judgement.Findings = []inventory.Finding{weak}
	c := &certscan{Exporter: e, fleet: []inventory.Result{
		renewed(false), expired, waived,
		result("short.example", "web", "30d", true, at("192.0.2.5", inventory.ReachOK, certificate("short.example", 2*day, 6*day, "ECDSA P-256"))),
		result("fine.example", "core", "", true, at("192.0.2.6", inventory.ReachOK, certificate("fine.example", 80*day, 90*day, "ECDSA P-256"))),
		result("new.example", "core", "", false),
	}}
	e.Update(c.fleet)
	e.Sources([]inventory.SourceStatus{
		{Name: "file:domains.txt", Kind: "file", Up: true, Targets: 6, LastSuccess: time.Now()},
		{Name: "file:gone.txt", Kind: "file", Targets: 2, LastSuccess: time.Now().Add(-day)},
	})
	e.Own([]inventory.Finding{{
		Code: inventory.CodeSourceFailed, Severity: inventory.Warning, Subject: inventory.Subject{Kind: inventory.SubjectSource, ID: "file:gone.txt"},
	}})
	e.Loaded()
	server := httptest.NewServer(e.Metrics())
	t.Cleanup(server.Close)
	c.address = server.Listener.Addr().String()
	return c
}

// until works until the query has an answer.
func (c *certscan) until(t *testing.T, p prometheus, query string) {
	t.Helper()
	until(t, query, func() bool {
		c.work()
		return len(p.query(t, query, false, time.Time{})) > 0
	})
}

// work examines the fleet once more: counters grow.
func (c *certscan) work() {
	for _, r := range c.fleet {
		for _, e := range r.Endpoints {
			c.Probed(e.Observation)
		}
	}
	c.Recorded(10 * time.Millisecond)
}
