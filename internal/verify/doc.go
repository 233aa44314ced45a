// Package verify judges what was seen of an endpoint: time, name, trust, keys,
// profile, TLS parameters and reach, as independent facts and as findings.
//
// It does no I/O, has no clock and no opinion beyond its options: a judgement
// follows from facts, evidence, trust stores and an instant alone. What it
// lacks it asks for as a need. Its invariant: what could not be established is
// never reported as good, and no input, however hostile, makes it fail, hang or
// stay silent about a certificate.
package verify
