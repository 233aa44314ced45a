package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"example.com/certscan/alerts"
	"example.com/certscan/internal/config"
	"example.com/certscan/internal/inventory"
)

// configFlag names the configuration of serve.
type configFlag struct{ path string }

func (f *configFlag) add(fs *pflag.FlagSet, usage string) {
	fs.StringVarP(&f.path, "config", "c", "", usage)
}

// load reads the configuration, and no file that it names: it may be written
// elsewhere than it runs.
func (f *configFlag) load() (*config.Config, error) {
	cfg, err := loadConfig(f.path, configParsers())
	if err != nil {
		return nil, usageError{err}
	}
	return cfg, nil
}

// metricsFlags say what the metrics are like that rules and dashboards read.
type metricsFlags struct {
	config        configFlag
	tiers, labels string
	absolute      bool
}

func (f *metricsFlags) add(fs *pflag.FlagSet, labels string) {
	f.config.add(fs, "take what is not given as a flag from the configuration of serve, a `FILE` (YAML)")
	fs.StringVar(&f.tiers, "tiers", "60d,30d,14d,7d,3d", "distances to expiry at which to tell, a `LIST`, for lifetimes of 90 days or more; shorter ones in proportion")
	fs.BoolVar(&f.absolute, "absolute-tiers", false, "keep tiers at these distances for short lifetimes, too")
	fs.StringVar(&f.labels, "labels", strings.Join(inventory.DefaultLabels(), ","), labels)
}

// shownMetrics are what the daemon shows, as far as rules and dashboards differ
// for it.
type shownMetrics struct {
	config.Tiers
	labels     []string
	detail     string
	staleAfter time.Duration
}

// load returns what the flags in fs say, and for the rest the configuration; or
// its defaults, which are those of the flags.
func (f *metricsFlags) load(fs *pflag.FlagSet) (m shownMetrics, err error) {
	cfg := config.Default()
	if f.config.path != "" {
		if cfg, err = f.config.load(); err != nil {
			return m, err
		}
	}
	shown := serveConfig{Config: cfg}.exportSettings()
	m = shownMetrics{Tiers: cfg.Tiers, detail: alerts.DetailAll, staleAfter: max(time.Minute, shown.StaleAfter.Round(time.Second))}
	if cfg.Metrics.Detail == config.DetailNone {
		m.detail = alerts.DetailNone
	}
	if fs.Changed("tiers") {
		if m.List, err = parseTiers(f.tiers); err != nil {
			return m, err
		}
	}
	if fs.Changed("absolute-tiers") {
		m.Absolute = f.absolute
	}
	if fs.Changed("labels") {
		m.labels = splitLabels(f.labels)
		return m, nil
	}
	m.labels = []string{} // none is not the default
	for _, l := range cfg.Metrics.Labels {
		m.labels = append(m.labels, inventory.MetricLabel(l))
	}
	return m, nil
}

// wrong is what is said of settings that rules or dashboards cannot be printed
// for.
func (f *metricsFlags) wrong(err error) error {
	if f.config.path != "" {
		err = fmt.Errorf("%w; where %q says so, flags can say otherwise", err, f.config.path)
	}
	return usageError{err}
}

// splitLabels reads a list of labels, as the metrics have them; an empty one is
// none, and not the default.
func splitLabels(list string) []string {
	labels := []string{}
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			labels = append(labels, strings.ToLower(part))
		}
	}
	return labels
}
