package lab

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"example.com/certscan/internal/inventory"
)

// A Variant is how a STARTTLS server behaves.
type Variant int

// The variants.
const (
	Upgrades Variant = iota // as its RFC says
	Missing                 // does not know STARTTLS
	Refuses                 // offers it and then says no
	Injects                 // says more in plain text after the go-ahead
)

// Injected is what a server with [Injects] adds after its go-ahead, as somebody
// in the middle could (CVE-2011-0411).
const Injected = "250 injected before TLS\r\n"

// lineLimit bounds a command, and so what a peer can make the lab keep.
const lineLimit = 4096

// errNoUpgrade ends a dialogue in which the server did not go on to TLS.
var errNoUpgrade = errors.New("no upgrade")

// STARTTLS speaks p as v says, and after the go-ahead gives the connection to
// upgraded. For [inventory.TLS] it is upgraded.
func STARTTLS(p inventory.Protocol, v Variant, upgraded Handler) Handler {
	var dialogue func(io.ReadWriter, Variant) (goAhead string, err error)
	switch p {
	case inventory.TLS:
		return upgraded
	case inventory.LDAP:
		dialogue = ldapDialogue
	case inventory.Postgres:
		dialogue = postgresDialogue
	case inventory.MySQL:
		dialogue = mysqlDialogue
	case inventory.XMPPClient, inventory.XMPPServer:
		dialogue = xmppDialogue
	default:
		dialogue = textProtocols()[p].dialogue
	}
	return func(ctx context.Context, conn net.Conn) {
		goAhead, err := dialogue(conn, v)
		if err != nil {
			hangUp(conn)
			return
		}
		if v == Injects {
			goAhead += Injected
		}
		if _, err := io.WriteString(conn, goAhead); err == nil {
			upgraded(ctx, conn)
		}
	}
}

// A textProtocol is one of the protocols of lines: a greeting, a question for
// the capabilities, and the command.
type textProtocol struct {
	greeting        string
	tagged          bool   // a tag stands before each command
	greetsWithOffer bool   // the greeting is the answer to ask
	ask             string // the question, "" if there is none
	offer, plain    string // its answers, with and without STARTTLS
	command         string
	goAhead         string
	refusal         string
	unknown         string // answer to anything else
	quit            string
}

