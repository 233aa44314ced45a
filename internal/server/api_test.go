package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/server"
)

// ask asks a server that needs no network.
func ask(t *testing.T, opt server.Options, path string) (int, map[string]any) {
	t.Helper()
	status, body := askText(t, opt, path)
	return status, decode(t, body)
}

func askText(t *testing.T, opt server.Options, path string) (int, string) {
	t.Helper()
	status, body, header := get(t, "http://"+start(t, opt).String()+path)
	if ct := header.Get("Content-Type"); ct != "application/json" || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s: Content-Type %q", path, ct)
	}
	return status, body
}

func names(list any, key string) (out []string) {
	items, _ := list.([]any)
	for _, v := range items {
		m, _ := v.(map[string]any)
		out = append(out, fmt.Sprint(m[key]))
	}
	return out
}

func TestTargets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		query string
		want  []string
		next  any
	}{
		{"", []string{"api.example:8443", "shop.example:443", "smtp://mx.example@lb.example:25"}, nil},
		{"?limit=1", []string{"api.example:8443"}, "api.example:8443"},
		{"?limit=2&after=api.example:8443", []string{"shop.example:443", "smtp://mx.example@lb.example:25"}, nil},
		{"?selector=owner%3Dapi", []string{"api.example:8443"}, nil},
		{"?selector=code%3Dexpired", []string{"shop.example:443"}, nil},
		{"?code=expired", []string{"shop.example:443"}, nil},
		{"?severity=warning&selector=owner%3Dapi", nil, nil},
		{"?tier=expired", []string{"shop.example:443"}, nil},
	} {
		t.Run(tt.query, func(t *testing.T) {
			t.Parallel()
			status, doc := ask(t, options(), "/api/v1/targets"+tt.query)
			if got := names(doc["targets"], "target"); status != 200 || !slices.Equal(got, tt.want) || doc["next"] != tt.next {
				t.Errorf("got %d %v, next %v", status, got, doc["next"])
			}
		})
	}
}

func TestTarget(t *testing.T) {
	t.Parallel()
	status, doc := ask(t, options(), "/api/v1/targets/shop.example")
	got, _ := doc["target"].(map[string]any)
	if status != 200 || got["target"] != "shop.example:443" || got["verified"] != false || got["critical"] != 1.0 || got["examined"] != "2026-11-22T08:00:00Z" {
		t.Errorf("%d %v", status, got)
	}
	if views := names(doc["endpoints"], "address"); !slices.Equal(views, []string{"192.0.2.7"}) {
		t.Errorf("endpoints %v", views)
	}
	// Not examined yet: nothing is known, and nothing is zero.
	status, doc = ask(t, options(), "/api/v1/targets/smtp%3A%2F%2Fmx.example@lb.example:25")
	got, _ = doc["target"].(map[string]any)
	if status != 200 || got["verified"] != nil || got["expiry"] != nil || got["examined"] != nil || got["tier"] != "" {
		t.Errorf("%d %v", status, doc)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		query string
		want  []string
	}{
		{"", []string{"source_failed", "expired"}},
		{"?severity=critical", []string{"expired"}},
		{"?code=source_failed", []string{"source_failed"}},
		{"?selector=code%3Dsource_failed", []string{"source_failed"}},
		{"?selector=owner%3Dweb", []string{"expired"}},
		{"?selector=owner%3Dapi", nil},
	} {
		t.Run(tt.query, func(t *testing.T) {
			t.Parallel()
			status, doc := ask(t, options(), "/api/v1/findings"+tt.query)
			if got := names(doc["findings"], "code"); status != 200 || !slices.Equal(got, tt.want) {
				t.Errorf("got %d %v, want %v", status, got, tt.want)
			}
		})
	}
}

