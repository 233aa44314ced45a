package lab_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/lab"
)

// split takes a target of the scale fleet apart.
func split(t *testing.T, target string) (host string, at netip.AddrPort) {
	t.Helper()
	host, address, ok := strings.Cut(target, "@")
	if !ok {
		t.Fatalf("target %q has no address", target)
	}
	return host, netip.MustParseAddrPort(address)
}

func TestFleetServesACertificateForEachName(t *testing.T) {
	t.Parallel()
	const n = 1000
	l := start(t, lab.Options{Scenarios: []string{}, Endpoints: n})
	leaves := make([]*x509.Certificate, n)
	addresses := make(map[netip.AddrPort]bool)
	var g errgroup.Group
	g.SetLimit(20)
	i := 0
	for target, status := range l.Targets() {
		host, at := split(t, target)
		if status != inventory.ReachOK {
			t.Errorf("%s is %s", target, status)
		}
		addresses[at] = true
		leaf := &leaves[i]
		i++
		g.Go(func() error {
			config := permissive(host)
			config.CurvePreferences = []tls.CurveID{tls.X25519}
			conn, err := tls.Dial("tcp", at.String(), config)
			if err != nil {
				return err
			}
			defer conn.Close()
			*leaf = conn.ConnectionState().PeerCertificates[0]
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for target := range l.Targets() { // the first of many
		host, at := split(t, target)
		if err := tls.Client(dial(t, at), &tls.Config{ServerName: host, RootCAs: pool(t, l.Public())}).Handshake(); err != nil {
			t.Error(err)
		}
		break
	}
	certificates, keys, serials := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	for _, c := range leaves {
		certificates[string(c.Raw)] = true
		keys[string(c.RawSubjectPublicKeyInfo)] = true
		serials[c.SerialNumber.String()] = true
	}
	if i != n || len(certificates) != n || len(keys) != n || len(serials) != n {
		t.Errorf("%d targets with %d certificates, %d keys and %d serial numbers, want %d of each",
			i, len(certificates), len(keys), len(serials), n)
	}
	if len(addresses) != 250 {
		t.Errorf("%d addresses, want 250", len(addresses))
	}
}

// first returns the first target that ends with status.
func first(t *testing.T, l *lab.Lab, status inventory.ReachStatus, skip int) (host string, at netip.AddrPort) {
	t.Helper()
	for target, s := range l.Targets() {
		if s == status {
			if skip--; skip < 0 {
				return split(t, target)
			}
		}
	}
	t.Fatalf("no target is %s", status)
	return "", at
}

func TestFleetServesTheSameAgain(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Scenarios: []string{}, Endpoints: 5, Addresses: 1})
	host, at := first(t, l, inventory.ReachOK, 3)
	a, b := served(t, dial(t, at), permissive(host)), served(t, dial(t, at), permissive(host))
	if a == nil || !bytes.Equal(a, b) {
		t.Errorf("two certificates for %s", host)
	}
	for _, name := range []string{"", "n000005" + host[7:], "n-00001" + host[7:], "example.com"} {
		err := tls.Client(dial(t, at), permissive(name)).Handshake()
		if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("name %q: %v, want it to be unrecognized", name, err)
		}
	}
}

func TestFleetUnderLetsEncryptsKindOfChain(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Scenarios: []string{}, Endpoints: 1, Chain: lab.ChainLetsEncrypt})
	host, at := first(t, l, inventory.ReachOK, 0)
	client := tls.Client(dial(t, at), &tls.Config{ServerName: host, RootCAs: pool(t, l.Public())})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	chain := client.ConnectionState().VerifiedChains[0]
	bits := func(c *x509.Certificate) int { return c.PublicKey.(*ecdsa.PublicKey).Params().BitSize }
	if len(chain) != 3 || bits(chain[0]) != 256 || bits(chain[1]) != 384 ||
		chain[0].SignatureAlgorithm != x509.ECDSAWithSHA384 || chain[1].SignatureAlgorithm != x509.SHA256WithRSA {
		t.Errorf("chain of %d: leaf %s, intermediate %s", len(chain), chain[0].SignatureAlgorithm, chain[1].SignatureAlgorithm)
	}
}

