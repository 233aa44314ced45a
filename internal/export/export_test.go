package export_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/export"
	"example.com/certscan/internal/inventory"
)

func TestNothingIsServedBeforeTheStoredStateIsLoaded(t *testing.T) {
	t.Parallel()
	e := newExporter(t, &clock{now()}, export.Settings{})
	e.Update([]inventory.Result{healthy("a.example")})
	for _, h := range []http.Handler{e.Metrics(), e.Targets()} {
		if w := get(t, h, "/metrics"); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%d %v before the stored state is loaded", w.Code, w.Header())
		}
	}
	e.Loaded()
	if text := metrics(t, e); !strings.Contains(text, `certscan_endpoint_up{target="a.example:443",address="192.0.2.1",location="local"} 1`) {
		t.Errorf("loaded, and no target:\n%s", text)
	}
}

func TestWhatIsServedOfATarget(t *testing.T) {
	t.Parallel()
	const host = "t.example"
	tgt := target(host)
	expired := seen(tgt, "192.0.2.1", leaf(host, -2*day))
	expired.Judgement.Verdict.Time.Status = inventory.TimeExpired
	wrongName := seen(tgt, "192.0.2.1", leaf("other.example", 20*day))
	wrongName.Judgement.Verdict.Name.Status = inventory.NameMismatch
	own := seen(tgt, "192.0.2.1", leaf(host, 20*day))
	own.Judgement.Verdict.Trust.Status, own.Judgement.Issuers = inventory.TrustSelfSigned, nil
	unresolved := down(tgt, "", inventory.ReachDNSNXDomain, nil)
	unresolved.Judgement.Findings = []inventory.Finding{finding(inventory.CodeDNSFailure, inventory.Critical)}
	carried := down(tgt, "192.0.2.9", inventory.ReachOK, leaf(host, 9*day))
	lost := result(tgt, "14d", unresolved)
	lost.Carried, lost.Judgement.Expiry = []inventory.Endpoint{carried}, carried.Judgement.Expiry
	rsa := seen(tgt, "192.0.2.1", leaf("rsa.example", 70*day))
	rsa.Observation.Offer = inventory.OfferRSA
	bare := seen(tgt, "192.0.2.1", leaf("default.example", 70*day))
	bare.Observation.Offer = inventory.OfferNoSNI
	pool := seen(tgt, "192.0.2.1", leaf(host, 70*day))
	pool.Judgement.Alternates = []inventory.Certificate{*leaf(host, 71*day), *leaf(host, 70*day)}

	moved := result(tgt, "", seen(tgt, "192.0.2.1", leaf(host, 80*day)))
	moved.Retired = 3

	for _, tt := range []struct {
		name   string
		result inventory.Result
		want   map[string][]string // of the short name of a metric
	}{
		{"healthy", healthy(host), map[string][]string{
			"endpoint_up": {`address="192.0.2.1",location="local"} 1`}, "endpoint_failure": nil,
			"target_expiry_timestamp_seconds": {fmt.Sprintf("} %d", now().Add(80*day).Unix())},
			"target_lifetime_seconds":         {"} 7776000"}, "target_expiry_tier_seconds": nil, "target_verified": {"} 1"},
			"target_stale_views": {"} 0"}, "target_retired": {"} 0"}, "target_distinct_certificates": {"} 1"}, "target_finding": nil,
			"target_info": {`host="t.example",port="443",protocol="tls"} 1`},
		}},
		{"expired keeps its expiry", result(tgt, inventory.TierExpired, expired), map[string][]string{
			"endpoint_up": {`address="192.0.2.1",location="local"} 1`}, "target_expiry_timestamp_seconds": {fmt.Sprintf("} %d", now().Add(-2*day).Unix())},
			"target_expiry_tier_seconds": {"} 0"}, "target_verified": {"} 0"},
		}},
		{"a wrong name keeps its expiry", result(tgt, "30d", wrongName), map[string][]string{
			"target_expiry_timestamp_seconds": {fmt.Sprintf("} %d", now().Add(20*day).Unix())}, "target_verified": {"} 0"}, "target_expiry_tier_seconds": {"} 2592000"},
		}},
		{"self-signed keeps its expiry", result(tgt, "30d", own), map[string][]string{
			"target_expiry_timestamp_seconds": {fmt.Sprintf("} %d", now().Add(20*day).Unix())}, "target_verified": {"} 0"},
		}},
		{"unreachable keeps what was last known", result(tgt, "", down(tgt, "192.0.2.1", inventory.ReachTimeout, leaf(host, 50*day))), map[string][]string{
			"endpoint_up": {`address="192.0.2.1",location="local"} 0`}, "endpoint_failure": {`address="192.0.2.1",location="local",reason="timeout"} 1`},
			"target_expiry_timestamp_seconds":         {fmt.Sprintf("} %d", now().Add(50*day).Unix())},
			"endpoint_last_success_timestamp_seconds": {fmt.Sprintf(`address="192.0.2.1",location="local"} %d`, now().Add(-day).Unix())},
			"target_distinct_certificates":            nil,
		}},
		{"never seen has no expiry", result(tgt, "", down(tgt, "192.0.2.1", inventory.ReachRefused, nil)), map[string][]string{
			"target_expiry_timestamp_seconds": nil, "target_lifetime_seconds": nil, "endpoint_last_success_timestamp_seconds": nil, "target_verified": {"} 0"},
		}},
		{"never examined says nothing", inventory.Result{Target: tgt}, map[string][]string{
			"endpoint_up": nil, "target_verified": nil, "target_retired": nil, "target_expiry_timestamp_seconds": nil, "target_info": {`host="t.example",port="443",protocol="tls"} 1`},
		}},
		{"the scanner's own fault is not the endpoint's", result(tgt, "", down(tgt, "2001:db8::1", inventory.ReachNoRoute, nil)), map[string][]string{
			"endpoint_up": nil, "endpoint_failure": {`address="2001:db8::1",location="local",reason="no_route"} 1`},
		}},
		{"a name that does not resolve says nothing of its addresses", lost, map[string][]string{
			"endpoint_up": {`address="",location="local"} 0`}, "endpoint_failure": {`address="",location="local",reason="dns_nxdomain"} 1`},
			"target_expiry_timestamp_seconds": {fmt.Sprintf("} %d", now().Add(9*day).Unix())},
			"endpoint_last_probe_timestamp_seconds": {
				fmt.Sprintf(`address="",location="local"} %d`, now().Add(-time.Minute).Unix()),
				fmt.Sprintf(`address="192.0.2.9",location="local"} %d`, now().Add(-time.Minute).Unix()),
			},
			"target_finding": {`code="dns_failure",rule="",severity="critical"} 1`},
		}},
		{"one endpoint however many offers", result(tgt, "", bare, rsa, seen(tgt, "192.0.2.1", leaf(host, 80*day))), map[string][]string{
			"endpoint_up": {`address="192.0.2.1",location="local"} 1`}, "target_distinct_certificates": {"} 2"},
			"endpoint_certificate_info": {
				`address="192.0.2.1",location="local",offer="default",fingerprint="` + leaf(host, 80*day).SHA256.String() + `"} 1`,
				`address="192.0.2.1",location="local",offer="no_sni",fingerprint="` + leaf("default.example", 70*day).SHA256.String() + `"} 1`,
				`address="192.0.2.1",location="local",offer="rsa",fingerprint="` + leaf("rsa.example", 70*day).SHA256.String() + `"} 1`,
			},
		}},
		{"addresses that are gone", moved, map[string][]string{"target_retired": {"} 3"}, "target_stale_views": {"} 0"}}},
		{"a pool behind one address", result(tgt, "", pool), map[string][]string{"target_distinct_certificates": {"} 2"}}},
		{"the same view twice is one", result(tgt, "", seen(tgt, "192.0.2.1", leaf(host, 80*day)), seen(tgt, "192.0.2.1", leaf(host, 10*day))), map[string][]string{
			"endpoint_up": {`address="192.0.2.1",location="local"} 1`},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newExporter(t, &clock{now()}, export.Settings{})
			e.Update([]inventory.Result{tt.result})
			e.Loaded()
			text := metrics(t, e)
			unique(t, text)
			for name, want := range tt.want {
				if diff := cmp.Diff(want, of(text, "certscan_"+name, host)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
}

// unique checks that no series is there twice.
func unique(t *testing.T, text string) {
	t.Helper()
	parse(t, text)
	had := make(map[string]bool)
	for line := range strings.Lines(text) {
		if line[0] == '#' {
			continue
		}
		s := line[:strings.LastIndexByte(line, ' ')]
		if had[s] {
			t.Errorf("twice: %s", s)
		}
		had[s] = true
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	c := &clock{now()}
	e := newExporter(t, c, export.Settings{})
	e.Loaded()
	step := func(want []string, findings ...inventory.Finding) {
		t.Helper()
		r := healthy("a.example")
		r.Endpoints[0].Judgement.Findings = findings
		e.Update([]inventory.Result{r})
		text := metrics(t, e)
		unique(t, text)
		if diff := cmp.Diff(want, of(text, "certscan_target_finding", "a.example")); diff != "" {
			t.Errorf("at %v (-want +got):\n%s", c.at.Sub(now()), diff)
		}
	}
	const warning, critical = `code="expiring",rule="",severity="warning"} `, `code="expiring",rule="",severity="critical"} `
	ignored := finding(inventory.CodeWeakKey, inventory.Critical)
	ignored.Ignored = "flag"
	step([]string{warning + "1"}, finding(inventory.CodeExpiring, inventory.Warning), finding(inventory.CodeExpiring, inventory.Warning), ignored)
	// A change of severity closes one series and opens another.
	step([]string{critical + "1", warning + "0"}, finding(inventory.CodeExpiring, inventory.Critical))
	c.at = c.at.Add(30 * time.Minute)
	step([]string{critical + "0", warning + "0"})
	c.at = c.at.Add(29 * time.Minute)
	step([]string{critical + "1", warning + "0"}, finding(inventory.CodeExpiring, inventory.Critical))
	c.at = c.at.Add(time.Minute)
	step([]string{critical + "1"}, finding(inventory.CodeExpiring, inventory.Critical))
	step([]string{critical + "0"})
	c.at = c.at.Add(time.Hour)
	if got := of(metrics(t, e), "certscan_target_finding", "a.example"); got != nil {
		t.Errorf("after an hour, without an update: %s", got)
	}
}

// What closed shortly before a restart shows 0 afterwards, or else its alert
// would go on for an hour.
func TestClosedBeforeARestart(t *testing.T) {
	t.Parallel()
	c := &clock{now()}
	e := newExporter(t, c, export.Settings{Detail: export.DetailAttention})
	r := healthy("a.example")
	r.Judgement.Findings = []inventory.Finding{finding(inventory.CodeExpired, inventory.Critical)}
	e.Update([]inventory.Result{r, healthy("b.example")})
	span := func(host string, code inventory.Code, ago time.Duration) inventory.FindingSpan {
		return inventory.FindingSpan{Finding: finding(code, inventory.Critical), Target: host + ":443", Closed: now().Add(-ago)}
	}
	e.Closed([]inventory.FindingSpan{
		span("a.example", inventory.CodeExpired, time.Minute), span("b.example", inventory.CodeRevoked, 10*time.Minute),
		span("b.example", inventory.CodeExpired, 2*time.Hour), span("unknown.example", inventory.CodeExpired, time.Minute),
	})
	e.Loaded()
	want := []string{
		`{target="a.example:443",code="expired",rule="",severity="critical"} 1`,
		`{target="b.example:443",code="revoked",rule="",severity="critical"} 0`,
	}
	if diff := cmp.Diff(want, series(metrics(t, e), "certscan_target_finding")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	c.at = c.at.Add(time.Hour)
	if diff := cmp.Diff(want[:1], series(metrics(t, e), "certscan_target_finding")); diff != "" {
		t.Errorf("an hour later (-want +got):\n%s", diff)
	}
}

func TestWaivedFindings(t *testing.T) {
	t.Parallel()
	waived := func(until string) inventory.Finding {
		f := finding(inventory.CodeWeakKey, inventory.Critical)
		f.Waived = &inventory.Waived{Until: until}
		return f
	}
	for _, tt := range []struct {
		name     string
		findings []inventory.Finding
		want     []string
		counted  string
	}{
		{
			"until the end of its last day, the earliest of them",
			[]inventory.Finding{waived("2026-12-31"), waived("2027-01-01")},
			[]string{fmt.Sprintf(`code="weak_key",rule=""} %d`, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC).Unix())},
			"0",
		},
		{"not if one counts", []inventory.Finding{waived("2026-12-31"), finding(inventory.CodeWeakKey, inventory.Critical)}, nil, "1"},
		{"none", []inventory.Finding{finding(inventory.CodeWeakKey, inventory.Critical)}, nil, "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newExporter(t, &clock{now()}, export.Settings{})
			r := healthy("a.example")
			r.Judgement.Findings = tt.findings
			e.Update([]inventory.Result{r})
			e.Loaded()
			text := metrics(t, e)
			if diff := cmp.Diff(tt.want, of(text, "certscan_target_finding_waived", "a.example")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff([]string{`code="weak_key",rule="",severity="critical"} 1`}, of(text, "certscan_target_finding", "a.example")); diff != "" {
				t.Errorf("a waived finding is open (-want +got):\n%s", diff)
			}
			if got := series(text, "certscan_findings"); !slices.Contains(got, `{code="weak_key",severity="critical"} `+tt.counted) {
				t.Errorf("findings that count: %s, want %s", got, tt.counted)
			}
		})
	}
}

func TestWhatIsGoneVanishes(t *testing.T) {
	t.Parallel()
	e := newExporter(t, &clock{now()}, export.Settings{})
	e.Loaded()
	e.Update([]inventory.Result{healthy("a.example"), healthy("b.example")})
	e.Remove([]string{"a.example:443", "never.example:443"})
	text := metrics(t, e)
	if strings.Contains(text, "a.example") || len(series(text, "certscan_certificate_info")) != 1 {
		t.Errorf("removed, and there is still:\n%s", text)
	}
	// A renewal replaces the certificate; so does another address.
	b := target("b.example")
	e.Update([]inventory.Result{result(b, "", seen(b, "192.0.2.7", leaf("b.example", 89*day)))})
	text = metrics(t, e)
	if strings.Contains(text, leaf("b.example", 80*day).SHA256.String()) || strings.Contains(text, "192.0.2.1") {
		t.Errorf("renewed, and the old one is still there:\n%s", text)
	}
	if n := len(series(text, "certscan_issuer_targets")); n != 1 {
		t.Errorf("%d CA certificates, want the one that is left", n)
	}
	e.Remove([]string{"b.example:443"})
	text = metrics(t, e)
	for _, name := range []string{"certscan_certificate_info", "certscan_target_info", "certscan_issuer_targets", "certscan_endpoint_up"} {
		if got := series(text, name); got != nil {
			t.Errorf("nothing is left, and there is %s%s", name, got)
		}
	}
}

// The same view twice uses its certificates once, whatever comes after.
func TestCertificatesOfAViewThatIsThereTwice(t *testing.T) {
	t.Parallel()
	e := newExporter(t, &clock{now()}, export.Settings{})
	e.Loaded()
	twice := func(host string, a, b *inventory.Certificate) inventory.Result {
		tgt := target(host)
		return result(tgt, "", seen(tgt, "192.0.2.1", a), seen(tgt, "192.0.2.1", b))
	}
	first, second := leaf("first.example", 50*day), leaf("second.example", 60*day)
	e.Update([]inventory.Result{twice("a.example", first, second)})
	e.Update([]inventory.Result{healthy("b.example")})
	e.Update([]inventory.Result{healthy("c.example"), twice("d.example", second, second)})
	var got []string
	for _, s := range series(metrics(t, e), "certscan_certificate_info") {
		got = append(got, strings.Split(s, `"`)[3])
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"b.example", "c.example", "first.example", "second.example"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestStaleViews(t *testing.T) {
	t.Parallel()
	c := &clock{now()}
	e := newExporter(t, c, export.Settings{StaleAfter: 2 * time.Hour})
	e.Loaded()
	e.Update([]inventory.Result{healthy("a.example")}) // examined a minute ago
	for _, tt := range []struct {
		at    time.Duration
		want  string
		state string
	}{{0, "} 0", "verified"}, {119 * time.Minute, "} 0", "verified"}, {119*time.Minute + time.Second, "} 1", "stale"}} {
		c.at = now().Add(tt.at)
		text := metrics(t, e)
		if got := of(text, "certscan_target_stale_views", "a.example"); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("after %v: %s, want %s", tt.at, got, tt.want)
		}
		if got := series(text, "certscan_endpoints"); !slices.Contains(got, `{state="`+tt.state+`"} 1`) {
			t.Errorf("after %v: %s, want one %s", tt.at, got, tt.state)
		}
	}
}

// Who did not show that it has the key is neither verified nor flawed.
func TestUnprovenEndpoints(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status inventory.TrustStatus
		offer  inventory.Offer
		state  string
	}{
		{"nothing else is wrong", inventory.Trusted, inventory.OfferDefault, "unknown"},
		{"not trusted either", inventory.TrustSelfSigned, inventory.OfferDefault, "flawed"},
		{"beside one that is proven", inventory.Trusted, inventory.OfferRSA, "unknown"},
		{"without a server name", inventory.Trusted, inventory.OfferNoSNI, "verified"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newExporter(t, &clock{now()}, export.Settings{})
			e.Loaded()
			r := healthy("a.example")
			other := seen(r.Target, "192.0.2.1", leaf("a.example", 80*day))
			other.Observation.Offer = tt.offer
			other.Judgement.Unproven, other.Judgement.Verdict.Trust.Status = true, tt.status
			if tt.offer == inventory.OfferDefault {
				r.Endpoints = nil
			}
			r.Endpoints, r.Judgement.Verified = append(r.Endpoints, other), nil
			e.Update([]inventory.Result{r})
			text := metrics(t, e)
			if got := series(text, "certscan_endpoints"); !slices.Contains(got, `{state="`+tt.state+`"} 1`) {
				t.Errorf("%s, want one %s", got, tt.state)
			}
			if got := of(text, "certscan_target_verified", "a.example"); len(got) > 0 {
				t.Errorf("certscan_target_verified %s, want none", got)
			}
		})
	}
}

// To judge again is no examination: what was unknown after the last one still is.
func TestJudgedAgainWithoutResolving(t *testing.T) {
	t.Parallel()
	tgt := target("lost.example")
	unresolved, before := down(tgt, "", inventory.ReachDNSServFail, nil), seen(tgt, "192.0.2.1", leaf("lost.example", 80*day))
	examined := result(tgt, "", unresolved)
	examined.Carried = []inventory.Endpoint{before}
	e := newExporter(t, &clock{now()}, export.Settings{})
	e.Loaded()
	for _, r := range []inventory.Result{examined, result(tgt, "", unresolved, before)} {
		e.Update([]inventory.Result{r})
		text := metrics(t, e)
		if diff := cmp.Diff([]string{`address="",location="local"} 0`}, of(text, "certscan_endpoint_up", "lost.example")); diff != "" {
			t.Errorf("of %d endpoints and %d carried, up (-want +got):\n%s", len(r.Endpoints), len(r.Carried), diff)
		}
		if got := series(text, "certscan_endpoints"); !slices.Contains(got, `{state="unknown"} 1`) || !slices.Contains(got, `{state="failing"} 0`) {
			t.Errorf("certscan_endpoints of %d endpoints and %d carried: %s", len(r.Endpoints), len(r.Carried), got)
		}
	}
}

// Each endpoint is in one state, also while names do not resolve.
func TestEndpointsWithoutResolving(t *testing.T) {
	t.Parallel()
	at := now()
	c := &clock{at}
	e := newExporter(t, c, export.Settings{StaleAfter: 2 * time.Hour})
	e.Loaded()
	lost, never := target("lost.example"), target("never.example")
	unresolved := func(tgt inventory.Target) inventory.Endpoint {
		v := down(tgt, "", inventory.ReachDNSTimeout, nil)
		v.Observation.Time = c.at
		return v
	}
	for _, after := range []time.Duration{0, 3 * time.Hour} {
		c.at = at.Add(after)
		r := result(lost, "", unresolved(lost))
		r.Carried = []inventory.Endpoint{seen(lost, "192.0.2.1", leaf("lost.example", 80*day)), down(lost, "192.0.2.2", inventory.ReachRefused, nil)}
		e.Update([]inventory.Result{r, result(never, "", unresolved(never))})
		text := metrics(t, e)
		want := []string{`{state="verified"} 0`, `{state="flawed"} 0`, `{state="failing"} 1`, `{state="unknown"} 2`, `{state="stale"} 0`}
		if diff := cmp.Diff(want, series(text, "certscan_endpoints")); diff != "" {
			t.Errorf("after %v, certscan_endpoints (-want +got):\n%s", after, diff)
		}
		for reason, n := range map[string]string{"dns_timeout": "2", "refused": "0"} {
			if want := `{location="local",reason="` + reason + `"} ` + n; !slices.Contains(series(text, "certscan_failing_endpoints"), want) {
				t.Errorf("after %v, no certscan_failing_endpoints%s", after, want)
			}
		}
	}
	c.at = at.Add(6 * time.Hour) // and nobody examines anything any more
	if got := series(metrics(t, e), "certscan_endpoints"); !slices.Contains(got, `{state="stale"} 3`) {
		t.Errorf("certscan_endpoints %s, want three stale ones", got)
	}
}

func TestTotals(t *testing.T) {
	t.Parallel()
	c := &clock{now()}
	e := newExporter(t, c, export.Settings{Detail: export.DetailNone})
	e.Loaded()
	var results []inventory.Result
	for i := range 25 { // issuers with 25, 24, … certificates
		for k := range 25 - i {
			host := fmt.Sprintf("h%d-%d.example", i, k)
			tgt := target(host)
			l := leaf(host, 80*day)
			l.IssuerCN = fmt.Sprintf("CA %02d", i)
			results = append(results, result(tgt, "", seen(tgt, "192.0.2.1", l)))
		}
	}
	bad := target("bad.example")
	r := result(bad, "3d", seen(bad, "192.0.2.1", leaf("h0-0.example", 80*day)), down(bad, "192.0.2.2", inventory.ReachRefused, nil),
		down(bad, "192.0.2.3", inventory.ReachOK, leaf("h0-0.example", 80*day))) // it served nothing now
	r.Endpoints[0].Judgement.Verdict.Name.Status = inventory.NameMismatch
	r.Endpoints[0].Judgement.Certificate.IssuerCN = "CA 00"
	r.Endpoints[0].Judgement.Findings = []inventory.Finding{finding(inventory.CodeNameMismatch, inventory.Critical), finding(inventory.CodeNameMismatch, inventory.Critical)}
	e.Update(append(results, r))
	text := metrics(t, e)
	unique(t, text)
	if got := series(text, "certscan_target_info"); got != nil {
		t.Errorf("no detail, and there is %s", got)
	}
	for name, want := range map[string][]string{
		"certscan_endpoints":         {`{state="verified"} 325`, `{state="flawed"} 2`, `{state="failing"} 1`, `{state="unknown"} 0`, `{state="stale"} 0`},
		"certscan_failing_endpoints": {`{location="local",reason="refused"} 1`, `{location="local",reason="timeout"} 0`},
		"certscan_findings":          {`{code="name_mismatch",severity="critical"} 1`, `{code="expired",severity="critical"} 0`},
		"certscan_targets":           {`{tier=""} 325`, `{tier="60d"} 0`, `{tier="3d"} 1`, `{tier="expired"} 0`},
		// The certificate that two targets serve is one, in the worse tier.
		"certscan_certificates":   {`{issuer="CA 00",tier=""} 24`, `{issuer="CA 00",tier="3d"} 1`, `{issuer="CA 19",tier=""} 6`, `{issuer="other",tier=""} 15`},
		"certscan_issuer_targets": {`{fingerprint="` + authority().SHA256.String() + `"} 326`},
	} {
		got := series(text, name)
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: %s\nwant %s", name, got, w)
			}
		}
	}
	// That nothing is wrong with certscan itself, totals of targets cannot say.
	for _, s := range series(text, "certscan_findings") {
		if strings.Contains(s, "source_") || strings.Contains(s, "location_anomalous") {
			t.Errorf("certscan_findings%s", s)
		}
	}
	if got := len(series(text, "certscan_certificates")); got != 21*7 {
		t.Errorf("%d series of certificates, want 20 issuers and the others with 7 tiers each", got)
	}
	// An issuer that is gone shows 0 for an hour.
	var keys []string
	for _, r := range results[:25] {
		keys = append(keys, r.Target.Key())
	}
	e.Remove(append(keys, bad.Key()))
	if got := series(metrics(t, e), "certscan_certificates"); !slices.Contains(got, `{issuer="CA 00",tier="3d"} 0`) {
		t.Errorf("the issuer is gone: %s", got)
	}
	c.at = c.at.Add(time.Hour)
	if got := series(metrics(t, e), "certscan_certificates"); slices.Contains(got, `{issuer="CA 00",tier="3d"} 0`) {
		t.Errorf("an hour later: %s", got)
	}
}

func TestAttention(t *testing.T) {
	t.Parallel()
	c := &clock{now()}
	e := newExporter(t, c, export.Settings{Detail: export.DetailAttention})
	e.Loaded()
	shown := func(want ...string) {
		t.Helper()
		var got []string
		for _, s := range series(metrics(t, e), "certscan_target_info") {
			got = append(got, strings.Split(s, `"`)[3])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("at %v (-want +got):\n%s", c.at.Sub(now()), diff)
		}
	}
	tier := healthy("tier.example")
	tier.Judgement.Tier = "60d"
	found := healthy("finding.example")
	found.Judgement.Findings = []inventory.Finding{finding(inventory.CodeExtraCertificates, inventory.Info)}
	e.Update([]inventory.Result{healthy("good.example"), tier, found})
	shown("finding.example", "tier.example")
	if n := len(series(scrape(t, e.Targets(), "/metrics/targets"), "certscan_target_info")); n != 3 {
		t.Errorf("/metrics/targets shows %d targets, want all", n)
	}
	// What needs no attention any more is shown for an hour, with the new values.
	e.Update([]inventory.Result{healthy("tier.example"), healthy("finding.example")})
	shown("finding.example", "tier.example")
	if got := of(metrics(t, e), "certscan_target_expiry_tier_seconds", "tier.example"); got != nil {
		t.Errorf("left its tier, and has %s", got)
	}
	c.at = c.at.Add(time.Hour)
	shown()
	c.at = c.at.Add(2 * time.Hour)
	shown("finding.example", "good.example", "tier.example") // stale
}

func TestCapDropsWhatExpiresLast(t *testing.T) {
	t.Parallel()
	e := newExporter(t, &clock{now()}, export.Settings{MaxSeries: 25})
	e.Loaded()
	var results []inventory.Result
	for i := range 5 {
		tgt := target(fmt.Sprintf("h%d.example", i))
		results = append(results, result(tgt, "", seen(tgt, "192.0.2.1", leaf(tgt.Host, time.Duration(50-10*i)*day))))
	}
	unknown := target("unknown.example")
	results = append(results, result(unknown, "", down(unknown, "192.0.2.1", inventory.ReachRefused, nil)))
	e.Update(results)
	all := newExporter(t, &clock{now()}, export.Settings{})
	all.Loaded()
	all.Update(results)
	count := func(text string) (n int) {
		for line := range strings.Lines(text) {
			for _, of := range []string{"certscan_target_", "certscan_endpoint_", "certscan_certificate_"} {
				if strings.HasPrefix(line, of) {
					n++
				}
			}
		}
		return n
	}
	text, whole := metrics(t, e), metrics(t, all)
	dropped := series(text, "certscan_metrics_series_dropped")
	if want := fmt.Sprintf(" %d", count(whole)-count(text)); !slices.Equal(dropped, []string{want}) || count(text) > 25 || count(text) < 10 {
		t.Errorf("%d of %d series are left, and dropped is %s", count(text), count(whole), dropped)
	}
	for host, want := range map[string]bool{"unknown": true, "h4": true, "h0": false} {
		if got := of(text, "certscan_target_info", host+".example") != nil; got != want {
			t.Errorf("%s is shown: %v, want %v", host, got, want)
		}
	}
	if got := series(whole, "certscan_metrics_series_dropped"); !slices.Equal(got, []string{" 0"}) {
		t.Errorf("without a cap, dropped is %s", got)
	}
	if got := series(text, "certscan_endpoints"); !slices.Contains(got, `{state="verified"} 5`) {
		t.Errorf("the totals are of what is shown, and not of the fleet: %s", got)
	}
}

func TestShards(t *testing.T) {
	t.Parallel()
	e := newExporter(t, &clock{now()}, export.Settings{Detail: export.DetailNone})
	e.Loaded()
	var results []inventory.Result
	for i := range 200 {
		results = append(results, healthy(fmt.Sprintf("h%d.example", i)))
	}
	e.Update(results)
	var parts []string
	for i := range 4 {
		text := scrape(t, e.Targets(), fmt.Sprintf("/metrics/targets?shard=%d&shards=4", i))
		part := series(text, "certscan_target_info")
		if len(part) < 25 {
			t.Errorf("part %d has %d of 200 targets", i, len(part))
		}
		parts = append(parts, part...)
	}
	whole := series(scrape(t, e.Targets(), "/metrics/targets"), "certscan_target_info")
	slices.Sort(parts)
	slices.Sort(whole)
	if diff := cmp.Diff(whole, parts); diff != "" || len(whole) != 200 {
		t.Errorf("the parts are not the whole of %d (-whole +parts):\n%s", len(whole), diff)
	}
	for url, want := range map[string]string{
		"?shard=4&shards=4": "shard=\"4\": want a number from 0 to 3", "?shard=1": "shards=\"\": want", "?shards=2": "shard=\"\": want",
		"?shard=0&shards=0": "shards=\"0\"", "?shard=-1&shards=2": "shard=\"-1\"", "?shard=0&shards=5000": "1 to 1000", "?shard=x&shards=2": "shard=\"x\"",
	} {
		if w := get(t, e.Targets(), "/metrics/targets"+url); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want 400 and %s", url, w.Code, w.Body, want)
		}
	}
}

func TestHostileText(t *testing.T) {
	t.Parallel()
	e := newExporter(t, &clock{now()}, export.Settings{})
	e.Loaded()
	c := leaf("a.example", 80*day)
	c.SubjectCN = "\"} 1\ncertscan_fake 1\n\\" + "\x1b[31m\xff\u202e"
	c.IssuerOrg = strings.Repeat("é", 300)
	tgt := target("a.example")
	tgt.Labels = map[string]string{"owner": "a\"b\\c"}
	e.Update([]inventory.Result{result(tgt, "", seen(tgt, "192.0.2.1", c))})
	text := metrics(t, e)
	unique(t, text)
	families := parse(t, text)
	if families["certscan_fake"] != nil {
		t.Error("a certificate wrote a metric")
	}
	got := make(map[string]string)
	for _, name := range []string{"certscan_certificate_info", "certscan_target_info"} {
		for _, l := range families[name].Metric[0].Label {
			got[l.GetName()] = l.GetValue()
		}
	}
	for name, want := range map[string]string{
		"subject_cn": `"} 1\x0acertscan_fake 1\x0a\` + `\x1b[31m\xff<U+202E>`, "issuer_organization": strings.Repeat("é", 200) + "…", "label_owner": `a"b\c`,
	} {
		if got[name] != want {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
}

func TestLabels(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		labels []string
		want   string // of certscan_target_info, or of the error
	}{
		{"the usual ones", nil, `label_environment="prod",label_owner="web"} 1`},
		{"others, made fit", []string{"Cost-Center", "owner", "owner"}, `label_cost_center="42",label_owner="web"} 1`},
		{"by another word", []string{"team", "Environment"}, `label_environment="prod",label_team="web"} 1`},
		{"none", []string{}, `protocol="tls"} 1`},
		{"two that become one", []string{"cost-center", "cost.center"}, `labels: "cost-center" and "cost.center" would both be label_cost_center: rename one`},
		{"an empty one", []string{""}, "labels: one is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := export.Settings{Labels: tt.labels}
			// Settings that are there from the beginning, and those that come later.
			e := newExporter(t, &clock{now()}, export.Settings{Labels: []string{"platform"}})
			r := healthy("a.example")
			r.Target.Labels = map[string]string{"owner": "web", "environment": "prod", "Cost-Center": "42", "platform": ""}
			e.Update([]inventory.Result{r})
			e.Loaded()
			_, err := export.New(export.Options{Settings: s})
			if later := e.Set(s); fmt.Sprint(later) != fmt.Sprint(err) {
				t.Errorf("Set says %v, and New %v", later, err)
			}
			if err != nil {
				if err.Error() != tt.want {
					t.Errorf("%v, want %s", err, tt.want)
				}
				return
			}
			if got := of(metrics(t, e), "certscan_target_info", "a.example"); len(got) != 1 || !strings.HasSuffix(got[0], tt.want) {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, s := range []export.Settings{{Detail: "some"}, {MaxSeries: -1}, {StaleAfter: -1}} {
		if _, err := export.New(export.Options{Settings: s}); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}

func TestOwnSide(t *testing.T) {
	t.Parallel()
	c := &clock{now()}
	e := everything(t, c)
	has := func(want ...string) {
		t.Helper()
		text := metrics(t, e)
		for _, w := range want {
			if !strings.Contains(text, "\n"+w+"\n") {
				t.Errorf("no %s", w)
			}
		}
	}
	const shrunk = `certscan_own_finding{code="source_shrunk",subject="file:domains.txt",severity="warning"} `
	has(shrunk+"1", `certscan_source_up{source="file:domains.txt"} 1`, `certscan_source_targets{source="file:domains.txt"} 3`,
		`certscan_scan_lag_seconds{location="local"} 1.5`, "certscan_config_last_reload_successful 1",
		`certscan_probes_total{location="local",outcome="ok"} 1`, `certscan_probe_duration_seconds_count{location="local"} 1`,
		`certscan_probes_total{location="local",outcome="timeout"} 0`)
	e.Own(nil)
	e.Reloaded(false)
	e.Sources([]inventory.SourceStatus{{Name: "new"}, {Name: "new"}})
	has(shrunk+"0", "certscan_config_last_reload_successful 0", `certscan_source_up{source="new"} 0`)
	text := metrics(t, e)
	unique(t, text)
	if got := series(text, "certscan_source_targets"); got != nil {
		t.Errorf("never read, and has %s", got)
	}
	c.at = c.at.Add(time.Hour)
	if got := series(metrics(t, e), "certscan_own_finding"); got != nil {
		t.Errorf("closed an hour ago: %s", got)
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	e := everything(t, &clock{now()})
	for accepts, want := range map[string]bool{
		"gzip": true, "zstd, GZIP;q=0.5": true, "*": true, "": false, "gzip;q=0": false, "gzip; q=0.0, deflate": false, "deflate": false, "gzip;q=x": false,
	} {
		w := get(t, e.Targets(), "/metrics/targets", "Accept-Encoding", accepts)
		if got := w.Header().Get("Content-Encoding") == "gzip"; got != want {
			t.Errorf("Accept-Encoding %q: compressed is %v", accepts, got)
		}
		var body io.Reader = w.Body
		if want {
			z, err := gzip.NewReader(body)
			if err != nil {
				t.Fatal(err)
			}
			body = z
		}
		text, err := io.ReadAll(body)
		if err != nil || !strings.HasSuffix(string(text), "certscan_metrics_series_dropped 0\n") {
			t.Errorf("Accept-Encoding %q: %v, ends in %q", accepts, err, text[max(0, len(text)-50):])
		}
		if got := w.Header().Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
			t.Errorf("content type %q", got)
		}
	}
}

// Scraping and scanning go on side by side, and each scrape sees one state.
func TestScrapingBesideScanning(t *testing.T) {
	t.Parallel()
	e := newExporter(t, &clock{now()}, export.Settings{})
	e.Loaded()
	batch := func(round int) []inventory.Result {
		var out []inventory.Result
		for i := range 50 {
			tgt := target(fmt.Sprintf("h%d.example", i))
			out = append(out, result(tgt, "", seen(tgt, "192.0.2.1", leaf(tgt.Host, time.Duration(round)*day))))
		}
		return out
	}
	e.Update(batch(0))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for round := range 50 {
			e.Update(batch(round))
			e.Remove([]string{"h3.example:443"})
			e.Own([]inventory.Finding{finding("source_failed", inventory.Warning)})
		}
	}()
	for more := true; more; {
		select {
		case <-done:
			more = false
		default:
		}
		text := scrape(t, e.Targets(), "/metrics/targets")
		unique(t, text)
		rounds := make(map[string]bool)
		for _, s := range series(text, "certscan_target_expiry_timestamp_seconds") {
			rounds[s[strings.LastIndexByte(s, ' '):]] = true
		}
		if len(rounds) != 1 || len(series(text, "certscan_certificate_info")) < 49 {
			t.Fatalf("a scrape saw %d states, and %d certificates", len(rounds), len(series(text, "certscan_certificate_info")))
		}
		metrics(t, e)
	}
}
