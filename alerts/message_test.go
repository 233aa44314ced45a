package alerts_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/certscan/internal/promtest"
)

// A message is what Alertmanager sent to one of its receivers.
type message struct {
	path string // of the receiver's URL
	body string
}

// receivers accepts what Alertmanager sends.
func receivers(t *testing.T) (url string, messages <-chan message) {
	t.Helper()
	ch := make(chan message, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ch <- message{r.URL.Path, string(body)}
		if r.URL.Path == "/pagerduty" {
			w.WriteHeader(http.StatusAccepted)
		}
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(server.Close)
	return server.URL, ch
}

// startAlertmanager runs the example, with the secrets that it names, its
// receivers at url, and waiting times of a moment. It returns its address.
func startAlertmanager(t *testing.T, url string) string {
	t.Helper()
	dir := write(t, map[string]string{
		"slack_url": url + "/slack", "pagerduty_web": "key", "pagerduty_platform": "key", "deploy_token": "token",
		"certscan.tmpl": read(t, "certscan.tmpl"),
		"alertmanager.yml": strings.NewReplacer(
			"/etc/alertmanager/smtp_password", "smtp_password",
			"/etc/alertmanager/", "",
			"https://deploy.example.com/hooks/certscan", url+"/pipeline",
			"global:\n", "global:\n  pagerduty_url: "+url+"/pagerduty\n",
			"group_wait: 1m", "group_wait: 300ms",
			"group_interval: 10m", "group_interval: 300ms",
		).Replace(read(t, "alertmanager.example.yml")),
	})
	return promtest.Alertmanager(t, dir)
}

// An alert as Prometheus sends it.
type alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	EndsAt      time.Time         `json:"endsAt,omitzero"`
}

// send gives alerts to Alertmanager.
func send(t *testing.T, address string, alerts ...alert) {
	t.Helper()
	body, err := json.Marshal(alerts)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post("http://"+address+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("POST alerts: %s", resp.Status)
	}
}

// await returns the next message for a path, and fails on those for others that
// it is not told to pass over.
func await(t *testing.T, messages <-chan message, path string, over ...string) string {
	t.Helper()
	timeout := time.After(60 * time.Second)
	for {
		select {
		case m := <-messages:
			if m.path == path {
				return m.body
			}
			if !strings.Contains(strings.Join(over, " "), m.path) {
				t.Fatalf("a message for %s, want one for %s:\n%s", m.path, path, m.body)
			}
		case <-timeout:
			t.Fatalf("no message for %s", path)
		}
	}
}

// slackText is the attachment of a message to Slack.
func slackText(t *testing.T, body string) (title, text, color string) {
	t.Helper()
	var m struct {
		Attachments []struct{ Title, Text, Color string }
	}
	if err := json.Unmarshal([]byte(body), &m); err != nil || len(m.Attachments) != 1 {
		t.Fatalf("message to Slack: %v\n%s", err, body)
	}
	return m.Attachments[0].Title, m.Attachments[0].Text, m.Attachments[0].Color
}

// dedupKey says which incident a page belongs to.
func dedupKey(t *testing.T, body string) string {
	t.Helper()
	var page struct {
		Key string `json:"dedup_key"`
	}
	if err := json.Unmarshal([]byte(body), &page); err != nil || page.Key == "" {
		t.Fatalf("page: %v\n%s", err, body)
	}
	return page.Key
}

func about(name, target, severity, owner string) alert {
	return alert{
		Labels: map[string]string{"alertname": name, "target": target, "severity": severity, "owner": owner},
		Annotations: map[string]string{
			"summary": target + ": summary of " + name, "description": "what to do about " + name,
			"runbook_url": "https://wiki.example.com/" + name + ".md",
		},
	}
}

// TestMessages sends alerts through the real Alertmanager and reads what its
// receivers get: one message for a group, with owner, endpoints and runbook;
// nothing that is inhibited; strangers' text without effect; and the end.
func TestMessages(t *testing.T) {
	t.Parallel()
	url, messages := receivers(t)
	am := startAlertmanager(t, url)

	late := about("CertificateExpiring", "a.example.com:443", "warning", "web")
	other := about("CertificateExpiring", "b.example.com:443", "warning", "web")
	hostile := about("CertificateExpiring", "<!channel>&", "warning", "web")
	send(t, am, late, other, hostile)
	title, text, color := slackText(t, await(t, messages, "/slack"))
	if title != "WARNING CertificateExpiring (web): 3 alerts" || color != "warning" {
		t.Errorf("title %q in %s, want that three warnings are web's", title, color)
	}
	for _, want := range []string{
		"*Owner:* web", "• a.example.com:443: summary of CertificateExpiring", "• b.example.com:443: ",
		"(<https://wiki.example.com/CertificateExpiring.md|runbook>)", "• &lt;!channel&gt;&amp;: ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the message to Slack lacks %q:\n%s", want, text)
		}
	}

	// Expired inhibits what is said of the same target's expiry otherwise.
	expired := about("CertificateExpired", "c.example.com:443", "critical", "web")
	expired.Annotations["served"] = "192.0.2.1 (local, default): 0123456789ab; "
	send(t, am, expired, about("CertificateExpiring", "c.example.com:443", "critical", "web"))
	body := await(t, messages, "/pagerduty", "/slack")
	for _, want := range []string{
		`"severity":"critical"`, `"summary":"CRITICAL CertificateExpired (web): c.example.com:443"`,
		"Owner: web", "what to do about CertificateExpired", "Served: 192.0.2.1", "Runbook: https://wiki.example.com/CertificateExpired.md",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q:\n%s", want, body)
		}
	}

	// A second target is a page of its own: the first may have been acknowledged.
	send(t, am, about("CertificateExpired", "d.example.com:443", "critical", "web"))
	second := await(t, messages, "/pagerduty", "/slack")
	if dedupKey(t, body) == dedupKey(t, second) || !strings.Contains(second, "d.example.com:443") {
		t.Errorf("want another page for another target than\n%s\ngot\n%s", body, second)
	}

	// It is over.
	for _, a := range []*alert{&late, &other, &hostile} {
		a.EndsAt = time.Now()
	}
	send(t, am, late, other, hostile)
	for title = ""; !strings.Contains(title, "CertificateExpiring"); {
		title, text, color = slackText(t, await(t, messages, "/slack"))
	}
	if !strings.HasPrefix(title, "RESOLVED CertificateExpiring (web)") || color != "good" || !strings.Contains(text, "• resolved: a.example.com:443") {
		t.Errorf("title %q in %s, text:\n%s\nwant that it is resolved", title, color, text)
	}
	if strings.Contains(text, "c.example.com") {
		t.Errorf("an alert was told that another one inhibits:\n%s", text)
	}
}

