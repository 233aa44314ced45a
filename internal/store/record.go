package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"example.com/certscan/internal/inventory"
)

// missesToRetire is how many resolutions in a row have to leave an address out
// before its views are no longer current.
const missesToRetire = 3

// Record stores results in one transaction: what was seen, and the findings of
// every subject that was judged, of which those that are open and were not
// found again are closed. It writes into the findings of results since when
// they have been open, and into the results how many views are retired. A target
// counts as finished by the scan, if one is named.
//
// An observation that is older than what is known of its view is left out.
func (d *DB) Record(ctx context.Context, scanID string, results []inventory.Result) error {
	if len(results) == 0 {
		return nil
	}
	keys := make([]string, len(results))
	for i := range results {
		keys[i] = results[i].Target.Key()
	}
	var revoked map[inventory.Fingerprint]inventory.RevocationAnswer
	err := d.write(ctx, "record results", func(w *writer) error {
		known, err := d.load(w, keys)
		if err != nil {
			return err
		}
		b := newBatch(w, millis(d.now()))
		revoked = b.revoked
		if b.open, err = w.openFindings(keys); err != nil {
			return fmt.Errorf("open findings: %w", err)
		}
		done := make([]byte, 0, len(keys)*len(stateID{}))
		for i, key := range keys {
			if err := b.record(known[key], &results[i]); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			if err := b.noteRevoked(d.revoked, &results[i]); err != nil {
				return fmt.Errorf("%s: what is revoked: %w", key, err)
			}
			id := doneID(key)
			d.cache.recorded(id)
			done = append(done, id[:]...)
		}
		if err := b.flush(); err != nil {
			return err
		}
		for _, key := range keys {
			delete(d.cache.targets, key) // a target is examined once in a scan
		}
		if scanID == "" {
			return nil
		}
		_, err = w.exec(`INSERT INTO progress (scan, targets) VALUES (?, ?)`, scanID, done)
		return err
	})
	if err == nil {
		d.learn(revoked)
	}
	return err
}

// A batch is one call of Record.
type batch struct {
	w    *writer
	now  int64
	open map[string]map[inventory.FindingKey]*openFinding // by target

	// Rows that wait to be inserted.
	certificates, names, chains, targets bulk
	views                                bulk
	newViews                             []*knownView // of which the ids are not known yet

	revoked map[inventory.Fingerprint]inventory.RevocationAnswer // what was not known to be
}

func newBatch(w *writer, now int64) *batch {
	return &batch{
		w: w, now: now, revoked: make(map[inventory.Fingerprint]inventory.RevocationAnswer),
		certificates: bulk{
			into:    `INSERT INTO certificate (sha256, spki, issuer_key, tbs, not_before, not_after, first_seen, der)`,
			columns: 8,
			after: `ON CONFLICT (sha256) DO UPDATE SET
				spki = coalesce(excluded.spki, spki), issuer_key = coalesce(excluded.issuer_key, issuer_key), tbs = coalesce(excluded.tbs, tbs),
				not_before = coalesce(excluded.not_before, not_before), not_after = coalesce(excluded.not_after, not_after)
				WHERE (issuer_key IS NULL AND excluded.issuer_key IS NOT NULL) OR (spki IS NULL AND excluded.spki IS NOT NULL)`,
		},
		names: bulk{into: `INSERT INTO name (reversed, certificate)`, columns: 2, after: `ON CONFLICT DO NOTHING`},
		chains: bulk{
			into:    `INSERT INTO chain (id, certificates, family)`,
			columns: 3,
			after: `ON CONFLICT (id) DO UPDATE SET family = excluded.family
				WHERE family IS NOT excluded.family AND (SELECT length(issuer_key) > 0 FROM family AS f WHERE f.id = excluded.family)`,
		},
		targets: bulk{
			into:    `INSERT INTO target (key, host, port, protocol, address, labels, sources, meta, first_seen)`,
			columns: 9,
			after: `ON CONFLICT (key) DO UPDATE SET
				labels = excluded.labels, sources = excluded.sources, meta = excluded.meta, forgotten = NULL`,
		},
		views: bulk{
			into: `INSERT INTO view (target, address, location, offer,
				state, reach, version, suite, key_exchange, alpn, client_certificate, chain, pool,
				seq, first_seen, last_seen, count,
				schema, slot, attempt, detail, method, flags, timings, resolution, staple, rare, accepts)`,
			columns: 28,
		},
	}
}

