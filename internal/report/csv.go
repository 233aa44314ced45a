package report

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/certscan/internal/inventory"
)

// csvColumns are the columns of a spreadsheet inventory. Their order is part of
// the schema; new ones go to the end.
func csvColumns() []string {
	return []string{
		"domain", "port", "protocol", "address", "location", "expires", "days_left", "issuer", "owner", "environment",
		"platform", "names", "key", "serial", "sha256", "trust", "revocation", "status", "findings", "labels",
	}
}

// csvHandler writes one row per address, and one more for each offer that says
// something else, sorted (RFC 4180).
type csvHandler struct {
	out  io.Writer
	w    *csv.Writer // into text
	text bytes.Buffer
	now  time.Time
	row  []string
	rows ordered
}

func newCSV(w io.Writer, opt Options) *csvHandler {
	h := &csvHandler{out: w, now: opt.Now}
	h.w = csv.NewWriter(&h.text)
	h.w.UseCRLF = true
	return h
}

func (h *csvHandler) Result(r inventory.Result) error {
	h.text.Reset()
	for _, e := range inOrder(r.Endpoints) {
		if !inCSV(r, e) {
			continue
		}
		h.row = h.appendRow(h.row[:0], r, e)
		if err := h.w.Write(h.row); err != nil {
			return err
		}
	}
	h.w.Flush()
	return h.rows.add(r.Target.Key(), h.text.Bytes())
}

func (h *csvHandler) Close(inventory.ScanInfo, inventory.Summary) error {
	h.text.Reset()
	if err := h.w.Write(csvColumns()); err != nil {
		return err
	}
	h.w.Flush()
	out := bufio.NewWriterSize(h.out, 64<<10)
	if _, err := out.Write(h.text.Bytes()); err != nil {
		return err
	}
	if err := h.rows.writeTo(out); err != nil {
		return err
	}
	return out.Flush()
}

// inCSV reports whether e has a row: there is no column for the offer, so that
// rows which say the same would seem to count an address twice.
func inCSV(r inventory.Result, e inventory.Endpoint) bool {
	if e.Observation.Offer == inventory.OfferNoSNI && len(e.Judgement.Findings) == 0 {
		return false // a server may well have another default
	}
	return worthARow(r, e)
}

func (h *csvHandler) appendRow(row []string, r inventory.Result, e inventory.Endpoint) []string {
	t, o, j := r.Target, e.Observation, e.Judgement
	var expires, days, names, key, serial, sha string
	if j.Expiry != nil {
		expires, days = stamp(j.Expiry.At), strconv.Itoa(daysLeft(j.Expiry.At, h.now))
	}
	if c := j.Certificate; c != nil {
		words := make([]string, len(c.Names))
		for i, n := range c.Names {
			words[i] = word(n)
		}
		names, key, serial, sha = strings.Join(words, " "), c.Key, c.Serial, c.SHA256.String()
	}
	var trust, revocation string
	if j.Verdict != nil {
		trust, revocation = string(j.Verdict.Trust.Status), j.Verdict.Revocation.Status
	}
	status := statusWord(e, r.Judgement.Findings)
	if o.Offer != inventory.OfferDefault {
		status = word(string(o.Offer)) + ": " + status
	}
	return append(row,
		field(t.Host), strconv.Itoa(int(t.Port)), field(string(t.Protocol)), field(o.Address), field(o.Location),
		expires, days, field(issuerName(j.Certificate)),
		field(t.Labels["owner"]), field(t.Labels["environment"]), field(t.Labels["platform"]),
		field(names), field(key), field(serial), sha, field(trust), field(revocation),
		field(status), field(codes(j.Findings, r.Judgement.Findings)), field(otherLabels(t.Labels)))
}

// otherLabels are those that have no column of their own: "cost=7; team=checkout".
func otherLabels(labels map[string]string) string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if k != "owner" && k != "environment" && k != "platform" {
			list = append(list, k+"="+labels[k])
		}
	}
	return strings.Join(list, "; ")
}

// field makes text safe as a cell of a spreadsheet: control characters become
// visible, and what a spreadsheet would take for a formula gets an apostrophe
// in front. That includes text behind a semicolon, which separates cells in
// many locales whatever the file says.
func field(s string) string {
	disarmed := s
	if isFormula(s) {
		disarmed = "'" + s
	}
	if strings.ContainsRune(s, ';') {
		parts := strings.Split(disarmed, ";")
		for i := 1; i < len(parts); i++ {
			if isFormula(parts[i]) {
				parts[i] = "'" + parts[i]
			}
		}
		disarmed = strings.Join(parts, ";")
	}
	disarmed = inventory.Clean(disarmed)
	if len(disarmed) > maxCell {
		cut := maxCell
		for !utf8.RuneStart(disarmed[cut]) {
			cut--
		}
		disarmed = disarmed[:cut] + "…"
	}
	return disarmed
}

// maxCell bounds a cell in bytes: spreadsheets spill more than 32,767 characters
// into the cells below.
const maxCell = 32_000

// isFormula reports whether a spreadsheet might calculate s. Quotes and blanks
// in front do not stop it, nor does the full width of the sign.
func isFormula(s string) bool {
	if s == "" {
		return false
	}
	if s[0] == '\t' || s[0] == '\r' || s[0] == '\n' {
		return true
	}
	r, _ := utf8.DecodeRuneInString(strings.TrimLeft(s, " \t\r\n\v\f\u00a0\""))
	switch r {
	case '=', '+', '-', '@', '＝', '＋', '－', '＠':
		return true
	}
	return false
}