// Every finding is on one page, whatever the size of pages.
func TestPagesOfFindings(t *testing.T) {
	t.Parallel()
	opt := options()
	var results []inventory.Result
	var want []string
	for i := range 25 {
		r := inventory.Result{Target: target(fmt.Sprintf("h%02d.example", i), 443, nil)}
		for j := range i % 4 {
			id := fmt.Sprintf("%02d/%d", i, j)
			want = append(want, id)
			r.Judgement.Findings = append(r.Judgement.Findings, inventory.Finding{Code: inventory.CodeWeakKey, Severity: inventory.Critical, Message: id})
		}
		results = append(results, r)
	}
	opt.Index.Update(results)
	url := "http://" + start(t, opt).String() + "/api/v1/findings?code=weak_key&limit=4"
	var got []string
	for after := ""; ; {
		_, body, _ := get(t, url+"&after="+after)
		doc := decode(t, body)
		got = append(got, names(doc["findings"], "message")...)
		next, more := doc["next"].(string)
		if !more {
			break
		}
		after = next
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	sum := inventory.FingerprintOf([]byte("der")).String()
	status, doc := ask(t, options(), "/api/v1/certificates/"+sum[:12])
	c, _ := doc["certificate"].(map[string]any)
	if status != 200 || c["sha256"] != sum || doc["der"] != "ZGVy" || doc["first_seen"] != "2026-11-22T08:00:00Z" {
		t.Errorf("%d %v", status, doc)
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	status, doc := ask(t, options(), "/api/v1/summary")
	want := map[string]any{
		"targets": 3.0, "targets_verified": 0.0, "targets_not_verified": 1.0, "targets_unknown": 2.0, "targets_expired": 1.0,
		"tiers":     map[string]any{"expired": 1.0, "unknown": 2.0},
		"endpoints": 1.0, "endpoints_failing": 0.0, "critical": 1.0, "warning": 1.0, "info": 0.0, "waived": 0.0,
		"codes": map[string]any{"expired": 1.0, "source_failed": 1.0}, "sources_failed": 1.0,
	}
	if diff := cmp.Diff(want, doc["summary"]); diff != "" || status != 200 || doc["version"] != "1.2.3" || doc["schema"] != 1.0 {
		t.Errorf("%d %v\n%s", status, doc, diff)
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	if status, doc := ask(t, options(), "/api/v1/sources"); status != 200 || !slices.Equal(names(doc["sources"], "up"), []string{"true", "false"}) {
		t.Errorf("%d %v", status, doc)
	}
}

// A source that is up may have lost most of its targets: the API and the page
// say so.
func TestFindingsOfSources(t *testing.T) {
	t.Parallel()
	opt := options()
	about := func(code inventory.Code, source, message string) inventory.Finding {
		return inventory.Finding{Code: code, Severity: inventory.Warning, Subject: inventory.Subject{Kind: inventory.SubjectSource, ID: source}, Message: message}
	}
	opt.Index.Own([]inventory.Finding{
		about(inventory.CodeSourceShrunk, "core", "10 of 12 targets <are> gone"), about(inventory.CodeSourceFailed, "lists", "source failed"),
	})
	url := "http://" + start(t, opt).String()
	_, body, _ := get(t, url+"/api/v1/sources")
	var doc struct {
		Sources []struct {
			Name     string
			Findings []struct{ Code string }
		}
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range doc.Sources {
		for _, f := range s.Findings {
			got = append(got, s.Name+" "+f.Code)
		}
	}
	if want := []string{"core source_shrunk", "lists source_failed"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, page, _ := get(t, url+"/"); !strings.Contains(page, `<td class="warning">10 of 12 targets &lt;are&gt; gone</td>`) {
		t.Errorf("the page has\n%s", page)
	}
	opt.Index.Own(nil)
	if _, body, _ := get(t, url+"/api/v1/sources"); !strings.Contains(body, `"findings":[]`) {
		t.Errorf("without findings it has %s", body)
	}
}

func TestMistakesOfCallers(t *testing.T) {
	t.Parallel()
	opt := options()
	url := "http://" + start(t, opt).String()
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/api/v1/targets?limit=0":                          {400, "1 to 1000"},
		"/api/v1/targets?limit=5000":                       {400, "1 to 1000"},
		"/api/v1/targets?owner=web":                        {400, `no parameter \"owner\" here: want one of selector`},
		"/api/v1/targets?code=expird":                      {400, `no finding \"expird\"`},
		"/api/v1/targets?severity=bad":                     {400, "critical, warning or info"},
		"/api/v1/targets?selector=%28":                     {400, "selector"},
		"/api/v1/targets?limit=1&limit=2":                  {400, "twice"},
		"/api/v1/targets?a=%zz":                            {400, "cannot be read"},
		"/api/v1/summary?x=1":                              {400, "nor any other"},
		"/api/v1/targets/nobody.example:443":               {404, "/api/v1/targets lists them"},
		"/api/v1/targets/broken.example:443":               {500, "the log says why"},
		"/api/v1/certificates/shop":                        {400, "is not a SHA-256"},
		"/api/v1/certificates/" + strings.Repeat("0a", 32): {404, "was seen"},
		"/api/v2/targets":                                  {404, "docs/api.md"},
		"/sd?protocol=nonsense":                            {400, "is not known"},
		"/sd?selector=%28":                                 {400, "selector"},
	} {
		status, body, _ := get(t, url+path)
		doc := decode(t, body)
		problem, _ := doc["error"].(map[string]any)
		if status != want.status || problem["status"] != float64(want.status) || !strings.Contains(body, want.text) {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if strings.Contains(body, "fire") {
			t.Errorf("%s tells what is in the log: %s", path, body)
		}
	}
	if status, body, h := do(t, client(nil), http.MethodDelete, url+"/api/v1/targets"); status != 405 || h.Get("Allow") == "" {
		t.Errorf("DELETE: %d %s", status, body)
	}
}

// What is told since when: by the result, by an earlier one, or since now; and
// of what was open before the start nobody says it began then.
func TestSince(t *testing.T) {
	t.Parallel()
	opt := options()
	_, doc := ask(t, opt, "/api/v1/findings?code=expired")
	if got := names(doc["findings"], "since"); !slices.Equal(got, []string{"2026-11-22T08:00:00Z"}) {
		t.Errorf("a new one since %v", got)
	}
	x := server.NewIndex(nil)
	x.Update([]inventory.Result{shop()})
	x.Loaded()
	x.Update([]inventory.Result{shop()})
	opt.Index = x
	_, doc = ask(t, opt, "/api/v1/findings?code=expired")
	if got := names(doc["findings"], "since"); !slices.Equal(got, []string{"<nil>"}) {
		t.Errorf("an old one since %v", got)
	}
	x.Remove([]string{"shop.example:443"})
	if _, doc := ask(t, opt, "/api/v1/targets"); len(names(doc["targets"], "target")) != 0 {
		t.Errorf("removed and still there: %v", doc)
	}
}

func TestServiceDiscovery(t *testing.T) {
	t.Parallel()
	_, body := askText(t, options(), "/sd")
	want := `[{"targets":["api.example:8443"],"labels":{"__meta_certscan_address":"api.example:8443","__meta_certscan_host":"api.example","__meta_certscan_label_owner":"api","__meta_certscan_port":"8443","__meta_certscan_protocol":"tls","__meta_certscan_server_name":"api.example","__meta_certscan_sources":",list:core,","__meta_certscan_target":"api.example:8443"}},` +
		`{"targets":["shop.example:443"],"labels":{"__meta_certscan_address":"shop.example:443","__meta_certscan_host":"shop.example","__meta_certscan_label_cost_center":"\u003cb\u003e7\u003c/b\u003e\u003cU+200B\u003e","__meta_certscan_label_owner":"web","__meta_certscan_port":"443","__meta_certscan_protocol":"tls","__meta_certscan_server_name":"shop.example","__meta_certscan_sources":",list:core,","__meta_certscan_target":"shop.example:443"}},` +
		`{"targets":["mx.example:25"],"labels":{"__meta_certscan_address":"lb.example:25","__meta_certscan_host":"mx.example","__meta_certscan_port":"25","__meta_certscan_protocol":"smtp","__meta_certscan_server_name":"mx.example","__meta_certscan_sources":",,","__meta_certscan_target":"smtp://mx.example@lb.example:25"}}]`
	if diff := cmp.Diff(want, strings.TrimSpace(body)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for path, want := range map[string]int{"/sd/prometheus?protocol=tls": 2, "/sd?selector=owner%3Dweb": 1, "/sd?protocol=ldap": 0} {
		if _, body := askText(t, options(), path); strings.Count(body, `"targets":`) != want || !strings.HasPrefix(body, "[") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

// Text that strangers wrote does nothing in the page, which may load nothing.
func TestPage(t *testing.T) {
	t.Parallel()
	opt := options()
	opt.ExternalURL = "https://ops.example.com/certscan/"
	url := "http://" + start(t, opt).String()
	for _, path := range []string{"/", "/certscan/"} { // whether a proxy takes the path off or not
		status, body, h := get(t, url+path)
		if status != 200 || strings.Contains(body, "<script") || strings.Contains(body, "<i>gone") || strings.ContainsAny(body, "\u202e\u200b\u3164") {
			t.Errorf("%s: %d\n%s", path, status, body)
		}
		for _, want := range []string{"&lt;script&gt;", "&lt;i&gt;gone", "shop.example:443", `href="api/v1/targets"`, "<b>3</b> targets"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s has no %s", path, want)
			}
		}
		if csp := h.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'sha256-") {
			t.Errorf("policy %q", csp)
		}
	}
	if status, _, _ := get(t, url+"/certscan/api/v1/targets/smtp%3A%2F%2Fmx.example@lb.example:25"); status != 200 {
		t.Errorf("a key below the path of the external URL: %d", status)
	}
}

// Whatever the path of the external URL is, it is served below it.
func TestExternalPath(t *testing.T) {
	t.Parallel()
	for external, path := range map[string]string{
		"https://ops.example.com/":        "/",
		"https://ops.example.com//":       "/",
		"https://ops.example.com/a b/":    "/a%20b/",
		"https://ops.example.com/a%20b/":  "/a%20b/",
		"https://ops.example.com/{x/":     "/%7Bx/",
		"https://ops.example.com/{x}/{$}": "/%7Bx%7D/%7B$%7D/",
		"https://ops.example.com/50%25":   "/50%25/",
	} {
		opt := options()
		opt.ExternalURL = external
		if status, body, _ := get(t, "http://"+start(t, opt).String()+path+"-/healthy"); status != 200 || body != "healthy\n" {
			t.Errorf("%s: %s: %d %q", external, path, status, body)
		}
	}
}

// Large answers are compressed for who takes that.
func TestGzip(t *testing.T) {
	t.Parallel()
	url := "http://" + start(t, options()).String() + "/api/v1/targets"
	encoding := func(accept string) (string, string) {
		_, body, h := do(t, client(nil), "GET", url, func(r *http.Request) { r.Header.Set("Accept-Encoding", accept) })
		return h.Get("Content-Encoding"), body
	}
	for accept, want := range map[string]string{"gzip": "gzip", "br, gzip;q=0.5": "gzip", "gzip;q=0": "", "identity": ""} {
		if got, body := encoding(accept); got != want || (want == "") != strings.HasPrefix(body, "{") {
			t.Errorf("Accept-Encoding %q: %q", accept, got)
		}
	}
}
