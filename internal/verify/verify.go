package verify

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// Signatures remembers which key's signature on which certificate was verified
// before. Both are named by content, so what was true stays true.
type Signatures interface {
	// Verified reports whether the signature on the certificate is known to be
	// by the key, which is named by the SHA-256 of its SubjectPublicKeyInfo.
	Verified(certificate, issuerKey inventory.Fingerprint) bool
}

// A Blocklist knows keys whose private half everybody can have, such as those
// that Debian's OpenSSL made from 2006 to 2008.
type Blocklist interface {
	// Blocked reports whether the key is known, by the SHA-256 of its
	// SubjectPublicKeyInfo or, of an RSA key, by the SHA-1 of "Modulus=", the
	// modulus in upper-case hexadecimal and a newline; modulus is nil for others.
	Blocked(spki inventory.Fingerprint, modulus []byte) bool
}

// Revoked knows certificates that are revoked, and who said so.
type Revoked interface {
	Revoked(cert inventory.Fingerprint) (inventory.RevocationAnswer, bool)
}

// Options are what judgements depend on besides facts, evidence and time.
type Options struct {
	// Stores are judged against separately; the first that was chosen for the
	// target decides, or else the first that is for all. At least one such is
	// required. Anchors that cannot be read are left out.
	Stores []inventory.TrustStore

	// Distrust is who is not to be trusted whatever the stores say. A path over
	// one of them does not count; another path, over another certificate of the
	// same authority, may.
	Distrust []inventory.Distrusted

	// Tiers are the nominal distances to expiry. Default: 60, 30, 14, 7, 3 days.
	Tiers []time.Duration

	// Reference is the lifetime below which tiers shrink in proportion. Default:
	// 90 days.
	Reference time.Duration

	// AbsoluteTiers keeps tiers at their nominal size whatever the lifetime.
	AbsoluteTiers bool

	// Expect are the leaves that the targets should serve, at every address one
	// for each kind of key. Only SHA256 and Key are looked at; Key may be empty
	// if it is not known. None: nothing is expected.
	Expect []inventory.Certificate

	// Profile says which certificates the Baseline Requirements bind. Default:
	// auto.
	Profile Profile

	// Blocklist, if not nil, knows keys that are public. It must be safe for
	// concurrent use.
	Blocklist Blocklist

	// Revocation says what is asked about revocation. Default: off.
	Revocation inventory.RevocationMode

	// OneCRL are revoked intermediates, as Mozilla lists them.
	OneCRL []inventory.OneCRLEntry

	// Revoked, if not nil, knows what was once found to be revoked, for good. It
	// must be safe for concurrent use.
	Revoked Revoked

	// Logs are the known Certificate Transparency logs; nil if there is no list,
	// and then every SCT is unverifiable.
	Logs *inventory.LogList

	// Signatures, if not nil, saves the arithmetic for edges verified in earlier
	// runs. It must be safe for concurrent use.
	Signatures Signatures

	// Remember is how many chains to keep the findings of, some 2.5 KiB each.
	// Who judges the same ones over and over wants all of them; for a single
	// pass it is enough to keep what many endpoints share. Default: 16384.
	Remember int
}

// A Judge judges. It remembers by content what does not depend on time; dates,
// names and evidence are looked at each time. Safe for concurrent use.
type Judge struct {
	opt      Options
	stores   []*store
	jury     jury          // for targets that no store was chosen for
	distrust *distrustList // nil: nobody

	certs *lru[inventory.Fingerprint, *cert]
	edges *lru[edge, error]
	built *lru[inventory.Fingerprint, *built] // by leaf, served and fetched certificates
	keys  *lru[inventory.Fingerprint, keyVerdict]

	issuers *lru[string, nameWords] // by name as encoded

	onecrl     oneCRL
	logs       *logIndex // nil: there is no list
	timestamps *lru[sctsKey, []sct]
}

// An edge is the question whether a key signed a certificate.
type edge struct{ certificate, key inventory.Fingerprint }

