package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"example.com/certscan/internal/inventory"
)

// Forget takes a target out of the inventory and returns how many current views
// it had. Its history stays until it is pruned; an examination brings it back.
func (d *DB) Forget(ctx context.Context, target string) (int, error) {
	var n int64
	err := d.write(ctx, "forget target", func(w *writer) error {
		now := millis(d.now())
		live, err := w.exec(`UPDATE target SET forgotten = max(?, first_seen), meta = x'' WHERE key = ? AND forgotten IS NULL`, now, target)
		if err != nil {
			return err
		}
		if live == 0 {
			return fmt.Errorf("%w %q", inventory.ErrUnknownTarget, target)
		}
		if n, err = w.exec(`UPDATE view SET retired = max(?, last_seen) WHERE target = ? AND retired IS NULL`, now, target); err != nil {
			return err
		}
		_, err = w.exec(`UPDATE finding SET closed = max(?, opened), reason = ? WHERE target = ? AND closed IS NULL`, now, inventory.ReasonForgotten, target)
		delete(d.cache.targets, target)
		return err
	})
	return int(n), err
}

// Backup writes a consistent copy of the store to a new file, for nobody else
// to read. Another process may go on writing to the store.
func (d *DB) Backup(ctx context.Context, path string) error {
	what := fmt.Sprintf("back up to %q", path)
	if _, err := os.Lstat(path); err == nil {
		return d.explain(what, errors.New("the file exists; choose another name or remove it"))
	} else if !errors.Is(err, fs.ErrNotExist) {
		return d.explain(what, err)
	}
	// Written under another name first, so that what has the name is whole.
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return d.explain(what, err)
	}
	defer os.Remove(tmp.Name())
	if _, err := d.r.ExecContext(ctx, `VACUUM INTO ?`, tmp.Name()); err != nil {
		return d.explain(what, errors.Join(err, tmp.Close()))
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return d.explain(what, err)
	}
	return d.explain(what, publish(tmp.Name(), path))
}

