package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"example.com/certscan/internal/inventory"
)

// maxWarnings is how many warnings stand below the table, where critical
// findings are all told.
const maxWarnings = 20

// A message is a finding at least as bad as a warning, or one that is waived, in
// words.
type message struct {
	severity inventory.Severity
	about    string // target, and address where that matters
	text     string
	waived   bool // by somebody, whom text names
}

// A draft is a message of which it is not yet known how many addresses say it.
type draft struct {
	message
	addresses []string
}

// messagesOf collects what is to be told of one target: its own findings and
// those of its endpoints, each text once.
func messagesOf(r inventory.Result, key string) []message {
	var out []draft
	for _, f := range r.Judgement.Findings {
		out = addMessage(out, f, key, "", "")
	}
	addresses := map[string]bool{}
	for _, e := range r.Endpoints {
		addresses[e.Observation.Address] = true
	}
	for _, e := range r.Endpoints {
		where := ""
		if len(addresses) > 1 && e.Observation.Address != "" {
			where = " " + inventory.Clean(e.Observation.Address)
		}
		if o := e.Observation.Offer; o.Further() {
			where += " " + word(string(o))
		}
		if l := e.Observation.Location; l != inventory.LocalLocation && l != "" {
			where += " from " + word(l)
		}
		for _, f := range e.Judgement.Findings {
			out = addMessage(out, f, key, where, e.Observation.Address)
		}
	}
	ms := make([]message, len(out))
	for i, d := range out {
		ms[i] = d.message
		if n := len(d.addresses); n > 1 {
			ms[i].about += " (" + plural(n, "address", "addresses") + ")"
		}
	}
	slices.SortStableFunc(ms, func(a, b message) int { return cmp.Compare(a.about, b.about) })
	return ms
}

func addMessage(out []draft, f inventory.Finding, key, where, address string) []draft {
	if f.Waived == nil && (f.Ignored != "" || !f.Severity.AtLeast(inventory.Warning)) {
		return out
	}
	text := inventory.CleanCut(f.Message, maxText)
	if text == "" {
		text = codeWord(f)
	}
	if w := f.Waived; w != nil {
		text += fmt.Sprintf(" (until %s, %s: %s)", word(w.Until), inventory.CleanCut(w.Owner, maxText), inventory.CleanCut(w.Reason, maxText))
	}
	for i := range out {
		if m := &out[i]; m.text == text && m.severity == f.Severity {
			m.about = key
			m.addresses = union(m.addresses, []string{address})
			return out
		}
	}
	return append(out, draft{message{f.Severity, key + where, text, f.Waived != nil}, []string{address}})
}

// messages writes what has to be read: every critical finding, then warnings,
// then what somebody answers for.
func (h *tableHandler) messages(fleet []inventory.Finding) {
	var critical, warnings, waived []message
	sortOut := func(m message) {
		switch {
		case m.waived:
			waived = append(waived, m)
		case m.severity == inventory.Critical:
			critical = append(critical, m)
		default:
			warnings = append(warnings, m)
		}
	}
	for _, f := range fleet {
		for _, d := range addMessage(nil, f, fleetSubject(f), "", "") {
			sortOut(d.message)
		}
	}
	for i := range h.targets {
		for _, m := range h.targets[i].messages {
			sortOut(m)
		}
	}
	h.section("Critical", red, critical, len(critical))
	h.section("Warnings", yellow, warnings, maxWarnings)
	h.section("Waived", dim, waived, len(waived))
}

// fleetSubject names what a finding of the fleet is about.
func fleetSubject(f inventory.Finding) string {
	id := inventory.CleanCut(f.Subject.ID, maxText)
	if f.Subject.Kind == inventory.SubjectCertificate && len(id) > 16 {
		id = id[:16]
	}
	if id == "" {
		return "fleet"
	}
	return word(string(f.Subject.Kind)) + " " + id
}

func (h *tableHandler) section(title string, st style, ms []message, limit int) {
	if len(ms) == 0 {
		return
	}
	fmt.Fprintf(h.w, "\n%s\n", paint(title, st, h.opt.Color))
	for _, m := range ms[:min(limit, len(ms))] {
		h.paragraph("  ", "    ", m.about+": "+m.text)
	}
	if more := len(ms) - limit; more > 0 {
		h.paragraph("  ", "    ", fmt.Sprintf("and %d more; --format json has all", more))
	}
}

// paragraph writes text within the terminal, its first line indented by first
// and the rest by next.
func (h *tableHandler) paragraph(first, next, text string) {
	for i, line := range wrap(text, h.opt.Width-len(next)) {
		indent := next
		if i == 0 {
			indent = first
		}
		fmt.Fprintf(h.w, "%s%s\n", indent, line)
	}
}

