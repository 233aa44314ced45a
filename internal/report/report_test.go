package report_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with testdata/name.
func golden(tb testing.TB, name string, got []byte) {
	tb.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		tb.Errorf("%s (-want +got; -update if this is better):\n%s", path, diff)
	}
}

// write reports results in format and returns what was written.
func write(tb testing.TB, format string, opt report.Options, results ...inventory.Result) []byte {
	tb.Helper()
	var buf bytes.Buffer
	if opt.Now.IsZero() {
		opt.Now = now()
	}
	h, err := report.New(format, &buf, opt)
	if err != nil {
		tb.Fatal(err)
	}
	tally := report.Tally{Now: now()}
	for _, r := range results {
		tally.Add(r)
		if err := h.Result(r); err != nil {
			tb.Fatal(err)
		}
	}
	if len(results) > 1 {
		tally.AddFindings(inventory.Finding{
			Code: inventory.CodeKeyReused, Severity: inventory.Warning, Message: "one key serves 3 names of different owners",
			Subject: inventory.Subject{Kind: inventory.SubjectCertificate, ID: strings.Repeat("ab", 32)},
		})
	}
	sum := tally.Summary()
	if len(results) > 1 {
		sum.OwnFaults = []inventory.OwnFault{{
			Code: "no_route", Message: "this machine has no route for IPv6; those addresses were not examined (--addresses v4 leaves them out)", Count: 1,
		}}
	}
	if err := h.Close(scanInfo(), sum); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func TestTableGolden(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		file string
		opt  report.Options
		of   []inventory.Result
	}{
		{"table-80.txt", report.Options{Width: 80}, fleet()},
		{"table-80-color.txt", report.Options{Width: 80, Color: true}, fleet()},
		{"table-120.txt", report.Options{Width: 120}, fleet()},
		{"table-piped.txt", report.Options{}, fleet()},
		{"table-problems.txt", report.Options{Width: 80, OnlyProblems: true}, fleet()},
		{"table-hostile.txt", report.Options{Width: 80}, []inventory.Result{hostile()}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			golden(t, tt.file, write(t, "table", tt.opt, tt.of...))
		})
	}
}

func TestAnOfferThatSaysTheSameIsNoRow(t *testing.T) {
	t.Parallel()
	x := target("x.example:443")
	first := with(seen(x, "192.0.2.1", leaf(x.Host, -day)), inventory.Critical, inventory.CodeExpired, "expired yesterday")
	same, other, none := first, first, down(x, "192.0.2.1", inventory.ReachTLSAlert, "", "")
	same.Observation.Offer, other.Observation.Offer, none.Observation.Offer = inventory.OfferECDSA, inventory.OfferNoSNI, inventory.OfferRSA
	other = with(other, inventory.Info, inventory.CodeDefaultCertificateDiffers, "another")
	out := string(write(t, "table", report.Options{Width: 80}, result(x, first, same, other, none)))
	if strings.Contains(out, "ecdsa") || strings.Contains(out, "rsa") || strings.Count(out, "no_sni") != 1 || strings.Count(out, "expired yesterday") != 1 {
		t.Errorf("want the default and no_sni rows only, and one message:\n%s", out)
	}
	rows := parseCSV(t, write(t, "csv", report.Options{}, result(x, first, same, other, none)))
	if status := slices.Index(rows[0], "status"); len(rows) != 3 || rows[1][status] != "expired" || rows[2][status] != "no_sni: expired" {
		t.Errorf("want rows of the default and no_sni offers, told apart:\n%q", rows)
	}
}

func TestTableFitsTheTerminal(t *testing.T) {
	t.Parallel()
	wide := target("wide.example:443")
	c := leaf(wide.Host, 33*day)
	c.IssuerCN, c.IssuerOrg = "日本の認証局のとても長い名前 第一号", "日本語"
	results := append(fleet(), hostile(), result(wide, seen(wide, "192.0.2.3", c)))
	for width := 60; width <= 200; width += 7 {
		for line := range strings.Lines(string(write(t, "table", report.Options{Width: width}, results...))) {
			if got := uniseg.StringWidth(strings.TrimSuffix(line, "\n")); got > width {
				t.Errorf("%d columns on a terminal of %d: %q", got, width, line)
			}
		}
	}
}

func TestPipedTableIsForAwk(t *testing.T) {
	t.Parallel()
	table, _, _ := strings.Cut(string(write(t, "table", report.Options{}, append(fleet(), hostile())...)), "\n\n")
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 6 || f[0] == "" {
			t.Errorf("%d fields in %q, want at least 6", len(f), line)
			continue
		}
		if _, err := strconv.Atoi(f[3]); err != nil && f[3] != "-" && f[3] != "DAYS" {
			t.Errorf("the fourth field of %q is no number", line)
		}
	}
}

