package probe

import (
	"bytes"
	"net/netip"
)

// SetRouted replaces how p asks the kernel whether it has a route.
func (p *Prober) SetRouted(f func(netip.AddrPort) error) { p.routed = f }

// The parsers of foreign bytes, and the tables.
var (
	Foreign     = foreign
	AlertName   = alertName
	VersionName = versionName
	GroupName   = groupName
	SuiteName   = suiteName
)

// SuiteIDs are all suites of the tables.
func SuiteIDs() []uint16 { return ids("", modernSuites, commonSuites, rareSuites) }

// ReadRecording returns the chain in what a server sent, with the key log of
// the client that it was sent to.
func ReadRecording(seen, log []byte) ([][]byte, error) {
	var k keyLog
	_, _ = k.Write(log)
	f := readFlight(bytes.NewReader(seen), true, k.opener)
	return f.chain, f.err
}

// ParseMessages parses b as the body of a ServerHello and of a Certificate.
func ParseMessages(b []byte) (chains [][][]byte) {
	if h, err := parseServerHello(b); err == nil {
		_, _ = (&exchange{}).opener(h, b)
	}
	for _, modern := range []bool{false, true} {
		if c, err := parseCertificate(b, modern); err == nil {
			chains = append(chains, c.chain)
		}
	}
	return chains
}

// Answer returns the chain in a server's answer to a hand-made hello.
func Answer(b []byte, modern bool) ([][]byte, error) {
	x := exchange{conn: discard{bytes.NewReader(b)}, hello: clientHello{algorithms: legacyList("")}}
	if modern {
		if err := x.newShare(29); err != nil {
			return nil, err
		}
	}
	f := x.run()
	return f.chain, f.err
}

type discard struct{ *bytes.Reader }

func (discard) Write(b []byte) (int, error) { return len(b), nil }
