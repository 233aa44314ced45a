package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// Where returns the current views that serve a certificate, or that served it
// last if they serve none at present, sorted.
func (d *DB) Where(ctx context.Context, q inventory.Query) ([]inventory.Serving, error) {
	var found []inventory.Serving
	err := d.snapshot(ctx, "find certificate", func(tx *sql.Tx) error {
		certs, err := matching(ctx, tx, q)
		if err != nil || len(certs) == 0 {
			return err
		}
		chains, err := chainsWith(ctx, tx, certs)
		if err != nil || len(chains) == 0 {
			return err
		}
		found, err = servers(ctx, tx, chains)
		return err
	})
	sortServings(found)
	return found, err
}

func sortServings(list []inventory.Serving) {
	slices.SortFunc(list, func(a, b inventory.Serving) int {
		if c := compareViews(a.View, b.View); c != 0 {
			return c
		}
		if a.Position != b.Position {
			return a.Position - b.Position
		}
		return compareFingerprints(a.Certificate, b.Certificate)
	})
}

// matching returns the certificates that q asks for; the value tells whether
// only as a leaf.
func matching(ctx context.Context, tx *sql.Tx, q inventory.Query) (map[inventory.Fingerprint]bool, error) {
	certs := make(map[inventory.Fingerprint]bool)
	collect := func(leafOnly bool, query string, args ...any) error {
		rows, err := tx.QueryContext(ctx, query, args...)
		return forEach(rows, err, func(rows *sql.Rows) error {
			var f sql.RawBytes
			if err := rows.Scan(&f); err != nil {
				return err
			}
			id := toFingerprint(f)
			if had, ok := certs[id]; !ok || had {
				certs[id] = leafOnly
			}
			return nil
		})
	}
	if q.Digest != "" {
		lo, hi, err := digestRange(q.Digest)
		if err != nil {
			return nil, err
		}
		if err := collect(false, `SELECT sha256 FROM certificate WHERE sha256 BETWEEN ? AND ?`, lo, hi); err != nil {
			return nil, err
		}
		if err := collect(false, `SELECT sha256 FROM certificate WHERE substr(spki, 1, 4) = ? AND spki BETWEEN ? AND ?`, lo[:4], lo, hi); err != nil {
			return nil, err
		}
	}
	if below, ok := strings.CutPrefix(strings.TrimPrefix(q.Name, "*"), "."); ok {
		prefix := reversed(below)
		return certs, collect(true, `SELECT certificate FROM name WHERE reversed >= ? AND reversed < ?`, prefix+".", prefix+"/")
	}
	if q.Name != "" {
		name := reversed(q.Name)
		wildcard := name
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			wildcard = name[:i] + ".*"
		}
		return certs, collect(true, `SELECT certificate FROM name WHERE reversed IN (?, ?)`, name, wildcard)
	}
	return certs, nil
}

// digestRange returns the first and the last hash that begins with the digits.
func digestRange(digits string) (lo, hi []byte, err error) {
	digits = strings.ToLower(strings.ReplaceAll(digits, ":", ""))
	full := 2 * len(inventory.Fingerprint{})
	if len(digits) < inventory.MinDigest || len(digits) > full {
		return nil, nil, fmt.Errorf("%q is no SHA-256 or beginning of one: want %d to %d hexadecimal digits", digits, inventory.MinDigest, full)
	}
	rest := full - len(digits)
	if lo, err = hex.DecodeString(digits + strings.Repeat("0", rest)); err != nil {
		return nil, nil, fmt.Errorf("%q is no SHA-256: %w", digits, err)
	}
	hi, err = hex.DecodeString(digits + strings.Repeat("f", rest))
	return lo, hi, err
}

// A place is where in a chain a certificate is.
type place struct {
	cert     inventory.Fingerprint
	position int
	via      inventory.Fingerprint // the certificate that made the chain match
}

// fewLeaves and fewChains are up to how many are looked for one by one: beyond,
// to read all of a table costs less.
const (
	fewLeaves = 1000
	fewChains = 2000
)

