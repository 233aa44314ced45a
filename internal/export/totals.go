package export

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

const (
	maxIssuers     = 20 // that totals name; the others are one
	otherIssuers   = "other"
	maxAuthorities = 1000 // CA certificates with series of their own
)

// The states of certscan_endpoints.
const (
	stateVerified = "verified" // answered, and all that it serves is in time, for the name, trusted and not revoked
	stateFlawed   = "flawed"   // answered, and some of it is not
	stateFailing  = "failing"  // did not answer as it should: certscan_failing_endpoints says why
	stateUnknown  = "unknown"  // the scanner is at fault, the name does not resolve any more, or nobody proved to have the key
	stateStale    = "stale"    // not examined for too long
)

func states() []string {
	return []string{stateVerified, stateFlawed, stateFailing, stateUnknown, stateStale}
}

// A sum counts targets with findings of one code and severity.
type sum struct {
	n    int64
	last *target // that was counted
}

type sumKey struct {
	code     inventory.Code
	severity inventory.Severity
}

type failure struct {
	location string
	reason   inventory.ReachStatus
}

// totals are numbers of the whole fleet. There are boundedly many.
type totals struct {
	endpoints map[string]int64
	failing   map[failure]int64
	findings  map[sumKey]*sum
	targets   map[inventory.Tier]int64
	weeks     [maxWeeks + 1]int64

	tiers  []inventory.Tier // by slot: the worst that the certificate is in
	served []*certificate   // leaves
	above  []*certificate   // CA certificates
	needed []int64          // by slot: targets that need it
}

// total counts the whole fleet.
func (p *page) total(location string) *totals {
	s := &totals{
		endpoints: make(map[string]int64), failing: make(map[failure]int64), findings: make(map[sumKey]*sum),
		targets: make(map[inventory.Tier]int64),
		tiers:   make([]inventory.Tier, p.slots), needed: make([]int64, p.slots),
	}
	for _, r := range inventory.ReachStatuses() {
		s.failing[failure{value(location), r}] = 0
	}
	for _, i := range inventory.Codes() {
		if i.Code.OwnSide() { // certscan_own_finding has them
			continue
		}
		s.findings[sumKey{i.Code, i.Severity}] = &sum{}
	}
	for _, k := range p.kinds {
		s.findings[sumKey{k.code, k.severity}] = &sum{}
	}
	leaves, cas := newMarks(p.slots), newMarks(p.slots)
	last := make([]*target, p.slots) // that needed the CA certificate
	for _, t := range p.targets {
		s.targets[t.tier]++
		s.expires(t, p.now)
		s.count(t, p.now.Unix(), p.settings.StaleAfter)
		for i := range t.views {
			v := &t.views[i]
			if v.offer == inventory.OfferNoSNI {
				continue
			}
			for _, c := range v.leaves {
				if leaves.add(c) {
					s.served = append(s.served, c)
					s.tiers[c.slot] = v.tier
				} else {
					s.tiers[c.slot] = worse(s.tiers[c.slot], v.tier)
				}
			}
			for _, c := range v.issuers {
				if cas.add(c) {
					s.above = append(s.above, c)
				}
				if last[c.slot] != t {
					last[c.slot] = t
					s.needed[c.slot]++
				}
			}
		}
	}
	return s
}

// worse is the smaller of two tiers.
func worse(a, b inventory.Tier) inventory.Tier {
	x, inA := a.Size()
	y, inB := b.Size()
	if inB && (!inA || y < x) {
		return b
	}
	return a
}

// count counts the endpoints and the findings of t.
func (s *totals) count(t *target, now int64, staleAfter time.Duration) {
	lost := len(t.views) > 0 && t.views[0].address == "" && t.views[0].reach.IsDNS()
	tried := lost && !t.views[0].old(now, staleAfter) // the addresses would have been examined
	for i := 0; i < len(t.views); {
		v, good, unproven := &t.views[i], true, false
		for first := true; i < len(t.views) && (first || !t.views[i].primary); i++ {
			if t.views[i].offer != inventory.OfferNoSNI {
				good = good && (t.views[i].good || t.views[i].unproven)
				unproven = unproven || t.views[i].unproven
			}
			first = false
		}
		state := stateFlawed
		switch {
		case v.old(now, staleAfter) && !tried:
			state = stateStale
		case v.upUnknown:
			state = stateUnknown
		case v.reach != inventory.ReachOK:
			state = stateFailing
		case good && unproven:
			state = stateUnknown
		case good:
			state = stateVerified
		}
		if v.address != "" || i == len(t.views) { // else the addresses that are known stand for the name
			s.endpoints[state]++
		}
		if v.reach != inventory.ReachOK && (!lost || v.address == "") {
			s.failing[failure{v.location, v.reach}]++
		}
	}
	for _, f := range t.findings {
		if f.closed != 0 || slices.ContainsFunc(t.waived, func(w waived) bool { return w.labels == f.rule }) {
			continue
		}
		if c := s.findings[sumKey{f.code, f.severity}]; c.last != t {
			c.last = t
			c.n++
		}
	}
}

