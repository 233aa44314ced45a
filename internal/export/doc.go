// Package export serves what is known of the fleet to Prometheus: /metrics and
// /metrics/targets from what the scans saw, and /probe, which examines on
// demand.
//
// It probes nothing by itself, judges nothing and keeps no history. Rendering
// works on an immutable snapshot, so that scraping never waits for scanning nor
// scanning for scraping. Its invariant: what is unknown has no series and what
// is gone vanishes, but an endpoint that is expired, untrusted or unreachable
// keeps the expiry that was last known; and no series is ever written twice.
package export
