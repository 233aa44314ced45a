package main

import (
	"example.com/certscan/internal/config"
	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/fetch"
	"example.com/certscan/internal/resolve"
)

// configParsers make values in a configuration mean what they mean as flags.
func configParsers() config.Parsers {
	return config.Parsers{
		Target: discover.ParseTargetAs,
		Fetch: func(s string) error {
			_, _, err := fetch.ParseAllow([]string{s})
			return err
		},
		DNS: func(s string) error {
			_, err := resolve.New(resolve.Options{Servers: []string{s}})
			return err
		},
	}
}
