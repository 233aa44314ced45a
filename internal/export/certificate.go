package export

import (
	"cmp"

	"example.com/certscan/internal/inventory"
)

// A certificate is what metrics say of one, shared by all that serve it.
type certificate struct {
	print  inventory.Fingerprint
	slot   int    // its number among those that are kept
	uses   int    // by views; under the exporter's mu
	labels string // of certscan_certificate_info, rendered
	issuer string // what totals call its issuer, rendered
	cn     string // of its subject, rendered
	key    string // the kind of its key, rendered

	notAfter, lifetime int64 // Unix seconds; seconds
}

// certificates are all that is in use, each once.
type certificates struct {
	by    map[inventory.Fingerprint]*certificate
	free  []int // numbers below slots that nobody has
	slots int
}

func newCertificates() certificates {
	return certificates{by: make(map[inventory.Fingerprint]*certificate)}
}

// use returns what stands for c, to be released.
func (k *certificates) use(c *inventory.Certificate) *certificate {
	if got := k.by[c.SHA256]; got != nil {
		got.uses++
		return got
	}
	made := &certificate{
		print: c.SHA256, uses: 1,
		labels: labels("fingerprint", c.SHA256.String(), "subject_cn", c.SubjectCN, "issuer_cn", c.IssuerCN, "issuer_organization", c.IssuerOrg,
			"serial", c.Serial, "key", c.Key, "signature", c.Signature),
		issuer: value(cmp.Or(c.IssuerCN, c.IssuerOrg, c.Issuer)),
		cn:     value(cmp.Or(c.SubjectCN, c.Subject)),
		key:    value(cmp.Or(c.Key, "unknown")),
	}
	if !c.NotAfter.IsZero() {
		made.notAfter, made.lifetime = c.NotAfter.Unix(), int64(c.Lifetime().Seconds())
	}
	if n := len(k.free); n > 0 {
		made.slot, k.free = k.free[n-1], k.free[:n-1]
	} else {
		made.slot = k.slots
		k.slots++
	}
	k.by[c.SHA256] = made
	return made
}

// release undoes one use.
func (k *certificates) release(c *certificate) {
	if c.uses--; c.uses > 0 {
		return
	}
	delete(k.by, c.print)
	k.free = append(k.free, c.slot)
}
