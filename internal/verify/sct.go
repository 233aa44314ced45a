package verify

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"example.com/certscan/internal/inventory"
)

// The ways in which an SCT reaches a client (RFC 6962, section 3.3).
const (
	sctEmbedded = "certificate"
	sctTLS      = "tls"
	sctOCSP     = "ocsp"
)

// The values of [inventory.SCTVerdict.Status].
const (
	sctValid        = "valid"
	sctInvalid      = "invalid"
	sctUnknownLog   = "unknown_log"
	sctUnverifiable = "unverifiable"
	sctMalformed    = "malformed"
)

// maxSCTs bounds the timestamps that are looked at from one source. Honest
// certificates have two to five.
const maxSCTs = 32

// A ctLog is a log of the list with its key as verifying needs it.
type ctLog struct {
	inventory.Log
	key publicKey
}

// logIndex is the list of logs, ready for use.
type logIndex struct {
	date time.Time
	byID map[inventory.Fingerprint]*ctLog
}

// indexLogs returns nil if there is no list.
func indexLogs(list *inventory.LogList) *logIndex {
	if list == nil {
		return nil
	}
	x := &logIndex{date: list.Date, byID: make(map[inventory.Fingerprint]*ctLog, len(list.Logs))}
	for id, l := range list.Logs {
		spki, ok := single(l.Key, tagSequence)
		log := &ctLog{Log: l}
		if ok && log.key.parse(spki) && log.key.id == id {
			x.byID[id] = log
		}
	}
	return x
}

// An sct is one signed certificate timestamp with what never changes about it.
type sct struct {
	inventory.SCTVerdict
	log *ctLog // nil unless the status is sctValid

	// worthless is why it does not count although it is valid, whenever it is
	// looked at; "" if it may.
	worthless string
}

// sctsKey names a list of SCTs, the certificate that they are for and the key
// of its issuer, by content.
type sctsKey struct {
	source              string
	certificate, issuer inventory.Fingerprint
	content             inventory.Fingerprint // zero for those in the certificate
}

// scts returns what is known of the SCTs from one source, doing the arithmetic
// at most once while it is remembered.
func (j *Judge) scts(k sctsKey, leaf *cert, list func() ([][]byte, error)) []sct {
	if all, ok := j.timestamps.get(k); ok {
		return all
	}
	entries, err := list()
	all := make([]sct, 0, len(entries)+1)
	seen := make(map[inventory.Fingerprint]bool, len(entries))
	for _, raw := range entries {
		if id := inventory.FingerprintOf(raw); !seen[id] && len(all) < maxSCTs {
			seen[id] = true
			all = append(all, j.sct(k, leaf, raw))
		}
	}
	if err != nil {
		all = append(all, sct{SCTVerdict: inventory.SCTVerdict{Source: k.source, Status: sctMalformed, Detail: err.Error()}})
	}
	j.timestamps.put(k, all)
	return all
}

var errSCTList = errors.New("the list of timestamps is malformed")

// sctList reads a SignedCertificateTimestampList (RFC 6962, section 3.3). What
// stands before an error is returned with it.
func sctList(b []byte) (list [][]byte, err error) {
	s := cryptobyte.String(b)
	var inner, one cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&inner) || !s.Empty() || inner.Empty() {
		return nil, errSCTList
	}
	for !inner.Empty() {
		if !inner.ReadUint16LengthPrefixed(&one) || one.Empty() {
			return list, errSCTList
		}
		list = append(list, one)
	}
	return list, nil
}

// wrappedSCTList reads the list from the value of an extension of a certificate
// or of an OCSP response, where it stands in an OCTET STRING.
func wrappedSCTList(value []byte) ([][]byte, error) {
	octets, ok := single(value, tagOctetString)
	if !ok {
		return nil, errSCTList
	}
	return sctList(octets.content)
}

// A serialSCT is the SignedCertificateTimestamp of RFC 6962, section 3.2.
type serialSCT struct {
	logID           inventory.Fingerprint
	milliseconds    uint64 // since 1970
	extensions      []byte
	hash, algorithm uint8
	signature       []byte
}

// parseSCT reads one SCT, and says if it is of a version that is not known here.
func parseSCT(raw []byte) (out serialSCT, foreign bool, err error) {
	s := cryptobyte.String(raw)
	var version uint8
	var id []byte
	var extensions, signature cryptobyte.String
	if s.ReadUint8(&version) && version != 0 {
		return out, true, nil
	}
	if !s.ReadBytes(&id, sha256.Size) || !s.ReadUint64(&out.milliseconds) || !s.ReadUint16LengthPrefixed(&extensions) ||
		!s.ReadUint8(&out.hash) || !s.ReadUint8(&out.algorithm) || !s.ReadUint16LengthPrefixed(&signature) || !s.Empty() {
		return out, false, errors.New("its structure is not that of RFC 6962")
	}
	const latest = 253402300799999 // the last of the year 9999, beyond which JSON has no time
	if out.milliseconds > latest {
		return out, false, errors.New("its time is after the year 9999")
	}
	out.logID, out.extensions, out.signature = inventory.Fingerprint(id), extensions, signature
	return out, false, nil
}

// hasLeafIndex reports whether the extensions say where in the log the entry is.
// An SCT of a tiled log has to (static-ct-api, "SCT Extension").
func hasLeafIndex(extensions []byte) bool {
	s, found := cryptobyte.String(extensions), false
	for !s.Empty() {
		var kind uint8
		var data cryptobyte.String
		if !s.ReadUint8(&kind) || !s.ReadUint16LengthPrefixed(&data) {
			return false
		}
		found = found || kind == 0 && len(data) == 5
	}
	return found
}

