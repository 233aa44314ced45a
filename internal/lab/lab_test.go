package lab_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"example.com/certscan/internal/ct"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a lab that ends with the test.
func start(t *testing.T, opt lab.Options) *lab.Lab {
	t.Helper()
	l, err := lab.Start(t.Context(), opt)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

// one starts the named scenario alone.
func one(t *testing.T, name string) lab.Scenario {
	t.Helper()
	return start(t, lab.Options{Scenarios: []string{name}}).Scenarios()[0]
}

// place is where one target of a scenario is.
type place struct {
	host      string
	addresses []netip.AddrPort
}

func places(t *testing.T, s lab.Scenario) []place {
	t.Helper()
	var all []place
	for _, target := range s.Targets {
		_, rest, ok := strings.Cut(target, "://")
		if !ok {
			rest = target
		}
		colon := strings.LastIndexByte(rest, ':')
		port := netip.MustParseAddrPort("127.0.0.1" + rest[colon:]).Port()
		host, dial, pinned := strings.Cut(strings.Trim(rest[:colon], "[]"), "@")
		if !pinned {
			dial = host
		}
		addresses := s.Addresses[strings.Replace(dial, "bücher", "xn--bcher-kva", 1)]
		if a, err := netip.ParseAddr(dial); err == nil {
			addresses = []netip.Addr{a}
		}
		p := place{host: host}
		for _, a := range addresses {
			p.addresses = append(p.addresses, netip.AddrPortFrom(a, port))
		}
		all = append(all, p)
	}
	return all
}

func dial(t *testing.T, a netip.AddrPort) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// permissive is a client that takes everything that crypto/tls can.
func permissive(serverName string) *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true, ServerName: serverName, MinVersion: tls.VersionTLS10}
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		c.CipherSuites = append(c.CipherSuites, s.ID)
	}
	return c
}

// tee keeps what is read from a connection.
type tee struct {
	net.Conn
	read bytes.Buffer
}

func (c *tee) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Write(p[:n])
	return n, err
}

// firstCertificate returns the first certificate of the Certificate message
// among the records of TLS 1.2 in b, also of a message that crypto/tls refused.
func firstCertificate(b []byte) []byte {
	var messages []byte
	for len(b) > 5 {
		n := min(len(b), 5+int(b[3])<<8+int(b[4]))
		if b[0] != 22 {
			break
		}
		messages = append(messages, b[5:n]...)
		b = b[n:]
	}
	for len(messages) > 10 {
		size := 4 + int(messages[1])<<16 + int(messages[2])<<8 + int(messages[3])
		if messages[0] == 11 && len(messages) >= size {
			n := int(messages[7])<<16 + int(messages[8])<<8 + int(messages[9])
			return messages[10 : 10+n]
		}
		messages = messages[min(size, len(messages)):]
	}
	return nil
}

// served returns the leaf that a server shows to config, nil if it shows none.
func served(t *testing.T, conn net.Conn, config *tls.Config) []byte {
	t.Helper()
	var leaf []byte
	config.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
		leaf = raw[0]
		return nil
	}
	record := &tee{Conn: conn}
	if err := tls.Client(record, config).Handshake(); err == nil || leaf != nil {
		return leaf
	}
	return firstCertificate(record.read.Bytes())
}

func TestEveryScenarioSendsItsLeaves(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{})
	for _, s := range l.Scenarios() {
		if strings.Contains(s.Targets[0], "://") || s.Reach[0] == inventory.ReachTimeout || len(s.Leaves) == 0 ||
			strings.HasSuffix(s.Name, "after-certificate-tls13") {
			continue // tested below, or without a certificate that this client could keep
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			var got []inventory.Fingerprint
			for _, p := range places(t, s) {
				for _, a := range p.addresses {
					for _, config := range clients(s, p.host) {
						conn, err := net.Dial("tcp", a.String())
						if err != nil {
							continue // one of the scenarios has a dead address
						}
						t.Cleanup(func() { conn.Close() })
						if leaf := served(t, conn, config); leaf != nil {
							got = append(got, inventory.FingerprintOf(leaf))
						}
					}
				}
			}
			compare := func(a, b inventory.Fingerprint) int { return bytes.Compare(a[:], b[:]) }
			slices.SortFunc(got, compare)
			want := slices.SortedFunc(slices.Values(s.Leaves), compare)
			if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
				t.Errorf("leaves (-want +got):\n%s", diff)
			}
		})
	}
}

