package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"example.com/certscan/dashboards"
	"example.com/certscan/internal/report"
)

func newDashboardsCommand(io streams) *cobra.Command {
	var f dashboardsFlags
	cmd := &cobra.Command{
		Use:   "dashboards [" + strings.Join(dashboards.Names(), "|") + "]",
		Short: "Print the Grafana dashboards for your tiers and labels",
		Long: `Print dashboards for Grafana 10 or newer that read certscan's metrics from
Prometheus: the whole fleet and what expires next (fleet), one target with what
each of its addresses serves and served (endpoint), and certscan itself
(operations).

With a name, that one on standard output, to be imported or mounted; with
--output, that one or all of them as files in a directory, to be provisioned.

With --config, they fit a daemon: tiers and labels come from its configuration.`,
		Example: `  certscan dashboards -c /etc/certscan/certscan.yaml \
    -o /var/lib/grafana/dashboards/certscan
  certscan dashboards fleet > fleet.json
  certscan dashboards -o . --tiers 45d,21d,10d,3d --labels owner,team \
    --docs-base https://wiki.example.com/certscan`,
		RunE:      func(cmd *cobra.Command, args []string) error { return f.print(cmd.Flags(), io, args) },
		ValidArgs: dashboards.Names(),
	}
	fs := cmd.Flags()
	fs.StringVarP(&f.dir, "output", "o", "", "write NAME.json into the directory `DIR`, for all dashboards or the one that is named")
	f.metricsFlags.add(fs, "a `LIST` of the labels of targets to choose by; empty for none")
	fs.StringVar(&f.opt.DocsBase, "docs-base", dashboards.DefaultDocsBase, "the `URL` where docs/ is published, for links to runbooks and findings")
	return cmd
}

type dashboardsFlags struct {
	metricsFlags
	opt dashboards.Options
	dir string
}

func (f *dashboardsFlags) print(fs *pflag.FlagSet, s streams, args []string) error {
	names := dashboards.Names()
	switch {
	case len(args) == 1:
		names = args
	case len(args) > 1:
		return usagef("dashboards %s: want one of %s", strings.Join(args, " "), strings.Join(names, ", "))
	case f.dir == "":
		return usagef("which dashboard? Name one of %s, or write all of them with -o DIR", strings.Join(names, ", "))
	}
	if f.opt.DocsBase == "" {
		return usagef("--docs-base wants a value")
	}
	m, err := f.load(fs)
	if err != nil {
		return err
	}
	f.opt.Tiers, f.opt.Reference, f.opt.AbsoluteTiers, f.opt.Labels = m.List, m.Reference, m.Absolute, m.labels
	texts := make(map[string]string)
	for _, name := range names {
		var text strings.Builder
		if err := dashboards.Write(&text, name, f.opt); err != nil {
			return f.wrong(err)
		}
		texts[name] = text.String()
	}
	if f.dir == "" {
		return writeText(s, "", texts[names[0]])
	}
	if st, err := os.Stat(f.dir); err != nil || !st.IsDir() {
		return usagef("--output %q is not a directory: create it first", f.dir)
	}
	for _, name := range names {
		if err := writeText(s, filepath.Join(f.dir, name+".json"), texts[name]); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.err, "certscan: %d dashboards in %s\n", len(names), f.dir)
	return nil
}

// writeText writes to a file, or to standard output if path is "".
func writeText(s streams, path, text string) error {
	return listing(s, outputFlags{output: path}, now(), nil, func(w writer, _ report.Options) error {
		_, err := io.WriteString(w, text)
		return err
	})
}
