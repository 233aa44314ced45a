package inventory

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A Protocol is what is spoken on a target's port before or around TLS.
type Protocol string

// The protocols that certscan speaks. TLS is TLS from the first byte; all
// others upgrade a plain connection (STARTTLS).
const (
	TLS        Protocol = "tls"
	SMTP       Protocol = "smtp"
	LMTP       Protocol = "lmtp"
	IMAP       Protocol = "imap"
	POP3       Protocol = "pop3"
	FTP        Protocol = "ftp"
	LDAP       Protocol = "ldap"
	XMPPClient Protocol = "xmpp-client"
	XMPPServer Protocol = "xmpp-server"
	NNTP       Protocol = "nntp"
	Sieve      Protocol = "sieve"
	Postgres   Protocol = "postgres"
	MySQL      Protocol = "mysql"
	IRC        Protocol = "irc"
)

// Protocols returns every protocol, [TLS] first, then in the order of help
// texts.
func Protocols() []Protocol {
	return []Protocol{TLS, SMTP, LMTP, IMAP, POP3, FTP, LDAP, XMPPClient, XMPPServer, NNTP, Sieve, Postgres, MySQL, IRC}
}

// Valid reports whether p is one of [Protocols].
func (p Protocol) Valid() bool { return slices.Contains(Protocols(), p) }

// DefaultPort is the port that IANA assigned to p, and 443 for [TLS].
func (p Protocol) DefaultPort() uint16 {
	switch p {
	case SMTP:
		return 25
	case LMTP:
		return 24
	case IMAP:
		return 143
	case POP3:
		return 110
	case FTP:
		return 21
	case LDAP:
		return 389
	case XMPPClient:
		return 5222
	case XMPPServer:
		return 5269
	case NNTP:
		return 119
	case Sieve:
		return 4190
	case Postgres:
		return 5432
	case MySQL:
		return 3306
	case IRC:
		return 6667
	}
	return 443
}

// A Target is what somebody wants watched.
type Target struct {
	// Host is the name that the certificate must be for: a lower-case DNS name
	// of A-labels without a trailing dot, or an IP address as [netip.Addr]
	// prints it.
	Host     string   `json:"host"`
	Port     uint16   `json:"port"`
	Protocol Protocol `json:"protocol"`

	// Address, if set, is where to connect instead of what Host resolves to: an
	// IP address, or another host name to resolve.
	Address string `json:"address,omitempty"`

	// Labels say whose target it is; owner, environment and platform are known
	// to reports. Sources name the lists that asked for it.
	Labels  map[string]string `json:"labels,omitempty"`
	Sources []string          `json:"sources,omitempty"`
}

// Key is the canonical form [proto://]name[@address]:port. Two targets are the
// same if their keys are; parsing a key gives the target back.
func (t Target) Key() string {
	var b strings.Builder
	if t.Protocol != TLS && t.Protocol != "" {
		b.WriteString(string(t.Protocol))
		b.WriteString("://")
	}
	port := strconv.Itoa(int(t.Port))
	switch {
	case t.Address == "":
		b.WriteString(net.JoinHostPort(t.Host, port))
	default:
		b.WriteString(bracketed(t.Host))
		b.WriteByte('@')
		b.WriteString(net.JoinHostPort(t.Address, port))
	}
	return b.String()
}

// String is [Target.Key].
func (t Target) String() string { return t.Key() }

// ServerName is the name to send in the TLS server_name extension: Host, or
// nothing for an IP address (RFC 6066, section 3).
func (t Target) ServerName() string {
	if t.IsIP() {
		return ""
	}
	return t.Host
}

// IsIP reports whether Host is an IP address.
func (t Target) IsIP() bool {
	_, err := netip.ParseAddr(t.Host)
	return err == nil
}

// DialName is what has to be resolved to connect: Address if set, else Host.
func (t Target) DialName() string {
	if t.Address != "" {
		return t.Address
	}
	return t.Host
}

// ByHand reports whether a source of targets is what a person gave to a scan:
// "arg", "stdin" or "file:NAME". Those of the daemon have names of their own.
func ByHand(source string) bool {
	return source == "arg" || source == "stdin" || strings.HasPrefix(source, "file:")
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}
