package fetch

import "runtime"

// Waiters lets a test wait until so many callers share the client's fetches.
type Waiters struct{}

func (Waiters) Until(c *Client, want int) {
	for {
		n := 0
		c.flights.mu.Lock()
		for _, f := range c.flights.running {
			n += f.waiters
		}
		c.flights.mu.Unlock()
		if n == want {
			return
		}
		runtime.Gosched()
	}
}

// NotPublic is the guard's table.
var NotPublic = notPublic

// Freshness reads caching headers.
var Freshness = freshness