// flush inserts the rows that wait.
func (b *batch) flush() error {
	for _, rows := range []*bulk{&b.certificates, &b.names, &b.chains, &b.targets} {
		if err := rows.flush(b.w); err != nil {
			return err
		}
	}
	return b.flushViews()
}

// flushViews inserts the views that wait and learns their ids, which follow
// one another.
func (b *batch) flushViews() error {
	if len(b.newViews) == 0 {
		return nil
	}
	if err := b.views.flush(b.w); err != nil {
		return err
	}
	var last int64
	if err := b.w.one(`SELECT last_insert_rowid()`, nil, &last); err != nil {
		return err
	}
	for i, k := range b.newViews {
		k.id = last - int64(len(b.newViews)-1-i)
	}
	b.newViews = b.newViews[:0]
	return nil
}

func (b *batch) record(t *knownTarget, r *inventory.Result) error {
	at := b.timeOf(r)
	b.w.lastProbe = max(b.w.lastProbe, at)
	if err := b.target(t, r.Target, at); err != nil {
		return err
	}
	judged := judgements{}
	for i := range r.Endpoints {
		e := &r.Endpoints[i]
		fresh, err := b.view(t, e)
		if err != nil {
			return fmt.Errorf("view %s: %w", e.Observation.View().ID(), err)
		}
		if fresh {
			judged.add(&e.Judgement, e.Observation.View())
		}
	}
	for i := range r.Carried {
		judged.add(&r.Carried[i].Judgement, r.Carried[i].Observation.View())
	}
	judged.addTarget(&r.Judgement, t.key)
	gone, err := b.currency(t, r, at)
	if err != nil {
		return fmt.Errorf("current addresses: %w", err)
	}
	if err := b.findings(t.key, judged, gone, at); err != nil {
		return fmt.Errorf("findings: %w", err)
	}
	r.Retired = t.retired()
	return nil
}

// timeOf is when r was seen.
func (b *batch) timeOf(r *inventory.Result) int64 {
	var at int64
	for i := range r.Endpoints {
		at = max(at, millis(r.Endpoints[i].Observation.Time))
	}
	if at == 0 {
		return b.now
	}
	return at
}

// flushed makes sure that a view is in its table, and its id known.
func (b *batch) flushed(k *knownView) error {
	if k.id != 0 {
		return nil
	}
	return b.flushViews()
}

// target stores what is said of a target. A scan of a bare name does not take
// away the labels that a list gave it, and whatever a person scanned a target by
// stays known. The sources of the daemon are those that name it now.
func (b *batch) target(t *knownTarget, target inventory.Target, at int64) error {
	meta := metaOf(target)
	if t.stored && t.meta == meta {
		return nil
	}
	labels, sources := target.Labels, slices.Clone(target.Sources)
	if t.stored {
		if err := b.targets.flush(b.w); err != nil {
			return err
		}
		var oldLabels, oldSources string
		err := b.w.one(`SELECT labels, sources FROM target WHERE key = ?`, []any{t.key}, &oldLabels, &oldSources)
		if err != nil {
			return err
		}
		if len(labels) == 0 {
			if err := json.Unmarshal([]byte(oldLabels), &labels); err != nil {
				return fmt.Errorf("labels: %w", err)
			}
		}
		var more []string
		if err := json.Unmarshal([]byte(oldSources), &more); err != nil {
			return fmt.Errorf("sources: %w", err)
		}
		watched := slices.ContainsFunc(sources, func(s string) bool { return !inventory.ByHand(s) })
		for _, s := range more {
			if !slices.Contains(sources, s) && (!watched || inventory.ByHand(s)) {
				sources = append(sources, s)
			}
		}
	}
	if labels == nil {
		labels = map[string]string{}
	}
	if sources == nil {
		sources = []string{}
	}
	labelText, err := jsonText(labels)
	if err != nil {
		return err
	}
	sourceText, err := jsonText(sources)
	if err != nil {
		return err
	}
	err = b.targets.add(b.w, t.key, target.Host, int64(target.Port), string(target.Protocol), target.Address, labelText, sourceText, meta[:], at)
	t.stored, t.meta = true, meta
	return err
}