// publish gives a file its name, unless something has it by now.
func publish(tmp, path string) error {
	err := os.Link(tmp, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Rename(tmp, path) // a file system without links
}

// Prune removes history that ended before a time: past states of views, views
// that were retired and targets that were forgotten, closed findings, scans,
// and the chains and certificates that nothing refers to any more. What is
// current stays, however old. The file does not shrink; its pages are reused.
//
// It takes several transactions, so that what is seen meanwhile need not wait for
// all of it. After each the store is whole: what refers to something goes with
// it.
func (d *DB) Prune(ctx context.Context, before time.Time) error {
	t := millis(before)
	type statement struct {
		query string
		args  []any
	}
	for _, together := range [][]statement{
		{{`DELETE FROM span WHERE until < ?`, []any{t}}},
		{{`DELETE FROM view WHERE retired < ?`, []any{t}}, {pruneSpans, nil}},
		{{`DELETE FROM target WHERE forgotten < ? AND NOT EXISTS (SELECT 1 FROM view WHERE target = key)`, []any{t}}},
		{{`DELETE FROM finding WHERE closed < ?`, []any{t}}},
		{{`DELETE FROM scan WHERE coalesce(ended, started) < ?`, []any{t}}, {pruneProgress, nil}},
		{{`DELETE FROM evidence WHERE expires < ?`, []any{t}}},
		{{pruneChains, nil}, {pruneFamilies, nil}},
		{{pruneCertificates, nil}, {pruneNames, nil}},
	} {
		if err := d.write(ctx, "prune", func(w *writer) error {
			for _, s := range together {
				if _, err := w.exec(s.query, s.args...); err != nil {
					return err
				}
			}
			w.forget()
			d.cache.clear()
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

const (
	pruneSpans = `
	DELETE FROM span WHERE NOT EXISTS (SELECT 1 FROM view AS v
		WHERE (v.target, v.address, v.location, v.offer) = (span.target, span.address, span.location, span.offer))`
	pruneProgress = `DELETE FROM progress WHERE scan NOT IN (SELECT id FROM scan)`
	pruneFamilies = `DELETE FROM family WHERE id NOT IN (SELECT family FROM chain WHERE family IS NOT NULL)`
	pruneNames    = `DELETE FROM name WHERE certificate NOT IN (SELECT sha256 FROM certificate)`
)

const pruneChains = `
	DELETE FROM chain WHERE id NOT IN (
		WITH RECURSIVE pools (pool) AS (
			SELECT pool FROM view WHERE pool IS NOT NULL
			UNION SELECT pool FROM span WHERE pool IS NOT NULL
			UNION SELECT substr(pool, 33) FROM pools WHERE length(pool) > 32)
		SELECT chain FROM view WHERE chain IS NOT NULL
		UNION SELECT last_chain FROM view WHERE last_chain IS NOT NULL
		UNION SELECT previous_chain FROM view WHERE previous_chain IS NOT NULL
		UNION SELECT chain FROM span WHERE chain IS NOT NULL
		UNION SELECT substr(pool, 1, 32) FROM pools)`

const pruneCertificates = `
	DELETE FROM certificate WHERE sha256 NOT IN (
		WITH RECURSIVE rest (certificates) AS (
			SELECT certificates FROM chain
			UNION SELECT substr(certificates, 33) FROM rest WHERE length(certificates) > 32)
		SELECT substr(certificates, 1, 32) FROM rest)`

// maxProblems bounds the answer of Check.
const maxProblems = 100

// Check looks for damage: in the file, in what refers to what, and in what
// certscan itself holds true. It returns what is wrong in words.
func (d *DB) Check(ctx context.Context) ([]string, error) {
	c := checker{ctx: ctx}
	err := d.snapshot(ctx, "check", func(tx *sql.Tx) error {
		c.tx = tx
		for _, check := range []func() error{
			c.file, c.references, c.certificates, c.chains, c.views, c.spans, c.findings,
		} {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	})
	return c.problems, err
}

type checker struct {
	ctx      context.Context //nolint:containedctx // that of one call
	tx       *sql.Tx
	problems []string
}

func (c *checker) say(format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}

// each says one problem for every row of a query of one text column.
func (c *checker) each(format, query string) error {
	rows, err := c.tx.QueryContext(c.ctx, query)
	return forEach(rows, err, func(rows *sql.Rows) error {
		var what string
		err := rows.Scan(&what)
		c.say(format, what)
		return err
	})
}

func (c *checker) file() error {
	return c.each("file: %s", `SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'`)
}

func (c *checker) references() error {
	return c.each("a row of %s refers to nothing", `SELECT "table" || ' (of ' || parent || ')' FROM pragma_foreign_key_check`)
}

func (c *checker) certificates() error {
	rows, err := c.tx.QueryContext(c.ctx, `SELECT sha256, der FROM certificate`)
	return forEach(rows, err, func(rows *sql.Rows) error {
		var id, der sql.RawBytes
		if err := rows.Scan(&id, &der); err != nil {
			return err
		}
		if f := toFingerprint(id); inventory.FingerprintOf(der) != f {
			c.say("certificate %s has other content", f)
		}
		return nil
	})
}

func (c *checker) chains() error {
	rows, err := c.tx.QueryContext(c.ctx, `SELECT id, certificates FROM chain`)
	if err := forEach(rows, err, func(rows *sql.Rows) error {
		var id, packed sql.RawBytes
		if err := rows.Scan(&id, &packed); err != nil {
			return err
		}
		if f := toFingerprint(id); inventory.FingerprintOf(packed) != f {
			c.say("chain %s has other content", f)
		}
		return nil
	}); err != nil {
		return err
	}
	if err := c.each("chain %s is not of the family that it says", `
		SELECT lower(hex(h.id)) FROM chain AS h LEFT JOIN family AS f ON f.id = h.family
		WHERE h.family IS NOT NULL AND f.issuers IS NOT substr(h.certificates, 33)`); err != nil {
		return err
	}
	return c.each("certificate %s of a chain is missing", `
		WITH RECURSIVE rest (certificates) AS (
			SELECT certificates FROM chain
			UNION SELECT substr(certificates, 33) FROM rest WHERE length(certificates) > 32)
		SELECT DISTINCT lower(hex(substr(certificates, 1, 32))) FROM rest
		WHERE substr(certificates, 1, 32) NOT IN (SELECT sha256 FROM certificate)`)
}

func (c *checker) views() error {
	rows, err := c.tx.QueryContext(c.ctx, `
		SELECT target, address, location, offer, state, reach, version, suite, key_exchange, alpn, client_certificate, chain, pool FROM view
		UNION ALL
		SELECT target, address, location, offer, state, reach, version, suite, key_exchange, alpn, client_certificate, chain, pool FROM span`)
	if err := forEach(rows, err, func(rows *sql.Rows) error {
		var (
			target string
			id     []byte
			r      viewRow
		)
		if err := rows.Scan(&target, &r.address, &r.location, &r.offer, &id, &r.reach, &r.version, &r.suite, &r.group, &r.alpn,
			&r.clientCertificate, &r.chain, &r.pool); err != nil {
			return err
		}
		s := state{reach: inventory.ReachStatus(r.reach.String), tls: r.tls(), chain: toFingerprint(r.chain), pool: unpack(r.pool)}
		if s.setID(); string(id) != string(s.id[:]) {
			v := inventory.View{Target: target, Address: r.address.String, Location: r.location.String, Offer: inventory.Offer(r.offer.String)}
			c.say("the state of view %s has other content", v.ID())
		}
		return nil
	}); err != nil {
		return err
	}
	return c.each("view %s remembers a chain that is missing", `
		SELECT address || '|' || location || '|' || offer || '|' || target FROM view
		WHERE last_chain IS NOT NULL AND last_chain NOT IN (SELECT id FROM chain) -- NULL is not in an empty table
			OR previous_chain IS NOT NULL AND previous_chain NOT IN (SELECT id FROM chain)`)
}

func (c *checker) spans() error {
	return c.each("the spans of view %s overlap or are out of order", `
		SELECT address || '|' || location || '|' || offer || '|' || target FROM (
			SELECT *, lead(first_seen) OVER w AS next, lead(seq) OVER w AS next_seq FROM (
				SELECT target, address, location, offer, seq, first_seen, until FROM span
				UNION ALL SELECT target, address, location, offer, seq, first_seen, NULL FROM view)
			WINDOW w AS (PARTITION BY target, address, location, offer ORDER BY seq))
		WHERE next < until OR next_seq <> seq + 1 OR (next IS NULL) <> (until IS NULL)`)
}

func (c *checker) findings() error {
	return c.each("finding %s is open on a view that is not current", `
		SELECT f.code || ' of ' || f.subject_id FROM finding AS f
		WHERE f.closed IS NULL AND f.subject_kind = 'view' AND NOT EXISTS (
			SELECT 1 FROM view AS v WHERE v.target = f.target AND v.retired IS NULL
			AND v.address || '|' || v.location || '|' || v.offer || '|' || v.target = f.subject_id)`)
}
