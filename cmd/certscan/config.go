package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"example.com/certscan/internal/certfile"
	"example.com/certscan/internal/config"
	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/fetch"
	"example.com/certscan/internal/report"
	"example.com/certscan/internal/resolve"
	"example.com/certscan/internal/server"
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

// tryFile reads a file that a configuration names as serve would.
func tryFile(key, path string, note func(string, ...any)) error {
	var err error
	var odd []error
	switch key {
	case "trust.stores":
		if err = plainFile(path); err == nil {
			_, err = evidence.Stores([]string{path}, evidence.StoreOptions{Decode: certfile.Decode})
		}
	case "trust.distrust":
		_, err = evidence.DistrustLists([]string{path})
	case "trust.onecrl":
		_, odd, err = readOneCRL(path)
	case "trust.ct_log_list":
		_, err = readLogList(path, note)
	case "trust.weak_keys":
		_, err = readBlocklist(path)
	case "trust.proxy_file":
		var proxy string
		if proxy, err = readProxy(path); err == nil {
			_, err = fetch.New(fetch.Options{Proxy: proxy})
		}
	case "web.config_file":
		err = server.CheckConfig(path)
	}
	for _, p := range odd {
		note("%s: %q: %v", key, path, p)
	}
	return err
}

func newConfigCommand(io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check, print and begin the configuration of serve",
		Args:  commandsOnly,
		RunE:  showHelp,
	}
	cmd.AddCommand(newConfigCheckCommand(io), newConfigPrintCommand(io), newConfigInitCommand(io))
	return cmd
}

func newConfigCheckCommand(io streams) *cobra.Command {
	var formOnly bool
	cmd := &cobra.Command{
		Use:   "check FILE...",
		Short: "Tell everything that is wrong with a configuration",
		Long: `check reads a configuration, or a file with a policy or waivers, as the other
commands do, with the files that it names: trust stores, lists, the web
configuration. All mistakes are told at once, each with file, line, column and
path, and the exit status is 2. Lists of targets are read as well; what is wrong
with those is only noted, as serve goes on with the last good ones.`,
		Example: `  certscan config check /etc/certscan/certscan.yaml
  # in CI, elsewhere than it runs
  certscan config check --form-only certscan.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("want the FILE to check")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var problems []error
			for _, path := range args {
				if err := checkConfig(cmd.Context(), io, path, formOnly); err != nil {
					problems = append(problems, err)
				}
			}
			if len(problems) > 0 {
				return usageError{errors.Join(problems...)}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&formOnly, "form-only", false, "do not look at the files that it names")
	return cmd
}

// checkConfig says what is wrong with the file at path, or what is in it.
func checkConfig(ctx context.Context, io streams, path string, formOnly bool) error {
	parsers, note := configParsers(), noter(io)
	if !formOnly {
		parsers.File = func(key, path string) error { return tryFile(key, path, note) }
	}
	cfg, err := loadConfig(path, parsers)
	if err != nil {
		return err
	}
	listed, unread := 0, false
	for _, s := range cfg.Sources {
		listed += len(s.Targets)
		unread = unread || formOnly && len(s.Files) > 0
		if len(s.Files) == 0 || formOnly {
			continue
		}
		targets, err := readFiles(ctx, s)
		for _, line := range linesOfErrors(err) {
			note("source %s: %s", s.Name, line)
		}
		if n := len(targets); err == nil && n < s.Min {
			note("source %s: has %d targets, and min_targets is %d", s.Name, n, s.Min)
		}
		listed += len(targets)
	}
	switch {
	case len(cfg.Sources) == 0:
		note("%s names no sources, so there is nothing to watch: certscan serve needs sources with targets or files, scan --policy needs none", path)
	case listed == 0 && !unread:
		note("%s: no source has a target, so nothing would be watched", path)
	}
	targets := strconv.Itoa(listed)
	if unread {
		targets += " and those of files, which were not read"
	}
	_, err = fmt.Fprintf(io.out, "%s: good (sources: %d, targets: %s, rules: %d, waivers: %d)\n",
		report.Clean(path), len(cfg.Sources), targets, len(cfg.Policy.Rules), len(cfg.Waivers))
	return err
}

// loadConfig reads a configuration, from anything but a pipe.
func loadConfig(path string, parsers config.Parsers) (*config.Config, error) {
	if err := plainFile(path); err != nil {
		return nil, err
	}
	return config.Load(path, parsers)
}

// linesOfErrors takes apart what [errors.Join] put together.
func linesOfErrors(err error) []string {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []string{err.Error()}
	}
	var lines []string
	for _, e := range joined.Unwrap() {
		lines = append(lines, e.Error())
	}
	return lines
}

func newConfigPrintCommand(io streams) *cobra.Command {
	var file configFlag
	var defaults bool
	cmd := &cobra.Command{
		Use:   "print -c FILE | --defaults",
		Short: "Print what holds: a configuration with the defaults filled in",
		Long: `print writes a configuration with every value that holds, whether the file says
so or not, and absolute paths: as YAML that reads as the same again. It opens no
file that the configuration names, so what it prints has no secrets.`,
		Example: `  certscan config print -c certscan.yaml
  certscan config print --defaults
  certscan config print -c certscan.yaml |
    diff <(certscan config print --defaults) -`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			cfg := config.Default()
			switch {
			case defaults == (file.path != ""):
				return usagef("want -c FILE, or --defaults")
			case file.path != "":
				var err error
				if cfg, err = file.load(); err != nil {
					return err
				}
			}
			if cfg.Store.Path == "" {
				// Who has no state directory has no default.
				cfg.Store.Path, _ = historyPath("", io.env)
			}
			text, err := cfg.YAML()
			if err != nil {
				return err
			}
			_, err = io.out.Write(text)
			return err
		},
	}
	file.add(cmd.Flags(), "print this `FILE`")
	cmd.Flags().BoolVar(&defaults, "defaults", false, "print what holds where a file says nothing")
	return cmd
}
