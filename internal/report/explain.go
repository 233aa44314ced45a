package report

import (
	"strings"

	"example.com/certscan/internal/inventory"
)

// Explain says in a sentence what a finding with code c is, for formats that
// describe what they list.
func Explain(c inventory.Code) string {
	for _, e := range explanations() {
		if e.code == c {
			return e.text
		}
	}
	return strings.ReplaceAll(string(c), "_", " ") + "."
}

type explanation struct {
	code inventory.Code
	text string
}

func explanations() []explanation {
	return []explanation{
		{inventory.CodeExpired, "The certificate, or an intermediate that every path needs, has expired."},
		{inventory.CodeNotYetValid, "The certificate is not valid yet."},
		{inventory.CodeExpiring, "The certificate expires soon."},
		{inventory.CodeChainExpiring, "An intermediate that every path needs expires before the certificate does."},
		{inventory.CodeNameMismatch, "The certificate is not for the name that was asked for."},
		{inventory.CodeNoSAN, "The certificate has no subjectAltName, so clients find no name in it."},
		{inventory.CodeMalformedSAN, "The names in the certificate cannot be read."},
		{inventory.CodeWildcardPublicSuffix, "A wildcard stands directly below a public suffix."},
		{inventory.CodeCNNotInSAN, "The common name is not among the names of the certificate."},
		{inventory.CodeSelfSigned, "The certificate is self-signed."},
		{inventory.CodeUntrustedRoot, "The chain ends in a root that is not trusted."},
		{inventory.CodeUnknownIssuer, "The issuer is not known, so no path leads to a trusted root."},
		{inventory.CodeIncompleteChain, "The server does not send an intermediate, so some clients refuse the chain."},
		{inventory.CodeWrongOrder, "The chain is served in the wrong order."},
		{inventory.CodeExtraCertificates, "The server sends certificates that no path needs."},
		{inventory.CodeExpiredInChain, "A certificate in the served chain has expired, and another path goes around it."},
		{inventory.CodeAnchorExpired, "The trust anchor has expired; some clients refuse it."},
		{inventory.CodeDistrustedRoot, "The chain leads to an issuer that is distrusted."},
		{inventory.CodeWeakSignature, "A signature in the chain uses an algorithm that clients no longer accept."},
		{inventory.CodeNameConstraint, "A name of the certificate is outside of what its issuer may issue for."},
		{inventory.CodeBadEKU, "A certificate in the chain is not for TLS servers."},
		{inventory.CodeNotACA, "A certificate in the chain issued another and is no CA."},
		{inventory.CodePathLength, "The chain is longer than a CA in it allows."},
		{inventory.CodeUnhandledCritical, "A certificate has a critical extension that clients do not know."},
		{inventory.CodeMalformedCertificate, "The certificate cannot be read."},
		{inventory.CodeRevoked, "The certificate was revoked."},
		{inventory.CodeIntermediateRevoked, "An intermediate of the chain was revoked."},
		{inventory.CodeRevocationUnknown, "Whether the certificate was revoked could not be found out."},
		{inventory.CodeStapleInvalid, "The stapled OCSP response is not valid."},
		{inventory.CodeStapleStale, "The stapled OCSP response is out of date."},
		{inventory.CodeMustStapleMissing, "The certificate demands a stapled OCSP response, and none is served."},
		{inventory.CodeCRLInvalid, "The certificate revocation list is not valid."},
		{inventory.CodeWeakKey, "The key is weak."},
		{inventory.CodeCompromisedKey, "The private key is known to others."},
		{inventory.CodeForbiddenKey, "The key is of a kind that public CAs may not certify."},
		{inventory.CodeCALeaf, "The certificate of a server is that of a CA."},
		{inventory.CodeBadSerial, "The serial number breaks the rules."},
		{inventory.CodeValidityTooLong, "The certificate is valid for longer than public CAs may issue."},
		{inventory.CodeProfile, "The certificate breaks a rule for publicly trusted certificates."},
		{inventory.CodeSCTMissing, "The certificate comes with no proof of Certificate Transparency."},
		{inventory.CodeSCTInsufficient, "The proofs of Certificate Transparency do not suffice for browsers."},
		{inventory.CodeSCTInvalid, "A proof of Certificate Transparency is not valid."},
		{inventory.CodePrecertificateServed, "A precertificate is served instead of a certificate."},
		{inventory.CodeDeprecatedTLS, "A version of TLS was negotiated that is deprecated."},
		{inventory.CodeWeakCipher, "A weak cipher suite was negotiated."},
		{inventory.CodeUnreachable, "The endpoint could not be reached."},
		{inventory.CodeDNSFailure, "The name could not be resolved."},
		{inventory.CodeHandshakeFailed, "The handshake failed after the certificate was sent."},
		{inventory.CodeNotTLS, "What answers does not speak TLS."},
		{inventory.CodeSTARTTLSMissing, "The server does not offer STARTTLS."},
		{inventory.CodeSTARTTLSRefused, "The server refused STARTTLS."},
		{inventory.CodeSTARTTLSInjection, "The server sent plaintext between STARTTLS and the handshake."},
		{inventory.CodeNotDeployed, "The expected certificate is served nowhere."},
		{inventory.CodePartiallyDeployed, "The expected certificate is not served everywhere."},
		{inventory.CodeRolledBack, "An older certificate is served again."},
		{inventory.CodeRenewalFlapping, "The certificate changes to and fro."},
		{inventory.CodeChainBroken, "A renewal broke the chain."},
		{inventory.CodeNameLost, "A renewal lost a name."},
		{inventory.CodeAddressesDisagree, "The addresses of a name serve different certificates."},
		{inventory.CodeLocationsDisagree, "Locations see different certificates."},
		{inventory.CodeRenewalOverdue, "The certificate should have been renewed by now."},
		{inventory.CodeUnexpectedIssuer, "Another CA than usual issued the certificate."},
		{inventory.CodeKeyReused, "Certificates for different names share a key."},
		{inventory.CodeDefaultCertificateDiffers, "Another certificate is served without a server name."},
		{inventory.CodeSourceFailed, "A source of targets could not be read."},
		{inventory.CodeSourceShrunk, "A source of targets lost many of them at once."},
		{inventory.CodeLocationAnomalous, "Most targets that were well do not answer, which is likely the scanner's own fault."},
		{inventory.CodePolicy, "A rule of your own policy is not met."},
	}
}
