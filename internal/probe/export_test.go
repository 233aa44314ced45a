package probe

import "net/netip"

// SetRouted replaces how p asks the kernel whether it has a route.
func (p *Prober) SetRouted(f func(netip.AddrPort) error) { p.routed = f }

// Foreign is foreign.
var Foreign = foreign
