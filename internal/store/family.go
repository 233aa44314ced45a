package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"example.com/certscan/internal/inventory"
)

// signedByItself is what family.issuer_key has for a leaf whose own key signed
// it: there is nothing above it, and families of one would be no help.
var signedByItself = [1]byte{0}

// family returns the id of what is above a leaf, of which leaf is what a
// judgement says, nil if it says nothing.
func (w *writer) family(leaf *inventory.Certificate, issuers []inventory.Fingerprint) (id int64, err error) {
	key := []byte{}
	switch {
	case leaf == nil || leaf.IssuerKey.IsZero():
	case leaf.IssuerKey == leaf.SPKI:
		key = signedByItself[:]
	default:
		key = leaf.IssuerKey[:]
	}
	above := pack(issuers)
	if above == nil {
		above = []byte{}
	}
	name := string(key) + "|" + string(above)
	if id, ok := w.families[name]; ok {
		return id, nil
	}
	if _, err := w.exec(`INSERT INTO family (issuer_key, issuers) VALUES (?, ?) ON CONFLICT DO NOTHING`, key, above); err != nil {
		return 0, err
	}
	if err := w.one(`SELECT id FROM family WHERE issuer_key = ? AND issuers = ?`, []any{key, above}, &id); err != nil {
		return 0, err
	}
	if len(w.families) >= maxRemembered {
		clear(w.families)
	}
	w.families[name] = id
	return id, nil
}

// ChainsTo returns the current views that serve a chain of which match says that
// it leads where somebody asked for, or that served one last, sorted. Match is
// given a chain as served and returns the certificate above the leaf that made
// it say so. It is asked once for all chains that have the same certificates
// after a leaf by the same verified key.
func (d *DB) ChainsTo(ctx context.Context, match func(chain [][]byte) (via inventory.Fingerprint, ok bool, err error)) ([]inventory.Serving, error) {
	var found []inventory.Serving
	err := d.snapshot(ctx, "find chains", func(tx *sql.Tx) error {
		chains, err := chainsOf(ctx, tx, match)
		if err != nil || len(chains) == 0 {
			return err
		}
		found, err = servers(ctx, tx, chains)
		return err
	})
	sortServings(found)
	return found, err
}

// chainsOf returns the chains that match accepts, each with its leaf.
func chainsOf(ctx context.Context, tx *sql.Tx, match func([][]byte) (inventory.Fingerprint, bool, error)) (map[inventory.Fingerprint][]place, error) {
	families, err := familiesOf(ctx, tx)
	if err != nil {
		return nil, err
	}
	chains := newChains(ctx, tx)
	found := make(map[inventory.Fingerprint][]place)
	for _, f := range families {
		rows, err := tx.QueryContext(ctx, `SELECT id, substr(certificates, 1, 32) FROM chain WHERE family IS ?`, f.id)
		asked, accepted := false, false
		var via inventory.Fingerprint
		err = forEach(rows, err, func(rows *sql.Rows) error {
			var id, leaf sql.RawBytes
			if err := rows.Scan(&id, &leaf); err != nil {
				return err
			}
			p := place{cert: toFingerprint(leaf)}
			chain := toFingerprint(id)
			if !asked || !f.verified {
				ders, err := chains.chain(chain)
				if err != nil {
					return err
				}
				if via, accepted, err = match(ders); err != nil {
					return fmt.Errorf("chain %s: %w", chain, err)
				}
				asked = true
			}
			if p.via = via; accepted {
				found[chain] = []place{p}
			} else if f.verified {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			return nil, err
		}
	}
	return found, nil
}

// errStop ends a loop over rows early.
var errStop = errors.New("stop")

// A family is the certificates served above a leaf, with the key that signed it.
type family struct {
	id       sql.NullInt64
	verified bool // the leaves have an issuer in common
	issuers  []inventory.Fingerprint
}

func familiesOf(ctx context.Context, tx *sql.Tx) ([]family, error) {
	all := []family{{}} // of chains that are of none
	rows, err := tx.QueryContext(ctx, `SELECT id, length(issuer_key) > 0, issuers FROM family`)
	return all, forEach(rows, err, func(rows *sql.Rows) error {
		var f family
		var issuers sql.RawBytes
		err := rows.Scan(&f.id, &f.verified, &issuers)
		f.issuers = unpack(issuers)
		all = append(all, f)
		return err
	})
}
