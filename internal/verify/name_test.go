package verify_test

import (
	"crypto/x509"
	"net"
	"strings"
	"testing"

	"example.com/certscan/internal/inventory"
)

// FuzzName compares the matcher with crypto/x509, which is as strict but for
// hosts that no target can have.
func FuzzName(f *testing.F) {
	f.Add("*.shop.example", "www.shop.example")
	f.Add("www.shop.example", "WWW.shop.example.")
	f.Add("*", "localhost")
	f.Add("192.0.2.7", "192.0.2.7")
	root := newRoot(f, "Root")
	j := newJudge(f, storeOf("test", false, root))
	f.Fuzz(func(t *testing.T, pattern, host string) {
		template := leafTemplate(t)
		template.DNSNames = []string{pattern}
		if pattern == "" || strings.ContainsFunc(pattern, func(r rune) bool { return r >= 0x80 }) {
			return
		}
		der := sign(t, template, root, root.key).Raw
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		facts := factsOf([][]byte{der})
		facts.Target.Host = host
		got, _ := j.Judge(facts, nil, now)
		matched := got.Verdict.Name.Status == inventory.NameMatch
		if !hostLike(host) || net.ParseIP(host) != nil {
			if matched && host == "" {
				t.Errorf("%q matches nothing", pattern)
			}
			return
		}
		if want := c.VerifyHostname(host) == nil; matched != want {
			t.Errorf("%q for %q: match %t, the library says %t", pattern, host, matched, want)
		}
	})
}

// hostLike: labels of letters, digits and hyphens, as targets have.
func hostLike(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
			strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return true
}