// clients returns what has to be asked of each address to see all leaves of s.
func clients(s lab.Scenario, host string) []*tls.Config {
	if _, err := netip.ParseAddr(host); err == nil {
		host = ""
	}
	var all []*tls.Config
	for range max(1, s.Samples) {
		c := permissive(host)
		c.MaxVersion = tls.VersionTLS12
		all = append(all, c)
	}
	all = append(all, permissive(host)) // for those that speak TLS 1.3 only
	for _, o := range s.Offers {
		c := permissive(host)
		switch o {
		case inventory.OfferRSA:
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
		case inventory.OfferNoSNI:
			c.ServerName = ""
		default: // asked above
		}
		all = append(all, c)
	}
	return all
}

// What has no finding must satisfy a verifier that is not ours.
func TestGoodScenariosVerify(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{})
	for _, s := range l.Scenarios() {
		if len(s.Want) > 0 || s.Change != nil || strings.Contains(s.Targets[0], "://") {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			store := l.Public()
			if s.Private {
				store = l.Private()
			}
			config := &tls.Config{RootCAs: pool(t, store)}
			for _, p := range places(t, s) {
				config.ServerName = strings.Replace(p.host, "bücher", "xn--bcher-kva", 1)
				for _, a := range p.addresses {
					err := tls.Client(dial(t, a), config.Clone()).Handshake()
					refused := err != nil && strings.Contains(err.Error(), "remote error") // after verifying
					if err != nil && !(refused && strings.HasPrefix(s.Name, "client-certificate-required")) {
						t.Errorf("%s at %s: %v", p.host, a, err)
					}
				}
			}
		})
	}
}

func pool(t *testing.T, store inventory.TrustStore) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	for _, a := range store.Anchors {
		c, err := x509.ParseCertificate(a.DER)
		if err != nil {
			t.Fatal(err)
		}
		pool.AddCert(c)
	}
	return pool
}

func TestScenariosAreDescribed(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	codes := make(map[inventory.Code]bool)
	for _, s := range start(t, lab.Options{}).Scenarios() {
		if seen[s.Name] || s.About == "" || len(s.Targets) == 0 || len(s.Reach) == 0 {
			t.Errorf("%q: not whole, or not the only one of its name: %+v", s.Name, s)
		}
		if (s.Change == nil) != (s.ReachAfter == nil) {
			t.Errorf("%q: a change and what is found after it belong together", s.Name)
		}
		seen[s.Name] = true
		for _, c := range slices.Concat(s.Want, s.WantAfter) {
			codes[c] = true
		}
	}
	if len(seen) < 45 {
		t.Errorf("%d scenarios, want at least 45", len(seen))
	}
	for _, i := range inventory.Codes() {
		if !codes[i.Code] && i.Code != inventory.CodeProfile && i.Code != inventory.CodePolicy && // whose rules the user makes
			i.Code != inventory.CodeRenewalOverdue && !i.Code.OwnSide() { // which needs a history; which is no server's
			t.Errorf("no scenario for %q", i.Code)
		}
	}
}

func TestScenariosAreChosenByName(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Scenarios: []string{"expired", "good"}})
	var got []string
	for _, s := range l.Scenarios() {
		got = append(got, s.Name)
	}
	if diff := cmp.Diff([]string{"expired", "good"}, got); diff != "" {
		t.Errorf("scenarios (-want +got):\n%s", diff)
	}
	if n := len(start(t, lab.Options{Scenarios: []string{}}).Scenarios()); n != 0 {
		t.Errorf("%d scenarios, want none", n)
	}
}

