package report

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"example.com/certscan/internal/inventory"
)

// maxNames is how many names of a certificate a tree lists.
const maxNames = 30

// Tree draws a certificate: what it says, the chain it was served with, and
// every path that each trust store found from it. [Options.Lookup] tells what
// the certificates are that were not served.
func Tree(w io.Writer, leaf inventory.Certificate, chain []inventory.Certificate, stores []inventory.StoreVerdict, opt Options) error {
	t := &tree{w: bufio.NewWriter(w), opt: opt.withDefaults(), served: map[inventory.Fingerprint]inventory.Certificate{}}
	t.served[leaf.SHA256] = leaf
	for _, c := range chain {
		t.served[c.SHA256] = c
	}
	t.certificate(leaf)
	t.chain(leaf, chain)
	for _, s := range stores {
		t.store(s)
	}
	return t.w.Flush()
}

type tree struct {
	w      *bufio.Writer
	opt    Options
	served map[inventory.Fingerprint]inventory.Certificate
}

func (t *tree) paint(s string, st style) string { return paint(s, st, t.opt.Color) }

// fact is one line, or several, of what a certificate says.
func (t *tree) fact(name, value string) {
	if value == "" {
		return
	}
	const indent = 14
	for i, line := range wrap(value, t.opt.Width-indent) {
		label := ""
		if i == 0 {
			label = name
		}
		fmt.Fprintf(t.w, "  %s  %s\n", t.paint(fmt.Sprintf("%-10s", label), dim), line)
	}
}

func (t *tree) certificate(c inventory.Certificate) {
	fmt.Fprintln(t.w, t.paint(subjectName(c), bold))
	text := func(s string) string { return inventory.CleanCut(s, maxText) }
	if c.ParseError != "" {
		t.fact("malformed", text(c.ParseError))
	}
	t.fact("subject", text(c.Subject))
	t.fact("issuer", text(c.Issuer))
	names := make([]string, 0, min(len(c.Names), maxNames)+1)
	for _, n := range c.Names[:min(len(c.Names), maxNames)] {
		names = append(names, word(n))
	}
	if more := len(c.Names) - maxNames; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	t.fact("names", strings.Join(names, " "))
	if !c.NotBefore.IsZero() || !c.NotAfter.IsZero() {
		t.fact("valid", fmt.Sprintf("%s to %s UTC, %s long", minute(c.NotBefore), minute(c.NotAfter), span(c.Lifetime())))
		t.fact("", t.remaining(c))
	}
	t.fact("key", text(c.Key))
	t.fact("signature", text(c.Signature))
	t.fact("serial", text(c.Serial))
	t.fact("sha256", c.SHA256.String())
	t.fact("spki", c.SPKI.String())
	var marks []string
	for _, m := range []struct {
		is   bool
		text string
	}{{c.IsCA, "certificate authority"}, {c.SelfIssued, "issued by itself"}, {c.Precert, "precertificate"}, {c.MustStaple, "must staple"}} {
		if m.is {
			marks = append(marks, m.text)
		}
	}
	t.fact("marks", strings.Join(marks, ", "))
	for _, u := range []struct {
		name string
		urls []string
	}{{"issuer at", c.IssuerURLs}, {"OCSP", c.OCSPURLs}, {"CRL", c.CRLURLs}} {
		for _, url := range u.urls[:min(len(u.urls), maxNames)] {
			t.fact(u.name, text(url))
		}
	}
}

// remaining is where now stands in the lifetime of c.
func (t *tree) remaining(c inventory.Certificate) string {
	now := t.opt.Now
	switch {
	case now.After(c.NotAfter):
		return t.paint("expired "+span(now.Sub(c.NotAfter))+" ago", red)
	case now.Before(c.NotBefore):
		return t.paint("not valid for another "+span(c.NotBefore.Sub(now)), red)
	}
	return span(c.NotAfter.Sub(now)) + " left"
}

func (t *tree) chain(leaf inventory.Certificate, chain []inventory.Certificate) {
	fmt.Fprintf(t.w, "\n%s\n", t.paint("Chain", bold))
	for i, c := range append([]inventory.Certificate{leaf}, chain...) {
		fmt.Fprintf(t.w, "  %d  %s  %s\n", i, subjectName(c), t.paint(t.about(c), dim))
	}
}

// about is a certificate in one phrase.
func (t *tree) about(c inventory.Certificate) string {
	if c.ParseError != "" {
		return "malformed, sha256 " + t.opt.print(c.SHA256)
	}
	when := "until "
	if t.opt.Now.After(c.NotAfter) {
		when = "expired on "
	}
	return fmt.Sprintf("%s%s, %s, sha256 %s", when, date(c.NotAfter), inventory.CleanCut(c.Key, maxText), t.opt.print(c.SHA256))
}

func (t *tree) store(s inventory.StoreVerdict) {
	st := green
	if s.Status != inventory.Trusted {
		st = red
	}
	name := inventory.CleanCut(s.Name, maxText)
	if s.Date != "" {
		name += " (" + word(s.Date) + ")"
	}
	fmt.Fprintf(t.w, "\n%s %s", t.paint("Store "+name, bold), t.paint(word(string(s.Status)), st))
	t.w.WriteByte('\n')
	if s.Detail != "" {
		for _, line := range wrap(inventory.CleanCut(s.Detail, maxText), t.opt.Width-2) {
			fmt.Fprintf(t.w, "  %s\n", line)
		}
	}
	if len(s.Paths) == 0 {
		fmt.Fprintln(t.w, "  no path to an anchor")
	}
	for i, p := range s.Paths {
		if len(s.Paths) > 1 {
			label := "Path " + strconv.Itoa(i+1)
			if i == 0 {
				label += ", the best"
			}
			fmt.Fprintf(t.w, "  %s\n", t.paint(label, dim))
		}
		for depth, f := range p {
			t.node(depth, f, depth == len(p)-1)
		}
	}
}

// node draws one certificate of a path below the one that it issued.
func (t *tree) node(depth int, f inventory.Fingerprint, last bool) {
	branch := ""
	if depth > 0 {
		branch = strings.Repeat("   ", depth-1) + "└─ "
	}
	name, about := "sha256 "+t.opt.print(f), ""
	c, known := t.served[f]
	if !known {
		if c, known = t.opt.Lookup(f); known {
			about = ", not served"
		}
	}
	if known {
		name, about = subjectName(c), t.about(c)+about
	} else {
		about = "not served"
	}
	if last && depth > 0 {
		about = "anchor, " + strings.TrimSuffix(about, ", not served")
	}
	fmt.Fprintf(t.w, "  %s%s  %s\n", branch, name, t.paint(about, dim))
}
