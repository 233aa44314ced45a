package verify

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/md5" // MD5 and SHA-1 tell "weakly signed" from "not signed"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
)

// A sigAlg is an algorithm that certificates are signed with.
type sigAlg struct {
	label string
	kind  keyKind // of the key that makes such signatures
	hash  crypto.Hash
	pss   bool
	salt  int
}

// weak reports whether collisions make a signature worthless (RFC 9155).
func (a sigAlg) weak() bool { return a.hash == crypto.MD5 || a.hash == crypto.SHA1 }

// signatureAlgorithm reads an AlgorithmIdentifier. Its labels are those of
// crypto/x509.
func signatureAlgorithm(id element) sigAlg {
	in := id.inner()
	oid, _ := in.take(tagOID)
	switch string(oid.content) {
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x02":
		return sigAlg{label: "MD2-RSA", kind: keyUnknown}
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04":
		return sigAlg{label: "MD5-RSA", kind: keyRSA, hash: crypto.MD5}
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", "\x2b\x0e\x03\x02\x1d":
		return sigAlg{label: "SHA1-RSA", kind: keyRSA, hash: crypto.SHA1}
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0e":
		return sigAlg{label: "SHA224-RSA", kind: keyRSA, hash: crypto.SHA224}
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b":
		return sigAlg{label: "SHA256-RSA", kind: keyRSA, hash: crypto.SHA256}
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c":
		return sigAlg{label: "SHA384-RSA", kind: keyRSA, hash: crypto.SHA384}
	case "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d":
		return sigAlg{label: "SHA512-RSA", kind: keyRSA, hash: crypto.SHA512}
	case oidRSAPSS:
		return pssAlgorithm(in)
	case "\x2a\x86\x48\xce\x3d\x04\x01":
		return sigAlg{label: "ECDSA-SHA1", kind: keyECDSA, hash: crypto.SHA1}
	case "\x2a\x86\x48\xce\x3d\x04\x03\x01":
		return sigAlg{label: "ECDSA-SHA224", kind: keyECDSA, hash: crypto.SHA224}
	case "\x2a\x86\x48\xce\x3d\x04\x03\x02":
		return sigAlg{label: "ECDSA-SHA256", kind: keyECDSA, hash: crypto.SHA256}
	case "\x2a\x86\x48\xce\x3d\x04\x03\x03":
		return sigAlg{label: "ECDSA-SHA384", kind: keyECDSA, hash: crypto.SHA384}
	case "\x2a\x86\x48\xce\x3d\x04\x03\x04":
		return sigAlg{label: "ECDSA-SHA512", kind: keyECDSA, hash: crypto.SHA512}
	case oidEd25519:
		return sigAlg{label: "Ed25519", kind: keyEd25519}
	case oidEd448:
		return sigAlg{label: "Ed448"}
	case "\x2a\x86\x48\xce\x38\x04\x03":
		return sigAlg{label: "DSA-SHA1"}
	case "\x60\x86\x48\x01\x65\x03\x04\x03\x02":
		return sigAlg{label: "DSA-SHA256"}
	}
	if pq := postQuantum(oid.content); pq != "" {
		return sigAlg{label: pq}
	}
	return sigAlg{label: "OID " + oidString(oid.content)}
}

// pssAlgorithm reads RSASSA-PSS-params (RFC 4055, section 3.1) from what follows
// the object identifier.
func pssAlgorithm(in reader) sigAlg {
	a := sigAlg{label: "SHA1-RSAPSS", kind: keyRSA, hash: crypto.SHA1, pss: true, salt: 20}
	params, ok := in.take(tagSequence)
	if !ok {
		return a
	}
	mask := crypto.SHA1
	fields, clean := children(params.content)
	for _, f := range fields {
		switch f.tag {
		case 0xa0:
			a.hash = hashOf(f)
		case 0xa1:
			mgf, _ := single(f.content, tagSequence)
			m := mgf.inner()
			m.take(tagOID)
			mask = hashOf(element{content: m.rest})
		case 0xa2:
			n, ok1 := single(f.content, tagInteger)
			var ok2 bool
			a.salt, ok2 = smallInt(n.content)
			clean = clean && ok1 && ok2 && a.salt <= 512
		}
	}
	switch a.hash {
	case crypto.SHA1:
	case crypto.SHA256:
		a.label = "SHA256-RSAPSS"
	case crypto.SHA384:
		a.label = "SHA384-RSAPSS"
	case crypto.SHA512:
		a.label = "SHA512-RSAPSS"
	default:
		clean = false
	}
	if !clean || mask != a.hash {
		return sigAlg{label: "RSAPSS with unusual parameters"}
	}
	return a
}

// hashOf reads the hash function of an AlgorithmIdentifier inside e.
func hashOf(e element) crypto.Hash {
	seq, _ := single(e.content, tagSequence)
	in := seq.inner()
	oid, _ := in.take(tagOID)
	switch string(oid.content) {
	case "\x2b\x0e\x03\x02\x1a":
		return crypto.SHA1
	case "\x60\x86\x48\x01\x65\x03\x04\x02\x01":
		return crypto.SHA256
	case "\x60\x86\x48\x01\x65\x03\x04\x02\x02":
		return crypto.SHA384
	case "\x60\x86\x48\x01\x65\x03\x04\x02\x03":
		return crypto.SHA512
	}
	return 0
}

func digest(h crypto.Hash, b []byte) []byte {
	switch h {
	case crypto.MD5:
		d := md5.Sum(b)
		return d[:]
	case crypto.SHA1:
		d := sha1.Sum(b)
		return d[:]
	case crypto.SHA224:
		d := sha256.Sum224(b)
		return d[:]
	case crypto.SHA256:
		d := sha256.Sum256(b)
		return d[:]
	case crypto.SHA384:
		d := sha512.Sum384(b)
		return d[:]
	case crypto.SHA512:
		d := sha512.Sum512(b)
		return d[:]
	}
	return nil
}

var (
	errBadSignature         = errors.New("the signature is not by this key")
	errUnsupportedAlgorithm = errors.New("signatures of this kind cannot be verified")
)

// verifySignature checks that key signed tbs. The error is errBadSignature if it
// did not, and another where that cannot be told.
//
// It does not go through crypto/x509, which refuses SHA-1 and MD5 without
// saying whether the signature is right.
func verifySignature(key *publicKey, alg sigAlg, tbs, sig []byte) error {
	return verifyDigest(key, alg, digest(alg.hash, tbs), tbs, sig)
}

// verifyDigest is verifySignature where the digest is at hand; the text is
// looked at only by algorithms that sign that.
func verifyDigest(key *publicKey, alg sigAlg, sum, text, sig []byte) error {
	if alg.kind == keyUnknown {
		return errUnsupportedAlgorithm
	}
	fits := alg.kind == key.kind || alg.pss && key.kind == keyRSAPSS
	if !fits {
		return errBadSignature
	}
	pub, err := key.public()
	if err != nil {
		return err
	}
	ok := false
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if alg.pss {
			ok = rsa.VerifyPSS(pub, alg.hash, sum, sig, &rsa.PSSOptions{SaltLength: alg.salt}) == nil
		} else {
			ok = rsa.VerifyPKCS1v15(pub, alg.hash, sum, sig) == nil
		}
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(pub, sum, sig)
	case ed25519.PublicKey:
		ok = ed25519.Verify(pub, text, sig)
	}
	if !ok {
		return errBadSignature
	}
	return nil
}
