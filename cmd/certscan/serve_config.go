package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"example.com/certscan/internal/config"
	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/probe"
	"example.com/certscan/internal/store"
	"example.com/certscan/internal/verify"
)

// serveConfig is what a daemon is told to do.
type serveConfig struct {
	sources []discover.Source

	interval    time.Duration // between two examinations of a target
	extras      time.Duration // between two with all offers
	confirm     time.Duration // until a failure is looked at again
	timeout     time.Duration // of one probe
	retries     int
	concurrency int
	perAddress  int
	resolver    []string
	stop        time.Duration // how long what is in flight may take when the daemon stops

	judging    judgeFlags
	trust      *trust // given by demo and tests; otherwise judging says which
	policies   *policies
	allowFetch []string
	fetchProxy string

	db        storeFlags
	retention time.Duration
}

// defaultServeConfig watches nothing.
func defaultServeConfig() serveConfig {
	var c serveConfig
	c.interval, c.extras, c.confirm = time.Hour, 24*time.Hour, time.Minute
	c.timeout, c.retries, c.concurrency, c.perAddress = 10*time.Second, 1, 256, 2
	c.judging.profile, c.judging.tiers = string(verify.ProfileAuto), "60d,30d,14d,7d,3d"
	c.retention = store.Retention
	return c
}

// load reads the configuration that the flags name.
func (f *serveFlags) load(streams) (serveConfig, error) {
	if f.config == "" {
		return serveConfig{}, usagef("serve needs a configuration: give one with -c FILE")
	}
	if err := plainFile(f.config); err != nil {
		return serveConfig{}, usageError{fmt.Errorf("--config: %w", err)}
	}
	cfg, err := config.Load(f.config, configParsers())
	if err != nil {
		return serveConfig{}, usageError{err}
	}
	return fromConfig(cfg), nil
}

// fromConfig takes over what a file says.
func fromConfig(cfg *config.Config) serveConfig {
	c := defaultServeConfig()
	c.policies = newPolicies(cfg, now())
	return c
}

// options are those of judging that the configuration alone says.
func (c *serveConfig) options() (opt verify.Options, err error) {
	if opt.Tiers, err = parseTiers(c.judging.tiers); err != nil {
		return opt, err
	}
	opt.Remember = 1024
	return opt, c.judging.requirementFlags.apply(&opt)
}

// work is how targets are examined.
func (c *serveConfig) work() inventory.Work {
	return inventory.Work{Mode: inventory.ModeFull, Timeout: c.timeout, Retries: c.retries}
}

func (c *serveConfig) prober() *probe.Prober { return probe.New(probe.Options{}) }

// listSource is a source whose targets stand in the configuration.
func listSource(name string, targets []inventory.Target) discover.Source {
	for i := range targets {
		targets[i].Sources = []string{name}
	}
	return discover.Source{
		Name: name, Kind: "list", Every: 24 * time.Hour,
		Read: func(context.Context) ([]inventory.Target, error) { return targets, nil },
	}
}

// fileSource is a source that reads the files that a pattern matches. Rows that
// are wrong make it fail: half a list is no list to drop targets by.
func fileSource(pattern string, every time.Duration, labels map[string]string) discover.Source {
	name := "file:" + pattern
	return discover.Source{Name: name, Kind: "file", Every: every, Read: func(ctx context.Context) ([]inventory.Target, error) {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", pattern, err)
		}
		if len(paths) == 0 {
			return nil, fmt.Errorf("no file is there: %q", pattern)
		}
		var targets []inventory.Target
		var problems []error
		for _, path := range paths {
			if err := plainFile(path); err != nil {
				return nil, err
			}
			for t, err := range discover.ReadFile(path, discover.Options{}) {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				if err != nil {
					problems = append(problems, err)
					continue
				}
				t.Labels, t.Sources = withDefaults(t.Labels, labels), []string{name}
				targets = append(targets, t)
			}
		}
		return targets, errors.Join(slices.Clip(problems[:min(len(problems), maxBadRows)])...)
	}}
}
