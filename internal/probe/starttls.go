package probe

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"unicode/utf8"

	"example.com/certscan/internal/inventory"
)

// The bounds of a plaintext dialogue. Real ones are a tenth of this.
const (
	maxLine     = 8 << 10  // bytes
	maxDialogue = 64 << 10 // bytes from the peer
	maxLines    = 100
	maxInjected = 256 // bytes kept of what came too early
	maxDetail   = 200 // bytes kept of the peer's words
)

// A starttlsError says that the peer answered, and that its answer was not a
// go-ahead. Every other error of [upgrade] is of the connection.
type starttlsError struct {
	// Status is starttls_missing (not offered, or the command is unknown to the
	// peer), starttls_refused (offered or tried, and refused) or not_tls (what
	// came is of another protocol, or of none).
	Status inventory.ReachStatus

	// Detail is the peer's own words, for not_tls with the name of its protocol
	// in front where that is known. It is hostile text of at most 200 bytes.
	Detail string
}

func (e starttlsError) Error() string {
	if e.Detail == "" {
		return string(e.Status)
	}
	return string(e.Status) + ": " + e.Detail
}

func missing(words ...string) error {
	return starttlsError{inventory.ReachSTARTTLSMissing, cut(strings.Join(words, "; "))}
}

func refused(words ...string) error {
	return starttlsError{inventory.ReachSTARTTLSRefused, cut(strings.Join(words, "; "))}
}

func tooMuch(format string, limit int) error {
	return starttlsError{inventory.ReachNotTLS, fmt.Sprintf(format, limit)}
}

var (
	// errForeign: what came is not an answer of the protocol that is spoken.
	errForeign = errors.New("not an answer of this protocol")

	// errNoDialogue: the caller asked for something that is not in [inventory.Protocols].
	errNoDialogue = errors.New("no STARTTLS")
)

// upgrade speaks the plaintext part of proto on conn until the peer is ready for
// a ClientHello. The deadline of conn is the caller's business. A peer that
// answers but does not go ahead is a [starttlsError]; other errors wrap what conn
// returned.
//
// injected is what arrived behind the go-ahead. A TLS server never speaks first,
// so it was put there by somebody before encryption began; it is taken off the
// connection, and at most 256 bytes of it are returned.
func upgrade(conn net.Conn, proto inventory.Protocol, serverName string) (injected []byte, err error) {
	if proto == inventory.TLS {
		return nil, nil
	}
	d := newDialogue(conn)
	err = d.speak(proto, serverName)
	if errors.Is(err, errNoDialogue) {
		return nil, fmt.Errorf("%w for protocol %q", err, proto)
	}
	if err != nil {
		return nil, d.explain(proto, err)
	}
	if n := d.r.Buffered(); n > 0 {
		injected, _ = d.r.Peek(min(n, maxInjected))
		injected = bytes.Clone(injected)
	}
	return injected, nil
}

func (d *dialogue) speak(proto inventory.Protocol, serverName string) error {
	switch proto {
	case inventory.SMTP, inventory.LMTP, inventory.FTP, inventory.NNTP:
		return d.coded(codedProtocolOf(proto, addressLiteral(d.conn.LocalAddr())))
	case inventory.IMAP:
		return d.imap()
	case inventory.POP3:
		return d.pop3()
	case inventory.Sieve:
		return d.sieve()
	case inventory.IRC:
		return d.irc()
	case inventory.XMPPClient:
		return d.xmpp("jabber:client", serverName)
	case inventory.XMPPServer:
		return d.xmpp("jabber:server", serverName)
	case inventory.LDAP:
		return d.ldap()
	case inventory.Postgres:
		return d.postgres()
	case inventory.MySQL:
		return d.mysql()
	}
	return errNoDialogue
}

// A dialogue is the plaintext part of a connection. It reads ahead only into r,
// so what is left in r after the go-ahead came before any ClientHello was sent.
type dialogue struct {
	conn  net.Conn
	r     *bufio.Reader
	left  int    // bytes that the peer may still send
	lines int    // lines that the peer has sent
	first []byte // how the peer began
	asked string // what was sent last
	sure  bool   // the peer has proven to speak the protocol
	err   error  // why nothing more can be read
}

