package lab

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// ldapDialogue answers one ExtendedRequest (RFC 4511, 4.12 and 4.14.1). The
// message is short, so its length fits in one octet.
func ldapDialogue(conn io.ReadWriter, v Variant) (goAhead string, err error) {
	var header [2]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return "", err
	}
	if header[0] != 0x30 || header[1] >= 0x80 {
		return "", fmt.Errorf("no LDAP message: % x", header)
	}
	message := make([]byte, header[1])
	if _, err := io.ReadFull(conn, message); err != nil {
		return "", err
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
	if len(message) > 2 && message[0] == 2 && message[1] == 1 {
		id = message[2]
	}
	response := []byte{0x30, 12, 2, 1, id, 0x78, 7, 0x0a, 1, code, 4, 0, 4, 0}
	if code == success {
		return string(response), nil
	}
	_, err = conn.Write(response)
	return "", cmp.Or(err, errNoUpgrade)
}

// postgresDialogue answers an SSLRequest (PostgreSQL's documentation, "SSL
// Session Encryption"). A server has one way to say no.
func postgresDialogue(conn io.ReadWriter, v Variant) (goAhead string, err error) {
	var request [8]byte
	if _, err := io.ReadFull(conn, request[:]); err != nil {
		return "", err
	}
	if binary.BigEndian.Uint32(request[4:]) != 80877103 {
		return "", fmt.Errorf("no SSLRequest: % x", request)
	}
	if v == Upgrades || v == Injects {
		return "S", nil
	}
	_, err = io.WriteString(conn, "N")
	return "", cmp.Or(err, errNoUpgrade)
}

// mysqlDialogue greets with HandshakeV10 and waits for an SSLRequest, which has
// no answer: there is nothing to refuse or to inject.
func mysqlDialogue(conn io.ReadWriter, v Variant) (goAhead string, err error) {
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
	if _, err := conn.Write(append([]byte{byte(len(body)), 0, 0, 0}, body...)); err != nil {
		return "", err
	}
	var request [4 + 32]byte
	if _, err := io.ReadFull(conn, request[:]); err != nil {
		return "", err
	}
	if v == Missing || request[0] != 32 || binary.LittleEndian.Uint32(request[4:])&ssl == 0 {
		return "", errNoUpgrade
	}
	return "", nil
}

// xmppDialogue opens a stream and offers STARTTLS (RFC 6120, 5.4).
func xmppDialogue(conn io.ReadWriter, v Variant) (goAhead string, err error) {
	const space = "urn:ietf:params:xml:ns:xmpp-tls"
	for in := xml.NewDecoder(io.LimitReader(conn, lineLimit)); ; {
		token, err := in.RawToken()
		if err != nil {
			return "", err
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
			if _, err := fmt.Fprintf(conn, "<?xml version='1.0'?><stream:stream xmlns='jabber:%s' "+
				"xmlns:stream='http://etherx.jabber.org/streams' id='lab' from='lab.example.com' version='1.0'>"+
				"<stream:features>%s</stream:features>", streamKind(element), features); err != nil {
				return "", err
			}
		case "starttls":
			if v == Upgrades || v == Injects {
				return "<proceed xmlns='" + space + "'/>", nil
			}
			_, err := io.WriteString(conn, "<failure xmlns='"+space+"'/></stream:stream>")
			return "", cmp.Or(err, errNoUpgrade)
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
