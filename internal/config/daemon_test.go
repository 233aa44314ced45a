package config_test

import (
	"errors"
	"net/netip"
	"strings"

	"example.com/certscan/internal/config"
	"example.com/certscan/internal/inventory"
)

// parsers know as much of targets, networks and servers as these tests need.
func parsers() config.Parsers {
	return config.Parsers{
		Target: func(s string, without inventory.Protocol) (inventory.Target, error) {
			t := inventory.Target{Protocol: without}
			if proto, rest, ok := strings.Cut(s, "://"); ok {
				t.Protocol, s = inventory.Protocol(proto), rest
			}
			if t.Host = s; strings.Contains(s, " ") {
				return inventory.Target{}, errors.New("bad target")
			}
			t.Port = t.Protocol.DefaultPort()
			return t, nil
		},
		Fetch: func(s string) error { _, err := netip.ParsePrefix(s); return err },
		DNS:   func(s string) error { _, err := netip.ParseAddr(s); return err },
	}
}
