package ct_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/ct"
	"example.com/certscan/internal/inventory"
)

// A key of a log, as lists have it.
type key struct {
	der   []byte
	id    inventory.Fingerprint
	logID string
	spki  string
}

func keyOf(tb testing.TB, public crypto.PublicKey) key {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		tb.Fatal(err)
	}
	id := sha256.Sum256(der)
	return key{der, id, base64.StdEncoding.EncodeToString(id[:]), base64.StdEncoding.EncodeToString(der)}
}

func newKey(tb testing.TB, curve elliptic.Curve) key {
	tb.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return keyOf(tb, k.Public())
}

// log is a log of a list; more is further fields, each with a comma before it.
func log(k key, more string) string {
	return fmt.Sprintf(`{"description":"A log","log_id":%q,"key":%q%s}`, k.logID, k.spki, more)
}

func list(logs, tiled string) string {
	return `{"version":"93.1","log_list_timestamp":"2026-11-20T12:00:00Z","operators":[{"name":"Lab","email":["a@example.com"],"logs":[` +
		logs + `],"tiled_logs":[` + tiled + `]}]}`
}

func TestParseLogList(t *testing.T) {
	t.Parallel()
	a, b := newKey(t, elliptic.P256()), newKey(t, elliptic.P256())
	got, problems, err := ct.ParseLogList([]byte("\xef\xbb\xbf" + list(
		log(a, `,"url":"https://a.example/","mmd":86400,"log_type":"prod","dns":"ignored",
			"state":{"readonly":{"timestamp":"2025-01-02T03:04:05Z","final_tree_head":{"tree_size":7,"sha256_root_hash":"AA=="}}},
			"temporal_interval":{"start_inclusive":"2026-01-01T00:00:00Z","end_exclusive":"2027-01-01T00:00:00Z"},
			"previous_operators":[{"name":"Later","end_time":"2024-06-01T00:00:00Z"},{"name":"Earlier","end_time":"2023-06-01T00:00:00Z"}]`),
		log(b, `,"submission_url":"https://b.example/","monitoring_url":"https://tiles.b.example/","mmd":60,"state":{"usable":{"timestamp":"2026-01-02T00:00:00Z"}}`),
	)))
	if err != nil || len(problems) > 0 {
		t.Fatalf("ParseLogList: %v, %v", problems, err)
	}
	utc := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	want := inventory.LogList{
		Version: "93.1", Date: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC),
		Logs: map[inventory.Fingerprint]inventory.Log{
			a.id: {
				ID: a.id, Description: "A log", Operator: "Lab", Key: a.der, MMD: 24 * time.Hour, URL: "https://a.example/",
				State: inventory.LogReadOnly, StateSince: time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC),
				Operators:   []inventory.LogOperator{{Name: "Earlier", Until: utc(2023, 6, 1)}, {Name: "Later", Until: utc(2024, 6, 1)}},
				AcceptsFrom: utc(2026, 1, 1), AcceptsTo: utc(2027, 1, 1),
			},
			b.id: {
				ID: b.id, Description: "A log", Operator: "Lab", Key: b.der, MMD: time.Minute, URL: "https://b.example/",
				Monitoring: "https://tiles.b.example/", Tiled: true, State: inventory.LogUsable, StateSince: utc(2026, 1, 2),
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

func TestOneBadLogCostsOnlyItself(t *testing.T) {
	t.Parallel()
	good, other := newKey(t, elliptic.P256()), newKey(t, elliptic.P256())
	foreign := other
	foreign.logID = good.logID
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	noKey := keyOf(t, edwards.Public())
	noKey.spki = base64.StdEncoding.EncodeToString([]byte("junk"))
	id := sha256.Sum256([]byte("junk"))
	noKey.logID = base64.StdEncoding.EncodeToString(id[:])
	for _, tt := range []struct{ name, bad, want string }{
		{"an ID that is not the hash of the key", log(foreign, ""), "not the SHA-256 of its key"},
		{"a key that is none", log(noKey, ""), "its key: "},
		{"a key on another curve", log(newKey(t, elliptic.P384()), ""), "neither of P-256 nor RSA"},
		{"an Ed25519 key", log(keyOf(t, edwards.Public()), ""), "neither of P-256 nor RSA"},
		{"a short RSA key", log(keyOf(t, small.Public()), ""), "neither of P-256 nor RSA"},
		{"two states", log(other, `,"state":{"usable":{},"retired":{"timestamp":"2026-01-01T00:00:00Z"}}`), "more than one state"},
		{"an unknown state", log(other, `,"state":{"frozen":{}}`), `its state "frozen" is not known`},
		{"a retirement without a date", log(other, `,"state":{"retired":{}}`), "since when is not said"},
		{"an interval that ends before it begins", log(other, `,"temporal_interval":{"start_inclusive":"2027-01-01T00:00:00Z","end_exclusive":"2026-01-01T00:00:00Z"}`), "interval is empty"},
		{"a former operator without an end", log(other, `,"previous_operators":[{"name":"Earlier"}]`), "without a name or an end"},
		{"a negative delay", log(other, `,"mmd":-1`), "maximum merge delay of -1"},
		{"a date that is none", log(other, `,"state":{"usable":{"timestamp":"yesterday"}}`), "yesterday"},
		{"the same log again", log(good, ""), "twice"},
		{"something that is no log", `[1,2]`, "cannot unmarshal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, problems, err := ct.ParseLogList([]byte(list(log(good, `,"state":{"usable":{}}`)+","+tt.bad, "")))
			if err != nil || len(got.Logs) != 1 || got.Logs[good.id].State != inventory.LogUsable {
				t.Fatalf("logs %v, %v, want the good one alone", got.Logs, err)
			}
			if len(problems) != 1 || !strings.Contains(problems[0].Error(), tt.want) || !strings.Contains(problems[0].Error(), `operator "Lab"`) {
				t.Errorf("problems %v, want one with %q", problems, tt.want)
			}
		})
	}
}

func TestWhatIsNoList(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", "not a list of logs in JSON"},
		{"a web page", "<!DOCTYPE html>", "not a list of logs in JSON"},
		{"another file", `{"schema":1}`, "no log in it that can be used"},
		{"a list of bad logs", list(`{"description":"Bad"}`, ""), `log "Bad" of operator "Lab": its ID`},
		{"too much", strings.Repeat(" ", ct.MaxListSize+1), "larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := ct.ReadLogList(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ReadLogList: %v, want %q", err, tt.want)
			}
		})
	}
	broken := errors.New("broken pipe")
	if _, _, err := ct.ReadLogList(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("ReadLogList: %v, want %v", err, broken)
	}
}

func TestALogWithoutAStateIsPending(t *testing.T) {
	t.Parallel()
	k := newKey(t, elliptic.P256())
	got, _, err := ct.ParseLogList([]byte(`{"operators":[{"name":"Lab","logs":[` + log(k, "") + `]}]}`))
	if err != nil || got.Logs[k.id].State != inventory.LogPending || !got.Date.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzParseLogList(f *testing.F) {
	k := newKey(f, elliptic.P256())
	f.Add([]byte(list(log(k, `,"state":{"retired":{"timestamp":"2026-01-01T00:00:00Z"}}`), "")))
	f.Add([]byte(list("", log(k, `,"state":{"usable":{"timestamp":"2026-01-01T00:00:00Z"}}`))))
	f.Add([]byte(`{"operators":[null,{"logs":[null]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, _, err := ct.ParseLogList(data)
		if (err == nil) != (len(got.Logs) > 0) {
			t.Fatalf("%d logs, %v", len(got.Logs), err)
		}
		for id, l := range got.Logs {
			if h := sha256.Sum256(l.Key); id != l.ID || !bytes.Equal(h[:], id[:]) || l.State == "" {
				t.Errorf("log %+v", l)
			}
		}
	})
}