func TestManyWarningsAreCut(t *testing.T) {
	t.Parallel()
	var results []inventory.Result
	for i := range 50 {
		x := target(fmt.Sprintf("n%02d.example:443", i))
		results = append(results, result(x, with(seen(x, "192.0.2.1", leaf(x.Host, 50*day)), inventory.Warning, inventory.CodeDeprecatedTLS, "TLS 1.0 was negotiated")))
	}
	out := string(write(t, "table", report.Options{Width: 80}, results...))
	if got := strings.Count(out, "TLS 1.0 was negotiated"); got != 19 { // and one of the fleet
		t.Errorf("%d warnings are told, want 19", got)
	}
	if !strings.Contains(out, "and 31 more; --format json has all") {
		t.Errorf("nothing says how many were left out:\n%s", out)
	}
}

func TestAPartialScanSaysSo(t *testing.T) {
	t.Parallel()
	for _, format := range report.Formats() {
		var b bytes.Buffer
		h, err := report.New(format, &b, report.Options{Width: 80, Now: now()})
		if err != nil {
			t.Fatal(err)
		}
		info := scanInfo()
		info.Partial = true
		if err := h.Close(info, inventory.Summary{TargetsNotExamined: 7, Partial: true}); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"table": "Partial   this scan was interrupted; 7 targets were not examined\n", "json": `"partial":true`,
			"jsonl": `"partial":true`, "prometheus": "certscan_scan_partial 1\n",
			"sarif": `"executionSuccessful":false`, "junit": `message="this scan was interrupted; 7 targets were not examined"`,
		}[format]
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s: %s does not say %q", format, &b, want)
		}
	}
}

func TestUnknownFormatListsTheKnownOnes(t *testing.T) {
	t.Parallel()
	_, err := report.New("xml", io.Discard, report.Options{})
	if err == nil || !strings.Contains(err.Error(), `"xml"`) || !strings.Contains(err.Error(), "table, json, jsonl, csv, prometheus") {
		t.Errorf("New(xml) = %v, want the format and the known ones", err)
	}
}

// full is a disk without space.
type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestAResultThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	for _, format := range report.Formats() {
		h, err := report.New(format, full{}, report.Options{Now: now()})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range fleet() {
			err = errors.Join(err, h.Result(r))
		}
		if err := h.Close(scanInfo(), inventory.Summary{}); !errors.Is(err, errFull) {
			t.Errorf("%s: Close = %v, want %v", format, err, errFull)
		}
	}
}

func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	t.Parallel()
	back := fleet()
	for i, j := 0, len(back)-1; i < j; i, j = i+1, j-1 {
		back[i], back[j] = back[j], back[i]
	}
	for _, format := range []string{"table", "prometheus"} {
		if diff := cmp.Diff(string(write(t, format, report.Options{}, fleet()...)), string(write(t, format, report.Options{}, back...))); diff != "" {
			t.Errorf("%s (-forwards +backwards):\n%s", format, diff)
		}
	}
}

func BenchmarkEndpoint(b *testing.B) {
	results := make([]inventory.Result, 10_000)
	for i := range results {
		t := target(strings.Repeat("x", i%7) + "host.example:443")
		results[i] = result(t, with(seen(t, "192.0.2.1", leaf(t.Host, time.Duration(i%90)*day)), inventory.Warning, inventory.CodeExpiring, "expires soon"))
		results[i].Target.Port = uint16(i)
	}
	for _, format := range report.Formats() {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h, err := report.New(format, io.Discard, report.Options{Width: 80, Now: now()})
				if err != nil {
					b.Fatal(err)
				}
				for _, r := range results {
					if err := h.Result(r); err != nil {
						b.Fatal(err)
					}
				}
				if err := h.Close(inventory.ScanInfo{}, inventory.Summary{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(results)), "µs/endpoint")
		})
	}
}

func TestOrderDoesNotDependOnWhoIsDoneFirst(t *testing.T) {
	t.Parallel()
	one := fleet()
	other := fleet()
	slices.Reverse(other)
	for i := range other {
		slices.Reverse(other[i].Endpoints)
	}
	for _, format := range []string{"csv", "junit"} {
		if diff := cmp.Diff(string(write(t, format, report.Options{}, one...)), string(write(t, format, report.Options{}, other...))); diff != "" {
			t.Errorf("%s (-one order +the other):\n%s", format, diff)
		}
	}
}
