package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	_ "crypto/md5" // linked in for weak signatures
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"time"
)

const day = 24 * time.Hour

// Object identifiers of extensions that scenarios change.
var (
	oidSAN     = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidBasic   = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidNobodys = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}
)

// A Certificate is one that the lab issued, with its private key. Key is not
// always the key that DER names: some scenarios lie about that.
type Certificate struct {
	DER []byte
	Key crypto.Signer

	subject asn1.RawValue // as issued, for certificates under this one
	keyID   []byte
	url     string // where the lab publishes it for its subjects, without suffix; "" if nowhere
}

// PEM is c as a PEM block.
func (c *Certificate) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER})
}

// Chain is what a server sends for the given certificates, the first of which
// gives the private key.
func Chain(certs ...*Certificate) tls.Certificate {
	c := tls.Certificate{PrivateKey: certs[0].Key}
	for _, cert := range certs {
		c.Certificate = append(c.Certificate, cert.DER)
	}
	return c
}

// A Spec says what certificate to issue. Its zero value is a leaf for no name;
// the defaults are those of an ordinary publicly trusted certificate.
type Spec struct {
	CommonName string
	Names      []string
	Addresses  []netip.Addr

	// NotBefore and NotAfter are required.
	NotBefore, NotAfter time.Time

	Key crypto.Signer // defaults to a new P-256 key
	CA  bool          // an authority's certificate and not a leaf

	// URLs for the authority information access and CRL distribution points
	// extensions; without any the extension is left out.
	IssuerURLs, CRLURLs []string

	Hash crypto.Hash // of the signature; defaults to one as strong as the issuer's key

	// Logs give the certificate an SCT each, of the time LoggedAt. Without any
	// it has none. They need an issuer.
	Logs     []*Log
	LoggedAt time.Time

	// Template may change what crypto/x509 is given; TBS what it has written,
	// before it is signed again; DER the signed result.
	Template func(*x509.Certificate)
	TBS      func(*TBS)
	DER      func([]byte) []byte
}

// NewKey makes a P-256 key, the cheapest that everybody accepts.
func NewKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// Issue signs the certificate that spec describes with issuer's key, or with its
// own if issuer is nil.
func Issue(issuer *Certificate, spec Spec) (*Certificate, error) {
	c, err := issue(issuer, spec)
	if err != nil {
		name := spec.CommonName
		if name == "" && len(spec.Names) > 0 {
			name = spec.Names[0]
		}
		return nil, fmt.Errorf("issue certificate for %q: %w", name, err)
	}
	return c, nil
}

func issue(issuer *Certificate, spec Spec) (*Certificate, error) {
	if spec.Key == nil {
		key, err := NewKey()
		if err != nil {
			return nil, err
		}
		spec.Key = key
	}
	template, err := newTemplate(spec)
	if err != nil {
		return nil, err
	}
	c := &Certificate{Key: spec.Key, keyID: template.SubjectKeyId}
	parent := template
	signer := spec.Key
	if issuer != nil {
		parent = &x509.Certificate{RawSubject: issuer.subject.FullBytes, SubjectKeyId: issuer.keyID}
		signer = issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, spec.Key.Public(), signer)
	if err != nil {
		return nil, err
	}
	var logErr error
	if len(spec.Logs) > 0 && issuer != nil {
		before := spec.TBS
		spec.TBS = func(t *TBS) {
			if before != nil {
				before(t)
			}
			logErr = t.logged(spec.Logs, issuer.Key.Public(), spec.LoggedAt)
		}
	}
	if spec.Hash != 0 || spec.TBS != nil {
		hash := spec.Hash
		if hash == 0 {
			hash = defaultHash(signer)
		}
		if der, err = resign(der, signer, hash, spec.TBS); err != nil || logErr != nil {
			return nil, errors.Join(err, logErr)
		}
	}
	if c.subject, err = subjectOf(der); err != nil {
		return nil, err
	}
	c.DER = der
	if spec.DER != nil {
		c.DER = spec.DER(slices.Clone(der))
	}
	return c, nil
}

func newTemplate(spec Spec) (*x509.Certificate, error) {
	serial := make([]byte, 16)
	if _, err := rand.Read(serial); err != nil {
		return nil, err
	}
	serial[0] = serial[0]&0x7f | 0x40 // positive, and always as long
	spki, err := x509.MarshalPKIXPublicKey(spec.Key.Public())
	if err != nil {
		return nil, err
	}
	id := sha1.Sum(spki)                                                    // any unique value does (RFC 5280, 4.2.1.2)
	domainValidated, err := x509.OIDFromInts([]uint64{2, 23, 140, 1, 2, 1}) // BR 7.1.6.1
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(serial),
		Subject:               pkix.Name{CommonName: spec.CommonName},
		DNSNames:              spec.Names,
		NotBefore:             spec.NotBefore.UTC().Truncate(time.Second),
		NotAfter:              spec.NotAfter.UTC().Truncate(time.Second),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		SubjectKeyId:          id[:],
		IssuingCertificateURL: spec.IssuerURLs,
		CRLDistributionPoints: spec.CRLURLs,
		Policies:              []x509.OID{domainValidated},
	}
	for _, a := range spec.Addresses {
		t.IPAddresses = append(t.IPAddresses, net.IP(a.AsSlice()))
	}
	if spec.CA {
		t.Subject.Country, t.Subject.Organization = []string{"XX"}, []string{"Certscan Lab"}
		t.IsCA = true
		t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	if spec.Template != nil {
		spec.Template(t)
	}
	return t, nil
}

func subjectOf(der []byte) (asn1.RawValue, error) {
	var e envelope
	if _, err := asn1.Unmarshal(der, &e); err != nil {
		return asn1.RawValue{}, err
	}
	var tbs TBS
	if _, err := asn1.Unmarshal(e.TBS.FullBytes, &tbs); err != nil {
		return asn1.RawValue{}, err
	}
	return tbs.Subject, nil
}
