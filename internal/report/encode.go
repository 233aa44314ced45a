package report

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"example.com/certscan/internal/inventory"
)

// A recordEncoder writes the records of a scan as JSON by hand: encoding/json
// takes three times as long, which a scan of a large fleet feels. A test compares
// it with encoding/json field by field, so that none is forgotten.
//
// What it writes is also safe to look at: what [Clean] would replace is escaped
// instead, which loses nothing. Times are whole seconds in UTC, and no list is
// null unless that means something.
type recordEncoder struct{ b []byte }

// endpoint returns r as one line without its end, valid until the next call.
func (e *recordEncoder) endpoint(r *inventory.EndpointRecord) []byte {
	e.b = e.b[:0]
	e.open()
	e.text("type", r.Type)
	e.text("target", r.Target)
	e.text("host", r.Host)
	e.number("port", int64(r.Port))
	e.text("protocol", string(r.Protocol))
	e.text("server_name", r.ServerName)
	e.text("address", r.Address)
	e.text("location", r.Location)
	e.text("offer", string(r.Offer))
	e.time("time", r.Time)
	e.number("duration_ms", r.DurationMS)
	e.phases("phases_ms", r.PhasesMS)
	e.labels("labels", r.Labels)
	e.texts("sources", r.Sources)
	e.resolution("resolution", r.Resolution)
	e.object("reach")
	e.text("status", string(r.Reach.Status))
	e.text("detail", r.Reach.Detail)
	e.close()
	e.capture("capture", r.Capture)
	e.tls("tls", r.TLS)
	e.key("certificate")
	e.certificate(r.Certificate)
	e.list("chain")
	for i := range r.Chain {
		e.chainRecord(&r.Chain[i])
	}
	e.end()
	if len(r.Alternates) > 0 {
		e.list("alternates")
		for i := range r.Alternates {
			e.comma()
			e.certificate(&r.Alternates[i])
		}
		e.end()
	}
	e.verdict("verdict", r.Verdict)
	e.expiry("expiry", r.Expiry)
	e.text("tier", string(r.Tier))
	if r.LastSeen == nil {
		e.null("last_seen")
	} else {
		e.time("last_seen", *r.LastSeen)
	}
	e.findings("findings", r.Findings)
	e.close()
	return e.b
}

// target returns r as one line without its end, valid until the next call.
func (e *recordEncoder) target(r *inventory.TargetRecord) []byte {
	e.b = e.b[:0]
	e.open()
	e.text("type", r.Type)
	e.text("target", r.Target)
	e.expiry("expiry", r.Expiry)
	e.number("lifetime_seconds", r.LifetimeSeconds)
	e.text("tier", string(r.Tier))
	if r.Verified == nil {
		e.null("verified")
	} else {
		e.truth("verified", *r.Verified)
	}
	e.number("endpoints", int64(r.Endpoints))
	e.findings("findings", r.Findings)
	e.close()
	return e.b
}

func (e *recordEncoder) phases(key string, p inventory.PhasesMS) {
	e.object(key)
	e.float("resolve", p.Resolve)
	e.float("connect", p.Connect)
	e.float("starttls", p.STARTTLS)
	e.float("handshake", p.Handshake)
	e.close()
}

func (e *recordEncoder) labels(key string, m map[string]string) {
	e.object(key)
	if len(m) > 0 {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			e.comma()
			e.quote(k)
			e.b = append(e.b, ':')
			e.quote(m[k])
		}
	}
	e.close()
}

func (e *recordEncoder) resolution(key string, r *inventory.Resolution) {
	if r == nil {
		e.null(key)
		return
	}
	e.object(key)
	e.text("name", r.Name)
	e.text("status", string(r.Status))
	e.optional("detail", r.Detail)
	e.mark("partial", r.Partial)
	if len(r.Addresses) > 0 {
		e.list("addresses")
		for _, a := range r.Addresses {
			e.comma()
			e.quote(a.String())
		}
		e.end()
	}
	if len(r.CNAMEs) > 0 {
		e.texts("cnames", r.CNAMEs)
	}
	if r.TTL != 0 {
		e.number("ttl", int64(r.TTL))
	}
	e.optional("server", r.Server)
	e.close()
}

