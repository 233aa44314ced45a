package lab

import (
	"fmt"

	"example.com/certscan/internal/inventory"
)

// starttlsScenarios are every protocol as it should be, and the ways to fail
// that the protocol has.
func starttlsScenarios() []definition {
	var list []definition
	for _, p := range inventory.Protocols() {
		if p == inventory.TLS {
			continue
		}
		list = append(list, starttls(p, Upgrades, "good", "in good order"))
		list = append(list, starttls(p, Missing, "missing", "where the server does not offer it"))
		if p == inventory.MySQL { // the client goes on unasked: nothing to refuse or to inject
			continue
		}
		if p != inventory.Postgres { // it has one way to say no, and means that it has no TLS
			list = append(list, starttls(p, Refuses, "refused", "where the server says no"))
		}
		list = append(list, starttls(p, Injects, "injected", "with plain text after the go-ahead"))
	}
	return append(list, definition{
		name: "smtp-expired", about: "A mail server with an expired certificate.", want: wants(inventory.CodeExpired),
		build: func(s *site) {
			s.target("smtp://" + s.host)
			s.serve(STARTTLS(inventory.SMTP, Upgrades, s.tls(s.leaf(s.issuing, s.host, s.valid(-92*day, -2*day)), s.issuing)))
		},
	})
}

func starttls(p inventory.Protocol, v Variant, suffix, about string) definition {
	d := definition{name: fmt.Sprintf("%s-%s", p, suffix), about: fmt.Sprintf("STARTTLS of %s %s.", p, about)}
	switch v {
	case Missing:
		d.want, d.reach = wants(inventory.CodeSTARTTLSMissing), ends(inventory.ReachSTARTTLSMissing)
	case Refuses:
		d.want, d.reach = wants(inventory.CodeSTARTTLSRefused), ends(inventory.ReachSTARTTLSRefused)
	case Injects:
		d.want = wants(inventory.CodeSTARTTLSInjection)
	case Upgrades:
	}
	d.build = func(s *site) {
		s.target(fmt.Sprintf("%s://%s", p, s.host))
		upgraded := Handler(Silent)
		if v == Upgrades || v == Injects {
			upgraded = s.good()
		}
		s.serve(STARTTLS(p, v, upgraded))
	}
	return d
}
