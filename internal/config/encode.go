package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/goccy/go-yaml"

	"example.com/certscan/internal/inventory"
)

// YAML writes c as a file that reads as c again, with every value that holds,
// whether somebody chose it or not. What is nothing is left out.
func (c *Config) YAML() ([]byte, error) {
	var all object
	all.list("sources", each(c.Sources, encodeSource))
	all.add("scan", encodeScan(c.Scan))
	all.add("tiers", object{
		{Key: "list", Value: each(c.Tiers.List, text[time.Duration](formatDuration))},
		{Key: "reference", Value: formatDuration(c.Tiers.Reference)},
		{Key: "absolute", Value: c.Tiers.Absolute},
	}.without("reference", c.Tiers.Absolute))
	all.add("trust", encodeTrust(c.Trust))
	var policy object
	policy.list("rules", each(c.Policy.Rules, encodeRule))
	policy.list("severities", each(c.Policy.Severities, encodeSeverity))
	if len(policy) > 0 {
		all.add("policy", policy)
	}
	all.list("waivers", each(c.Waivers, encodeWaiver))
	all.add("metrics", object{
		{Key: "detail", Value: string(c.Metrics.Detail)},
		{Key: "labels", Value: each(c.Metrics.Labels, same)},
		{Key: "series_cap", Value: c.Metrics.SeriesCap},
	})
	all.add("web", encodeWeb(c.Web))
	var store object
	store.text("path", c.Store.Path)
	store.add("retention", formatDuration(c.Store.Retention))
	all.add("store", store)
	return all.marshal()
}

// SourcesYAML writes the sources of c alone.
func (c *Config) SourcesYAML() ([]byte, error) {
	var all object
	all.list("sources", each(c.Sources, encodeSource))
	return all.marshal()
}

func (o object) marshal() ([]byte, error) {
	out, err := yaml.MarshalWithOptions(yaml.MapSlice(o), yaml.Indent(2), yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	return out, nil
}

// An object is a mapping in the order in which it is to be written.
type object yaml.MapSlice

func (o *object) add(key string, v any) {
	if m, ok := v.(object); ok {
		v = yaml.MapSlice(m)
	}
	*o = append(*o, yaml.MapItem{Key: key, Value: v})
}

// list adds what is not empty.
func (o *object) list(key string, values []any) {
	if len(values) > 0 {
		o.add(key, values)
	}
}

func (o *object) text(key, s string) {
	if s != "" {
		o.add(key, s)
	}
}

// mark adds a word if it is meant.
func (o *object) mark(key, word string, meant bool) {
	if meant {
		o.add(key, word)
	}
}

func (o *object) period(key string, d time.Duration) {
	if d != 0 {
		o.add(key, formatDuration(d))
	}
}

// without leaves out a key if that is wanted.
func (o object) without(key string, leave bool) object {
	if !leave {
		return o
	}
	return slices.DeleteFunc(o, func(i yaml.MapItem) bool { return i.Key == key })
}

// each encodes every one of list.
func each[T any](list []T, encode func(T) any) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = encode(v)
		if m, ok := out[i].(object); ok {
			out[i] = yaml.MapSlice(m)
		}
	}
	return out
}

// text lets a function that returns a string encode.
func text[T any](f func(T) string) func(T) any { return func(v T) any { return f(v) } }

func same[T ~string](s T) any { return string(s) }

func mapping[T any](m map[string]T, encode func(T) any) object {
	var o object
	for _, k := range slices.Sorted(maps.Keys(m)) {
		o.add(k, encode(m[k]))
	}
	return o
}

func encodeSource(s Source) any {
	o := object{{Key: "name", Value: s.Name}}
	o.list("targets", each(s.Targets, func(t inventory.Target) any {
		if len(t.Labels) == 0 {
			return t.Key()
		}
		o := object{{Key: "target", Value: t.Key()}}
		o.add("labels", mapping(t.Labels, same))
		return o
	}))
	o.list("files", each(s.Files, same))
	if len(s.Labels) > 0 {
		o.add("labels", mapping(s.Labels, same))
	}
	if s.Kind() == "file" {
		o.add("protocol", string(s.Protocol))
		o.add("refresh", formatDuration(s.Refresh))
		o.add("min_targets", s.Min)
		o.add("max_shrink", strconv.FormatFloat(s.Shrink*100, 'g', 12, 64)+"%")
	}
	return o
}

