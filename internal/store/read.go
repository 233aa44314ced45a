package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

const targetColumns = `t.key, t.host, t.port, t.protocol, t.address, t.labels, t.sources, t.first_seen`

const viewColumns = `v.address, v.location, v.offer, v.reach, v.version, v.suite, v.key_exchange, v.alpn, v.client_certificate,
	v.chain, v.pool, v.first_seen, v.last_seen, v.count, v.last_chain, v.last_served, v.previous_chain, v.retired,
	v.schema, v.slot, v.attempt, v.detail, v.method, v.flags, v.timings, v.resolution, v.staple, v.rare, v.accepts`

// Targets returns the live targets in the order of their keys, each with its
// current views and all that judging them needs. With a time, it returns what
// was known then: of each view the state that it was last seen in, without what
// only the latest examination leaves behind (staple, SCTs, detail, timings), unless
// that was over by then.
//
// It sees one state of the store, whatever is written meanwhile, and holds a
// connection until it is done.
func (d *DB) Targets(ctx context.Context, at time.Time) iter.Seq2[inventory.StoredTarget, error] {
	return func(yield func(inventory.StoredTarget, error) bool) {
		stopped := false
		err := d.snapshot(ctx, "read targets", func(tx *sql.Tx) error {
			each := func(st inventory.StoredTarget) bool {
				stopped = !yield(st, nil)
				return !stopped
			}
			if at.IsZero() {
				return currentTargets(ctx, tx, "", each)
			}
			return pastTargets(ctx, tx, millis(at), each)
		})
		if err != nil && !stopped {
			yield(inventory.StoredTarget{}, err)
		}
	}
}

// Target returns one live target, or [inventory.ErrUnknownTarget].
func (d *DB) Target(ctx context.Context, key string) (inventory.StoredTarget, error) {
	var found inventory.StoredTarget
	err := d.snapshot(ctx, "read target", func(tx *sql.Tx) error {
		n := 0
		err := currentTargets(ctx, tx, key, func(st inventory.StoredTarget) bool {
			found = st
			n++
			return true
		})
		if err == nil && n == 0 {
			err = fmt.Errorf("%w %q", inventory.ErrUnknownTarget, key)
		}
		return err
	})
	return found, err
}

// Forgotten returns a target that was taken out of the inventory as it was then,
// and since when it is out; or [inventory.ErrUnknownTarget].
func (d *DB) Forgotten(ctx context.Context, key string) (found inventory.StoredTarget, since time.Time, _ error) {
	err := d.snapshot(ctx, "read forgotten target", func(tx *sql.Tx) error {
		var at int64
		err := tx.QueryRowContext(ctx, `SELECT forgotten FROM target WHERE key = ? AND forgotten IS NOT NULL`, key).Scan(&at)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w %q", inventory.ErrUnknownTarget, key)
		}
		if err != nil {
			return err
		}
		since = fromMillis(at)
		return readTargets(ctx, tx, `v.retired >= t.forgotten`, `t.key = ?`, []any{key}, func(st inventory.StoredTarget) bool {
			found = st
			return true
		})
	})
	for i := range found.Views {
		found.Views[i].Retired = false // it was current then
	}
	return found, since, err
}

// currentTargets calls f for every live target, or for one, until f returns
// false.
func currentTargets(ctx context.Context, tx *sql.Tx, key string, f func(inventory.StoredTarget) bool) error {
	where, args := `t.forgotten IS NULL`, []any{}
	if key != "" {
		where, args = where+` AND t.key = ?`, []any{key}
	}
	return readTargets(ctx, tx, `v.retired IS NULL`, where, args, f)
}

