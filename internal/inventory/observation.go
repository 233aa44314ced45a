package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"
)

// ObservationSchema is the version of [Observation] that this build writes.
const ObservationSchema = 1

// LocalLocation is the name of the process itself as a place to probe from.
const LocalLocation = "local"

// An Offer is what a probe asked with.
type Offer string

// The offers. Default is what an ordinary client sends; ECDSA and RSA restrict
// the signature algorithms to find both certificates of a dual server; NoSNI
// leaves the server name out.
const (
	OfferDefault Offer = "default"
	OfferECDSA   Offer = "ecdsa"
	OfferRSA     Offer = "rsa"
	OfferNoSNI   Offer = "no_sni"
	OfferCensus  Offer = "census"
)

// Further reports whether o asks once more for what an ordinary hello may not
// show.
func (o Offer) Further() bool { return o == OfferECDSA || o == OfferRSA || o == OfferNoSNI }

// A ReachStatus says how a connection ended.
type ReachStatus string

// The closed set of reach statuses.
const (
	ReachOK              ReachStatus = "ok"
	ReachNoRoute         ReachStatus = "no_route" // the scanner has no route for the address family
	ReachDNSNXDomain     ReachStatus = "dns_nxdomain"
	ReachDNSServFail     ReachStatus = "dns_servfail"
	ReachDNSTimeout      ReachStatus = "dns_timeout"
	ReachDNSNoAddress    ReachStatus = "dns_no_address"
	ReachRefused         ReachStatus = "refused"
	ReachUnreachable     ReachStatus = "unreachable"
	ReachTimeout         ReachStatus = "timeout"
	ReachReset           ReachStatus = "reset"
	ReachEOF             ReachStatus = "eof"
	ReachTLSAlert        ReachStatus = "tls_alert"
	ReachNotTLS          ReachStatus = "not_tls"
	ReachSTARTTLSRefused ReachStatus = "starttls_refused"
	ReachSTARTTLSMissing ReachStatus = "starttls_missing"
	ReachLocalError      ReachStatus = "local_error" // the scanner's own fault, such as no file descriptors
)

// ReachStatuses returns every reach status, [ReachOK] first.
func ReachStatuses() []ReachStatus {
	return []ReachStatus{
		ReachOK, ReachNoRoute, ReachDNSNXDomain, ReachDNSServFail, ReachDNSTimeout, ReachDNSNoAddress,
		ReachRefused, ReachUnreachable, ReachTimeout, ReachReset, ReachEOF, ReachTLSAlert, ReachNotTLS,
		ReachSTARTTLSRefused, ReachSTARTTLSMissing, ReachLocalError,
	}
}

// IsDNS reports whether the name could not be resolved.
func (s ReachStatus) IsDNS() bool {
	switch s {
	case ReachDNSNXDomain, ReachDNSServFail, ReachDNSTimeout, ReachDNSNoAddress:
		return true
	}
	return false
}

// IsOwnFault reports whether the status speaks of the scanner and not of the
// endpoint.
func (s ReachStatus) IsOwnFault() bool { return s == ReachNoRoute || s == ReachLocalError }

// Reach is how the connection ended, and what the peer said: the alert's name,
// the banner's protocol. Detail is hostile text.
type Reach struct {
	Status ReachStatus `json:"status"`
	Detail string      `json:"detail"`
}

// A CaptureMethod says how the certificate was got.
type CaptureMethod string

// The capture methods, in the order of the ladder.
const (
	CaptureHandshake  CaptureMethod = "handshake"  // crypto/tls handed it over
	CaptureTranscript CaptureMethod = "transcript" // read from the recorded bytes of a handshake that crypto/tls refused
	CaptureRawHello   CaptureMethod = "raw_hello"  // answered to a hand-made ClientHello
	CaptureCensus     CaptureMethod = "census"     // the handshake was stopped after the Certificate message on purpose
)

// Capture says how a chain was got and what that proves.
type Capture struct {
	Method            CaptureMethod `json:"method"`
	HandshakeComplete bool          `json:"handshake_complete"`

	// PossessionProven: the server signed with the leaf's key.
	PossessionProven bool `json:"possession_proven"`
}

// TLSFacts are the parameters that were negotiated. Text fields are empty when
// the handshake did not get that far.
type TLSFacts struct {
	Version     string `json:"version"`      // "TLS 1.3"
	CipherSuite string `json:"cipher_suite"` // the IANA name
	Group       string `json:"group"`        // "X25519"
	ALPN        string `json:"alpn"`

	// ClientCertificateRequested: the server asked for one. False also where the
	// handshake was not followed that far, as in a census of TLS 1.2.
	ClientCertificateRequested bool `json:"client_certificate_requested"`

	// ClientCertificateRequired: the server refused to go on without one. A
	// server that merely asks for one does not require it.
	ClientCertificateRequired bool `json:"client_certificate_required"`

	Stapled     bool  `json:"stapled"`
	PostQuantum *bool `json:"post_quantum"` // nil: not asked

	// Accepts is what the server takes besides what was negotiated, of
	// [AcceptsWords] in their order; nil: not asked. AcceptsUnknown are those to
	// which there was no clear answer, and AcceptsAt is when it was asked, which
	// may be earlier than the rest.
	Accepts        []string  `json:"accepts"`
	AcceptsUnknown []string  `json:"accepts_unknown,omitempty"`
	AcceptsAt      time.Time `json:"accepts_at,omitzero"`
}

