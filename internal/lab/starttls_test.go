package lab_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/lab"
)

func starttlsProtocols() []inventory.Protocol { return inventory.Protocols()[1:] }

// A turn is what a client reads up to, and what it says then.
type turn struct{ until, say string }

// script is the whole dialogue of a protocol, up to the command, and the end of
// each answer to that.
type script struct {
	turns           []turn
	goAhead         string
	refusal         string // of a server that offers TLS; "" if there is none
	offer           string // what of the dialogue tells that TLS is offered; "" if nothing does
	missing         string // answer to the command when it is not offered; "" if the client does not ask
	nothingToInject bool
}

func scripts() map[inventory.Protocol]script {
	smtp := script{
		turns:   []turn{{"220 ready\r\n", "EHLO me\r\n"}, {"250 8BITMIME\r\n", "STARTTLS\r\n"}},
		goAhead: "220 2.0.0 Ready to start TLS\r\n", offer: "250-STARTTLS\r\n", refusal: "454 ", missing: "502 ",
	}
	lmtp := smtp
	lmtp.turns = []turn{{"220 lab.example.com LMTP\r\n", "LHLO me\r\n"}, smtp.turns[1]}
	xmpp := func(kind string) script {
		return script{
			turns: []turn{
				{"", "<?xml version='1.0'?><stream:stream xmlns='jabber:" + kind + "' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"},
				{"</stream:features>", "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"},
			},
			goAhead: "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", offer: "<starttls ", refusal: "<failure ", missing: "<failure ",
		}
	}
	return map[inventory.Protocol]script{
		inventory.SMTP: smtp,
		inventory.LMTP: lmtp,
		inventory.IMAP: {
			turns:   []turn{{"* OK IMAP4rev1 ready\r\n", "t1 CAPABILITY\r\n"}, {"t1 OK done\r\n", "t2 starttls\r\n"}},
			goAhead: "t2 OK Begin TLS negotiation now\r\n", offer: " STARTTLS ", refusal: "t2 NO ", missing: "t2 BAD ",
		},
		inventory.POP3: {
			turns:   []turn{{"+OK POP3 ready\r\n", "CAPA\r\n"}, {"\r\n.\r\n", "STLS\r\n"}},
			goAhead: "+OK Begin TLS negotiation\r\n", offer: "\r\nSTLS\r\n", refusal: "-ERR ", missing: "-ERR ",
		},
		inventory.FTP: {
			turns:   []turn{{"220 FTP ready\r\n", "FEAT\r\n"}, {"211 End\r\n", "AUTH TLS\r\n"}},
			goAhead: "234 Proceed with negotiation\r\n", offer: " AUTH TLS\r\n", refusal: "431 ", missing: "500 ",
		},
		inventory.LDAP: {
			turns:   []turn{{"", "0\x1d\x02\x01\x05w\x18\x80\x161.3.6.1.4.1.1466.20037"}},
			goAhead: "\x30\x0c\x02\x01\x05\x78\x07\x0a\x01\x00\x04\x00\x04\x00",
			refusal: "\x30\x0c\x02\x01\x05\x78\x07\x0a\x01\x34", missing: "\x30\x0c\x02\x01\x05\x78\x07\x0a\x01\x02",
		},
		inventory.XMPPClient: xmpp("client"),
		inventory.XMPPServer: xmpp("server"),
		inventory.NNTP: {
			turns:   []turn{{"200 NNTP ready\r\n", "CAPABILITIES\r\n"}, {"\r\n.\r\n", "STARTTLS\r\n"}},
			goAhead: "382 Continue with TLS negotiation\r\n", offer: "\r\nSTARTTLS\r\n", refusal: "580 ", missing: "500 ",
		},
		inventory.Sieve: {
			turns:   []turn{{"\r\nOK\r\n", "STARTTLS\r\n"}},
			goAhead: "OK \"Begin TLS negotiation now\"\r\n", offer: "\"STARTTLS\"\r\n", refusal: "NO ", missing: "NO ",
		},
		inventory.Postgres: {turns: []turn{{"", "\x00\x00\x00\x08\x04\xd2\x16\x2f"}}, goAhead: "S", missing: "N"},
		inventory.MySQL: {
			turns:           []turn{{"mysql_native_password\x00", "\x20\x00\x00\x01\x00\x8a\x00\x00" + strings.Repeat("\x00", 28)}},
			nothingToInject: true,
		},
		inventory.IRC: {
			turns:   []turn{{"", "CAP LS 302\r\n"}, {"\r\n", "STARTTLS\r\n"}},
			goAhead: ":lab.example.com 670 * :STARTTLS successful, go ahead with TLS handshake\r\n",
			offer:   " tls\r\n", refusal: ":lab.example.com 691 ", missing: ":lab.example.com 421 ",
		},
	}
}

