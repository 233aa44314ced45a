package lab

import (
	"crypto/tls"
	"errors"
	"slices"

	"github.com/miekg/dns"

	"example.com/certscan/internal/inventory"
)

func reachScenarios() []definition {
	peer := func(name, about string, h Handler, status inventory.ReachStatus, code inventory.Code) definition {
		return definition{name: name, about: about, want: wants(code), reach: ends(status), build: func(s *site) { s.serve(h) }}
	}
	cut := func(name, about string, change func(*tls.Config), end Handler, status inventory.ReachStatus) definition {
		return definition{name: name, about: about, want: wants(inventory.CodeHandshakeFailed), reach: ends(status), build: func(s *site) {
			s.serve(CutAfterCertificate(tune(s.config(s.leaf(s.issuing, s.host), s.issuing), change), end))
		}}
	}
	return []definition{
		peer("closed", "Nothing listens.", nil, inventory.ReachRefused, inventory.CodeUnreachable),
		peer("silent", "The connection is accepted, and that is all.", Silent, inventory.ReachTimeout, inventory.CodeUnreachable),
		{name: "drip", about: "A handshake of one byte in each tenth of a second.", want: wants(inventory.CodeUnreachable), reach: ends(inventory.ReachTimeout), build: func(s *site) {
			config := s.config(s.leaf(s.issuing, s.host), s.issuing)
			s.out.Leaves = nil // nobody waits that long
			s.serve(Drip(config))
		}},
		peer("reset", "The ClientHello is answered with a TCP reset.", Reset, inventory.ReachReset, inventory.CodeUnreachable),
		peer("end-of-file", "The ClientHello is answered with the end.", EndOfFile, inventory.ReachEOF, inventory.CodeUnreachable),
		peer("hang-up", "The connection is accepted and ended at once.", HangUp, inventory.ReachEOF, inventory.CodeUnreachable),
		peer("endless", "The ClientHello is answered with text that has no end.", Endless, inventory.ReachNotTLS, inventory.CodeNotTLS),
		peer("garbage", "The ClientHello is answered with bytes that mean nothing.", Answer(garbage), inventory.ReachNotTLS, inventory.CodeNotTLS),
		peer("plain-http", "A web server without TLS.", Answer(plainHTTP), inventory.ReachNotTLS, inventory.CodeNotTLS),
		peer("ssh", "An SSH server.", Banner("SSH-2.0-OpenSSH_9.9\r\n"), inventory.ReachNotTLS, inventory.CodeNotTLS),
		peer("smtp-without-tls", "A mail server where TLS was expected from the first byte.", Banner("220 lab.example.com ESMTP\r\n"), inventory.ReachNotTLS, inventory.CodeNotTLS),
		peer("unrecognized-name", "The server knows no such name and says so (alert 112).", unrecognizedName(), inventory.ReachTLSAlert, inventory.CodeUnreachable),
		cut("reset-after-certificate-tls12", "TLS 1.2, and a TCP reset right after the certificate.", upTo12, Break, inventory.ReachReset),
		cut("reset-after-certificate-tls13", "TLS 1.3, and a TCP reset right after the certificate.", func(*tls.Config) {}, Break, inventory.ReachReset),
		cut("end-after-certificate", "TLS 1.2, and the end right after the certificate.", upTo12, HangUp, inventory.ReachEOF),
		cut("silent-after-certificate", "TLS 1.2, and nothing more after the certificate.", upTo12, Silent, inventory.ReachTimeout),
		{name: "possession-unproven", about: "A chain for clients that know no TLS 1.3, and no handshake for anybody: whoever has it can do that.", want: wants(inventory.CodeHandshakeFailed), build: func(s *site) {
			s.serve(CutAfterCertificate(tune(s.config(s.leaf(s.issuing, s.host), s.issuing), onlyOldHellos), HangUp))
		}},
		{name: "one-address-dead", about: "Two addresses; nothing listens on the second.", want: wants(inventory.CodeUnreachable), reach: ends(inventory.ReachOK, inventory.ReachRefused), build: func(s *site) {
			s.serve(s.good())
			s.serve(nil)
		}},
	}
}

// onlyOldHellos refuses the hello of every client of today.
func onlyOldHellos(c *tls.Config) {
	c.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(h.SupportedVersions, tls.VersionTLS13) {
			return nil, errors.New("a client of today")
		}
		return nil, nil //nolint:nilnil // how crypto/tls is told to take the configuration as it is
	}
}

// unrecognizedName has a certificate for no name at all.
func unrecognizedName() Handler {
	return TLS(&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return nil, nil //nolint:nilnil // how crypto/tls is told to send that alert
	}})
}

func dnsScenarios() []definition {
	fails := func(name, about string, status inventory.ReachStatus, change func(*entry)) definition {
		return definition{name: name, about: about, want: wants(inventory.CodeDNSFailure), reach: ends(status), build: func(s *site) {
			change(s.entry(s.host))
		}}
	}
	return []definition{
		{name: "dns-no-such-name", about: "The name does not exist.", want: wants(inventory.CodeDNSFailure), reach: ends(inventory.ReachDNSNXDomain), build: func(*site) {}},
		fails("dns-server-failure", "The name server fails.", inventory.ReachDNSServFail, func(e *entry) { e.rcode = dns.RcodeServerFailure }),
		fails("dns-no-address", "The name exists and has no address.", inventory.ReachDNSNoAddress, func(*entry) {}),
		fails("dns-silent", "The name server does not answer.", inventory.ReachDNSTimeout, func(e *entry) { e.silent = true }),
		fails("dns-alias-to-nowhere", "An alias for a name that does not exist.", inventory.ReachDNSNXDomain, func(e *entry) { e.cname = "gone." + Domain }),
		{name: "dns-truncated", about: "An answer that has to be fetched over TCP.", build: func(s *site) {
			s.serve(s.good())
			s.entry(s.host).overTCP = true
		}},
		{name: "dns-alias", about: "An alias for an alias for a name.", build: func(s *site) {
			s.entry(s.host).cname = "cdn." + s.host
			s.entry("cdn." + s.host).cname = "edge." + s.host
			s.add("edge."+s.host, s.good())
		}},
	}
}