// TestTierBecomesTheNext tells a channel that 14 days have become 7 as one
// message that goes on, and not as an end: and now somebody is paged.
func TestTierBecomesTheNext(t *testing.T) {
	t.Parallel()
	url, messages := receivers(t)
	am := startAlertmanager(t, url)
	before, after := about("CertificateExpiring", "a.example.com:443", "warning", "web"), about("CertificateExpiring", "a.example.com:443", "critical", "web")
	before.Labels["tier"], after.Labels["tier"] = "14d", "7d"
	send(t, am, before)
	await(t, messages, "/slack")
	before.EndsAt = time.Now()
	send(t, am, before, after)
	page := ""
	title, text, color := "", "", ""
	for title == "" || page == "" {
		select {
		case m := <-messages:
			if m.path == "/pagerduty" {
				page = m.body
				continue
			}
			title, text, color = slackText(t, m.body)
		case <-time.After(60 * time.Second):
			t.Fatalf("no message, or no page; title %q, page %q", title, page)
		}
	}
	if title != "CRITICAL CertificateExpiring (web): a.example.com:443" || color != "danger" {
		t.Errorf("title %q in %s, want that it is critical now", title, color)
	}
	for _, want := range []string{"• a.example.com:443: summary", "• resolved: a.example.com:443 is not in the 14d tier any more"} {
		if !strings.Contains(text, want) {
			t.Errorf("the message to Slack lacks %q:\n%s", want, text)
		}
	}
}

// TestTitles names what an alert is about where there is something to name.
func TestTitles(t *testing.T) {
	t.Parallel()
	url, messages := receivers(t)
	am := startAlertmanager(t, url)
	own := func(name string, labels ...string) alert {
		a := about(name, "", "warning", "")
		delete(a.Labels, "target")
		for i := 0; i < len(labels); i += 2 {
			a.Labels[labels[i]] = labels[i+1]
		}
		return a
	}
	for _, tt := range []struct {
		alert alert
		want  string
	}{
		{own("CertscanTrustStoreStale", "subject", "mozilla"), "WARNING CertscanTrustStoreStale: mozilla"},
		{own("CertscanOwnFault", "code", "no_route"), "WARNING CertscanOwnFault: no_route"},
		{own("CertscanViewsStale"), "WARNING CertscanViewsStale"},
		{own("IssuerExpiring", "subject_cn", "Issuing CA", "fingerprint", "aa"), "WARNING IssuerExpiring: Issuing CA"},
	} {
		send(t, am, tt.alert)
		if title, _, _ := slackText(t, await(t, messages, "/slack")); title != tt.want {
			t.Errorf("title %q, want %q", title, tt.want)
		}
	}

	// Two that are over are told by their number.
	one, two := about("CertificateExpiring", "a.example.com:443", "warning", "web"), about("CertificateExpiring", "b.example.com:443", "warning", "web")
	send(t, am, one, two)
	await(t, messages, "/slack")
	one.EndsAt, two.EndsAt = time.Now(), time.Now()
	send(t, am, one, two)
	if title, _, _ := slackText(t, await(t, messages, "/slack")); title != "RESOLVED CertificateExpiring (web): 2 alerts" {
		t.Errorf("title %q, want that two are over", title)
	}
}

// TestOneFaultForAll lets the scanner's own fault stand for the endpoints that it
// does not reach, and then it pages: else nobody would hear of a real outage.
func TestOneFaultForAll(t *testing.T) {
	t.Parallel()
	url, messages := receivers(t)
	am := startAlertmanager(t, url)
	fault := about("CertscanOwnFault", "", "warning", "")
	fault.Labels["code"], fault.Labels["subject"] = "location_anomalous", "local"
	delete(fault.Labels, "target")
	send(t, am, fault)
	if page := await(t, messages, "/pagerduty", "/slack"); !strings.Contains(page, "WARNING CertscanOwnFault: local") {
		t.Errorf("want a page about the fault, got\n%s", page)
	}
	// What comes later is in time to see that nothing came of the first.
	send(t, am, about("EndpointUnreachable", "a.example.com:443", "critical", "web"))
	send(t, am, about("CertificateExpired", "b.example.com:443", "critical", "web"))
	if page := await(t, messages, "/pagerduty", "/slack"); !strings.Contains(page, "b.example.com:443") {
		t.Errorf("want a page about what has expired, got\n%s", page)
	}
}
