package verify

import "example.com/certscan/internal/inventory"

// A oneCRL finds revoked intermediates: by issuer and serial number, or by
// subject and key, each as encoded.
type oneCRL map[oneCRLKey]bool

type oneCRLKey struct{ name, rest string }

func indexOneCRL(list []inventory.OneCRLEntry) oneCRL {
	index := make(oneCRL, len(list))
	for _, e := range list {
		if len(e.Issuer) > 0 && len(e.Serial) > 0 {
			index[oneCRLKey{string(e.Issuer), "serial " + string(e.Serial)}] = true
		}
		if len(e.Subject) > 0 && len(e.KeyHash) > 0 {
			index[oneCRLKey{string(e.Subject), "key " + string(e.KeyHash)}] = true
		}
	}
	return index
}

func (o oneCRL) has(c *cert) bool {
	return len(o) > 0 && (o[oneCRLKey{string(c.issuer.raw), "serial " + string(c.serial)}] ||
		o[oneCRLKey{string(c.subject.raw), "key " + string(c.key.id[:])}])
}
