package probe_test

import (
	"strings"

	"example.com/certscan/internal/inventory"
)

func streamOf(namespace string) string {
	return "<?xml version='1.0'?><stream:stream version='1.0' xmlns='" + namespace +
		"' xmlns:stream='http://etherx.jabber.org/streams' to='shop.example'>"
}

const (
	streamStart = "<?xml version='1.0' encoding='UTF-8'?>\n<stream:stream id='1' version='1.0' " +
		"xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	offersTLS = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>" +
		"<mechanisms><mechanism>PLAIN</mechanism></mechanisms></stream:features>"
	startTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	proceed  = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
)

var xmppDialogues = []dialogue{
	{
		proto: inventory.XMPPClient, name: "goes ahead",
		script: []step{hears(streamOf("jabber:client")), says(streamStart), says(offersTLS), hears(startTLS), says(proceed)},
	},
	{
		proto: inventory.XMPPServer, name: "goes ahead with an end tag",
		script: []step{
			hears(streamOf("jabber:server")), says(streamStart + "\n" + offersTLS + "\n"),
			hears(startTLS), says("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>"),
		},
	},
	{
		proto: inventory.XMPPClient, name: "has something behind the go-ahead",
		script: []step{
			hears(streamOf("jabber:client")), says(streamStart + offersTLS), hears(startTLS), says(proceed + "<message/>"),
		},
		injected: "<message/>",
	},
	{
		proto: inventory.XMPPClient, name: "does not offer it",
		script: []step{
			hears(streamOf("jabber:client")),
			says(streamStart + "<stream:features><mechanisms><mechanism>PLAIN</mechanism></mechanisms></stream:features>"),
		},
		status: missing, detail: "mechanisms; mechanism; PLAIN",
	},
	{
		proto: inventory.XMPPClient, name: "is older than XMPP 1.0",
		script: []step{hears(streamOf("jabber:client")), says("<stream:stream id='1'>")},
		status: missing, detail: "stream without a version",
	},
	{
		proto: inventory.XMPPServer, name: "refuses",
		script: []step{
			hears(streamOf("jabber:server")), says(streamStart + offersTLS),
			hears(startTLS), says("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"),
		},
		status: refused, detail: "failure",
	},
	{
		proto: inventory.XMPPServer, name: "does not serve the name",
		script: []step{
			hears(streamOf("jabber:server")),
			says(streamStart + "<stream:error><host-unknown xmlns='x'/><text>not &lt;here&gt;</text></stream:error></stream:stream>"),
		},
		status: refused, detail: "host-unknown; text; not <here>",
	},
	{
		proto: inventory.XMPPClient, name: "declares entities",
		script: []step{
			hears(streamOf("jabber:client")),
			says("<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><stream:stream version='1.0'>&b;"),
		},
		status: notTLS,
		detail: "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><stream:stream version='1.0'>&b;",
	},
	{
		proto: inventory.XMPPClient, name: "uses an entity",
		script: []step{
			hears(streamOf("jabber:client")),
			says("<stream:stream version='1.0'><stream:features>&b;</stream:features>"),
		},
		status: notTLS, detail: "<stream:stream version='1.0'><stream:features>&b;</stream:features>",
	},
	{
		proto: inventory.XMPPClient, name: "is a web server",
		script: []step{hears(streamOf("jabber:client")), says("HTTP/1.1 400 Bad Request\r\nServer: x\r\n")},
		status: notTLS, detail: "http: HTTP/1.1 400 Bad Request",
	},
	{
		proto: inventory.XMPPClient, name: "is a page",
		script: []step{hears(streamOf("jabber:client")), says("<html><body>")}, status: notTLS, detail: "<html><body>",
	},
}

const (
	ldapRequest = "\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037"
	sslRequest  = "\x00\x00\x00\x08\x04\xd2\x16\x2f"

	// thread, salt, filler
	mysqlBefore = "\x00\x01\x02\x03" + "saltsalt" + "\x00"
	// 32 bytes, capabilities, largest packet, character set
	mysqlRequest = "\x20\x00\x00\x01" + "\x00\x8a\x00\x00" + "\x00\x00\x00\x01" + "\x2d"
)

// mysqlPacket is the first packet of a server.
func mysqlPacket(payload string) string { return string(rune(len(payload))) + "\x00\x00\x00" + payload }

