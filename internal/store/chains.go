package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"example.com/certscan/internal/inventory"
)

// maxIssuers bounds the certificates that a chain loader holds on to.
const maxIssuers = 1024

var errMissing = errors.New("not in the store")

// A chainLoader turns ids of chains into certificates. It keeps the issuers,
// which many chains share. It belongs to one transaction.
type chainLoader struct {
	ctx    context.Context //nolint:containedctx // that of the transaction
	tx     *sql.Tx
	stmts  map[string]*sql.Stmt // closed with the transaction
	issuer map[inventory.Fingerprint][]byte
}

func newChains(ctx context.Context, tx *sql.Tx) *chainLoader {
	return &chainLoader{ctx: ctx, tx: tx, stmts: make(map[string]*sql.Stmt), issuer: make(map[inventory.Fingerprint][]byte)}
}

// prepare prepares a statement that is run for each of many things.
func (c *chainLoader) prepare(query string) (*sql.Stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	s, err := c.tx.PrepareContext(c.ctx, query)
	if err != nil {
		return nil, err
	}
	c.stmts[query] = s
	return s, nil
}

// blob returns the only column of the only row of a query by hash.
func (c *chainLoader) blob(query string, f inventory.Fingerprint) ([]byte, error) {
	s, err := c.prepare(query)
	if err != nil {
		return nil, err
	}
	var b []byte
	err = s.QueryRowContext(c.ctx, f[:]).Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errMissing
	}
	return b, err
}

// list returns the certificates of a chain by their hashes; nil for no chain.
func (c *chainLoader) list(id inventory.Fingerprint) ([]inventory.Fingerprint, error) {
	if id.IsZero() {
		return nil, nil
	}
	packed, err := c.blob(`SELECT certificates FROM chain WHERE id = ?`, id)
	if err != nil {
		return nil, fmt.Errorf("chain %s: %w", id, err)
	}
	return unpack(packed), nil
}

// chain returns the certificates of a chain; nil for no chain.
func (c *chainLoader) chain(id inventory.Fingerprint) ([][]byte, error) {
	list, err := c.list(id)
	if err != nil || list == nil {
		return nil, err
	}
	return c.with(nil, list)
}

// with returns the certificates of a list, of which the leaf may be at hand.
func (c *chainLoader) with(leaf []byte, list []inventory.Fingerprint) ([][]byte, error) {
	if len(list) == 0 {
		return nil, nil
	}
	ders := make([][]byte, 0, len(list))
	for i, f := range list {
		der, err := leaf, error(nil)
		if i > 0 || leaf == nil {
			der, err = c.certificate(f, i > 0)
		}
		if err != nil {
			return nil, err
		}
		ders = append(ders, der)
	}
	return ders, nil
}

func (c *chainLoader) certificate(f inventory.Fingerprint, issuer bool) ([]byte, error) {
	if der, ok := c.issuer[f]; ok {
		return der, nil
	}
	der, err := c.blob(`SELECT der FROM certificate WHERE sha256 = ?`, f)
	if err != nil {
		return nil, fmt.Errorf("certificate %s: %w", f, err)
	}
	if issuer {
		if len(c.issuer) >= maxIssuers {
			clear(c.issuer)
		}
		c.issuer[f] = der
	}
	return der, nil
}
