package server

import (
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"example.com/certscan/internal/inventory"
)

// A targetGroup is what Prometheus' HTTP service discovery reads. The list of
// them is whole each time, and [] when there is nothing.
type targetGroup struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// sd gives the inventory to others: one group for each target.
func (s *Server) sd(r *http.Request) (any, error) {
	q, err := parameters(r, "selector", "protocol")
	if err != nil {
		return nil, err
	}
	var f filter
	if f.selector, err = inventory.ParseSelector(q.Get("selector")); err != nil && q.Has("selector") {
		return nil, badRequest("selector: %v", err)
	}
	protocol := inventory.Protocol(q.Get("protocol"))
	if q.Has("protocol") && !protocol.Valid() {
		return nil, badRequest("protocol: %q is not known", protocol)
	}
	groups := []targetGroup{}
	for _, e := range s.opt.Index.after("") {
		if protocol != "" && e.target.Protocol != protocol || !f.wantsTarget(e) {
			continue
		}
		groups = append(groups, newGroup(e.target))
	}
	return groups, nil
}

func newGroup(t inventory.Target) targetGroup {
	port := strconv.Itoa(int(t.Port))
	labels := map[string]string{
		"__meta_certscan_target":      t.Key(),
		"__meta_certscan_host":        t.Host,
		"__meta_certscan_port":        port,
		"__meta_certscan_protocol":    string(t.Protocol),
		"__meta_certscan_server_name": t.ServerName(),
		"__meta_certscan_address":     net.JoinHostPort(t.DialName(), port),
		"__meta_certscan_sources":     "," + inventory.Clean(strings.Join(t.Sources, ",")) + ",", // as Prometheus' own lists
	}
	for _, name := range slices.Sorted(maps.Keys(t.Labels)) {
		key := "__meta_certscan_label_" + inventory.MetricLabel(name)
		if _, taken := labels[key]; !taken { // of two that become one, the first stays
			labels[key] = inventory.Clean(t.Labels[name])
		}
	}
	return targetGroup{Targets: []string{net.JoinHostPort(t.Host, port)}, Labels: labels}
}