// readTargets calls f for the targets t that where selects, with those of their
// views v that views selects, until f returns false.
func readTargets(ctx context.Context, tx *sql.Tx, views, where string, args []any, f func(inventory.StoredTarget) bool) error {
	rows, err := tx.QueryContext(ctx, `
		SELECT `+targetColumns+`, `+viewColumns+`, c.certificates, l.der
		FROM target AS t
		LEFT JOIN view AS v ON v.target = t.key AND `+views+`
		LEFT JOIN chain AS c ON c.id = v.chain
		LEFT JOIN certificate AS l ON l.sha256 = substr(c.certificates, 1, 32)
		WHERE `+where+`
		ORDER BY t.key, v.address, v.location, v.offer`, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	chains := newChains(ctx, tx)
	var present *inventory.StoredTarget
	emit := func() (more bool, err error) {
		if present == nil {
			return true, nil
		}
		if err := fillDefaults(present, chains); err != nil {
			return false, err
		}
		return f(*present), nil
	}
	for rows.Next() {
		row, err := scanRow(rows)
		if err != nil {
			return err
		}
		if present == nil || present.Target.Key() != row.key {
			if more, err := emit(); err != nil || !more {
				return err
			}
			if present, err = row.target(); err != nil {
				return err
			}
		}
		if !row.view.address.Valid {
			continue // no view
		}
		v, err := row.view.stored(present.Target, row.key, chains)
		if err != nil {
			return fmt.Errorf("view of %s: %w", row.key, err)
		}
		present.Views = append(present.Views, v)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	_, err = emit()
	return err
}

// fillDefaults gives the views with other offers the chain that the same
// address served to the default one when they were examined.
func fillDefaults(st *inventory.StoredTarget, chains *chainLoader) error {
	for i := range st.Views {
		f := &st.Views[i].Facts
		o := &f.Observation
		if o.Offer == inventory.OfferDefault {
			continue
		}
		for j := range st.Views {
			v := &st.Views[j]
			d := &v.Facts.Observation
			if d.Offer != inventory.OfferDefault || d.Address != o.Address || d.Location != o.Location {
				continue
			}
			if f.DefaultChain = d.Chain; !o.Time.Before(v.FirstSeen) {
				continue
			}
			id, err := servedAt(chains, d.View(), millis(o.Time))
			if err == nil {
				f.DefaultChain, err = chains.chain(id)
			}
			if err != nil {
				return fmt.Errorf("what %s served before: %w", d.View().ID(), err)
			}
		}
	}
	return nil
}

// servedAt returns the chain that a view served at a time before its present
// state; zero if there was none, or nobody knows.
func servedAt(chains *chainLoader, v inventory.View, at int64) (inventory.Fingerprint, error) {
	query, err := chains.prepare(`
		SELECT chain FROM span
		WHERE (target, address, location, offer) = (?, ?, ?, ?) AND first_seen <= ?
		ORDER BY seq DESC LIMIT 1`)
	if err != nil {
		return inventory.Fingerprint{}, err
	}
	var id []byte
	err = query.QueryRowContext(chains.ctx, v.Target, v.Address, v.Location, string(v.Offer), at).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return toFingerprint(id), err
}

// A row is a target and one of its views, as stored.
type row struct {
	key, host, protocol, address string
	labels, sources              string
	port, firstSeen              int64
	view                         viewRow
}

type viewRow struct {
	address, location, offer, reach            sql.NullString
	version, suite, group, alpn                sql.NullString
	clientCertificate                          sql.NullBool
	chain, pool, last, previous, staple, times []byte
	first, seen, count, served, retired        sql.NullInt64
	schema, slot, attempt, flags               sql.NullInt64
	detail, method, resolution, rare           sql.NullString
	certificates, leaf                         []byte // of chain
	accepts                                    []byte
}

func scanRow(rows *sql.Rows) (*row, error) {
	var r row
	v := &r.view
	return &r, rows.Scan(&r.key, &r.host, &r.port, &r.protocol, &r.address, &r.labels, &r.sources, &r.firstSeen,
		&v.address, &v.location, &v.offer, &v.reach, &v.version, &v.suite, &v.group, &v.alpn, &v.clientCertificate,
		&v.chain, &v.pool, &v.first, &v.seen, &v.count, &v.last, &v.served, &v.previous, &v.retired,
		&v.schema, &v.slot, &v.attempt, &v.detail, &v.method, &v.flags, &v.times, &v.resolution, &v.staple, &v.rare, &v.accepts,
		&v.certificates, &v.leaf)
}

func (r *row) target() (*inventory.StoredTarget, error) {
	st := &inventory.StoredTarget{
		Target: inventory.Target{
			Host: r.host, Port: uint16(r.port), Protocol: inventory.Protocol(r.protocol), Address: r.address,
		},
		FirstSeen: fromMillis(r.firstSeen),
	}
	if err := json.Unmarshal([]byte(r.labels), &st.Target.Labels); err != nil {
		return nil, fmt.Errorf("labels of %s: %w", r.key, err)
	}
	if err := json.Unmarshal([]byte(r.sources), &st.Target.Sources); err != nil {
		return nil, fmt.Errorf("sources of %s: %w", r.key, err)
	}
	return st, nil
}

func (v *viewRow) tls() *inventory.TLSFacts {
	if !v.version.Valid {
		return nil
	}
	return &inventory.TLSFacts{
		Version: v.version.String, CipherSuite: v.suite.String, Group: v.group.String, ALPN: v.alpn.String,
		ClientCertificateRequired: v.clientCertificate.Bool,
	}
}

// stored turns a row into a view with everything that judging needs.
func (v *viewRow) stored(t inventory.Target, key string, chains *chainLoader) (inventory.StoredView, error) {
	sv := inventory.StoredView{
		FirstSeen: fromMillis(v.first.Int64), LastProbe: fromMillis(v.seen.Int64), Count: v.count.Int64, Retired: v.retired.Valid,
	}
	f := &sv.Facts
	f.Target = t
	if err := v.observation(&f.Observation, key); err != nil {
		return sv, err
	}
	var err error
	if f.Observation.Chain, err = chains.with(v.leaf, unpack(v.certificates)); err != nil {
		return sv, err
	}
	for _, id := range unpack(v.pool) {
		alt, err := chains.chain(id)
		if err != nil {
			return sv, err
		}
		f.Observation.Alternates = append(f.Observation.Alternates, alt)
	}
	if len(v.chain) == 0 && len(v.last) > 0 {
		f.LastStaple, f.LastSCTs = f.Observation.Staple, f.Observation.SCTs
		f.Observation.Staple, f.Observation.SCTs = nil, nil
		f.LastSeen = fromMillis(v.served.Int64)
		if f.LastChain, err = chains.chain(toFingerprint(v.last)); err != nil {
			return sv, err
		}
	}
	f.PreviousChain, err = chains.chain(toFingerprint(v.previous))
	return sv, err
}

func (v *viewRow) observation(o *inventory.Observation, key string) error {
	*o = inventory.Observation{
		Schema: int(v.schema.Int64), Target: key, Address: v.address.String, Location: v.location.String,
		Offer: inventory.Offer(v.offer.String), Slot: v.slot.Int64, Attempt: int(v.attempt.Int64), Time: fromMillis(v.seen.Int64),
		Reach: inventory.Reach{Status: inventory.ReachStatus(v.reach.String), Detail: v.detail.String},
		TLS:   v.tls(), Staple: v.staple, Timings: unpackTimings(v.times),
	}
	if v.method.Valid {
		o.Capture = &inventory.Capture{
			Method:            inventory.CaptureMethod(v.method.String),
			HandshakeComplete: v.flags.Int64&flagComplete != 0,
			PossessionProven:  v.flags.Int64&flagPossession != 0,
		}
	}
	if v.resolution.Valid {
		if err := json.Unmarshal([]byte(v.resolution.String), &o.Resolution); err != nil {
			return fmt.Errorf("resolution: %w", err)
		}
	}
	var r rare
	if v.rare.Valid {
		if err := json.Unmarshal([]byte(v.rare.String), &r); err != nil {
			return fmt.Errorf("rare facts: %w", err)
		}
	}
	o.SCTs, o.Injected = r.SCTs, r.Injected
	if o.TLS != nil {
		o.TLS.Stapled, o.TLS.PostQuantum = v.flags.Int64&flagStapled != 0, r.PostQuantum
		accepted, err := readAccepts(v.accepts)
		if err != nil {
			return err
		}
		if accepted != nil {
			accepted.Apply(o.TLS)
		}
		o.TLS.ClientCertificateRequested = v.flags.Int64&flagClientAsked != 0
	}
	return nil
}

// pastTargets calls f for every target that was known at a time, as it was.
func pastTargets(ctx context.Context, tx *sql.Tx, at int64, f func(inventory.StoredTarget) bool) error {
	rows, err := tx.QueryContext(ctx, `
		SELECT `+targetColumns+`
		FROM target AS t
		WHERE t.first_seen <= ?1 AND (t.forgotten IS NULL OR t.forgotten > ?1)
		ORDER BY t.key`, at)
	if err != nil {
		return err
	}
	defer rows.Close()
	chains := newChains(ctx, tx)
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.key, &r.host, &r.port, &r.protocol, &r.address, &r.labels, &r.sources, &r.firstSeen); err != nil {
			return err
		}
		st, err := r.target()
		if err != nil {
			return err
		}
		views, err := viewsOf(chains, r.key)
		if err != nil {
			return fmt.Errorf("history of %s: %w", r.key, err)
		}
		for _, spans := range views {
			v, ok, err := pastView(st.Target, spans, at, chains)
			if err != nil {
				return fmt.Errorf("history of %s: %w", r.key, err)
			}
			if ok {
				st.Views = append(st.Views, v)
			}
		}
		if err := fillDefaults(st, chains); err != nil {
			return err
		}
		if !f(*st) {
			return nil
		}
	}
	return rows.Err()
}

