package config

import (
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"example.com/certscan/internal/inventory"
)

// nameForm is what sources and locations are called: they become labels of
// metrics, and parts of keys.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

func (n node) name() string {
	s := n.text()
	if s != "" && !nameForm.MatchString(s) {
		n.fail("%q is not a name: want letters, digits, _, . and -, at most 63", s)
	}
	return s
}

func (d *decoder) sources(n node) []Source {
	names := make(map[string]bool)
	return items(n, func(n node) Source {
		s := d.source(n)
		if s.Name != "" && names[s.Name] {
			n.key("name").fail("there is another source %q: targets remember who named them by it", s.Name)
		}
		names[s.Name] = true
		return s
	})
}

func (d *decoder) source(n node) Source {
	s := defaultSource()
	given := make(map[string]node) // keys that are for files alone
	keep := func(key string, read func(node)) func(node) {
		return func(n node) { given[key] = n; read(n) }
	}
	var targets, files *node
	n.mapping(fields{
		"name":        func(n node) { s.Name = n.name() },
		"targets":     func(n node) { targets = &n },
		"files":       func(n node) { files = &n; s.Files = items(n, node.pattern) },
		"labels":      func(n node) { s.Labels = n.labels() },
		"protocol":    func(n node) { s.Protocol = word(n, inventory.Protocols()...) },
		"refresh":     keep("refresh", func(n node) { s.Refresh = n.period(time.Second, 7*day) }),
		"min_targets": keep("min_targets", func(n node) { s.Min = n.integer(0, 10_000_000) }),
		"max_shrink":  keep("max_shrink", func(n node) { s.Shrink = n.percentage() }),
	}, "name")
	switch {
	case targets == nil && files == nil:
		n.fail("names no targets: want targets or files")
	case targets != nil && files != nil:
		n.fail("has targets and files: make two sources of it, so that each can be seen to work")
	case targets != nil:
		s.Targets = items(*targets, func(n node) inventory.Target { return d.target(n, s.Protocol) })
		s.Protocol = inventory.TLS // each target says its own from here on
		for _, key := range []string{"refresh", "min_targets", "max_shrink"} {
			if n, ok := given[key]; ok {
				n.fail("is for files: targets that stand here change with the configuration")
			}
		}
	}
	return s
}

// target reads "shop.example.com", or a mapping with labels.
func (d *decoder) target(n node, without inventory.Protocol) (t inventory.Target) {
	parse := func(n node) {
		switch s := n.text(); {
		case s == "":
		case d.parsers.Target == nil:
			n.fail("targets cannot be read here")
		default:
			var err error
			if t, err = d.parsers.Target(s, without); err != nil {
				n.fail("%w", err)
			}
		}
	}
	switch n.y.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		if hostPort := unquoted(n.y); hostPort != "" {
			n.fail("is read as a key and a value: write %q, in quotes", hostPort)
			return t
		}
		var labels map[string]string
		n.mapping(fields{"target": parse, "labels": func(n node) { labels = n.labels() }}, "target")
		t.Labels = labels
	default:
		parse(n)
	}
	return t
}

// unquoted is the HOST:PORT that somebody wrote inside brackets, where the YAML
// reader takes it for a key and its value.
func unquoted(y ast.Node) string {
	pair, ok := y.(*ast.MappingValueNode)
	if m, is := y.(*ast.MappingNode); is && len(m.Values) == 1 {
		pair, ok = m.Values[0], true
	}
	if !ok {
		return ""
	}
	port, ok := pair.Value.(*ast.IntegerNode)
	if !ok || pair.Key.String() == "target" {
		return ""
	}
	return pair.Key.String() + ":" + port.String()
}

// labels reads labels of targets, and calls them as lists do: owner, environment
// and platform in any case, team is owner, and env environment, unless both
// stand there.
func (n node) labels() map[string]string {
	written := make(map[string]string)
	values := make(map[string]node)
	n.entries("a mapping of labels to values", func(name string, n node) {
		written[strings.ToLower(name)] = name
		values[name] = n
	})
	labels := make(map[string]string)
	for _, as := range slices.Sorted(maps.Keys(values)) {
		n, name, lower := values[as], inventory.LabelName(as), strings.ToLower(as)
		if name != as && name != lower && written[name] != "" {
			name = lower
		}
		if _, twice := labels[name]; twice {
			n.fail("there is another label that is called %s, which is the same", name)
		}
		labels[name] = n.text()
	}
	return labels
}

