//go:build unix

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/lab"
)

// fleetOptions say what the fleet's process serves.
type fleetOptions struct {
	n     int
	chain string
	delay time.Duration
	dead  float64
	dir   string

	lists, entries int // CRLs, and revoked certificates on each
}

func (o *fleetOptions) flags() {
	flag.IntVar(&o.n, "fleet-n", 0, "for the fleet's process")
	flag.StringVar(&o.chain, "fleet-chain", "p256", "for the fleet's process")
	flag.DurationVar(&o.delay, "fleet-delay", 0, "for the fleet's process")
	flag.Float64Var(&o.dead, "fleet-dead", 0, "for the fleet's process")
	flag.IntVar(&o.lists, "fleet-lists", 0, "for the fleet's process")
	flag.IntVar(&o.entries, "fleet-entries", 0, "for the fleet's process")
	flag.StringVar(&o.dir, "fleet-dir", "", "for the fleet's process")
}

// fleetInfo is what the fleet's process says of itself.
type fleetInfo struct {
	Targets  string // file: name@address:port a line
	Names    string // file: name:port a line
	Roots    string
	Resolver string
	Allow    string // for --allow-fetch
	Requests string // URL that counts what was asked for
	Dead     map[inventory.ReachStatus]int
}

// fleet serves until its standard input is closed.
func fleet(ctx context.Context, o fleetOptions) error {
	l, err := lab.Start(ctx, lab.Options{
		Scenarios: []string{}, Endpoints: o.n, Chain: lab.ChainKind(o.chain), Delay: o.delay, DeadFraction: o.dead,
		Lists: o.lists, ListEntries: o.entries,
	})
	if err != nil {
		return err
	}
	defer l.Close()
	info := fleetInfo{Targets: o.dir + "/targets", Names: o.dir + "/names", Resolver: l.Resolver(), Allow: l.AllowFetch()[0], Requests: l.Requests(), Dead: map[inventory.ReachStatus]int{}}
	if info.Roots, _, err = l.WriteRoots(o.dir); err != nil {
		return err
	}
	var pinned, named strings.Builder
	for t, ends := range l.Targets() {
		fmt.Fprintln(&pinned, t)
		name, address, _ := strings.Cut(t, "@")
		fmt.Fprintln(&named, name+address[strings.LastIndexByte(address, ':'):])
		if ends != inventory.ReachOK {
			info.Dead[ends]++
		}
	}
	if err := errors.Join(os.WriteFile(info.Targets, []byte(pinned.String()), 0o600), os.WriteFile(info.Names, []byte(named.String()), 0o600)); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(info); err != nil {
		return err
	}
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // until the parent closes it
	return nil
}

// floorOptions say what the plain loop does.
type floorOptions struct {
	list     string
	n        int // goroutines
	roots    string
	resolver string
	timeout  time.Duration
	dead     int // endpoints that have to fail
}

func (o *floorOptions) flags() {
	flag.StringVar(&o.list, "floor-list", "", "for the loop's process")
	flag.IntVar(&o.n, "floor-n", 256, "for the loop's process")
	flag.StringVar(&o.roots, "floor-roots", "", "for the loop's process")
	flag.StringVar(&o.resolver, "floor-resolver", "", "for the loop's process")
	flag.DurationVar(&o.timeout, "floor-timeout", 10*time.Second, "for the loop's process")
	flag.IntVar(&o.dead, "floor-dead", 0, "for the loop's process")
}

// floor is the plain Go loop: n goroutines dial, handshake with the library's
// defaults, and close. With roots it verifies, with a resolver it resolves.
func floor(o floorOptions) error {
	f, err := os.Open(o.list)
	if err != nil {
		return err
	}
	defer f.Close()
	config := tls.Config{InsecureSkipVerify: true}
	if o.roots != "" {
		pem, err := os.ReadFile(o.roots)
		if err != nil {
			return err
		}
		config = tls.Config{RootCAs: x509.NewCertPool()}
		config.RootCAs.AppendCertsFromPEM(pem)
	}
	dialer := net.Dialer{Timeout: o.timeout}
	if o.resolver != "" {
		dialer.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, o.resolver)
		}}
	}
	lines, failed := make(chan string), atomic.Int64{}
	var wg sync.WaitGroup
	for range o.n {
		wg.Go(func() {
			for line := range lines {
				if err := handshake(&dialer, &config, line); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		lines <- sc.Text()
	}
	close(lines)
	wg.Wait()
	if n := failed.Load(); n < int64(o.dead) || n > 0 && o.dead == 0 {
		return fmt.Errorf("%d handshakes of the plain loop failed, and %d endpoints are dead", n, o.dead)
	} else if o.dead > 0 {
		fmt.Println(n - int64(o.dead)) // those that it calls dead and are not
	}
	return sc.Err()
}

// handshake takes name@address:port, or name:port to be resolved.
func handshake(d *net.Dialer, config *tls.Config, line string) error {
	name, address, pinned := strings.Cut(line, "@")
	if !pinned {
		name, _, _ = net.SplitHostPort(line)
		address = line
	}
	c := config.Clone()
	c.ServerName = name
	conn, err := tls.DialWithDialer(d, "tcp", address, c)
	if err != nil {
		return err
	}
	return conn.Close()
}
