package alerts

import (
	"strings"

	"example.com/certscan/internal/inventory"
)

// A findingAlert tells of open findings. Its severity is theirs, because policy
// may change it.
type findingAlert struct {
	name  string
	codes []inventory.Code
	hold  string // beyond the confirmation that certscan asks for itself
	is    string // what is wrong, after "target: "
	means string // what that does, and what to do first

	views   bool // the message lists which address serves what
	perRule bool // the code stands for many rules: one alert, whose value is how many are broken
}

// A findingGroup is the alerts of one concern.
type findingGroup struct {
	name   string
	alerts []findingAlert
}

// findingGroups is every code that is about a target, but those that are told
// from timestamps: expired, expiring, chain_expiring, renewal_overdue.
func findingGroups() []findingGroup {
	return []findingGroup{
		{"certscan-deployment", deploymentAlerts()},
		{"certscan-validity", validityAlerts()},
		{"certscan-revocation", revocationAlerts()},
		{"certscan-keys", keyAlerts()},
		{"certscan-reach", reachAlerts()},
	}
}

func deploymentAlerts() []findingAlert {
	return []findingAlert{
		{
			name: "CertificateNotDeployed", codes: []inventory.Code{inventory.CodeNotDeployed}, views: true,
			is:    "a renewed certificate is not served anywhere",
			means: "It was issued, and every address still serves the one before, which will expire. Do not renew again: install what there is and reload.",
		},
		{
			name: "CertificatePartiallyDeployed", codes: []inventory.Code{inventory.CodePartiallyDeployed}, views: true,
			is:    "a renewed certificate is served by some addresses only",
			means: "The others still serve the one before, which will expire. Install it there and reload.",
		},
		{
			name: "CertificateRolledBack", codes: []inventory.Code{inventory.CodeRolledBack, inventory.CodeRenewalFlapping}, views: true,
			is:    "an older certificate is served again",
			means: "A renewed certificate was seen and is gone, or both come in turn. Something restores an old configuration, or a node was started from an old image.",
		},
		{
			name: "CertificateRenewalBroke", codes: []inventory.Code{inventory.CodeChainBroken, inventory.CodeNameLost}, views: true,
			is:    "the renewed certificate is worse than the one before",
			means: "Since the renewal its chain does not verify, or a name is missing that the one before had. Clients fail now.",
		},
		{
			name: "CertificatesDisagree", codes: []inventory.Code{inventory.CodeAddressesDisagree, inventory.CodeLocationsDisagree}, views: true, hold: "1h",
			is:    "addresses or locations see different certificates",
			means: "For an hour it has depended on the address, or on where one looks from, which certificate is served: longer than a rollout takes. Probably a node was forgotten.",
		},
		{
			name: "CertificateUnexpected", codes: []inventory.Code{inventory.CodeUnexpectedIssuer, inventory.CodeKeyReused, inventory.CodeDefaultCertificateDiffers},
			is:    "the certificate is not the one that was expected",
			means: "Another CA issued it, it has the key of the one before, or clients without a server name get another one. Find out whether somebody meant that.",
		},
	}
}

func validityAlerts() []findingAlert {
	return []findingAlert{
		{
			name: "CertificateNotYetValid", codes: []inventory.Code{inventory.CodeNotYetValid},
			is:    "the certificate is not valid yet",
			means: "It begins in the future: it was installed too early, or a clock is wrong.",
		},
		{
			name: "CertificateNameMismatch",
			codes: []inventory.Code{
				inventory.CodeNameMismatch, inventory.CodeNoSAN, inventory.CodeMalformedSAN,
				inventory.CodeWildcardPublicSuffix, inventory.CodeCNNotInSAN,
			},
			is:    "the certificate is not for this name",
			means: "Clients that ask for the name refuse what they get. Install the right certificate, or have one issued with the name.",
		},
		{
			name: "CertificateUntrusted",
			codes: []inventory.Code{
				inventory.CodeSelfSigned, inventory.CodeUntrustedRoot, inventory.CodeUnknownIssuer, inventory.CodeDistrustedRoot,
				inventory.CodeAnchorExpired, inventory.CodeExpiredInChain, inventory.CodeWeakSignature, inventory.CodeNameConstraint,
				inventory.CodeBadEKU, inventory.CodeNotACA, inventory.CodePathLength, inventory.CodeUnhandledCritical,
			},
			is:    "the certificate is not trusted",
			means: "No path leads from it to a root of the trust store that decides.",
		},
		{
			name:  "CertificateChainIncomplete",
			codes: []inventory.Code{inventory.CodeIncompleteChain, inventory.CodeWrongOrder, inventory.CodeExtraCertificates},
			is:    "the chain is not served as it should be",
			means: "Browsers may find the missing intermediate by themselves; curl, Java and most programs do not. Serve the full chain.",
		},
		{
			name: "CertificateMalformed", codes: []inventory.Code{inventory.CodeMalformedCertificate},
			is:    "the certificate cannot be read",
			means: "It is not what X.509 allows; clients differ in what they do with it. Have it reissued.",
		},
		{
			name: "CertificateTransparencyMissing",
			codes: []inventory.Code{
				inventory.CodeSCTMissing, inventory.CodeSCTInsufficient, inventory.CodeSCTInvalid, inventory.CodePrecertificateServed,
			},
			is:    "proofs of Certificate Transparency are missing or wrong",
			means: "Chrome and Safari refuse public certificates without enough of them.",
		},
		{
			name: "CertificateProfile", hold: "15m", perRule: true,
			codes: []inventory.Code{inventory.CodeProfile, inventory.CodeBadSerial, inventory.CodeValidityTooLong},
			is:    "the certificate breaks the rules for its kind",
			means: "It works today. The CA may have to revoke it within days: have it reissued in time.",
		},
		{
			name: "CertificatePolicyViolation", codes: []inventory.Code{"policy"}, hold: "15m",
			is:    "your policy {{ $labels.rule }} is broken",
			means: "The rule is one of your own configuration, and its message says what it wants.",
		},
	}
}

