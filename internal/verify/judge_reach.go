package verify

import (
	"strings"

	"example.com/certscan/internal/inventory"
)

// judgeReach says how the connection ended, where that is worth a finding. For
// the restricted offers a failure means that the server has no such key, and
// the default offer tells of everything else.
func (v *view) judgeReach(known bool) {
	o := &v.facts.Observation
	served := len(o.Chain) > 0
	if len(o.Injected) > 0 {
		v.find(inventory.CodeSTARTTLSInjection, "the server sent %d bytes of plain text between STARTTLS and the handshake; a client that reads them can be tricked", len(o.Injected))
	}
	if !served && o.Offer.Further() {
		return
	}
	detail := ""
	if o.Reach.Detail != "" {
		detail = ": " + quote(o.Reach.Detail)
	}
	switch s := o.Reach.Status; {
	case s.IsOwnFault():
	case s == inventory.ReachOK:
		switch {
		case !served && !known:
			v.find(inventory.CodeUnreachable, "the connection worked but no certificate was received%s", detail)
		case v.out.Unproven && !v.beyondUs():
			v.find(inventory.CodeHandshakeFailed, "the certificate was received, but nobody proved to have its key%s", v.whyUnproven())
		}
	case s.IsDNS():
		name := v.facts.Target.DialName()
		if o.Resolution != nil && o.Resolution.Name != "" {
			name = o.Resolution.Name
		}
		v.find(inventory.CodeDNSFailure, "%s could not be resolved (%s%s)", quote(name), dnsWords(s), detail)
	case s == inventory.ReachNotTLS:
		v.find(inventory.CodeNotTLS, "the port does not speak TLS%s", detail)
	case s == inventory.ReachSTARTTLSMissing:
		v.find(inventory.CodeSTARTTLSMissing, "the server does not offer STARTTLS%s", detail)
	case s == inventory.ReachSTARTTLSRefused:
		v.find(inventory.CodeSTARTTLSRefused, "the server refused STARTTLS%s", detail)
	case served:
		v.find(inventory.CodeHandshakeFailed, "the certificate was received but the handshake did not complete (%s%s)", s, detail)
	default:
		v.find(inventory.CodeUnreachable, "no certificate was received (%s%s)", s, detail)
	}
}

// unproven reports whether the chain may be somebody else's: certificates are
// public, and only a handshake shows who has the key. A census does not ask, and
// what the default offer gets as well is proven there or not at all.
func (v *view) unproven() bool {
	o := &v.facts.Observation
	if len(o.Chain) == 0 || o.Capture == nil || o.Offer == inventory.OfferCensus || o.Capture.Method == inventory.CaptureCensus {
		return false
	}
	return !o.Capture.PossessionProven && !(restricted(o.Offer) && sameChain(o.Chain, v.facts.DefaultChain))
}

// beyondUs reports whether a proof is not to be had: no client at hand can ask
// for one kind of key and complete TLS 1.3. That is no fault of the endpoint.
func (v *view) beyondUs() bool {
	o := &v.facts.Observation
	return restricted(o.Offer) && o.Capture.Method == inventory.CaptureRawHello && o.TLS != nil && o.TLS.Version == "TLS 1.3"
}

// whyUnproven is the end of a sentence.
func (v *view) whyUnproven() string {
	o := &v.facts.Observation
	switch {
	case o.TLS != nil && o.TLS.ClientCertificateRequired:
		return ": without a client certificate the handshake ends, and under " + quote(o.TLS.CipherSuite) + " the key is not used before"
	case o.Reach.Detail != "":
		return ": " + quote(o.Reach.Detail)
	}
	return ": no handshake was completed"
}

func dnsWords(s inventory.ReachStatus) string {
	switch s {
	case inventory.ReachDNSNXDomain:
		return "the name does not exist"
	case inventory.ReachDNSNoAddress:
		return "the name has no address"
	case inventory.ReachDNSServFail:
		return "the name server failed"
	}
	return "the name server did not answer"
}

// judgeTLS looks at what was negotiated. A census stops before it matters.
func (v *view) judgeTLS() {
	o := &v.facts.Observation
	if o.TLS == nil || o.Offer == inventory.OfferCensus || o.Capture != nil && o.Capture.Method == inventory.CaptureCensus {
		return
	}
	switch o.TLS.Version {
	case "SSL 2.0", "SSL 3.0", "TLS 1.0", "TLS 1.1":
		v.find(inventory.CodeDeprecatedTLS, "%s was negotiated, which RFC 8996 forbids; enable TLS 1.2 or 1.3", o.TLS.Version)
	}
	if why := weakness(o.TLS.CipherSuite); why != "" {
		v.find(inventory.CodeWeakCipher, "the cipher suite %s was negotiated, which %s", quote(o.TLS.CipherSuite), why)
	}
}

// weakness says what is wrong with a cipher suite, by its IANA name (RFC 9325,
// section 4.1).
func weakness(suite string) string {
	for _, w := range []struct{ part, why string }{
		{"_NULL_", "does not encrypt"},
		{"_anon_", "does not authenticate"},
		{"EXPORT", "was made to be broken"},
		{"_RC4_", "uses RC4"},
		{"_DES_", "uses DES"},
		{"_3DES_", "uses 3DES"},
		{"_IDEA_", "uses a 64-bit block cipher"},
		{"_RC2_", "uses RC2"},
		{"TLS_RSA_", "has no forward secrecy"},
	} {
		if strings.Contains(suite, w.part) {
			return w.why
		}
	}
	return ""
}

// judgeDefaultCertificate compares what is served without a server name.
func (v *view) judgeDefaultCertificate() {
	o := &v.facts.Observation
	if len(o.Chain) == 0 || len(v.facts.DefaultChain) == 0 || v.out.Certificate == nil {
		return
	}
	want := v.judge.cert(v.facts.DefaultChain[0], false)
	if got := v.out.Certificate; got.SHA256 != want.info.SHA256 {
		v.find(inventory.CodeDefaultCertificateDiffers, "without a server name another certificate is served, for %s", nameList(got.Names))
	}
}
