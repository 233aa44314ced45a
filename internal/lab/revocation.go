package lab

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"time"

	"golang.org/x/crypto/cryptobyte"
	tag "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"
)

// Object identifiers of revocation (RFC 5280, 6960, 7633).
var (
	oidIDP         = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidOCSPNoCheck = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
	oidTLSFeature  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}
)

// A listSpec says what CRL to issue. Its zero value is one that is good for a
// week and has nobody on it.
type listSpec struct {
	revoked    []*Certificate
	thisUpdate time.Duration // from now; defaults to an hour ago
	nextUpdate time.Duration // from now; defaults to a week
	point      string        // the URL of an issuing distribution point, "" for none
	key        crypto.Signer // defaults to the issuer's
}

// list issues a CRL.
func (b *builder) list(issuer *Certificate, spec listSpec) []byte {
	if spec.thisUpdate == 0 {
		spec.thisUpdate = -time.Hour
	}
	if spec.nextUpdate == 0 {
		spec.nextUpdate = 7 * day
	}
	list := &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: b.now.Add(spec.thisUpdate), NextUpdate: b.now.Add(spec.nextUpdate),
	}
	for _, c := range spec.revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: b.parsed(c).SerialNumber, RevocationTime: b.now.Add(-2 * day), ReasonCode: ocsp.KeyCompromise,
		})
	}
	if spec.point != "" {
		list.ExtraExtensions = append(list.ExtraExtensions, pkix.Extension{Id: oidIDP, Critical: true, Value: b.point(spec.point)})
	}
	by := b.parsed(issuer)
	if spec.key == nil {
		spec.key = issuer.Key
	}
	by.PublicKey = spec.key.Public() // so that crypto/x509 lets it sign in another's name
	der, err := x509.CreateRevocationList(rand.Reader, list, by, spec.key)
	b.fail(err)
	return der
}

// A tbsList is a TBSCertList (RFC 5280, section 5.1).
type tbsList struct {
	Version    int
	Algorithm  pkix.AlgorithmIdentifier
	Issuer     asn1.RawValue
	ThisUpdate time.Time
	NextUpdate time.Time
	Revoked    []asn1.RawValue  `asn1:"optional,omitempty"`
	Extensions []pkix.Extension `asn1:"explicit,tag:0"`
}

// longList issues a CRL with so many entries of nobody's serial numbers, which
// crypto/x509 would take long for.
func (b *builder) longList(issuer *Certificate, spec listSpec, entries int) []byte {
	short := b.list(issuer, spec)
	if b.err != nil || entries == 0 {
		return short
	}
	entry, err := asn1.Marshal(struct {
		Serial *big.Int
		Time   time.Time
	}{new(big.Int).Lsh(big.NewInt(0x41), 8*(serialSize-1)), b.now.Add(-2 * day).UTC()})
	b.fail(err)
	const serial = 4 // where it begins in entry
	revoked := bytes.Repeat(entry, entries)
	for i := range entries {
		binary.BigEndian.PutUint64(revoked[i*len(entry)+serial+serialSize-8:], mix(uint64(i)))
	}
	var list struct {
		TBS       tbsList
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	_, err = asn1.Unmarshal(short, &list)
	b.fail(err)
	list.TBS.Revoked = []asn1.RawValue{{FullBytes: revoked}}
	tbs, err := asn1.Marshal(list.TBS)
	b.fail(err)
	signature, err := sign(tbs, issuer.Key, defaultHash(issuer.Key))
	b.fail(err)
	der, err := asn1.Marshal(envelope{
		TBS: asn1.RawValue{FullBytes: tbs}, SignatureAlgorithm: list.Algorithm,
		Signature: asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	})
	b.fail(err)
	return der
}

// point is an issuing distribution point for one URL.
func (b *builder) point(url string) []byte {
	var out cryptobyte.Builder
	name := tag.Tag(0).ContextSpecific()
	out.AddASN1(tag.SEQUENCE, func(idp *cryptobyte.Builder) {
		idp.AddASN1(name.Constructed(), func(point *cryptobyte.Builder) {
			point.AddASN1(name.Constructed(), func(full *cryptobyte.Builder) {
				full.AddASN1(tag.Tag(6).ContextSpecific(), func(uri *cryptobyte.Builder) { uri.AddBytes([]byte(url)) })
			})
		})
	})
	der, err := out.Bytes()
	b.fail(err)
	return der
}

// parsed reads c. After an error it is empty.
func (b *builder) parsed(c *Certificate) *x509.Certificate {
	if b.err != nil {
		return &x509.Certificate{SerialNumber: new(big.Int)}
	}
	x, err := x509.ParseCertificate(c.DER)
	b.fail(err)
	if err != nil {
		return &x509.Certificate{SerialNumber: new(big.Int)}
	}
	return x
}

func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// A responderSpec says how an OCSP responder answers. Its zero value says good
// of everything, by the issuer itself.
type responderSpec struct {
	status     int           // ocsp.Good, ocsp.Revoked or ocsp.Unknown
	thisUpdate time.Duration // from now; defaults to an hour ago
	nextUpdate time.Duration // from now; defaults to four days
	delegate   *Certificate  // signs in place of the issuer
	answer     []byte        // is sent in place of all that
}

// respond issues the OCSP response about a serial number.
func (b *builder) respond(issuer *Certificate, serial *big.Int, spec responderSpec) ([]byte, error) {
	if spec.answer != nil {
		return spec.answer, nil
	}
	if spec.thisUpdate == 0 {
		spec.thisUpdate = -time.Hour
	}
	if spec.nextUpdate == 0 {
		spec.nextUpdate = 4 * day
	}
	by, err := x509.ParseCertificate(issuer.DER)
	if err != nil {
		return nil, err
	}
	t := ocsp.Response{
		Status: spec.status, SerialNumber: serial, ThisUpdate: b.now.Add(spec.thisUpdate), NextUpdate: b.now.Add(spec.nextUpdate),
	}
	if spec.status == ocsp.Revoked {
		t.RevokedAt, t.RevocationReason = b.now.Add(-2*day), ocsp.KeyCompromise
	}
	signer, key := by, issuer.Key
	if spec.delegate != nil {
		if signer, err = x509.ParseCertificate(spec.delegate.DER); err != nil {
			return nil, err
		}
		t.Certificate, key = signer, spec.delegate.Key
	}
	return ocsp.CreateResponse(by, signer, t, key)
}

// staple is the response about c that a server sends with it.
func (b *builder) staple(issuer, c *Certificate, spec responderSpec) []byte {
	der, err := b.respond(issuer, b.parsed(c).SerialNumber, spec)
	b.fail(err)
	return der
}

// stapled makes a server send a response with its certificate.
func stapled(config *tls.Config, response []byte) *tls.Config {
	config.Certificates[0].OCSPStaple = response
	return config
}

// delegate issues a certificate for an OCSP responder.
func (b *builder) delegate(issuer *Certificate, usage ...x509.ExtKeyUsage) *Certificate {
	spec := Spec{CommonName: authorityPrefix + "OCSP responder", Template: func(t *x509.Certificate) {
		t.ExtKeyUsage, t.Policies = usage, nil
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oidOCSPNoCheck, Value: asn1.NullBytes})
	}}
	b.valid(-10*day, 80*day)(&spec)
	return b.issue(issuer, spec)
}

