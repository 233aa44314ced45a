package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/certscan/internal/inventory"
)

// Bounds of foreign text, in bytes.
const (
	maxText     = 1 << 10
	maxName     = 255
	maxInjected = 256
)

// A stateID identifies a state of a view by its content.
type stateID [16]byte

// A state is the facts of an observation that make another span when they
// change.
type state struct {
	id    stateID
	reach inventory.ReachStatus
	tls   *inventory.TLSFacts
	chain inventory.Fingerprint   // zero: none was served
	pool  []inventory.Fingerprint // further chains, sorted
}

func (s *state) setID() {
	h := sha256.New()
	var buf [512]byte
	b := appendText(buf[:0], string(s.reach))
	if t := s.tls; t != nil {
		b = append(b, 1)
		for _, text := range []string{t.Version, t.CipherSuite, t.Group, t.ALPN} {
			b = appendText(b, text)
		}
		b = appendBool(b, t.ClientCertificateRequired)
	} else {
		b = append(b, 0)
	}
	if len(s.pool) == 0 {
		b = append(b, s.chain[:]...)
	} else {
		for _, id := range sortedSet(append([]inventory.Fingerprint{s.chain}, s.pool...)) {
			b = append(b, id[:]...)
		}
	}
	h.Write(b)
	copy(s.id[:], h.Sum(buf[:0]))
}

// prefer makes id the first chain of the pool if it belongs to it, so that
// which member happened to answer first is not taken for a change.
func (s *state) prefer(id inventory.Fingerprint) {
	if i := slices.Index(s.pool, id); i >= 0 {
		s.pool[i], s.chain = s.chain, id
		slices.SortFunc(s.pool, compareFingerprints)
	}
}

func sortedSet(ids []inventory.Fingerprint) []inventory.Fingerprint {
	slices.SortFunc(ids, compareFingerprints)
	return slices.Compact(ids)
}

func compareFingerprints(a, b inventory.Fingerprint) int { return bytes.Compare(a[:], b[:]) }

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// metaOf hashes what may change about a target from scan to scan.
func metaOf(t inventory.Target) stateID {
	var buf [512]byte
	b := buf[:0]
	for _, k := range slices.Sorted(maps.Keys(t.Labels)) {
		b = appendText(appendText(b, k), t.Labels[k])
	}
	b = append(b, 0xff)
	for _, s := range t.Sources {
		b = appendText(b, s)
	}
	sum := sha256.Sum256(b)
	return stateID(sum[:16])
}

// doneID is how progress names a finished target.
func doneID(target string) stateID {
	sum := sha256.Sum256([]byte(target))
	return stateID(sum[:16])
}

// pack joins hashes; nil if there are none.
func pack(ids []inventory.Fingerprint) []byte {
	if len(ids) == 0 {
		return nil
	}
	b := make([]byte, 0, len(ids)*sha256.Size)
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

func unpack(b []byte) []inventory.Fingerprint {
	if len(b) == 0 {
		return nil
	}
	ids := make([]inventory.Fingerprint, 0, len(b)/sha256.Size)
	for c := range slices.Chunk(b, sha256.Size) {
		ids = append(ids, toFingerprint(c))
	}
	return ids
}

func toFingerprint(b []byte) (f inventory.Fingerprint) {
	copy(f[:], b)
	return f
}

// nullable is f as a parameter: NULL if it is unknown.
func nullable(f inventory.Fingerprint) any {
	if f.IsZero() {
		return nil
	}
	return f[:]
}

// packBlobs joins blobs, each after its length in 4 bytes.
func packBlobs(blobs [][]byte) []byte {
	out := []byte{}
	for _, b := range blobs {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(b))), b...)
	}
	return out
}

func unpackBlobs(b []byte) ([][]byte, error) {
	var out [][]byte
	for len(b) > 0 {
		if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
			return nil, errors.New("blobs are cut short")
		}
		n := int(binary.BigEndian.Uint32(b))
		out = append(out, slices.Clone(b[4:4+n]))
		b = b[4+n:]
	}
	return out, nil
}

