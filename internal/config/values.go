package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// period reads a duration within limits.
func (n node) period(least, most time.Duration) time.Duration {
	d := n.duration()
	if d != 0 && (d < least || d > most) {
		n.fail("%s is out of range: want %s to %s", formatDuration(d), formatDuration(least), formatDuration(most))
	}
	return d
}

// number reads a number within limits.
func (n node) number(least, most float64) float64 {
	s, ok := n.scalar()
	v, err := strconv.ParseFloat(s, 64)
	switch {
	case !ok:
		n.wrong("a number")
	case err != nil:
		n.fail("%q is not a number", s)
	case !(v >= least && v <= most):
		n.fail("%s is out of range: want %v to %v", s, least, most)
	}
	return v
}

// percentage reads "50%" as 0.5.
func (n node) percentage() float64 {
	s, ok := n.scalar()
	digits, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
	if !ok || !percent || err != nil || !(v >= 0 && v <= 100) {
		n.fail("%q is not a percentage: want 0%% to 100%%", s)
		return 0
	}
	return v / 100
}

// filePath reads a path; a relative one begins at the directory of the file.
func (n node) filePath() string {
	s := n.text()
	if strings.TrimSpace(s) == "" {
		return ""
	}
	return n.d.path(s)
}

// input reads the path of a file that is to be read as what key says.
func (n node) input(key string) string {
	path := n.filePath()
	n.usable(key, path)
	return path
}

// usable asks whether what key names can be used.
func (n node) usable(key, path string) {
	if n.d.parsers.File == nil || path == "" {
		return
	}
	if err := n.d.parsers.File(key, path); err != nil {
		n.fail("%w", err)
	}
}

// path is s as seen from the directory of the file.
func (d *decoder) path(s string) string {
	if !filepath.IsAbs(s) {
		s = filepath.Join(filepath.Dir(d.file), s)
	}
	if abs, err := filepath.Abs(s); err == nil {
		return abs
	}
	return filepath.Clean(s)
}

// entries reads the values of a mapping whose keys anybody may choose.
func (n node) entries(want string, read func(name string, n node)) {
	var pairs []*ast.MappingValueNode
	switch y := n.y.(type) {
	case *ast.MappingNode:
		pairs = y.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{y}
	default:
		n.wrong(want)
		return
	}
	seen := make(map[string]bool)
	for _, pair := range pairs {
		key := node{n.d, pair.Key, n.path}
		name := key.text()
		if seen[name] {
			key.fail("%q stands there twice", name)
		}
		seen[name] = true
		read(name, node{n.d, pair.Value, n.key(name).path})
	}
}

// checked reads text that check takes.
func (n node) checked(check func(string) error) string {
	s := n.text()
	if check == nil || s == "" {
		return s
	}
	if err := check(s); err != nil {
		n.fail("%w", err)
	}
	return s
}

// checkListen takes "127.0.0.1:9887", ":9887" and "unix:/run/certscan.sock".
func checkListen(s string) error {
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("%q is not an absolute path", path)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not an address to listen on: want such as 127.0.0.1:9887, [::1]:9887, :9887 for all, or unix:PATH", s)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q: %q is not a port", s, port)
	}
	if _, err := netip.ParseAddr(host); host != "" && host != "localhost" && err != nil {
		return fmt.Errorf("%q: %q is not an IP address", s, host)
	}
	return nil
}

// checkURL takes an http or https URL without a password, a query or a
// fragment.
func checkURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return nil, fmt.Errorf("%q is not a URL", s)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q is not a URL of http or https", s)
	case u.User != nil:
		return nil, errors.New("has a user name or password, which does not belong here")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q has a query or a fragment", s)
	}
	return u, nil
}

// checkAllow takes an entry of web.probe.allow.
func checkAllow(s string) error {
	if _, err := netip.ParsePrefix(s); err == nil || s == "*" {
		return nil
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	if name := strings.TrimPrefix(s, "*."); name == "" || strings.ContainsAny(name, "*/:@ []") {
		return fmt.Errorf("%q is not known: want a network such as 10.0.0.0/8, an address, a host name, *.example.com, or * for every public address", s)
	}
	return nil
}

// formatDuration writes what [inventory.ParseDuration] reads.
func formatDuration(d time.Duration) string {
	if d >= 2*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
