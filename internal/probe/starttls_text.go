package probe

import (
	"net"
	"slices"
	"strings"

	"example.com/certscan/internal/inventory"
)

// A codedProtocol answers with three-digit codes: SMTP (RFC 3207), LMTP
// (RFC 2033), FTP (RFC 4217), NNTP (RFC 4642).
type codedProtocol struct {
	greetings []string // codes of a greeting that welcomes

	hello         string // asks for capabilities; FTP has no need to
	capable       string // code of the answer to hello
	listed        bool   // the answer goes on with lines up to "."
	helloOptional bool   // older servers do not know hello, and may know start

	start   string
	goAhead string   // code of the answer to start
	unknown []string // codes that say that a command is not implemented
}

// codedProtocolOf returns the dialogue of proto for a client called self.
func codedProtocolOf(proto inventory.Protocol, self string) codedProtocol {
	switch proto {
	case inventory.FTP:
		return codedProtocol{
			greetings: []string{"220"},
			start:     "AUTH TLS", goAhead: "234", unknown: []string{"500", "502", "504"},
		}
	case inventory.NNTP:
		return codedProtocol{
			greetings: []string{"200", "201"},
			hello:     "CAPABILITIES", capable: "101", listed: true, helloOptional: true,
			start: "STARTTLS", goAhead: "382", unknown: []string{"500", "501", "503"},
		}
	}
	p := codedProtocol{
		greetings: []string{"220"},
		hello:     "EHLO " + self, capable: "250",
		start: "STARTTLS", goAhead: "220", unknown: []string{"500", "502"},
	}
	if proto == inventory.LMTP {
		p.hello = "LHLO " + self
	}
	return p
}

// addressLiteral is how a client without a name of its own introduces itself
// (RFC 5321, section 4.1.3).
func addressLiteral(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return "localhost"
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if ip.Is6() {
		return "[IPv6:" + ip.String() + "]"
	}
	return "[" + ip.String() + "]"
}

func (d *dialogue) coded(p codedProtocol) error {
	code, lines, err := d.reply()
	if err != nil {
		return err
	}
	if !slices.Contains(p.greetings, code) {
		return refused(lines...)
	}
	offered, err := d.codedHello(p)
	if err != nil {
		return err
	}
	if code, lines, err = d.exchange(p.start); err != nil {
		return err
	}
	switch {
	case code == p.goAhead:
		return nil
	case !offered && slices.Contains(p.unknown, code):
		return missing(lines...)
	}
	return refused(lines...)
}

// codedHello reports whether the peer offers STARTTLS. It is an error if the
// peer says that it does not; where it cannot be asked, it is not.
func (d *dialogue) codedHello(p codedProtocol) (offered bool, err error) {
	if p.hello == "" {
		return false, nil
	}
	code, lines, err := d.exchange(p.hello)
	if err != nil {
		return false, err
	}
	switch {
	case code == p.capable:
	case p.helloOptional:
		return false, nil
	case slices.Contains(p.unknown, code):
		return false, missing(lines...)
	default:
		return false, refused(lines...)
	}
	d.sure = true
	if p.listed {
		if lines, err = d.list(); err != nil {
			return false, err
		}
	}
	if !slices.ContainsFunc(lines, func(l string) bool {
		return hasWord(strings.TrimLeft(l, "0123456789- "), "STARTTLS")
	}) {
		return false, missing(lines...)
	}
	return true, nil
}

// exchange sends a command and reads the reply.
func (d *dialogue) exchange(command string) (code string, lines []string, err error) {
	if err := d.command(command); err != nil {
		return "", nil, err
	}
	return d.reply()
}

// reply reads a reply of one line, "250 text", or of many: the first begins with
// "250-" and the last with "250 ". In FTP those between may begin with anything.
func (d *dialogue) reply() (code string, lines []string, err error) {
	l, err := d.line()
	if err != nil {
		return "", nil, err
	}
	if len(l) < 3 || strings.Trim(l[:3], "0123456789") != "" || len(l) > 3 && l[3] != ' ' && l[3] != '-' {
		return "", nil, errForeign
	}
	code, lines = l[:3], []string{l}
	if len(l) == 3 || l[3] == ' ' {
		return code, lines, nil
	}
	for {
		if l, err = d.line(); err != nil {
			return "", nil, err
		}
		lines = append(lines, l)
		if l == code || strings.HasPrefix(l, code+" ") {
			return code, lines, nil
		}
	}
}

// list reads lines up to one that is a dot.
func (d *dialogue) list() (lines []string, err error) {
	for {
		l, err := d.line()
		if err != nil {
			return nil, err
		}
		if l == "." {
			return lines, nil
		}
		lines = append(lines, l)
	}
}

