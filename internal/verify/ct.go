package verify

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"example.com/certscan/internal/inventory"
)

// What browsers ask for (Chrome's CT policy, Firefox's CTPolicyEnforcer; Apple's
// is the same in effect).
const (
	// ctSince is the first day of issue that the rule binds: publicly trusted
	// certificates issued after 2018-04-30.
	ctSince = "2018-05-01"

	// longLived certificates need three SCTs in them and not two.
	longLived = 180 * 24 * time.Hour

	// staleList is the age from which a list of logs proves nothing, because
	// logs have come and gone since.
	staleList = 70 * 24 * time.Hour
)

// LogListIsStale reports whether a list of logs of that date is too old at t to
// say what counts. Of a list without a date nobody knows.
func LogListIsStale(list, t time.Time) bool { return !list.IsZero() && t.Sub(list) > staleList }

// judgeCT judges the signed certificate timestamps that were served.
func (x *exam) judgeCT() {
	v, logs := &x.verdict.CT, x.judge.logs
	binding := x.isLogged() && date(x.leaf.info.NotBefore) >= ctSince
	if !binding && logs == nil {
		v.Status, v.Detail = inventory.CTNotApplicable, x.unbound()
		return
	}
	if logs != nil && !logs.date.IsZero() {
		v.ListDate = date(logs.date)
		x.changes(logs.date.Add(staleList + time.Second))
	}
	all, whole := x.timestamps()
	c := x.count(all)
	v.SCTs = c.verdicts
	switch {
	case !binding:
		v.Status, v.Detail = inventory.CTNotApplicable, x.unbound()
	case len(all) == 0 && !whole:
		v.Status, v.Detail = inventory.CTUnverifiable, "none in the certificate; whether the handshake had some was not kept"
	case len(all) == 0:
		v.Status, v.Detail = inventory.CTMissing, "none in the certificate, the handshake or a staple"
		if !x.leaf.info.Precert { // which has none yet, and is found as such
			x.find(inventory.CodeSCTMissing, "it has no signed certificate timestamp, not in itself, the handshake or a staple; browsers refuse public certificates without")
		}
	case c.invalid != "":
		v.Status, v.Detail = inventory.CTInvalid, c.invalid
		x.find(inventory.CodeSCTInvalid, "%s", c.invalid)
	case logs != nil && LogListIsStale(logs.date, x.now):
		v.Status, v.Detail = inventory.CTUnverifiable, fmt.Sprintf("the list of logs is of %s, too old to say what counts now", v.ListDate)
	case c.enough():
		v.Status, v.Detail = inventory.CTCompliant, ""
	case logs == nil && c.unverifiable > 0:
		v.Status, v.Detail = inventory.CTUnverifiable, "there is no list of logs to verify with: --ct-log-list names one"
	case c.unverifiable > 0:
		v.Status, v.Detail = inventory.CTUnverifiable, c.text()+fmt.Sprintf("; %d more cannot be verified", c.unverifiable)
	case !whole:
		v.Status, v.Detail = inventory.CTUnverifiable, c.text()+"; whether the handshake had more was not kept"
	default:
		v.Status, v.Detail = inventory.CTInsufficient, c.text()
		x.find(inventory.CodeSCTInsufficient, "%s; browsers refuse the certificate", c.text())
	}
}

// isLogged reports whether browsers ask for SCTs. Under a root that they may
// never have heard of they do not, whatever rules it is held to, unless somebody
// gave a list of logs to ask for them.
func (x *exam) isLogged() bool {
	return x.public && (x.decider().Public || x.judge.logs != nil)
}

// unbound says why no SCTs are needed.
func (x *exam) unbound() string {
	if x.isLogged() {
		return "issued before the rule, which is of 2018"
	}
	return "not issued under a public root"
}

// timestamps returns the SCTs from all sources, each once, and whether these are
// all that there were: of a chain that was seen earlier those beside it may not
// have been kept, and of another behind the same address they never are.
func (x *exam) timestamps() (all []sct, whole bool) {
	o := &x.facts.Observation
	k := sctsKey{source: sctEmbedded, certificate: x.leaf.info.SHA256, issuer: x.built.issuerKey(x.leaf.info.SHA256)}
	if list := x.leaf.ext.sctList; list != nil {
		all = x.judge.scts(k, x.leaf, func() ([][]byte, error) { return wrappedSCTList(list) })
	}
	chain, staple, delivered, whole := o.Chain, o.Staple, o.SCTs, !x.facts.Past
	if len(chain) == 0 { // histories of earlier versions kept nothing beside it
		chain, staple, delivered, whole = x.facts.LastChain, x.facts.LastStaple, x.facts.LastSCTs, false
	}
	if len(chain) == 0 || !bytes.Equal(chain[0], x.leaf.der) {
		return all, false
	}
	k.issuer = inventory.Fingerprint{}
	if len(delivered) > 0 {
		k.source, k.content = sctTLS, contentOf(delivered)
		all = slices.Concat(all, x.judge.scts(k, x.leaf, func() ([][]byte, error) { return delivered, nil }))
	}
	if len(staple) > 0 {
		k.source, k.content = sctOCSP, inventory.FingerprintOf(staple)
		all = slices.Concat(all, x.judge.scts(k, x.leaf, func() ([][]byte, error) { return stapledSCTs(staple, x.leaf) }))
	}
	return all, whole
}

