package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// maxAddresses bounds how many of a name's addresses are tried.
const maxAddresses = 8

// minAttempt is the least time that one address gets.
const minAttempt = time.Second

// dial connects to addr, the host:port of the URL (or of the proxy). A name
// with one forbidden and one public address is reached at the public one.
func (c *Client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, badURL(err)
	}
	d := net.Dialer{Timeout: c.opt.Timeout}
	if c.proxyAddr != "" && addr == c.proxyAddr {
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return newClientFirst(conn), nil
	}
	// net/http lets a dial outlive the request that asked for it.
	ctx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	// The last word is spoken about the address that the socket connects to.
	d.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return badURL(err)
		}
		return c.checkAddress(host, ap.Addr())
	}
	addrs, err := c.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	var errs []error
	for i, a := range addrs {
		conn, err := dialOne(ctx, d, network, net.JoinHostPort(a.String(), port), len(addrs)-i)
		if err == nil {
			return newClientFirst(conn), nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, firstUseful(errs)
}

// dialOne gives an address its share of the time that is left.
func dialOne(ctx context.Context, d net.Dialer, network, addr string, left int) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(time.Until(deadline)/time.Duration(left), minAttempt))
		defer cancel()
	}
	return d.DialContext(ctx, network, addr)
}

// firstUseful prefers a refusal of ours, because that is the one that the user
// can do something about.
func firstUseful(errs []error) error {
	for _, err := range errs {
		var e *Error
		if errors.As(err, &e) {
			return err
		}
	}
	return errs[0]
}

func (c *Client) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	addrs, err := c.opt.Lookup(ctx, host)
	if err == nil && len(addrs) == 0 {
		err = errors.New("no address")
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &Error{Reason: ReasonDNS, Err: fmt.Errorf("resolve %q: %w", host, err)}
	}
	return addrs[:min(len(addrs), maxAddresses)], nil
}

// checkAddress refuses addr unless it is public or allowed.
func (c *Client) checkAddress(host string, addr netip.Addr) error {
	// A zone selects an interface of this machine; no prefix contains it.
	addr = addr.WithZone("").Unmap()
	if c.hosts[canonicalHost(host)] || slices.ContainsFunc(c.opt.AllowNetworks, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return nil
	}
	what := notPublic(addr)
	if what == "" {
		return nil
	}
	of := ""
	if canonicalHost(host) != addr.String() {
		of = fmt.Sprintf(" of host %q", host)
	}
	advice := ""
	inside := addr.IsPrivate() || addr.IsLoopback() || strings.HasPrefix(what, "a shared")
	if inside && !strings.Contains(what, "metadata") { // at others nobody has a CRL, whatever a stranger says
		advice = "; to allow it: --allow-fetch " + addr.String()
	}
	return &Error{Reason: ReasonRefusedAddress, Err: fmt.Errorf("address %s%s is %s%s", addr, of, what, advice)}
}

// ParseAllow turns the values of --allow-fetch into networks and hosts: each is
// a CIDR prefix, an IP address or a host name.
func ParseAllow(values []string) (networks []netip.Prefix, hosts []string, err error) {
	for _, v := range values {
		v = strings.TrimSpace(v)
		if p, err := netip.ParsePrefix(v); err == nil {
			networks = append(networks, p.Masked())
			continue
		}
		if a, err := netip.ParseAddr(strings.Trim(v, "[]")); err == nil {
			networks = append(networks, netip.PrefixFrom(a.WithZone("").Unmap(), a.Unmap().BitLen()))
			continue
		}
		if v == "" || strings.ContainsAny(v, "/:@ \t[]*") {
			return nil, nil, fmt.Errorf("%q is neither a network such as 10.0.0.0/8, an address, nor a host name without a port", v)
		}
		hosts = append(hosts, canonicalHost(v))
	}
	return networks, hosts, nil
}
