package inventory_test

import (
	"strings"
	"testing"

	"example.com/certscan/internal/inventory"
)

func TestParseName(t *testing.T) {
	t.Parallel()
	for _, alike := range [][]string{
		{
			"CN=NI,O=T", "O=T,CN=NI", "O = T, CN = NI", "O=T, CN=NI", "issuer=O = T, CN = NI", "issuer= /O=T/CN=NI", "/O=T/CN=NI",
			"cn=ni,o=t", "commonName=NI, organizationName=T", `O = "T", CN = NI`, `CN=\4eI,O=T`, "CN=NI; O=T",
		},
		{`CN=R,O=T\, Inc.`, `O = "T, Inc.", CN = R`, `/O=T, Inc./CN=R`, `CN=R,O=T\2c  Inc.`},
		{`CN=a/b,O=T`, `/O=T/CN=a/b`},
		{`CN=é`, `CN = \C3\A9`},
		{`OU=b+CN=a,C=XX`, `C = XX, CN = a + OU = b`},
		{`2.5.4.97=#0c045641542d,CN=x`, `CN = x, organizationIdentifier = VAT-`},
		{`CN=x\ `, `CN = x`},
		{`ST=a`, `S=a`},
	} {
		want, err := inventory.ParseName(alike[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range alike[1:] {
			if got, err := inventory.ParseName(s); got != want || err != nil {
				t.Errorf("ParseName(%q) = %q, %v, want %q as of %q", s, got, err, want, alike[0])
			}
		}
	}
	different := map[inventory.NameKey]string{}
	for _, s := range []string{"CN=a", "O=a", "CN=a,O=b", "CN=b,O=a", `CN=a\,O=b`, "CN=a+O=b", "CN=a,O=b,C=c", "O=b,CN=a,C=c", `CN=a\+O=b`, "CN=#0300"} {
		key, err := inventory.ParseName(s)
		if other, ok := different[key]; ok || err != nil {
			t.Errorf("%q and %q have the key %q, %v", s, other, key, err)
		}
		different[key] = s
	}
	for s, want := range map[string]string{
		"Root CA": "is no part of a name", "foo=bar": `"foo" is no attribute`, "CN=a, Inc.": `"Inc." is no part`,
		`CN=a\`: "followed by nothing", "": "is no part", "=a": `"" is no attribute`,
	} {
		if key, err := inventory.ParseName(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseName(%q) = %q, %v, want %q in it", s, key, err, want)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"CN=a,O=b", `O = "a, b" + CN = \C3\A9`, "/C=x/CN=a/b", "2.5.4.97=#0c0141", `CN=\`, `CN="`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := inventory.ParseName(s)
		if (err == nil) == (key == "") {
			t.Errorf("ParseName(%q) = %q, %v", s, key, err)
		}
	})
}
