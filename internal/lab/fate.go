package lab

import (
	"context"
	"net"

	"example.com/certscan/internal/inventory"
)

// A fate is what becomes of an endpoint of the scale fleet, by how a connection
// to it ends.
type fate struct {
	status inventory.ReachStatus
	// kill ends the connection, whose ClientHello has been read; nil if the
	// endpoint is alive or nobody listens there.
	kill Handler
}

// deaths are the ways to be dead; each takes an equal part of the dead.
func deaths() []fate {
	return []fate{
		{inventory.ReachTimeout, Silent},
		{inventory.ReachReset, Break},
		{inventory.ReachEOF, HangUp},
		{inventory.ReachNotTLS, say(garbage)},
		{inventory.ReachRefused, nil},
		{inventory.ReachNotTLS, say(plainHTTP)},
	}
}

// say writes text and hangs up.
func say(text string) Handler {
	return func(ctx context.Context, conn net.Conn) {
		if _, err := conn.Write([]byte(text)); err == nil {
			HangUp(ctx, conn)
		}
	}
}

const (
	garbage   = "\xde\xad\xbe\xef\x00\x01\x02\x03 this was never TLS \xff\xfe\xfd\xfc"
	plainHTTP = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\nBad Request\n"
)

// fate decides about endpoint i by its number alone.
func (f *fleet) fate(i int) fate {
	h := mix(uint64(i))
	if float64(h>>11)/(1<<53) >= f.opt.DeadFraction {
		return fate{status: inventory.ReachOK}
	}
	return f.deaths[mix(h)%uint64(len(f.deaths))]
}

// mix is the finalizer of SplitMix64: every bit of x changes half of the result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