func TestTourNeedsNothingSpecial(t *testing.T) {
	t.Parallel()
	for _, s := range start(t, lab.Options{Scenarios: lab.Tour()}).Scenarios() {
		if s.Private || s.Offers != nil || s.Samples > 0 || s.Expect != nil || s.Change != nil {
			t.Errorf("%q needs more than a plain scan", s.Name)
		}
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opt  lab.Options
		want string
	}{
		{"an unknown scenario", lab.Options{Scenarios: []string{"nonsense"}}, `lab: no scenario is called "nonsense"`},
		{"too many endpoints", lab.Options{Scenarios: []string{}, Endpoints: 2_000_000}, "lab: 2000000 endpoints: want 0 to 1000000"},
		{"an unknown chain", lab.Options{Scenarios: []string{}, Chain: "rsa"}, `lab: chain "rsa": want "p256" or "letsencrypt"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := lab.Start(t.Context(), tt.opt); err == nil || err.Error() != tt.want {
				t.Errorf("Start: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestCloseEndsConnections(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Scenarios: []string{"silent"}})
	conn := dial(t, places(t, l.Scenarios()[0])[0].addresses[0])
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read after Close: %v, want the connection to be gone", err)
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	chain := func(t *testing.T, s lab.Scenario) []*x509.Certificate {
		t.Helper()
		p := places(t, s)[0]
		c := tls.Client(dial(t, p.addresses[0]), permissive(p.host))
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		return c.ConnectionState().PeerCertificates
	}
	t.Run("a chain loses its intermediate and keeps its leaf", func(t *testing.T) {
		t.Parallel()
		s := one(t, "chain-broken")
		before := chain(t, s)
		s.Change()
		after := chain(t, s)
		if len(before) != 2 || len(after) != 1 || !before[0].Equal(after[0]) {
			t.Errorf("%d certificates, then %d, want 2 and 1 with the same leaf", len(before), len(after))
		}
	})
	t.Run("a renewed certificate is newer", func(t *testing.T) {
		t.Parallel()
		s := one(t, "renewed")
		before := chain(t, s)
		s.Change()
		if after := chain(t, s); !after[0].NotAfter.After(before[0].NotAfter) {
			t.Errorf("not after %v, was %v", after[0].NotAfter, before[0].NotAfter)
		}
	})
	t.Run("what was broken is mended the next time", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"chain-broken", "renewed-one-node"} {
			s := one(t, name)
			before := chain(t, s)
			for range map[string]int{"chain-broken": 2, "renewed-one-node": 3}[name] {
				s.Change()
			}
			if after := chain(t, s); len(after) != len(before) || !after[0].Equal(before[0]) {
				t.Errorf("%s: %d certificates, then %d, want the same as before", name, len(before), len(after))
			}
		}
	})
	t.Run("a server stops to speak TLS", func(t *testing.T) {
		t.Parallel()
		s := one(t, "goes-plain")
		chain(t, s)
		s.Change()
		got := answer(t, s)
		if !bytes.HasPrefix(got, []byte("HTTP/1.1 400 ")) {
			t.Errorf("answer %q", got)
		}
	})
}

// answer returns all that the scenario's server says to a ClientHello.
func answer(t *testing.T, s lab.Scenario) []byte {
	t.Helper()
	conn := dial(t, places(t, s)[0].addresses[0])
	hello(t, conn)
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// hello sends a ClientHello.
func hello(t *testing.T, conn net.Conn) {
	t.Helper()
	record := &onlyWrite{conn}
	if err := tls.Client(record, permissive("lab.example.com")).Handshake(); !errors.Is(err, errNoRead) {
		t.Fatal(err)
	}
}

var errNoRead = errors.New("not read")

type onlyWrite struct{ net.Conn }

func (onlyWrite) Read([]byte) (int, error) { return 0, errNoRead }

func TestWriteLogList(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Scenarios: []string{}})
	path, err := l.WriteLogList(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, problems, err := ct.ParseLogList(text)
	if err != nil || len(problems) > 0 {
		t.Fatalf("ParseLogList: %v, %v", problems, err)
	}
	if diff := cmp.Diff(l.LogList(), got); diff != "" {
		t.Errorf("list (-as is +as written):\n%s", diff)
	}
	if _, err := l.WriteLogList("/dev/null/nowhere"); err == nil {
		t.Error("WriteLogList to nowhere: no error")
	}
}

func TestWriteRoots(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{Scenarios: []string{}, Chain: lab.ChainLetsEncrypt})
	public, private, err := l.WriteRoots(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{public: 4, private: 1} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(text, []byte("BEGIN CERTIFICATE")); n != want || !x509.NewCertPool().AppendCertsFromPEM(text) {
			t.Errorf("%s: %d certificates, want %d", path, n, want)
		}
	}
	if _, _, err := l.WriteRoots("/dev/null/nowhere"); err == nil {
		t.Error("WriteRoots to nowhere: no error")
	}
}
