package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"sort"
	"strings"

	"example.com/certscan/internal/inventory"
)

const (
	// maxCached bounds the targets whose views are held between being asked for
	// and being recorded.
	maxCached = 1 << 14

	// maxAll bounds the targets of a new store that are held by their hash.
	maxAll = 1 << 18
)

// A knownCache holds what the store knows of targets under examination. It is
// right because nobody else writes: Record drops what it holds of a target.
type knownCache struct {
	targets map[string]*knownTarget

	// all is every target in the store, nil if that is not known: in a store
	// that was empty when it was opened, nothing has to be looked for.
	all map[stateID]struct{}
}

func (c *knownCache) clear() { clear(c.targets) }

func (c *knownCache) put(t *knownTarget) {
	if c.targets == nil {
		c.targets = make(map[string]*knownTarget)
	}
	for key := range c.targets {
		if len(c.targets) < maxCached {
			break
		}
		delete(c.targets, key) // any: it is read again when it is needed
	}
	c.targets[t.key] = t
}

// recorded notes that a target is in the store now.
func (c *knownCache) recorded(id stateID) {
	if c.all == nil {
		return
	}
	if c.all[id] = struct{}{}; len(c.all) > maxAll {
		c.all = nil
	}
}

// unheardOf reports whether a target is known not to be in the store.
func (c *knownCache) unheardOf(target string) bool {
	if c.all == nil {
		return false
	}
	_, ok := c.all[doneID(target)]
	return !ok
}

// A knownTarget is what Record has to know of a target.
type knownTarget struct {
	key    string
	stored bool // has a row
	meta   stateID
	views  []*knownView // also retired ones
}

// A knownView is what Record has to know of a view.
type knownView struct {
	id                  int64
	view                inventory.View
	state               stateID
	reach               inventory.ReachStatus
	chain, last, before inventory.Fingerprint
	pool                bool
	firstSeen, lastSeen int64
	lastServed          int64
	count, backAfter    int64
	missed, retired     int64
	accepts             string
}

func (t *knownTarget) find(v inventory.View) *knownView {
	for _, k := range t.views {
		if k.view.Address == v.Address && k.view.Location == v.Location && k.view.Offer == v.Offer {
			return k
		}
	}
	return nil
}

// flapExaminations is for how long a state may be away and still be said to
// come and go.
const flapExaminations = 3

func (k *knownView) known() inventory.KnownView {
	v := inventory.KnownView{
		View: k.view, Reach: k.reach, Chain: k.chain, LastChain: k.chain, PreviousChain: k.before,
		LastSeen: fromMillis(k.lastSeen),
		Flaps:    k.pool || k.backAfter > 0 && k.backAfter+k.count <= flapExaminations,
	}
	if a, err := readAccepts([]byte(k.accepts)); err == nil { // what cannot be read is asked again
		v.Accepted = a
	}
	if k.chain.IsZero() {
		v.LastChain, v.LastSeen = k.last, fromMillis(k.lastServed)
	}
	return v
}

// load returns what is known of targets, from the cache where it is there.
func (d *DB) load(w *writer, targets []string) (map[string]*knownTarget, error) {
	got := make(map[string]*knownTarget, len(targets))
	var missing []string
	for _, key := range targets {
		if got[key] != nil {
			continue
		}
		t := d.cache.targets[key]
		if t == nil {
			t = &knownTarget{key: key}
			if !d.cache.unheardOf(key) {
				missing = append(missing, key)
			}
		}
		got[key] = t
	}
	if len(missing) == 0 {
		return got, nil
	}
	list, err := json.Marshal(missing)
	if err != nil {
		return nil, err
	}
	err = w.each(`
		SELECT t.key, t.meta, v.id, v.address, v.location, v.offer, v.state, v.reach, v.chain, v.last_chain, v.previous_chain,
			v.pool IS NOT NULL, v.first_seen, v.last_seen, v.last_served, v.count, v.back_after, v.missed, v.retired, v.accepts
		FROM json_each(?) AS j
		CROSS JOIN target AS t ON t.key = j.value
		LEFT JOIN view AS v ON v.target = t.key`,
		[]any{string(list)}, func(rows *sql.Rows) error {
			return scanKnown(rows, got)
		})
	return got, err
}

// scanKnown adds a row to the target that it is of.
func scanKnown(rows *sql.Rows, got map[string]*knownTarget) error {
	var (
		k                                    knownView
		key, meta, st, chain, last, before   sql.RawBytes
		address, location, offer, reach      sql.RawBytes
		id, first, seen, count, missed, pool sql.NullInt64
		served, back, retired                sql.NullInt64
		accepts                              sql.RawBytes
	)
	if err := rows.Scan(&key, &meta, &id, &address, &location, &offer, &st, &reach, &chain, &last, &before,
		&pool, &first, &seen, &served, &count, &back, &missed, &retired, &accepts); err != nil {
		return err
	}
	t := got[string(key)]
	t.stored = true
	copy(t.meta[:], meta)
	if !id.Valid {
		return nil
	}
	k = knownView{
		id:    id.Int64,
		view:  inventory.View{Target: t.key, Address: string(address), Location: shared(location), Offer: inventory.Offer(shared(offer))},
		reach: inventory.ReachStatus(shared(reach)),
		chain: toFingerprint(chain), last: toFingerprint(last), before: toFingerprint(before), pool: pool.Int64 != 0,
		firstSeen: first.Int64, lastSeen: seen.Int64, lastServed: served.Int64,
		count: count.Int64, backAfter: back.Int64, missed: missed.Int64, retired: retired.Int64, accepts: string(accepts),
	}
	copy(k.state[:], st)
	t.views = append(t.views, &k)
	return nil
}

