package onecrl_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/onecrl"
)

const (
	bySerial = `{"schema":1,"details":{"bug":"1"},"enabled":false,"issuerName":"MAA=","serialNumber":"AQI=","id":"a"}`
	byKey    = `{"subject":"MAA=","pubKeyHash":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","id":"b"}`
)

func TestRead(t *testing.T) {
	t.Parallel()
	one := inventory.OneCRLEntry{Issuer: []byte{0x30, 0}, Serial: []byte{1, 2}, Subject: []byte{}, KeyHash: []byte{}}
	two := inventory.OneCRLEntry{Issuer: []byte{}, Serial: []byte{}, Subject: []byte{0x30, 0}, KeyHash: make([]byte, 32)}
	tests := []struct {
		name, text string
		want       []inventory.OneCRLEntry
		problems   []string
		err        string
	}{
		{name: "as published", text: `{"data":[` + bySerial + `,` + byKey + `],"timestamp":1}`, want: []inventory.OneCRLEntry{one, two}},
		{name: "just the records", text: "\n[" + byKey + "]", want: []inventory.OneCRLEntry{two}},
		{
			name: "a bad record does not hide the next", want: []inventory.OneCRLEntry{one},
			text:     `{"data":[{"issuerName":"MAA"},{"issuerName":"MAA="},7,{"subject":"MAA=","pubKeyHash":"AAAA"},` + bySerial + `]}`,
			problems: []string{"record 1: issuerName: illegal base64", "record 2: neither", "record 3: json:", "record 4: pubKeyHash: 3 octets"},
		},
		{name: "not JSON", text: "{\n\n]", err: "line 3: invalid character"},
		{name: "nothing", text: "", err: "unexpected end"},
		{name: "no record", text: "{}", err: "no revoked intermediate in it: 0 records"},
		{name: "no good record", text: `[{}]`, err: "record 1: neither"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, problems, err := onecrl.Read(strings.NewReader(tt.text))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("err = %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
			if len(problems) != len(tt.problems) {
				t.Fatalf("problems = %v, want %q", problems, tt.problems)
			}
			for i, p := range problems {
				if !strings.HasPrefix(p.Error(), tt.problems[i]) {
					t.Errorf("problem = %q, want %q", p, tt.problems[i])
				}
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"data":[` + bySerial + `,` + byKey + `]}`))
	f.Add([]byte("[{}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, _, err := onecrl.Read(bytes.NewReader(data))
		if (err == nil) != (len(entries) > 0) {
			t.Errorf("%d entries and the error %v", len(entries), err)
		}
		for _, e := range entries {
			if (len(e.Issuer) == 0 || len(e.Serial) == 0) && (len(e.Subject) == 0 || len(e.KeyHash) != 32) {
				t.Errorf("an entry that names nothing: %+v", e)
			}
		}
	})
}
