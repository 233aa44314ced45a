package report_test

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// The sample is a small fleet with one target of each kind that reports treat
// in their own way, seen at a fixed time.

const day = 24 * time.Hour

func now() time.Time { return time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC) }

func print256(s string) inventory.Fingerprint { return sha256.Sum256([]byte(s)) }

func target(key string) inventory.Target {
	host, port, _ := strings.Cut(key, ":")
	t := inventory.Target{Host: host, Port: 443, Protocol: inventory.TLS, Sources: []string{"file:domains.txt"}}
	fmt.Sscan(port, &t.Port)
	return t
}

// leaf is a certificate for host that ends in left.
func leaf(host string, left time.Duration) inventory.Certificate {
	return inventory.Certificate{
		SHA256: print256(fmt.Sprint(host, left)), SPKI: print256("key of " + host), Serial: "0a1b2c3d4e5f",
		Subject: "CN=" + host, SubjectCN: host, Issuer: "CN=Lab CA R1,O=Lab Trust", IssuerCN: "Lab CA R1", IssuerOrg: "Lab Trust",
		Names: []string{host, "www." + host}, NotBefore: now().Add(left - 90*day), NotAfter: now().Add(left),
		Key: "ECDSA P-256", Signature: "ECDSA-SHA256",
	}
}

func intermediate() inventory.Certificate {
	c := leaf("Lab CA R1", 900*day)
	c.IsCA, c.Subject, c.Names = true, "CN=Lab CA R1,O=Lab Trust", nil
	c.Issuer, c.IssuerCN, c.Key = "CN=Lab Root X1,O=Lab Trust", "Lab Root X1", "ECDSA P-384"
	return c
}

// seen is a healthy endpoint that serves c.
func seen(t inventory.Target, address string, c inventory.Certificate) inventory.Endpoint {
	inter := intermediate()
	return inventory.Endpoint{
		Observation: inventory.Observation{
			Schema: 1, Target: t.Key(), Address: address, Location: inventory.LocalLocation, Offer: inventory.OfferDefault,
			Time: now().Add(123456 * time.Microsecond), Reach: inventory.Reach{Status: inventory.ReachOK},
			Capture: &inventory.Capture{Method: inventory.CaptureHandshake, HandshakeComplete: true, PossessionProven: true},
			TLS:     &inventory.TLSFacts{Version: "TLS 1.3", CipherSuite: "TLS_AES_128_GCM_SHA256", Group: "X25519"},
			Chain:   [][]byte{{0x30}, {0x30}},
			Timings: inventory.Timings{Connect: 2 * time.Millisecond, Handshake: 5 * time.Millisecond},
		},
		Judgement: inventory.Judgement{
			Certificate: &c, Chain: []inventory.Certificate{inter},
			Verdict: &inventory.Verdict{
				Time: inventory.StatusOnly{Status: inventory.TimeValid}, Name: inventory.StatusOnly{Status: inventory.NameMatch},
				Trust: inventory.TrustVerdict{
					Status: inventory.Trusted, DecidedBy: "mozilla",
					Stores: []inventory.StoreVerdict{{
						Name: "mozilla", Date: "2026-10-30", Status: inventory.Trusted,
						Paths: [][]inventory.Fingerprint{{c.SHA256, inter.SHA256, print256("Lab Root X1")}},
					}},
				},
				Revocation: inventory.RevocationVerdict{Status: inventory.NotChecked}, CT: inventory.CTVerdict{Status: inventory.NotChecked},
			},
			Expiry: &inventory.Expiry{At: c.NotAfter, By: "leaf", Subject: c.Subject}, Lifetime: c.Lifetime(),
		},
	}
}

// down is an endpoint that gave no certificate.
func down(t inventory.Target, address string, reach inventory.ReachStatus, code inventory.Code, message string) inventory.Endpoint {
	e := inventory.Endpoint{Observation: inventory.Observation{
		Schema: 1, Target: t.Key(), Address: address, Location: inventory.LocalLocation, Offer: inventory.OfferDefault,
		Time: now(), Reach: inventory.Reach{Status: reach},
	}}
	if code != "" {
		e = with(e, inventory.Critical, code, message)
	}
	return e
}

