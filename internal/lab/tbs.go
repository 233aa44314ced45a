package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// A TBS is a TBSCertificate (RFC 5280, section 4.1) taken apart, so that a
// certificate can say what crypto/x509 refuses to write and still be signed
// rightly.
type TBS struct {
	Version            int `asn1:"optional,explicit,default:0,tag:0"` // 2 is version 3
	Serial             *big.Int
	SignatureAlgorithm pkix.AlgorithmIdentifier
	Issuer             asn1.RawValue
	Validity           asn1.RawValue
	Subject            asn1.RawValue
	PublicKey          asn1.RawValue
	Extensions         []pkix.Extension `asn1:"omitempty,optional,explicit,tag:3"`
}

// Extension returns the extension with the given identifier, or nil.
func (t *TBS) Extension(id asn1.ObjectIdentifier) *pkix.Extension {
	for i := range t.Extensions {
		if t.Extensions[i].Id.Equal(id) {
			return &t.Extensions[i]
		}
	}
	return nil
}

// envelope is Certificate of RFC 5280.
type envelope struct {
	TBS                asn1.RawValue
	SignatureAlgorithm pkix.AlgorithmIdentifier
	Signature          asn1.BitString
}

// resign takes the TBSCertificate of der apart, lets change at it, and signs the
// result with key and hash, whatever it says.
func resign(der []byte, key crypto.Signer, hash crypto.Hash, change func(*TBS)) ([]byte, error) {
	var e envelope
	if _, err := asn1.Unmarshal(der, &e); err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	var tbs TBS
	if _, err := asn1.Unmarshal(e.TBS.FullBytes, &tbs); err != nil {
		return nil, fmt.Errorf("read TBSCertificate: %w", err)
	}
	algorithm, err := signatureAlgorithm(key, hash)
	if err != nil {
		return nil, err
	}
	tbs.SignatureAlgorithm = algorithm
	if change != nil {
		change(&tbs)
	}
	raw, err := asn1.Marshal(tbs)
	if err != nil {
		return nil, fmt.Errorf("write TBSCertificate: %w", err)
	}
	signature, err := sign(raw, key, hash)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(envelope{
		TBS:                asn1.RawValue{FullBytes: raw},
		SignatureAlgorithm: algorithm,
		Signature:          asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	})
}

func sign(message []byte, key crypto.Signer, hash crypto.Hash) ([]byte, error) {
	if _, ok := key.(ed25519.PrivateKey); ok {
		return key.Sign(rand.Reader, message, crypto.Hash(0))
	}
	h := hash.New()
	h.Write(message)
	return key.Sign(rand.Reader, h.Sum(nil), hash)
}

// defaultHash is the hash that goes with the strength of key.
func defaultHash(key crypto.Signer) crypto.Hash {
	if k, ok := key.(*ecdsa.PrivateKey); ok && k.Params().BitSize == 384 {
		return crypto.SHA384
	}
	return crypto.SHA256
}

// signatureAlgorithm returns the AlgorithmIdentifier for a signature by key over
// hash (RFC 3279, 5758, 8410), including those that nobody should use.
func signatureAlgorithm(key crypto.Signer, hash crypto.Hash) (pkix.AlgorithmIdentifier, error) {
	switch key.(type) {
	case *ecdsa.PrivateKey:
		switch hash {
		case crypto.SHA1:
			return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}}, nil
		case crypto.SHA256:
			return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, nil
		case crypto.SHA384:
			return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}}, nil
		}
	case *rsa.PrivateKey:
		last := map[crypto.Hash]int{crypto.MD5: 4, crypto.SHA1: 5, crypto.SHA256: 11, crypto.SHA384: 12}[hash]
		if last != 0 {
			return pkix.AlgorithmIdentifier{
				Algorithm:  asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, last},
				Parameters: asn1.NullRawValue,
			}, nil
		}
	case ed25519.PrivateKey:
		return pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 101, 112}}, nil
	}
	return pkix.AlgorithmIdentifier{}, fmt.Errorf("sign with %T and %v: no such algorithm here", key, hash)
}
