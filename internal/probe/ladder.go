package probe

import "example.com/certscan/internal/inventory"

// A further says which steps of the ladder are worth a connection after one
// that got no certificate.
type further int

const (
	// furtherNone: another hello would change nothing (the peer refuses
	// connections, does not speak TLS, does not know the name), or there is no
	// time left to send one.
	furtherNone further = iota

	// furtherSilent: the server hung up instead of answering the ClientHello.
	furtherSilent

	// furtherHello: the server did not like the ClientHello, or crypto/tls did
	// not like the answer.
	furtherHello

	// furtherLegacy and furtherModern: like furtherHello, with a server that
	// negotiated at most TLS 1.2, or TLS 1.3.
	furtherLegacy
	furtherModern
)

// A step is one rung: one connection with one kind of ClientHello.
type step func() outcome

// climb takes the steps of the capture ladder until one gets a certificate. The
// answer to the first hello is what is reported when none does: it is the one
// that an ordinary client would have got.
func (j *job) climb() outcome {
	if j.offer == inventory.OfferCensus {
		return j.census()
	}
	first := j.handshake(hello{alpn: j.req.Target.Protocol == inventory.TLS})
	if first.alert == alertNoApplicationProtocol {
		first = j.handshake(hello{})
	}
	legacy, modern := j.offerLists()
	rawLegacy := func() outcome { return j.rawLegacy(legacy) }
	rawModern := func() outcome { return j.rawModern(modern) }
	postQuantum := func() outcome { return j.handshake(hello{postQuantum: true}) }

	var steps []step
	switch restricted := j.offer == inventory.OfferECDSA || j.offer == inventory.OfferRSA; {
	case first.next == furtherNone:
	case restricted:
		// A server without a key of the kind refuses both, and no other hello
		// asks for one kind only.
		steps = []step{rawModern}
		if first.next == furtherLegacy {
			steps = []step{rawLegacy}
		}
	case first.next == furtherSilent:
		// Some stacks hang up where others send an alert; and a hiccup deserves
		// a full handshake before a makeshift one.
		steps = []step{postQuantum, rawLegacy, rawModern}
	case first.next == furtherModern:
		steps = []step{rawModern, rawLegacy}
	default:
		steps = []step{rawLegacy, rawModern, postQuantum}
	}
	return j.take(first, steps)
}

// census asks for TLS 1.2 first, where the certificate comes in clear and costs
// neither side a key exchange on our account.
func (j *job) census() outcome {
	method := inventory.CaptureCensus
	first := j.rawLegacy(commonList())
	if first.next == furtherNone || len(first.chain) > 0 {
		first.capture.Method = method
		return first
	}
	legacy, modern := j.offerLists()
	out := j.take(first, []step{
		func() outcome { return j.rawModern(modern) },
		func() outcome { return j.rawLegacy(legacy) },
	})
	out.capture.Method = method
	return out
}

// take returns the outcome of the first of the steps that got a certificate, or
// else first.
func (j *job) take(first outcome, steps []step) outcome {
	if len(first.chain) > 0 {
		return first
	}
	silent := 0
	if first.next == furtherSilent {
		silent++
	}
	for _, s := range steps {
		// Three connections are enough for a peer that accepts and hangs up.
		if silent == 3 || j.spent() {
			break
		}
		out := s()
		if len(out.chain) > 0 {
			if first.reach.Detail != "" && out.capture.Method == inventory.CaptureRawHello {
				out.reach.Detail = "the default hello got: " + string(first.reach.Status) + " " + first.reach.Detail
			}
			return out
		}
		if out.next == furtherSilent {
			silent++
		}
		if first.tls == nil {
			first.tls = out.tls
		}
	}
	return first
}

// offerLists are the algorithms for the hand-made hellos of the job's offer.
func (j *job) offerLists() (legacy, modern algorithms) {
	switch j.offer {
	case inventory.OfferECDSA:
		return legacyList("ECDSA"), modernList("ECDSA")
	case inventory.OfferRSA:
		return legacyList("RSA"), modernList("RSA")
	}
	return legacyList(""), modernList("")
}
