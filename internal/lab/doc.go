// Package lab is a fleet in a box: certification authorities, TLS and STARTTLS
// servers with known defects, hostile peers, a DNS server and an AIA server, all
// on loopback. It serves tests, "certscan demo" and the benchmarks.
//
// It refuses to touch any address outside 127.0.0.0/8 and ::1, and it never
// judges: what a scan has to find stands beside each [Scenario] as data. Its
// invariant: every endpoint has one defect or none, so a finding that is not
// wanted is a false one.
//
// Every scenario has loopback addresses of its own, and all of them share one
// port, so targets read like real ones: expired.lab.example.com:20443. That
// needs the whole of 127.0.0.0/8, which Linux gives to the loopback interface
// and other systems do not.
package lab
