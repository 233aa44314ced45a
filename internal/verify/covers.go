package verify

// Covers reports whether the certificate is for host, a lower-case DNS name of
// A-labels or an IP address, by its subjectAltName (RFC 9525, section 6).
func Covers(der []byte, host string) bool { return parseCert(der).covers(host) }
