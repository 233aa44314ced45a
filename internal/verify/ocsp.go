package verify

import (
	"errors"
	"time"
)

const (
	tagEnumerated = 0x0a

	oidOCSPBasic = "\x2b\x06\x01\x05\x05\x07\x30\x01\x01"

	// oidOCSPSCTs is the list of SCTs in a SingleResponse (RFC 6962, section
	// 3.3).
	oidOCSPSCTs = "\x2b\x06\x01\x04\x01\xd6\x79\x02\x04\x05"
)

// maxSingles bounds the certificates that one OCSP response is about.
const maxSingles = 256

// An ocspResponse is an OCSP response (RFC 6960, section 4.2.1), read strictly:
// what has a form that the standard does not give it is no response, because
// nobody knows what else was meant by it.
type ocspResponse struct {
	status int    // OCSPResponseStatus; 0 is successful
	kind   string // responseType, encoded; all below is of oidOCSPBasic alone

	signed     []byte // ResponseData
	name       []byte // responderID byName: the Name's DER
	keyHash    []byte // responderID byKey
	producedAt time.Time
	singles    []ocspSingle
	critical   string // a critical responseExtension, dotted; none is handled here

	alg   sigAlg
	sig   []byte
	certs [][]byte // DER
}

// An ocspSingle is what the response says of one certificate.
type ocspSingle struct {
	hash                   string // OID of the algorithm, encoded
	nameHash, issuerHash   []byte
	serial                 []byte // the INTEGER's octets
	status                 byte   // one of the ocsp constants
	revokedAt              time.Time
	reason                 int // CRLReason, -1 without one
	thisUpdate, nextUpdate time.Time

	critical string // a critical extension that is not handled here, dotted
	scts     []byte // content of the list of SCTs, as extnValue holds it
}

// The tags of CertStatus.
const (
	ocspGood    = 0x80
	ocspRevoked = 0xa1
	ocspUnknown = 0x82
)

var (
	errOCSPForm = errors.New("it is not the DER of an OCSP response")
	errOCSPMany = errors.New("it is about too many certificates")
)

// only returns the element with the tag that b consists of.
func only(b []byte, tag byte) (reader, bool) {
	e, ok := single(b, tag)
	return e.inner(), ok
}

// parseOCSP reads the DER of a response, which must not change afterwards.
func parseOCSP(der []byte) (*ocspResponse, error) {
	in, ok := only(der, tagSequence)
	status, ok1 := in.take(tagEnumerated)
	if !ok || !ok1 || len(status.content) != 1 || status.content[0]&0x80 != 0 {
		return nil, errOCSPForm
	}
	r := &ocspResponse{status: int(status.content[0])}
	bytes, has := in.take(0xa0)
	switch {
	case !in.clean():
		return nil, errOCSPForm
	case r.status != 0:
		return r, nil // there should be nothing more, and nothing more counts
	case !has:
		return nil, errOCSPForm
	}
	wrapped, ok := only(bytes.content, tagSequence)
	kind, ok1 := wrapped.take(tagOID)
	basic, ok2 := wrapped.take(tagOctetString)
	if !ok || !ok1 || !ok2 || !wrapped.clean() {
		return nil, errOCSPForm
	}
	if r.kind = string(kind.content); r.kind != oidOCSPBasic {
		return r, nil
	}
	return r, r.readBasic(basic.content)
}

func (r *ocspResponse) readBasic(b []byte) error {
	in, ok := only(b, tagSequence)
	data, ok1 := in.take(tagSequence)
	alg, ok2 := in.take(tagSequence)
	sig, ok3 := in.take(tagBitString)
	certs, has := in.take(0xa0)
	if !ok || !ok1 || !ok2 || !ok3 || !in.clean() || len(sig.content) < 1 || sig.content[0] != 0 {
		return errOCSPForm
	}
	r.signed, r.alg, r.sig = data.full, signatureAlgorithm(alg), sig.content[1:]
	if has {
		list, ok := single(certs.content, tagSequence)
		all, clean := children(list.content)
		if !ok || !clean {
			return errOCSPForm
		}
		for _, c := range all {
			r.certs = append(r.certs, c.full)
		}
	}
	return r.readData(data)
}

