package blocklist_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"testing"

	"example.com/certscan/internal/blocklist"
	"example.com/certscan/internal/inventory"
)

func TestList(t *testing.T) {
	t.Parallel()
	key := inventory.FingerprintOf([]byte("a key"))
	sum := sha1.Sum([]byte("Modulus=C0FFEE\n"))
	text := hex.EncodeToString(sum[:])
	none := sha1.Sum([]byte("Modulus=BAD\n"))
	for _, tt := range []struct {
		name    string
		file    string
		modulus []byte
		blocked bool
	}{
		{"a key by its SHA-256", key.String() + "\n", nil, true},
		{"in upper case, among others", "# mine\n\n" + strings.Repeat("0", 64) + "\r\n" + strings.ToUpper(key.String()), nil, true},
		{"a modulus by the end of its SHA-1, as Debian has it", text[20:] + "\n", sum[:], true},
		{"a modulus by the whole of it", text + "\n", sum[:], true},
		{"another modulus", text + "\n", none[:], false},
		{"a key that is not RSA", text + "\n", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, err := blocklist.Read(strings.NewReader(tt.file))
			if err != nil {
				t.Fatal(err)
			}
			if got := l.Blocked(key, tt.modulus); got != tt.blocked {
				t.Errorf("Blocked = %t, want %t", got, tt.blocked)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ file, want string }{
		{"", "no key"},
		{"# nothing\n", "no key"},
		{strings.Repeat("0", 20) + "\nhello\n", "line 2: not hexadecimal"},
		{"abcd", "line 1: 4 hexadecimal digits"},
		{strings.Repeat("0", 300), "line 1: "},
	} {
		if _, err := blocklist.Read(strings.NewReader(tt.file)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Read(%.10q): %v, want %q", tt.file, err, tt.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("# x\n" + strings.Repeat("0a", 10) + "\n" + strings.Repeat("Ff", 32)))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := blocklist.Read(bytes.NewReader(b))
		if (l == nil) == (err == nil) {
			t.Fatalf("list %v, error %v", l, err)
		}
		if l != nil {
			l.Blocked(inventory.FingerprintOf(b), make([]byte, sha1.Size))
		}
	})
}
