package crl_test

import (
	"bytes"
	"crypto/x509"
	"testing"
	"testing/iotest"

	"example.com/certscan/internal/crl"
	"example.com/certscan/internal/inventory"
)

// What is read is read whole, in whatever pieces it comes, and agrees with what
// the library reads of it.
func FuzzRead(f *testing.F) {
	full := ordinary()
	full.revoked = seq(entryWith(extension(ce(21), octets(der(0x0a, []byte{1})))), seq(integer(8), generalized("20500101000000Z")))
	full.extensions = [][]byte{extension(ce(20), octets(integer(9))), point(true, uriName("http://a/1"), der(0x81, []byte{0xff}))}
	f.Add(ordinary().der())
	f.Add(full.der())
	old := ordinary()
	old.version, old.revoked = nil, seq(entry())
	f.Add(old.der())
	f.Add([]byte("-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		list, err := crl.Read(bytes.NewReader(raw), limit)
		slow, slowErr := crl.Read(iotest.OneByteReader(bytes.NewReader(raw)), limit)
		if (err == nil) != (slowErr == nil) {
			t.Fatalf("at once %v, octet by octet %v", err, slowErr)
		}
		if err != nil || raw[0] != 0x30 {
			return
		}
		if list.Size != int64(len(raw)) || list.SHA256 != inventory.FingerprintOf(raw) || slow.SHA256 != list.SHA256 {
			t.Fatalf("%d octets with the fingerprint %s, of %d", list.Size, list.SHA256, len(raw))
		}
		std, err := x509.ParseRevocationList(raw)
		if err != nil {
			return // it refuses more than it should, and less
		}
		if !std.ThisUpdate.Equal(list.ThisUpdate) || !std.NextUpdate.Equal(list.NextUpdate) || len(std.RevokedCertificateEntries) != list.Entries.Len() {
			t.Errorf("the library reads %+v, we read %+v", std, list)
		}
		for _, e := range std.RevokedCertificateEntries {
			if e.SerialNumber.Sign() < 0 {
				continue
			}
			serial := append([]byte{0}, e.SerialNumber.Bytes()...)
			if len(serial) > 1 && serial[1] < 0x80 {
				serial = serial[1:]
			}
			if _, ok := list.Entries.Lookup(serial); !ok {
				t.Errorf("the serial number %x is not found", serial)
			}
		}
	})
}
