package verify

import (
	"fmt"
	"strings"

	"example.com/certscan/internal/inventory"
)

// A distrustList is who is not to be trusted, indexed.
type distrustList struct {
	certificates, keys map[inventory.Fingerprint][]*inventory.Distrusted
	keyIDs, issuers    map[string][]*inventory.Distrusted
}

func newDistrustList(entries []inventory.Distrusted) *distrustList {
	if len(entries) == 0 {
		return nil
	}
	d := &distrustList{
		certificates: make(map[inventory.Fingerprint][]*inventory.Distrusted),
		keys:         make(map[inventory.Fingerprint][]*inventory.Distrusted),
		keyIDs:       make(map[string][]*inventory.Distrusted),
		issuers:      make(map[string][]*inventory.Distrusted),
	}
	for i := range entries {
		e := &entries[i]
		if !e.Certificate.IsZero() {
			d.certificates[e.Certificate] = append(d.certificates[e.Certificate], e)
		}
		if !e.Key.IsZero() {
			d.keys[e.Key] = append(d.keys[e.Key], e)
		}
		if len(e.KeyID) > 0 {
			d.keyIDs[string(e.KeyID)] = append(d.keyIDs[string(e.KeyID)], e)
		}
		if e.Issuer != "" {
			name := strings.ToLower(e.Issuer)
			d.issuers[name] = append(d.issuers[name], e)
		}
	}
	return d
}

// check says why a path, from a leaf upwards, is not to be trusted; nil if
// nothing speaks against it. Of a path that reaches no anchor, who issued its
// last certificate counts too, by name and key identifier.
func (d *distrustList) check(path []*cert, anchored bool) *defect {
	if d == nil {
		return nil
	}
	leaf := path[0]
	for i, c := range path {
		for _, entries := range [][]*inventory.Distrusted{
			d.certificates[c.info.SHA256], d.keys[c.key.id], d.keyIDs[string(c.ext.subjectKeyID)], d.issuersNamed(c, i > 0),
		} {
			for _, e := range entries {
				if distrustedBy(e, leaf) {
					return &defect{inventory.TrustDistrustedRoot, distrustDetail(e, c.called())}
				}
			}
		}
	}
	if anchored {
		return nil
	}
	top := path[len(path)-1]
	for _, entries := range [][]*inventory.Distrusted{d.keyIDs[string(top.ext.authorityKeyID)], d.issuers[strings.ToLower(top.info.Issuer)]} {
		for _, e := range entries {
			if distrustedBy(e, leaf) {
				return &defect{inventory.TrustDistrustedRoot, distrustDetail(e, quote(top.info.Issuer))}
			}
		}
	}
	return nil
}

// issuersNamed finds the entries by the name of an authority. The leaf's own
// name is not one.
func (d *distrustList) issuersNamed(c *cert, authority bool) []*inventory.Distrusted {
	if !authority {
		return nil
	}
	return d.issuers[strings.ToLower(c.info.Subject)]
}

// distrustedBy reports whether the entry is about a chain with this leaf. When
// a leaf was issued that does not say so is not known, and unknown is not good.
func distrustedBy(e *inventory.Distrusted, leaf *cert) bool {
	return e.After.IsZero() || !leaf.dated || leaf.info.NotBefore.After(e.After)
}

func distrustDetail(e *inventory.Distrusted, called string) string {
	var b strings.Builder
	b.WriteString(called)
	b.WriteString(" is distrusted")
	if !e.After.IsZero() {
		fmt.Fprintf(&b, " for certificates issued after %s", date(e.After))
	}
	if e.Date != "" {
		fmt.Fprintf(&b, " (decided %s)", printable(cutText(e.Date, 10)))
	}
	if e.Reason != "" {
		b.WriteString(": " + printable(cutText(e.Reason, 200)))
	}
	if e.Source != "" {
		b.WriteString("; source: " + printable(cutText(e.Source, 200)))
	}
	return b.String()
}

// Distrusts returns those of the store's anchors that the list is about without
// reserve: who has them has not heard the news.
func Distrusts(list []inventory.Distrusted, store inventory.TrustStore) []inventory.Certificate {
	d := newDistrustList(list)
	var found []inventory.Certificate
	for _, a := range store.Anchors {
		c := parseCert(a.DER, false)
		if c.flaw != "" {
			continue
		}
		// As an anchor: a leaf without dates under it would be distrusted.
		if def := d.check([]*cert{{dated: true}, c}, true); def != nil {
			found = append(found, c.info)
		}
	}
	return found
}