// stores says by which trust stores was judged, and how old they are.
func (h *tableHandler) stores(stores []inventory.StoreInfo) {
	decides := slices.IndexFunc(stores, func(s inventory.StoreInfo) bool { return !s.Only && len(s.For) == 0 })
	cells := make([]cell, 0, len(stores))
	for i, s := range stores {
		text := inventory.CleanCut(s.Name, maxText) + " (" + cmp.Or(s.Date, "date unknown")
		switch {
		case len(s.For) > 0:
			text += ", decides for " + inventory.CleanCut(strings.Join(s.For, "; "), maxText)
		case len(stores) > 1 && i == decides:
			text += ", decides"
		}
		cells = append(cells, cell{text + ")", plain})
	}
	if len(cells) > 0 {
		h.line("Trust", cells...)
	}
}

// summary writes the counts and what was wrong with the scan itself.
func (h *tableHandler) summary(info inventory.ScanInfo, s inventory.Summary) {
	if len(h.targets) > 0 {
		h.w.WriteByte('\n')
	}
	if s.Partial || info.Partial {
		h.line("Partial", cell{notWhole(info, s), yellow})
	} else if s.TargetsNotExamined > 0 {
		h.line("Unseen", cell{notExamined(s), yellow})
	}
	for _, f := range s.OwnFaults {
		text := inventory.CleanCut(f.Message, maxText)
		if f.Count > 0 {
			text += " (" + plural(f.Count, "endpoint", "endpoints") + ")"
		}
		var words []cell
		for w := range strings.FieldsSeq(text) {
			words = append(words, cell{w, plain})
		}
		h.labelled("Scanner", yellow, "", words)
	}
	h.stores(info.Stores)
	h.line("Summary",
		cell{plural(s.Targets, "target", "targets"), plain}, cell{plural(s.Endpoints, "endpoint", "endpoints"), plain},
		cell{plural(s.Certificates, "certificate", "certificates"), plain}, cell{plural(s.Names, "name", "names"), plain},
		cell{plural(s.Issuers, "CA", "CAs"), plain})
	h.line("Expiry",
		cell{plural(s.Expired, "target expired", "targets expired"), unlessZero(s.Expired, red)},
		cell{fmt.Sprintf("%d within 30 days", s.Within30Days), plain},
		cell{plural(s.Unreachable, "endpoint unreachable", "endpoints unreachable"), unlessZero(s.Unreachable, red)})
	findings := []cell{
		{fmt.Sprintf("%d critical", s.Critical), unlessZero(s.Critical, red)},
		{plural(s.Warning, "warning", "warnings"), unlessZero(s.Warning, yellow)},
		{plural(s.Info, "note", "notes"), plain},
	}
	if s.Waived > 0 {
		findings = append(findings, cell{fmt.Sprintf("%d waived", s.Waived), plain})
	}
	if s.Ignored > 0 {
		findings = append(findings, cell{fmt.Sprintf("%d ignored", s.Ignored), plain})
	}
	switch off := info.Revocation != nil && info.Revocation.Mode == inventory.RevocationOff; {
	case off:
		h.line("Unknown", cell{"whether any certificate is revoked: nobody was asked, and no staple looked at (--revocation off)", plain})
	case s.RevocationUnknown > 0:
		h.line("Unknown", cell{"whether " + plural(s.RevocationUnknown, "endpoint's certificate is", "endpoints' certificates are") + " revoked; --format json says why", plain})
	}
	h.line("Findings", findings...)
}

// notExamined counts the targets that nothing is known of, and says how many of
// them are rows of a list that could not be read.
func notExamined(s inventory.Summary) string {
	text := plural(s.TargetsNotExamined, "target was", "targets were") + " not examined"
	if s.BadRows > 0 {
		text += fmt.Sprintf(" (rows of the lists that could not be read: %d)", s.BadRows)
	}
	return text
}

// notWhole says in which way a scan did not see all that it should.
func notWhole(info inventory.ScanInfo, s inventory.Summary) string {
	switch {
	case !info.Partial && !s.Partial:
		return notExamined(s)
	case s.TargetsNotExamined > 0:
		return "this scan was interrupted; " + notExamined(s)
	}
	return "this scan was interrupted"
}

func unlessZero(n int, st style) style {
	if n == 0 {
		return plain
	}
	return st
}

func (h *tableHandler) line(label string, parts ...cell) { h.labelled(label, bold, ",", parts) }

// labelled writes a label and parts behind it, on as many lines as it takes.
func (h *tableHandler) labelled(label string, st style, separator string, parts []cell) {
	const indent = 10
	h.w.WriteString(paint(fmt.Sprintf("%-*s", indent, label), st, h.opt.Color))
	used := indent
	for i, p := range parts {
		after := separator
		if i == len(parts)-1 {
			after = ""
		}
		n := width(p.text + after)
		switch {
		case used == indent:
		case h.terminal() && used+1+n > h.opt.Width:
			fmt.Fprintf(h.w, "\n%*s", indent, "")
			used = indent
		default:
			h.w.WriteByte(' ')
			used++
		}
		h.w.WriteString(paint(p.text, p.style, h.opt.Color) + after)
		used += n
	}
	h.w.WriteByte('\n')
}