// packTimings has one size for all values, so that a row that is touched by
// every scan does not grow.
func packTimings(t inventory.Timings) []byte {
	b := make([]byte, 0, 16)
	for _, d := range []time.Duration{t.Resolve, t.Connect, t.STARTTLS, t.Handshake} {
		b = binary.BigEndian.AppendUint32(b, uint32(min(max(d.Microseconds(), 0), math.MaxUint32)))
	}
	return b
}

func unpackTimings(b []byte) (t inventory.Timings) {
	for i, d := range []*time.Duration{&t.Resolve, &t.Connect, &t.STARTTLS, &t.Handshake} {
		if len(b) >= 4*i+4 {
			*d = time.Duration(binary.BigEndian.Uint32(b[4*i:])) * time.Microsecond
		}
	}
	return t
}

// The bits of view.flags.
const (
	flagComplete = 1 << iota
	flagPossession
	flagStapled
	flagClientAsked
)

// rare is what an observation seldom has.
type rare struct {
	SCTs        [][]byte `json:"scts,omitempty"`
	Injected    []byte   `json:"injected,omitempty"`
	PostQuantum *bool    `json:"post_quantum,omitempty"`
}

// acceptsOf is view.accepts: NULL if nothing was asked, which leaves what is
// there.
func acceptsOf(t *inventory.TLSFacts) (any, error) {
	if t == nil || t.Accepts == nil {
		return nil, nil
	}
	return jsonText(inventory.Accepted{At: t.AcceptsAt, Words: t.Accepts, Unknown: t.AcceptsUnknown, PostQuantum: t.PostQuantum})
}

// readAccepts is the inverse.
func readAccepts(text []byte) (*inventory.Accepted, error) {
	if len(text) == 0 {
		return nil, nil
	}
	var a inventory.Accepted
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("what is accepted: %w", err)
	}
	return &a, nil
}

// latest is the columns that every examination overwrites.
type latest struct {
	schema, slot, attempt int64
	detail                string
	method                any
	flags                 int64
	timings               []byte
	resolution            any
	staple                any
	rare                  any
	accepts               any
}

func latestOf(o *inventory.Observation) (latest, error) {
	l := latest{
		schema: int64(o.Schema), slot: o.Slot, attempt: int64(o.Attempt),
		detail: clip(o.Reach.Detail, maxText), timings: packTimings(o.Timings),
	}
	if c := o.Capture; c != nil {
		l.method = string(c.Method)
		if c.HandshakeComplete {
			l.flags |= flagComplete
		}
		if c.PossessionProven {
			l.flags |= flagPossession
		}
	}
	if len(o.Staple) > 0 {
		l.staple = o.Staple
	}
	r := rare{SCTs: o.SCTs, Injected: o.Injected[:min(len(o.Injected), maxInjected)]}
	if o.TLS != nil {
		r.PostQuantum = o.TLS.PostQuantum
		if o.TLS.Stapled {
			l.flags |= flagStapled
		}
		if o.TLS.ClientCertificateRequested {
			l.flags |= flagClientAsked
		}
	}
	var err error
	if o.Resolution != nil {
		if l.resolution, err = jsonText(o.Resolution); err != nil {
			return l, err
		}
	}
	if len(r.SCTs) > 0 || len(r.Injected) > 0 || r.PostQuantum != nil {
		if l.rare, err = jsonText(r); err != nil {
			return l, err
		}
	}
	l.accepts, err = acceptsOf(o.TLS)
	return l, err
}

func jsonText(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return string(b), nil
}

// clip cuts s to at most n bytes, between two characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// reversed turns a name around for the index: www.example.com into
// com.example.www. Addresses stay as they are.
func reversed(name string) string {
	if _, err := netip.ParseAddr(name); err == nil {
		return name
	}
	labels := strings.Split(strings.ToLower(strings.TrimSuffix(name, ".")), ".")
	slices.Reverse(labels)
	return strings.Join(labels, ".")
}
