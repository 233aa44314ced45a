package report

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"example.com/certscan/internal/inventory"
)

// sarifHandler writes SARIF 2.1.0 (OASIS), as code-scanning services read it.
// Results go out as they come; what stays are hashes, and the rules, which stand
// behind them because those of a policy are known only then.
type sarifHandler struct {
	w       *bufio.Writer
	enc     *encoder
	opt     Options
	rules   []sarifRule
	index   map[string]int                     // of rules, by ID
	seen    map[inventory.Fingerprint]struct{} // of what is found at several places
	started bool
	some    bool // a result was written
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifRule struct {
	ID      string        `json:"id"`
	Short   sarifText     `json:"shortDescription"`
	Full    sarifText     `json:"fullDescription"`
	Help    sarifText     `json:"help"`
	HelpURI string        `json:"helpUri"`
	Default sarifDefault  `json:"defaultConfiguration"`
	Tags    sarifRuleTags `json:"properties"`
}

type sarifDefault struct {
	Level string `json:"level"`
}

type sarifRuleTags struct {
	Tags []string `json:"tags"`
}

type sarifResult struct {
	RuleID       string             `json:"ruleId"`
	RuleIndex    int                `json:"ruleIndex"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifLocation    `json:"locations"`
	Fingerprints map[string]string  `json:"partialFingerprints"`
	Suppressions []sarifSuppression `json:"suppressions"`
	Properties   map[string]string  `json:"properties,omitempty"`
}

type sarifLocation struct {
	Physical *sarifPhysical `json:"physicalLocation,omitempty"`
	Logical  []sarifLogical `json:"logicalLocations,omitempty"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   *sarifRegion  `json:"region,omitempty"`
}

type sarifArtifact struct {
	URI  string `json:"uri"`
	Base string `json:"uriBaseId,omitempty"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

type sarifLogical struct {
	Name      string `json:"name"`
	Qualified string `json:"fullyQualifiedName"`
	Kind      string `json:"kind"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Status        string `json:"status"`
	Justification string `json:"justification"`
}

type sarifNotification struct {
	Level   string    `json:"level"`
	Message sarifText `json:"message"`
}

// sarifSchema is where the schema of this version is.
const sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

// manual is where the findings are explained.
const manual = "https://example.com/certscan/docs/findings.md"

func newSARIF(w io.Writer, opt Options) *sarifHandler {
	h := &sarifHandler{
		w: bufio.NewWriterSize(w, 64<<10), enc: newEncoder(), opt: opt,
		index: map[string]int{}, seen: map[inventory.Fingerprint]struct{}{},
	}
	for _, c := range inventory.Codes() {
		if !c.Code.OwnSide() { // a scan has notes instead
			h.rule(string(c.Code), c.Code, c.Severity)
		}
	}
	return h
}

// rule is the index of the rule called id, which is made if there is none.
func (h *sarifHandler) rule(id string, code inventory.Code, s inventory.Severity) int {
	if i, ok := h.index[id]; ok {
		return i
	}
	text := Explain(code)
	if name, ok := strings.CutPrefix(id, string(code)+"/"); ok {
		text = fmt.Sprintf("%s (%s)", text, name)
	}
	h.index[id] = len(h.rules)
	h.rules = append(h.rules, sarifRule{
		ID: id, Short: sarifText{text}, Full: sarifText{text}, Help: sarifText{text + " See " + manual + "#" + string(code)},
		HelpURI: manual + "#" + string(code), Default: sarifDefault{sarifLevel(s)}, Tags: sarifRuleTags{[]string{"certificates", "tls"}},
	})
	return h.index[id]
}

func sarifLevel(s inventory.Severity) string {
	switch s {
	case inventory.Critical:
		return "error"
	case inventory.Warning:
		return "warning"
	}
	return "note"
}

func (h *sarifHandler) start() {
	if !h.started {
		h.started = true
		fmt.Fprintf(h.w, `{"$schema":%q,"version":"2.1.0","runs":[{"columnKind":"utf16CodeUnits","results":[`, sarifSchema)
	}
}

func (h *sarifHandler) Result(r inventory.Result) error {
	key := r.Target.Key()
	target := spot{name: key, qualified: key, properties: map[string]string{}}
	target.file, target.line = h.opt.place(r.Target)
	for _, l := range []string{"owner", "environment", "platform"} {
		if v := r.Target.Labels[l]; v != "" {
			target.properties[l] = inventory.Clean(v)
		}
	}
	if err := h.findings(target, r.Judgement.Findings); err != nil {
		return err
	}
	for _, e := range r.Endpoints {
		at := target
		o := &e.Observation
		at.qualified = o.View().ID()
		at.where = whereOf(r, *o)
		if err := h.findings(at, e.Judgement.Findings); err != nil {
			return err
		}
	}
	return nil
}

// A spot is where findings are.
type spot struct {
	name       string // target, or file
	where      string // behind the name: " 192.0.2.7 rsa"
	qualified  string
	file       string // "" if nobody knows
	line       int    // 0 likewise
	properties map[string]string
}

// whereOf says which of the endpoints of r o is, if there are several.
func whereOf(r inventory.Result, o inventory.Observation) string {
	where := ""
	several := slices.ContainsFunc(r.Endpoints, func(e inventory.Endpoint) bool { return e.Observation.Address != o.Address })
	if several && o.Address != "" {
		where = " " + o.Address
	}
	if o.Offer.Further() {
		where += " " + string(o.Offer)
	}
	if o.Location != inventory.LocalLocation && o.Location != "" {
		where += " from " + o.Location
	}
	return where
}

// place is the file and line that named t, from the first of its lists.
func (o Options) place(t inventory.Target) (file string, line int) {
	for _, s := range t.Sources {
		if file, ok := strings.CutPrefix(s, "file:"); ok {
			if o.Locate != nil {
				line = o.Locate(file, t)
			}
			return file, line
		}
	}
	return "", 0
}

func (h *sarifHandler) findings(at spot, findings []inventory.Finding) error {
	h.start()
	for _, f := range findings {
		id := string(f.Code)
		if f.Rule != "" {
			id += "/" + word(f.Rule)
		}
		print := inventory.FingerprintOf([]byte(string(f.Code) + "\x00" + f.Rule + "\x00" + string(f.Subject.Kind) + "\x00" + f.Subject.ID))
		if f.Subject.Kind != inventory.SubjectView { // else it is found here only
			if _, ok := h.seen[print]; ok {
				continue
			}
			h.seen[print] = struct{}{}
		}
		r := sarifResult{
			RuleID: id, RuleIndex: h.rule(id, f.Code, f.Severity), Level: sarifLevel(f.Severity),
			Message:      sarifText{inventory.Clean(at.name+at.where) + ": " + inventory.Clean(f.Message)},
			Locations:    []sarifLocation{at.location()},
			Fingerprints: map[string]string{"certscan/v1": print.String()},
			Suppressions: suppressions(f), Properties: at.properties,
		}
		if err := h.result(r); err != nil {
			return err
		}
	}
	return nil
}

func (h *sarifHandler) result(r sarifResult) error {
	b, err := h.enc.encode(r)
	if err != nil {
		return err
	}
	if h.some {
		h.w.WriteByte(',')
	}
	h.some = true
	h.w.WriteByte('\n')
	_, err = h.w.Write(b)
	return err
}

func (at spot) location() sarifLocation {
	l := sarifLocation{Logical: []sarifLogical{{inventory.Clean(at.name), inventory.Clean(at.qualified), "resource"}}}
	if at.file != "" {
		l.Physical = &sarifPhysical{Artifact: artifact(at.file)}
		if at.line > 0 {
			l.Physical.Region = &sarifRegion{at.line}
		}
	}
	return l
}

// artifact names a file as services find it: relative to the root of the
// repository, which is where they take a run to have been.
func artifact(path string) sarifArtifact {
	u := url.URL{Path: filepath.ToSlash(filepath.Clean(path))}
	if filepath.IsAbs(path) {
		u.Scheme = "file"
		return sarifArtifact{URI: u.String()}
	}
	return sarifArtifact{URI: u.EscapedPath(), Base: "%SRCROOT%"}
}

// suppressions say why f does not count. An empty list says that it does.
func suppressions(f inventory.Finding) []sarifSuppression {
	switch {
	case f.Waived != nil:
		text := fmt.Sprintf("waived until %s by %s: %s", inventory.Clean(f.Waived.Until), inventory.Clean(f.Waived.Owner), inventory.Clean(f.Waived.Reason))
		return []sarifSuppression{{"external", "accepted", text}}
	case f.Ignored == "baseline":
		return []sarifSuppression{{"external", "accepted", "in the baseline"}}
	case f.Ignored != "":
		return []sarifSuppression{{"external", "accepted", "ignored by a flag"}}
	}
	return []sarifSuppression{}
}

func (h *sarifHandler) Close(info inventory.ScanInfo, sum inventory.Summary) error {
	for _, f := range sum.Findings {
		at := spot{name: fleetSubject(f), qualified: f.Subject.ID}
		if err := h.findings(at, []inventory.Finding{f}); err != nil {
			return err
		}
	}
	whole := !info.Partial && !sum.Partial && sum.TargetsNotExamined == 0
	notes := []sarifNotification{}
	for _, f := range sum.OwnFaults {
		notes = append(notes, sarifNotification{"warning", sarifText{inventory.Clean(f.Message)}})
	}
	if !whole {
		notes = append(notes, sarifNotification{"error", sarifText{notWhole(info, sum)}})
	}
	return h.end(info, whole, notes)
}

// end writes what stands behind the results.
func (h *sarifHandler) end(info inventory.ScanInfo, whole bool, notes []sarifNotification) error {
	h.start()
	type driver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		URI     string      `json:"informationUri"`
		Rules   []sarifRule `json:"rules"`
	}
	type tool struct {
		Driver driver `json:"driver"`
	}
	type invocation struct {
		Whole     bool                `json:"executionSuccessful"`
		Arguments []string            `json:"arguments,omitempty"`
		Started   string              `json:"startTimeUtc,omitempty"`
		Ended     string              `json:"endTimeUtc,omitempty"`
		Notes     []sarifNotification `json:"toolExecutionNotifications"`
	}
	h.w.WriteByte(']') // of the results
	for _, part := range []struct {
		name  string
		value any
	}{
		{"tool", tool{driver{"certscan", info.Version, "https://example.com/certscan", h.rules}}},
		{"invocations", []invocation{{whole, info.Arguments, stamp(info.Started), stamp(info.Ended), notes}}},
		{"automationDetails", struct {
			ID string `json:"id"`
		}{"certscan/"}},
	} {
		b, err := h.enc.encode(part.value)
		if err != nil {
			return err
		}
		fmt.Fprintf(h.w, ",\n%q:%s", part.name, b)
	}
	h.w.WriteString("}]}\n")
	return h.w.Flush()
}
