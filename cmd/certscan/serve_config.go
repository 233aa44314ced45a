package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/certscan/internal/config"
	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/scan"
	"example.com/certscan/internal/verify"
)

// serveConfig is what a daemon is told to do.
type serveConfig struct {
	*config.Config
	trust *trust // given by demo and tests; otherwise the file says which
}

// load reads the configuration that the flags name.
func (f *serveFlags) load() (serveConfig, error) {
	if f.config == "" {
		return serveConfig{}, usagef("serve needs a configuration: give one with -c FILE; certscan config init writes one to begin with")
	}
	if err := plainFile(f.config); err != nil {
		return serveConfig{}, usageError{fmt.Errorf("--config: %w", err)}
	}
	cfg, err := config.Load(f.config, configParsers())
	if err != nil {
		return serveConfig{}, usageError{err}
	}
	if len(cfg.Sources) == 0 {
		none := errors.New("there is nothing to watch: name a source with targets or files under sources")
		return serveConfig{}, usageError{config.Problems{{File: f.config, Err: none}}}
	}
	return serveConfig{Config: cfg}, nil
}

// judging are the options and files that the configuration judges by.
func (c serveConfig) judging() (verify.Options, trustFlags, error) {
	t := c.Trust
	opt := verify.Options{Tiers: c.Tiers.List, Reference: c.Tiers.Reference, AbsoluteTiers: c.Tiers.Absolute}
	required := requirementFlags{profile: t.Profile, weakKeys: t.WeakKeys}
	f := trustFlags{
		transparencyFlags: transparencyFlags{logList: t.CTLogList},
		revocationFlags:   revocationFlags{revocation: string(t.Revocation), oneCRL: t.OneCRL},
		roots:             slices.Clone(t.Stores), distrust: t.Distrust,
	}
	for _, r := range t.RootsFor {
		f.rootsFor = append(f.rootsFor, r.Targets.String()+"="+r.Store)
	}
	return opt, f, required.apply(&opt)
}

// proxy is what evidence is fetched through.
func (c serveConfig) proxy() (string, error) {
	if c.Trust.ProxyFile == "" {
		return c.Trust.Proxy, nil
	}
	proxy, err := readProxy(c.Trust.ProxyFile)
	if err != nil {
		return "", fmt.Errorf("trust.proxy_file: %w", err)
	}
	return proxy, nil
}

// readProxy reads a file with the URL of a proxy, which may have a password.
func readProxy(path string) (string, error) {
	const most = 4 << 10
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if len(b) > most {
		return "", fmt.Errorf("%q is longer than %d octets", path, most)
	}
	return strings.TrimSpace(string(b)), nil
}

func (c serveConfig) schedule() scan.ScheduleOptions {
	s := c.Scan
	return scan.ScheduleOptions{Interval: s.Interval, Extras: s.Extras, Work: inventory.Work{
		FirstOnly: s.FirstOnly, Mode: inventory.ModeFull, Offers: s.Offers, Accepts: s.Accepts, Timeout: s.Timeout, Retries: s.Retries,
	}}
}

// sources are where targets come from.
func (c serveConfig) sources() (list []discover.Source) {
	for _, s := range c.Sources {
		out := discover.Source{Name: s.Name, Kind: s.Kind(), Every: s.Refresh, Min: s.Min, Shrink: s.Shrink}
		if len(s.Files) > 0 {
			out.Read = func(ctx context.Context) ([]inventory.Target, error) { return readFiles(ctx, s) }
		} else {
			targets := slices.Clone(s.Targets)
			for i := range targets {
				targets[i].Labels, targets[i].Sources = withDefaults(targets[i].Labels, s.Labels), []string{s.Name}
			}
			out.Every, out.Shrink = 24*time.Hour, 1 // a person removed them
			out.Read = func(context.Context) ([]inventory.Target, error) { return targets, nil }
		}
		list = append(list, out)
	}
	return list
}

// readFiles reads all lists of a source. One bad row makes it fail: half a list
// is no list to drop targets by.
func readFiles(ctx context.Context, s config.Source) (targets []inventory.Target, err error) {
	var problems []error
	for _, pattern := range s.Files {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", pattern, err)
		}
		if len(paths) == 0 {
			problems = append(problems, fmt.Errorf("there is no file %q", pattern))
		}
		for _, path := range paths {
			if err := plainFile(path); err != nil {
				return nil, err
			}
			for t, err := range discover.ReadFile(path, discover.Options{Protocol: s.Protocol}) {
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				if err != nil {
					problems = append(problems, err)
					continue
				}
				t.Labels, t.Sources = withDefaults(t.Labels, s.Labels), []string{s.Name}
				targets = append(targets, t)
			}
		}
	}
	if more := len(problems) - maxBadRows; more > 0 {
		problems = append(problems[:maxBadRows], fmt.Errorf("and %d more", more))
	}
	return targets, errors.Join(problems...)
}