// sct reads one SCT and checks its signature.
func (j *Judge) sct(k sctsKey, leaf *cert, raw []byte) sct {
	out := sct{SCTVerdict: inventory.SCTVerdict{Source: k.source}}
	say := func(status, detail string) sct {
		out.Status, out.Detail = status, detail
		return out
	}
	in, foreign, err := parseSCT(raw)
	if err != nil {
		return say(sctMalformed, err.Error())
	}
	if foreign {
		return say(sctUnverifiable, "its version is not 1")
	}
	out.LogID = base64.StdEncoding.EncodeToString(in.logID[:])
	out.Timestamp = time.UnixMilli(int64(in.milliseconds)).UTC()
	if j.logs == nil {
		return say(sctUnverifiable, "there is no list of logs")
	}
	log := j.logs.byID[in.logID]
	if log == nil {
		return say(sctUnknownLog, "its log is not in the list")
	}
	out.Log, out.Operator = printable(log.Description), printable(log.operatorAt(out.Timestamp))
	entry, ok := signedEntry(k, leaf)
	if !ok {
		return say(sctUnverifiable, "it covers the key of the certificate's issuer, which is not known")
	}
	if !in.signedBy(&log.key, entry) {
		return say(sctInvalid, "it is no signature of the log on this certificate")
	}
	out.log = log
	switch {
	case log.Tiled && !hasLeafIndex(in.extensions):
		out.worthless = "it does not say where in the tiled log the certificate is"
	case !log.AcceptsTo.IsZero() && (leaf.info.NotAfter.Before(log.AcceptsFrom) || !leaf.info.NotAfter.Before(log.AcceptsTo)):
		out.worthless = "the log is for certificates that end at another time"
	case log.State == inventory.LogPending || log.State == inventory.LogRejected:
		out.worthless = "the log is " + string(log.State)
	}
	return say(sctValid, out.worthless)
}

// signedBy checks the signature on the entry.
func (s *serialSCT) signedBy(key *publicKey, entry []byte) bool {
	const sha256Hash, rsaSignature, ecdsaSignature = 4, 1, 3 // RFC 5246, section 7.4.1.4.1
	if s.hash != sha256Hash {
		return false
	}
	alg := sigAlg{kind: keyRSA, hash: crypto.SHA256}
	switch s.algorithm {
	case rsaSignature:
	case ecdsaSignature:
		alg.kind = keyECDSA
	default:
		return false
	}
	var b cryptobyte.Builder
	b.AddUint8(0) // version 1
	b.AddUint8(0) // certificate_timestamp
	b.AddUint64(s.milliseconds)
	b.AddBytes(entry)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.extensions) })
	signed, err := b.Bytes()
	return err == nil && verifySignature(key, alg, signed, s.signature) == nil
}

// signedEntry is what a log signs of the certificate: its type and content. An
// SCT in the certificate is on the precertificate, which the log writes as if
// the final issuer had signed it, also where a precertificate signing
// certificate did; so it always follows from the certificate and its issuer's
// key (RFC 6962, section 3.2).
func signedEntry(k sctsKey, leaf *cert) (entry []byte, ok bool) {
	const x509Entry, precertEntry = 0, 1
	var b cryptobyte.Builder
	if k.source == sctEmbedded {
		if k.issuer == (inventory.Fingerprint{}) {
			return nil, false
		}
		b.AddUint16(precertEntry)
		b.AddBytes(k.issuer[:])
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(leaf.tbsWithoutSCTs()) })
	} else {
		b.AddUint16(x509Entry)
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(leaf.der) })
	}
	entry, err := b.Bytes()
	return entry, err == nil
}

// tbsWithoutSCTs is the TBSCertificate as it was before the SCTs came in.
func (c *cert) tbsWithoutSCTs() []byte {
	outer := reader{rest: c.tbs}
	tbs, _ := outer.take(tagSequence)
	in := tbs.inner()
	for {
		front := tbs.content[:len(tbs.content)-len(in.rest)]
		e, ok := in.next()
		if !ok {
			return c.tbs
		}
		if e.tag != 0xa3 {
			continue
		}
		list, _ := single(e.content, tagSequence)
		all, _ := children(list.content)
		kept := make([]byte, 0, len(list.content))
		for _, x := range all {
			fields := x.inner()
			if oid, _ := fields.take(tagOID); string(oid.content) != oidSCTList {
				kept = append(kept, x.full...)
			}
		}
		return joinTBS(front, kept)
	}
}

// operatorAt is who operated the log at t.
func (l *ctLog) operatorAt(t time.Time) string {
	for _, o := range l.Operators {
		if t.Before(o.Until) {
			return o.Name
		}
	}
	return l.Operator
}

// stapledSCTs returns the SCTs that a stapled OCSP response has for the
// certificate (RFC 6962, section 3.3). Whether the response itself is any good
// is another question: the logs have signed them, and not the responder.
func stapledSCTs(staple []byte, leaf *cert) (list [][]byte, err error) {
	r, err := parseOCSP(staple)
	if err != nil {
		return nil, nil //nolint:nilerr // a bad staple is found as such, and has no SCTs
	}
	for _, s := range r.singles {
		if s.scts != nil && bytes.Equal(s.serial, shortest(leaf.serial)) {
			more, bad := wrappedSCTList(s.scts)
			list, err = append(list, more...), errors.Join(err, bad)
		}
	}
	return list, err
}
