package report

import (
	"bufio"
	"encoding/csv"
	"io"
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
		"platform", "names", "key", "serial", "sha256", "trust", "revocation", "status", "findings",
	}
}

// csvHandler writes one row per address, and one more for each offer that says
// something else. It keeps nothing (RFC 4180).
type csvHandler struct {
	out    *bufio.Writer
	w      *csv.Writer
	now    time.Time
	header bool // was written
	row    []string
	flush  time.Time // of the last flush
}

func newCSV(w io.Writer, opt Options) *csvHandler {
	out := bufio.NewWriterSize(w, 64<<10)
	cw := csv.NewWriter(out)
	cw.UseCRLF = true
	return &csvHandler{out: out, w: cw, now: opt.Now, flush: time.Now()}
}

func (h *csvHandler) start() error {
	if h.header {
		return nil
	}
	h.header = true
	return h.w.Write(csvColumns())
}

func (h *csvHandler) Result(r inventory.Result) error {
	if err := h.start(); err != nil {
		return err
	}
	for _, e := range r.Endpoints {
		if !inCSV(r, e) {
			continue
		}
		h.row = h.appendRow(h.row[:0], r, e)
		if err := h.w.Write(h.row); err != nil {
			return err
		}
	}
	if time.Since(h.flush) < flushEvery {
		return nil
	}
	h.flush = time.Now()
	return h.flushAll()
}

func (h *csvHandler) Close(inventory.ScanInfo, inventory.Summary) error {
	if err := h.start(); err != nil {
		return err
	}
	return h.flushAll()
}

func (h *csvHandler) flushAll() error {
	h.w.Flush()
	if err := h.w.Error(); err != nil {
		return err
	}
	return h.out.Flush()
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
		field(status), field(codes(j.Findings, r.Judgement.Findings)))
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
