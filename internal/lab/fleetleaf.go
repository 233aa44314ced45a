package lab

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// A leafTemplate is the TBSCertificate of one of the fleet's leaves and where
// in it the parts are that are each leaf's own. All of them have a fixed length.
// The SCTs are the template's: as large as real ones, and valid for no other.
type leafTemplate struct {
	tbs                        []byte
	serial, name, point, keyID int // offsets
	list                       int // offset of the CRL's name in its URL
	issuing                    *Certificate
	hash                       crypto.Hash
	algorithm                  pkix.AlgorithmIdentifier
}

const (
	serialSize = 16
	keyIDSize  = 20
)

func newLeafTemplate(leaf, issuing *Certificate) (t leafTemplate, err error) {
	var e envelope
	if _, err := asn1.Unmarshal(leaf.DER, &e); err != nil {
		return t, fmt.Errorf("fleet template: %w", err)
	}
	var parts TBS
	if _, err := asn1.Unmarshal(e.TBS.FullBytes, &parts); err != nil {
		return t, fmt.Errorf("fleet template: %w", err)
	}
	key, ok := leaf.Key.(*ecdsa.PrivateKey)
	if !ok {
		return t, errors.New("fleet template: no ECDSA key")
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return t, fmt.Errorf("fleet template: %w", err)
	}
	t = leafTemplate{tbs: e.TBS.FullBytes, issuing: issuing, hash: defaultHash(issuing.Key), algorithm: e.SignatureAlgorithm}
	for _, part := range []struct {
		offset *int
		bytes  []byte
	}{
		{&t.serial, parts.Serial.Bytes()},
		{&t.name, []byte(fleetName(0))},
		{&t.point, point},
		{&t.keyID, leaf.keyID},
		{&t.list, []byte(fleetListName(0))},
	} {
		if bytes.Count(t.tbs, part.bytes) != 1 {
			return t, fmt.Errorf("fleet template: %x does not stand in it once", part.bytes)
		}
		*part.offset = bytes.Index(t.tbs, part.bytes)
	}
	return t, nil
}

// issue makes the chain for a name, which is as long as the template's, and with
// the name of a CRL, which is too.
func (t leafTemplate) issue(name, list string) (*tls.Certificate, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(point)
	tbs := slices.Clone(t.tbs)
	copy(tbs[t.name:], name)
	copy(tbs[t.list:], list)
	copy(tbs[t.point:], point)
	copy(tbs[t.keyID:t.keyID+keyIDSize], id[:])
	serial := tbs[t.serial : t.serial+serialSize]
	if _, err := rand.Read(serial); err != nil {
		return nil, err
	}
	serial[0] = serial[0]&0x7f | 0x40
	signature, err := sign(tbs, t.issuing.Key, t.hash)
	if err != nil {
		return nil, err
	}
	der, err := asn1.Marshal(envelope{
		TBS:                asn1.RawValue{FullBytes: tbs},
		SignatureAlgorithm: t.algorithm,
		Signature:          asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	})
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, t.issuing.DER}, PrivateKey: key}, nil
}

// certificate returns the chain of endpoint i.
func (f *fleet) certificate(i int) (*tls.Certificate, error) {
	if c := f.certs[i].Load(); c != nil {
		return c, nil
	}
	c, err := f.leaf.issue(fleetName(i), fleetListName(i%f.lists))
	if err != nil {
		return nil, err
	}
	if !f.certs[i].CompareAndSwap(nil, c) {
		return f.certs[i].Load(), nil // another connection was first
	}
	return c, nil
}
