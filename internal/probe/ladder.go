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
//
// A timeout ends the climb, because it has used the whole budget: to keep some
// of it back would call slow servers dead for the sake of servers that nobody
// has met, which are silent until they see a hybrid key share.
func (j *job) climb() outcome {
	if j.offer == inventory.OfferCensus {
		return j.census()
	}
	first := j.handshake(hello{alpn: j.req.Target.Protocol == inventory.TLS})
	if first.alert == alertNoApplicationProtocol {
		first = j.handshake(hello{})
	}
	if len(first.chain) > 0 || first.next == furtherNone {
		return first
	}
	if j.offer == inventory.OfferECDSA || j.offer == inventory.OfferRSA {
		// A server without such a key refuses both hellos, and no other asks
		// for one kind of key only.
		raw := j.stepModern
		if first.next == furtherLegacy {
			raw = j.stepLegacy
		}
		out := j.take(first, []step{raw})
		out.endAs(first)
		return out
	}

	// A server may want another group, some stacks hang up where others send an
	// alert, and a hiccup deserves a full handshake before a makeshift one.
	second := outcome{}
	postQuantum := func() outcome {
		second = j.handshake(hello{postQuantum: true})
		return second
	}
	steps := []step{postQuantum, j.stepLegacy, j.stepModern}
	switch first.next {
	case furtherLegacy:
		steps = []step{j.stepLegacy, j.stepModern}
	case furtherModern:
		steps = []step{j.stepModern, j.stepLegacy}
	}
	out := j.take(first, steps)
	if len(out.chain) > 0 && out.capture.Method == inventory.CaptureRawHello {
		out.reach.Detail = "the default hello got: " + string(first.reach.Status) + " " + first.reach.Detail
	}
	out.endAs(second)
	out.endAs(first)
	return out
}

// endAs makes the end of an ordinary handshake that of o, which went no further
// than the certificate, if every client would have met with it. What crypto/tls
// merely does not offer is refused by the server, and no fault of the endpoint.
func (o *outcome) endAs(ordinary outcome) {
	if ordinary.unfit && len(o.chain) > 0 && o.capture.Method == inventory.CaptureRawHello {
		o.reach = ordinary.reach
	}
}

// census asks for TLS 1.2 first, where the certificate comes in clear and costs
// no key exchange on our side.
func (j *job) census() outcome {
	out := j.rawLegacy(commonList())
	if out.next != furtherNone {
		out = j.take(out, []step{j.stepModern, j.stepLegacy})
	}
	out.capture.Method = inventory.CaptureCensus
	return out
}

// stepLegacy and stepModern send the hand-made hellos of the job's offer.
func (j *job) stepLegacy() outcome { return j.rawLegacy(legacyList(j.keyKind())) }
func (j *job) stepModern() outcome { return j.rawModern(modernList(j.keyKind())) }

// keyKind is the kind of key that the job's offer asks for; empty is any.
func (j *job) keyKind() string {
	switch j.offer {
	case inventory.OfferECDSA:
		return kindECDSA
	case inventory.OfferRSA:
		return kindRSA
	}
	return ""
}

// take returns the outcome of the first of the steps that got a certificate, or
// else first.
func (j *job) take(first outcome, steps []step) outcome {
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
