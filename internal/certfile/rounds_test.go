package certfile_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/asn1"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"example.com/certscan/internal/certfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tlv(tag byte, contents ...string) string {
	content := strings.Join(contents, "")
	switch n := len(content); {
	case n < 128:
		return string([]byte{tag, byte(n)}) + content
	case n < 256:
		return string([]byte{tag, 0x81, byte(n)}) + content
	default:
		return string([]byte{tag, 0x82, byte(n >> 8), byte(n)}) + content
	}
}

// der is an INTEGER or an OBJECT IDENTIFIER.
func der(t *testing.T, v any) string {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pbes2 is an algorithm of RFC 8018 with AES-256, a salt of the tag, so many rounds,
// and more after them.
func pbes2(t *testing.T, saltTag byte, rounds int, more string) string {
	t.Helper()
	kdf := tlv(0x30, der(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}),
		tlv(0x30, tlv(saltTag, "saltsalt"), der(t, rounds), tlv(0x30, der(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}), "\x05\x00"), more))
	enc := tlv(0x30, der(t, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}), tlv(0x04, strings.Repeat("\x00", 16)))
	return tlv(0x30, der(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}), tlv(0x30, kdf, enc))
}

// pfx is a file with one encrypted part, and an empty one.
func pfx(t *testing.T, algorithm, encrypted string) string {
	t.Helper()
	data, safe := der(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}), der(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6})
	part := tlv(0x30, safe, tlv(0xa0, tlv(0x30, der(t, 0), tlv(0x30, data, algorithm, tlv(0x80, encrypted)))))
	empty := tlv(0x30, data, tlv(0xa0, tlv(0x04, tlv(0x30))))
	return tlv(0x30, der(t, 3), tlv(0x30, data, tlv(0xa0, tlv(0x04, tlv(0x30, part, empty)))))
}

// hidden is a file whose key asks for so many rounds, which shows when the part
// around it is decrypted.
func hidden(t *testing.T, rounds int) string {
	t.Helper()
	bag := tlv(0x30, der(t, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}),
		tlv(0xa0, tlv(0x30, pbes2(t, 0x04, rounds, ""), tlv(0x04, strings.Repeat("\x00", 32)))))
	bags := tlv(0x30, bag)
	pad := 16 - len(bags)%16
	bags += strings.Repeat(string([]byte{byte(pad)}), pad)
	key, err := pbkdf2.Key(sha256.New, "", []byte("saltsalt"), 1000, 32)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(bags))
	cipher.NewCBCEncrypter(block, make([]byte, 16)).CryptBlocks(out, []byte(bags))
	return pfx(t, pbes2(t, 0x04, 1000, ""), string(out))
}

// Rounds that can be seen are seen however they are written.
func TestRoundsInDisguise(t *testing.T) {
	t.Parallel()
	for name, algorithm := range map[string]string{
		"an OCTET STRING":                 pbes2(t, 0x04, 100_000_000, ""),
		"a salt of a context":             pbes2(t, 0x84, 100_000_000, ""),
		"a salt in parts":                 pbes2(t, 0x24, 100_000_000, ""),
		"a salt of a private context":     pbes2(t, 0xe4, 100_000_000, ""),
		"beside a tag that has two bytes": pbes2(t, 0x04, 100_000_000, "\x9f\x1f\x00"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := certfile.ReadFrom(strings.NewReader(pfx(t, algorithm, strings.Repeat("\x00", 32))), "x.p12", certfile.Options{})
			if err == nil || !strings.Contains(err.Error(), "rounds of key derivation") || strings.Contains(err.Error(), "too long") {
				t.Errorf("error = %v, want the rounds to be refused", err)
			}
		})
	}
}

// What shows only when it is too late is given up, once: what comes after it is
// not begun.
func TestRoundsThatAreHidden(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a.p12", []byte(hidden(t, 2_000_000)))
	write(t, dir, "b.p12", []byte(hidden(t, 1000)))
	opt, wait := certfile.Impatient(certfile.Options{Passwords: []string{"a", "b"}}, 30*time.Millisecond)
	defer wait()
	_, problems := certfile.ReadAll([]string{dir}, opt)
	if len(problems) != 2 {
		t.Fatalf("problems = %v, want 2", problems)
	}
	for i, want := range []string{filepath.Join(dir, "a.p12") + ": PKCS #12 takes too long", filepath.Join(dir, "b.p12") + ": PKCS #12 takes too long to open: an earlier one"} {
		if got := problems[i].Error(); !strings.HasPrefix(got, want) {
			t.Errorf("problem %d = %q, want %q", i, got, want)
		}
	}
	_, err := certfile.Read(filepath.Join(dir, "b.p12"), certfile.Options{})
	if err == nil || strings.Contains(err.Error(), "too long") {
		t.Errorf("by itself: %v, want that it is no key", err)
	}
}
