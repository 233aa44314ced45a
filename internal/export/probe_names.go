package export

import (
	"cmp"
	"crypto/x509"
	"maps"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"time"

	"example.com/certscan/internal/inventory"
)

// maxList bounds a label that lists names, in bytes. What does not fit is left
// out as a whole.
const maxList = 1024

// A table is the series of a metric by their labels: each once.
type table map[string]int64

func (x *text) table(f family, t table) {
	x.begin(f)
	for _, l := range slices.Sorted(maps.Keys(t)) {
		x.sample(l, t[l])
	}
}

// sslNames answers as ssl_exporter does, with these differences: dates are
// there whether or not the certificate verifies; the status of a staple is
// there only if there is a staple and it proves something; all addresses of a
// name are looked at, and success takes all of them.
func (a *probed) sslNames(x *text) {
	after, before, vAfter, vBefore := table{}, table{}, table{}, table{}
	versions := table{}
	stapled := false
	for i := range a.result.Endpoints {
		e := &a.result.Endpoints[i]
		j := &e.Judgement
		if j.Certificate == nil || !j.LastSeen.IsZero() {
			continue
		}
		der := servedDER(e)
		add := func(c *inventory.Certificate, prefix string, after, before table) {
			l := prefix + sslLabels(c, der[c.SHA256])
			if !c.NotAfter.IsZero() {
				after[l] = c.NotAfter.Unix()
			}
			if !c.NotBefore.IsZero() {
				before[l] = c.NotBefore.Unix()
			}
		}
		add(j.Certificate, "", after, before)
		for k := range j.Chain {
			add(&j.Chain[k], "", after, before)
		}
		for k := range j.Alternates {
			add(&j.Alternates[k], "", after, before)
		}
		if len(j.Issuers) > 0 && len(j.Issuers[0]) > 0 {
			add(j.Certificate, `chain_no="0",`, vAfter, vBefore)
			for _, c := range j.Issuers[0] {
				add(c, `chain_no="0",`, vAfter, vBefore)
			}
		}
		if s := e.Observation.TLS; s != nil && s.Version != "" {
			versions[labels("version", s.Version)] = 1
		}
		stapled = stapled || len(e.Observation.Staple) > 0 || e.Observation.TLS != nil && e.Observation.TLS.Stapled
	}
	x.table(family{"ssl_cert_not_after", gauge, "NotAfter expressed as a Unix Epoch Time"}, after)
	x.table(family{"ssl_cert_not_before", gauge, "NotBefore expressed as a Unix Epoch Time"}, before)
	x.table(family{"ssl_verified_cert_not_after", gauge, "NotAfter expressed as a Unix Epoch Time"}, vAfter)
	x.table(family{"ssl_verified_cert_not_before", gauge, "NotBefore expressed as a Unix Epoch Time"}, vBefore)
	if len(after) > 0 {
		x.table(family{"ssl_ocsp_response_stapled", gauge, "If the connection state contains a stapled OCSP response"}, table{"": truth(stapled)})
	}
	a.staple(x)
	x.table(family{"ssl_tls_version_info", gauge, "The TLS version used"}, versions)
	x.table(family{"ssl_prober", gauge, "The prober used by the exporter to connect to the target"}, table{labels("prober", a.module.prober): 1})
	x.table(family{"ssl_probe_success", gauge, "If the probe was a success"}, table{"": truth(a.success())})
	x.table(family{"ssl_tls_connect_success", gauge, "If the TLS connection was a success"}, table{"": truth(a.success())})
	x.begin(family{"ssl_probe_duration_seconds", gauge, "How long the probe took to complete in seconds"})
	x.seconds("", a.took.Seconds())
}

// servedDER are the certificates that e served, by their fingerprints.
func servedDER(e *inventory.Endpoint) map[inventory.Fingerprint][]byte {
	der := make(map[inventory.Fingerprint][]byte)
	for _, chain := range append([][][]byte{e.Observation.Chain}, e.Observation.Alternates...) {
		for _, c := range chain {
			der[inventory.FingerprintOf(c)] = c
		}
	}
	return der
}

// sslLabels renders the labels that ssl_exporter gives to a certificate. der is
// the certificate, or nil.
func sslLabels(c *inventory.Certificate, der []byte) string {
	var dns, ips, emails, units []string
	for _, n := range c.Names {
		if _, err := netip.ParseAddr(n); err == nil {
			ips = append(ips, n)
		} else {
			dns = append(dns, n)
		}
	}
	if parsed, err := x509.ParseCertificate(der); err == nil {
		emails, units = parsed.EmailAddresses, parsed.Subject.OrganizationalUnit
	}
	return labels("serial_no", decimal(c.Serial), "issuer_cn", c.IssuerCN, "cn", c.SubjectCN) +
		`,dnsnames="` + wrapped(dns) + `",ips="` + wrapped(ips) + `",emails="` + wrapped(emails) + `",ou="` + wrapped(units) + `"`
}

// decimal is a hexadecimal serial number in decimal.
func decimal(serial string) string {
	if n, ok := new(big.Int).SetString(serial, 16); ok {
		return n.String()
	}
	return serial
}

// wrapped is a list as ssl_exporter writes it, ,a,b, so that ,a, finds a member.
func wrapped(list []string) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteByte(',')
	for _, s := range list {
		if v := value(s); b.Len()+len(v) < maxList {
			b.WriteString(v)
			b.WriteByte(',')
		}
	}
	return b.String()
}

