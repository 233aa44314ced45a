package report_test

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
)

// document is what --format json promises.
type document struct {
	Schema    int                        `json:"schema"`
	Scan      inventory.ScanInfo         `json:"scan"`
	Endpoints []inventory.EndpointRecord `json:"endpoints"`
	Targets   []inventory.TargetRecord   `json:"targets"`
	Findings  []inventory.Finding        `json:"findings"`
	Summary   inventory.Summary          `json:"summary"`
}

// strictly decodes b into v, where nothing may be left over.
func strictly(tb testing.TB, b []byte, v any) {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		tb.Fatalf("%v in %s", err, b)
	}
	if d.More() {
		tb.Fatalf("more than one value: %s", b)
	}
}

func TestJSONIsWhatWasPutIn(t *testing.T) {
	t.Parallel()
	results := append(fleet(), hostile())
	var doc document
	strictly(t, write(t, "json", report.Options{}, results...), &doc)
	if doc.Schema != inventory.RecordSchema || doc.Scan.ID != scanInfo().ID || doc.Summary.Targets != len(results) {
		t.Errorf("schema %d, scan %q, %d targets", doc.Schema, doc.Scan.ID, doc.Summary.Targets)
	}
	if len(doc.Targets) != len(results) || len(doc.Findings) != 1 {
		t.Errorf("%d targets and %d findings of the fleet, want %d and 1", len(doc.Targets), len(doc.Findings), len(results))
	}
	i := 0
	for _, r := range results {
		for _, e := range r.Endpoints {
			want := inventory.NewEndpointRecord(r.Target, e)
			want.Time = want.Time.Truncate(time.Second)
			if c := want.Certificate; c != nil {
				for j, n := range c.Names { // each byte that is no UTF-8 cannot survive JSON
					c.Names[j] = strings.ToValidUTF8(n, "\ufffd\ufffd")
				}
			}
			if diff := cmp.Diff(want, doc.Endpoints[i]); diff != "" {
				t.Errorf("endpoint %d (-want +got):\n%s", i, diff)
			}
			i++
		}
	}
	if i != len(doc.Endpoints) {
		t.Errorf("%d endpoints, want %d", len(doc.Endpoints), i)
	}
}

func TestJSONOfNothingIsValid(t *testing.T) {
	t.Parallel()
	var doc document
	strictly(t, write(t, "json", report.Options{}), &doc)
	if doc.Endpoints == nil || doc.Targets == nil || doc.Findings == nil || doc.Summary.Findings == nil || doc.Summary.OwnFaults == nil {
		t.Errorf("an empty list is null in %+v", doc)
	}
}

