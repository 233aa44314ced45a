package report

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

const day = 24 * time.Hour

// daysLeft is the number of whole days until at, or, negative, since then: -1
// from the moment of expiry, because 0 is the last day on which all is well.
func daysLeft(at, now time.Time) int {
	d := at.Sub(now)
	if n := int(d / day); d >= 0 || n < 0 {
		return n
	}
	return -1
}

// left is daysLeft for people: "28d", hours in the last two days and minutes in
// the last hour.
func left(at, now time.Time) string {
	switch d := at.Sub(now); {
	case d >= 0 && d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d >= 0 && d < 2*day:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(daysLeft(at, now)) + "d"
}

// seconds is t as every format prints it: UTC, whole seconds.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// date is the day of t in UTC, or "-" if t is unknown.
func date(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

// minute is t to the minute in UTC, or "-" if t is unknown.
func minute(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04")
}

// moment is t for a table: to the minute on a terminal, else in RFC 3339.
func (o Options) moment(t time.Time) string {
	if o.Width == 0 {
		return stamp(t)
	}
	return minute(t)
}

// stamp is t in RFC 3339, or "" if t is unknown.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return seconds(t).Format(time.RFC3339)
}

// span is a duration for people, in its two largest units at most.
func span(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < 0:
		return "-" + span(-d)
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < time.Hour:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	case d < 2*day:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	}
	return strconv.Itoa(int(d/day)) + "d"
}

// issuerName is a short name of who issued c: its common name, with the
// organization in front unless the common name says it already.
func issuerName(c *inventory.Certificate) string {
	if c == nil {
		return ""
	}
	cn, org := inventory.CleanCut(c.IssuerCN, maxText), inventory.CleanCut(c.IssuerOrg, maxText)
	switch {
	case cn == "" && org == "":
		return inventory.CleanCut(c.Issuer, maxText)
	case cn == "":
		return org
	case org == "":
		return cn
	}
	first, _, _ := strings.Cut(org, " ")
	if strings.Contains(strings.ToLower(cn), strings.ToLower(first)) {
		return cn
	}
	return org + " " + cn
}

// subjectName is a short name of c.
func subjectName(c inventory.Certificate) string {
	switch {
	case c.SubjectCN != "":
		return inventory.CleanCut(c.SubjectCN, maxText)
	case c.Subject != "":
		return inventory.CleanCut(c.Subject, maxText)
	case len(c.Names) > 0:
		return inventory.CleanCut(c.Names[0], maxText)
	}
	return "sha256 " + short(c.SHA256)
}

// short is the start of a fingerprint, enough to look it up by.
func short(f inventory.Fingerprint) string {
	if f.IsZero() {
		return "-"
	}
	return f.String()[:16]
}

// print is f for a table: on a terminal no longer than it takes to name it.
func (o Options) print(f inventory.Fingerprint) string {
	if o.Width == 0 || f.IsZero() {
		return short(f)
	}
	return f.String()[:inventory.MinDigest]
}

// worst is the gravest severity among findings that count, "" if none does.
func worst(lists ...[]inventory.Finding) inventory.Severity {
	var w inventory.Severity
	for _, l := range lists {
		for _, f := range l {
			if f.Counts() && (w == "" || inventory.CompareSeverity(f.Severity, w) < 0) {
				w = f.Severity
			}
		}
	}
	return w
}

// graver reports whether a is worse than b; "" is no finding at all.
func graver(a, b inventory.Severity) bool {
	return a != "" && (b == "" || inventory.CompareSeverity(a, b) < 0)
}

// codes lists the codes of findings as words, gravest first and each once;
// those that do not count stand last, marked.
func codes(lists ...[]inventory.Finding) string {
	all := slices.Concat(lists...)
	if len(all) == 0 {
		return ""
	}
	slices.SortStableFunc(all, func(a, b inventory.Finding) int {
		if a.Counts() != b.Counts() {
			if a.Counts() {
				return -1
			}
			return 1
		}
		return inventory.CompareSeverity(a.Severity, b.Severity)
	})
	words := make([]string, 0, len(all))
	for _, f := range all {
		if c := codeWord(f); !slices.Contains(words, c) {
			words = append(words, c)
		}
	}
	return strings.Join(words, " ")
}

// codeWord is the code of f, with its rule if it has one.
func codeWord(f inventory.Finding) string {
	c := word(string(f.Code))
	if f.Rule != "" {
		c += ":" + word(f.Rule)
	}
	switch {
	case f.Waived != nil:
		c += "(waived)"
	case f.Ignored != "":
		c = "ignored:" + c
	}
	return c
}

// served reports whether e showed a certificate in this examination.
func served(e inventory.Endpoint) bool {
	return e.Judgement.Certificate != nil && e.Judgement.LastSeen.IsZero()
}

// verdictWord is the first fact about e that is not good, or "ok". It is for
// endpoints without findings: that nobody complained does not make them good.
func verdictWord(e inventory.Endpoint) string {
	v := e.Judgement.Verdict
	switch {
	case e.Observation.Reach.Status != inventory.ReachOK:
		return word(string(e.Observation.Reach.Status))
	case v == nil || !served(e):
		return "no_certificate"
	case v.Time.Status != inventory.TimeValid:
		return word(v.Time.Status)
	case v.Name.Status != inventory.NameMatch:
		return qualified("name", v.Name.Status)
	case v.Trust.Status != inventory.Trusted:
		return qualified("trust", string(v.Trust.Status))
	case v.Revocation.Status == "revoked":
		return "revoked"
	}
	return "ok"
}

// qualified says of what a bare status such as not_checked is.
func qualified(fact, status string) string {
	if status == "" || status == inventory.NotChecked {
		return fact + "_not_checked"
	}
	return word(status)
}

// statusWord is e in one word for a column to filter on: how the connection
// ended if that gave no certificate, else the gravest finding of e or of its
// target, else [verdictWord].
func statusWord(e inventory.Endpoint, target []inventory.Finding) string {
	if !served(e) && e.Observation.Reach.Status != inventory.ReachOK {
		return word(string(e.Observation.Reach.Status))
	}
	if w := worst(e.Judgement.Findings, target); w.AtLeast(inventory.Warning) {
		first, _, _ := strings.Cut(codes(e.Judgement.Findings, target), " ")
		return first
	}
	return verdictWord(e)
}

// statusStyle colours a status by the gravest finding behind it.
func statusStyle(w inventory.Severity, status string) style {
	switch {
	case w == inventory.Critical:
		return red
	case w == inventory.Warning:
		return yellow
	case status == "ok":
		return green
	case status == "-" || strings.HasPrefix(status, "ignored:") || strings.HasSuffix(status, "(waived)"):
		return dim
	}
	return plain
}