// fleet writes the totals.
func (p *page) fleet(s *totals, e *Exporter) {
	p.begin(family{"certscan_endpoints", gauge, "Endpoints by what is known of them now. The states exclude each other."})
	for _, state := range states() {
		p.sample(labels("state", state), s.endpoints[state])
	}
	p.begin(family{"certscan_failing_endpoints", gauge, "Endpoints that could not be examined, by the current reason."})
	locations := make(map[string]bool)
	for f := range s.failing {
		locations[f.location] = true
	}
	for _, l := range slices.Sorted(maps.Keys(locations)) {
		for _, r := range inventory.ReachStatuses() {
			if r != inventory.ReachOK {
				p.sample(`location="`+l+`",reason="`+string(r)+`"`, s.failing[failure{l, r}])
			}
		}
	}
	p.begin(family{"certscan_findings", gauge, "Targets with an open finding that is not waived."})
	keys := slices.SortedFunc(maps.Keys(s.findings), func(a, b sumKey) int {
		return cmp.Or(cmp.Compare(a.code, b.code), cmp.Compare(a.severity, b.severity))
	})
	for _, k := range keys {
		p.sample(labels("code", string(k.code), "severity", string(k.severity)), s.findings[k].n)
	}
	tiers := p.tiers(s)
	p.begin(family{"certscan_targets", gauge, "Targets by the smallest expiry tier entered; empty outside all tiers."})
	for _, t := range tiers {
		p.sample(labels("tier", string(t)), s.targets[t])
	}
	p.byWeek(s)
	p.byIssuer(s, tiers, e)
	p.byKey(s)
	p.authorities(s)
}

// tiers are those that are configured, and those that occur, the largest first.
func (p *page) tiers(s *totals) []inventory.Tier {
	set := map[inventory.Tier]bool{"": true, inventory.TierExpired: true}
	for _, t := range p.settings.Tiers {
		set[t] = true
	}
	for t := range s.targets {
		set[t] = true
	}
	for _, c := range s.served {
		set[s.tiers[c.slot]] = true
	}
	list := slices.Sorted(maps.Keys(set))
	slices.SortStableFunc(list, func(a, b inventory.Tier) int {
		x, inA := a.Size()
		y, inB := b.Size()
		return cmp.Or(int(truth(inA)-truth(inB)), cmp.Compare(y, x))
	})
	return list
}

// byIssuer writes how many certificates there are of each issuer: of the larger
// ones, and of all others together. An issuer that is not among them any more
// shows 0 for an hour.
func (p *page) byIssuer(s *totals, tiers []inventory.Tier, e *Exporter) {
	counts := make(map[string]map[inventory.Tier]int64)
	all := make(map[string]int64)
	for _, c := range s.served {
		if counts[c.issuer] == nil {
			counts[c.issuer] = make(map[inventory.Tier]int64)
		}
		counts[c.issuer][s.tiers[c.slot]]++
		all[c.issuer]++
	}
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int { return cmp.Or(cmp.Compare(all[b], all[a]), cmp.Compare(a, b)) })
	if len(names) > maxIssuers {
		rest := make(map[inventory.Tier]int64)
		for _, n := range names[maxIssuers:] {
			for t, k := range counts[n] {
				rest[t] += k
			}
		}
		names = names[:maxIssuers]
		if named := counts[otherIssuers]; slices.Contains(names, otherIssuers) {
			for t, k := range named {
				rest[t] += k
			}
		} else {
			names = append(names, otherIssuers)
		}
		counts[otherIssuers] = rest
	}
	for _, n := range e.linger(names, p.now) {
		if !slices.Contains(names, n) {
			delete(counts, n)
			names = append(names, n)
		}
	}
	slices.Sort(names)
	p.begin(family{"certscan_certificates", gauge, "Leaf certificates that are served, by issuer and by the smallest expiry tier entered; empty outside all tiers."})
	for _, n := range names {
		for _, t := range tiers {
			p.sample(`issuer="`+n+`",tier="`+string(t)+`"`, counts[n][t])
		}
	}
}

