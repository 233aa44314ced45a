//go:build unix

package main

import (
	"strings"
	"testing"

	"example.com/certscan/internal/server"
)

// Whoever connects to the daemon takes no file from what it examines with.
func TestFilesAreShared(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name             string
		limit            uint64
		web              int
		asked            bool
		concurrency, got int // of connections out, and in
		err              string
	}{
		{name: "enough for all", limit: 1024, web: server.DefaultConnections, concurrency: 256, got: 512},
		{name: "fewer for strangers", limit: 800, web: server.DefaultConnections, concurrency: 256, got: 200},
		{name: "fewer for both", limit: 256, web: server.DefaultConnections, concurrency: 64, got: 64},
		{name: "too few", limit: 128, web: server.DefaultConnections, err: "the limit is 128"},
		{name: "nobody connects to a scan", limit: 384, concurrency: 256},
		{name: "asked for more", limit: 300, asked: true, err: "--concurrency 256 needs 384 open files, and the limit is 300"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			concurrency, web := 256, tt.web
			err := shareFiles(tt.limit, &concurrency, &web, tt.asked, func(string, ...any) {})
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error = %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || concurrency != tt.concurrency || web != tt.got {
				t.Errorf("%d out, %d in, %v; want %d out, %d in", concurrency, web, err, tt.concurrency, tt.got)
			}
		})
	}
}
