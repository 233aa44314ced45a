package probe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// Of LDAP (RFC 4511): tags, result codes, and the largest answer that is read.
const (
	berInteger    = 0x02
	berString     = 0x04
	berEnumerated = 0x0a
	berSequence   = 0x30

	ldapExtendedResponse = 0x78 // [APPLICATION 24]
	ldapSuccess          = 0
	ldapProtocolError    = 2 // "the server does not support TLS", section 4.14.2
)

// ldapStartTLS is LDAPMessage{1, ExtendedRequest{1.3.6.1.4.1.1466.20037}}.
const ldapStartTLS = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"

// ldap is RFC 4511, section 4.14.
func (d *dialogue) ldap() error {
	if err := d.ask("StartTLS", ldapStartTLS); err != nil {
		return err
	}
	message, err := d.berMessage()
	if err != nil {
		return err
	}
	id, message, ok1 := berElement(message, berInteger)
	response, _, ok2 := berElement(message, ldapExtendedResponse)
	code, response, ok3 := berElement(response, berEnumerated)
	_, response, ok4 := berElement(response, berString) // matchedDN
	words, _, ok5 := berElement(response, berString)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 || len(id) == 0 || len(code) != 1 {
		return errForeign
	}
	detail := strings.TrimSuffix(fmt.Sprintf("result code %d: %s", code[0], words), ": ")
	switch {
	case id[0] == 0: // a notice of disconnection, section 4.4.1
		return refused(detail)
	case code[0] == ldapSuccess:
		return nil
	case code[0] == ldapProtocolError:
		return missing(detail)
	}
	return refused(detail)
}

// berMessage reads one SEQUENCE and returns its content.
func (d *dialogue) berMessage() ([]byte, error) {
	head := make([]byte, 2, 2+berMaxLength)
	if err := d.fill(head); err != nil {
		return nil, err
	}
	if head[0] != berSequence {
		return nil, errForeign
	}
	if octets := int(head[1] & 0x7f); head[1] > 0x7f && octets <= berMaxLength {
		head = head[:2+octets]
		if err := d.fill(head[2:]); err != nil {
			return nil, err
		}
	}
	n, _, ok := berLength(head[1:])
	if !ok {
		return nil, errForeign
	}
	if n > maxLine {
		return nil, tooMuch("an answer of more than %d bytes", maxLine)
	}
	content := make([]byte, n)
	return content, d.fill(content)
}

// berElement returns the content of the element with which b begins, and what
// follows. It reports false if that is not whole or not of tag.
func berElement(b []byte, tag byte) (content, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != tag {
		return nil, nil, false
	}
	n, b, ok := berLength(b[1:])
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// berMaxLength is the number of octets of the longest length that is read.
const berMaxLength = 4

// berLength reads a definite length. It is not DER: Active Directory writes each
// in four octets.
func berLength(b []byte) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	n, b = uint64(b[0]), b[1:]
	if n < 0x80 {
		return n, b, true
	}
	octets := int(n & 0x7f)
	if octets == 0 || octets > berMaxLength || octets > len(b) {
		return 0, nil, false
	}
	n = 0
	for _, o := range b[:octets] {
		n = n<<8 | uint64(o)
	}
	return n, b[octets:], true
}

// postgresSSLRequest is a message of eight bytes with the code 1234, 5679.
const postgresSSLRequest = "\x00\x00\x00\x08\x04\xd2\x16\x2f"

// postgres is the SSLRequest of the frontend/backend protocol. The answer is one
// byte; CVE-2021-23222 was a client that took what followed it for encrypted.
func (d *dialogue) postgres() error {
	if err := d.ask("SSLRequest", postgresSSLRequest); err != nil {
		return err
	}
	answer, err := d.r.ReadByte()
	if err != nil {
		return err
	}
	switch answer {
	case 'S':
		if speaks(d.first) != "" {
			return errForeign // SSH begins so
		}
		return nil
	case 'N':
		return missing("N")
	case 'E':
		words, err := d.postgresError()
		if err != nil {
			return err
		}
		return refused(words)
	}
	return errForeign
}

// postgresError reads an ErrorResponse: fields of a letter and a string that
// ends with NUL. The message is the one whose letter is M.
func (d *dialogue) postgresError() (string, error) {
	head := make([]byte, 4)
	if err := d.fill(head); err != nil {
		return "", err
	}
	n := binary.BigEndian.Uint32(head)
	if n < 4 || n > maxLine {
		return "", errForeign
	}
	body := make([]byte, n-4)
	if err := d.fill(body); err != nil {
		return "", err
	}
	for field := range bytes.SplitSeq(body, []byte{0}) {
		if len(field) > 0 && field[0] == 'M' {
			return string(field[1:]), nil
		}
	}
	return string(body), nil
}

// Of the MySQL protocol: first bytes of a payload, capabilities, and the largest
// first packet that is read.
const (
	mysqlHandshakeV9  = 0x09
	mysqlHandshakeV10 = 0x0a
	mysqlError        = 0xff

	mysqlProtocol41       = 0x0200
	mysqlSSL              = 0x0800
	mysqlSecureConnection = 0x8000

	mysqlMaxHandshake = 1 << 10
)

// mysql is Protocol::SSLRequest of MySQL and MariaDB. There is no go-ahead: the
// server's handshake packet offers TLS, and after the SSLRequest it waits.
func (d *dialogue) mysql() error {
	head := make([]byte, 4)
	if err := d.fill(head); err != nil {
		return err
	}
	n, sequence := int(head[0])|int(head[1])<<8|int(head[2])<<16, head[3]
	if n == 0 || n > mysqlMaxHandshake {
		return errForeign
	}
	packet := make([]byte, n)
	if err := d.fill(packet); err != nil {
		return err
	}
	switch packet[0] {
	case mysqlHandshakeV10:
	case mysqlHandshakeV9:
		return missing("protocol version 9") // of MySQL 3.21: it knows no TLS
	case mysqlError:
		return mysqlRefusal(packet[1:])
	default:
		return errForeign
	}
	version, rest, ok := bytes.Cut(packet[1:], []byte{0})
	const capabilities = 4 + 8 + 1 // thread, salt and filler stand before
	if !ok || len(rest) < capabilities+2 {
		return errForeign
	}
	offered := uint32(binary.LittleEndian.Uint16(rest[capabilities:]))
	if offered&mysqlSSL == 0 {
		return missing(string(version))
	}
	charset := byte(0)
	if len(rest) > capabilities+2 {
		charset = rest[capabilities+2] // the server's own, so one that it knows
	}
	request := make([]byte, 4+32)
	request[0], request[3] = 32, sequence+1
	binary.LittleEndian.PutUint32(request[4:], offered&(mysqlProtocol41|mysqlSSL|mysqlSecureConnection))
	binary.LittleEndian.PutUint32(request[8:], 1<<24) // largest packet
	request[12] = charset
	return d.ask("SSLRequest", string(request))
}

// mysqlRefusal reads an error packet: a code, perhaps "#" and an SQL state, text.
func mysqlRefusal(b []byte) error {
	if len(b) < 2 {
		return errForeign
	}
	code, words := binary.LittleEndian.Uint16(b), b[2:]
	if len(words) >= 6 && words[0] == '#' {
		words = words[6:]
	}
	return refused(fmt.Sprintf("%d: %s", code, words))
}

// fill reads all of b.
func (d *dialogue) fill(b []byte) error {
	_, err := io.ReadFull(d.r, b)
	return err
}