func revocationAlerts() []findingAlert {
	return []findingAlert{
		{
			name: "CertificateRevoked", codes: []inventory.Code{inventory.CodeRevoked, inventory.CodeIntermediateRevoked},
			is:    "the certificate is revoked",
			means: "It, or an intermediate that it needs, was revoked and is still served. Replace it now, with a new key if the reason is a compromise.",
		},
		{
			name: "CertificateStapleBad", hold: "15m",
			codes: []inventory.Code{inventory.CodeStapleInvalid, inventory.CodeStapleStale, inventory.CodeMustStapleMissing},
			is:    "the stapled OCSP answer is bad or missing",
			means: "Clients that look at it refuse the connection. The server does not refresh its staple, or cannot reach the responder.",
		},
		{
			name: "CertificateRevocationUnknown", hold: "6h",
			codes: []inventory.Code{inventory.CodeRevocationUnknown, inventory.CodeCRLInvalid},
			is:    "nobody can tell whether the certificate is revoked",
			means: "For six hours neither a CRL nor OCSP has given an answer that holds. Unknown is not good.",
		},
	}
}

func keyAlerts() []findingAlert {
	return []findingAlert{
		{
			name: "CertificateKeyCompromised", codes: []inventory.Code{inventory.CodeCompromisedKey},
			is:    "the private key is known to others",
			means: "Whoever has it can pretend to be this endpoint. Make a new key, replace the certificate, have the old one revoked.",
		},
		{
			name: "CertificateKeyWeak", codes: []inventory.Code{inventory.CodeWeakKey, inventory.CodeForbiddenKey, inventory.CodeCALeaf},
			is:    "the key is too weak, or of a kind that must not be used here",
			means: "Make a new key of an allowed kind and have the certificate reissued.",
		},
		{
			name: "EndpointInsecure", hold: "15m",
			codes: []inventory.Code{inventory.CodeDeprecatedTLS, inventory.CodeWeakCipher, inventory.CodeSTARTTLSInjection},
			is:    "the connection is not as safe as TLS should be",
			means: "An old version or weak suite was negotiated, or the server takes what was sent before encryption for encrypted.",
		},
	}
}

func reachAlerts() []findingAlert {
	return []findingAlert{
		{
			name: "EndpointUnreachable", hold: "5m",
			codes: []inventory.Code{
				inventory.CodeUnreachable, inventory.CodeDNSFailure, inventory.CodeHandshakeFailed, inventory.CodeNotTLS,
				inventory.CodeSTARTTLSMissing, inventory.CodeSTARTTLSRefused,
			},
			is:    "no certificate can be had",
			means: "It does not answer, or not with TLS, and the attempt was repeated before this was told. The certificate that was seen last keeps ageing.",
		},
		{
			name: "CertificateDNSFault", hold: "15m",
			codes: []inventory.Code{"caa_forbids_issuer", "caa_lookup_failed", "tlsa_mismatch", "challenge_unreachable", "stale_challenge_record"},
			is:    "DNS stands in the way of the certificate",
			means: "With these records the next renewal fails, or mail servers that use DANE refuse the present certificate.",
		},
	}
}

// findings makes rules of findingGroups.
func findings(opt Options) []group {
	var all []group
	for _, fg := range findingGroups() {
		g := group{name: fg.name}
		for _, a := range fg.alerts {
			g.rules = append(g.rules, a.rule(opt))
		}
		all = append(all, g)
	}
	return all
}

func (a findingAlert) rule(opt Options) rule {
	expr := "certscan:target_open_finding:joined{" + matcher("code", a.codes) + "}"
	if a.perRule {
		by := append([]string{"target", "code", "severity"}, opt.Labels...)
		expr = "count by (" + strings.Join(by, ", ") + ") (\n  " + expr + "\n)"
	}
	r := rule{
		alert:       a.name,
		expr:        expr,
		hold:        a.hold,
		summary:     "{{ $labels.target }}: " + a.is,
		description: a.means + " Finding: {{ $labels.code }}." + who(opt) + " More: certscan show {{ $labels.target }}",
	}
	if a.views {
		// Once for all replicas, and as it was last while nothing can be scraped.
		const served = `max by (address, location, offer, fingerprint) (certscan_endpoint_certificate_info{target=%[1]q} or ` +
			`(last_over_time(certscan_endpoint_certificate_info{target=%[1]q}[1h]) unless on (target) certscan_target_info{target=%[1]q}))`
		r.notes = []note{{"served", `{{ range printf "` + served + `" $labels.target | query | sortByLabel "address" }}` +
			`{{ .Labels.address }} ({{ .Labels.location }}, {{ .Labels.offer }}): {{ printf "%.12s" .Labels.fingerprint }}; {{ end }}`}}
	}
	return r
}

// matcher selects one of the values, which need no escaping.
func matcher[T ~string](label string, values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	op := "="
	if len(values) > 1 {
		op = "=~"
	}
	return label + op + `"` + strings.Join(texts, "|") + `"`
}
