package verify

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
	"sync"

	"example.com/certscan/internal/inventory"
)

type keyKind int

const (
	keyUnknown keyKind = iota
	keyRSA
	keyRSAPSS
	keyECDSA
	keyEd25519
	keyEd448
	keyDSA
	keyMLDSA
)

// maxRSABits bounds the arithmetic that a stranger's key can ask for.
const maxRSABits = 16384

// A publicKey is what could be read of a SubjectPublicKeyInfo.
type publicKey struct {
	kind  keyKind
	label string // "RSA 2048"
	bits  int
	id    inventory.Fingerprint // of the SubjectPublicKeyInfo

	modulus, exponent []byte // RSA, without leading zeros
	curve             string // ECDSA; "explicit" where the parameters are spelled out
	point             []byte // the BIT STRING's octets

	// foreign: well-formed, but nothing that Go's library can hold, so that its
	// refusal says nothing about the certificate.
	foreign bool

	once sync.Once
	key  any // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey; set by once
	err  error
}

const (
	oidRSA     = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
	oidRSAPSS  = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"
	oidEC      = "\x2a\x86\x48\xce\x3d\x02\x01"
	oidDSA     = "\x2a\x86\x48\xce\x38\x04\x01"
	oidEd25519 = "\x2b\x65\x70"
	oidEd448   = "\x2b\x65\x71"
)

// parseKey fills k from a SubjectPublicKeyInfo and reports whether it has the
// form of one.
func (k *publicKey) parse(spki element) bool {
	k.id = inventory.FingerprintOf(spki.full)
	in := spki.inner()
	alg, ok1 := in.take(tagSequence)
	value, ok2 := in.take(tagBitString)
	ai := alg.inner()
	oid, ok3 := ai.take(tagOID)
	ok := ok1 && ok2 && ok3 && in.clean() && len(value.content) > 0
	if ok {
		k.point = value.content[1:]
	}
	params, _ := ai.next()
	switch string(oid.content) {
	case oidRSA, oidRSAPSS:
		k.kind, k.label = keyRSA, "RSA "
		if string(oid.content) == oidRSAPSS {
			k.kind, k.label, k.foreign = keyRSAPSS, "RSA-PSS ", true
		}
		ok = k.parseRSA() && ok
	case oidEC:
		k.kind = keyECDSA
		k.parseCurve(params)
	case oidDSA:
		k.kind, k.foreign = keyDSA, true
		dsa := params.inner()
		p, _ := dsa.take(tagInteger)
		abs, _ := magnitude(p.content)
		k.bits = bitLen(abs)
		k.label = "DSA " + strconv.Itoa(k.bits)
	case oidEd25519:
		k.kind, k.label, k.bits = keyEd25519, "Ed25519", 256
		ok = ok && len(k.point) == ed25519.PublicKeySize
	case oidEd448:
		k.kind, k.label, k.bits, k.foreign = keyEd448, "Ed448", 456, true
	default:
		k.foreign = true
		k.label = postQuantum(oid.content)
		if k.label != "" {
			k.kind = keyMLDSA
		} else {
			k.label = "OID " + oidString(oid.content)
		}
	}
	return ok
}

// postQuantum names ML-DSA keys and signatures (2.16.840.1.101.3.4.3.17-19).
func postQuantum(oid []byte) string {
	switch string(oid) {
	case "\x60\x86\x48\x01\x65\x03\x04\x03\x11":
		return "ML-DSA-44"
	case "\x60\x86\x48\x01\x65\x03\x04\x03\x12":
		return "ML-DSA-65"
	case "\x60\x86\x48\x01\x65\x03\x04\x03\x13":
		return "ML-DSA-87"
	}
	return ""
}