// view stores one observation. It is not fresh if more is known already.
func (b *batch) view(t *knownTarget, e *inventory.Endpoint) (fresh bool, err error) {
	o := &e.Observation
	s, served := stateOf(e)
	k := t.find(o.View())
	if k == nil {
		return true, b.newView(t, e, s, served)
	}
	if err := b.flushed(k); err != nil {
		return false, err
	}
	at := millis(o.Time)
	switch {
	case at < k.lastSeen && k.lastSeen <= b.now:
		return false, nil // delivered late. (A last_seen in the future came from a wrong clock, so it does not count as newer.)
	case at < k.lastSeen:
		if k.firstSeen <= b.now {
			at = max(at, k.firstSeen)
		}
		if err := b.turnBack(k, at); err != nil {
			return false, err
		}
	case at == k.lastSeen && s.id == k.state && k.retired == 0:
		return true, nil // delivered twice
	}
	if s.id == k.state {
		return true, b.sameState(k, e, served, at)
	}
	return true, b.newState(k, e, s, served, at)
}

// turnBack corrects a view that was seen by a clock that was ahead: nothing of it
// was seen later than at.
func (b *batch) turnBack(k *knownView, at int64) error {
	k.firstSeen, k.lastSeen, k.lastServed = min(k.firstSeen, at), at, min(k.lastServed, at)
	if _, err := b.w.exec(`UPDATE view SET first_seen = ?1, last_seen = ?2, last_served = min(last_served, ?2) WHERE id = ?3`,
		k.firstSeen, at, k.id); err != nil {
		return err
	}
	if _, err := b.w.exec(`
		UPDATE span SET first_seen = min(first_seen, ?1), last_seen = min(last_seen, ?1), until = ?1
		WHERE (target, address, location, offer) = (?2, ?3, ?4, ?5) AND until > ?1`,
		at, k.view.Target, k.view.Address, k.view.Location, string(k.view.Offer)); err != nil {
		return err
	}
	_, err := b.w.exec(`UPDATE target SET first_seen = ?1 WHERE key = ?2 AND first_seen > ?1`, at, k.view.Target)
	return err
}

func (b *batch) newView(t *knownTarget, e *inventory.Endpoint, s state, served []servedChain) error {
	o := &e.Observation
	if err := b.storeChains(e, served); err != nil {
		return err
	}
	l, err := latestOf(o)
	if err != nil {
		return err
	}
	at := millis(o.Time)
	tls := tlsColumns(s.tls)
	if err := b.views.add(b.w, t.key, o.Address, o.Location, string(o.Offer),
		s.id[:], string(s.reach), tls[0], tls[1], tls[2], tls[3], tls[4], nullable(s.chain), nullBlob(pack(s.pool)),
		int64(1), at, at, int64(1),
		l.schema, l.slot, l.attempt, l.detail, l.method, l.flags, l.timings, l.resolution, l.staple, l.rare, l.accepts); err != nil {
		return err
	}
	k := &knownView{
		view: o.View(), state: s.id, reach: s.reach, chain: s.chain, pool: len(s.pool) > 0, firstSeen: at, lastSeen: at, count: 1,
	}
	t.views = append(t.views, k)
	if b.newViews = append(b.newViews, k); len(b.newViews) == bulkRows {
		return b.flushViews()
	}
	return nil
}

// keepLast sets what comes beside a chain. Where there was none it stays with the
// last one that was served.
const keepLast = `
			staple = CASE WHEN ? THEN ? ELSE staple END,
			rare = CASE WHEN ? OR rare->'$.scts' IS NULL THEN ? ELSE json_patch(json_object('scts', rare->'$.scts'), coalesce(?, '{}')) END`

