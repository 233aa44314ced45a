package probe

import (
	"crypto/tls"
	"fmt"
)

const (
	versionTLS13 = tls.VersionTLS13
	versionSSL30 = 0x0300
)

// Alerts that the ladder branches on.
const (
	alertCloseNotify           = 0
	alertUnrecognizedName      = 112
	alertNoApplicationProtocol = 120
)

// versionName is the name of a protocol version, as in [inventory.TLSFacts].
func versionName(v uint16) string {
	switch v {
	case versionSSL30:
		return "SSL 3.0"
	case tls.VersionTLS10:
		return "TLS 1.0"
	case tls.VersionTLS11:
		return "TLS 1.1"
	case tls.VersionTLS12:
		return "TLS 1.2"
	case tls.VersionTLS13:
		return "TLS 1.3"
	}
	return fmt.Sprintf("0x%04x", v)
}

// groupName is the usual name of a key exchange group; empty for 0.
func groupName(id uint16) string {
	switch id {
	case 0:
		return ""
	case 21:
		return "P-224"
	case 22:
		return "secp256k1"
	case 23:
		return "P-256"
	case 24:
		return "P-384"
	case 25:
		return "P-521"
	case 26, 31:
		return "brainpoolP256r1"
	case 27, 32:
		return "brainpoolP384r1"
	case 28, 33:
		return "brainpoolP512r1"
	case 29:
		return "X25519"
	case 30:
		return "X448"
	case 256, 257, 258, 259, 260:
		return "ffdhe" + [...]string{"2048", "3072", "4096", "6144", "8192"}[id-256]
	case 0x11eb:
		return "SecP256r1MLKEM768"
	case 0x11ec:
		return "X25519MLKEM768"
	case 0x11ed:
		return "SecP384r1MLKEM1024"
	}
	return fmt.Sprintf("0x%04x", id)
}

// suiteName is the IANA name of a cipher suite.
func suiteName(id uint16) string {
	for _, list := range [][]suite{modernSuites, commonSuites, rareSuites} {
		for _, s := range list {
			if s.id == id {
				return s.name
			}
		}
	}
	return tls.CipherSuiteName(id) // a number, for what it does not know either
}

// alertName is an alert as the RFCs write it, and its number.
func alertName(code uint8) string {
	name := "unknown alert"
	for _, a := range []struct {
		code uint8
		name string
	}{
		{0, "close_notify"},
		{10, "unexpected_message"},
		{20, "bad_record_mac"},
		{21, "decryption_failed"},
		{22, "record_overflow"},
		{30, "decompression_failure"},
		{40, "handshake_failure"},
		{41, "no_certificate"},
		{42, "bad_certificate"},
		{43, "unsupported_certificate"},
		{44, "certificate_revoked"},
		{45, "certificate_expired"},
		{46, "certificate_unknown"},
		{47, "illegal_parameter"},
		{48, "unknown_ca"},
		{49, "access_denied"},
		{50, "decode_error"},
		{51, "decrypt_error"},
		{60, "export_restriction"},
		{70, "protocol_version"},
		{71, "insufficient_security"},
		{80, "internal_error"},
		{86, "inappropriate_fallback"},
		{90, "user_canceled"},
		{100, "no_renegotiation"},
		{109, "missing_extension"},
		{110, "unsupported_extension"},
		{111, "certificate_unobtainable"},
		{112, "unrecognized_name"},
		{113, "bad_certificate_status_response"},
		{114, "bad_certificate_hash_value"},
		{115, "unknown_psk_identity"},
		{116, "certificate_required"},
		{117, "general_error"},
		{120, "no_application_protocol"},
		{121, "ech_required"},
	} {
		if a.code == code {
			name = a.name
		}
	}
	return fmt.Sprintf("%s (%d)", name, code)
}