// defaultRemember is the default of [Options.Remember], and leastCerts how many
// certificates are kept at least: the issuers that chains share are among them.
const (
	defaultRemember = 16384
	leastCerts      = 256
)

// New checks the options, fills in the defaults and reads the trust stores.
func New(opt Options) (*Judge, error) {
	if len(opt.Stores) == 0 {
		return nil, errors.New("verify: a trust store is required")
	}
	if opt.Tiers == nil {
		opt.Tiers = inventory.DefaultTiers()
	}
	opt.Tiers = slices.Clone(opt.Tiers)
	slices.Sort(opt.Tiers)
	opt.Tiers = slices.Compact(opt.Tiers)
	if len(opt.Tiers) > 0 && opt.Tiers[0] <= 0 {
		return nil, fmt.Errorf("verify: tier %v is not a distance before expiry", opt.Tiers[0])
	}
	if opt.Reference == 0 {
		opt.Reference = inventory.DefaultReference
	}
	if opt.Reference < 0 {
		return nil, fmt.Errorf("verify: reference lifetime %v is negative", opt.Reference)
	}
	if opt.Profile == "" {
		opt.Profile = ProfileAuto
	}
	if !slices.Contains([]Profile{ProfileAuto, ProfilePublic, ProfilePrivate}, opt.Profile) {
		return nil, fmt.Errorf("verify: profile %q is not known", opt.Profile)
	}
	if opt.Remember <= 0 {
		opt.Remember = defaultRemember
	}
	j := &Judge{
		opt: opt, distrust: newDistrustList(opt.Distrust),
		certs: newLRU[inventory.Fingerprint, *cert](max(opt.Remember/4, leastCerts)),
		edges: newLRU[edge, error](opt.Remember),
		built: newLRU[inventory.Fingerprint, *built](opt.Remember),
		keys:  newLRU[inventory.Fingerprint, keyVerdict](opt.Remember),

		issuers:    newLRU[string, nameWords](leastCerts),
		onecrl:     indexOneCRL(opt.OneCRL),
		logs:       indexLogs(opt.Logs),
		timestamps: newLRU[sctsKey, []sct](opt.Remember),
	}
	var err error
	if j.jury, err = newJury(opt.Stores); err != nil {
		return nil, err
	}
	for _, t := range opt.Stores {
		j.stores = append(j.stores, newStore(t))
	}
	return j, nil
}

// cert returns der as read, reading it at most once while it is remembered.
func (j *Judge) cert(der []byte, accepted bool) *cert {
	id := inventory.FingerprintOf(der)
	if c, ok := j.certs.get(id); ok {
		return c
	}
	c := readCert(der, accepted, j.issuerName)
	j.certs.put(id, c)
	return c
}

// issuerName is readName for names that many certificates have.
func (j *Judge) issuerName(raw []byte) nameWords {
	if len(raw) > maxName { // nobody fills memory with names
		return readName(raw)
	}
	key := string(raw)
	name, ok := j.issuers.get(key)
	if !ok {
		name = readName(raw)
		j.issuers.put(key, name)
	}
	return name
}

// remembered says what is known of key's signature on c.
func (j *Judge) remembered(c *cert, key *publicKey) (result error, known bool) {
	e := edge{c.info.SHA256, key.id}
	if err, ok := j.edges.get(e); ok {
		return err, true
	}
	if j.opt.Signatures != nil && j.opt.Signatures.Verified(e.certificate, e.key) {
		return nil, true
	}
	return nil, false
}

// verify checks key's signature on c and remembers the answer.
func (j *Judge) verify(c *cert, key *publicKey) error {
	err := verifySignature(key, c.alg, c.tbs, c.sig)
	j.edges.put(edge{c.info.SHA256, key.id}, err)
	return err
}

// Judge says everything about one view at an instant, and what evidence would
// say more. It is pure in its arguments.
func (j *Judge) Judge(f inventory.Facts, ev inventory.EvidenceSet, now time.Time) (inventory.Judgement, []inventory.Need) {
	v := &view{judge: j, facts: f, now: now.UTC()}
	return v.run(ev)
}