// linger remembers that issuers are shown now, and returns those that were
// within the hour.
func (e *Exporter) linger(names []string, now time.Time) []string {
	e.showing.Lock()
	defer e.showing.Unlock()
	for _, n := range names {
		e.issuers[n] = now
	}
	maps.DeleteFunc(e.issuers, func(_ string, at time.Time) bool { return now.Sub(at) >= linger })
	return slices.Collect(maps.Keys(e.issuers))
}

// authorities writes the CA certificates above what is served, of too many
// those that expire first.
func (p *page) authorities(s *totals) {
	list := s.above
	if len(list) > maxAuthorities {
		slices.SortFunc(list, func(a, b *certificate) int { return cmp.Or(cmp.Compare(a.notAfter, b.notAfter), byPrint(a, b)) })
		p.dropped += 3 * int64(len(list)-maxAuthorities)
		list = list[:maxAuthorities]
	}
	slices.SortFunc(list, byPrint)
	p.begin(family{"certscan_issuer_expiry_timestamp_seconds", gauge, "When a CA certificate on the best path of a current view expires, the anchor included."})
	for _, c := range list {
		p.sample(labels("fingerprint", c.print.String())+`,subject_cn="`+c.cn+`"`, c.notAfter)
	}
	p.begin(family{"certscan_issuer_lifetime_seconds", gauge, "The whole lifetime of a CA certificate."})
	for _, c := range list {
		p.sample(labels("fingerprint", c.print.String()), c.lifetime)
	}
	p.begin(family{"certscan_issuer_targets", gauge, "Targets with a current view whose best path needs the CA certificate."})
	for _, c := range list {
		p.sample(labels("fingerprint", c.print.String()), s.needed[c.slot])
	}
}

// state writes what is known of the scanner and its sources.
func (p *page) state(e *Exporter) {
	p.begin(family{"certscan_config_last_reload_successful", gauge, "Whether the last reading of the configuration succeeded; the one before stays in force."})
	p.sample("", truth(p.reloaded))
	p.begin(family{"certscan_config_last_reload_success_timestamp_seconds", gauge, "When the configuration was last read with success."})
	p.sample("", p.reloadAt.Unix())
	p.begin(family{"certscan_own_finding", gauge, "A finding about the scanner's own side: 1 while open, 0 for an hour after it closed."})
	for _, f := range p.faults {
		if f.closed.IsZero() || p.now.Sub(f.closed) < linger {
			p.sample(f.labels, truth(f.closed.IsZero()))
		}
	}
	if e.opt.Lag != nil {
		lags := e.opt.Lag()
		p.begin(family{"certscan_scan_lag_seconds", gauge, "The age of the oldest examination that is due and not begun, as of this scrape; 0 if there is none."})
		for _, l := range slices.Sorted(maps.Keys(lags)) {
			p.seconds(labels("location", l), lags[l].Seconds())
		}
	}
	if e.opt.StoreSize != nil {
		if size, ok := e.opt.StoreSize(); ok {
			p.begin(family{"certscan_store_size_bytes", gauge, "The size of the history, with its log, as of this scrape."})
			p.sample("", size)
		}
	}
	p.begin(family{"certscan_source_up", gauge, "Whether the last reading of the source of targets succeeded."})
	for _, s := range p.sources {
		p.sample(labels("source", s.Name), truth(s.Up))
	}
	p.begin(family{"certscan_source_targets", gauge, "How many targets the source named when it was last read with success."})
	for _, s := range p.sources {
		if !s.LastSuccess.IsZero() {
			p.sample(labels("source", s.Name), int64(s.Targets))
		}
	}
	p.begin(family{"certscan_source_last_success_timestamp_seconds", gauge, "When the source was last read with success."})
	for _, s := range p.sources {
		if !s.LastSuccess.IsZero() {
			p.sample(labels("source", s.Name), s.LastSuccess.Unix())
		}
	}
}