// staple writes what a staple proves: nothing if it could not be verified.
func (a *probed) staple(x *text) {
	var worst *inventory.RevocationAnswer
	for i := range a.result.Endpoints {
		v := a.result.Endpoints[i].Judgement.Verdict
		if v == nil {
			continue
		}
		for k := range v.Revocation.Answers {
			r := &v.Revocation.Answers[k]
			proves := r.Status == inventory.RevocationGood || r.Status == inventory.RevocationRevoked
			if r.Source == inventory.SourceStaple && proves && (worst == nil || r.Status == inventory.RevocationRevoked) {
				worst = r
			}
		}
	}
	if worst == nil {
		return
	}
	x.table(family{"ssl_ocsp_response_status", gauge, "The status in the OCSP response 0=Good 1=Revoked 2=Unknown"}, table{"": truth(worst.Status == inventory.RevocationRevoked)})
	for _, m := range []struct {
		name, what string
		at         time.Time
	}{
		{"this_update", "thisUpdate", worst.ThisUpdate}, {"next_update", "nextUpdate", worst.NextUpdate}, {"revoked_at", "revocationTime", worst.RevokedAt},
	} {
		if !m.at.IsZero() {
			x.table(family{"ssl_ocsp_response_" + m.name, gauge, "The " + m.what + " value in the OCSP response, expressed as a Unix Epoch Time"}, table{"": m.at.Unix()})
		}
	}
}

// blackboxNames answers as blackbox_exporter does, with these differences:
// dates are there whether or not the certificate verifies; the earliest expiry
// is that of the best path, so an expired certificate that nobody needs rings
// no bell; the expiry of the verified chain is left out, and no date of the
// year 1, where there is none; all addresses of a name are looked at.
func (a *probed) blackboxNames(x *text) {
	var earliest, chain *inventory.Expiry
	versions, suites, leaves := table{}, table{}, table{}
	for i := range a.result.Endpoints {
		e := &a.result.Endpoints[i]
		j := &e.Judgement
		if j.Certificate == nil || !j.LastSeen.IsZero() {
			continue
		}
		earliest = sooner(earliest, j.Expiry)
		if len(j.Issuers) > 0 && len(j.Issuers[0]) > 0 {
			chain = sooner(chain, j.Expiry)
		}
		c := j.Certificate
		var names []string
		for _, n := range c.Names {
			if _, err := netip.ParseAddr(n); err != nil {
				names = append(names, n)
			}
		}
		leaves[labels("fingerprint_sha256", c.SHA256.String(), "subject", c.Subject, "issuer", c.Issuer)+
			`,subjectalternative="`+strings.Trim(wrapped(names), ",")+`",`+labels("serialnumber", c.Serial)] = 1
		if s := e.Observation.TLS; s != nil && s.Version != "" {
			versions[labels("version", s.Version)] = 1
			suites[labels("cipher", s.CipherSuite)] = 1
		}
	}
	seconds := func(name, help string, d time.Duration) {
		x.begin(family{name, gauge, help})
		x.seconds("", d.Seconds())
	}
	seconds("probe_duration_seconds", "Returns how long the probe took to complete in seconds", a.took)
	seconds("probe_timeout_seconds", "Returns the timeout of the probe in seconds", a.budget)
	a.network(x)
	if earliest != nil {
		x.table(family{"probe_ssl_earliest_cert_expiry", gauge, "Returns last SSL chain expiry in unixtime"}, table{"": earliest.At.Unix()})
	}
	if chain != nil {
		x.table(family{"probe_ssl_last_chain_expiry_timestamp_seconds", gauge, "Returns last SSL chain expiry in timestamp"}, table{"": chain.At.Unix()})
	}
	x.table(family{"probe_ssl_last_chain_info", gauge, "Contains SSL leaf certificate information"}, leaves)
	x.table(family{"probe_tls_version_info", gauge, "Returns the TLS version used or NaN when unknown"}, versions)
	x.table(family{"probe_tls_cipher_info", gauge, "Returns the TLS cipher negotiated during handshake"}, suites)
	if a.module.http {
		x.table(family{"probe_http_ssl", gauge, "Indicates if SSL was used for the final redirect"}, table{"": truth(len(versions) > 0)})
	}
	x.table(family{"probe_success", gauge, "Displays whether or not the probe was a success"}, table{"": truth(a.success())})
}

// network writes how the connection was made: of several addresses, to the one
// that took longest.
func (a *probed) network(x *text) {
	var slowest *inventory.Observation
	for i := range a.result.Endpoints {
		o := &a.result.Endpoints[i].Observation
		if slowest == nil || cmp.Less(slowest.Timings.Total(), o.Timings.Total()) {
			slowest = o
		}
	}
	if slowest == nil {
		return
	}
	x.begin(family{"probe_dns_lookup_time_seconds", gauge, "Returns the time taken for probe dns lookup in seconds"})
	x.seconds("", slowest.Timings.Resolve.Seconds())
	if addr, err := netip.ParseAddr(slowest.Address); err == nil {
		version := int64(4)
		if addr.Is6() {
			version = 6
		}
		x.table(family{"probe_ip_protocol", gauge, "Specifies whether probe ip protocol is IP4 or IP6"}, table{"": version})
	}
	if a.module.http {
		x.begin(family{"probe_http_duration_seconds", gauge, "Duration of http request by phase, summed over all redirects"})
		x.seconds(labels("phase", "connect"), slowest.Timings.Connect.Seconds())
		x.seconds(labels("phase", "resolve"), slowest.Timings.Resolve.Seconds())
		x.seconds(labels("phase", "tls"), slowest.Timings.Handshake.Seconds())
	}
}

// sooner is the earlier of two expiries.
func sooner(a, b *inventory.Expiry) *inventory.Expiry {
	if a == nil || b != nil && b.At.Before(a.At) {
		return b
	}
	return a
}