func (k *publicKey) parseRSA() bool {
	seq, ok := single(k.point, tagSequence)
	in := seq.inner()
	n, ok1 := in.take(tagInteger)
	e, ok2 := in.take(tagInteger)
	var negN, negE bool
	k.modulus, negN = magnitude(n.content)
	k.exponent, negE = magnitude(e.content)
	k.bits = bitLen(k.modulus)
	k.label += strconv.Itoa(k.bits)
	if bitLen(k.exponent) > 31 {
		k.foreign = true
	}
	return ok && ok1 && ok2 && in.clean() && !negN && !negE && k.bits > 0
}

func (k *publicKey) parseCurve(params element) {
	switch {
	case params.tag == tagSequence:
		k.curve = "explicit" // which RFC 5480, section 2.1.1, forbids outright
		k.bits = explicitBits(params)
		k.label = "ECDSA explicit parameters"
		return
	case params.tag != tagOID:
		k.label = "ECDSA"
		return
	}
	k.curve, k.bits, k.foreign = curveName(params.content)
	k.label = "ECDSA " + k.curve
}

// explicitBits reads the size of the field out of ECParameters (RFC 3279,
// section 2.3.5), 0 if it cannot.
func explicitBits(params element) int {
	in := params.inner()
	in.take(tagInteger)
	field, _ := in.take(tagSequence)
	f := field.inner()
	f.take(tagOID)
	p, _ := f.take(tagInteger)
	abs, _ := magnitude(p.content)
	return bitLen(abs)
}

func curveName(oid []byte) (label string, size int, foreign bool) {
	const brainpool = "\x2b\x24\x03\x03\x02\x08\x01\x01"
	switch s := string(oid); s {
	case "\x2a\x86\x48\xce\x3d\x03\x01\x07":
		return "P-256", 256, false
	case "\x2b\x81\x04\x00\x22":
		return "P-384", 384, false
	case "\x2b\x81\x04\x00\x23":
		return "P-521", 521, false
	case "\x2b\x81\x04\x00\x21":
		return "P-224", 224, false
	case "\x2a\x86\x48\xce\x3d\x03\x01\x01":
		return "P-192", 192, true
	case "\x2b\x81\x04\x00\x0a":
		return "secp256k1", 256, true
	default:
		if len(s) == len(brainpool)+1 && s[:len(brainpool)] == brainpool {
			i := int(s[len(brainpool)]) - 1
			sizes := []int{160, 192, 224, 256, 320, 384, 512}
			if i >= 0 && i/2 < len(sizes) {
				size = sizes[i/2]
				return fmt.Sprintf("brainpoolP%d%c1", size, "rt"[i%2]), size, true
			}
		}
		return oidString(oid), 0, true
	}
}

func bitLen(abs []byte) int {
	if len(abs) == 0 {
		return 0
	}
	return len(abs)*8 - bits.LeadingZeros8(abs[0])
}

var errUnsupportedKey = errors.New("this kind of key cannot be verified with")

// public returns the key in the form that Go's verifiers take.
func (k *publicKey) public() (any, error) {
	k.once.Do(func() { k.key, k.err = k.build() })
	return k.key, k.err
}

func (k *publicKey) build() (any, error) {
	switch k.kind {
	case keyRSA, keyRSAPSS:
		if k.bits > maxRSABits || bitLen(k.exponent) > 31 {
			return nil, errUnsupportedKey
		}
		e := new(big.Int).SetBytes(k.exponent)
		return &rsa.PublicKey{N: new(big.Int).SetBytes(k.modulus), E: int(e.Int64())}, nil
	case keyECDSA:
		var curve elliptic.Curve
		switch k.curve {
		case "P-224":
			curve = elliptic.P224()
		case "P-256":
			curve = elliptic.P256()
		case "P-384":
			curve = elliptic.P384()
		case "P-521":
			curve = elliptic.P521()
		default:
			return nil, errUnsupportedKey
		}
		return ecdsa.ParseUncompressedPublicKey(curve, k.point)
	case keyEd25519:
		if len(k.point) != ed25519.PublicKeySize {
			return nil, errUnsupportedKey
		}
		return ed25519.PublicKey(k.point), nil
	}
	return nil, errUnsupportedKey
}
