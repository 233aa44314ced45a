package verify

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"example.com/certscan/internal/inventory"
)

// A distrustList is who is not to be trusted, indexed.
type distrustList struct {
	all                []*distrustEntry
	certificates, keys map[inventory.Fingerprint][]*distrustEntry
	keyIDs, commonName map[string][]*distrustEntry
	issuers            map[inventory.NameKey][]*distrustEntry
}

// A distrustEntry is about an authority that was met or not.
type distrustEntry struct {
	inventory.Distrusted
	met atomic.Bool
}

func newDistrustList(entries []inventory.Distrusted) *distrustList {
	if len(entries) == 0 {
		return nil
	}
	d := &distrustList{
		certificates: make(map[inventory.Fingerprint][]*distrustEntry),
		keys:         make(map[inventory.Fingerprint][]*distrustEntry),
		keyIDs:       make(map[string][]*distrustEntry),
		commonName:   make(map[string][]*distrustEntry),
		issuers:      make(map[inventory.NameKey][]*distrustEntry),
	}
	for i := range entries {
		e := &distrustEntry{Distrusted: entries[i]}
		d.all = append(d.all, e)
		if !e.Certificate.IsZero() {
			d.certificates[e.Certificate] = append(d.certificates[e.Certificate], e)
		}
		if !e.Key.IsZero() {
			d.keys[e.Key] = append(d.keys[e.Key], e)
		}
		if len(e.KeyID) > 0 {
			d.keyIDs[string(e.KeyID)] = append(d.keyIDs[string(e.KeyID)], e)
		}
		if key, err := inventory.ParseName(e.Issuer); err == nil {
			d.issuers[key] = append(d.issuers[key], e)
		} else if e.Issuer != "" {
			cn := strings.ToLower(e.Issuer)
			d.commonName[cn] = append(d.commonName[cn], e)
		}
	}
	return d
}

// check says why a path, from a leaf upwards, is not to be trusted; nil if
// nothing speaks against it. Of a path that reaches no anchor, who issued its
// last certificate counts too, by name and key identifier.
func (d *distrustList) check(path []*cert, anchored bool) (found *defect) {
	if d == nil {
		return nil
	}
	leaf := path[0]
	look := func(called string, lists ...[]*distrustEntry) {
		for _, list := range lists {
			for _, e := range list {
				e.met.Store(true)
				if found == nil && distrustedBy(&e.Distrusted, leaf) {
					found = &defect{inventory.TrustDistrustedRoot, distrustDetail(&e.Distrusted, called)}
				}
			}
		}
	}
	for i, c := range path {
		var named []*distrustEntry
		if i > 0 { // the leaf's own name is no authority's
			named = d.named(c.info.Subject, c.info.SubjectCN)
		}
		look(c.called(), d.certificates[c.info.SHA256], d.keys[c.key.id], d.keyIDs[string(c.ext.subjectKeyID)], named)
	}
	if !anchored {
		top := path[len(path)-1]
		look(quote(top.info.Issuer), d.keyIDs[string(top.ext.authorityKeyID)], d.named(top.info.Issuer, top.info.IssuerCN))
	}
	return found
}

// named finds the entries by the name of an authority, whole or its common name.
func (d *distrustList) named(name, cn string) []*distrustEntry {
	var found []*distrustEntry
	if len(d.issuers) > 0 {
		if key, err := inventory.ParseName(name); err == nil {
			found = d.issuers[key]
		}
	}
	if more := d.commonName[strings.ToLower(cn)]; cn != "" && len(more) > 0 {
		found = slices.Concat(found, more)
	}
	return found
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
		c := parseCert(a.DER)
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

// UnmetDistrust returns the positions in [Options.Distrust] of the entries about
// nobody in any chain that was judged so far, nor in a trust store.
func (j *Judge) UnmetDistrust() (positions []int) {
	if j.distrust == nil {
		return nil
	}
	for _, s := range j.opt.Stores {
		for _, a := range s.Anchors {
			if c := parseCert(a.DER); c.flaw == "" {
				j.distrust.check([]*cert{{}, c}, true)
			}
		}
	}
	for i, e := range j.distrust.all {
		if !e.met.Load() {
			positions = append(positions, i)
		}
	}
	return positions
}
