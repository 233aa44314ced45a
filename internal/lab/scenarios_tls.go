package lab

import (
	"crypto/tls"

	"example.com/certscan/internal/inventory"
)

func upTo12(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }

// onlyVersion speaks one old version. Its cipher suite is named, because Go
// counts all that such versions have as deprecated and offers few.
func onlyVersion(version uint16) func(*tls.Config) {
	return func(c *tls.Config) {
		c.MinVersion, c.MaxVersion = version, version
		c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	}
}

func onlySuite(suite uint16) func(*tls.Config) {
	return func(c *tls.Config) {
		c.MaxVersion = tls.VersionTLS12
		c.CipherSuites = []uint16{suite}
	}
}

func tlsScenarios() []definition {
	with := func(name, about string, change func(*tls.Config), want ...inventory.Code) definition {
		return definition{name: name, about: about, want: want, build: func(s *site) {
			s.serve(TLS(tune(s.config(s.leaf(s.issuing, s.host), s.issuing), change)))
		}}
	}
	withKeyAndSuite := func(name, about, key string, suite uint16) definition {
		return definition{name: name, about: about, want: wants(inventory.CodeWeakCipher), build: func(s *site) {
			config := s.config(s.leaf(s.issuing, s.host, withKey(s.key(key))), s.issuing)
			s.serve(TLS(tune(config, onlySuite(suite))))
		}}
	}
	return []definition{
		with("tls10-only", "TLS 1.0 and nothing newer.", onlyVersion(tls.VersionTLS10), inventory.CodeDeprecatedTLS),
		with("tls11-only", "TLS 1.1 and nothing newer.", onlyVersion(tls.VersionTLS11), inventory.CodeDeprecatedTLS),
		with("tls12-only", "TLS 1.2 and nothing newer, which is good.", upTo12),
		with("tls13-only", "TLS 1.3 and nothing older, which is good.", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }),
		with("p384-only", "A server that takes no other group than P-384.", func(c *tls.Config) {
			c.CurvePreferences = []tls.CurveID{tls.CurveP384}
		}),
		with("post-quantum-only", "A server that takes no other group than X25519MLKEM768.", func(c *tls.Config) {
			c.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768}
		}),
		withKeyAndSuite("rsa-key-exchange", "RSA key exchange and no other.", "rsa-2048-key-exchange", tls.TLS_RSA_WITH_AES_128_CBC_SHA),
		withKeyAndSuite("triple-des", "Triple DES and no other cipher.", "rsa-2048-3des", tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA),
		with("client-certificate-required-tls12", "TLS 1.2 and a client certificate, or no connection.", func(c *tls.Config) {
			c.MaxVersion, c.ClientAuth = tls.VersionTLS12, tls.RequireAnyClientCert
		}),
		with("client-certificate-required-tls13", "TLS 1.3 and a client certificate, or no connection.", func(c *tls.Config) {
			c.MinVersion, c.ClientAuth = tls.VersionTLS13, tls.RequireAnyClientCert
		}),
		with("client-certificate-requested", "A client certificate is asked for but not needed.", func(c *tls.Config) {
			c.ClientAuth = tls.RequestClientCert
		}),
		{name: "rsa-beside-expired", about: "A good ECDSA certificate, and an expired RSA one for clients that know no other.", want: wants(inventory.CodeExpired), build: func(s *site) {
			s.out.Offers = []inventory.Offer{inventory.OfferDefault, inventory.OfferRSA}
			good := s.config(s.leaf(s.issuing, s.host), s.issuing)
			old := s.config(s.leaf(s.issuing, s.host, withKey(s.key("rsa-2048-dual")), s.valid(-95*day, -5*day)), s.issuing)
			s.serve(TLS(tune(good, func(c *tls.Config) { c.Certificates = append(c.Certificates, old.Certificates...) })))
		}},
		{name: "default-differs", about: "Another certificate for clients that send no server name.", want: wants(inventory.CodeDefaultCertificateDiffers), build: func(s *site) {
			s.out.Offers = []inventory.Offer{inventory.OfferDefault, inventory.OfferNoSNI}
			named := s.config(s.leaf(s.issuing, s.host), s.issuing)
			unnamed := s.config(s.leaf(s.issuing, "default."+s.host), s.issuing)
			s.serve(TLS(tune(unnamed, func(c *tls.Config) {
				c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &named.Certificates[0], nil }
			})))
		}},
	}
}
