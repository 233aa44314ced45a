package verify

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// built is what the walks over one set of certificates found. Nothing in it
// depends on time or on the text of evidence, so it can be remembered.
type built struct {
	stores []builtStore // as the Judge has them; those that were not asked are empty
	edges  []edge       // signatures that hold
}

// builtStore is the part of one trust store.
type builtStore struct {
	paths []*path

	// Without a path:
	status  inventory.TrustStatus
	detail  string
	reached bool                    // a path reaches an anchor, but has defects
	partial []inventory.Fingerprint // issuers on the longest path that was found
	missing []missing               // with what more certificates could be fetched
}

// missing is a certificate whose issuer is not known.
type missing struct {
	issuer string
	urls   []string
	reason string // what is known beyond its not having been served
}

// build finds the paths over the certificates given, for the stores asked.
func (j *Judge) build(leaf *cert, served, fetched []*cert, asked jury) *built {
	key := make([]byte, 0, (3+len(served)+len(fetched))*sha256.Size)
	key = append(key, leaf.info.SHA256[:]...)
	for _, c := range served {
		key = append(key, c.info.SHA256[:]...)
	}
	key = append(key, make([]byte, sha256.Size)...)
	for _, c := range fetched {
		key = append(key, c.info.SHA256[:]...)
	}
	key = append(key, asked.key...)
	id := inventory.FingerprintOf(key)
	if b, ok := j.built.get(id); ok {
		return b
	}
	b := &built{stores: make([]builtStore, len(j.stores))}
	pool := distinct(leaf, served)
	n := len(pool)
	if len(fetched) > 0 {
		pool = distinct(leaf, append(pool, fetched...))
	}
	for _, i := range asked.stores {
		w := walk{
			judge: j, store: j.stores[i], pool: pool, served: n, strict: true,
			cost: maxCost, comparisons: 4 * maxComparisons,
		}
		b.stores[i] = w.result(leaf, b)
	}
	j.built.put(id, b)
	return b
}

// distinct drops the leaf, repetitions, and all beyond a sane number.
func distinct(leaf *cert, list []*cert) []*cert {
	out := make([]*cert, 0, len(list))
	seen := map[inventory.Fingerprint]bool{leaf.info.SHA256: true}
	for _, c := range list {
		if !seen[c.info.SHA256] && len(out) < maxPool {
			seen[c.info.SHA256] = true
			out = append(out, c)
		}
	}
	return out
}

// result walks, and walks again to explain if there is no path.
func (w *walk) result(leaf *cert, b *built) builtStore {
	w.run(leaf)
	for _, p := range w.found {
		b.note(leaf, p.tail)
	}
	if len(w.found) > 0 {
		return builtStore{paths: w.found}
	}
	if w.limited {
		return builtStore{status: inventory.TrustLimitExceeded, detail: "no path was found within the limits of the search"}
	}
	w.strict = false
	w.run(leaf)
	if w.failure != nil {
		b.note(leaf, w.reached[1:])
		return builtStore{
			status: w.failure[0].status, detail: w.failure[0].detail,
			reached: true, partial: fingerprints(w.reached[1:]),
		}
	}
	if leaf.flaw != "" {
		return builtStore{status: inventory.TrustMalformed, detail: leaf.flaw}
	}
	slices.SortStableFunc(w.ends, func(a, b deadEnd) int { return len(b.path) - len(a.path) })
	if w.limited || len(w.ends) == 0 {
		return builtStore{status: inventory.TrustLimitExceeded, detail: "no path was found within the limits of the search"}
	}
	return w.explain(leaf, b)
}

// explain says how the longest partial path ends.
func (w *walk) explain(leaf *cert, b *built) builtStore {
	end := w.ends[0]
	top := end.path[len(end.path)-1]
	b.note(leaf, end.path[1:])
	s := builtStore{status: inventory.TrustUnknownIssuer, partial: fingerprints(end.path[1:])}
	news := w.judge.distrust.check(end.path, false)
	switch {
	case end.selfSigned && top == leaf:
		s.status, s.detail = inventory.TrustSelfSigned, "the certificate is signed with its own key"
		b.edges = append(b.edges, edge{leaf.info.SHA256, leaf.key.id})
		return s
	case end.selfSigned && news != nil:
		s.status, s.detail = news.status, news.detail
		return s
	case end.selfSigned:
		s.status, s.detail = inventory.TrustUntrustedRoot, fmt.Sprintf("the root %s is not in the store", top.called())
		return s
	}
	for _, e := range w.ends {
		if e.selfSigned {
			continue
		}
		// The last certificate names where its issuer is; if it does not, one
		// below it may lead around it.
		for _, c := range slices.Backward(e.path) {
			if urls := httpOnly(c.info.IssuerURLs); len(urls) > 0 || c == leaf {
				s.missing = append(s.missing, missing{e.path[len(e.path)-1].info.Issuer, urls, w.blocked[e.path[len(e.path)-1]]})
				break
			}
		}
	}
	s.detail = fmt.Sprintf("the issuer %s was not served", quote(top.info.Issuer))
	if why := w.blocked[top]; why != "" {
		s.detail += "; " + why
	}
	if news != nil {
		s.status, s.detail = news.status, news.detail
	}
	return s
}

