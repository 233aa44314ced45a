package peers_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/probe"
)

const probeLimit = 10 * time.Second

// observe probes a server on loopback as host.
func observe(t *testing.T, proto inventory.Protocol, host string, port uint16, offer inventory.Offer) inventory.Observation {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), probeLimit)
	defer cancel()
	return probe.New(probe.Options{}).Probe(ctx, inventory.ProbeRequest{
		Target:  inventory.Target{Host: host, Port: port, Protocol: proto},
		Address: netip.MustParseAddr("127.0.0.1"),
		Offer:   offer,
		Mode:    inventory.ModeFull,
	})
}

// protocolLine is where openssl says which version was negotiated.
var protocolLine = regexp.MustCompile(`(?m)^(?:New|Reused), (\S+), Cipher is`)

// reference asks openssl for what observe is to see.
func reference(t *testing.T, proto inventory.Protocol, host string, port uint16, args ...string) (chain [][]byte, version string) {
	t.Helper()
	openssl := find(t, "openssl", "openssl")
	all := []string{"s_client", "-connect", address(port), "-showcerts"}
	if host == "" {
		all = append(all, "-noservername")
	} else {
		all = append(all, "-servername", host)
	}
	if proto != inventory.TLS {
		all = append(all, "-starttls", string(proto))
	}
	ctx, cancel := context.WithTimeout(t.Context(), probeLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, openssl, append(all, args...)...)
	cmd.Env = append(cmd.Environ(), "OPENSSL_CONF=/dev/null")
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	// Its exit status says what it thinks of the chain or of a missing client
	// certificate; what it saw is in the output either way.
	err := cmd.Run()
	rest := out.Bytes()
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			chain = append(chain, block.Bytes)
		}
	}
	if len(chain) == 0 {
		t.Fatalf("%s: no certificate (%v):\n%s%s", cmd, err, &out, &complaints)
	}
	if m := protocolLine.FindSubmatch(out.Bytes()); m != nil {
		version = versionName(string(m[1]))
	}
	return chain, version
}

// versionName turns TLSv1.3 into TLS 1.3.
func versionName(openssl string) string {
	v := strings.Replace(openssl, "TLSv", "TLS ", 1)
	if v == "TLS 1" {
		return "TLS 1.0"
	}
	return v
}

func fingerprints(chain [][]byte) []string {
	var list []string
	for _, der := range chain {
		list = append(list, inventory.FingerprintOf(der).String())
	}
	return list
}

// sameChain holds what was observed against what openssl saw, and both against
// what the server was told to send.
func sameChain(t *testing.T, o inventory.Observation, openssl, served [][]byte) {
	t.Helper()
	if o.Reach.Status != inventory.ReachOK {
		t.Errorf("reach = %s (%s), want ok", o.Reach.Status, o.Reach.Detail)
	}
	if diff := cmp.Diff(fingerprints(openssl), fingerprints(o.Chain)); diff != "" {
		t.Errorf("-openssl +certscan:\n%s", diff)
	}
	if diff := cmp.Diff(fingerprints(served), fingerprints(o.Chain)); diff != "" {
		t.Errorf("-configured +certscan:\n%s", diff)
	}
}

// agree probes and asks openssl, and compares chains and versions. It returns
// the observation, of a completed handshake.
func agree(t *testing.T, proto inventory.Protocol, host string, port uint16, served [][]byte) inventory.Observation {
	t.Helper()
	chain, version := reference(t, proto, host, port)
	o := observe(t, proto, host, port, inventory.OfferDefault)
	sameChain(t, o, chain, served)
	if o.TLS == nil || o.TLS.Version != version {
		t.Errorf("tls = %+v, want version %s", o.TLS, version)
	}
	if o.Capture == nil || !o.Capture.HandshakeComplete || !o.Capture.PossessionProven {
		t.Errorf("capture = %+v, want a whole handshake", o.Capture)
	}
	if len(o.Injected) > 0 {
		t.Errorf("injected %q, want nothing", o.Injected)
	}
	return o
}

// without probes a server that has no TLS to offer.
func without(t *testing.T, proto inventory.Protocol, port uint16, want inventory.ReachStatus, words string) {
	t.Helper()
	o := observe(t, proto, "shop.example", port, inventory.OfferDefault)
	if o.Reach.Status != want || !strings.Contains(o.Reach.Detail, words) {
		t.Errorf("reach = %s (%q), want %s (… %q …)", o.Reach.Status, o.Reach.Detail, want, words)
	}
	if len(o.Chain) > 0 {
		t.Errorf("%d certificates, want none", len(o.Chain))
	}
}