func (e *recordEncoder) capture(key string, c *inventory.Capture) {
	if c == nil {
		e.null(key)
		return
	}
	e.object(key)
	e.text("method", string(c.Method))
	e.truth("handshake_complete", c.HandshakeComplete)
	e.truth("possession_proven", c.PossessionProven)
	e.close()
}

func (e *recordEncoder) tls(key string, t *inventory.TLSFacts) {
	if t == nil {
		e.null(key)
		return
	}
	e.object(key)
	e.text("version", t.Version)
	e.text("cipher_suite", t.CipherSuite)
	e.text("group", t.Group)
	e.text("alpn", t.ALPN)
	e.truth("client_certificate_requested", t.ClientCertificateRequested)
	e.truth("client_certificate_required", t.ClientCertificateRequired)
	e.truth("stapled", t.Stapled)
	if t.PostQuantum == nil {
		e.null("post_quantum") // not asked
	} else {
		e.truth("post_quantum", *t.PostQuantum)
	}
	if t.Accepts == nil {
		e.null("accepts") // not asked
	} else {
		e.texts("accepts", t.Accepts)
	}
	if len(t.AcceptsUnknown) > 0 {
		e.texts("accepts_unknown", t.AcceptsUnknown)
	}
	if !t.AcceptsAt.IsZero() {
		e.time("accepts_at", t.AcceptsAt)
	}
	e.close()
}

func (e *recordEncoder) certificate(c *inventory.Certificate) {
	if c == nil {
		e.b = append(e.b, "null"...)
		return
	}
	e.open()
	e.print("sha256", c.SHA256)
	e.text("serial", c.Serial)
	e.text("subject", c.Subject)
	e.text("issuer", c.Issuer)
	e.texts("names", c.Names)
	e.time("not_before", c.NotBefore)
	e.time("not_after", c.NotAfter)
	e.text("key", c.Key)
	e.print("spki_sha256", c.SPKI)
	e.text("signature", c.Signature)
	e.truth("is_ca", c.IsCA)
	e.text("parse_error", c.ParseError)
	e.optional("subject_cn", c.SubjectCN)
	e.optional("issuer_cn", c.IssuerCN)
	e.optional("issuer_organization", c.IssuerOrg)
	e.mark("self_issued", c.SelfIssued)
	for _, l := range []struct {
		key  string
		urls []string
	}{{"issuer_urls", c.IssuerURLs}, {"ocsp_urls", c.OCSPURLs}, {"crl_urls", c.CRLURLs}} {
		if len(l.urls) > 0 {
			e.texts(l.key, l.urls)
		}
	}
	e.print("issuer_spki_sha256", c.IssuerKey)
	e.print("tbs_sha256", c.TBS)
	e.mark("precertificate", c.Precert)
	e.mark("must_staple", c.MustStaple)
	if c.PublicKeyBits != 0 {
		e.number("key_bits", int64(c.PublicKeyBits))
	}
	e.close()
}

func (e *recordEncoder) chainRecord(c *inventory.ChainRecord) {
	e.comma()
	e.open()
	e.print("sha256", c.SHA256)
	e.text("subject", c.Subject)
	e.text("issuer", c.Issuer)
	e.time("not_after", c.NotAfter)
	e.text("parse_error", c.ParseError)
	e.close()
}

func (e *recordEncoder) expiry(key string, x *inventory.Expiry) {
	if x == nil {
		e.null(key)
		return
	}
	e.object(key)
	e.time("at", x.At)
	e.text("by", x.By)
	e.text("subject", x.Subject)
	e.close()
}