// note remembers the signatures along a verified path.
func (b *built) note(leaf *cert, tail []*cert) {
	c := leaf
	for _, issuer := range tail {
		e := edge{c.info.SHA256, issuer.key.id}
		if !slices.Contains(b.edges, e) {
			b.edges = append(b.edges, e)
		}
		c = issuer
	}
}

// issuerKey returns the key whose signature on the certificate was verified.
func (b *built) issuerKey(id inventory.Fingerprint) inventory.Fingerprint {
	for i := range b.edges {
		if b.edges[i].certificate == id {
			return b.edges[i].key
		}
	}
	return inventory.Fingerprint{}
}

func fingerprints(list []*cert) []inventory.Fingerprint {
	out := make([]inventory.Fingerprint, 0, len(list)+1)
	for _, c := range list {
		out = append(out, c.info.SHA256)
	}
	return out
}

func httpOnly(urls []string) []string {
	var out []string
	for _, u := range urls {
		scheme, _, _ := strings.Cut(u, ":")
		if strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https") {
			out = append(out, u)
		}
	}
	return out
}

// during reports whether t is between two moments; the last second counts
// whole (RFC 5280, section 4.1.2.5).
func during(instants []time.Time, from, to time.Time) bool {
	return slices.ContainsFunc(instants, func(t time.Time) bool { return !t.Before(from) && t.Before(to.Add(time.Second)) })
}

// An answer is what one store says at an instant.
type answer struct {
	status inventory.TrustStatus
	detail string
	paths  []*path // those that hold at that instant, best first
	best   *path   // paths[0]; else the best of those that fail by date alone
}

// at applies the dates to the paths: each has to hold at one of the instants.
func (b *builtStore) at(instants []time.Time, leaf *cert) answer {
	var valid, anchorOut, out []*path
	for _, p := range b.paths {
		a := p.anchor()
		switch {
		case p.first != nil && !during(instants, p.begins, p.ends):
			out = append(out, p)
		case a != nil && !during(instants, a.info.NotBefore, a.info.NotAfter):
			anchorOut = append(anchorOut, p)
		default:
			valid = append(valid, p)
		}
	}
	switch {
	case len(valid) > 0:
		sortPaths(valid, leaf)
		ans := answer{status: inventory.Trusted, paths: valid, best: valid[0]}
		if p := valid[0]; p.lacking != nil {
			ans.status, ans.detail = inventory.TrustIncomplete, lackingDetail(leaf, p)
		}
		return ans
	case len(anchorOut) > 0:
		sortPaths(anchorOut, leaf)
		a := anchorOut[0].anchor()
		return answer{
			status: inventory.TrustAnchorExpired, paths: anchorOut, best: anchorOut[0],
			detail: fmt.Sprintf("the trust anchor %s is valid from %s to %s", a.called(), date(a.info.NotBefore), date(a.info.NotAfter)),
		}
	case len(out) > 0:
		sortPaths(out, leaf)
		p := out[0]
		detail := fmt.Sprintf("the intermediate %s expired on %s", p.first.called(), date(p.ends))
		if instants[0].Before(p.begins) {
			detail = fmt.Sprintf("an intermediate is not valid before %s", date(p.begins))
		}
		return answer{status: inventory.TrustExpiredChain, best: p, detail: detail}
	}
	return answer{status: b.status, detail: b.detail}
}

// lackingDetail names the first issuer that was not served, and where it is.
func lackingDetail(leaf *cert, p *path) string {
	child := leaf
	for _, c := range p.tail {
		if c == p.lacking {
			break
		}
		child = c
	}
	at := ""
	if urls := httpOnly(child.info.IssuerURLs); len(urls) > 0 {
		at = "; it is at " + quote(urls[0])
	}
	return fmt.Sprintf("the intermediate %s was not served%s", p.lacking.called(), at)
}