// contentOf names a list by content.
func contentOf(list [][]byte) inventory.Fingerprint {
	ids := make([]byte, 0, len(list)*sha256.Size)
	for _, b := range list {
		id := inventory.FingerprintOf(b)
		ids = append(ids, id[:]...)
	}
	return inventory.FingerprintOf(ids)
}

// A ctCount is what the SCTs of one chain come to.
type ctCount struct {
	verdicts     []inventory.SCTVerdict
	invalid      string // of the first that is; "" if none is
	unverifiable int
	needed       int // of those in the certificate

	embedded, delivered logSet // those that count
	current             bool   // one of embedded is of a log that is not retired
}

// A logSet is distinct logs, by ID, and distinct operators. There are few.
type logSet struct {
	logs      []inventory.Fingerprint
	operators []string
}

func (s *logSet) add(log inventory.Fingerprint, operator string) {
	if !slices.Contains(s.logs, log) {
		s.logs = append(s.logs, log)
	}
	if !slices.Contains(s.operators, operator) {
		s.operators = append(s.operators, operator)
	}
}

// count applies what depends on the time of judging, and counts.
func (x *exam) count(all []sct) *ctCount {
	c := &ctCount{needed: 2}
	if x.leaf.info.NotAfter.Sub(x.leaf.info.NotBefore) > longLived {
		c.needed = 3
	}
	if len(all) > 0 {
		c.verdicts = make([]inventory.SCTVerdict, len(all))
	}
	for i := range all {
		s := &all[i]
		v := &c.verdicts[i]
		*v = s.SCTVerdict
		if s.Timestamp.After(x.now) {
			x.changes(s.Timestamp)
			if v.Status == sctValid {
				v.Status, v.Detail = sctInvalid, "it is of the future"
			}
		}
		switch v.Status {
		case sctValid:
			x.countValid(c, s, v)
		case sctInvalid:
			if c.invalid == "" {
				c.invalid = fmt.Sprintf("the timestamp of %s in the %s, of %s, is invalid: %s", quote(v.Log), carrier(v.Source), v.Timestamp.Format(time.DateTime), v.Detail)
			}
		case sctUnknownLog, sctUnverifiable:
			c.unverifiable++
		}
	}
	return c
}

// countValid counts a valid SCT if its log's state allows it, and says so if
// not. Retired logs count for what they signed in time, but only inside of
// certificates, which cannot get others.
func (x *exam) countValid(c *ctCount, s *sct, v *inventory.SCTVerdict) {
	if s.worthless != "" {
		return
	}
	retired := false
	if s.log.State == inventory.LogRetired {
		x.changes(s.log.StateSince)
		retired = !x.now.Before(s.log.StateSince)
	}
	switch {
	case s.Source != sctEmbedded && retired:
		v.Detail = "the log is retired, and SCTs outside of certificates have to be of a present one"
	case s.Source != sctEmbedded:
		c.delivered.add(s.log.ID, v.Operator)
	case retired && !s.Timestamp.Before(s.log.StateSince):
		v.Detail = "the log was retired before"
	default:
		c.embedded.add(s.log.ID, v.Operator)
		c.current = c.current || !retired
	}
}

// carrier is the source of an SCT as messages have it.
func carrier(source string) string {
	switch source {
	case sctTLS:
		return "TLS extension"
	case sctOCSP:
		return "OCSP staple"
	}
	return "certificate"
}

// enough reports whether the rule is met, by the SCTs inside of the certificate
// or by those beside it.
func (c *ctCount) enough() bool {
	inside := len(c.embedded.logs) >= c.needed && len(c.embedded.operators) >= 2 && c.current
	return inside || len(c.delivered.logs) >= 2 && len(c.delivered.operators) >= 2
}

// text says what counts, and what would be enough.
func (c *ctCount) text() string {
	have, needed, where := c.embedded, c.needed, "in the certificate"
	if len(c.embedded.logs) == 0 && len(c.delivered.logs) > 0 {
		have, needed, where = c.delivered, 2, "beside the certificate"
	}
	s := fmt.Sprintf("of its %d timestamps those of %d logs and %d operators %s count; %d logs and 2 operators are needed",
		len(c.verdicts), len(have.logs), len(have.operators), where, needed)
	if len(c.embedded.logs) > 0 && !c.current {
		s += ", and one log that is not retired"
	}
	return s
}

// worseCT returns the worse of two verdicts of one address.
func worseCT(a, b inventory.CTVerdict) inventory.CTVerdict {
	order := []string{
		inventory.CTInvalid, inventory.CTMissing, inventory.CTInsufficient, inventory.CTUnverifiable,
		inventory.NotChecked, inventory.CTNotApplicable, inventory.CTCompliant,
	}
	if slices.Index(order, b.Status) < slices.Index(order, a.Status) {
		return b
	}
	return a
}