// imap is RFC 9051, section 6.2.1.
func (d *dialogue) imap() error {
	l, err := d.line()
	if err != nil {
		return err
	}
	switch {
	case hasWord(l, "* OK"):
	case hasWord(l, "* PREAUTH"), hasWord(l, "* BYE"):
		return refused(l) // STARTTLS is valid only before authentication
	default:
		return errForeign
	}
	caps, last, err := d.tagged("a1", "CAPABILITY")
	if err != nil {
		return err
	}
	if !hasWord(last, "a1 OK") {
		return refused(last)
	}
	if !slices.ContainsFunc(caps, func(l string) bool {
		return hasWord(l, "* CAPABILITY") && slices.Contains(strings.Fields(strings.ToUpper(l)), "STARTTLS")
	}) {
		return missing(append(caps, last)...)
	}
	if _, last, err = d.tagged("a2", "STARTTLS"); err != nil {
		return err
	}
	if !hasWord(last, "a2 OK") {
		return refused(last)
	}
	return nil
}

// tagged sends an IMAP command and returns what came before the tagged answer,
// and that.
func (d *dialogue) tagged(tag, command string) (untagged []string, last string, err error) {
	if err := d.command(tag + " " + command); err != nil {
		return nil, "", err
	}
	for {
		l, err := d.line()
		switch {
		case err != nil:
			return nil, "", err
		case hasWord(l, tag):
			return untagged, l, nil
		case hasWord(l, "* BYE"):
			return nil, "", refused(l)
		}
		untagged = append(untagged, l)
	}
}

// pop3 is RFC 2595, section 4. CAPA is younger than STLS is in some servers, so
// one that does not know it is asked for STLS all the same.
func (d *dialogue) pop3() error {
	l, err := d.line()
	if err != nil {
		return err
	}
	switch {
	case hasWord(l, "+OK"):
	case hasWord(l, "-ERR"):
		return refused(l)
	default:
		return errForeign
	}
	if err := d.command("CAPA"); err != nil {
		return err
	}
	if l, err = d.line(); err != nil {
		return err
	}
	if hasWord(l, "+OK") {
		caps, err := d.list()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(caps, func(l string) bool { return hasWord(l, "STLS") }) {
			return missing(caps...)
		}
	}
	if err := d.command("STLS"); err != nil {
		return err
	}
	if l, err = d.line(); err != nil {
		return err
	}
	if !hasWord(l, "+OK") {
		return refused(l)
	}
	return nil
}

// sieve is ManageSieve, RFC 5804, section 2.2.
func (d *dialogue) sieve() error {
	caps, last, err := d.sieveReply()
	if err != nil {
		return err
	}
	if !hasWord(last, "OK") {
		return refused(last)
	}
	if !slices.ContainsFunc(caps, func(l string) bool { return hasWord(l, `"STARTTLS"`) }) {
		return missing(caps...)
	}
	if err := d.command("STARTTLS"); err != nil {
		return err
	}
	if _, last, err = d.sieveReply(); err != nil {
		return err
	}
	if !hasWord(last, "OK") {
		return refused(last)
	}
	return nil
}

func (d *dialogue) sieveReply() (lines []string, last string, err error) {
	for {
		l, err := d.line()
		switch {
		case err != nil:
			return nil, "", err
		case hasWord(l, "OK"), hasWord(l, "NO"), hasWord(l, "BYE"):
			return lines, l, nil
		case !strings.HasPrefix(l, `"`):
			return nil, "", errForeign
		}
		lines = append(lines, l)
	}
}

// irc is the STARTTLS of IRCv3. Both questions go out at once, because a server
// that knows neither may answer neither: of CAP LS only a refusal is used, and
// only where STARTTLS got no answer at all.
func (d *dialogue) irc() error {
	if err := d.ask("STARTTLS", "CAP LS\r\nSTARTTLS\r\n"); err != nil {
		return err
	}
	var capAnswer string
	for {
		l, err := d.line()
		if err != nil && capAnswer != "" {
			return missing(capAnswer)
		}
		if err != nil {
			return err
		}
		words := strings.Fields(l)
		named := len(words) > 1 && strings.HasPrefix(l, ":")
		if named {
			words = words[1:] // the server's name
		}
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "670":
			return nil
		case "691", "ERROR":
			return refused(l)
		case "421", "451": // unknown command, not registered: which of the two questions?
			if capAnswer != "" || slices.Contains(words, "STARTTLS") {
				return missing(l)
			}
			capAnswer = l
		case "CAP":
			if !slices.Contains(words, "tls") && !slices.Contains(words, ":tls") {
				capAnswer = l
			}
		case "NOTICE", "PING":
		default:
			// Servers welcome with numerics of their own, such as 020 and 439.
			if !named || len(words[0]) != 3 || strings.Trim(words[0], "0123456789") != "" {
				return errForeign
			}
		}
	}
}

// hasWord reports whether line begins with word, in any case, and then ends or
// goes on after a space.
func hasWord(line, word string) bool {
	return len(line) >= len(word) && strings.EqualFold(line[:len(word)], word) &&
		(len(line) == len(word) || line[len(word)] == ' ')
}