// sortPaths puts the best path first: the one whose earliest end is latest,
// then the shortest, then one of served certificates.
func sortPaths(paths []*path, leaf *cert) {
	if len(paths) < 2 {
		return
	}
	end := func(p *path) time.Time {
		if p.first != nil && p.ends.Before(leaf.info.NotAfter) {
			return p.ends
		}
		return leaf.info.NotAfter
	}
	slices.SortStableFunc(paths, func(a, b *path) int {
		if c := end(b).Compare(end(a)); c != 0 {
			return c
		}
		if len(a.tail) != len(b.tail) {
			return len(a.tail) - len(b.tail)
		}
		switch {
		case a.lacking == nil && b.lacking != nil:
			return -1
		case a.lacking != nil && b.lacking == nil:
			return 1
		}
		return 0
	})
}

// trustInstants is when trust is judged: now; and for a leaf that is not valid
// now, first at the moment nearest to now at which it was or will be, so that a
// certificate is expired *and* trusted. A path that holds at one of them is
// good: an intermediate may have been renewed since the leaf expired.
func trustInstants(leaf *cert, now time.Time) []time.Time {
	switch {
	case !leaf.dated:
	case now.Before(leaf.info.NotBefore):
		return []time.Time{leaf.info.NotBefore, now}
	case !now.Before(leaf.info.NotAfter.Add(time.Second)):
		if last := leaf.info.NotAfter.Add(-time.Second); !last.Before(leaf.info.NotBefore) {
			return []time.Time{last, now}
		}
		return []time.Time{leaf.info.NotBefore, now}
	}
	return []time.Time{now}
}

const (
	maxNeeds   = 4  // addresses asked for at once
	maxLevels  = 3  // issuers fetched one above the other
	maxFetched = 32 // certificates taken from evidence
)

// decide builds the paths, with fetched issuers where the served ones do not
// suffice, and says what else to fetch.
func (j *Judge) decide(leaf *cert, served []*cert, asked jury, instants []time.Time, ev inventory.EvidenceSet) (b *built, first answer, needs []inventory.Need) {
	b = j.build(leaf, served, nil, asked)
	decider := &b.stores[asked.decider]
	first = decider.at(instants, leaf)
	var fetched []*cert
	var failed []string
	for range maxLevels {
		if first.best != nil || len(decider.missing) == 0 {
			break
		}
		var more []*cert
		more, needs, failed = j.consult(decider.missing, ev)
		before := len(fetched)
		for _, c := range more {
			if len(fetched) < maxFetched && !slices.ContainsFunc(fetched, func(o *cert) bool { return o.info.SHA256 == c.info.SHA256 }) {
				fetched = append(fetched, c)
			}
		}
		if len(fetched) == before {
			break
		}
		b = j.build(leaf, served, fetched, asked)
		decider = &b.stores[asked.decider]
		first = decider.at(instants, leaf)
	}
	if first.best != nil {
		return b, first, nil
	}
	if first.status == inventory.TrustUnknownIssuer {
		switch {
		case len(failed) > 0:
			first.detail += ", and could not be fetched: " + strings.Join(failed, "; ")
		case len(needs) > 0:
			first.detail += ", and has not been fetched from " + quote(needs[0].URL)
		case len(decider.missing) > 0 && len(decider.missing[0].urls) == 0:
			first.detail += ", and the certificate names no HTTP address that has it"
		}
	}
	return b, first, needs
}

// consult looks the addresses of missing issuers up in the evidence: the
// certificates there, what has not been asked for yet, and what failed.
func (j *Judge) consult(list []missing, ev inventory.EvidenceSet) (got []*cert, needs []inventory.Need, failed []string) {
	asked := make(map[string]bool)
	for _, m := range list {
		for _, u := range m.urls {
			if asked[u] || len(asked) >= maxNeeds {
				continue
			}
			asked[u] = true
			need := inventory.Need{Kind: inventory.NeedIssuer, URL: u}
			e, ok := ev[need]
			switch {
			case !ok:
				needs = append(needs, need)
			case e.Error != "" || len(e.Certificates) == 0:
				failed = append(failed, quote(u)+": "+printable(cutText(e.Error, 200)))
			}
			for i, der := range e.Certificates {
				if i < maxFetched {
					got = append(got, j.cert(der, false))
				}
			}
		}
	}
	return got, needs, failed
}
