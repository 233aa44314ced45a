package store

import (
	"context"
	"database/sql"
	"iter"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// A pastSpan is a span with what the store knows besides.
type pastSpan struct {
	inventory.Span
	chain inventory.Fingerprint
	pool  []inventory.Fingerprint
	until int64 // the next state, or retirement; 0: it lasts
	last  bool  // the present state, of which the latest examination left all behind
}

func (s pastSpan) covers(at int64) bool {
	return millis(s.FirstSeen) <= at && (s.until == 0 || at < s.until)
}

const spanColumns = `address, location, offer, reach, version, suite, key_exchange, alpn, client_certificate, chain, pool, first_seen, last_seen, count`

// viewsOf returns the spans of every view of a target, the views sorted and
// their spans oldest first.
func viewsOf(chains *chainLoader, target string) ([][]pastSpan, error) {
	query, err := chains.prepare(`
		SELECT ` + spanColumns + `, until, seq, 0 FROM span WHERE target = ?1
		UNION ALL
		SELECT ` + spanColumns + `, retired, seq, 1 FROM view WHERE target = ?1
		ORDER BY address, location, offer, seq`)
	if err != nil {
		return nil, err
	}
	rows, err := query.QueryContext(chains.ctx, target)
	var views [][]pastSpan
	err = forEach(rows, err, func(rows *sql.Rows) error {
		s, err := scanSpan(rows, target, chains)
		if err != nil {
			return err
		}
		if n := len(views); n > 0 && views[n-1][0].View == s.View {
			views[n-1] = append(views[n-1], s)
		} else {
			views = append(views, []pastSpan{s})
		}
		return nil
	})
	return views, err
}

func scanSpan(rows *sql.Rows, target string, chains *chainLoader) (pastSpan, error) {
	var (
		r     viewRow
		until sql.NullInt64
		seq   int64
		last  bool
	)
	if err := rows.Scan(&r.address, &r.location, &r.offer, &r.reach, &r.version, &r.suite, &r.group, &r.alpn, &r.clientCertificate,
		&r.chain, &r.pool, &r.first, &r.seen, &r.count, &until, &seq, &last); err != nil {
		return pastSpan{}, err
	}
	s := pastSpan{
		Span: inventory.Span{
			View:      inventory.View{Target: target, Address: r.address.String, Location: r.location.String, Offer: inventory.Offer(r.offer.String)},
			FirstSeen: fromMillis(r.first.Int64), LastSeen: fromMillis(r.seen.Int64), Count: r.count.Int64,
			Reach: inventory.ReachStatus(r.reach.String), TLS: r.tls(),
		},
		chain: toFingerprint(r.chain), pool: unpack(r.pool), until: until.Int64, last: last,
	}
	var err error
	if s.Chain, err = chains.list(s.chain); err != nil {
		return s, err
	}
	for _, id := range s.pool {
		list, err := chains.list(id)
		if err != nil {
			return s, err
		}
		s.Pool = append(s.Pool, list)
	}
	return s, nil
}

// Spans returns the history of a target, also of a forgotten one: the spans of
// all its views in the order in which they began.
func (d *DB) Spans(ctx context.Context, target string) ([]inventory.Span, error) {
	var spans []inventory.Span
	err := d.snapshot(ctx, "read history of "+target, func(tx *sql.Tx) error {
		var known bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM target WHERE key = ?)`, target).Scan(&known); err != nil {
			return err
		}
		if !known {
			return inventory.ErrUnknownTarget
		}
		views, err := viewsOf(newChains(ctx, tx), target)
		for _, v := range views {
			for _, s := range v {
				spans = append(spans, s.Span)
			}
		}
		return err
	})
	slices.SortStableFunc(spans, func(a, b inventory.Span) int { return a.FirstSeen.Compare(b.FirstSeen) })
	return spans, err
}

// Changes returns what is different about each view at one time compared with
// an earlier one, in the order of targets and views. What changed and changed
// back in between is not different. A zero to is now.
func (d *DB) Changes(ctx context.Context, from, to time.Time) iter.Seq2[inventory.Change, error] {
	if to.IsZero() {
		to = d.now()
	}
	return func(yield func(inventory.Change, error) bool) {
		stopped := false
		err := d.snapshot(ctx, "compare", func(tx *sql.Tx) error {
			chains := newChains(ctx, tx)
			rows, err := tx.QueryContext(ctx, `
				SELECT DISTINCT target FROM view WHERE first_seen > ?1 OR retired > ?1 ORDER BY target`, millis(from))
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() && !stopped {
				var target string
				if err := rows.Scan(&target); err != nil {
					return err
				}
				views, err := viewsOf(chains, target)
				if err != nil {
					return err
				}
				for _, spans := range views {
					if c, ok := changeOf(spans, millis(from), millis(to)); ok && !yield(c, nil) {
						stopped = true
						break
					}
				}
			}
			return rows.Err()
		})
		if err != nil && !stopped {
			yield(inventory.Change{}, err)
		}
	}
}

func changeOf(spans []pastSpan, from, to int64) (inventory.Change, bool) {
	covering := func(at int64) *pastSpan {
		if n := slices.IndexFunc(spans, func(s pastSpan) bool { return s.covers(at) }); n >= 0 {
			return &spans[n]
		}
		return nil
	}
	before, after := covering(from), covering(to)
	c := inventory.Change{View: spans[0].View}
	switch {
	case before == after:
		return c, false
	case before == nil:
		c.Kind, c.At, c.After = inventory.ChangeAppeared, after.FirstSeen, &after.Span
		return c, true
	case after == nil:
		c.Kind, c.Before = inventory.ChangeVanished, &before.Span
		c.At = before.LastSeen
		for _, s := range spans {
			if s.until > from && s.until <= to {
				c.At = fromMillis(s.until)
			}
		}
		return c, true
	}
	c.At, c.Before, c.After = after.FirstSeen, &before.Span, &after.Span
	switch {
	case len(before.Chain) > 0 && len(after.Chain) == 0:
		c.Kind = inventory.ChangeUnreachable
	case len(before.Chain) == 0 && len(after.Chain) > 0:
		c.Kind = inventory.ChangeReachable
	case before.chain == after.chain && slices.Equal(before.pool, after.pool):
		if before.Reach == after.Reach && sameTLS(before.TLS, after.TLS) {
			return c, false
		}
		c.Kind = inventory.ChangeConnection
	case before.Chain[0] != after.Chain[0]:
		c.Kind = inventory.ChangeCertificate
	default:
		c.Kind = inventory.ChangeChain
	}
	return c, true
}

func sameTLS(a, b *inventory.TLSFacts) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Version == b.Version && a.CipherSuite == b.CipherSuite && a.Group == b.Group && a.ALPN == b.ALPN &&
		a.ClientCertificateRequired == b.ClientCertificateRequired
}
