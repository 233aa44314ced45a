package report

import (
	"bufio"
	"cmp"
	"io"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// tableHandler keeps a compact form of every target, because what expires next
// comes first, and writes it all at the end. On a terminal a target that is not
// the same everywhere becomes a heading with its addresses below; in a pipe each
// row stands for itself and no cell but the last has a blank in it.
type tableHandler struct {
	w       *bufio.Writer
	opt     Options
	targets []tableTarget
	words   map[string]string // one copy of each status and issuer
	rows    []tableRow        // of the target at hand
}

// unknown is the expiry of what has none. It sorts last.
const unknown = math.MaxInt64

type tableTarget struct {
	key      string
	expires  int64 // Unix seconds of the effective expiry, or unknown
	worst    inventory.Severity
	own      string             // codes of the target's own findings
	ownWorst inventory.Severity // and the gravest of them
	lines    []tableLine
	messages []message
}

// A tableLine is what is kept of a tableRow.
type tableLine struct {
	label   string // which endpoints, as it will be printed
	telling bool   // the label says more than the target does
	expires int64
	status  string
	issuer  string
	worst   inventory.Severity
}

// A tableRow is one or several endpoints of a target that gave the same.
type tableRow struct {
	addresses []string
	locations []string
	offer     inventory.Offer
	leaf      inventory.Fingerprint
	expires   int64
	status    string
	issuer    string
	worst     inventory.Severity
}

func newTable(w io.Writer, opt Options) *tableHandler {
	return &tableHandler{w: bufio.NewWriter(w), opt: opt, words: map[string]string{}}
}

func (h *tableHandler) intern(s string) string {
	if known, ok := h.words[s]; ok {
		return known
	}
	h.words[s] = s
	return s
}

func (h *tableHandler) Result(r inventory.Result) error {
	t := tableTarget{
		key: inventory.Clean(r.Target.Key()), expires: unknown,
		own: h.intern(codes(r.Judgement.Findings)), ownWorst: worst(r.Judgement.Findings),
	}
	t.worst = t.ownWorst
	if r.Judgement.Expiry != nil {
		t.expires = r.Judgement.Expiry.At.Unix()
	}
	h.rows = h.rows[:0]
	for _, e := range r.Endpoints {
		if w := worst(e.Judgement.Findings); graver(w, t.worst) {
			t.worst = w
		}
		if worthARow(r, e) {
			h.rows = mergeRow(h.rows, h.row(e))
		}
	}
	t.messages = messagesOf(r, t.key)
	if h.opt.OnlyProblems && !t.worst.AtLeast(inventory.Warning) && len(t.messages) == 0 {
		return nil // what is waived is never hidden
	}
	slices.SortStableFunc(h.rows, compareRows)
	t.lines = make([]tableLine, len(h.rows))
	for i := range h.rows {
		row := &h.rows[i]
		label := row.address()
		if h.terminal() {
			label = row.label()
		}
		t.lines[i] = tableLine{label, len(row.addresses) > 1 || row.special(), row.expires, row.status, row.issuer, row.worst}
	}
	h.targets = append(h.targets, t)
	return nil
}

// worthARow reports whether e says anything that the default offer to the same
// address does not: another leaf, or other findings.
func worthARow(r inventory.Result, e inventory.Endpoint) bool {
	o := &e.Observation
	if o.Offer == inventory.OfferDefault {
		return true
	}
	for i := range r.Endpoints {
		d := &r.Endpoints[i]
		if p := &d.Observation; p.Offer != inventory.OfferDefault || p.Address != o.Address || p.Location != o.Location {
			continue
		}
		if c := codes(e.Judgement.Findings); c != "" && c != codes(d.Judgement.Findings) {
			return true
		}
		return e.Judgement.Certificate != nil && otherLeaf(d, &e)
	}
	return true
}

// otherLeaf reports whether a and b have different certificates, or one has
// none.
func otherLeaf(a, b *inventory.Endpoint) bool {
	ca, cb := a.Judgement.Certificate, b.Judgement.Certificate
	if ca == nil || cb == nil {
		return ca != cb
	}
	return ca.SHA256 != cb.SHA256
}

func (h *tableHandler) row(e inventory.Endpoint) tableRow {
	j := e.Judgement
	row := tableRow{
		offer: e.Observation.Offer, expires: unknown, worst: worst(j.Findings),
		status: codes(j.Findings), issuer: h.intern(issuerName(j.Certificate)),
	}
	if row.status == "" {
		row.status = verdictWord(e)
	}
	row.status = h.intern(row.status)
	if e.Observation.Address != "" {
		row.addresses = []string{inventory.Clean(e.Observation.Address)}
	}
	if l := e.Observation.Location; l != inventory.LocalLocation && l != "" {
		row.locations = []string{h.intern(word(l))}
	}
	if j.Certificate != nil {
		row.leaf = j.Certificate.SHA256
	}
	if j.Expiry != nil {
		row.expires = j.Expiry.At.Unix()
	}
	return row
}

// mergeRow adds row to the one that says the same, if there is one.
func mergeRow(rows []tableRow, row tableRow) []tableRow {
	for i := range rows {
		o := &rows[i]
		if o.leaf == row.leaf && o.offer == row.offer && o.status == row.status && o.expires == row.expires {
			o.addresses = union(o.addresses, row.addresses)
			o.locations = union(o.locations, row.locations)
			return rows
		}
	}
	return append(rows, row)
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// compareRows puts problems first, then what expires next.
func compareRows(a, b tableRow) int {
	return cmp.Or(rank(a.worst)-rank(b.worst), cmp.Compare(a.expires, b.expires),
		cmp.Compare(strings.Join(a.addresses, ","), strings.Join(b.addresses, ",")), cmp.Compare(a.offer, b.offer))
}

func compareTargets(a, b tableTarget) int {
	return cmp.Or(rank(a.worst)-rank(b.worst), cmp.Compare(a.expires, b.expires), cmp.Compare(a.key, b.key))
}

// rank groups severities for sorting: what is only information is no problem.
func rank(s inventory.Severity) int {
	switch s {
	case inventory.Critical:
		return 0
	case inventory.Warning:
		return 1
	}
	return 2
}

func (h *tableHandler) Close(info inventory.ScanInfo, sum inventory.Summary) error {
	slices.SortFunc(h.targets, compareTargets)
	if len(h.targets) > 0 {
		if err := h.grid().write(h.all()); err != nil {
			return err
		}
	}
	h.messages(sum.Findings)
	h.summary(info, sum)
	return h.w.Flush()
}

func (h *tableHandler) terminal() bool { return h.opt.Width > 0 }

func (h *tableHandler) grid() *grid {
	g := &grid{w: h.w, width: h.opt.Width, color: h.opt.Color}
	if h.terminal() {
		g.columns = []column{
			{name: "TARGET", fair: 30, min: 20, cut: cutTarget},
			{name: "EXPIRES"},
			{name: "LEFT", right: true},
			{name: "STATUS", fair: 19, min: 12, cut: cutList},
			{name: "ISSUER", fair: 9, min: 4, cut: cutEnd},
		}
		return g
	}
	g.columns = []column{
		{name: "TARGET"}, {name: "ADDRESS"}, {name: "EXPIRES"}, {name: "DAYS", right: true}, {name: "STATUS"}, {name: "ISSUER"},
	}
	return g
}

// cutTarget keeps the number of addresses whole and the indentation.
func cutTarget(s string, w int) string {
	if i := strings.LastIndex(s, " ("); i > 0 && w-width(s[i:]) > 8 {
		return cutMiddle(s[:i], w-width(s[i:])) + s[i:]
	}
	return cutMiddle(s, w)
}

func (h *tableHandler) all() iter.Seq[[]cell] {
	return func(yield func([]cell) bool) {
		for i := range h.targets {
			for row := range h.rowsOf(&h.targets[i]) {
				if !yield(row) {
					return
				}
			}
		}
	}
}

// rowsOf is the rows of one target: one if its views agree with it, else one
// for the target as a whole and one for each that differs.
func (h *tableHandler) rowsOf(t *tableTarget) iter.Seq[[]cell] {
	return func(yield func([]cell) bool) {
		key := strings.ReplaceAll(t.key, " ", `\x20`)
		switch {
		case len(t.lines) == 0:
			status := t.own
			if status == "" {
				status = "not_examined"
			}
			yield(h.cells(key, "-", t.expires, status, "", t.ownWorst))
			return
		case len(t.lines) == 1 && (t.expires == unknown || t.lines[0].expires == t.expires):
			l := &t.lines[0]
			name := key
			if h.terminal() && l.telling {
				name += " (" + l.label + ")"
			}
			status, w := l.status, l.worst
			if t.own != "" {
				status, w = joinStatus(l, t), t.worst
			}
			yield(h.cells(name, l.label, l.expires, status, l.issuer, w))
			return
		}
		if !yield(h.cells(key, "*", t.expires, t.heading(), "", t.worst)) {
			return
		}
		for i := range t.lines {
			l := &t.lines[i]
			name := key
			if h.terminal() {
				name = "  " + l.label
			}
			if !yield(h.cells(name, l.label, l.expires, l.status, l.issuer, l.worst)) {
				return
			}
		}
	}
}

// heading is the status of a target that has several lines: its own findings, and
// the gravest of the lines if that is graver.
func (t *tableTarget) heading() string {
	grave := tableLine{}
	for _, l := range t.lines {
		if graver(l.worst, grave.worst) {
			grave = l
		}
	}
	first, _, _ := strings.Cut(grave.status, " ")
	switch {
	case t.own == "" && first == "":
		return "-"
	case t.own == "":
		return first
	case graver(grave.worst, t.ownWorst):
		return first + " " + t.own
	}
	return t.own
}

// joinStatus joins the codes of a target with those of its only line, gravest
// first. What the target has found outdoes an "ok".
func joinStatus(l *tableLine, t *tableTarget) string {
	if l.status == "ok" {
		return t.own
	}
	if graver(l.worst, t.ownWorst) {
		return l.status + " " + t.own
	}
	return t.own + " " + l.status
}

// cells is one line of the table; address stands in it only where there is no
// terminal.
func (h *tableHandler) cells(target, address string, expires int64, status, issuer string, w inventory.Severity) []cell {
	when, days := "-", "-"
	if expires != unknown {
		at := time.Unix(expires, 0)
		when, days = date(at), strconv.Itoa(daysLeft(at, h.opt.Now))
		if h.terminal() {
			days = left(at, h.opt.Now)
		}
	}
	st := cell{status, statusStyle(w, status)}
	if !h.terminal() {
		if issuer == "" {
			issuer = "-"
		}
		st.text = strings.ReplaceAll(status, " ", ",")
		return []cell{{target, plain}, {address, plain}, {when, plain}, {days, plain}, st, {issuer, plain}}
	}
	soon := plain
	if strings.HasPrefix(days, "-") && days != "-" {
		soon = red
	}
	return []cell{{target, plain}, {when, soon}, {days, soon}, st, {issuer, dim}}
}

// special reports whether the row is not simply what the process itself sees
// when it asks like an ordinary client.
func (r *tableRow) special() bool { return r.offer != inventory.OfferDefault || len(r.locations) > 0 }

// label names the row's endpoints for people: "3 addresses, rsa, fra1".
func (r *tableRow) label() string {
	var parts []string
	switch len(r.addresses) {
	case 0:
		parts = append(parts, "no address")
	case 1:
		parts = append(parts, r.addresses[0])
	default:
		parts = append(parts, plural(len(r.addresses), "address", "addresses"))
	}
	if r.offer != inventory.OfferDefault {
		parts = append(parts, word(string(r.offer)))
	}
	if len(r.locations) > 2 {
		parts = append(parts, plural(len(r.locations), "location", "locations"))
	} else {
		parts = append(parts, r.locations...)
	}
	return strings.Join(parts, ", ")
}

// address names them for programs: "192.0.2.7,192.0.2.8/rsa@fra1,ams1".
func (r *tableRow) address() string {
	s := strings.Join(r.addresses, ",")
	if s == "" {
		s = "-"
	}
	if r.offer != inventory.OfferDefault {
		s += "/" + word(string(r.offer))
	}
	if len(r.locations) > 0 {
		s += "@" + strings.Join(r.locations, ",")
	}
	return s
}
