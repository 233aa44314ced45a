package dashboards

import "embed"

// Files are what is checked in: the dashboards as Write prints them by default,
// and the metrics that they read.
//
//go:embed *.json metrics.txt
var Files embed.FS
