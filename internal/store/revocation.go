package store

import (
	"context"
	"database/sql"
	"maps"
	"sync"

	"example.com/certscan/internal/inventory"
)

// Revocations are the certificates that somebody once said are revoked, for
// good. Those that are recorded later are added. It is safe for concurrent use.
type Revocations struct {
	mu   sync.RWMutex
	said map[inventory.Fingerprint]inventory.RevocationAnswer // under mu
}

// Revoked returns who said that a certificate is revoked, if anybody did.
func (r *Revocations) Revoked(cert inventory.Fingerprint) (inventory.RevocationAnswer, bool) {
	if r == nil {
		return inventory.RevocationAnswer{}, false
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	a, ok := r.said[cert]
	return a, ok
}

func (r *Revocations) learn(more map[inventory.Fingerprint]inventory.RevocationAnswer) {
	if r == nil || len(more) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.Copy(r.said, more)
}

func (d *DB) learn(more map[inventory.Fingerprint]inventory.RevocationAnswer) {
	d.mu.Lock()
	r := d.revoked
	d.mu.Unlock()
	r.learn(more)
}

// Revocations returns what is known to be revoked.
func (d *DB) Revocations(ctx context.Context) (*Revocations, error) {
	r := &Revocations{said: make(map[inventory.Fingerprint]inventory.RevocationAnswer)}
	rows, err := d.r.QueryContext(ctx, `SELECT certificate, source, url, reason, revoked_at, this_update, next_update FROM revocation`)
	err = forEach(rows, err, func(rows *sql.Rows) error {
		var cert sql.RawBytes
		var revoked, this, next int64
		a := inventory.RevocationAnswer{Status: inventory.RevocationRevoked}
		if err := rows.Scan(&cert, &a.Source, &a.URL, &a.Reason, &revoked, &this, &next); err != nil {
			return err
		}
		a.RevokedAt, a.ThisUpdate, a.NextUpdate = fromMillis(revoked), fromMillis(this), fromMillis(next)
		r.said[toFingerprint(cert)] = a
		return nil
	})
	if err != nil {
		return nil, d.explain("read revocations", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.revoked = r
	return r, nil
}

// noteRevoked notes what the judgements of r found to be revoked. It is called in a
// transaction; d.revoked learns of it when that is over.
func (b *batch) noteRevoked(known *Revocations, r *inventory.Result) error {
	note := func(cert inventory.Fingerprint, answers []inventory.RevocationAnswer) error {
		for _, a := range answers {
			if _, is := known.Revoked(cert); is || !lasting(a) {
				continue
			}
			if _, err := b.w.exec(`
				INSERT INTO revocation (certificate, source, url, reason, revoked_at, this_update, next_update) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (certificate) DO NOTHING`,
				cert[:], a.Source, a.URL, a.Reason, millis(a.RevokedAt), millis(a.ThisUpdate), millis(a.NextUpdate)); err != nil {
				return err
			}
			a.Detail = ""
			b.revoked[cert] = a
		}
		return nil
	}
	for _, views := range [][]inventory.Endpoint{r.Endpoints, r.Carried} {
		for i := range views {
			j := &views[i].Judgement
			if j.Verdict == nil || j.Certificate == nil {
				continue
			}
			if len(j.Alternates) == 0 { // or else it is not known of which of them it is
				if err := note(j.Certificate.SHA256, j.Verdict.Revocation.Answers); err != nil {
					return err
				}
			}
			for _, above := range j.Verdict.Revocation.Intermediates {
				if err := note(above.SHA256, above.Answers); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// lasting reports whether an answer says that a certificate is revoked and says
// so of itself for good: a hold may end, and a list of ours may change.
func lasting(a inventory.RevocationAnswer) bool {
	return a.Status == inventory.RevocationRevoked && a.Reason != "certificateHold" && a.Source != inventory.SourceOneCRL && !a.RevokedAt.IsZero()
}