func (e *recordEncoder) findings(key string, fs []inventory.Finding) {
	e.list(key)
	for i := range fs {
		f := &fs[i]
		e.comma()
		e.open()
		e.text("code", string(f.Code))
		e.text("rule", f.Rule)
		e.object("subject")
		e.text("kind", string(f.Subject.Kind))
		e.text("id", f.Subject.ID)
		e.close()
		e.text("severity", string(f.Severity))
		e.text("message", f.Message)
		if !f.Since.IsZero() {
			e.time("since", f.Since)
		}
		e.optional("ignored", f.Ignored)
		if w := f.Waived; w != nil {
			e.object("waived")
			e.text("owner", w.Owner)
			e.text("reason", w.Reason)
			e.text("until", w.Until)
			e.close()
		}
		e.close()
	}
	e.end()
}

// What follows is the grammar of JSON.

func (e *recordEncoder) open()  { e.b = append(e.b, '{') }
func (e *recordEncoder) close() { e.b = append(e.b, '}') }
func (e *recordEncoder) end()   { e.b = append(e.b, ']') }

// comma separates from what stands before in the same object or list.
func (e *recordEncoder) comma() {
	if last := e.b[len(e.b)-1]; last != '{' && last != '[' {
		e.b = append(e.b, ',')
	}
}

// key begins a member; key needs no escaping.
func (e *recordEncoder) key(key string) {
	e.comma()
	e.b = append(append(append(e.b, '"'), key...), '"', ':')
}

func (e *recordEncoder) object(key string) { e.key(key); e.b = append(e.b, '{') }
func (e *recordEncoder) list(key string)   { e.key(key); e.b = append(e.b, '[') }
func (e *recordEncoder) null(key string)   { e.key(key); e.b = append(e.b, "null"...) }

func (e *recordEncoder) text(key, s string) { e.key(key); e.quote(s) }

// optional is text that is left out when empty.
func (e *recordEncoder) optional(key, s string) {
	if s != "" {
		e.text(key, s)
	}
}

func (e *recordEncoder) texts(key string, list []string) {
	e.list(key)
	for _, s := range list {
		e.comma()
		e.quote(s)
	}
	e.end()
}

func (e *recordEncoder) number(key string, n int64) {
	e.key(key)
	e.b = strconv.AppendInt(e.b, n, 10)
}

func (e *recordEncoder) float(key string, f float64) {
	e.key(key)
	e.b = strconv.AppendFloat(e.b, f, 'f', -1, 64)
}

func (e *recordEncoder) truth(key string, v bool) {
	e.key(key)
	e.b = strconv.AppendBool(e.b, v)
}

// mark is a truth that is left out when false.
func (e *recordEncoder) mark(key string, v bool) {
	if v {
		e.truth(key, v)
	}
}

func (e *recordEncoder) time(key string, t time.Time) {
	e.key(key)
	e.b = append(e.b, '"')
	e.b = seconds(t).AppendFormat(e.b, time.RFC3339)
	e.b = append(e.b, '"')
}

func (e *recordEncoder) print(key string, f inventory.Fingerprint) { e.key(key); e.fingerprint(f) }

func (e *recordEncoder) fingerprint(f inventory.Fingerprint) {
	e.b = append(e.b, '"')
	if !f.IsZero() {
		for _, c := range f {
			e.b = append(e.b, hexDigits[c>>4], hexDigits[c&15])
		}
	}
	e.b = append(e.b, '"')
}

const hexDigits = "0123456789abcdef"

// quote writes s as a JSON string (RFC 8259, section 7). Bytes that are no
// UTF-8 become U+FFFD, as JSON cannot hold them.
func (e *recordEncoder) quote(s string) {
	e.b = append(e.b, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r >= utf8.RuneSelf && inventory.Visible(r) && (r != utf8.RuneError || n > 1) {
			i += n
			continue
		}
		e.b = append(e.b, s[done:i]...)
		e.b = appendEscape(e.b, r)
		i += n
		done = i
	}
	e.b = append(append(e.b, s[done:]...), '"')
}

// appendEscape writes r in the escaped form of JSON.
func appendEscape(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\n':
		return append(b, '\\', 'n')
	}
	if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
		return fmt.Appendf(b, `\u%04x\u%04x`, hi, lo)
	}
	return fmt.Appendf(b, `\u%04x`, r)
}
