package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// maxLabel bounds a label value in runes.
const maxLabel = 200

// promHandler writes the metrics that one scan can fill, for the textfile
// collector of node_exporter. All series of a metric have to stand together, so
// it keeps a compact form of everything until the end.
//
// What is unknown has no series: an endpoint that is down keeps the expiry it
// was last known to have, or none, and never 0.
type promHandler struct {
	w            *bufio.Writer
	targets      map[string]promTarget
	certificates map[inventory.Fingerprint]string // labels
}

type promTarget struct {
	info     string // labels beside target
	expiry   int64  // Unix seconds, or unknown
	lifetime int64  // seconds, of the certificate that expiry is of
	tier     inventory.Tier
	verified *bool
	distinct int
	views    []promView
	findings []string // labels beside target, sorted
	waived   []promWaived
}

type promView struct {
	address, location string
	offer             inventory.Offer
	leaf              inventory.Fingerprint
	reach             inventory.ReachStatus
	probed, succeeded int64 // Unix seconds, 0 if never
	first             bool  // of its endpoint, and so the one that speaks for it
}

func newPrometheus(w io.Writer) *promHandler {
	return &promHandler{
		w:            bufio.NewWriterSize(w, 64<<10),
		targets:      map[string]promTarget{},
		certificates: map[inventory.Fingerprint]string{},
	}
}

func (h *promHandler) Result(r inventory.Result) error {
	t := promTarget{expiry: unknown, tier: r.Judgement.Tier, verified: r.Judgement.Verified, info: targetLabels(r.Target)}
	if e := r.Judgement.Expiry; e != nil {
		t.expiry, t.lifetime = e.At.Unix(), int64(r.Judgement.Lifetime/time.Second)
	}
	leaves := map[inventory.Fingerprint]bool{}
	var lists [][]inventory.Finding
	add := func(fs []inventory.Finding) {
		lists = append(lists, fs)
		for _, f := range fs {
			if f.Ignored == "" { // a waived one is open nonetheless
				t.findings = append(t.findings, labels("code", string(f.Code), "rule", f.Rule, "severity", string(f.Severity)))
			}
		}
	}
	add(r.Judgement.Findings)
	for i, e := range r.Endpoints {
		v := viewOf(e)
		v.first = speaks(r.Endpoints, i)
		if c := e.Judgement.Certificate; c != nil {
			v.leaf = c.SHA256
			if served(e) && ordinary(v.offer) {
				leaves[c.SHA256] = true
			}
			if _, ok := h.certificates[c.SHA256]; !ok {
				h.certificates[c.SHA256] = certificateLabels(c)
			}
		}
		t.views = append(t.views, v)
		add(e.Judgement.Findings)
	}
	for _, w := range inventory.WaivedKinds(lists...) {
		t.waived = append(t.waived, promWaived{labels("code", string(w.Code), "rule", w.Rule), w.Until.Unix()})
	}
	t.distinct = len(leaves)
	slices.Sort(t.findings)
	t.findings = slices.Compact(t.findings)
	slices.SortStableFunc(t.views, func(a, b promView) int {
		return cmp.Or(cmp.Compare(a.address, b.address), cmp.Compare(a.location, b.location), cmp.Compare(a.offer, b.offer))
	})
	t.views = slices.CompactFunc(t.views, func(a, b promView) bool {
		return a.address == b.address && a.location == b.location && a.offer == b.offer
	})
	h.targets[r.Target.Key()] = t
	return nil
}

// ordinary reports whether an ordinary client could meet what was served: not
// so without a server name.
func ordinary(o inventory.Offer) bool { return o != inventory.OfferNoSNI }

func viewOf(e inventory.Endpoint) promView {
	o := e.Observation
	v := promView{address: o.Address, location: o.Location, offer: o.Offer, reach: o.Reach.Status}
	if !o.Time.IsZero() {
		v.probed = o.Time.Unix()
	}
	switch seen := e.Judgement.LastSeen; {
	case o.Reach.Status == inventory.ReachOK:
		v.succeeded = v.probed
	case !seen.IsZero():
		v.succeeded = seen.Unix()
	}
	return v
}

// targetLabels are the labels of target_info beside target. Labels that people
// chose get a prefix, as bare ones clash with those of scrape jobs. Two that
// become the same are one: the first in order of their own names.
func targetLabels(t inventory.Target) string {
	pairs := []string{"host", t.Host, "port", strconv.Itoa(int(t.Port)), "protocol", string(t.Protocol)}
	names := make([]string, 0, len(t.Labels))
	for n := range t.Labels {
		names = append(names, n)
	}
	slices.Sort(names)
	used := map[string]bool{}
	for _, n := range names {
		if l := "label_" + inventory.MetricLabel(n); !used[l] && t.Labels[n] != "" {
			used[l] = true
			pairs = append(pairs, l, t.Labels[n])
		}
	}
	return labels(pairs...)
}

func certificateLabels(c *inventory.Certificate) string {
	return labels("subject_cn", c.SubjectCN, "issuer_cn", c.IssuerCN, "issuer_organization", c.IssuerOrg,
		"serial", c.Serial, "key", c.Key, "signature", c.Signature)
}

// labels renders pairs of a name and a value: name="value",...
func labels(pairs ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(pairs[i])
		b.WriteString(`="`)
		b.WriteString(labelEscaper.Replace(inventory.CleanCut(pairs[i+1], maxLabel)))
		b.WriteByte('"')
	}
	return b.String()
}

