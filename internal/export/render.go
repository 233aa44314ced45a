package export

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// A page is one answer in the making: a snapshot at a time.
type page struct {
	*text
	*snapshot
	now time.Time

	chosen  []*target // those that are shown
	dropped int64     // series that the cap left out
}

// choose picks the targets to show among list: those in attention only if asked
// for, and no more series than the cap allows.
func (p *page) choose(list []*target, attention bool) {
	now, after := p.now.Unix(), p.settings.StaleAfter
	p.chosen = list
	if attention {
		p.chosen = slices.DeleteFunc(slices.Clone(list), func(t *target) bool {
			return !t.troubled(now, after) && now-t.quietSince >= int64(linger/time.Second)
		})
	}
	limit := int64(p.settings.MaxSeries)
	if limit == 0 {
		return
	}
	seen := newMarks(p.slots)
	var total int64
	for _, t := range p.chosen {
		total += t.series(now, seen, p.phased())
	}
	if total <= limit {
		return
	}
	// What expires last goes first. Without any expiry, nothing is known, and
	// that is worse.
	order := slices.Clone(p.chosen)
	slices.SortStableFunc(order, func(a, b *target) int { return cmp.Compare(a.expiry, b.expiry) })
	seen = newMarks(p.slots)
	var kept int64
	n := 0
	for ; n < len(order); n++ {
		more := order[n].series(now, seen, p.phased())
		if kept+more > limit {
			break
		}
		kept += more
	}
	p.dropped = total - kept
	p.chosen = order[:n]
	slices.SortFunc(p.chosen, func(a, b *target) int { return cmp.Compare(a.key, b.key) })
}

// marks is a set of certificates.
type marks []uint64

func newMarks(slots int) marks { return make(marks, (slots+63)/64) }

// add reports whether c was not in the set yet.
func (m marks) add(c *certificate) bool {
	bit := uint64(1) << (c.slot % 64)
	fresh := m[c.slot/64]&bit == 0
	m[c.slot/64] |= bit
	return fresh
}

// series is how many series the target has, with those certificates that are
// not in seen.
func (t *target) series(now int64, seen marks, phased bool) int64 {
	n := int64(2) // info, stale views
	if t.expiry != unknown {
		n += 2
	}
	if _, ok := t.tier.Size(); ok {
		n++
	}
	n += truth(t.verified != nil) + truth(len(t.views) > 0) + truth(t.distinct > 0) + truth(t.due != unknown) + int64(len(t.waived))
	for _, f := range t.findings {
		n += truth(f.shown(now))
	}
	for i := range t.views {
		v := &t.views[i]
		if v.primary {
			n += truth(!v.upUnknown) + truth(v.reach != inventory.ReachOK) + truth(v.probed != unknown) + truth(v.succeeded != unknown)
			if phased {
				n += v.phases.count()
			}
		}
		n += int64(len(v.leaves))
		for _, c := range v.leaves {
			n += truth(seen.add(c))
		}
	}
	return n
}

// shown reports whether f is open, or closed less than an hour ago.
func (f finding) shown(now int64) bool {
	return f.closed == 0 || now-f.closed < int64(linger/time.Second)
}

// detail writes the series of the chosen targets.
func (p *page) detail() {
	p.chosen = gather(p.chosen)
	p.endpoints()
	p.phases()
	p.numbers()
	p.begin(family{"certscan_target_info", gauge, "What the target is, and the labels of its list; always 1."})
	for _, t := range p.chosen {
		w := p.series()
		w.WriteString(t.labelPrefix)
		w.WriteString(t.info)
		w.WriteString("}")
		p.end(1)
	}
	p.findings()
	p.certificates()
}

// endpoints writes what has the labels target, address and location.
func (p *page) endpoints() {
	p.endpoint("certscan_endpoint_up", "Whether the endpoint answered with TLS, as of the last scheduled probe. Absent if the scanner itself was at fault, or the name does not resolve any more.",
		func(v *view) (int64, bool) { return truth(v.reach == inventory.ReachOK), !v.upUnknown })
	p.begin(family{"certscan_endpoint_failure", gauge, "Why the endpoint could not be examined; 1 for the current reason only."})
	for _, t := range p.chosen {
		for i := range t.views {
			if v := &t.views[i]; v.primary && v.reach != inventory.ReachOK {
				p.head(v)
				p.w.WriteString(`",reason="`)
				p.w.WriteString(string(v.reach))
				p.w.WriteString(`"}`)
				p.end(1)
			}
		}
	}
	p.endpoint("certscan_endpoint_last_probe_timestamp_seconds", "When the endpoint was last probed.",
		func(v *view) (int64, bool) { return v.probed, v.probed != unknown })
	p.endpoint("certscan_endpoint_last_success_timestamp_seconds", "When the endpoint last answered with TLS.",
		func(v *view) (int64, bool) { return v.succeeded, v.succeeded != unknown })
	p.begin(family{"certscan_endpoint_certificate_info", gauge, "Which certificates the endpoint serves, or served when it was last seen; always 1."})
	for _, t := range p.chosen {
		for i := range t.views {
			v := &t.views[i]
			for _, c := range v.leaves {
				p.head(v)
				p.w.WriteString(`",offer="`)
				p.w.WriteString(string(v.offer))
				p.w.WriteString(`",fingerprint="`)
				p.print(c)
				p.w.WriteString(`"}`)
				p.end(1)
			}
		}
	}
}