// readUntil reads byte by byte, so that nothing of what follows is lost.
func readUntil(t *testing.T, r io.Reader, end string) string {
	t.Helper()
	var got []byte
	for !strings.HasSuffix(string(got), end) {
		var b [1]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			t.Fatalf("read up to %q: %v after %q", end, err, got)
		}
		got = append(got, b[0])
	}
	return string(got)
}

// talk goes through s up to the command and returns all that was read.
func talk(t *testing.T, conn net.Conn, s script) (heard string) {
	t.Helper()
	for _, turn := range s.turns {
		heard += readUntil(t, conn, turn.until)
		if _, err := io.WriteString(conn, turn.say); err != nil {
			t.Fatal(err)
		}
	}
	return heard
}

func TestSTARTTLS(t *testing.T) {
	t.Parallel()
	l := start(t, lab.Options{})
	scenarios := make(map[string]lab.Scenario)
	for _, s := range l.Scenarios() {
		scenarios[s.Name] = s
	}
	for _, p := range starttlsProtocols() {
		s := scripts()[p]
		open := func(t *testing.T, suffix string) (net.Conn, lab.Scenario) {
			t.Helper()
			scenario, ok := scenarios[string(p)+"-"+suffix]
			if !ok {
				t.Fatalf("no scenario %s-%s", p, suffix)
			}
			return dial(t, places(t, scenario)[0].addresses[0]), scenario
		}
		handshake := func(t *testing.T, conn net.Conn, scenario lab.Scenario) {
			t.Helper()
			client := tls.Client(conn, permissive(scenario.Name))
			if err := client.Handshake(); err != nil {
				t.Fatal(err)
			}
			leaf := inventory.FingerprintOf(client.ConnectionState().PeerCertificates[0].Raw)
			if leaf != scenario.Leaves[0] {
				t.Errorf("leaf %s, want %s", leaf, scenario.Leaves[0])
			}
		}
		t.Run(string(p)+" upgrades", func(t *testing.T) {
			t.Parallel()
			conn, scenario := open(t, "good")
			if heard := talk(t, conn, s); !strings.Contains(heard, s.offer) {
				t.Errorf("heard %q, want %q in it", heard, s.offer)
			}
			readUntil(t, conn, s.goAhead)
			handshake(t, conn, scenario)
		})
		t.Run(string(p)+" does not offer it", func(t *testing.T) {
			t.Parallel()
			conn, _ := open(t, "missing")
			if heard := talk(t, conn, s); s.offer != "" && strings.Contains(heard, s.offer) {
				t.Errorf("heard %q with the offer %q", heard, s.offer)
			}
			if s.missing != "" {
				readUntil(t, conn, s.missing)
			} else if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Error("the server goes on")
			}
		})
		if s.refusal != "" {
			t.Run(string(p)+" refuses", func(t *testing.T) {
				t.Parallel()
				conn, _ := open(t, "refused")
				talk(t, conn, s)
				readUntil(t, conn, s.refusal)
			})
		}
		if !s.nothingToInject {
			t.Run(string(p)+" injects", func(t *testing.T) {
				t.Parallel()
				conn, scenario := open(t, "injected")
				talk(t, conn, s)
				readUntil(t, conn, s.goAhead+lab.Injected)
				handshake(t, conn, scenario)
			})
		}
	}
}

// The flag that a MySQL server offers TLS with is a bit of its greeting.
func TestMySQLGreeting(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"mysql-good": true, "mysql-missing": false} {
		conn := dial(t, places(t, one(t, name))[0].addresses[0])
		greeting := readUntil(t, conn, "mysql_native_password\x00")
		flags := strings.Index(greeting, "12345678\x00") + 9
		if int(greeting[0]) != len(greeting)-4 || greeting[4] != 10 {
			t.Errorf("%s: greeting % x is no packet of protocol 10", name, greeting)
		}
		if got := greeting[flags+1]&0x08 != 0; got != want {
			t.Errorf("%s: offers TLS: %v, want %v", name, got, want)
		}
	}
}
