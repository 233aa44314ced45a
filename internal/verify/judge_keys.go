package verify

import (
	"crypto/sha1" // as the list of Debian's weak keys does
	"fmt"
	"math/big"
	"math/bits"

	"example.com/certscan/internal/inventory"
)

// A keyVerdict is what is wrong with a key by itself; empty is nothing.
type keyVerdict struct{ weak, compromised string }

// judgeKeys looks at the keys of the leaf and of the intermediates on the best
// path. An anchor is trusted for being there.
func (x *exam) judgeKeys() {
	x.judgeKey(x.leaf, "the key")
	x.judgeSerial(x.leaf, "the certificate")
	if best := x.answer.best; best != nil {
		for _, c := range best.intermediates() {
			x.judgeKey(c, "the key of the intermediate "+c.called())
			x.judgeSerial(c, "the intermediate "+c.called())
		}
	}
	if x.leaf.ext.isCA {
		x.find(inventory.CodeCALeaf, "the server's certificate is a CA: whoever has its key can issue others")
	} else if x.leaf.ext.keyUsage&usageKeyCertSign != 0 {
		x.find(inventory.CodeCALeaf, "the server's certificate may sign certificates by its key usage")
	}
}

func (x *exam) judgeKey(c *cert, what string) {
	k := &c.key
	v, ok := x.judge.keys.get(k.id)
	if !ok {
		v = keyVerdict{weak: weakKey(k), compromised: x.judge.compromisedKey(k)}
		x.judge.keys.put(k.id, v)
	}
	if v.weak != "" {
		x.find(inventory.CodeWeakKey, "%s is %s: %s", what, k.label, v.weak)
	}
	if v.compromised != "" {
		x.find(inventory.CodeCompromisedKey, "%s protects nothing: %s; replace it now", what, v.compromised)
	}
	if x.public && k.forbidden() {
		severity := inventory.CodeForbiddenKey.DefaultSeverity()
		if k.kind == keyECDSA {
			severity = inventory.Critical // browsers do not know the curve
		}
		x.add(inventory.CodeForbiddenKey, "", severity, fmt.Sprintf("%s is %s, which public certificates may not have", what, k.label))
	}
}

// judgeSerial applies RFC 5280, section 4.1.2.2.
func (x *exam) judgeSerial(c *cert, what string) {
	if c.serial == nil {
		return
	}
	abs, negative := magnitude(c.serial)
	switch {
	case negative:
		x.find(inventory.CodeBadSerial, "%s has a negative serial number, %s", what, c.info.Serial)
	case len(abs) == 0:
		x.find(inventory.CodeBadSerial, "%s has the serial number zero", what)
	case len(c.serial) > 20:
		x.find(inventory.CodeBadSerial, "%s has a serial number of %d octets, and 20 are allowed", what, len(c.serial))
	}
}

// forbidden reports whether the Baseline Requirements, section 6.1.5, do not
// list the kind of key. Sizes are weakKey's business.
func (k *publicKey) forbidden() bool {
	switch k.kind {
	case keyRSA:
		return false
	case keyECDSA:
		known := k.curve == "P-256" || k.curve == "P-384" || k.curve == "P-521"
		return !known && k.curve != "explicit" && weakKey(k) == "" // the others are found as such
	}
	return k.id != inventory.Fingerprint{}
}

// weakKey says why a key is too weak, "" if it is not.
func weakKey(k *publicKey) string {
	switch k.kind {
	case keyRSA, keyRSAPSS:
		if k.bits > 0 && k.bits < 2048 {
			return "fewer than 2048 bits"
		}
	case keyDSA:
		if k.bits < 2048 {
			return "fewer than 2048 bits"
		}
	case keyECDSA:
		if k.bits > 0 && k.bits < 256 {
			return "fewer than 256 bits"
		}
	}
	return ""
}

// unsoundExponent says why an RSA exponent protects nothing (Baseline
// Requirements, section 6.1.6), "" if it is not known to be so.
func unsoundExponent(k *publicKey) string {
	switch e := k.exponent; {
	case len(e) == 0 || len(e) == 1 && e[0] == 1:
		return "its exponent does not encrypt, so anybody can sign for it"
	case e[len(e)-1]&1 == 0:
		return "its exponent is even, so it is no RSA key"
	case bitLen(e) > 256:
		return "its exponent has more than 256 bits, as those have whose private exponent is small enough to be computed"
	}
	return ""
}