// endpoint writes one number of each endpoint.
func (p *page) endpoint(name, help string, of func(*view) (int64, bool)) {
	p.begin(family{name, gauge, help})
	for _, t := range p.chosen {
		for i := range t.views {
			v := &t.views[i]
			if !v.primary {
				continue
			}
			if n, ok := of(v); ok {
				p.head(v)
				p.w.WriteString(`"}`)
				p.end(n)
			}
		}
	}
}

// head begins a series with the labels target, address and location, and
// leaves the last one open.
func (p *page) head(v *view) {
	w := p.series()
	w.WriteString(v.labelPrefix)
}

// print writes a fingerprint.
func (p *page) print(c *certificate) { p.w.text = hex.AppendEncode(p.w.text, c.print[:]) }

// numbers writes what has the label target alone.
func (p *page) numbers() {
	now := p.now.Unix()
	known := func(n int64) (int64, bool) { return n, n != unknown }
	p.number("certscan_target_expiry_timestamp_seconds", "The earliest effective expiry over the target's current views, last known ones included.",
		func(t *target) (int64, bool) { return known(t.expiry) })
	p.number("certscan_target_lifetime_seconds", "The whole lifetime of the certificate that expires first.",
		func(t *target) (int64, bool) { return t.lifetime, t.expiry != unknown })
	p.number("certscan_target_expiry_tier_seconds", "The nominal size of the smallest expiry tier entered, 0 when expired. Absent outside all tiers.",
		func(t *target) (int64, bool) {
			size, ok := t.tier.Size()
			return int64(size / time.Second), ok
		})
	p.number("certscan_target_renewal_due_timestamp_seconds", "When the target becomes overdue for renewal by its own history, margin included. Absent where nothing was learned.",
		func(t *target) (int64, bool) { return known(t.due) })
	p.number("certscan_target_verified", "Whether every current view is in time, for the name, trusted and not revoked. Absent if that is not known.",
		func(t *target) (int64, bool) { return truth(t.verified != nil && *t.verified), t.verified != nil })
	p.number("certscan_target_stale_views", "How many endpoints of the target were examined too long ago to count.",
		func(t *target) (int64, bool) { return t.stale(now, p.settings.StaleAfter), true })
	p.number("certscan_target_retired", "How many views of the target are retired: their address is no longer among the answers for its name. Absent if never examined.",
		func(t *target) (int64, bool) { return int64(t.retired), len(t.views) > 0 })
	p.number("certscan_target_distinct_certificates", "How many different leaf certificates the target serves with its own name.",
		func(t *target) (int64, bool) { return int64(t.distinct), t.distinct > 0 })
}

func (p *page) number(name, help string, of func(*target) (int64, bool)) {
	p.begin(family{name, gauge, help})
	for _, t := range p.chosen {
		if n, ok := of(t); ok {
			w := p.series()
			w.WriteString(t.labelPrefix)
			w.WriteString(`"}`)
			p.end(n)
		}
	}
}

// findings writes the findings of the targets.
func (p *page) findings() {
	now := p.now.Unix()
	one := func(t *target, labels string, n int64) {
		w := p.series()
		w.WriteString(t.labelPrefix)
		w.WriteString(`",`)
		w.WriteString(labels)
		w.WriteString("}")
		p.end(n)
	}
	p.begin(family{"certscan_target_finding", gauge, "A finding of the target or of one of its endpoints: 1 while open, 0 for an hour after it closed."})
	for _, t := range p.chosen {
		for _, f := range t.findings {
			if f.shown(now) {
				one(t, f.labels, truth(f.closed == 0))
			}
		}
	}
	p.begin(family{"certscan_target_finding_waived", gauge, "When the waiver ends under which a finding, open all the same, does not count; absent without one."})
	for _, t := range p.chosen {
		for _, f := range t.waived {
			one(t, f.labels, f.until)
		}
	}
}

// certificates writes what the certificates are that the chosen targets serve.
func (p *page) certificates() {
	seen := newMarks(p.slots)
	type entry struct {
		first uint64 // of the fingerprint: sorting by what is at hand is twice as fast
		*certificate
	}
	var list []entry
	for _, t := range p.chosen {
		for i := range t.views {
			for _, c := range t.views[i].leaves {
				if seen.add(c) {
					list = append(list, entry{binary.BigEndian.Uint64(c.print[:8]), c})
				}
			}
		}
	}
	slices.SortFunc(list, func(a, b entry) int {
		if a.first != b.first {
			return cmp.Compare(a.first, b.first)
		}
		return byPrint(a.certificate, b.certificate)
	})
	p.begin(family{"certscan_certificate_info", gauge, "What a certificate is, by the SHA-256 of its DER; always 1."})
	for _, c := range list {
		p.sample(c.labels, 1)
	}
}

func byPrint(a, b *certificate) int { return slices.Compare(a.print[:], b.print[:]) }