func newDialogue(conn net.Conn) *dialogue {
	d := &dialogue{conn: conn, left: maxDialogue}
	d.r = bufio.NewReaderSize(d, maxLine)
	return d
}

// Read reads from the connection, and fails when the peer has said too much.
func (d *dialogue) Read(p []byte) (int, error) {
	if d.left == 0 {
		d.err = tooMuch("more than %d bytes before TLS", maxDialogue)
		return 0, d.err
	}
	n, err := d.conn.Read(p[:min(len(p), d.left)])
	d.left -= n
	d.err = err
	if room := maxDetail - len(d.first); room > 0 {
		d.first = append(d.first, p[:min(n, room)]...)
	}
	return n, err
}

// ask sends a command, or the bytes of one. What it was is named in errors.
func (d *dialogue) ask(what, bytes string) error {
	d.asked = what
	_, err := io.WriteString(d.conn, bytes)
	return err
}

// command sends a line.
func (d *dialogue) command(line string) error { return d.ask(line, line+"\r\n") }

// line returns the next line without its end.
func (d *dialogue) line() (string, error) {
	if d.lines++; d.lines > maxLines {
		return "", tooMuch("more than %d lines before TLS", maxLines)
	}
	b, err := d.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", tooMuch("a line of more than %d bytes", maxLine)
	}
	if err != nil {
		return "", err
	}
	return string(bytes.TrimRight(b, "\r\n")), nil
}

// explain turns what went wrong into the answer of [upgrade]. If the peer began
// in the manner of another protocol, that is the reason, however it ended.
// Greetings are guesswork where protocols share their codes, so they are not
// held against a peer that went on to speak the right one.
func (d *dialogue) explain(proto inventory.Protocol, err error) error {
	words, _, _ := bytes.Cut(d.first, []byte("\n"))
	said := string(bytes.TrimSpace(words))
	if other := speaks(d.first); other != "" && !d.sure && !strings.HasPrefix(string(proto), other) {
		return starttlsError{inventory.ReachNotTLS, cut(other + ": " + said)}
	}
	if _, ok := errors.AsType[starttlsError](err); ok {
		return err
	}
	if errors.Is(err, errForeign) {
		return starttlsError{inventory.ReachNotTLS, cut(said)}
	}
	if d.asked == "" {
		return fmt.Errorf("%s: wait for the greeting: %w", proto, err)
	}
	return fmt.Errorf("%s: wait for the answer to %q: %w", proto, d.asked, err)
}

// speaks names the protocol whose server begins with b, or returns "". Its
// answers are prefixes of the names in inventory, where they are known there.
func speaks(b []byte) string {
	has := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return bytes.HasPrefix(b, []byte(p)) })
	}
	greeting, _, _ := bytes.Cut(b, []byte("\n"))
	contains := func(word string) bool { return bytes.Contains(greeting, []byte(word)) }
	switch {
	case has("\x15\x03", "\x16\x03"):
		return "tls"
	case has("HTTP/"):
		return "http"
	case has("SSH-"):
		return "ssh"
	case has("RFB "):
		return "vnc"
	case has("* OK", "* PREAUTH", "* BYE"):
		return "imap"
	case has("+OK", "-ERR"):
		return "pop3"
	case has("200 ", "201 "):
		return "nntp"
	case has(`"IMPLEMENTATION"`):
		return "sieve"
	case has("<?xml", "<stream:stream"):
		return "xmpp"
	case has(":", "NOTICE ", "ERROR :"):
		return "irc"
	// Servers write these words in capitals; host names are not.
	case has("220") && contains("SMTP"):
		return "smtp"
	case has("220") && contains("LMTP"):
		return "lmtp"
	case has("220") && contains("FTP"):
		return "ftp"
	case len(b) > 5 && b[3] == 0 && b[4] == mysqlHandshakeV10 && '0' <= b[5] && b[5] <= '9':
		return "mysql"
	case has("\x30") && bytes.Contains(b, []byte("1.3.6.1.4.1.1466.200")):
		return "ldap"
	}
	return ""
}

// cut bounds what is kept of hostile words and makes it UTF-8, so that it
// survives JSON.
func cut(s string) string {
	if len(s) > maxDetail {
		end := maxDetail
		for end > maxDetail-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.ToValidUTF8(s, "?")
}