func TestJSONLinesNameTheirType(t *testing.T) {
	t.Parallel()
	var types []string
	lines := bufio.NewScanner(bytes.NewReader(write(t, "jsonl", report.Options{}, append(fleet(), hostile())...)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var kind struct {
			Type string `json:"type"`
		}
		if err := json.Unmarshal(lines.Bytes(), &kind); err != nil {
			t.Fatal(err)
		}
		types = append(types, kind.Type)
		switch kind.Type {
		case "endpoint":
			strictly(t, lines.Bytes(), new(inventory.EndpointRecord))
		case "target":
			strictly(t, lines.Bytes(), new(inventory.TargetRecord))
		case "summary":
			var sum struct {
				inventory.Summary
				Schema int                `json:"schema"`
				Scan   inventory.ScanInfo `json:"scan"`
			}
			strictly(t, lines.Bytes(), &sum)
			if sum.Schema != inventory.RecordSchema || sum.Scan.Version != "0.1.0" || sum.Targets != 13 || len(sum.Findings) != 1 {
				t.Errorf("summary = %+v", sum)
			}
		default:
			t.Errorf("type %q", kind.Type)
		}
	}
	if n := len(types); n == 0 || types[n-1] != "summary" || slices.Index(types, "summary") != n-1 {
		t.Errorf("types %v: want one summary, at the end", types)
	}
}

func TestTimesAreWholeSecondsUTC(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("CET", 3600)
	tgt := target("x.example:443")
	e := with(seen(tgt, "192.0.2.1", leaf("x.example", 9*day+time.Millisecond)), inventory.Info, "expiring", "soon")
	e.Judgement.Certificate.NotAfter = e.Judgement.Certificate.NotAfter.In(zone)
	e.Judgement.Expiry.At = e.Judgement.Expiry.At.In(zone)
	e.Judgement.LastSeen = now().Add(time.Microsecond).In(zone)
	e.Judgement.Findings[0].Since = now().Add(time.Nanosecond).In(zone)
	e.Judgement.Verdict.Revocation.CheckedAt = now().Add(time.Nanosecond).In(zone)
	for _, format := range []string{"json", "jsonl"} {
		out := string(write(t, format, report.Options{}, result(tgt, e)))
		if strings.Contains(out, "+01:00") || strings.Contains(out, ".123456") || strings.Contains(out, "08:00:00.0") {
			t.Errorf("%s: a time is not in whole seconds of UTC: %s", format, out)
		}
		if e.Judgement.LastSeen.Location() != zone || e.Judgement.Certificate.NotAfter.Location() != zone {
			t.Errorf("%s: the handler changed what it was given", format)
		}
	}
}

func TestCSVColumns(t *testing.T) {
	t.Parallel()
	out := write(t, "csv", report.Options{}, fleet()...)
	golden(t, "fleet.csv", out)
	rows := parseCSV(t, out)
	const header = "domain,port,protocol,address,location,expires,days_left,issuer,owner,environment,platform,names,key,serial,sha256,trust,revocation,status,findings,labels"
	if got := strings.Join(rows[0], ","); got != header {
		t.Errorf("header %s, want %s", got, header)
	}
	column := func(name string) int { return slices.Index(rows[0], name) }
	find := func(domain, address string) []string {
		for _, r := range rows {
			if r[0] == domain && (address == "" || r[column("address")] == address) {
				return r
			}
		}
		t.Fatalf("no row of %s %s", domain, address)
		return nil
	}
	for _, tt := range []struct{ domain, address, column, want string }{
		{"expired.example", "", "days_left", "-2"},
		{"expired.example", "", "expires", "2026-11-20T08:00:00Z"},
		{"expired.example", "", "status", "expired"},
		{"expired.example", "", "owner", "web"},
		{"expired.example", "", "labels", "cost centre=7"},
		{"quiet.example", "", "labels", ""},
		{"expired.example", "", "names", "expired.example www.expired.example"},
		{"chain.example", "", "findings", "incomplete_chain expiring deprecated_tls"},
		{"chain.example", "", "trust", "incomplete"},
		{"shop.example", "192.0.2.10", "findings", "partially_deployed"}, // of its target
		{"shop.example", "192.0.2.10", "status", "partially_deployed"},
		{"gone.example", "", "status", "refused"},
		{"gone.example", "", "days_left", ""}, // unknown, not 0
		{"gone.example", "", "expires", ""},
		{"nowhere.example", "", "status", "dns_nxdomain"},
		{"asleep.example", "", "status", "timeout"},
		{"asleep.example", "", "days_left", "20"}, // remembered
		{"v6.example", "2001:db8::80", "status", "no_route"},
		{"quiet.example", "", "status", "ok"},
		{"accepted.example", "", "findings", "ignored:self_signed"},
	} {
		if got := find(tt.domain, tt.address)[column(tt.column)]; got != tt.want {
			t.Errorf("%s of %s %s = %q, want %q", tt.column, tt.domain, tt.address, got, tt.want)
		}
	}
}

func parseCSV(tb testing.TB, b []byte) [][]string {
	tb.Helper()
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll() // checks that all rows are as long
	if err != nil {
		tb.Fatal(err)
	}
	return rows
}

func TestCSVDisarmsFormulas(t *testing.T) {
	t.Parallel()
	rows := parseCSV(t, write(t, "csv", report.Options{}, hostile()))
	if len(rows) != 2 {
		t.Fatalf("%d rows, want a header and one endpoint", len(rows))
	}
	for i, cell := range rows[1] {
		for part := range strings.SplitSeq(cell, ";") {
			if part = strings.TrimLeft(part, " \""); part != "" && strings.ContainsRune("=+-@＝＋－＠\t\r", []rune(part)[0]) {
				t.Errorf("%s = %q is a formula", rows[0][i], cell)
			}
		}
	}
	if got, want := rows[1][11], `'=1+1 a\x20b\x00c x;'=cmd|'\x20/C\x20calc'!A0 \xff\xfe two\x0d\x0alines 日本語.example`; got != want {
		t.Errorf("names = %q, want %q", got, want)
	}
	if got := rows[1][6]; got != "10" {
		t.Errorf("days_left = %q, want 10", got)
	}
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"", "=1+1", " -2", "\"@x", "a;=1", "a\r\nb", "\xff", "\u202e", ";;\t="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x := target("x.example:443")
		x.Labels = map[string]string{"owner": s}
		rows := parseCSV(t, write(t, "csv", report.Options{}, result(x, down(x, s, inventory.ReachRefused, "", ""))))
		if len(rows) != 2 {
			t.Fatalf("%q makes %d rows", s, len(rows))
		}
		for _, cell := range []string{rows[1][3], rows[1][8]} {
			if report.Clean(cell) != cell {
				t.Fatalf("%q is written as %q", s, cell)
			}
			for part := range strings.SplitSeq(cell, ";") {
				if part = strings.TrimLeft(part, " \""); part != "" && strings.ContainsRune("=+-@＝＋－＠", []rune(part)[0]) {
					t.Fatalf("%q is written as %q", s, cell)
				}
			}
		}
	})
}

