package resolve

import (
	"time"

	"example.com/certscan/internal/inventory"
)

// maxCached bounds the cache, in names. A scan asks for each name about once,
// so the cache matters for names with several targets and for the daemon's
// confirmations: losing an entry costs a question.
const maxCached = 1 << 14

// How long answers are kept.
const (
	minTTL      = 30 * time.Second
	maxTTL      = time.Hour
	maxNegative = 5 * time.Minute
	failureTTL  = 5 * time.Second // RFC 9520, section 3.2: at least one, to spare servers
)

// A cache keeps resolutions for a time. The zero value is empty.
type cache struct{ entries map[string]cached }

type cached struct {
	res   inventory.Resolution
	until time.Time
}

func (c *cache) get(name string, now time.Time) (inventory.Resolution, bool) {
	e, ok := c.entries[name]
	if !ok || !now.Before(e.until) {
		return inventory.Resolution{}, false
	}
	return e.res, true
}

func (c *cache) put(name string, res inventory.Resolution, now time.Time, ttl time.Duration) {
	if c.entries == nil {
		c.entries = make(map[string]cached)
	}
	if len(c.entries) >= maxCached {
		c.evict(now)
	}
	c.entries[name] = cached{res, now.Add(ttl)}
}

// evict makes room: whatever is out of date, and an eighth of the rest if that
// was not enough.
func (c *cache) evict(now time.Time) {
	for name, e := range c.entries {
		if !now.Before(e.until) {
			delete(c.entries, name)
		}
	}
	for name := range c.entries {
		if len(c.entries) <= maxCached-maxCached/8 {
			return
		}
		delete(c.entries, name)
	}
}
