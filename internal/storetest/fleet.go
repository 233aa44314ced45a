package storetest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"example.com/certscan/internal/inventory"
)

// Start is when the made-up history begins.
var Start = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

// Bytes returns n bytes that are always the same for a name. A store keeps
// certificates without reading them, so any bytes will do.
func Bytes(name string, n int) []byte {
	src := rand.NewChaCha8(inventory.FingerprintOf([]byte(name)))
	b := make([]byte, n)
	_, _ = src.Read(b) // never fails
	return b
}

// Chain returns a leaf of its own for a name, and two issuers that all share.
func Chain(name string) [][]byte {
	return [][]byte{Bytes(name, 1150), Bytes("intermediate", 1100), Bytes("root", 1300)}
}

// Certificate is what a judge would say of a certificate of [Chain].
func Certificate(der []byte, names ...string) inventory.Certificate {
	f := inventory.FingerprintOf(der)
	return inventory.Certificate{
		SHA256: f, Names: names, NotBefore: Start.Add(-24 * time.Hour), NotAfter: Start.Add(89 * 24 * time.Hour),
		SPKI: inventory.FingerprintOf(append([]byte("key"), f[:]...)), TBS: inventory.FingerprintOf(append([]byte("tbs"), f[:]...)),
		IssuerKey: IssuerKey(),
	}
}

// IssuerKey is the key that signed every certificate of [Chain].
func IssuerKey() inventory.Fingerprint { return inventory.FingerprintOf([]byte("issuer")) }

// Target returns the target host:443.
func Target(host string) inventory.Target {
	return inventory.Target{
		Host: host, Port: 443, Protocol: inventory.TLS,
		Labels:  map[string]string{"owner": "web", "environment": "prod"},
		Sources: []string{"file:domains.txt"},
	}
}

// Seen returns an endpoint of t that served a chain at a time, with a judgement
// that finds nothing.
func Seen(t inventory.Target, address string, at time.Time, chain [][]byte) inventory.Endpoint {
	e := inventory.Endpoint{Observation: inventory.Observation{
		Schema: inventory.ObservationSchema, Target: t.Key(), Address: address, Location: inventory.LocalLocation,
		Offer: inventory.OfferDefault, Slot: at.Unix(), Time: at,
		Reach:   inventory.Reach{Status: inventory.ReachOK},
		Capture: &inventory.Capture{Method: inventory.CaptureHandshake, HandshakeComplete: true, PossessionProven: true},
		TLS:     &inventory.TLSFacts{Version: "TLS 1.3", CipherSuite: "TLS_AES_128_GCM_SHA256", Group: "X25519"},
		Chain:   chain,
		Timings: inventory.Timings{Connect: time.Millisecond, Handshake: 12 * time.Millisecond},
	}}
	for i, der := range chain {
		c := Certificate(der, t.Host)
		if i == 0 {
			e.Judgement.Certificate = &c
		} else {
			e.Judgement.Chain = append(e.Judgement.Chain, c)
		}
	}
	return e
}

// Failed returns an endpoint of t that could not be reached.
func Failed(t inventory.Target, address string, at time.Time, status inventory.ReachStatus) inventory.Endpoint {
	return inventory.Endpoint{Observation: inventory.Observation{
		Schema: inventory.ObservationSchema, Target: t.Key(), Address: address, Location: inventory.LocalLocation,
		Offer: inventory.OfferDefault, Slot: at.Unix(), Time: at, Reach: inventory.Reach{Status: status, Detail: "connection " + string(status)},
	}}
}

// Resolved says of endpoints that their name has these addresses.
func Resolved(addresses []string, endpoints ...inventory.Endpoint) []inventory.Endpoint {
	r := inventory.Resolution{Name: "name.example", Status: inventory.ReachOK, TTL: 300, Server: "192.0.2.53:53"}
	for _, a := range addresses {
		r.Addresses = append(r.Addresses, netip.MustParseAddr(a))
	}
	for i := range endpoints {
		endpoints[i].Observation.Resolution = &r
	}
	return endpoints
}

// Fleet returns the results of examining n endpoints at a time, one for each
// target, with certificates of their own. Timings and TTLs differ from time to
// time as they do on a network.
func Fleet(n int, at time.Time) []inventory.Result {
	random := rand.New(rand.NewPCG(uint64(at.Unix()), uint64(n)))
	results := make([]inventory.Result, 0, n)
	for i := range n {
		t := Target(fmt.Sprintf("host-%06d.fleet.example", i))
		address := fmt.Sprintf("127.%d.%d.%d", 1+i>>16, i>>8&0xff, i&0xff)
		e := Resolved([]string{address}, Seen(t, address, at.Add(time.Duration(i)*time.Millisecond), Chain(t.Host)))[0]
		e.Observation.Resolution.Name, e.Observation.Resolution.TTL = t.Host, uint32(random.IntN(3600))
		e.Observation.Timings = inventory.Timings{
			Resolve: time.Duration(random.IntN(5e6)), Connect: time.Duration(random.IntN(1e7)), Handshake: time.Duration(random.IntN(1e8)),
		}
		results = append(results, inventory.Result{Target: t, Endpoints: []inventory.Endpoint{e}})
	}
	return results
}