// textProtocols holds the dialogues. TAG stands for the tag of an IMAP command.
func textProtocols() map[inventory.Protocol]textProtocol {
	smtp := textProtocol{ // RFC 3207
		greeting: "220-lab.example.com ESMTP\r\n220 ready\r\n",
		ask:      "EHLO",
		offer:    "250-lab.example.com\r\n250-SIZE 10240000\r\n250-STARTTLS\r\n250 8BITMIME\r\n",
		plain:    "250-lab.example.com\r\n250-SIZE 10240000\r\n250 8BITMIME\r\n",
		command:  "STARTTLS", goAhead: "220 2.0.0 Ready to start TLS\r\n",
		refusal: "454 4.7.0 TLS not available due to temporary reason\r\n",
		unknown: "502 5.5.1 Command not implemented\r\n", quit: "QUIT",
	}
	lmtp := smtp // RFC 2033
	lmtp.greeting, lmtp.ask = "220 lab.example.com LMTP\r\n", "LHLO"
	return map[inventory.Protocol]textProtocol{
		inventory.SMTP: smtp,
		inventory.LMTP: lmtp,
		inventory.IMAP: { // RFC 9051, 6.2.1
			greeting: "* OK IMAP4rev1 ready\r\n", tagged: true,
			ask:     "CAPABILITY",
			offer:   "* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\nTAG OK done\r\n",
			plain:   "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nTAG OK done\r\n",
			command: "STARTTLS", goAhead: "TAG OK Begin TLS negotiation now\r\n",
			refusal: "TAG NO TLS is not available\r\n", unknown: "TAG BAD Unknown command\r\n", quit: "LOGOUT",
		},
		inventory.POP3: { // RFC 2595, 4
			greeting: "+OK POP3 ready\r\n",
			ask:      "CAPA",
			offer:    "+OK Capability list follows\r\nTOP\r\nSTLS\r\nUIDL\r\n.\r\n",
			plain:    "+OK Capability list follows\r\nTOP\r\nUIDL\r\n.\r\n",
			command:  "STLS", goAhead: "+OK Begin TLS negotiation\r\n",
			refusal: "-ERR TLS is not available\r\n", unknown: "-ERR Unknown command\r\n", quit: "QUIT",
		},
		inventory.FTP: { // RFC 4217, RFC 2389
			greeting: "220-Welcome\r\n220 FTP ready\r\n",
			ask:      "FEAT",
			offer:    "211-Features:\r\n AUTH TLS\r\n UTF8\r\n211 End\r\n",
			plain:    "211-Features:\r\n UTF8\r\n211 End\r\n",
			command:  "AUTH", goAhead: "234 Proceed with negotiation\r\n",
			refusal: "431 Unable to accept security mechanism\r\n", unknown: "500 Unknown command\r\n", quit: "QUIT",
		},
		inventory.NNTP: { // RFC 4642
			greeting: "200 NNTP ready\r\n",
			ask:      "CAPABILITIES",
			offer:    "101 Capability list:\r\nVERSION 2\r\nREADER\r\nSTARTTLS\r\n.\r\n",
			plain:    "101 Capability list:\r\nVERSION 2\r\nREADER\r\n.\r\n",
			command:  "STARTTLS", goAhead: "382 Continue with TLS negotiation\r\n",
			refusal: "580 Can not initiate TLS negotiation\r\n", unknown: "500 Unknown command\r\n", quit: "QUIT",
		},
		inventory.Sieve: { // RFC 5804, 1.7 and 2.2
			greetsWithOffer: true,
			offer:           "\"IMPLEMENTATION\" \"lab\"\r\n\"SIEVE\" \"fileinto\"\r\n\"STARTTLS\"\r\nOK\r\n",
			plain:           "\"IMPLEMENTATION\" \"lab\"\r\n\"SIEVE\" \"fileinto\"\r\nOK\r\n",
			ask:             "CAPABILITY",
			command:         "STARTTLS", goAhead: "OK \"Begin TLS negotiation now\"\r\n",
			refusal: "NO \"TLS is not available\"\r\n", unknown: "NO \"Unknown command\"\r\n", quit: "LOGOUT",
		},
		inventory.IRC: { // ircv3.net/specs/extensions/tls
			ask:     "CAP",
			offer:   ":lab.example.com CAP * LS :multi-prefix tls\r\n",
			plain:   ":lab.example.com CAP * LS :multi-prefix\r\n",
			command: "STARTTLS", goAhead: ":lab.example.com 670 * :STARTTLS successful, go ahead with TLS handshake\r\n",
			refusal: ":lab.example.com 691 * :STARTTLS failed\r\n",
			unknown: ":lab.example.com 421 * :Unknown command\r\n", quit: "QUIT",
		},
	}
}

func (p textProtocol) dialogue(conn io.ReadWriter, v Variant) (goAhead string, err error) {
	capabilities := p.offer
	if v == Missing {
		capabilities = p.plain
	}
	answer := p.greeting
	if p.greetsWithOffer {
		answer = capabilities
	}
	for in := bufio.NewReaderSize(conn, lineLimit); ; {
		if _, err := io.WriteString(conn, answer); err != nil {
			return "", err
		}
		line, err := in.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		tag, verb := "", word(line, 0)
		if p.tagged {
			tag, verb = word(line, 0), word(line, 1)
		}
		answer = p.unknown
		switch strings.ToUpper(verb) {
		case p.ask:
			answer = capabilities
		case p.quit:
			return "", errNoUpgrade
		case p.command:
			switch v {
			case Upgrades, Injects:
				return strings.ReplaceAll(p.goAhead, "TAG", tag), nil
			case Refuses:
				answer = p.refusal
			case Missing:
			}
		}
		answer = strings.ReplaceAll(answer, "TAG", tag)
	}
}

// word returns the nth word of line, or "".
func word(line []byte, n int) string {
	words := strings.Fields(string(line))
	if n >= len(words) {
		return ""
	}
	return words[n]
}
