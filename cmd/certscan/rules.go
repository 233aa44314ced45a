package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"example.com/certscan/alerts"
	"example.com/certscan/internal/inventory"
)

// ruleFiles are the files that go with the rules, by the name they are asked
// for.
func ruleFiles() map[string]string {
	return map[string]string{
		"compat":       "compat.rules.yml",
		"alertmanager": "alertmanager.example.yml",
		"template":     "certscan.tmpl",
		"metrics":      "metrics.txt",
	}
}

func newRulesCommand(io streams) *cobra.Command {
	var f rulesFlags
	cmd := &cobra.Command{
		Use:   "rules [compat|alertmanager|template|metrics]",
		Short: "Print the Prometheus alerting rules for your tiers and labels",
		Long: `Print the rules that raise alerts from certscan's metrics: tiers of expiry, late
renewals, certificates that are not deployed, not trusted or revoked, and
certscan's own faults. They need Prometheus 2.42 or newer.

With --config, they fit a daemon: tiers, labels, detail and the age at which
scanning has stopped come from its configuration.

With a name, one of the files that go with them: recording rules for the series
of common tutorials (compat), an example for Alertmanager with routes by owner
and severity, the template of its messages, or the list of metrics that the
rules read.`,
		Example: `  certscan rules -c /etc/certscan/certscan.yaml \
    -o /etc/prometheus/rules/certscan.rules.yml
  certscan rules --tiers 45d,21d,10d,3d --labels owner,team \
    --runbook-base https://wiki.example.com/certscan
  certscan rules --format operator | kubectl apply -f -
  certscan rules alertmanager > /etc/alertmanager/alertmanager.yml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return f.printFile(cmd, io, args)
			}
			return f.print(cmd.Flags(), io)
		},
		ValidArgs: slices.Sorted(maps.Keys(ruleFiles())),
	}
	fs := cmd.Flags()
	f.metricsFlags.add(fs, "a `LIST` of the labels of targets that alerts carry; empty for none")
	fs.StringVar(&f.opt.RunbookBase, "runbook-base", alerts.DefaultRunbookBase, "the `URL` where docs/runbooks is published")
	fs.StringVar(&f.opt.Job, "job", "certscan.*", "a `REGEXP` for the names of the jobs that scrape certscan")
	fs.StringVar(&f.staleAfter, "stale-after", "2h30m", "`AGE` of the newest probe at which scanning has stopped: 2.5 scan intervals")
	fs.StringVar(&f.detail, "detail", alerts.DetailAll, "what metrics.detail is: `all` (also for attention), or none for rules on totals")
	f.out.add(fs, alerts.FormatPrometheus, alerts.FormatOperator)
	cmd.SetHelpFunc(func(c *cobra.Command, args []string) {
		for _, a := range args {
			if what, ok := aboutRuleFiles()[a]; ok {
				fmt.Fprintf(io.out, "Print %s, as it is.\n\nUsage:\n  certscan rules %s [-o FILE]\n", what, a)
				return
			}
		}
		c.Parent().HelpFunc()(c, args)
	})
	return cmd
}

// aboutRuleFiles says what each of them is.
func aboutRuleFiles() map[string]string {
	return map[string]string{
		"compat":       "recording rules for the series of common tutorials",
		"alertmanager": "an example for Alertmanager with routes by owner and severity",
		"template":     "the template of the messages in the example for Alertmanager",
		"metrics":      "the list of metrics that the rules read",
	}
}

type rulesFlags struct {
	metricsFlags
	opt                alerts.Options
	detail, staleAfter string
	out                outputFlags
}

func (f *rulesFlags) print(fs *pflag.FlagSet, io streams) error {
	if err := f.out.check(); err != nil {
		return err
	}
	m, err := f.load(fs)
	if err != nil {
		return err
	}
	if fs.Changed("stale-after") {
		if m.staleAfter, err = inventory.ParseDuration(f.staleAfter); err != nil || m.staleAfter == 0 {
			return usagef("--stale-after %q is not an age: want such as 2h30m", f.staleAfter)
		}
	}
	if fs.Changed("detail") {
		m.detail = f.detail
	}
	if f.opt.RunbookBase == "" || f.opt.Job == "" {
		return usagef("--runbook-base and --job want a value")
	}
	f.opt.Tiers, f.opt.Reference, f.opt.AbsoluteTiers, f.opt.Labels = m.List, m.Reference, m.Absolute, m.labels
	f.opt.StaleAfter, f.opt.Detail, f.opt.Format = m.staleAfter, m.detail, f.out.format
	var text strings.Builder
	if err := alerts.Write(&text, f.opt); err != nil {
		return f.wrong(err)
	}
	if m.detail == alerts.DetailNone && !fs.Changed("detail") {
		fmt.Fprintln(io.err, "certscan: metrics.detail is none, so these are rules on totals; if /metrics/targets is scraped, too, print them with --detail all")
	}
	return f.answer(io, text.String())
}

// printFile prints a file that goes with the rules, which no flag changes.
func (f *rulesFlags) printFile(cmd *cobra.Command, io streams, args []string) error {
	file, ok := ruleFiles()[args[0]]
	if !ok || len(args) > 1 {
		return usagef("rules %s: want none or one of %s", strings.Join(args, " "), strings.Join(cmd.ValidArgs, ", "))
	}
	for _, name := range []string{"config", "tiers", "absolute-tiers", "labels", "runbook-base", "job", "stale-after", "detail", "format"} {
		if cmd.Flags().Changed(name) {
			return usagef("--%s changes nothing in %s, which is printed as it is", name, args[0])
		}
	}
	text, err := alerts.Files.ReadFile(file)
	if err != nil {
		return fmt.Errorf("embedded %s: %w", file, err)
	}
	return f.answer(io, string(text))
}

func (f *rulesFlags) answer(s streams, text string) error { return writeText(s, f.out.output, text) }
