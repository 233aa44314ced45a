package lab

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/miekg/dns"

	"example.com/certscan/internal/inventory"
)

// A ChainKind is what the scale fleet's certificates stand under.
type ChainKind string

// The kinds of chain. Every leaf has a P-256 key.
const (
	ChainP256        ChainKind = "p256"        // P-256 intermediate and root
	ChainLetsEncrypt ChainKind = "letsencrypt" // P-384 intermediate, RSA-4096 root
)

const (
	fleetSuffix    = ".fleet." + Domain
	fleetLimit     = 1_000_000
	fleetAddresses = 250
)

// A fleet is very many ordinary endpoints, made to cost the machine as little
// as can be: a certificate is made when it is first asked for, by writing name,
// serial number and key into one that was made before, and kept.
type fleet struct {
	opt       Options
	root      *Certificate
	issuing   *Certificate
	addresses []netip.Addr
	refused   netip.Addr // nobody listens here
	port      uint16
	lists     int

	deaths []fate
	round  atomic.Uint64 // of trouble
	leaf   leafTemplate
	certs  []atomic.Pointer[tls.Certificate]
	ctx    context.Context //nolint:containedctx // the farm's
}

func newFleet(b *builder, opt Options) (*fleet, error) {
	f := &fleet{opt: opt, root: b.root, deaths: deaths()}
	if opt.Endpoints < 0 || opt.Endpoints > fleetLimit {
		return nil, fmt.Errorf("%d endpoints: want 0 to %d", opt.Endpoints, fleetLimit)
	}
	switch opt.Chain {
	case ChainP256, "":
	case ChainLetsEncrypt:
		f.root = b.authority("fleet-root", nil, withKey(b.key("rsa-4096-root")))
	default:
		return nil, fmt.Errorf("chain %q: want %q or %q", opt.Chain, ChainP256, ChainLetsEncrypt)
	}
	if opt.Endpoints == 0 {
		return f, b.err
	}
	curve := elliptic.P256()
	if opt.Chain == ChainLetsEncrypt {
		curve = elliptic.P384()
	}
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		return nil, err
	}
	f.issuing = b.authority("fleet-issuing", f.root, withKey(key))
	if f.lists = max(1, opt.Lists); f.lists > 1000 {
		return nil, fmt.Errorf("%d CRLs: want 1 to 1000", opt.Lists)
	}
	for i := range f.lists {
		name := fleetListName(i)
		b.issuers.publishList(name, b.longList(f.issuing, listSpec{point: b.issuers.listURL(name)}, opt.ListEntries))
	}
	first := b.leaf(f.issuing, fleetName(0), withLists(b.issuers.listURL(fleetListName(0))))
	if b.err != nil {
		return nil, b.err
	}
	f.certs = make([]atomic.Pointer[tls.Certificate], opt.Endpoints)
	f.leaf, err = newLeafTemplate(first, f.issuing)
	return f, err
}

// start listens on the fleet's addresses.
func (f *fleet) start(farm *farm) (err error) {
	if f.opt.Endpoints == 0 {
		return nil
	}
	f.ctx = farm.ctx
	n := f.opt.Addresses
	if n <= 0 {
		n = fleetAddresses
	}
	addresses := newAddresses(netip.AddrFrom4([4]byte{127, 77, 0, 0}))
	f.refused = addresses.next()
	endpoints := []endpoint{{f.refused, nil}}
	handler := f.handler()
	for range min(n, f.opt.Endpoints) {
		a := addresses.next()
		f.addresses = append(f.addresses, a)
		endpoints = append(endpoints, endpoint{a, handler})
	}
	f.port, err = farm.listenAll(endpoints)
	return err
}

func fleetName(i int) string { return fmt.Sprintf("n%06d%s", i, fleetSuffix) }

func fleetListName(i int) string { return fmt.Sprintf("fleet-list-%03d", i) }

// index returns the number in a name that fleetName made.
func (f *fleet) index(name string) (int, bool) {
	digits, ok := strings.CutSuffix(strings.TrimPrefix(name, "n"), fleetSuffix)
	if !ok || len(digits) != 6 || name[0] != 'n' {
		return 0, false
	}
	i, err := strconv.Atoi(digits)
	return i, err == nil && i >= 0 && i < f.opt.Endpoints
}

// lookup is for the DNS server: what it says of a name, nil if it is not ours.
func (f *fleet) lookup(name string) *entry {
	i, ok := f.index(name)
	if !ok {
		return nil
	}
	if round := f.round.Load(); round > 0 && f.part(mix(mix(uint64(i)^round<<32)+1)) {
		return &entry{rcode: dns.RcodeServerFailure}
	}
	return &entry{addresses: []netip.Addr{f.address(i)}}
}

func (f *fleet) address(i int) netip.Addr {
	if f.first(i).status == inventory.ReachRefused {
		return f.refused
	}
	return f.addresses[i%len(f.addresses)]
}

func (f *fleet) targets(yield func(string, inventory.ReachStatus) bool) {
	for i := range f.opt.Endpoints {
		t := inventory.Target{Host: fleetName(i), Port: f.port, Protocol: inventory.TLS, Address: f.address(i).String()}
		if !yield(t.Key(), f.fate(i).status) {
			return
		}
	}
}

// handler makes the fewest moves that are a TLS server.
func (f *fleet) handler() Handler {
	config := &tls.Config{
		SessionTicketsDisabled: true, // nobody resumes
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if i, ok := f.index(hello.ServerName); ok {
				return f.certificate(i)
			}
			return nil, nil //nolint:nilnil // how crypto/tls is told to answer unrecognized_name
		},
	}
	if f.opt.Delay > 0 || f.opt.DeadFraction > 0 {
		config.GetConfigForClient = f.receive
	}
	return func(_ context.Context, conn net.Conn) {
		t := tls.Server(conn, config)
		if t.Handshake() == nil {
			var b [64]byte
			for {
				if _, err := t.Read(b[:]); err != nil {
					return
				}
			}
		}
	}
}

// errDead ends the handshake of a dead endpoint, whose connection is closed.
var errDead = errors.New("dead endpoint")

// receive is asked when a ClientHello has come: it takes its time, or the
// connection.
func (f *fleet) receive(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if i, ok := f.index(hello.ServerName); ok {
		fate := f.fate(i)
		if fate.kill != nil {
			fate.kill(f.ctx, hello.Conn)
			hello.Conn.Close()
			return nil, errDead
		}
		if fate.slow {
			pause(f.ctx, slowness)
		}
	}
	pause(f.ctx, f.opt.Delay)
	return nil, nil //nolint:nilnil // no other configuration
}