// with adds a finding to e.
func with(e inventory.Endpoint, s inventory.Severity, code inventory.Code, message string) inventory.Endpoint {
	e.Judgement.Findings = append(e.Judgement.Findings, inventory.Finding{
		Code: code, Severity: s, Message: message,
		Subject: inventory.Subject{Kind: inventory.SubjectView, ID: e.Observation.View().ID()}, Since: now().Add(-2 * day),
	})
	return e
}

// result joins endpoints into the result of t.
func result(t inventory.Target, es ...inventory.Endpoint) inventory.Result {
	r := inventory.Result{Target: t, Endpoints: es}
	verified := true
	for _, e := range es {
		verified = verified && e.Judgement.Verified()
		if x := e.Judgement.Expiry; x != nil && (r.Judgement.Expiry == nil || x.At.Before(r.Judgement.Expiry.At)) {
			r.Judgement.Expiry, r.Judgement.Lifetime, r.Judgement.Tier = x, e.Judgement.Lifetime, e.Judgement.Tier
		}
	}
	r.Judgement.Verified = &verified
	return r
}

// judged adds a finding of the target itself.
func judged(r inventory.Result, s inventory.Severity, code inventory.Code, message string) inventory.Result {
	r.Judgement.Findings = append(r.Judgement.Findings, inventory.Finding{
		Code: code, Severity: s, Message: message, Subject: inventory.Subject{Kind: inventory.SubjectTarget, ID: r.Target.Key()},
	})
	return r
}

