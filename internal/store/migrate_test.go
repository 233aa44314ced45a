package store_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/store"
	"example.com/certscan/internal/storetest"
)

// older makes a store as certscan had it with that many migrations, and runs
// the statements in it.
func older(t *testing.T, path string, migrations int, statements string) {
	t.Helper()
	names, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(names) < migrations {
		t.Fatalf("%d migrations, %v", len(names), err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	run := func(text string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names[:migrations] {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		run(string(text))
	}
	run(fmt.Sprintf(`PRAGMA application_id = %d; PRAGMA user_version = %d`, 0x6373636e, migrations))
	run(statements)
}

// What an older certscan fetched is still known.
func TestEvidenceSurvivesTheSecondMigration(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certscan.db")
	older(t, path, 1, `INSERT INTO evidence VALUES ('issuer', 'http://ca.example/1.crt', x'', 'status 404', 1000, 2000)`)
	db, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got, ok, err := db.Evidence(t.Context(), inventory.Need{Kind: inventory.NeedIssuer, URL: "http://ca.example/1.crt"})
	if !ok || err != nil || got.Error != "status 404" || got.Expires.Unix() != 2 {
		t.Errorf("Evidence = %+v, %v, %v", got, ok, err)
	}
	if problems, err := db.Check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("Check: %v, %v", problems, err)
	}
}

// Chains that an older certscan stored are found by who issued them.
func TestChainsGetTheirFamilies(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certscan.db")
	older(t, path, 3, ``)
	insert := func(host string, signed bool) [][]byte {
		chain := storetest.Chain(host)
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var packed []byte
		for _, der := range chain {
			c := storetest.Certificate(der)
			key := any(c.IssuerKey[:])
			if !signed {
				key = nil
			}
			packed = append(packed, c.SHA256[:]...)
			if _, err := db.ExecContext(t.Context(), `
				INSERT INTO certificate (sha256, spki, issuer_key, first_seen, der) VALUES (?, ?, ?, 1, ?) ON CONFLICT DO NOTHING`,
				c.SHA256[:], c.SPKI[:], key, der); err != nil {
				t.Fatal(err)
			}
		}
		id := inventory.ChainID(chain)
		if _, err := db.ExecContext(t.Context(), `INSERT INTO chain (id, certificates) VALUES (?, ?)`, id[:], packed); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), `
			INSERT INTO target (key, host, port, protocol, address, labels, sources, meta, first_seen) VALUES (?, 'x', 443, 'tls', '', '{}', '[]', x'', 1)`, host); err != nil {
			t.Fatal(err)
		}
		if _, err := db.ExecContext(t.Context(), `
			INSERT INTO view (target, address, location, offer, state, reach, chain, seq, first_seen, last_seen, count, schema, slot, attempt, detail, flags, timings)
			VALUES (?, '192.0.2.1', 'local', 'default', x'00000000000000000000000000000000', 'ok', ?, 1, 1, 1, 1, 1, 1, 1, '', 0, x'')`,
			host, id[:]); err != nil {
			t.Fatal(err)
		}
		return chain
	}
	insert("a.example", true)
	insert("b.example", true)
	insert("c.example", false)
	db, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	asked := 0
	found, err := db.ChainsTo(t.Context(), func([][]byte) (inventory.Fingerprint, bool, error) {
		asked++
		return inventory.Fingerprint{1}, true, nil
	})
	if err != nil || len(found) != 3 || asked != 2 {
		t.Errorf("ChainsTo asked %d times and found %d (%v), want 2 questions, for those of one issuer and the one of an unknown, and 3 views", asked, len(found), err)
	}
}