// withLists names the URLs of CRLs.
func withLists(urls ...string) option { return func(s *Spec) { s.CRLURLs = urls } }

// withResponder names the URL of an OCSP responder.
func withResponder(url string) option {
	return template(func(t *x509.Certificate) { t.OCSPServer = []string{url} })
}

// mustStaple demands that a response is stapled.
func mustStaple() option {
	return template(func(t *x509.Certificate) {
		t.ExtraExtensions = append(t.ExtraExtensions, pkix.Extension{Id: oidTLSFeature, Value: []byte{0x30, 0x03, 0x02, 0x01, 0x05}})
	})
}

// listURL is where the list called name is, once publishList has been called.
func (s *issuerServer) listURL(name string) string { return s.base + "/crl/" + name + ".crl" }

// responderURL is where the responder called name is, once publishResponder has
// been called.
func (s *issuerServer) responderURL(name string) string { return s.base + "/ocsp/" + name }

// publishList serves body as a CRL.
func (s *issuerServer) publishList(name string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists[name+".crl"] = body
}

// publishResponder lets answer speak for an OCSP responder.
func (s *issuerServer) publishResponder(name string, answer func(serial *big.Int) ([]byte, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.responders[name] = answer
}

// counts says how often each list was asked for, in JSON.
func (s *issuerServer) counts(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.requests) // who has left needs no answer
}

func (s *issuerServer) list(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	s.mu.Lock()
	body, ok := s.lists[name]
	s.requests[name]++
	s.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/pkix-crl")
	w.Header().Set("Cache-Control", "max-age=3600")
	_, _ = w.Write(body)
}

// maxOCSPRequest bounds what a responder reads.
const maxOCSPRequest = 16 << 10

func (s *issuerServer) respond(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	answer := s.responders[r.PathValue("name")]
	s.mu.Unlock()
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	der, err := base64.StdEncoding.DecodeString(r.PathValue("request"))
	if r.Method == http.MethodPost {
		der, err = io.ReadAll(io.LimitReader(r.Body, maxOCSPRequest))
	}
	response := ocsp.MalformedRequestErrorResponse
	if err == nil {
		if request, err := ocsp.ParseRequest(der); err == nil {
			if response, err = answer(request.SerialNumber); err != nil {
				response = ocsp.InternalErrorErrorResponse
			}
		}
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	_, _ = w.Write(response)
}
