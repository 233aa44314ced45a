package probe

import (
	"bytes"
	"fmt"
	"strings"

	"example.com/certscan/internal/inventory"
)

// maxQuoted is how much of an unknown protocol is quoted, in bytes.
const maxQuoted = 32

// foreign describes a server that answers a ClientHello, or speaks before it,
// in a protocol that is not TLS. seen is how it begins; it is hostile.
func foreign(seen []byte) string {
	name := speaks(seen)
	if name == "" || name == "pop3" && seen[0] == '-' {
		name = speaksOther(seen)
	}
	if name == "" {
		return fmt.Sprintf("unknown protocol: %q", seen[:min(len(seen), maxQuoted)])
	}
	protocol, alike := inventory.Protocol(name), ""
	switch name {
	case "xmpp":
		protocol, alike = inventory.XMPPClient, " or xmpp-server://"
	case "postgresql":
		protocol = inventory.Postgres
	}
	if protocol.Valid() {
		return fmt.Sprintf("speaks %s: try %s://%s", displayName(name), protocol, alike)
	}
	return "speaks " + displayName(name)
}

func displayName(name string) string {
	switch name {
	case "mysql":
		return "MySQL"
	case "postgresql":
		return "PostgreSQL"
	case "sieve":
		return "ManageSieve"
	case "http", "http/2":
		return strings.ToUpper(name) + " without TLS"
	case "redis", "memcached", "telnet":
		return strings.ToUpper(name[:1]) + name[1:]
	case "rsync":
		return name
	}
	return strings.ToUpper(name)
}

// speaksOther names protocols that have no STARTTLS worth knowing, and those
// that show themselves only in the answer to a ClientHello.
func speaksOther(b []byte) string {
	has := func(prefixes ...string) bool {
		for _, p := range prefixes {
			if bytes.HasPrefix(b, []byte(p)) {
				return true
			}
		}
		return false
	}
	lower := bytes.ToLower(b[:min(len(b), rawSeen)])
	switch {
	case has("220"):
		// Neither name is in the greeting; mail is the more common of the two.
		return "smtp"
	case bytes.HasPrefix(lower, []byte("<!doctype")), bytes.HasPrefix(lower, []byte("<html")):
		return "http"
	case len(b) >= 9 && b[3] == 4 && b[5]|b[6]|b[7]|b[8] == 0 && b[0] == 0:
		return "http/2" // a SETTINGS frame
	case has("SIP/2.0"):
		return "sip"
	case has("RTSP/"):
		return "rtsp"
	case has("\x03\x00\x00"):
		return "rdp" // a TPKT header
	case has("SFATAL", "E\x00\x00") || len(b) > 5 && b[0] == 'E' && b[5] == 'S':
		return "postgresql"
	case len(b) > 4 && b[3] == 0 && b[4] == 0xff:
		return "mysql" // an error packet, such as for a host that is not allowed
	case has("\x30") && len(b) > 2 && bytes.Contains(b, []byte("\x78")):
		return "ldap"
	case has("-ERR", "-DENIED", "-NOAUTH"): // the first is POP3's too, but not as a greeting
		return "redis"
	case has("ERROR\r\n", "CLIENT_ERROR"):
		return "memcached"
	case has("AMQP"):
		return "amqp"
	case has("@RSYNCD:"):
		return "rsync"
	case len(b) > 1 && b[0] == 0xff && b[1] >= 0xfb && b[1] <= 0xfe:
		return "telnet"
	}
	return ""
}