// A Resolution is what a location's resolver said about a name.
type Resolution struct {
	Name      string       `json:"name"`
	Status    ReachStatus  `json:"status"` // ok or one of the dns_ statuses
	Detail    string       `json:"detail,omitempty"`
	Partial   bool         `json:"partial,omitempty"`   // the other address family could not be found out, as Detail says
	Addresses []netip.Addr `json:"addresses,omitempty"` // all of them, also those that were not probed
	CNAMEs    []string     `json:"cnames,omitempty"`    // in order of the chain
	TTL       uint32       `json:"ttl,omitempty"`       // seconds, the least of the answer
	Server    string       `json:"server,omitempty"`
}

// Timings of the phases of one examination. A phase that was not entered is 0.
type Timings struct {
	Resolve   time.Duration `json:"resolve"`
	Connect   time.Duration `json:"connect"`
	STARTTLS  time.Duration `json:"starttls"`
	Handshake time.Duration `json:"handshake"`
}

// Total is the sum of the phases.
func (t Timings) Total() time.Duration { return t.Resolve + t.Connect + t.STARTTLS + t.Handshake }

// An Observation is what one examination of one view saw: facts only, never a
// judgement, immutable.
//
// A target that could not be resolved gives one observation without an address.
type Observation struct {
	Schema   int       `json:"schema"`
	Target   string    `json:"target"` // [Target.Key]
	Address  string    `json:"address"`
	Location string    `json:"location"`
	Offer    Offer     `json:"offer"`
	Slot     int64     `json:"slot"` // Unix seconds of the scheduled time, or of the scan's start
	Attempt  int       `json:"attempt"`
	Time     time.Time `json:"time"`

	Resolution *Resolution `json:"resolution,omitempty"` // nil when there was nothing to resolve
	Unexamined int         `json:"unexamined,omitempty"` // further addresses that were left for another time
	Reach      Reach       `json:"reach"`
	Capture    *Capture    `json:"capture,omitempty"` // nil when no certificate was received
	TLS        *TLSFacts   `json:"tls,omitempty"`     // nil when no ServerHello was received

	// Chain is the DER of every certificate as served, leaf first.
	Chain [][]byte `json:"chain,omitempty"`

	// Alternates are further chains that the same address served during the
	// same examination: a pool behind one address.
	Alternates [][][]byte `json:"alternates,omitempty"`

	Staple []byte   `json:"staple,omitempty"` // the OCSP response as stapled
	SCTs   [][]byte `json:"scts,omitempty"`   // from the TLS extension

	// Injected is plaintext that arrived between the STARTTLS answer and the
	// handshake; it was discarded. At most 256 bytes are kept.
	Injected []byte `json:"injected,omitempty"`

	Timings Timings `json:"timings"`
}

// ID is derived from what was asked, so that a repeated delivery of the same
// observation is recognised.
func (o Observation) ID() string {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s\x00%d\x00%d", o.Target, o.Address, o.Location, o.Offer, o.Slot, o.Attempt))
	return hex.EncodeToString(h[:16])
}

// View is the view that o is of.
func (o Observation) View() View {
	return View{Target: o.Target, Address: o.Address, Location: o.Location, Offer: o.Offer}
}

// A View is an endpoint as one location sees it with one offer.
type View struct {
	Target   string `json:"target"`
	Address  string `json:"address"`
	Location string `json:"location"`
	Offer    Offer  `json:"offer"`
}

// ID is the view's identity as text: address|location|offer|target.
func (v View) ID() string {
	return v.Address + "|" + v.Location + "|" + string(v.Offer) + "|" + v.Target
}

// A Mode says how much a probe does.
type Mode string

// Full completes the handshake; Census stops after the Certificate message.
const (
	ModeFull   Mode = "full"
	ModeCensus Mode = "census"
)

// Work is one target for a location to examine.
type Work struct {
	Target    Target        `json:"target"`
	Addresses []netip.Addr  `json:"addresses,omitempty"` // connect to these and resolve nothing
	FirstOnly bool          `json:"first_only,omitempty"`
	Limit     int           `json:"limit,omitempty"` // addresses to examine at most, in turn; 0 is 16
	Mode      Mode          `json:"mode"`
	Offers    []Offer       `json:"offers"`            // in order; empty is OfferDefault alone
	Samples   int           `json:"samples,omitempty"` // handshakes per address with the default offer; 0 is 1
	Accepts   bool          `json:"accepts,omitempty"` // ask also what the server accepts, some 15 connections more
	Timeout   time.Duration `json:"timeout"`           // the whole budget of one probe, retries included
	Retries   int           `json:"retries"`           // further attempts inside that budget
	Slot      int64         `json:"slot"`
	Turn      int64         `json:"turn,omitempty"` // counts examinations of the target, to take addresses in turn
	Attempt   int           `json:"attempt"`
}