func encodeScan(s Scan) object {
	addresses := "all"
	if s.FirstOnly {
		addresses = "first"
	}
	o := object{
		{Key: "location", Value: s.Location},
		{Key: "interval", Value: formatDuration(s.Interval)},
		{Key: "timeout", Value: formatDuration(s.Timeout)},
		{Key: "retries", Value: s.Retries},
		{Key: "concurrency", Value: s.Concurrency},
		{Key: "per_address", Value: s.PerAddress},
		{Key: "confirm", Value: formatDuration(s.Confirm)},
		{Key: "stale_after", Value: s.StaleAfter},
		{Key: "offers", Value: each(s.Offers, same)},
		{Key: "accepts", Value: s.Accepts},
		{Key: "extras", Value: formatDuration(s.Extras)},
		{Key: "addresses", Value: addresses},
	}
	o.list("resolvers", each(s.Resolvers, same))
	if len(s.Resolve) > 0 {
		var m object
		for _, name := range slices.Sorted(maps.Keys(s.Resolve)) {
			var list []string
			for _, a := range s.Resolve[name] {
				list = append(list, a.String())
			}
			m.add(name, list)
		}
		o.add("resolve", m)
	}
	return o
}

func encodeTrust(t Trust) object {
	var o object
	o.list("stores", each(t.Stores, same))
	o.list("roots_for", each(t.RootsFor, func(r RootsFor) any {
		return object{{Key: "targets", Value: r.Targets.String()}, {Key: "store", Value: r.Store}}
	}))
	o.list("distrust", each(t.Distrust, same))
	o.text("onecrl", t.OneCRL)
	o.text("ct_log_list", t.CTLogList)
	o.text("weak_keys", t.WeakKeys)
	o.text("revocation", string(t.Revocation))
	o.text("profile", t.Profile)
	o.list("allow_fetch", each(t.AllowFetch, same))
	o.text("proxy", t.Proxy)
	o.text("proxy_file", t.ProxyFile)
	return o
}

func encodeWeb(w Web) object {
	var o object
	o.list("listen", each(w.Listen, same))
	o.text("config_file", w.ConfigFile)
	o.text("external_url", w.ExternalURL)
	o.add("profiling", w.Profiling)
	var p object
	p.list("allow", each(w.Probe.Allow, same))
	p.add("rate", w.Probe.Rate)
	p.add("in_flight", w.Probe.InFlight)
	o.add("probe", p)
	return o
}

func encodeRule(r inventory.PolicyRule) any {
	o := object{{Key: "name", Value: r.Name}, {Key: "severity", Value: string(r.Severity)}}
	o.text("targets", unlessAll(r.Targets))
	o.text("message", r.Message)
	o.add("require", encodeRequirements(r.Require))
	return o
}

// unlessAll is "" for what selects everything.
func unlessAll(s inventory.Selector) string {
	if s.IsZero() {
		return ""
	}
	return s.String()
}

func encodeRequirements(r inventory.Requirements) object {
	var o object
	o.list("issuers", each(r.Issuers, encodeIssuer))
	o.list("forbidden_issuers", each(r.ForbiddenIssuers, encodeIssuer))
	o.list("keys", each(r.Keys, text(inventory.KeyPattern.String)))
	o.text("min_tls", r.MinTLS)
	o.text("min_tls_accepted", r.MinTLSAccepted)
	o.list("forbidden_ciphers", each(r.ForbiddenCiphers, same))
	o.list("forbidden_accepted", each(r.ForbiddenAccepted, same))
	o.period("max_validity", r.MaxValidity)
	o.period("min_left", r.MinLeft)
	names := slices.Sorted(maps.Keys(r.Labels))
	switch {
	case len(names) == 0:
	case slices.ContainsFunc(names, func(n string) bool { return r.Labels[n] != "" }):
		o.add("labels", mapping(r.Labels, same))
	default:
		o.list("labels", each(names, same))
	}
	o.list("names", each(r.Names, same))
	o.mark("wildcards", "forbidden", r.ForbidWildcards)
	o.mark("post_quantum", "required", r.PostQuantum)
	o.mark("revocation", "good", r.RevocationGood)
	o.mark("ct", "compliant", r.CTCompliant)
	o.list("ports", each(r.Ports, func(p uint16) any { return p }))
	return o
}

func encodeIssuer(p inventory.IssuerPattern) any {
	var o object
	o.text("cn", p.CN)
	o.text("organization", p.Organization)
	o.text("spki", p.SPKI.String())
	o.text("sha256", p.SHA256.String())
	return o
}

func encodeSeverity(s inventory.SeverityRule) any {
	o := object{{Key: "code", Value: string(s.Code)}}
	o.text("rule", s.Rule)
	o.text("targets", unlessAll(s.Targets))
	o.text("severity", string(s.Severity))
	o.text("at_most", string(s.AtMost))
	return o
}

func encodeWaiver(w inventory.Waiver) any {
	o := object{{Key: "targets", Value: w.Targets.String()}}
	o.list("code", each(w.Codes, same))
	o.text("rule", w.Rule)
	o.add("owner", w.Owner)
	o.add("reason", w.Reason)
	o.add("until", w.LastDay())
	return o
}