var binaryDialogues = []dialogue{
	{
		proto: inventory.LDAP, name: "goes ahead",
		script: []step{hears(ldapRequest), says("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00")},
	},
	{
		proto: inventory.LDAP, name: "writes lengths in four octets",
		script: []step{hears(ldapRequest), says("\x30\x84\x00\x00\x00\x28\x02\x01\x01\x78\x84\x00\x00\x00\x1f\x0a\x01\x00\x04\x00\x04\x00" +
			"\x8a\x161.3.6.1.4.1.1466.20037evil")},
		injected: "evil",
	},
	{
		proto: inventory.LDAP, name: "does not know it",
		script: []step{hears(ldapRequest), says("\x30\x12\x02\x01\x01\x78\x0d\x0a\x01\x02\x04\x00\x04\x06no TLS")},
		status: missing, detail: "result code 2: no TLS",
	},
	{
		proto: inventory.LDAP, name: "refuses",
		script: []step{hears(ldapRequest), says("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00")},
		status: refused, detail: "result code 52",
	},
	{
		proto: inventory.LDAP, name: "disconnects",
		script: []step{hears(ldapRequest), says("\x30\x0f\x02\x01\x00\x78\x0a\x0a\x01\x02\x04\x00\x04\x03bye")},
		status: refused, detail: "result code 2: bye",
	},
	{
		proto: inventory.LDAP, name: "answers something else",
		script: []step{hears(ldapRequest), says("\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00")},
		status: notTLS, detail: "0\x0c\x02\x01\x01e\x07",
	},
	{
		proto: inventory.LDAP, name: "is TLS already",
		script: []step{hears(ldapRequest), says("\x15\x03\x01\x00\x02\x02\x0a")},
		status: notTLS, detail: "tls: \x15\x03\x01\x00\x02\x02",
	},
	{
		proto: inventory.LDAP, name: "has an element that is longer than the message",
		script: []step{hears(ldapRequest), says("\x30\x05\x02\x01\x01\x78\x84")},
		status: notTLS, detail: "0\x05\x02\x01\x01x?",
	},
	{
		proto: inventory.LDAP, name: "has a length without end",
		script: []step{hears(ldapRequest), says("\x30\x80\x02\x01")},
		status: notTLS, detail: "0?\x02\x01",
	},
	{
		proto: inventory.LDAP, name: "is a web server",
		script: []step{hears(ldapRequest), says("HTTP/1.1 400 Bad Request\r\n")},
		status: notTLS, detail: "http: HTTP/1.1 400 Bad Request",
	},
	{
		proto: inventory.Postgres, name: "goes ahead",
		script: []step{hears(sslRequest), says("S")},
	},
	{
		proto: inventory.Postgres, name: "has something behind the go-ahead",
		script: []step{hears(sslRequest), says("SR\x00\x00\x00\x08\x00\x00\x00\x00")}, injected: "R\x00\x00\x00\x08\x00\x00\x00\x00",
	},
	{
		proto: inventory.Postgres, name: "has TLS switched off",
		script: []step{hears(sslRequest), says("N")}, status: missing, detail: "N",
	},
	{
		proto: inventory.Postgres, name: "refuses",
		script: []step{hears(sslRequest), says("E\x00\x00\x00\x1dSFATAL\x00C53300\x00Mtoo many\x00\x00")},
		status: refused, detail: "too many",
	},
	{
		proto: inventory.Postgres, name: "is SSH",
		script: []step{hears(sslRequest), says("SSH-2.0-x\r\n")}, status: notTLS, detail: "ssh: SSH-2.0-x",
	},
	{
		proto: inventory.Postgres, name: "is garbage",
		script: []step{hears(sslRequest), says("E\xff\xff\xff\xff")}, status: notTLS, detail: "E?",
	},
	{
		proto: inventory.MySQL, name: "goes ahead",
		script: []step{
			says(mysqlPacket("\x0a8.0.36\x00" + mysqlBefore + "\xff\xff\x2d\x02\x00\xff\xdf\x15" + strings.Repeat("x", 20))),
			hears(mysqlRequest + strings.Repeat("\x00", 23)),
		},
	},
	{
		proto: inventory.MySQL, name: "has something behind the handshake",
		script: []step{
			says(mysqlPacket("\x0a5.5.5-10.11.19-MariaDB\x00"+mysqlBefore+"\xff\xff\x2d") + "\x07\x00\x00\x02ok"),
			hears(mysqlRequest + strings.Repeat("\x00", 23)),
		},
		injected: "\x07\x00\x00\x02ok",
	},
	{
		proto: inventory.MySQL, name: "does not offer it",
		script: []step{says(mysqlPacket("\x0a5.7.31\x00" + mysqlBefore + "\xff\xf7\x2d"))},
		status: missing, detail: "5.7.31",
	},
	{
		proto: inventory.MySQL, name: "has blocked us",
		script: []step{says(mysqlPacket("\xff\x69\x04Host '192.0.2.1' is blocked"))},
		status: refused, detail: "1129: Host '192.0.2.1' is blocked",
	},
	{
		proto: inventory.MySQL, name: "is full",
		script: []step{says(mysqlPacket("\xff\x10\x04#08004Too many connections"))},
		status: refused, detail: "1040: Too many connections",
	},
	{
		proto: inventory.MySQL, name: "is from before TLS",
		script: []step{says(mysqlPacket("\x093.20\x00"))}, status: missing, detail: "protocol version 9",
	},
	{
		proto: inventory.MySQL, name: "is IMAP",
		script: []step{says("* OK hello\r\n")}, status: notTLS, detail: "imap: * OK hello",
	},
	{
		proto: inventory.MySQL, name: "is garbage",
		script: []step{says("\x02\x00\x00\x00zz")}, status: notTLS, detail: "\x02\x00\x00\x00zz",
	},
}