// latestView returns a view as its latest examination left it.
func latestView(t inventory.Target, v inventory.View, chains *chainLoader) (inventory.StoredView, error) {
	query, err := chains.prepare(`
		SELECT ` + targetColumns + `, ` + viewColumns + `, c.certificates, l.der
		FROM target AS t
		JOIN view AS v ON v.target = t.key
		LEFT JOIN chain AS c ON c.id = v.chain
		LEFT JOIN certificate AS l ON l.sha256 = substr(c.certificates, 1, 32)
		WHERE (v.target, v.address, v.location, v.offer) = (?, ?, ?, ?)`)
	if err != nil {
		return inventory.StoredView{}, err
	}
	var sv inventory.StoredView
	rows, err := query.QueryContext(chains.ctx, v.Target, v.Address, v.Location, string(v.Offer))
	err = forEach(rows, err, func(rows *sql.Rows) error {
		r, err := scanRow(rows)
		if err == nil {
			sv, err = r.view.stored(t, r.key, chains)
		}
		return err
	})
	sv.Retired = false // it was current then
	return sv, err
}

// pastView returns the view that spans tell of as it was at a time, if it was
// current then.
func pastView(t inventory.Target, spans []pastSpan, at int64, chains *chainLoader) (inventory.StoredView, bool, error) {
	var sv inventory.StoredView
	n := slices.IndexFunc(spans, func(s pastSpan) bool { return s.covers(at) })
	if n < 0 {
		return sv, false, nil
	}
	s := spans[n]
	if s.last && at >= millis(s.LastSeen) {
		sv, err := latestView(t, s.View, chains)
		return sv, err == nil, err
	}
	sv = inventory.StoredView{FirstSeen: s.FirstSeen, LastProbe: s.LastSeen, Count: s.Count}
	f := &sv.Facts
	f.Target, f.Past = t, true
	f.Observation = inventory.Observation{
		Schema: inventory.ObservationSchema, Target: s.View.Target, Address: s.View.Address, Location: s.View.Location, Offer: s.View.Offer,
		Time: fromMillis(min(at, millis(s.LastSeen))), Reach: inventory.Reach{Status: s.Reach}, TLS: s.TLS,
	}
	var err error
	if f.Observation.Chain, err = chains.chain(s.chain); err != nil {
		return sv, false, err
	}
	for _, id := range s.pool {
		alt, err := chains.chain(id)
		if err != nil {
			return sv, false, err
		}
		f.Observation.Alternates = append(f.Observation.Alternates, alt)
	}
	present := s.chain
	for i := n - 1; i >= 0; i-- {
		switch {
		case spans[i].chain.IsZero() || spans[i].chain == present:
		case present.IsZero():
			present = spans[i].chain
			f.LastSeen = spans[i].LastSeen
			if f.LastChain, err = chains.chain(present); err != nil {
				return sv, false, err
			}
		default:
			f.PreviousChain, err = chains.chain(spans[i].chain)
			return sv, err == nil, err
		}
	}
	return sv, true, nil
}
