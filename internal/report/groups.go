package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// A Group is what endpoints have that agree in one property.
type Group struct {
	Type         string             `json:"type"` // "group"
	By           string             `json:"by"`   // one of [GroupKeys]
	Key          string             `json:"key"`  // "" collects those without the property
	Name         string             `json:"name"` // of a certificate, whose key is its SHA-256
	Targets      int                `json:"targets"`
	Endpoints    int                `json:"endpoints"` // views that served the same count once per offer
	Certificates int                `json:"certificates"`
	Worst        inventory.Severity `json:"worst"` // "" if there is no finding
	NextExpiry   *time.Time         `json:"next_expiry"`
	NextTarget   string             `json:"next_target"` // the target that expires next
}

// GroupKeys returns the properties to group by.
func GroupKeys() []string {
	return []string{"certificate", "target", "issuer", "owner", "key", "signature", "tls-version", "environment", "platform"}
}

// A Grouper sorts results into groups. It keeps the groups and not the results.
type Grouper struct {
	by     string
	groups map[string]*group
}

type group struct {
	Group
	certificates map[inventory.Fingerprint]struct{}
	last         string // the target counted last
}

// NewGrouper returns a grouper by one of [GroupKeys].
func NewGrouper(by string) (*Grouper, error) {
	if !slices.Contains(GroupKeys(), by) {
		return nil, fmt.Errorf("cannot group by %q: want one of %s", by, strings.Join(GroupKeys(), ", "))
	}
	return &Grouper{by: by, groups: map[string]*group{}}, nil
}

// Add sorts in the endpoints of one target. A target comes once.
func (g *Grouper) Add(r inventory.Result) {
	key := r.Target.Key()
	for _, e := range r.Endpoints {
		k, name := g.keyOf(r.Target, e)
		gr := g.groups[k]
		if gr == nil {
			gr = &group{Group: Group{Type: "group", By: g.by, Key: k, Name: name}, certificates: map[inventory.Fingerprint]struct{}{}}
			g.groups[k] = gr
		}
		if gr.last != key {
			gr.last = key
			gr.Targets++
		}
		gr.Endpoints++
		if c := e.Judgement.Certificate; c != nil {
			gr.certificates[c.SHA256] = struct{}{}
		}
		if w := worst(e.Judgement.Findings, r.Judgement.Findings); graver(w, gr.Worst) {
			gr.Worst = w
		}
		if x := e.Judgement.Expiry; x != nil && (gr.NextExpiry == nil || x.At.Before(*gr.NextExpiry)) {
			at := seconds(x.At)
			gr.NextExpiry, gr.NextTarget = &at, key
		}
	}
}

func (g *Grouper) keyOf(t inventory.Target, e inventory.Endpoint) (key, name string) {
	c := e.Judgement.Certificate
	switch g.by {
	case "target":
		return t.Key(), ""
	case "owner", "environment", "platform":
		return t.Labels[g.by], ""
	case "tls-version":
		if e.Observation.TLS == nil {
			return "", ""
		}
		return e.Observation.TLS.Version, ""
	}
	if c == nil {
		return "", ""
	}
	switch g.by {
	case "certificate":
		return c.SHA256.String(), subjectName(*c)
	case "issuer":
		return issuerName(c), ""
	case "key":
		return c.Key, ""
	}
	return c.Signature, ""
}

// Groups returns the groups, what expires next first.
func (g *Grouper) Groups() []Group {
	out := make([]Group, 0, len(g.groups))
	for _, gr := range g.groups {
		gr.Certificates = len(gr.certificates)
		out = append(out, gr.Group)
	}
	slices.SortFunc(out, func(a, b Group) int {
		switch {
		case a.NextExpiry != nil && b.NextExpiry != nil:
			return cmp.Or(a.NextExpiry.Compare(*b.NextExpiry), cmp.Compare(a.Key, b.Key))
		case a.NextExpiry != nil:
			return -1
		case b.NextExpiry != nil:
			return 1
		}
		return cmp.Compare(a.Key, b.Key)
	})
	return out
}

// Groups writes groups in their order.
func Groups(w io.Writer, format string, groups []Group, opt Options) error {
	opt = opt.withDefaults()
	by := "group"
	if len(groups) > 0 {
		by = groups[0].By
	}
	l := listing[Group]{
		name: "groups",
		columns: []column{
			{name: strings.ToUpper(by), fair: 24, min: 12, cut: cutEnd},
			{name: "TARGETS", right: true},
			{name: "ENDPOINTS", right: true},
			{name: "CERTS", right: true},
			{name: "EXPIRES"},
			{name: "LEFT", right: true},
			{name: "WORST"},
			{name: "NEXT TARGET", fair: 20, min: 12, cut: cutMiddle, drop: true},
		},
		cells: func(g Group) []cell { return groupCells(g, opt) },
		header: []string{
			"by", "key", "name", "targets", "endpoints", "certificates", "worst", "next_expiry", "days_left", "next_target",
		},
		fields: func(g Group) []string {
			var expires, days string
			if g.NextExpiry != nil {
				expires, days = stamp(*g.NextExpiry), strconv.Itoa(daysLeft(*g.NextExpiry, opt.Now))
			}
			return []string{
				g.By, g.Key, g.Name, strconv.Itoa(g.Targets), strconv.Itoa(g.Endpoints), strconv.Itoa(g.Certificates),
				string(g.Worst), expires, days, g.NextTarget,
			}
		},
		record: func(g Group) any { return g },
		empty:  "nothing is in the inventory",
	}
	return l.write(w, format, slices.Values(groups), opt)
}

func groupCells(g Group, opt Options) []cell {
	key := inventory.CleanCut(g.Key, maxText)
	switch {
	case g.By == "certificate" && g.Key != "":
		key = key[:min(8, len(key))] + " " + g.Name
	case key == "":
		key = "(none)"
	}
	var next, days string
	if g.NextExpiry != nil {
		next, days = date(*g.NextExpiry), left(*g.NextExpiry, opt.Now)
		if opt.Width == 0 {
			days = strconv.Itoa(daysLeft(*g.NextExpiry, opt.Now))
		}
	}
	status := string(g.Worst)
	if status == "" {
		status = "none"
	}
	return []cell{
		{key, plain},
		{strconv.Itoa(g.Targets), plain},
		{strconv.Itoa(g.Endpoints), plain},
		{strconv.Itoa(g.Certificates), plain},
		{next, plain},
		{days, plain},
		{status, statusStyle(g.Worst, status)},
		{inventory.Clean(g.NextTarget), dim},
	}
}
