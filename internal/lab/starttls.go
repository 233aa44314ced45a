package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/xml"
	"fmt"
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

// STARTTLS speaks p as v says, and after the go-ahead gives the connection to
// upgraded. For [inventory.TLS] it is upgraded.
func STARTTLS(p inventory.Protocol, v Variant, upgraded Handler) Handler {
	var dialogue func(*bufio.ReadWriter, Variant) (goOn bool, err error)
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
		rw := bufio.NewReadWriter(bufio.NewReaderSize(conn, lineLimit), bufio.NewWriter(conn))
		goOn, err := dialogue(rw, v)
		if err == nil && goOn && v == Injects {
			_, err = rw.WriteString(Injected)
		}
		if err != nil || rw.Flush() != nil {
			return
		}
		if !goOn || rw.Reader.Buffered() > 0 { // nothing may come before the go-ahead
			hangUp(conn)
			return
		}
		upgraded(ctx, conn)
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

func (p textProtocol) dialogue(rw *bufio.ReadWriter, v Variant) (goOn bool, err error) {
	capabilities := p.offer
	if v == Missing {
		capabilities = p.plain
	}
	greeting := p.greeting
	if p.greetsWithOffer {
		greeting = capabilities
	}
	if _, err := rw.WriteString(greeting); err != nil {
		return false, err
	}
	for {
		if err := rw.Flush(); err != nil {
			return false, err
		}
		line, err := rw.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		tag, verb := "", word(line, 0)
		if p.tagged {
			tag, verb = word(line, 0), word(line, 1)
		}
		answer, end := p.unknown, false
		switch strings.ToUpper(verb) {
		case p.ask:
			answer = capabilities
		case p.quit:
			return false, nil
		case p.command:
			switch v {
			case Refuses:
				answer = p.refusal
			case Upgrades, Injects:
				answer, end = p.goAhead, true
			case Missing:
			}
		}
		if _, err := rw.WriteString(strings.ReplaceAll(answer, "TAG", tag)); err != nil || end {
			return end, err
		}
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

// ldapDialogue answers one ExtendedRequest (RFC 4511, 4.12 and 4.14.1). The
// message is short, so its length fits in one octet.
func ldapDialogue(rw *bufio.ReadWriter, v Variant) (goOn bool, err error) {
	header, err := rw.Peek(2)
	if err != nil {
		return false, err
	}
	if header[0] != 0x30 || header[1] >= 0x80 {
		return false, fmt.Errorf("no LDAP message: % x", header)
	}
	message := make([]byte, 2+int(header[1]))
	if _, err := io.ReadFull(rw, message); err != nil {
		return false, err
	}
	const success, protocolError, unavailable = 0, 2, 52
	code := byte(success)
	switch {
	case v == Missing || !bytes.Contains(message, []byte("1.3.6.1.4.1.1466.20037")):
		code = protocolError
	case v == Refuses:
		code = unavailable
	}
	id := byte(1)
	if len(message) > 4 && message[2] == 2 && message[3] == 1 {
		id = message[4]
	}
	_, err = rw.Write([]byte{0x30, 12, 2, 1, id, 0x78, 7, 0x0a, 1, code, 4, 0, 4, 0})
	return code == success, err
}

// postgresDialogue answers an SSLRequest (PostgreSQL protocol 3.0, 53.2.9). A
// server has one way to say no.
func postgresDialogue(rw *bufio.ReadWriter, v Variant) (goOn bool, err error) {
	var request [8]byte
	if _, err := io.ReadFull(rw, request[:]); err != nil {
		return false, err
	}
	if binary.BigEndian.Uint32(request[4:]) != 80877103 {
		return false, fmt.Errorf("no SSLRequest: % x", request)
	}
	goOn = v == Upgrades || v == Injects
	answer := byte('N')
	if goOn {
		answer = 'S'
	}
	return goOn, rw.WriteByte(answer)
}

// mysqlDialogue greets with HandshakeV10 and waits for an SSLRequest, which has
// no answer: there is nothing to refuse or to inject.
func mysqlDialogue(rw *bufio.ReadWriter, v Variant) (goOn bool, err error) {
	const protocol41, ssl, secureConnection, pluginAuth = 0x200, 0x800, 0x8000, 0x80000
	capabilities := uint32(protocol41 | ssl | secureConnection | pluginAuth)
	if v == Missing {
		capabilities &^= ssl
	}
	body := []byte("\x0a8.0.36-lab\x00")
	body = binary.LittleEndian.AppendUint32(body, 7) // connection
	body = append(body, "12345678\x00"...)           // first part of the scramble
	body = binary.LittleEndian.AppendUint16(body, uint16(capabilities&0xffff))
	body = append(body, 0xff, 2, 0) // utf8mb4, autocommit
	body = binary.LittleEndian.AppendUint16(body, uint16(capabilities>>16))
	body = append(body, 21)                  // length of the scramble
	body = append(body, make([]byte, 10)...) // reserved
	body = append(body, "123456789012\x00mysql_native_password\x00"...)
	if _, err := rw.Write(append([]byte{byte(len(body)), 0, 0, 0}, body...)); err != nil {
		return false, err
	}
	if err := rw.Flush(); err != nil {
		return false, err
	}
	var request [4 + 32]byte
	if _, err := io.ReadFull(rw, request[:]); err != nil {
		return false, err
	}
	asked := binary.LittleEndian.Uint32(request[4:])&ssl != 0 && request[0] == 32
	return asked && v != Missing, nil
}

// xmppDialogue opens a stream and offers STARTTLS (RFC 6120, 5.4).
func xmppDialogue(rw *bufio.ReadWriter, v Variant) (goOn bool, err error) {
	const space = "urn:ietf:params:xml:ns:xmpp-tls"
	in := xml.NewDecoder(io.LimitReader(rw, lineLimit))
	for {
		token, err := in.RawToken()
		if err != nil {
			return false, err
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch element.Name.Local {
		case "stream":
			features := "<starttls xmlns='" + space + "'><required/></starttls>"
			if v == Missing {
				features = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"
			}
			_, err = fmt.Fprintf(rw, "<?xml version='1.0'?><stream:stream xmlns='jabber:%s' "+
				"xmlns:stream='http://etherx.jabber.org/streams' id='lab' from='lab.example.com' version='1.0'>"+
				"<stream:features>%s</stream:features>", streamKind(element), features)
		case "starttls":
			if v == Refuses || v == Missing {
				_, err = rw.WriteString("<failure xmlns='" + space + "'/></stream:stream>")
				return false, err
			}
			_, err = rw.WriteString("<proceed xmlns='" + space + "'/>")
			return true, err
		}
		if err != nil {
			return false, err
		}
		if err := rw.Flush(); err != nil {
			return false, err
		}
	}
}

// streamKind is client or server, as the peer's stream says.
func streamKind(stream xml.StartElement) string {
	for _, a := range stream.Attr {
		if a.Name.Space == "" && a.Name.Local == "xmlns" && strings.HasSuffix(a.Value, "server") {
			return "server"
		}
	}
	return "client"
}