// chainsWith returns the chains that contain one of certs, and where. The value
// of a certificate tells whether only as a leaf.
func chainsWith(ctx context.Context, tx *sql.Tx, certs map[inventory.Fingerprint]bool) (map[inventory.Fingerprint][]place, error) {
	found := make(map[inventory.Fingerprint][]place)
	collect := func(rows *sql.Rows, err error) error {
		return forEach(rows, err, func(rows *sql.Rows) error {
			var id, packed sql.RawBytes
			if err := rows.Scan(&id, &packed); err != nil {
				return err
			}
			n, chain := 0, toFingerprint(id)
			if _, twice := found[chain]; twice {
				return nil
			}
			for f := range slices.Chunk(packed, len(inventory.Fingerprint{})) {
				cert := toFingerprint(f)
				if leafOnly, ok := certs[cert]; ok && (n == 0 || !leafOnly) {
					found[chain] = append(found[chain], place{cert: cert, position: n})
				}
				n++
			}
			return nil
		})
	}
	if len(certs) > fewLeaves {
		return found, collect(tx.QueryContext(ctx, `SELECT id, certificates FROM chain`))
	}
	families, err := familiesOf(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, f := range families {
		isAbove := func(c inventory.Fingerprint) bool { leafOnly, ok := certs[c]; return ok && !leafOnly }
		if f.id.Valid && !slices.ContainsFunc(f.issuers, isAbove) {
			continue
		}
		if err := collect(tx.QueryContext(ctx, `SELECT id, certificates FROM chain WHERE family IS ?`, f.id)); err != nil {
			return nil, err
		}
	}
	for c := range certs {
		if err := collect(tx.QueryContext(ctx, `SELECT id, certificates FROM chain WHERE substr(certificates, 1, 4) = ? AND substr(certificates, 1, 32) = ?`, c[:4], c[:])); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// servers returns the current views that serve one of chains. It reads all
// views: an index over them would cost each new one more than the question does.
func servers(ctx context.Context, tx *sql.Tx, chains map[inventory.Fingerprint][]place) ([]inventory.Serving, error) {
	s := serverReader{chains: chains}
	const columns = `
		SELECT v.target, v.address, v.location, v.offer, v.chain, v.pool, v.last_chain, v.first_seen, v.last_seen, v.last_served, t.labels
		FROM view AS v JOIN target AS t ON t.key = v.target
		WHERE v.retired IS NULL AND t.forgotten IS NULL AND `
	if len(chains) > fewChains {
		rows, err := tx.QueryContext(ctx, columns+`coalesce(v.chain, v.last_chain) IS NOT NULL`)
		err = forEach(rows, err, s.row)
		return s.found, err
	}
	ids := make([]string, 0, len(chains))
	for id := range chains {
		ids = append(ids, id.String())
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `WITH wanted AS MATERIALIZED (SELECT unhex(value) AS id FROM json_each(?))`+columns+
		`(v.chain IN (SELECT id FROM wanted) OR v.last_chain IN (SELECT id FROM wanted) OR v.pool IS NOT NULL)`, string(list))
	err = forEach(rows, err, s.row)
	return s.found, err
}

// A serverReader collects the views that serve one of chains.
type serverReader struct {
	chains map[inventory.Fingerprint][]place
	found  []inventory.Serving

	target, labelText string
	labels            map[string]string // of target, which has several views in a row
}

func (s *serverReader) row(rows *sql.Rows) error {
	var (
		target, address, location, offer, chain, pool, last, labels sql.RawBytes
		first, seen, served                                         sql.NullInt64
	)
	if err := rows.Scan(&target, &address, &location, &offer, &chain, &pool, &last, &first, &seen, &served, &labels); err != nil {
		return err
	}
	v := inventory.Serving{FirstSeen: fromMillis(first.Int64), LastSeen: fromMillis(seen.Int64)}
	ids := unpack(pool)
	switch {
	case len(chain) > 0:
		ids = append(ids, toFingerprint(chain))
	case len(last) > 0:
		ids = append(ids, toFingerprint(last))
		v.LastKnown, v.FirstSeen, v.LastSeen = true, time.Time{}, fromMillis(served.Int64)
	}
	begin := len(s.found)
	for _, id := range ids {
		for _, p := range s.chains[id] {
			if begin == len(s.found) {
				if err := s.read(target, labels); err != nil {
					return err
				}
				v.View = inventory.View{Target: s.target, Address: string(address), Location: string(location), Offer: inventory.Offer(offer)}
				v.Labels = s.labels
			}
			v.Certificate, v.Position, v.Via = p.cert, p.position, p.via
			twice := slices.ContainsFunc(s.found[begin:], func(o inventory.Serving) bool {
				return o.Certificate == v.Certificate && o.Position == v.Position
			})
			if !twice {
				s.found = append(s.found, v)
			}
		}
	}
	return nil
}

func (s *serverReader) read(target, labels []byte) error {
	s.target = string(target)
	if s.labels != nil && s.labelText == string(labels) {
		return nil
	}
	s.labels, s.labelText = nil, string(labels)
	if err := json.Unmarshal(labels, &s.labels); err != nil {
		return fmt.Errorf("labels of %s: %w", target, err)
	}
	return nil
}

// Certificate returns a certificate by its SHA-256 or the beginning of it, and
// when it was first seen.
func (d *DB) Certificate(ctx context.Context, sha256 string) (der []byte, firstSeen time.Time, err error) {
	lo, hi, err := digestRange(sha256)
	if err != nil {
		return nil, time.Time{}, err
	}
	n := 0
	rows, err := d.r.QueryContext(ctx, `SELECT der, first_seen FROM certificate WHERE sha256 BETWEEN ? AND ? ORDER BY sha256 LIMIT 2`, lo, hi)
	err = forEach(rows, err, func(rows *sql.Rows) error {
		n++
		var b sql.RawBytes
		var first int64
		err := rows.Scan(&b, &first)
		der, firstSeen = bytes.Clone(b), fromMillis(first)
		return err
	})
	switch {
	case err != nil:
	case n == 0:
		err = fmt.Errorf("%w %s", inventory.ErrUnknownCertificate, sha256)
	case n > 1:
		err = fmt.Errorf("%w %s: more than one begins so, give more digits", inventory.ErrUnknownCertificate, sha256)
	}
	if err != nil {
		return nil, time.Time{}, d.explain("find certificate", err)
	}
	return der, firstSeen, nil
}
