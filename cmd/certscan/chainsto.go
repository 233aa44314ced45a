package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"example.com/certscan/internal/certfile"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/store"
	"example.com/certscan/internal/verify"
)

// chainsTo asks for the endpoints whose chain leads to an authority.
type chainsTo struct {
	asked  string
	digest string // the beginning of the SHA-256 of a certificate or of a key
	text   string // part of a name, in lower case
	name   inventory.NameKey
	given  [][]byte // certificates of the file that was named
	keys   []inventory.Fingerprint

	names map[inventory.Fingerprint]string // of what was found
}

// parseChainsTo reads the argument of --chains-to.
func parseChainsTo(s string) (*chainsTo, error) {
	c := &chainsTo{asked: s, names: make(map[inventory.Fingerprint]string)}
	if exists(s) {
		contents, err := certfile.Read(s, certfile.Options{})
		if err != nil {
			return nil, usageError{fmt.Errorf("--chains-to: %w", err)}
		}
		for _, found := range contents.Certificates {
			c.given = append(c.given, found.DER)
			c.keys = append(c.keys, verify.Parse(found.DER).SPKI)
		}
		return c, nil
	}
	if namesFile(s) {
		return nil, usagef("--chains-to %q: there is no such file", s)
	}
	c.text = strings.ToLower(strings.TrimSpace(s))
	if key, err := inventory.ParseName(s); err == nil { // as openssl prints it
		c.name = key
	}
	digits := strings.ReplaceAll(c.text, ":", "")
	if _, err := hex.DecodeString(digits + strings.Repeat("0", len(digits)%2)); err == nil && len(digits) >= inventory.MinDigest {
		if len(digits) > 2*len(inventory.Fingerprint{}) {
			return nil, usagef("--chains-to %q is too long for a SHA-256: want 64 hexadecimal digits", s)
		}
		c.digest = digits
	}
	if len(c.text) < 2 {
		return nil, usagef("--chains-to %q: want an authority's name or part of it, the SHA-256 of its certificate or key, or a file with its certificate", s)
	}
	return c, nil
}

// namesFile reports whether s, which is no file, was meant as one.
func namesFile(s string) bool {
	endings := []string{".pem", ".crt", ".cer", ".cert", ".der", ".p7b", ".p7c", ".p12", ".pfx"}
	starts := []string{"/", "./", "../", "~/"}
	return slices.Contains(endings, strings.ToLower(filepath.Ext(s))) ||
		slices.ContainsFunc(starts, func(start string) bool { return strings.HasPrefix(s, start) && !strings.Contains(s, "=") })
}

// none is the error for nothing that was found.
func (c *chainsTo) none() error {
	hint := ""
	if digits := strings.ReplaceAll(c.text, ":", ""); c.digest == "" && c.given == nil && strings.Trim(digits, "0123456789abcdef") == "" {
		hint = fmt.Sprintf(" by name; a SHA-256 needs %d or more digits", inventory.MinDigest)
	}
	return fmt.Errorf("no current endpoint chains to %q%s", c.asked, hint)
}

// matches reports whether an authority is the one that was asked for.
func (c *chainsTo) matches(a inventory.Certificate) bool {
	switch {
	case c.given != nil:
		return slices.Contains(c.keys, a.SPKI) && !a.SPKI.IsZero()
	case c.digest != "" && (strings.HasPrefix(a.SHA256.String(), c.digest) || strings.HasPrefix(a.SPKI.String(), c.digest)):
		return true
	}
	return c.named(a.Subject) || c.named(a.Issuer)
}

func (c *chainsTo) named(name string) bool {
	if c.text != "" && strings.Contains(strings.ToLower(name), c.text) {
		return true
	}
	if c.name == "" {
		return false
	}
	key, err := inventory.ParseName(name)
	return err == nil && key == c.name
}

// find returns the views whose chain leads there, by what was served, what was
// fetched once, and what the trust stores have.
func (c *chainsTo) find(ctx context.Context, db *store.DB, stores []inventory.TrustStore) ([]inventory.Serving, error) {
	stores = slices.Clone(stores)
	for i := range stores {
		stores[i].For, stores[i].Only = nil, false
	}
	judge, err := verify.New(verify.Options{Stores: stores})
	if err != nil {
		return nil, err
	}
	return db.ChainsTo(ctx, func(chain [][]byte) (inventory.Fingerprint, bool, error) {
		above, unknown, err := ancestors(ctx, db, judge, chain, c.given)
		if err != nil {
			return inventory.Fingerprint{}, false, err
		}
		for _, a := range above {
			if c.matches(a) {
				c.names[a.SHA256] = a.Subject
				return a.SHA256, true, nil
			}
		}
		for _, name := range unknown {
			if c.named(name) {
				return inventory.Fingerprint{}, true, nil
			}
		}
		return inventory.Fingerprint{}, false, nil
	})
}

// ancestors are the authorities above a chain, with those that were fetched once.
func ancestors(ctx context.Context, db *store.DB, judge *verify.Judge, chain, given [][]byte) ([]inventory.Certificate, []string, error) {
	ev := make(inventory.EvidenceSet)
	for {
		above, unknown, needs := judge.Ancestors(chain, given, ev)
		if len(needs) == 0 {
			return above, unknown, nil
		}
		for _, n := range needs {
			e, ok, err := db.Evidence(ctx, n)
			if err != nil {
				return nil, nil, err
			}
			if !ok {
				e = inventory.Evidence{Need: n, Error: "not fetched: only a scan fetches"}
			}
			ev[n] = e
		}
	}
}
