package report_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
)

// lookup knows the certificates of the sample.
func lookup() func(inventory.Fingerprint) (inventory.Certificate, bool) {
	known := map[inventory.Fingerprint]inventory.Certificate{}
	add := func(c inventory.Certificate) { known[c.SHA256] = c }
	for _, r := range append(fleet(), hostile()) {
		for _, e := range r.Endpoints {
			if c := e.Judgement.Certificate; c != nil {
				add(*c)
			}
		}
	}
	root := leaf("Lab Root X1", 4000*day)
	root.SHA256, root.IsCA, root.SelfIssued, root.Key = print256("Lab Root X1"), true, true, "RSA 4096"
	add(root)
	return func(f inventory.Fingerprint) (inventory.Certificate, bool) {
		c, ok := known[f]
		return c, ok
	}
}

func spans() []inventory.Span {
	v := inventory.View{Target: "shop.example:443", Address: "192.0.2.12", Location: "local", Offer: "default"}
	old, renewed := leaf("shop.example", 6*day+5*time.Hour), leaf("shop.example", 88*day)
	tls := &inventory.TLSFacts{Version: "TLS 1.3", CipherSuite: "TLS_AES_128_GCM_SHA256", Group: "X25519"}
	at := func(d time.Duration) time.Time { return now().Add(d) }
	return []inventory.Span{
		{View: v, FirstSeen: at(-80 * day), LastSeen: at(-9 * day), Count: 1704, Reach: "ok", TLS: tls, Chain: []inventory.Fingerprint{old.SHA256, intermediate().SHA256}},
		{View: v, FirstSeen: at(-9 * day), LastSeen: at(-8*day - time.Hour), Count: 23, Reach: "refused"},
		{View: v, FirstSeen: at(-8 * day), LastSeen: at(0), Count: 192, Reach: "ok", TLS: tls, Chain: []inventory.Fingerprint{renewed.SHA256, intermediate().SHA256}},
	}
}

func findingSpans() []inventory.FindingSpan {
	h := hostile().Endpoints[0].Judgement.Findings[0]
	f := func(s inventory.Severity, c inventory.Code, m string) inventory.Finding {
		return inventory.Finding{Code: c, Severity: s, Message: m, Subject: inventory.Subject{Kind: inventory.SubjectTarget, ID: "x"}}
	}
	return []inventory.FindingSpan{
		{Finding: f("critical", "expired", "expired 2 days ago, on 2026-11-20"), Target: "expired.example:443", Opened: now().Add(-2 * day)},
		{Finding: f("warning", "expiring", "expires in 14 days"), Target: "shop.example:443", Opened: now().Add(-20 * day), Closed: now().Add(-8 * day), Reason: "gone"},
		{Finding: h, Target: "evil.example:443", Opened: now().Add(-3 * time.Hour)},
	}
}

func changes() []inventory.Change {
	s := spans()
	moved := s[2]
	moved.Chain = []inventory.Fingerprint{s[2].Chain[0], print256("another intermediate")}
	newer := s[2]
	newer.TLS = &inventory.TLSFacts{Version: "TLS 1.2", CipherSuite: "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", Group: "X25519"}
	other := inventory.View{Target: "quiet.example:443", Address: "192.0.2.1", Location: "fra1", Offer: "rsa"}
	unresolved := inventory.View{Target: "quiet.example:443", Location: inventory.LocalLocation, Offer: inventory.OfferDefault}
	v := s[0].View
	return []inventory.Change{
		{Kind: inventory.ChangeAppeared, View: other, At: now().Add(-7 * day), After: &s[2]},
		{Kind: inventory.ChangeCertificate, View: v, At: now().Add(-6 * day), Before: &s[0], After: &s[2]},
		{Kind: inventory.ChangeChain, View: v, At: now().Add(-5 * day), Before: &s[2], After: &moved},
		{Kind: inventory.ChangeConnection, View: v, At: now().Add(-4 * day), Before: &s[2], After: &newer},
		{Kind: inventory.ChangeUnreachable, View: v, At: now().Add(-3 * day), Before: &s[0], After: &s[1]},
		{Kind: inventory.ChangeReachable, View: v, At: now().Add(-2 * day), Before: &s[1], After: &s[2]},
		{Kind: inventory.ChangeVanished, View: other, At: now().Add(-day), Before: &s[2]},
		{Kind: inventory.ChangeVanished, View: unresolved, At: now().Add(-day), Before: &inventory.Span{View: unresolved, Reach: inventory.ReachDNSTimeout}},
	}
}

