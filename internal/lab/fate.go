package lab

import (
	"context"
	"net"
	"time"

	"example.com/certscan/internal/inventory"
)

// A fate is what becomes of an endpoint of the scale fleet, by how a connection
// to it ends.
type fate struct {
	status inventory.ReachStatus
	// kill ends the connection, whose ClientHello has been read; nil if the
	// endpoint is alive or nobody listens there.
	kill Handler
	slow bool // it takes slowness to answer
}

// deaths are the ways to be dead; each takes an equal part of the dead.
func deaths() []fate {
	return []fate{
		{status: inventory.ReachTimeout, kill: Silent},
		{status: inventory.ReachReset, kill: Break},
		{status: inventory.ReachEOF, kill: HangUp},
		{status: inventory.ReachNotTLS, kill: say(garbage)},
		{status: inventory.ReachRefused},
		{status: inventory.ReachNotTLS, kill: say(plainHTTP)},
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

// slowness is how long a slow endpoint of the scale fleet takes: longer than any
// other, and not as long as anybody waits.
const slowness = time.Second

// fate decides about endpoint i in the present round.
func (f *fleet) fate(i int) fate {
	first, round := f.first(i), f.round.Load()
	if round == 0 || first.status == inventory.ReachRefused { // whose address is known
		return first
	}
	h := mix(uint64(i) ^ round<<32)
	if !f.part(h) {
		return fate{status: inventory.ReachOK}
	}
	now := f.deaths[mix(h)%uint64(len(f.deaths))]
	if now.status == inventory.ReachRefused {
		return fate{status: inventory.ReachOK, slow: true}
	}
	return now
}

// first is the fate with which endpoint i began, by its number alone.
func (f *fleet) first(i int) fate {
	h := mix(uint64(i))
	if !f.part(h) {
		return fate{status: inventory.ReachOK}
	}
	return f.deaths[mix(h)%uint64(len(f.deaths))]
}

// part reports whether h is of those that something happens to.
func (f *fleet) part(h uint64) bool { return float64(h>>11)/(1<<53) < f.opt.DeadFraction }

// Trouble lets things happen to the scale fleet: in each round others are dead,
// or slow, and those that were come back; others have a new certificate, and the
// names of others cannot be resolved. As many as [Options.DeadFraction] says
// are struck each way. What happens in a round is the same in every lab; round
// 0 is how it began, but for the certificates.
func (l *Lab) Trouble(round uint64) {
	f := l.fleet
	f.round.Store(round)
	for i := range f.certs {
		if round > 0 && f.part(mix(mix(uint64(i))^round)) {
			f.certs[i].Store(nil) // the next one who asks gets another
		}
	}
}

// mix is the finalizer of SplitMix64: every bit of x changes half of the result.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
