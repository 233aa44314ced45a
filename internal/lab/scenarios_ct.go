package lab

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"time"

	"golang.org/x/crypto/ocsp"

	"example.com/certscan/internal/inventory"
)

// loggedBy makes the authority ask these logs, and no others.
func loggedBy(logs ...*Log) option {
	return func(s *Spec) { s.Logs = append([]*Log{}, logs...) }
}

// transparencyScenarios are to be judged with [Lab.LogList].
func transparencyScenarios() []definition {
	embeds := func(name, about string, want []inventory.Code, choose func(*logs) []*Log, options ...option) definition {
		return definition{name: name, about: about, want: want, build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, append(options, loggedBy(choose(s.logs)...))...), s.issuing))
		}}
	}
	halfYear := func(s *Spec) { s.NotAfter = s.NotBefore.Add(190 * day) }
	insufficient := wants(inventory.CodeSCTInsufficient)
	return []definition{
		embeds("sct-missing", "A certificate that no log has seen.", wants(inventory.CodeSCTMissing), func(*logs) []*Log { return nil }),
		embeds("sct-one", "A timestamp of one log only.", insufficient, func(l *logs) []*Log { return []*Log{l.oak} }),
		embeds("sct-one-operator", "Timestamps of two logs of one operator.", insufficient, func(l *logs) []*Log { return []*Log{l.oak, l.oak2} }),
		embeds("sct-long-lived", "Half a year and a bit, with the three timestamps that takes.", nil, func(l *logs) []*Log { return []*Log{l.oak, l.elm, l.oak2} }, halfYear),
		embeds("sct-long-lived-two", "Half a year and a bit, with two timestamps.", insufficient, func(l *logs) []*Log { return []*Log{l.oak, l.elm} }, halfYear),
		embeds("sct-retired", "One of two logs was retired after it had signed.", nil, func(l *logs) []*Log { return []*Log{l.oak, l.retired} }),
		embeds("sct-retired-only", "The only logs have been retired.", insufficient, func(l *logs) []*Log { return []*Log{l.retired} }),
		embeds("sct-rejected", "One of two logs was never accepted.", insufficient, func(l *logs) []*Log { return []*Log{l.oak, l.rejected} }),
		embeds("sct-unknown-log", "One of two logs is in no list, so nobody can tell.", nil, func(l *logs) []*Log { return []*Log{l.oak, l.unlisted} }),
		embeds("sct-invalid", "One of two timestamps is no signature on the certificate.", wants(inventory.CodeSCTInvalid), func(l *logs) []*Log { return []*Log{l.oak, l.liar} }),
		{name: "sct-tls", about: "Timestamps in the handshake and not in the certificate.", build: func(s *site) {
			leaf := s.leaf(s.issuing, s.host, loggedBy())
			s.serve(s.withSCTs(leaf, leaf))
		}},
		{name: "sct-tls-other", about: "The handshake has the timestamps of another certificate, as after a renewal.", want: wants(inventory.CodeSCTInvalid), build: func(s *site) {
			s.serve(s.withSCTs(s.leaf(s.issuing, s.host, loggedBy()), s.leaf(s.issuing, s.host, loggedBy())))
		}},
		{name: "sct-staple", about: "Timestamps in the OCSP staple and not in the certificate.", build: func(s *site) {
			leaf := s.leaf(s.issuing, s.host, loggedBy())
			s.serve(TLS(tune(s.config(leaf, s.issuing), func(c *tls.Config) { c.Certificates[0].OCSPStaple = s.stapleWithSCTs(leaf) })))
		}},
		{name: "precertificate", about: "What was only for the logs is served instead of the certificate.", want: wants(inventory.CodePrecertificateServed), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, loggedBy(), template(func(t *x509.Certificate) {
				t.ExtraExtensions = []pkix.Extension{{Id: oidPoison, Critical: true, Value: []byte{5, 0}}}
			})), s.issuing))
		}},
	}
}

// withSCTs is a server that sends leaf, and in the TLS extension the timestamps
// of of.
func (s *site) withSCTs(leaf, of *Certificate) Handler {
	return TLS(tune(s.config(leaf, s.issuing), func(c *tls.Config) {
		scts, err := logCertificate(s.logs.usual(0), of.DER, s.now.Add(-day))
		s.err = errors.Join(s.err, err)
		c.Certificates[0].SignedCertificateTimestamps = scts
	}))
}

// stapleWithSCTs is a good OCSP response for leaf that has its timestamps.
func (s *site) stapleWithSCTs(leaf *Certificate) []byte {
	scts, err := logCertificate(s.logs.usual(0), leaf.DER, s.now.Add(-day))
	s.err = errors.Join(s.err, err)
	extension, err := sctExtension(oidOCSPSCTList, scts)
	s.err = errors.Join(s.err, err)
	certificate, err := x509.ParseCertificate(leaf.DER)
	s.err = errors.Join(s.err, err)
	issuer, err := x509.ParseCertificate(s.issuing.DER)
	if s.err = errors.Join(s.err, err); s.err != nil {
		return nil
	}
	response, err := ocsp.CreateResponse(issuer, issuer, ocsp.Response{
		Status: ocsp.Good, SerialNumber: certificate.SerialNumber, IssuerHash: crypto.SHA1,
		ThisUpdate: s.now.Add(-time.Hour), NextUpdate: s.now.Add(3 * day), ExtraExtensions: []pkix.Extension{extension},
	}, s.issuing.Key)
	s.err = errors.Join(s.err, err)
	return response
}