// compromisedKey looks for keys that are known, and for RSA keys whose factors
// can be found at once.
func (j *Judge) compromisedKey(k *publicKey) string {
	isRSA := k.kind == keyRSA || k.kind == keyRSAPSS
	if b := j.opt.Blocklist; b != nil {
		var modulus []byte
		if isRSA {
			sum := sha1.Sum(fmt.Appendf(nil, "Modulus=%X\n", k.modulus))
			modulus = sum[:]
		}
		if b.Blocked(k.id, modulus) {
			return "it is on the list of keys that are known to others"
		}
	}
	if !isRSA {
		return ""
	}
	if why := unsoundExponent(k); k.bits > 0 && why != "" {
		return why
	}
	if k.bits < 64 || k.bits > maxRSABits {
		return ""
	}
	n := wordsOf(k.modulus)
	if n[0]&1 == 0 {
		return "its modulus is even"
	}
	if p := smallFactor(n); p != 0 {
		return "its modulus is divisible by " + ordinal(int(p))
	}
	if roca(n) {
		return "it was made by a chip with the ROCA defect (CVE-2017-15361)"
	}
	if closePrimes(new(big.Int).SetBytes(k.modulus)) {
		return "its two primes are too close (Fermat factorisation)"
	}
	return ""
}

// wordsOf returns a big-endian number as words, the least significant first.
func wordsOf(b []byte) []uint64 {
	out := make([]uint64, 0, len(b)/8+1)
	for len(b) > 0 {
		var w uint64
		for _, o := range b[max(len(b)-8, 0):] {
			w = w<<8 | uint64(o)
		}
		out = append(out, w)
		b = b[:max(len(b)-8, 0)]
	}
	return out
}

func mod(n []uint64, m uint64) uint64 {
	var r uint64
	for i := len(n) - 1; i >= 0; i-- {
		_, r = bits.Div64(r, n[i], m)
	}
	return r
}

// smallFactor returns a prime below 752 that divides n, or 0 (Baseline
// Requirements, section 6.1.6). As many primes as fit share a division.
func smallFactor(n []uint64) uint64 {
	var group []uint64
	product := uint64(1)
	try := func() uint64 {
		r := mod(n, product)
		for _, p := range group {
			if r%p == 0 {
				return p
			}
		}
		group, product = group[:0], 1
		return 0
	}
	for p := uint64(3); p < 752; p += 2 {
		if !isPrime(p) {
			continue
		}
		if high, _ := bits.Mul64(product, p); high != 0 {
			if f := try(); f != 0 {
				return f
			}
		}
		group, product = append(group, p), product*p
	}
	return try()
}

func isPrime(p uint64) bool {
	for d := uint64(3); d*d <= p; d += 2 {
		if p%d == 0 {
			return false
		}
	}
	return p > 2 && p%2 == 1
}

// roca reports whether n is a power of 65537 modulo every small prime, as the
// defective library's keys are and others are not, but for one in 2^27.
func roca(n []uint64) bool {
	for r := uint64(3); r <= 167; r += 2 {
		if !isPrime(r) {
			continue
		}
		want := mod(n, r)
		power, member := uint64(1), false
		for {
			if member = power == want; member {
				break
			}
			if power = power * 65537 % r; power == 1 {
				break
			}
		}
		if !member {
			return false
		}
	}
	return true
}

// closePrimes runs 100 rounds of Fermat's method (Baseline Requirements, section
// 6.1.1.3).
func closePrimes(n *big.Int) bool {
	const rounds = 100
	a := new(big.Int).Sqrt(n)
	b2 := new(big.Int).Mul(a, a)
	if b2.Cmp(n) != 0 {
		b2.Add(b2, a).Add(b2, a).Add(b2, one()) // (a+1)²
		a.Add(a, one())
	}
	b2.Sub(b2, n)
	step := new(big.Int).Lsh(a, 1)
	step.Add(step, one())
	two, root := big.NewInt(2), new(big.Int)
	for range rounds {
		if maybeSquare(b2) && root.Sqrt(b2).Mul(root, root).Cmp(b2) == 0 {
			return true
		}
		b2.Add(b2, step) // (a+1)² - n
		step.Add(step, two)
	}
	return false
}

func one() *big.Int { return big.NewInt(1) }

// maybeSquare sorts out most numbers that are no squares by their last bits and
// their remainders.
func maybeSquare(n *big.Int) bool {
	words := n.Bits()
	if len(words) == 0 {
		return true
	}
	switch words[0] & 15 {
	case 0, 1, 4, 9:
	default:
		return false
	}
	var r uint64
	const m = 3 * 5 * 7 * 11 * 13 * 17 * 19 * 23
	for i := len(words) - 1; i >= 0; i-- {
		hi, lo := uint64(0), uint64(words[i])
		if bits.UintSize == 32 {
			hi, lo = r>>32, r<<32|lo
		} else {
			hi = r
		}
		_, r = bits.Div64(hi, lo, m)
	}
	for _, p := range [...]uint64{3, 5, 7, 11, 13, 17, 19, 23} {
		square := false
		for i := uint64(0); i <= p/2 && !square; i++ {
			square = i*i%p == r%p
		}
		if !square {
			return false
		}
	}
	return true
}
