package lab

import (
	"example.com/certscan/internal/inventory"
)

func nameScenarios() []definition {
	return []definition{
		{name: "wrong-name", about: "A certificate for another name.", want: wants(inventory.CodeNameMismatch), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, "other."+s.host), s.issuing))
		}},
		{name: "wildcard-too-deep", about: "A wildcard certificate for a name two labels below it.", want: wants(inventory.CodeNameMismatch), build: func(s *site) {
			host := "a.b." + s.host
			s.add(host, s.tls(s.leaf(s.issuing, "*."+s.host), s.issuing))
			s.target(host)
		}},
		{name: "no-san", about: "The name stands in the common name only.", want: wants(inventory.CodeNoSAN), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, func(spec *Spec) { spec.Names, spec.CommonName = nil, s.host }), s.issuing))
		}},
		{name: "malformed-san", about: "A DNS name in UTF-8 where only ASCII is allowed.", want: wants(inventory.CodeHandshakeFailed, inventory.CodeMalformedSAN), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, tbs(func(t *TBS) {
				name := []byte("bücher." + s.host)
				value := append([]byte{0x82, byte(len(name))}, name...) // [2] dNSName
				t.Extension(oidSAN).Value = append([]byte{0x30, byte(len(value))}, value...)
			})), s.issuing))
		}},
		{name: "wildcard-public-suffix", about: "A certificate for every company of a country.", want: wants(inventory.CodeWildcardPublicSuffix), build: func(s *site) {
			s.add("shop.co.uk", s.tls(s.leaf(s.issuing, "*.co.uk"), s.issuing))
			s.target("shop.co.uk")
		}},
		{name: "cn-not-in-san", about: "A common name that is not among the names.", want: wants(inventory.CodeCNNotInSAN), build: func(s *site) {
			s.serve(s.tls(s.leaf(s.issuing, s.host, func(spec *Spec) { spec.CommonName = "legacy." + s.host }), s.issuing))
		}},
		{name: "ip-address-as-name", about: "An IP address in a DNS name, which matches nothing.", want: wants(inventory.CodeNameMismatch), build: func(s *site) {
			s.out.Private = true
			a := s.addresses.next()
			s.listen(a, s.tls(s.leaf(s.privateIssuing, a.String()), s.privateIssuing))
			s.target(a.String())
		}},
	}
}
