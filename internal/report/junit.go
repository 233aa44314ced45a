package report

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// junitHandler writes JUnit XML, as CI servers read it: a suite for each target,
// a case for each finding, and a case that passes for each endpoint without one.
type junitHandler struct {
	out    *bufio.Writer
	w      bytes.Buffer // the suite at hand
	opt    Options
	suites ordered
}

// A junitCase is one thing that was tested. At most one of the three outcomes is
// set; without one it passed.
type junitCase struct {
	name, file string
	line       int
	took       time.Duration
	outcome    junitOutcome
	kind       string // of failure or error
	message    string // of the outcome, or to tell of one that passed
}

type junitOutcome string

const (
	junitPassed  junitOutcome = ""
	junitFailure junitOutcome = "failure"
	junitError   junitOutcome = "error"
	junitSkipped junitOutcome = "skipped"
)

func newJUnit(w io.Writer, opt Options) *junitHandler {
	return &junitHandler{out: bufio.NewWriterSize(w, 64<<10), opt: opt}
}

func (h *junitHandler) Result(r inventory.Result) error {
	var cases []junitCase
	file, line := h.opt.place(r.Target)
	add := func(prefix string, took time.Duration, findings []inventory.Finding, unseen bool) {
		for _, f := range findings {
			c := h.finding(f, unseen)
			c.name, c.file, c.line, c.took = prefix+codeName(f), file, line, took
			cases = append(cases, c)
			took = 0 // the time of an endpoint counts once
		}
	}
	add("", 0, r.Judgement.Findings, false)
	for _, e := range inOrder(r.Endpoints) {
		o := &e.Observation
		name, took := endpointName(*o), o.Timings.Total()
		add(name+" ", took, e.Judgement.Findings, !served(e))
		switch {
		case o.Reach.Status.IsOwnFault() && !served(e):
			cases = append(cases, junitCase{
				name: name + " examined", file: file, line: line, outcome: junitError, kind: string(o.Reach.Status),
				message: "was not examined: " + o.Reach.Detail,
			})
		case len(e.Judgement.Findings) == 0:
			cases = append(cases, junitCase{name: name, file: file, line: line, took: took, message: verdictWord(e)})
		}
	}
	if len(r.Endpoints) == 0 {
		cases = append(cases, junitCase{name: "examined", file: file, line: line, outcome: junitError, kind: "not_examined", message: "was not examined"})
	}
	h.suite(r.Target.Key(), r.Target.Labels, cases)
	err := h.suites.add(r.Target.Key(), h.w.Bytes())
	h.w.Reset()
	return err
}

// endpointName tells the endpoints of a target apart.
func endpointName(o inventory.Observation) string {
	name := o.Address
	if name == "" {
		name = "no address"
	}
	if o.Offer != inventory.OfferDefault {
		name += " " + string(o.Offer)
	}
	if o.Location != inventory.LocalLocation && o.Location != "" {
		name += " from " + o.Location
	}
	return name
}

func codeName(f inventory.Finding) string {
	if f.Rule == "" {
		return string(f.Code)
	}
	return string(f.Code) + ":" + f.Rule
}

// finding is the outcome of f. unseen says that no certificate was seen where it
// was found, so that not to reach it is an error and no failure.
func (h *junitHandler) finding(f inventory.Finding, unseen bool) junitCase {
	c := junitCase{kind: codeName(f), message: string(f.Severity) + ": " + f.Message}
	switch {
	case f.Waived != nil:
		c.outcome = junitSkipped
		c.message = fmt.Sprintf("waived until %s by %s: %s (%s)", f.Waived.Until, f.Waived.Owner, f.Waived.Reason, f.Message)
	case f.Ignored != "":
		c.outcome, c.message = junitSkipped, fmt.Sprintf("ignored (%s): %s", f.Ignored, f.Message)
	case h.opt.FailOn == "" || !f.Severity.AtLeast(h.opt.FailOn):
	case unseen && (f.Code == inventory.CodeUnreachable || f.Code == inventory.CodeDNSFailure):
		c.outcome = junitError
	default:
		c.outcome = junitFailure
	}
	return c
}

