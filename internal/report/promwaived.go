package report

// promWaived is a series of certscan_target_finding_waived.
type promWaived struct {
	labels string // beside target
	until  int64  // Unix seconds
}

// waivedOf writes the metric of waived findings.
func (h *promHandler) waivedOf(keys []string) {
	open := false
	for _, k := range keys {
		for _, p := range h.targets[k].waived {
			if !open {
				h.family("certscan_target_finding_waived", "When the waiver ends under which a finding, open all the same, does not count; absent without one.")
				open = true
			}
			h.sample("certscan_target_finding_waived", labels("target", k)+","+p.labels, p.until)
		}
	}
}