func places() []report.Place {
	v := inventory.View{Target: "shop.example:443", Address: "192.0.2.12", Location: "local", Offer: "default"}
	c := leaf("shop.example", 88*day)
	return []report.Place{
		{
			Serving: inventory.Serving{View: v, Certificate: c.SHA256, FirstSeen: now().Add(-8 * day), LastSeen: now()},
			Expires: c.NotAfter, Owner: "web",
		},
		{
			Serving: inventory.Serving{View: v, Certificate: intermediate().SHA256, Position: 1, FirstSeen: now().Add(-80 * day), LastSeen: now().Add(-3 * day), LastKnown: true},
			Owner:   "=evil()\x1b[2J",
		},
	}
}

// grouped sorts the sample by a property.
func grouped(tb testing.TB, by string) []report.Group {
	tb.Helper()
	g, err := report.NewGrouper(by)
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range append(fleet(), hostile()) {
		g.Add(r)
	}
	return g.Groups()
}

func TestListingsGolden(t *testing.T) {
	t.Parallel()
	views := map[string]func(*bytes.Buffer, string, report.Options) error{
		"groups-owner": func(b *bytes.Buffer, f string, o report.Options) error {
			return report.Groups(b, f, grouped(t, "owner"), o)
		},
		"groups-issuer": func(b *bytes.Buffer, f string, o report.Options) error {
			return report.Groups(b, f, grouped(t, "issuer"), o)
		},
		"groups-certificate": func(b *bytes.Buffer, f string, o report.Options) error {
			return report.Groups(b, f, grouped(t, "certificate"), o)
		},
		"history": func(b *bytes.Buffer, f string, o report.Options) error { return report.History(b, f, spans(), o) },
		"findings": func(b *bytes.Buffer, f string, o report.Options) error {
			return report.FindingSpans(b, f, slices.Values(findingSpans()), o)
		},
		"changes": func(b *bytes.Buffer, f string, o report.Options) error { return report.Changes(b, f, changes(), o) },
		"where":   func(b *bytes.Buffer, f string, o report.Options) error { return report.Where(b, f, places(), o) },
	}
	for name, view := range views {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all bytes.Buffer
			for _, form := range []struct {
				format string
				width  int
			}{{"table", 80}, {"table", 0}, {"csv", 0}, {"json", 0}, {"jsonl", 0}} {
				var b bytes.Buffer
				if err := view(&b, form.format, report.Options{Width: form.width, Now: now(), Lookup: lookup()}); err != nil {
					t.Fatal(err)
				}
				for _, r := range strings.ReplaceAll(b.String(), "\r\n", "\n") {
					if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
						t.Errorf("%s at %d keeps %U", form.format, form.width, r)
					}
				}
				switch form.format {
				case "csv":
					parseCSV(t, b.Bytes())
				case "json":
					if !json.Valid(b.Bytes()) {
						t.Errorf("no JSON: %s", &b)
					}
				case "jsonl":
					for line := range bytes.Lines(b.Bytes()) {
						var typed struct {
							Type string `json:"type"`
						}
						if err := json.Unmarshal(line, &typed); err != nil || typed.Type == "" {
							t.Errorf("line %s: type %q, %v", line, typed.Type, err)
						}
					}
				case "table":
					for line := range strings.Lines(b.String()) {
						if n := len([]rune(line)) - 1; form.width > 0 && n > form.width {
							t.Errorf("%d columns are more than %d: %s", n, form.width, line)
						}
					}
				}
				all.WriteString("== " + form.format + "\n")
				all.Write(b.Bytes())
			}
			golden(t, name+".txt", all.Bytes())
		})
	}
}