// sameState touches a view that is as it was. It adds no row anywhere.
func (b *batch) sameState(k *knownView, e *inventory.Endpoint, served []servedChain, at int64) error {
	o := &e.Observation
	l, err := latestOf(o)
	if err != nil {
		return err
	}
	if err := b.learn(e, served); err != nil {
		return err
	}
	_, err = b.w.exec(`
		UPDATE view SET last_seen = ?, count = count + 1, missed = 0, retired = NULL,
			schema = ?, slot = ?, attempt = ?, detail = ?, method = ?, flags = ?, timings = ?, resolution = ?, `+keepLast+`, accepts = coalesce(?, accepts)
		WHERE id = ?`,
		at, l.schema, l.slot, l.attempt, l.detail, l.method, l.flags, l.timings, l.resolution, len(o.Chain) > 0, l.staple, len(o.Chain) > 0, l.rare, l.rare, l.accepts, k.id)
	k.lastSeen, k.missed, k.retired = at, 0, 0
	k.count++
	return err
}

// newState makes the present state of a view a span of its past.
func (b *batch) newState(k *knownView, e *inventory.Endpoint, s state, served []servedChain, at int64) error {
	last, lastServed := k.chain, k.lastSeen
	if last.IsZero() {
		last, lastServed = k.last, k.lastServed
	}
	s.prefer(last)
	if err := b.storeChains(e, served); err != nil {
		return err
	}
	var beforeLast []byte
	err := b.w.one(`
		SELECT coalesce((SELECT s.state FROM span AS s
			WHERE (s.target, s.address, s.location, s.offer) = (v.target, v.address, v.location, v.offer)
			ORDER BY s.seq DESC LIMIT 1), x'')
		FROM view AS v WHERE v.id = ?`, []any{k.id}, &beforeLast)
	if err != nil {
		return err
	}
	if _, err := b.w.exec(`
		INSERT INTO span (target, address, location, offer, seq, state, reach, version, suite, key_exchange, alpn, client_certificate,
			chain, pool, first_seen, last_seen, until, count)
		SELECT target, address, location, offer, seq, state, reach, version, suite, key_exchange, alpn, client_certificate,
			chain, pool, first_seen, last_seen, ?1, count
		FROM view WHERE id = ?2`, at, k.id); err != nil {
		return err
	}
	back := int64(0)
	if string(beforeLast) == string(s.id[:]) {
		back = k.count
	}
	n := knownView{
		id: k.id, view: k.view, state: s.id, reach: s.reach, chain: s.chain, pool: len(s.pool) > 0, before: k.before,
		firstSeen: at, lastSeen: at, count: 1, backAfter: back, accepts: k.accepts,
	}
	if s.chain.IsZero() {
		n.last, n.lastServed = last, lastServed
	} else if s.chain != last && !last.IsZero() {
		n.before = last
	}
	*k = n
	return b.replaceState(k, &e.Observation, s)
}

func (b *batch) replaceState(k *knownView, o *inventory.Observation, s state) error {
	l, err := latestOf(o)
	if err != nil {
		return err
	}
	tls := tlsColumns(s.tls)
	var served any
	if !k.last.IsZero() {
		served = k.lastServed
	}
	_, err = b.w.exec(`
		UPDATE view SET state = ?, reach = ?, version = ?, suite = ?, key_exchange = ?, alpn = ?, client_certificate = ?, chain = ?, pool = ?,
			seq = seq + 1, first_seen = ?, last_seen = ?, count = 1,
			last_chain = ?, last_served = ?, previous_chain = ?, back_after = ?, missed = 0, retired = NULL,
			schema = ?, slot = ?, attempt = ?, detail = ?, method = ?, flags = ?, timings = ?, resolution = ?, `+keepLast+`, accepts = coalesce(?, accepts)
		WHERE id = ?`,
		s.id[:], string(s.reach), tls[0], tls[1], tls[2], tls[3], tls[4], nullable(s.chain), nullBlob(pack(s.pool)),
		k.firstSeen, k.lastSeen,
		nullable(k.last), served, nullable(k.before), k.backAfter,
		l.schema, l.slot, l.attempt, l.detail, l.method, l.flags, l.timings, l.resolution, len(o.Chain) > 0, l.staple, len(o.Chain) > 0, l.rare, l.rare, l.accepts, k.id)
	return err
}

func tlsColumns(t *inventory.TLSFacts) (c [5]any) {
	if t == nil {
		return c
	}
	return [5]any{t.Version, t.CipherSuite, t.Group, t.ALPN, t.ClientCertificateRequired}
}

func nullBlob(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}