// families parses text as Prometheus would.
func families(tb testing.TB, b []byte) map[string]*dto.MetricFamily {
	tb.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	fs, err := p.TextToMetricFamilies(bytes.NewReader(b))
	if err != nil {
		tb.Fatalf("%v in\n%s", err, b)
	}
	return fs
}

func TestPrometheusText(t *testing.T) {
	t.Parallel()
	out := write(t, "prometheus", report.Options{}, append(fleet(), hostile())...)
	golden(t, "fleet.prom", out)
	problems, err := promlint.New(bytes.NewReader(out)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	seen := map[string]bool{}
	for name, f := range families(t, out) {
		if f.GetHelp() == "" || f.GetType() != dto.MetricType_GAUGE || !strings.HasPrefix(name, "certscan_") {
			t.Errorf("%s: type %v, help %q", name, f.GetType(), f.GetHelp())
		}
		for _, m := range f.GetMetric() {
			key := name + fmt.Sprint(m.GetLabel())
			if seen[key] {
				t.Errorf("%s is there twice", key)
			}
			seen[key] = true
		}
	}
}

func TestPrometheusLeavesOutWhatIsUnknown(t *testing.T) {
	t.Parallel()
	fs := families(t, write(t, "prometheus", report.Options{}, fleet()...))
	value := func(name, target, address string) (float64, bool) {
		for _, m := range fs[name].GetMetric() {
			l := map[string]string{}
			for _, p := range m.GetLabel() {
				l[p.GetName()] = p.GetValue()
			}
			if l["target"] == target && l["address"] == address {
				return m.GetGauge().GetValue(), true
			}
		}
		return 0, false
	}
	const expiry, up = "certscan_target_expiry_timestamp_seconds", "certscan_endpoint_up"
	for _, tt := range []struct {
		name, metric, target, address string
		want                          float64
		absent                        bool
	}{
		{name: "unreachable has no expiry", metric: expiry, target: "gone.example:443", absent: true},
		{name: "unreachable is down", metric: up, target: "gone.example:443", address: "192.0.2.40"},
		{name: "a name without address is down", metric: up, target: "nowhere.example:443"},
		{name: "a remembered certificate counts down", metric: expiry, target: "asleep.example:8443", want: float64(now().Add(20 * day).Unix())},
		{name: "expired keeps its expiry", metric: expiry, target: "expired.example:443", want: float64(now().Add(-2 * day).Unix())},
		{name: "expired is tier 0", metric: "certscan_target_expiry_tier_seconds", target: "expired.example:443"},
		{name: "no tier outside all", metric: "certscan_target_expiry_tier_seconds", target: "quiet.example:443", absent: true},
		{name: "the scanner's own fault says nothing", metric: up, target: "v6.example:443", address: "2001:db8::80", absent: true},
		{name: "the other address is up", metric: up, target: "v6.example:443", address: "192.0.2.80", want: 1},
		{name: "never seen never succeeded", metric: "certscan_endpoint_last_success_timestamp_seconds", target: "gone.example:443", address: "192.0.2.40", absent: true},
		{name: "distinct certificates", metric: "certscan_target_distinct_certificates", target: "shop.example:443", want: 2},
		{name: "ignored findings are no series", metric: "certscan_target_finding", target: "accepted.example:443", absent: true},
		{name: "not verified", metric: "certscan_target_verified", target: "gone.example:443"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := value(tt.metric, tt.target, tt.address)
			if ok == tt.absent || got != tt.want {
				t.Errorf("%s of %s %s = %v (present: %t), want %v (present: %t)", tt.metric, tt.target, tt.address, got, ok, tt.want, !tt.absent)
			}
		})
	}
}

func TestHostileTextReachesNoOutputRaw(t *testing.T) {
	t.Parallel()
	for _, format := range report.Formats() {
		for _, width := range []int{0, 40, 80, 200} {
			out := string(write(t, format, report.Options{Width: width}, hostile()))
			if format == "csv" {
				out = strings.ReplaceAll(out, "\r\n", "\n")
			}
			if !utf8.ValidString(out) {
				t.Errorf("%s at %d is not UTF-8", format, width)
			}
			for i, r := range out {
				if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
					t.Errorf("%s at %d keeps %U: %q", format, width, r, out[max(0, i-20):min(len(out), i+20)])
				}
			}
		}
	}
}
