package server_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A page of a stranger, whose name was let point at this machine, reads nothing
// that only this machine may.
func TestNamesOnLoopback(t *testing.T) {
	t.Parallel()
	opt := options()
	opt.ExternalURL = "https://Certs.example.com/certscan"
	opt.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "certscan_up 1\n") })
	url := "http://" + start(t, opt).String()
	for _, tt := range []struct {
		host string
		want int
	}{
		{"evil.example", 403},
		{"evil.example:9887", 403},
		{"localhost.evil.example", 403},
		{"127.0.0.1.evil.example", 403},
		{"", 200}, // as the client makes it: the address
		{"127.0.0.1", 200},
		{"127.9.9.9:80", 200},
		{"[::1]:9887", 200},
		{"LocalHost:9887", 200},
		{"192.0.2.7:9887", 200}, // addresses point nowhere else
		{"certs.example.com", 200},
		{"certs.EXAMPLE.com:443", 200},
	} {
		for _, path := range []string{"/", "/api/v1/summary", "/metrics", "/sd", "/-/healthy", "/certscan/api/v1/summary"} {
			status, body, _ := do(t, client(nil), "GET", url+path, func(r *http.Request) { r.Host = tt.host })
			if status != tt.want {
				t.Errorf("%s as %q: status %d, want %d", path, tt.host, status, tt.want)
			}
			if status == 403 && (!strings.Contains(body, "web.external_url") || strings.Contains(body, "shop")) {
				t.Errorf("%s as %q: %s, want the setting that allows it", path, tt.host, body)
			}
		}
	}
}

// As many connections are held as files were reckoned for. What is beyond waits
// for one of them to close.
func TestConnections(t *testing.T) {
	t.Parallel()
	opt := options()
	opt.Connections = 2
	address := start(t, opt).String()
	var held []net.Conn
	for range opt.Connections {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\n"); err != nil { // and no more
			t.Fatal(err)
		}
		held = append(held, c)
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := c.Read(buf); err == nil {
		t.Fatalf("answered beside %d others: %q", len(held), buf[:n])
	}
	held[0].Close()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := c.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200") {
		t.Errorf("with room again: %q, %v", buf[:n], err)
	}
}
