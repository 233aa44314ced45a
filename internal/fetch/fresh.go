package fetch

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// freshness is how long an answer may be kept by its headers (RFC 9111,
// sections 4.2.1 and 5.2.2): 0 if they forbid it, negative if they do not say.
func freshness(h http.Header) time.Duration {
	maxAge := time.Duration(-1)
	for _, field := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(field, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			switch strings.ToLower(name) {
			case "no-store", "no-cache":
				return 0
			case "max-age":
				if s, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
					maxAge = time.Duration(s) * time.Second
				}
			}
		}
	}
	if maxAge >= 0 {
		if s, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil {
			maxAge = max(maxAge-time.Duration(s)*time.Second, 0)
		}
		return maxAge
	}
	if h.Get("Expires") == "" {
		return -1
	}
	expires, err := http.ParseTime(h.Get("Expires"))
	if err != nil {
		return 0 // "0" and the like mean: expired already
	}
	// The server's own clock is the one that its Expires is on.
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return -1
	}
	return max(expires.Sub(date), 0)
}