// pattern reads a path in which * may stand.
func (n node) pattern() string {
	p := n.filePath()
	if _, err := filepath.Match(p, ""); err != nil {
		n.fail("%q is not a pattern: a [ without its ]", p)
	}
	return p
}

func (d *decoder) scan(n node, s *Scan) {
	var confirm, timeout *node
	n.mapping(fields{
		"location":    func(n node) { s.Location = n.name() },
		"interval":    func(n node) { s.Interval = n.period(time.Second, 30*day) },
		"timeout":     func(n node) { timeout = &n; s.Timeout = n.period(100*time.Millisecond, 10*time.Minute) },
		"retries":     func(n node) { s.Retries = n.integer(0, 10) },
		"concurrency": func(n node) { s.Concurrency = n.integer(1, 100_000) },
		"per_address": func(n node) { s.PerAddress = n.integer(1, 1000) },
		"confirm":     func(n node) { confirm = &n; s.Confirm = n.period(10*time.Millisecond, day) },
		"stale_after": func(n node) { s.StaleAfter = n.number(1, 1000) },
		"offers":      func(n node) { s.Offers = n.offers() },
		"accepts":     func(n node) { s.Accepts = n.truth() },
		"extras":      func(n node) { s.Extras = n.period(time.Second, 365*day) },
		"addresses":   func(n node) { s.FirstOnly = word(n, "all", "first") == "first" },
		"resolvers":   func(n node) { s.Resolvers = items(n, func(n node) string { return n.checked(d.parsers.DNS) }) },
		"resolve":     func(n node) { s.Resolve = n.addresses() },
	})
	if s.Interval <= 0 { // which was told
		return
	}
	// What nobody chose follows a short interval.
	if timeout == nil {
		s.Timeout = min(s.Timeout, s.Interval)
	}
	if confirm == nil {
		s.Confirm = min(s.Confirm, s.Interval)
	}
	if s.Timeout > s.Interval {
		timeout.fail("%s is longer than the interval of %s: examinations would never keep up", formatDuration(s.Timeout), formatDuration(s.Interval))
	}
	if s.Confirm > s.Interval {
		confirm.fail("%s is longer than the interval of %s, after which the endpoint is examined again anyway", formatDuration(s.Confirm), formatDuration(s.Interval))
	}
}

// offers reads "default", "all" or a list. The default offer is always made, as
// the others are compared with it.
func (n node) offers() []inventory.Offer {
	if s, ok := n.scalar(); ok && s == "all" {
		return allOffers()
	}
	offers := []inventory.Offer{inventory.OfferDefault}
	for _, o := range oneOrMore(n, func(n node) inventory.Offer { return word(n, append(allOffers(), "all")...) }) {
		switch {
		case o == "all":
			n.fail("all stands alone")
		case o != "" && !slices.Contains(offers, o):
			offers = append(offers, o)
		}
	}
	return offers
}

// addresses reads addresses by name.
func (n node) addresses() map[string][]netip.Addr {
	m := make(map[string][]netip.Addr)
	n.entries("a mapping of names to addresses", func(name string, n node) {
		key := strings.ToLower(strings.TrimSuffix(name, "."))
		m[key] = oneOrMore(n, func(n node) netip.Addr {
			return parsed(n, func(s string) (netip.Addr, error) {
				a, err := netip.ParseAddr(strings.Trim(s, "[]"))
				if err != nil {
					return a, fmt.Errorf("%q is not an IP address", s)
				}
				return a.Unmap(), nil
			})
		})
	})
	return m
}

func (d *decoder) tiers(n node, t *Tiers) {
	var reference *node
	n.mapping(fields{
		"list": func(n node) {
			t.List = items(n, func(n node) time.Duration { return n.period(time.Minute, 3650*day) })
			slices.Sort(t.List)
			slices.Reverse(t.List)
			if slices.Contains(t.List, 0) { // which was told
				return
			}
			if err := inventory.CheckTiers(t.List); err != nil {
				n.fail("%w", err)
			}
		},
		"reference": func(n node) { reference = &n; t.Reference = n.period(time.Hour, 3650*day) },
		"absolute":  func(n node) { t.Absolute = n.truth() },
	})
	if reference != nil && t.Absolute {
		reference.fail("means nothing with absolute: true")
	}
}

