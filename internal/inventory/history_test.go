package inventory_test

import (
	"strings"
	"testing"

	"example.com/certscan/internal/inventory"
)

func TestParseQuery(t *testing.T) {
	t.Parallel()
	full := strings.Repeat("0a", 32)
	for in, want := range map[string]inventory.Query{
		"WWW.Example.COM.":    {Name: "www.example.com"},
		".example.com":        {Name: ".example.com"},
		"*.example.com":       {Name: "*.example.com"},
		"192.0.2.7":           {Name: "192.0.2.7"},
		"fe80::1":             {Name: "fe80::1"},
		full:                  {Digest: full, Name: full},
		strings.ToUpper(full): {Digest: full, Name: full},
		"0A:0A:0A:0A":         {Digest: "0a0a0a0a", Name: "0a:0a:0a:0a"},
		"deadbeef":            {Digest: "deadbeef", Name: "deadbeef"},
		"localhost":           {Name: "localhost"},
		strings.TrimRight(strings.Repeat("0a:", 32), ":"): {
			Digest: full, Name: strings.TrimRight(strings.Repeat("0a:", 32), ":"),
		},
	} {
		if got, err := inventory.ParseQuery(in); err != nil || got != want {
			t.Errorf("ParseQuery(%q) = %+v, %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", " ", ".", "*", "abc", "1234567", full + "0"} {
		if got, err := inventory.ParseQuery(in); err == nil {
			t.Errorf("ParseQuery(%q) = %+v, want an error", in, got)
		}
	}
}
