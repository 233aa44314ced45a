package verify

import (
	"errors"
	"fmt"
	"strings"

	"example.com/certscan/internal/inventory"
)

// leafDefects are those of the certificate at the near end of a path.
func leafDefects(d []defect, leaf *cert) []defect {
	if leaf.flaw != "" {
		d = append(d, defect{inventory.TrustMalformed, leaf.flaw})
	}
	if !leaf.ext.allowsServerAuth() {
		d = append(d, defect{inventory.TrustBadEKU, "the certificate is not for TLS servers"})
	}
	return criticalDefects(d, leaf, "the certificate")
}

func criticalDefects(d []defect, c *cert, who string) []defect {
	critical := c.ext.critical
	if has, crit := c.ext.has(oidMSPolicies); has && crit && !c.ext.hasEKU {
		// Application policies stand in for the EKU; beside one they add nothing.
		critical = append(critical[:len(critical):len(critical)], oidString([]byte(oidMSPolicies)))
	}
	if len(critical) == 0 {
		return d
	}
	return append(d, defect{
		inventory.TrustUnhandledCritical,
		fmt.Sprintf("%s has a critical extension that is not understood: %s", who, cutText(strings.Join(critical, ", "), 100)),
	})
}

// edgeDefects are those that come from issuer as the issuer of the last
// certificate of the path (RFC 5280, section 6.1.4). What an anchor says about
// itself is held against it, as crypto/x509 and OpenSSL do.
func (w *walk) edgeDefects(d []defect, issuer *cert, isAnchor bool) []defect {
	x, who := &issuer.ext, ""
	name := func() string { // not worth formatting for a good path
		if who == "" {
			who = issuer.called()
		}
		return who
	}
	add := func(s inventory.TrustStatus, format string, args ...any) {
		d = append(d, defect{s, fmt.Sprintf(format, args...)})
	}
	if issuer.flaw != "" {
		add(inventory.TrustMalformed, "%s is malformed: %s", name(), issuer.flaw)
	}
	if top := w.top(); top.alg.weak() {
		add(inventory.TrustWeakSignature, "%s is signed with %s", top.called(), top.alg.label)
	}
	switch oldAnchor := isAnchor && issuer.version < 3 && !x.hasBC; {
	case !x.isCA && !oldAnchor:
		add(inventory.TrustNotACA, "%s is not a CA but issued a certificate of the path", name())
	case x.hasKU && x.keyUsage&usageKeyCertSign == 0:
		add(inventory.TrustNotACA, "%s may not sign certificates by its key usage", name())
	}
	if x.pathLen >= 0 {
		below := 0
		for _, c := range w.path[1:] {
			if !c.info.SelfIssued {
				below++
			}
		}
		if below > x.pathLen {
			add(inventory.TrustPathLength, "%s allows %d intermediates below it, and there are %d", name(), x.pathLen, below)
		}
	}
	if !x.allowsServerAuth() {
		add(inventory.TrustBadEKU, "%s may not issue for TLS servers by its extended key usage", name())
	}
	if x.constraints != nil {
		if err := w.checkConstraints(x.constraints); errors.Is(err, errLimit) {
			w.limited = true
			add(inventory.TrustLimitExceeded, "the name constraints of %s: %v", name(), err)
		} else if err != nil {
			add(inventory.TrustNameConstraint, "the name constraints of %s: %v", name(), err)
		}
	}
	if len(x.seen) > 0 {
		d = criticalDefects(d, issuer, "an issuer")
	}
	return d
}

// checkConstraints applies constraints to all below: self-issued intermediates
// are exempt, the leaf never is.
func (w *walk) checkConstraints(n *nameConstraints) error {
	k := constraintCheck{left: min(maxComparisons, w.comparisons)}
	defer func(start int) { w.comparisons -= start - k.left }(k.left)
	for i, c := range w.path {
		if i > 0 && c.info.SelfIssued {
			continue
		}
		if err := k.violated(n, c); err != nil {
			return err
		}
	}
	return nil
}