func (d *decoder) trust(n node, t *Trust) {
	var file *node
	var chosen []node // of roots_for, their stores
	n.mapping(fields{
		"stores":      func(n node) { t.Stores = items(n, node.trustStore) },
		"roots_for":   func(n node) { t.RootsFor = items(n, func(n node) RootsFor { return d.rootsFor(n, &chosen) }) },
		"distrust":    func(n node) { t.Distrust = items(n, func(n node) string { return n.input("trust.distrust") }) },
		"onecrl":      func(n node) { t.OneCRL = n.input("trust.onecrl") },
		"ct_log_list": func(n node) { t.CTLogList = n.input("trust.ct_log_list") },
		"weak_keys":   func(n node) { t.WeakKeys = n.input("trust.weak_keys") },
		"revocation": func(n node) {
			t.Revocation = word(n, inventory.RevocationSoft, inventory.RevocationHard, inventory.RevocationOff)
		},
		"profile":     func(n node) { t.Profile = word(n, "auto", "public", "private") },
		"allow_fetch": func(n node) { t.AllowFetch = items(n, func(n node) string { return n.checked(d.parsers.Fetch) }) },
		"proxy": func(n node) {
			t.Proxy = n.checked(func(s string) error {
				_, err := checkURL(s)
				if err != nil {
					err = fmt.Errorf("%w; a URL with a password stands in a file of its own, named by proxy_file", err)
				}
				return err
			})
		},
		"proxy_file": func(n node) { file = &n; t.ProxyFile = n.input("trust.proxy_file") },
	})
	if file != nil && t.Proxy != "" {
		file.fail("proxy and proxy_file exclude each other")
	}
	for _, n := range chosen {
		if store, _ := n.scalar(); len(t.Stores) > 0 && (store == t.Stores[0] || d.path(store) == t.Stores[0]) {
			n.fail("%s decides for all targets already: name another store first in stores", store)
		}
	}
}

// trustStore reads the name of a trust store or a path.
func (n node) trustStore() string {
	s, _ := n.scalar()
	if s != StoreSystem && s != StoreMozilla {
		s = n.filePath()
	}
	n.usable("trust.stores", s)
	return s
}

func (d *decoder) rootsFor(n node, chosen *[]node) (r RootsFor) {
	n.mapping(fields{
		"targets": func(n node) {
			if r.Targets = targetSelector(n); r.Targets.IsZero() {
				n.fail("has to choose some targets: stores is for all")
			}
		},
		"store": func(n node) { *chosen, r.Store = append(*chosen, n), n.trustStore() },
	}, "targets", "store")
	return r
}

func (d *decoder) metrics(n node, m *Metrics) {
	n.mapping(fields{
		"detail": func(n node) { m.Detail = word(n, DetailAll, DetailAttention, DetailNone) },
		"labels": func(n node) {
			if seq, ok := n.y.(*ast.SequenceNode); ok && len(seq.Values) == 0 {
				m.Labels = []string{} // none is what is wanted; nil is what nobody has decided
				return
			}
			shown := make(map[string]string)
			m.Labels = items(n, func(n node) string {
				s := n.text()
				as := inventory.MetricLabel(s)
				switch before, twice := shown[as]; {
				case twice && before == s:
					n.fail("%q stands there twice", s)
				case twice && s != "":
					n.fail("%q and %q would both be label_%s: rename one", before, s, as)
				}
				shown[as] = s
				return s
			})
		},
		"series_cap": func(n node) { m.SeriesCap = n.integer(1, 1_000_000_000) },
	})
}

func (d *decoder) web(n node, w *Web) {
	n.mapping(fields{
		"listen":       func(n node) { w.Listen = oneOrMore(n, func(n node) string { return n.checked(checkListen) }) },
		"config_file":  func(n node) { w.ConfigFile = n.input("web.config_file") },
		"external_url": func(n node) { w.ExternalURL = n.externalURL() },
		"profiling":    func(n node) { w.Profiling = n.truth() },
		"probe": func(n node) {
			n.mapping(fields{
				"allow":     func(n node) { w.Probe.Allow = items(n, func(n node) string { return n.checked(checkAllow) }) },
				"rate":      func(n node) { w.Probe.Rate = n.number(0.001, 100_000) },
				"in_flight": func(n node) { w.Probe.InFlight = n.integer(1, 10_000) },
			})
		},
	})
}

func (n node) externalURL() string {
	return parsed(n, func(s string) (string, error) {
		u, err := checkURL(s)
		if err != nil {
			return "", err
		}
		return strings.TrimSuffix(u.String(), "/") + "/", nil
	})
}

func (d *decoder) store(n node, s *Store) {
	n.mapping(fields{
		"path":      func(n node) { s.Path = n.filePath() },
		"retention": func(n node) { s.Retention = n.period(day, 36500*day) },
	})
}