func (r *ocspResponse) readData(data element) error {
	in := data.inner()
	if v, ok := in.take(0xa0); ok { // which DER would leave out, as it can only be 0
		n, ok := single(v.content, tagInteger)
		if !ok || len(n.content) != 1 || n.content[0] != 0 {
			return errOCSPForm
		}
	}
	var ok bool
	if id, has := in.take(0xa1); has {
		var e element
		e, ok = single(id.content, tagSequence)
		r.name = e.full
	} else if id, has := in.take(0xa2); has {
		var e element
		e, ok = single(id.content, tagOctetString)
		r.keyHash = e.content
	}
	produced, ok1 := takeOCSPTime(&in)
	list, ok2 := in.take(tagSequence)
	exts, has := in.take(0xa1)
	if !ok || !ok1 || !ok2 || !in.clean() {
		return errOCSPForm
	}
	r.producedAt = produced
	if has {
		if ok := readOCSPExtensions(exts, func(id string, critical bool, _ []byte) {
			if critical {
				r.critical = oidString([]byte(id))
			}
		}); !ok {
			return errOCSPForm
		}
	}
	all, clean := children(list.content)
	if len(all) > maxSingles {
		return errOCSPMany
	}
	r.singles = make([]ocspSingle, len(all))
	for i, e := range all {
		if clean = clean && e.tag == tagSequence && r.singles[i].read(e); !clean {
			return errOCSPForm
		}
	}
	if !clean {
		return errOCSPForm
	}
	return nil
}

func (s *ocspSingle) read(e element) bool {
	in := e.inner()
	id, ok := in.take(tagSequence)
	if !ok || !s.readID(id) {
		return false
	}
	status, ok := in.next()
	if !ok || !s.readStatus(status) {
		return false
	}
	if s.thisUpdate, ok = takeOCSPTime(&in); !ok {
		return false
	}
	if next, has := in.take(0xa0); has {
		inner := next.inner()
		if s.nextUpdate, ok = takeOCSPTime(&inner); !ok || !inner.clean() {
			return false
		}
	}
	if exts, has := in.take(0xa1); has {
		ok = readOCSPExtensions(exts, func(id string, critical bool, value []byte) {
			switch {
			case id == oidOCSPSCTs:
				s.scts = value
			case critical:
				s.critical = oidString([]byte(id))
			}
		})
	}
	return ok && in.clean()
}

func (s *ocspSingle) readID(id element) bool {
	in := id.inner()
	alg, ok1 := in.take(tagSequence)
	name, ok2 := in.take(tagOctetString)
	key, ok3 := in.take(tagOctetString)
	serial, ok4 := in.take(tagInteger)
	ai := alg.inner()
	oid, ok5 := ai.take(tagOID)
	s.hash, s.nameHash, s.issuerHash, s.serial = string(oid.content), name.content, key.content, shortest(serial.content)
	return ok1 && ok2 && ok3 && ok4 && ok5 && in.clean() && len(s.serial) > 0
}

func (s *ocspSingle) readStatus(e element) bool {
	s.status, s.reason = e.tag, -1
	switch e.tag {
	case ocspGood, ocspUnknown:
		return len(e.content) == 0
	case ocspRevoked:
	default:
		return false
	}
	in := e.inner()
	var ok bool
	if s.revokedAt, ok = takeOCSPTime(&in); !ok {
		return false
	}
	if r, has := in.take(0xa0); has {
		n, ok := single(r.content, tagEnumerated)
		if !ok || len(n.content) != 1 {
			return false
		}
		s.reason = int(n.content[0])
	}
	return in.clean()
}

// takeOCSPTime reads a GeneralizedTime of the one form that RFC 5280, section
// 4.1.2.5.2, allows: to the second, in UTC.
func takeOCSPTime(in *reader) (time.Time, bool) {
	e, ok := in.take(tagGeneralizedTime)
	if !ok || len(e.content) != len("20061102150405Z") {
		return time.Time{}, false
	}
	t, err := time.Parse("20060102150405Z", string(e.content))
	return t, err == nil
}

// readOCSPExtensions reads what an explicit tag holds as Extensions.
func readOCSPExtensions(explicit element, each func(id string, critical bool, value []byte)) bool {
	list, ok := single(explicit.content, tagSequence)
	all, clean := children(list.content)
	if !ok || !clean || len(all) == 0 {
		return false
	}
	seen := make(map[string]bool, len(all))
	for _, e := range all {
		in := e.inner()
		oid, ok1 := in.take(tagOID)
		flag, has := in.take(tagBoolean)
		value, ok2 := in.take(tagOctetString)
		id := string(oid.content)
		if e.tag != tagSequence || !ok1 || !ok2 || !in.clean() || seen[id] || has && len(flag.content) != 1 {
			return false
		}
		seen[id] = true
		each(id, has && flag.content[0] != 0, value.content)
	}
	return true
}
