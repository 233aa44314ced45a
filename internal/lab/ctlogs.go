package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/cryptobyte"

	"example.com/certscan/internal/inventory"
)

// Object identifiers of Certificate Transparency (RFC 6962).
var (
	oidSCTList     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
	oidPoison      = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 3}
	oidOCSPSCTList = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 5}
)

// A Log is a Certificate Transparency log as far as SCTs show it: it promises to
// log whatever it is asked to. Nothing can be read from it.
type Log struct {
	name, operator string
	state          inventory.LogState
	since          time.Time
	key            *ecdsa.PrivateKey
	spki           []byte
	id             [sha256.Size]byte

	unlisted bool // in no list
	lies     bool // signs something else than it is asked to
}

// mergeDelay is what logs promise.
const mergeDelay = day

// logs are all of the lab's.
type logs struct{ oak, elm, oak2, retired, rejected, unlisted, liar *Log }

func (l *logs) all() []*Log {
	return []*Log{l.oak, l.elm, l.oak2, l.retired, l.rejected, l.unlisted, l.liar}
}

// usual are the logs that authorities ask for a certificate of the lifetime.
func (l *logs) usual(lifetime time.Duration) []*Log {
	if lifetime > 180*day {
		return []*Log{l.oak, l.elm, l.oak2}
	}
	return []*Log{l.oak, l.elm}
}

func newLogs(now time.Time) (*logs, error) {
	log := func(name, operator string, state inventory.LogState, since time.Duration) *Log {
		return &Log{name: name, operator: operator, state: state, since: now.Add(since).UTC().Truncate(time.Second)}
	}
	l := &logs{
		oak:      log("Oak 2026", "Oak", inventory.LogUsable, -400*day),
		oak2:     log("Oak 2027", "Oak", inventory.LogQualified, -40*day),
		elm:      log("Elm 2026", "Elm", inventory.LogReadOnly, -day),
		retired:  log("Ash 2026", "Ash", inventory.LogRetired, -5*day),
		rejected: log("Fir 2026", "Fir", inventory.LogRejected, -400*day),
		unlisted: log("Yew 2026", "Yew", inventory.LogUsable, -400*day),
		liar:     log("Elm 2027", "Elm", inventory.LogUsable, -400*day),
	}
	l.unlisted.unlisted, l.liar.lies = true, true
	for _, log := range l.all() {
		key, err := NewKey()
		if err != nil {
			return nil, err
		}
		if log.spki, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
			return nil, err
		}
		log.key, log.id = key, sha256.Sum256(log.spki)
	}
	return l, nil
}

// The types of entry of RFC 6962, section 3.1.
const (
	x509Entry    = 0
	precertEntry = 1
)

// sct promises to log the entry (RFC 6962, section 3.2).
func (l *Log) sct(kind uint16, entry []byte, at time.Time) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddBytes([]byte{0, 0})
	b.AddUint64(uint64(at.UnixMilli()))
	b.AddUint16(kind)
	b.AddBytes(entry)
	b.AddUint16(0) // no extensions
	if l.lies {
		b.AddUint8(0)
	}
	signed, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(signed)
	signature, err := l.key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var out cryptobyte.Builder
	out.AddUint8(0)
	out.AddBytes(l.id[:])
	out.AddUint64(uint64(at.UnixMilli()))
	out.AddUint16(0)
	out.AddBytes([]byte{4, 3}) // ECDSA with SHA-256
	out.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(signature) })
	return out.Bytes()
}

// logCertificate returns an SCT of each log on a certificate as it is.
func logCertificate(logs []*Log, der []byte, at time.Time) ([][]byte, error) {
	var entry cryptobyte.Builder
	entry.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(der) })
	return allSCTs(logs, x509Entry, entry, at)
}

// logPrecertificate returns an SCT of each log on what is to become a certificate
// of the issuer with that key.
func logPrecertificate(logs []*Log, tbs []byte, issuer crypto.PublicKey, at time.Time) ([][]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(issuer)
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(spki)
	var entry cryptobyte.Builder
	entry.AddBytes(id[:])
	entry.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(tbs) })
	return allSCTs(logs, precertEntry, entry, at)
}

func allSCTs(logs []*Log, kind uint16, entry cryptobyte.Builder, at time.Time) (all [][]byte, err error) {
	content, err := entry.Bytes()
	for _, l := range logs {
		var s []byte
		if err == nil {
			s, err = l.sct(kind, content, at)
		}
		all = append(all, s)
	}
	return all, err
}

// sctExtension is a list of SCTs as certificates and OCSP responses have it.
func sctExtension(id asn1.ObjectIdentifier, scts [][]byte) (pkix.Extension, error) {
	var list cryptobyte.Builder
	list.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, s := range scts {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s) })
		}
	})
	content, err := list.Bytes()
	if err != nil {
		return pkix.Extension{}, err
	}
	value, err := asn1.Marshal(content)
	return pkix.Extension{Id: id, Value: value}, err
}

// logged adds to t the SCTs of the logs on t as it is.
func (t *TBS) logged(logs []*Log, issuer crypto.PublicKey, at time.Time) error {
	raw, err := asn1.Marshal(*t)
	if err != nil {
		return err
	}
	scts, err := logPrecertificate(logs, raw, issuer, at)
	if err != nil {
		return err
	}
	e, err := sctExtension(oidSCTList, scts)
	t.Extensions = append(t.Extensions, e)
	return err
}

// LogList is the list of the lab's logs as of its beginning.
func (l *Lab) LogList() inventory.LogList {
	list := inventory.LogList{
		Version: "1.1", Date: l.builder.now.Add(-time.Hour).UTC().Truncate(time.Second),
		Logs: make(map[inventory.Fingerprint]inventory.Log),
	}
	for _, log := range l.builder.logs.all() {
		if !log.unlisted {
			list.Logs[log.id] = inventory.Log{
				ID: log.id, Description: log.name, Operator: log.operator, Key: log.spki, MMD: mergeDelay,
				URL: "https://" + log.operator + ".example/", State: log.state, StateSince: log.since,
			}
		}
	}
	return list
}

// WriteLogList writes the list to dir in the form that browsers have, version 3,
// and returns its path.
func (l *Lab) WriteLogList(dir string) (string, error) {
	type state struct {
		Since time.Time `json:"timestamp"`
	}
	type log struct {
		Description string           `json:"description"`
		ID          []byte           `json:"log_id"`
		Key         []byte           `json:"key"`
		URL         string           `json:"url"`
		MMD         int              `json:"mmd"`
		State       map[string]state `json:"state"`
	}
	type operator struct {
		Name string `json:"name"`
		Logs []log  `json:"logs"`
	}
	list := l.LogList()
	var operators []operator
	for _, in := range l.builder.logs.all() {
		if in.unlisted {
			continue
		}
		operators = append(operators, operator{in.operator, []log{{
			in.name, in.id[:], in.spki, "https://" + in.operator + ".example/", int(mergeDelay.Seconds()),
			map[string]state{string(in.state): {in.since}},
		}}})
	}
	text, err := json.MarshalIndent(map[string]any{
		"version": list.Version, "log_list_timestamp": list.Date, "operators": operators,
	}, "", "  ")
	if err != nil {
		return "", fmt.Errorf("write log list: %w", err)
	}
	path := filepath.Join(dir, "lab-logs.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return "", fmt.Errorf("write log list: %w", err)
	}
	return path, nil
}
