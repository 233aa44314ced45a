package report_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
)

// fill sets every field below v to something that is not zero.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(now().Add(time.Duration(*n) * time.Hour)))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{192, 0, 2, byte(*n)})))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Map:
		if v.Type().Elem().Kind() != reflect.String {
			return // of certscan's own, and in no record
		}
		v.Set(reflect.ValueOf(map[string]string{"owner": "web", "b": "x", "a": "y"}))
	case reflect.String:
		v.SetString("text " + string(rune('a'+*n%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n) * int64(1500*time.Microsecond))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(uint64(*n))
	}
}

func TestEveryFieldIsEncodedAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	var full inventory.Result
	n := 0
	fill(reflect.ValueOf(&full).Elem(), &n)
	full.Endpoints = full.Endpoints[:1]
	bare := full
	bare.Judgement = inventory.TargetJudgement{Findings: []inventory.Finding{}}
	bare.Endpoints = []inventory.Endpoint{{Judgement: inventory.Judgement{
		Certificate: &inventory.Certificate{Names: []string{}},
		Verdict:     &inventory.Verdict{Trust: inventory.TrustVerdict{Stores: []inventory.StoreVerdict{{Paths: [][]inventory.Fingerprint{}}}}},
	}}}
	for name, r := range map[string]inventory.Result{"every field set": full, "no field set": bare} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := strings.Split(string(write(t, "jsonl", report.Options{}, r)), "\n")
			for i, rec := range []any{inventory.NewEndpointRecord(r.Target, r.Endpoints[0]), inventory.NewTargetRecord(r)} {
				var want bytes.Buffer
				if err := json.NewEncoder(&want).Encode(rec); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(strings.TrimSpace(want.String()), lines[i]); diff != "" {
					t.Errorf("%T (-encoding/json +ours):\n%s", rec, diff)
				}
			}
		})
	}
}

func FuzzTextSurvivesJSON(f *testing.F) {
	for _, s := range []string{"", `"\`, "\x00\x1f\x7f\n", "\u2028\u202e\u009b", "\U000e0041 日本", "\xff\xc3", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x := target("x.example:443")
		e := down(x, "192.0.2.1", inventory.ReachRefused, "", "")
		e.Observation.Reach.Detail = s
		line, _, _ := bytes.Cut(write(t, "jsonl", report.Options{}, result(x, e)), []byte("\n"))
		if !utf8.Valid(line) || report.Clean(string(line)) != string(line) {
			t.Fatalf("%q is written as %q", s, line)
		}
		var rec inventory.EndpointRecord
		if err := json.Unmarshal(line, &rec); err != nil {
			t.Fatalf("%q is written as %q: %v", s, line, err)
		}
		if want := strings.Map(func(r rune) rune { return r }, s); rec.Reach.Detail != want { // each bad byte is U+FFFD
			t.Fatalf("%q comes back as %q", s, rec.Reach.Detail)
		}
	})
}