// labelEscaper knows no newline: Clean leaves none.
var labelEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func (h *promHandler) family(name, help string) {
	fmt.Fprintf(h.w, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

func (h *promHandler) sample(name, labels string, value int64) {
	h.w.WriteString(name)
	if labels != "" {
		h.w.WriteByte('{')
		h.w.WriteString(labels)
		h.w.WriteByte('}')
	}
	h.w.WriteByte(' ')
	h.w.WriteString(strconv.FormatInt(value, 10))
	h.w.WriteByte('\n')
}

func (h *promHandler) Close(info inventory.ScanInfo, sum inventory.Summary) error {
	keys := make([]string, 0, len(h.targets))
	for k := range h.targets {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	h.endpoints(keys)
	h.perTarget(keys)
	h.family("certscan_certificate_info", "What a certificate is, by the SHA-256 of its DER; always 1.")
	prints := make([]inventory.Fingerprint, 0, len(h.certificates))
	for f := range h.certificates {
		prints = append(prints, f)
	}
	slices.SortFunc(prints, func(a, b inventory.Fingerprint) int { return slices.Compare(a[:], b[:]) })
	for _, f := range prints {
		h.sample("certscan_certificate_info", labels("fingerprint", f.String())+","+h.certificates[f], 1)
	}
	if !info.Ended.IsZero() {
		h.family("certscan_scan_completed_timestamp_seconds", "When the scan ended.")
		h.sample("certscan_scan_completed_timestamp_seconds", "", info.Ended.Unix())
	}
	h.family("certscan_scan_partial", "Whether the scan was interrupted, so that targets are missing.")
	h.sample("certscan_scan_partial", "", truth(info.Partial || sum.Partial))
	return h.w.Flush()
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// endpoints writes the metrics with the labels target, address and location.
func (h *promHandler) endpoints(keys []string) {
	type series struct {
		promView
		labels string
	}
	var all []series
	for _, k := range keys {
		t := labels("target", k)
		for _, v := range h.targets[k].views {
			all = append(all, series{v, t + "," + labels("address", v.address, "location", v.location)})
		}
	}
	each := func(name, help string, value func(promView) (extra string, v int64, ok bool)) {
		open := false
		for i := range all {
			extra, n, ok := value(all[i].promView)
			if !ok {
				continue
			}
			if !open { // a metric without series would be an empty promise
				h.family(name, help)
				open = true
			}
			h.sample(name, all[i].labels+extra, n)
		}
	}
	each("certscan_endpoint_up", "Whether the endpoint answered with TLS. Absent if the scanner itself was at fault.",
		func(v promView) (string, int64, bool) {
			return "", truth(v.reach == inventory.ReachOK), v.first && !v.reach.IsOwnFault()
		})
	each("certscan_endpoint_failure", "Why the endpoint could not be examined; 1 for the current reason only.",
		func(v promView) (string, int64, bool) {
			if !v.first || v.reach == inventory.ReachOK {
				return "", 0, false
			}
			return "," + labels("reason", string(v.reach)), 1, true
		})
	each("certscan_endpoint_last_probe_timestamp_seconds", "When the endpoint was last probed.",
		func(v promView) (string, int64, bool) { return "", v.probed, v.first && v.probed != 0 })
	each("certscan_endpoint_last_success_timestamp_seconds", "When the endpoint last answered with TLS.",
		func(v promView) (string, int64, bool) { return "", v.succeeded, v.first && v.succeeded != 0 })
	each("certscan_endpoint_certificate_info", "Which certificate the endpoint serves, or served when it was last seen; always 1.",
		func(v promView) (string, int64, bool) {
			return "," + labels("offer", string(v.offer), "fingerprint", v.leaf.String()), 1, !v.leaf.IsZero()
		})
}

// perTarget writes the metrics with the label target.
func (h *promHandler) perTarget(keys []string) {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = labels("target", k)
	}
	each := func(name, help string, value func(promTarget) (int64, bool)) {
		open := false
		for i, k := range keys {
			v, ok := value(h.targets[k])
			if !ok {
				continue
			}
			if !open {
				h.family(name, help)
				open = true
			}
			h.sample(name, names[i], v)
		}
	}
	each("certscan_target_expiry_timestamp_seconds", "The earliest effective expiry over the target's current views, last known ones included.",
		func(t promTarget) (int64, bool) { return t.expiry, t.expiry != unknown })
	each("certscan_target_lifetime_seconds", "The whole lifetime of the certificate that expires first.",
		func(t promTarget) (int64, bool) { return t.lifetime, t.expiry != unknown })
	each("certscan_target_expiry_tier_seconds", "The nominal size of the smallest expiry tier entered, 0 when expired. Absent outside all tiers.",
		func(t promTarget) (int64, bool) {
			size, ok := t.tier.Size()
			return int64(size / time.Second), ok
		})
	each("certscan_target_verified", "Whether every current view is in time, for the name, trusted and not revoked. Absent if that is not known.",
		func(t promTarget) (int64, bool) { return truth(t.verified != nil && *t.verified), t.verified != nil })
	each("certscan_target_distinct_certificates", "How many different leaf certificates the target served with its own name.",
		func(t promTarget) (int64, bool) { return int64(t.distinct), t.distinct > 0 })

	if len(keys) > 0 {
		h.family("certscan_target_info", "What the target is, and the labels of its list; always 1.")
	}
	for i, k := range keys {
		h.sample("certscan_target_info", names[i]+","+h.targets[k].info, 1)
	}
	open := false
	for i, k := range keys {
		for _, f := range h.targets[k].findings {
			if !open {
				h.family("certscan_target_finding", "A finding that is open, of the target or of one of its endpoints; always 1.")
				open = true
			}
			h.sample("certscan_target_finding", names[i]+","+f, 1)
		}
	}
	h.waivedOf(keys)
}
