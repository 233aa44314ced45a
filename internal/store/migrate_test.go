package store_test

import (
	"path/filepath"
	"testing"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/store"
)

// What an older certscan fetched is still known.
func TestEvidenceSurvivesTheSecondMigration(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "certscan.db")
	edit(t, path, `
		ALTER TABLE scan DROP COLUMN judging;
		DROP TABLE evidence;
		CREATE TABLE evidence (
			kind TEXT NOT NULL, url TEXT NOT NULL, certificates BLOB NOT NULL, error TEXT NOT NULL,
			fetched_at INTEGER NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY (kind, url)
		) STRICT;
		INSERT INTO evidence VALUES ('issuer', 'http://ca.example/1.crt', x'', 'status 404', 1000, 2000);
		PRAGMA user_version = 1`)
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