func TestListingsOfNothing(t *testing.T) {
	t.Parallel()
	for _, format := range report.ListFormats() {
		var b bytes.Buffer
		if err := report.History(&b, format, nil, report.Options{Width: 80}); err != nil {
			t.Fatal(err)
		}
		if format == "json" && !json.Valid(b.Bytes()) {
			t.Errorf("no JSON: %s", &b)
		}
		if format == "table" && b.String() != "nothing is known of it\n" {
			t.Errorf("table = %q", &b)
		}
	}
	if err := report.History(new(bytes.Buffer), "prometheus", nil, report.Options{}); err == nil || !strings.Contains(err.Error(), "table, json, jsonl, csv") {
		t.Errorf("History(prometheus) = %v, want the known formats", err)
	}
	if _, err := report.NewGrouper("colour"); err == nil || !strings.Contains(err.Error(), "issuer") {
		t.Errorf("NewGrouper(colour) = %v, want the known properties", err)
	}
}

func TestGroupsCount(t *testing.T) {
	t.Parallel()
	for _, g := range grouped(t, "owner") {
		if g.Key != "web" {
			continue
		}
		if g.Targets != 1 || g.Endpoints != 1 || g.Certificates != 1 || g.Worst != inventory.Critical || g.NextTarget != "expired.example:443" {
			t.Errorf("web = %+v", g)
		}
		return
	}
	t.Error("no group of owner web")
}

func TestTreeGolden(t *testing.T) {
	t.Parallel()
	c := leaf("shop.example", 6*day+5*time.Hour)
	c.IssuerURLs, c.CRLURLs, c.MustStaple = []string{"http://aia.example/r1.der"}, []string{"http://crl.example/r1.crl"}, true
	c.Names = nil
	for _, n := range strings.Fields("shop api www img cdn pay login admin static assets help status") {
		c.Names = append(c.Names, n+".shop.example")
	}
	good := []inventory.StoreVerdict{
		{Name: "mozilla", Date: "2026-10-30", Status: inventory.Trusted, Paths: [][]inventory.Fingerprint{
			{c.SHA256, intermediate().SHA256, print256("Lab Root X1")},
			{c.SHA256, print256("a cross-sign that nobody kept"), print256("an older root")},
		}},
		{Name: "system", Status: inventory.TrustUnknownIssuer, Detail: "no issuer named CN=Lab Root X1\x1b[2J"},
	}
	evil := hostile().Endpoints[0].Judgement
	for _, tt := range []struct {
		file   string
		leaf   inventory.Certificate
		chain  []inventory.Certificate
		stores []inventory.StoreVerdict
		opt    report.Options
	}{
		{"tree.txt", c, []inventory.Certificate{intermediate()}, good, report.Options{Width: 80, Lookup: lookup()}},
		{"tree-color.txt", c, []inventory.Certificate{intermediate()}, good, report.Options{Width: 80, Color: true}},
		{"tree-hostile.txt", *evil.Certificate, nil, nil, report.Options{}},
		{"tree-malformed.txt", inventory.Certificate{SHA256: print256("x"), ParseError: "asn1: \x1b[2J truncated"}, nil, nil, report.Options{}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			tt.opt.Now = now()
			if err := report.Tree(&b, tt.leaf, tt.chain, tt.stores, tt.opt); err != nil {
				t.Fatal(err)
			}
			if got := strings.Count(b.String(), "\x1b[2J"); got != 0 {
				t.Errorf("%d escape sequences of strangers", got)
			}
			golden(t, tt.file, b.Bytes())
		})
	}
}

func TestTimeLeftIsNeverNothing(t *testing.T) {
	t.Parallel()
	for left, want := range map[time.Duration]string{
		24 * time.Minute: " 24m ", time.Hour: " 1h ", 47*time.Hour + 59*time.Minute: " 47h ", 48 * time.Hour: " 2d ",
	} {
		x := target("x.example:443")
		if out := string(write(t, "table", report.Options{Width: 100}, result(x, seen(x, "192.0.2.1", leaf(x.Host, left))))); !strings.Contains(out, want) {
			t.Errorf("%s are left, want %q:\n%s", left, want, out)
		}
	}
}
