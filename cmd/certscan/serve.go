package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
)

// serveFlags are the flags of serve.
type serveFlags struct {
	config    string
	logFormat string
	logLevel  string
}

func newServeCommand(io streams) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve -c FILE",
		Short: "Watch endpoints all the time, and tell Prometheus",
		Long: `serve examines the targets of a configuration again and again, spread over the
interval, keeps what it sees as scan does, judges it anew when time alone
changes the verdict, and serves it to Prometheus.

It reads the configuration again on SIGHUP; one with a mistake is refused and
the old one stays. SIGTERM and Ctrl-C stop it; what was seen until then is kept.`,
		Example: `  certscan config init www.example.com > certscan.yaml
  certscan serve -c certscan.yaml`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.load()
			if err != nil {
				return err
			}
			log, err := newLog(io, f.logFormat, f.logLevel)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), io, log, cfg, f.load)
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&f.config, "config", "c", "", "read the configuration from `FILE` (YAML)")
	fs.StringVar(&f.logFormat, "log-format", "text", "write logs as `FORMAT`: text or json")
	fs.StringVar(&f.logLevel, "log-level", "info", "log from this `LEVEL` on: debug, info, warn, error")
	return cmd
}

// newLog returns the log of a daemon, on standard error.
func newLog(io streams, format, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usagef("--log-level %q is not known: want debug, info, warn or error", level)
	}
	opt := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(io.err, opt)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(io.err, opt)), nil
	}
	return nil, usagef("--log-format %q is not known: want text or json", format)
}

// serve runs a daemon until ctx ends. Everything long-lived is opened and
// started here, and has stopped and been closed when serve returns.
func serve(ctx context.Context, io streams, log *slog.Logger, cfg serveConfig, reread func() (serveConfig, error)) (err error) {
	d := &daemon{io: io, log: log, atStart: cfg, reread: reread}
	defer d.close()
	if err := d.open(ctx); err != nil {
		return err
	}
	if err := d.run(ctx); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