// suite writes one suite into h.w.
func (h *junitHandler) suite(name string, labels map[string]string, cases []junitCase) {
	counts := map[junitOutcome]int{}
	var took time.Duration
	for _, c := range cases {
		counts[c.outcome]++
		took += c.took
	}
	h.element("  ", "testsuite", "name", name, "tests", strconv.Itoa(len(cases)), "failures", strconv.Itoa(counts[junitFailure]),
		"errors", strconv.Itoa(counts[junitError]), "skipped", strconv.Itoa(counts[junitSkipped]), "time", inSeconds(took))
	h.w.WriteString(">\n")
	if owned := targetProperties(labels); len(owned) > 0 {
		h.w.WriteString("    <properties>\n")
		for _, p := range owned {
			h.element("      ", "property", "name", p[0], "value", p[1])
			h.w.WriteString("/>\n")
		}
		h.w.WriteString("    </properties>\n")
	}
	for _, c := range cases {
		h.test(name, c)
	}
	h.w.WriteString("  </testsuite>\n")
}

// end writes the suites, those that are sorted and then those in h.w.
func (h *junitHandler) end() error {
	if _, err := h.out.WriteString(xml.Header + `<testsuites name="certscan">` + "\n"); err != nil {
		return err
	}
	if err := h.suites.writeTo(h.out); err != nil {
		return err
	}
	h.w.WriteString("</testsuites>\n")
	if _, err := h.w.WriteTo(h.out); err != nil {
		return err
	}
	return h.out.Flush()
}

func targetProperties(labels map[string]string) (list [][2]string) {
	for _, l := range []string{"owner", "environment", "platform"} {
		if v := labels[l]; v != "" {
			list = append(list, [2]string{l, v})
		}
	}
	return list
}

func (h *junitHandler) test(suite string, c junitCase) {
	attributes := []string{"classname", suite, "name", c.name, "time", inSeconds(c.took)}
	if c.file != "" {
		attributes = append(attributes, "file", c.file)
	}
	if c.line > 0 {
		attributes = append(attributes, "line", strconv.Itoa(c.line))
	}
	h.element("    ", "testcase", attributes...)
	switch c.outcome {
	case junitPassed:
		if c.message == "" {
			h.w.WriteString("/>\n")
			return
		}
		h.w.WriteString(">\n      <system-out>" + escapeXML(c.message) + "</system-out>\n")
	case junitSkipped:
		h.w.WriteString(">\n")
		h.element("      ", "skipped", "message", c.message)
		h.w.WriteString("/>\n")
	default:
		h.w.WriteString(">\n")
		h.element("      ", string(c.outcome), "type", c.kind, "message", c.message)
		h.w.WriteString("/>\n")
	}
	h.w.WriteString("    </testcase>\n")
}

// element begins a tag, and leaves it open.
func (h *junitHandler) element(indent, name string, attributes ...string) {
	h.w.WriteString(indent + "<" + name)
	for i := 0; i+1 < len(attributes); i += 2 {
		h.w.WriteString(" " + attributes[i] + `="` + escapeXML(attributes[i+1]) + `"`)
	}
}

// escapeXML makes text of strangers safe in XML and in what shows it.
func escapeXML(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(inventory.Clean(s))) // a buffer takes everything
	return b.String()
}

func inSeconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

func (h *junitHandler) Close(info inventory.ScanInfo, sum inventory.Summary) error {
	var cases []junitCase
	for _, f := range sum.Findings {
		c := h.finding(f, false)
		c.name = fleetSubject(f) + " " + codeName(f)
		cases = append(cases, c)
	}
	whole := junitCase{name: "every target was examined"}
	if info.Partial || sum.Partial || sum.TargetsNotExamined > 0 {
		whole.outcome, whole.kind, whole.message = junitError, "not_examined", notWhole(info, sum)
	}
	var faults []string
	for _, f := range sum.OwnFaults {
		faults = append(faults, f.Message)
	}
	if whole.outcome == junitPassed {
		whole.message = strings.Join(faults, "; ")
	} else if len(faults) > 0 {
		whole.message += ": " + strings.Join(faults, "; ")
	}
	h.suite("fleet", nil, append(cases, whole))
	return h.end()
}
