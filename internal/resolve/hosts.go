package resolve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"strings"
)

// maxHosts bounds a hosts file, in octets. Block lists are that long.
const maxHosts = 32 << 20

// readHosts reads a hosts file.
func readHosts(name string, mayBeMissing bool) (map[string][]netip.Addr, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) && mayBeMissing {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hosts file: %w", err)
	}
	defer f.Close()
	hosts, err := parseHosts(io.LimitReader(f, maxHosts))
	if err != nil {
		return nil, fmt.Errorf("hosts file %s: %w", name, err)
	}
	return hosts, nil
}

// parseHosts reads hosts(5): an address, then names; # starts a comment. Lines
// that are something else are skipped, as every reader of this file does.
func parseHosts(r io.Reader) (map[string][]netip.Addr, error) {
	hosts := make(map[string][]netip.Addr)
	lines := bufio.NewScanner(r) // a line of more than 64 KiB is an error
	for lines.Scan() {
		text, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(text)
		if len(fields) < 2 {
			continue
		}
		// An address with a zone, such as fe80::1%lo0, is of one interface and
		// no server's.
		addr, err := netip.ParseAddr(fields[0])
		if err != nil || addr.Zone() != "" {
			continue
		}
		for _, name := range fields[1:] {
			name = canonical(name)
			hosts[name] = append(hosts[name], addr)
		}
	}
	for name, addrs := range hosts {
		hosts[name] = tidy(addrs)
	}
	return hosts, lines.Err()
}