// shared spares the common words a copy for each view.
func shared(b []byte) string {
	switch string(b) {
	case inventory.LocalLocation:
		return inventory.LocalLocation
	case string(inventory.OfferDefault):
		return string(inventory.OfferDefault)
	case string(inventory.ReachOK):
		return string(inventory.ReachOK)
	}
	return string(b)
}

// Prefetch reads what is known of targets that will be asked for next. Asking
// [DB.Known] for them one by one without it costs four times as much CPU.
func (d *DB) Prefetch(ctx context.Context, targets []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, err := d.fill(targets)
	return d.explain("read what is known", err)
}

// fill is load into the cache. Called with mu held.
func (d *DB) fill(targets []string) (map[string]*knownTarget, error) {
	if d.w == nil {
		return nil, errReadOnly
	}
	got, err := d.load(d.w, targets)
	if err != nil {
		return nil, err
	}
	for _, t := range got {
		if t.stored && d.cache.targets[t.key] == nil {
			d.cache.put(t)
		}
	}
	return got, nil
}

// Known returns the current views of a target, sorted.
func (d *DB) Known(ctx context.Context, target string) ([]inventory.KnownView, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	got, err := d.fill([]string{target})
	if err != nil {
		return nil, d.explain("read what is known", err)
	}
	var known []inventory.KnownView
	for _, k := range got[target].views {
		if k.retired == 0 {
			known = append(known, k.known())
		}
	}
	slices.SortFunc(known, func(a, b inventory.KnownView) int { return compareViews(a.View, b.View) })
	return known, nil
}

func compareViews(a, b inventory.View) int {
	for _, c := range []int{
		strings.Compare(a.Target, b.Target), strings.Compare(a.Address, b.Address),
		strings.Compare(a.Location, b.Location), strings.Compare(string(a.Offer), string(b.Offer)),
	} {
		if c != 0 {
			return c
		}
	}
	return 0
}

// Chain returns the DER of the certificates of a chain, as served, by its
// [inventory.ChainID].
func (d *DB) Chain(ctx context.Context, id inventory.Fingerprint) ([][]byte, error) {
	var chain [][]byte
	err := d.snapshot(ctx, "chain "+id.String(), func(tx *sql.Tx) error {
		var err error
		chain, err = newChains(ctx, tx).chain(id)
		return err
	})
	return chain, err
}

// LastFailed returns the targets none of whose current views answered at all
// when they were last examined.
func (d *DB) LastFailed(ctx context.Context) (map[string]bool, error) {
	failed := make(map[string]bool)
	rows, err := d.r.QueryContext(ctx, `
		SELECT target FROM view WHERE retired IS NULL
		GROUP BY target
		HAVING sum(reach IN ('ok', 'tls_alert', 'not_tls', 'starttls_refused', 'starttls_missing')) = 0`)
	err = forEach(rows, err, func(rows *sql.Rows) error {
		var key string
		err := rows.Scan(&key)
		failed[key] = true
		return err
	})
	return failed, d.explain("list what failed", err)
}

// Signatures are the signatures between certificates that were verified once
// and need not be again: content does not change. 36 bytes each.
type Signatures struct {
	entries []signature                      // sorted
	keys    map[inventory.Fingerprint]uint32 // a number for each issuer's key
}

type signature struct {
	cert inventory.Fingerprint
	key  uint32
}

// Verified reports whether the signature on a certificate is known to verify
// with the key whose SubjectPublicKeyInfo has the hash issuerKey.
func (s *Signatures) Verified(cert, issuerKey inventory.Fingerprint) bool {
	if s == nil {
		return false
	}
	key, ok := s.keys[issuerKey]
	if !ok {
		return false
	}
	i, ok := sort.Find(len(s.entries), func(i int) int { return compareFingerprints(cert, s.entries[i].cert) })
	return ok && s.entries[i].key == key
}

// Len is the number of signatures.
func (s *Signatures) Len() int { return len(s.entries) }

// Signatures returns the signatures that were verified up to now. The answer
// does not change when more are recorded.
func (d *DB) Signatures(ctx context.Context) (*Signatures, error) {
	s := &Signatures{keys: make(map[inventory.Fingerprint]uint32)}
	var n int
	if err := d.r.QueryRowContext(ctx, `SELECT count(*) FROM certificate`).Scan(&n); err != nil {
		return nil, d.explain("read signatures", err)
	}
	s.entries = make([]signature, 0, n)
	rows, err := d.r.QueryContext(ctx, `SELECT sha256, issuer_key FROM certificate WHERE issuer_key IS NOT NULL`)
	err = forEach(rows, err, func(rows *sql.Rows) error {
		var cert, key sql.RawBytes
		if err := rows.Scan(&cert, &key); err != nil {
			return err
		}
		k := toFingerprint(key)
		i, ok := s.keys[k]
		if !ok {
			i = uint32(len(s.keys))
			s.keys[k] = i
		}
		s.entries = append(s.entries, signature{toFingerprint(cert), i})
		return nil
	})
	if err != nil {
		return nil, d.explain("read signatures", err)
	}
	slices.SortFunc(s.entries, func(a, b signature) int { return compareFingerprints(a.cert, b.cert) })
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.w != nil {
		d.w.signatures = s
	}
	return s, nil
}
