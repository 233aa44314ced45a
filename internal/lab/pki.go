package lab

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"example.com/certscan/internal/inventory"
)

// A builder issues certificates and keeps the first error, so that scenarios
// read as what they serve. After an error all it issues is empty.
type builder struct {
	now     time.Time
	issuers *issuerServer
	logs    *logs
	err     error

	// Authorities of the public store, and the one that signs almost every leaf.
	root, oldRoot, expiredRoot, distrustedRoot *Certificate
	issuing                                    *Certificate

	// The private store's, and those that nobody trusts.
	privateRoot, privateIssuing *Certificate
	strangeRoot, strangeIssuing *Certificate
}

// authorityPrefix begins the common name of every authority.
const authorityPrefix = "Certscan Lab "

// An option changes what is issued.
type option func(*Spec)

func newBuilder(now time.Time, issuers *issuerServer) *builder {
	b := &builder{now: now, issuers: issuers}
	b.logs, b.err = newLogs(now)
	b.root = b.authority("root", nil)
	b.oldRoot = b.authority("old-root", nil)
	b.expiredRoot = b.authority("expired-root", nil, b.valid(-20*365*day, -30*day))
	b.distrustedRoot = b.authority("distrusted-root", nil)
	b.issuing = b.authority("issuing", b.root)
	b.privateRoot = b.authority("private-root", nil)
	b.privateIssuing = b.authority("private-issuing", b.privateRoot)
	b.strangeRoot = b.authority("strange-root", nil)
	b.strangeIssuing = b.authority("strange-issuing", b.strangeRoot)
	return b
}

func (b *builder) issue(issuer *Certificate, spec Spec) *Certificate {
	if b.err != nil {
		return &Certificate{}
	}
	c, err := Issue(issuer, spec)
	if err != nil {
		b.err = err
		return &Certificate{}
	}
	return c
}

// authority issues a CA certificate, self-signed if issuer is nil, and publishes
// it under name. Those below a root may sign leaves only.
func (b *builder) authority(name string, issuer *Certificate, options ...option) *Certificate {
	spec := Spec{CA: true, CommonName: authorityPrefix + name}
	if issuer == nil {
		b.valid(-5*365*day, 15*365*day)(&spec)
		spec.Template = func(t *x509.Certificate) { t.ExtKeyUsage, t.Policies = nil, nil }
	} else {
		b.valid(-365*day, 4*365*day)(&spec)
		spec.Template = func(t *x509.Certificate) { t.MaxPathLenZero = true }
		published(issuer)(&spec)
	}
	for _, o := range options {
		o(&spec)
	}
	c := b.issue(issuer, spec)
	b.issuers.publish(name, c)
	return c
}

// leaf issues a certificate for host that has nothing wrong with it but what
// the options say. It is self-signed if issuer is nil.
func (b *builder) leaf(issuer *Certificate, host string, options ...option) *Certificate {
	spec := Spec{Names: []string{host}}
	b.valid(-10*day, 80*day)(&spec)
	if issuer != nil {
		published(issuer)(&spec)
	}
	for _, o := range options {
		o(&spec)
	}
	if spec.Logs == nil { // nobody has said that there be none
		spec.Logs = b.logs.usual(spec.NotAfter.Sub(spec.NotBefore))
	}
	if spec.LoggedAt = spec.NotBefore; spec.LoggedAt.After(b.now.Add(-time.Hour)) {
		spec.LoggedAt = b.now.Add(-time.Hour)
	}
	return b.issue(issuer, spec)
}

// key returns one of the embedded keys.
func (b *builder) key(name string) crypto.Signer {
	key, err := embeddedKey(name)
	b.err = errors.Join(b.err, err)
	return key
}

// valid dates a certificate relative to now.
func (b *builder) valid(from, until time.Duration) option {
	return func(s *Spec) { s.NotBefore, s.NotAfter = b.now.Add(from), b.now.Add(until) }
}

// published names where issuer publishes its certificate and CRL.
func published(issuer *Certificate) option {
	return func(s *Spec) {
		if issuer.url != "" {
			s.IssuerURLs, s.CRLURLs = []string{issuer.url + ".cer"}, []string{issuer.url + ".crl"}
		}
	}
}

func withKey(key crypto.Signer) option { return func(s *Spec) { s.Key = key } }

func withIssuerURL(urls ...string) option { return func(s *Spec) { s.IssuerURLs = urls } }

// template adds a change to what crypto/x509 is given.
func template(change func(*x509.Certificate)) option {
	return func(s *Spec) {
		before := s.Template
		s.Template = func(t *x509.Certificate) {
			if before != nil {
				before(t)
			}
			change(t)
		}
	}
}

func tbs(change func(*TBS)) option { return func(s *Spec) { s.TBS = change } }

// Public returns the store that the lab's scenarios are to be judged with. It
// counts as publicly trusted, so the Baseline Requirements bind what is under
// it. One of its anchors is distrusted.
func (l *Lab) Public() inventory.TrustStore {
	b := l.builder
	s := l.store("lab-public", l.publicRoots()...)
	s.Public = true
	s.Anchors = append(s.Anchors, inventory.Anchor{
		DER: b.distrustedRoot.DER,
		Constraint: func([]*x509.Certificate) error {
			return errors.New("distrusted by the lab for nothing that it did")
		},
	})
	return s
}

// publicRoots are the anchors of the public store that carry no constraint.
func (l *Lab) publicRoots() []*Certificate {
	b := l.builder
	roots := []*Certificate{b.root, b.oldRoot, b.expiredRoot}
	if l.fleet.root != b.root {
		roots = append(roots, l.fleet.root)
	}
	return roots
}

// Private returns the store of a company of its own, for the scenarios that say
// so.
func (l *Lab) Private() inventory.TrustStore { return l.store("lab-private", l.builder.privateRoot) }

func (l *Lab) store(name string, roots ...*Certificate) inventory.TrustStore {
	s := inventory.TrustStore{Name: name, Date: l.builder.now.UTC().Format(time.DateOnly)}
	for _, r := range roots {
		s.Anchors = append(s.Anchors, inventory.Anchor{DER: r.DER})
	}
	return s
}

// WriteRoots writes both stores to dir as PEM and returns the paths. A file
// cannot say that a root is distrusted, so that one is left out.
func (l *Lab) WriteRoots(dir string) (public, private string, err error) {
	public, private = filepath.Join(dir, "lab-public.pem"), filepath.Join(dir, "lab-private.pem")
	if err := writePEM(public, l.publicRoots()...); err != nil {
		return "", "", err
	}
	return public, private, writePEM(private, l.builder.privateRoot)
}

func writePEM(path string, certs ...*Certificate) error {
	var text bytes.Buffer
	for _, c := range certs {
		text.Write(c.PEM())
	}
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write roots: %w", err)
	}
	return nil
}