// fleet is the sample.
func fleet() []inventory.Result {
	var out []inventory.Result
	add := func(r inventory.Result) { out = append(out, r) }

	t := target("quiet.example:443")
	add(result(t, seen(t, "192.0.2.1", leaf(t.Host, 71*day))))

	t = target("expired.example:443")
	t.Labels = map[string]string{"owner": "web", "environment": "prod", "platform": "k8s", "cost centre": "7"}
	e := with(seen(t, "192.0.2.2", leaf(t.Host, -2*day)), inventory.Critical, inventory.CodeExpired, "expired 2 days ago, on 2026-11-20")
	e.Judgement.Verdict.Time.Status, e.Judgement.Tier = inventory.TimeExpired, inventory.TierExpired
	add(result(t, e))

	t = target("shop.example:443") // renewed on two nodes of three
	old := with(seen(t, "192.0.2.12", leaf(t.Host, 6*day+5*time.Hour)), inventory.Critical, inventory.CodeExpiring, "expires in 6 days, on 2026-11-28")
	old.Judgement.Tier = "7d"
	add(judged(
		result(t, seen(t, "192.0.2.10", leaf(t.Host, 88*day)), seen(t, "192.0.2.11", leaf(t.Host, 88*day)), old),
		inventory.Critical, inventory.CodePartiallyDeployed, "192.0.2.12 still serves the certificate that expires on 2026-11-28; 2 of 3 addresses serve the new one",
	))

	t = target("dual.example:443") // a second certificate that nobody looks at
	rsa := with(seen(t, "192.0.2.20", leaf("rsa."+t.Host, 12*day)), inventory.Warning, inventory.CodeExpiring, "expires in 12 days, on 2026-12-04")
	rsa.Observation.Offer = inventory.OfferRSA
	ecdsa := seen(t, "192.0.2.20", leaf(t.Host, 60*day))
	ecdsa.Observation.Offer = inventory.OfferECDSA
	add(result(t, seen(t, "192.0.2.20", leaf(t.Host, 60*day)), ecdsa, rsa))

	t = target("pool.example:443") // the same everywhere
	add(result(t, seen(t, "192.0.2.31", leaf(t.Host, 40*day)), seen(t, "192.0.2.32", leaf(t.Host, 40*day)), seen(t, "2001:db8::33", leaf(t.Host, 40*day))))

	t = target("gone.example:443")
	add(result(t, down(t, "192.0.2.40", inventory.ReachRefused, inventory.CodeUnreachable, "connection refused")))

	t = target("nowhere.example:443")
	add(result(t, down(t, "", inventory.ReachDNSNXDomain, inventory.CodeDNSFailure, "no such name")))

	t = target("asleep.example:8443") // down, but its certificate is remembered and counts down
	e = with(seen(t, "192.0.2.41", leaf(t.Host, 20*day)), inventory.Critical, inventory.CodeUnreachable, "no answer within 5 s")
	e.Observation.Reach.Status, e.Observation.TLS, e.Observation.Capture, e.Observation.Chain = inventory.ReachTimeout, nil, nil, nil
	e.Judgement.LastSeen = now().Add(-3 * day)
	add(result(t, e))

	t = target("chain.example:443")
	e = with(seen(t, "192.0.2.50", leaf(t.Host, 30*time.Hour)), inventory.Critical, inventory.CodeIncompleteChain,
		"the intermediate \"Lab CA R1\" is not sent; browsers fetch it, other clients fail")
	e = with(e, inventory.Warning, inventory.CodeDeprecatedTLS, "TLS 1.0 was negotiated")
	e = with(e, inventory.Critical, inventory.CodeExpiring, "expires in 30 hours")
	e.Judgement.Verdict.Trust.Status, e.Judgement.Tier = inventory.TrustIncomplete, "3d"
	add(result(t, e))

	t = target("accepted.example:443")
	e = with(seen(t, "192.0.2.60", leaf(t.Host, 45*day)), inventory.Critical, inventory.CodeSelfSigned, "self-signed")
	e.Judgement.Findings[0].Ignored = "flag"
	add(result(t, e))

	t = target("a-rather-long-name-for-a-service.internal.department.company.example:443")
	t.Labels = map[string]string{"owner": "platform"}
	add(result(t, with(seen(t, "192.0.2.70", leaf(t.Host, 55*day)), inventory.Info, inventory.CodeExpiring, "expires in 55 days")))

	t = target("v6.example:443")
	add(result(t, seen(t, "192.0.2.80", leaf(t.Host, 50*day)), down(t, "2001:db8::80", inventory.ReachNoRoute, "", "")))
	return out
}

// hostile is a target whose every text attacks its reader.
func hostile() inventory.Result {
	t := target("evil.example:443")
	t.Labels = map[string]string{"owner": "=HYPERLINK(\"http://evil.example\",\"x\")"}
	c := leaf(t.Host, 10*day)
	c.Subject = "CN=\x1b[2J\x1b]0;owned\x07\u202egnp.exe"
	c.SubjectCN = "@SUM(1+1)*cmd|' /C calc'!A0\r\nexpired.example:443"
	c.Issuer, c.IssuerCN, c.IssuerOrg = "CN=\u009b31m\"quoted\"\\back", "\t=1+1,\"quoted\"\n# HELP x\u202e\u200b", ""
	c.Names = []string{"=1+1", "a b\x00c", "x;=cmd|' /C calc'!A0", "\xff\xfe", "two\r\nlines", "日本語.example"}
	c.Serial = "-0a"
	e := with(seen(t, "192.0.2.90", c), inventory.Critical, inventory.CodeNameMismatch,
		"not for \x1b[31mevil\x1b[0m\r\nSummary 0 expired \u2066hidden\u2069")
	e.Observation.Reach.Detail = "220 \x1b[8mhidden"
	return result(t, e)
}

func scanInfo() inventory.ScanInfo {
	return inventory.ScanInfo{
		ID: "0199-sample", Version: "0.1.0", Arguments: []string{"scan", "-f", "domains.txt"},
		Started: now(), Ended: now().Add(1500 * time.Millisecond),
		Stores: []inventory.StoreInfo{{Name: "mozilla", Date: "2026-10-30"}},
	}
}
