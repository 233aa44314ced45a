package lab

import (
	"crypto/rsa"
	"embed"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
)

// RSA keys take long to make, so the lab brings its own. They are published:
// whoever trusts one of them trusts everybody.
//
//go:embed keys/*.pem
var keyFiles embed.FS

// embeddedKey reads keys/NAME.pem.
func embeddedKey(name string) (*rsa.PrivateKey, error) {
	text, err := keyFiles.ReadFile("keys/" + name + ".pem")
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("lab key %q: no PEM block", name)
	}
	var k struct { // RSAPrivateKey of RFC 8017, A.1.2
		Version               int
		N                     *big.Int
		E                     int
		D, P, Q, Dp, Dq, QInv *big.Int
	}
	if _, err := asn1.Unmarshal(block.Bytes, &k); err != nil {
		return nil, fmt.Errorf("lab key %q: %w", name, err)
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: k.N, E: k.E}, D: k.D}
	// crypto/rsa refuses primes that are close to each other, but signs without
	// knowing them.
	if name != closePrimes {
		key.Primes = []*big.Int{k.P, k.Q}
		key.Precompute()
	}
	return key, nil
}

// closePrimes is the key whose primes are so close that Fermat's method finds
// them at once.
const closePrimes = "rsa-2048-close-primes"