func TestFleetIsAsDeadAsAsked(t *testing.T) {
	t.Parallel()
	opt := lab.Options{Scenarios: []string{}, Endpoints: 5000, DeadFraction: 0.05}
	l, again := start(t, opt), start(t, opt)
	count := make(map[inventory.ReachStatus]int)
	fates := make(map[string]inventory.ReachStatus)
	for target, s := range l.Targets() {
		host, _ := split(t, target)
		count[s]++
		fates[host] = s
	}
	for target, s := range again.Targets() {
		if host, _ := split(t, target); fates[host] != s {
			t.Fatalf("%s is %s in one lab and %s in the next", host, fates[host], s)
		}
	}
	if dead := 5000 - count[inventory.ReachOK]; dead < 200 || dead > 300 {
		t.Errorf("%d dead of 5000, want about 250: %v", dead, count)
	}
	for status, want := range map[inventory.ReachStatus]func(error) bool{
		inventory.ReachOK:      func(err error) bool { return err == nil },
		inventory.ReachReset:   func(err error) bool { return errors.Is(err, syscall.ECONNRESET) },
		inventory.ReachEOF:     func(err error) bool { return errors.Is(err, io.EOF) },
		inventory.ReachTimeout: func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) },
		inventory.ReachRefused: func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) },
		inventory.ReachNotTLS: func(err error) bool {
			_, ok := errors.AsType[tls.RecordHeaderError](err)
			return ok
		},
	} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			for skip := range 3 {
				host, at := first(t, l, status, skip)
				conn, err := net.Dial("tcp", at.String())
				if err == nil {
					err = conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
				}
				if err == nil {
					err = tls.Client(conn, permissive(host)).Handshake()
					conn.Close()
				}
				if !want(err) {
					t.Errorf("%s at %s: %v", host, at, err)
				}
			}
		})
	}
}

// Trouble is others' in each round, and over with the next.
func TestTrouble(t *testing.T) {
	t.Parallel()
	const n = 1000
	l := start(t, lab.Options{Scenarios: []string{}, Endpoints: n, DeadFraction: 0.1})
	resolve := func(host string) int {
		m, _, err := new(dns.Client).Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(host), dns.TypeA), l.Resolver())
		if err != nil {
			t.Fatal(err)
		}
		return m.Rcode
	}
	// look counts who is struck, and how.
	look := func() (dead map[string]bool, unresolved int) {
		dead = make(map[string]bool)
		for target, s := range l.Targets() {
			if s != inventory.ReachOK {
				dead[target] = true
			}
			host, _ := split(t, target)
			if resolve(host) == dns.RcodeServerFailure {
				unresolved++
			}
		}
		return dead, unresolved
	}
	before, unresolved := look()
	if unresolved != 0 {
		t.Errorf("at the beginning %d names are not resolved", unresolved)
	}
	for round := range uint64(3) {
		l.Trouble(round + 1)
		dead, unresolved := look()
		if len(dead) < n/20 || len(dead) > n/5 || maps.Equal(dead, before) || unresolved < n/20 || unresolved > n/5 {
			t.Errorf("round %d: %d dead and %d not resolved, want others than before and about %d each", round+1, len(dead), unresolved, n/10)
		}
		before = dead
	}
	l.Trouble(0)
	if again, unresolved := look(); len(again) == 0 || unresolved != 0 {
		t.Errorf("in the end %d are dead and %d names not resolved, want it as at the beginning", len(again), unresolved)
	}
	host, at := first(t, l, inventory.ReachOK, 0)
	old := served(t, dial(t, at), permissive(host))
	for round := range uint64(200) {
		l.Trouble(round)
	}
	l.Trouble(0)
	if bytes.Equal(old, served(t, dial(t, at), permissive(host))) {
		t.Errorf("the certificate of %s was not renewed in 200 rounds", host)
	}
}

func TestFleetTakesItsTime(t *testing.T) {
	t.Parallel()
	const delay = 100 * time.Millisecond
	l := start(t, lab.Options{Scenarios: []string{}, Endpoints: 1, Delay: delay})
	host, at := first(t, l, inventory.ReachOK, 0)
	begin := time.Now()
	if served(t, dial(t, at), permissive(host)) == nil {
		t.Fatal("no certificate")
	}
	if took := time.Since(begin); took < delay {
		t.Errorf("handshake took %v, want at least %v", took, delay)
	}
}

func BenchmarkFleetHandshake(b *testing.B) {
	l, err := lab.Start(b.Context(), lab.Options{Scenarios: []string{}, Endpoints: 1000})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	type endpoint struct{ host, at string }
	var all []endpoint
	for target := range l.Targets() {
		host, at, _ := strings.Cut(target, "@")
		all = append(all, endpoint{host, at})
	}
	for i := 0; b.Loop(); i++ {
		e := all[i%len(all)]
		conn, err := tls.Dial("tcp", e.at, &tls.Config{ServerName: e.host, InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}})
		if err != nil {
			b.Fatal(err)
		}
		conn.Close()
	}
}
