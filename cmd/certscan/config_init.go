package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"example.com/certscan/internal/config"
	"example.com/certscan/internal/discover"
	"example.com/certscan/internal/inventory"
)

func newConfigInitCommand(io streams) *cobra.Command {
	var f targetFlags
	var output string
	cmd := &cobra.Command{
		Use:   "init [flags] [TARGET...]",
		Short: "Write a configuration to begin with",
		Long: `init writes a commented configuration that watches the targets that are named.
A list given with -f stays where it is and is named as a file, which serve reads
again and again; standard input is written into the configuration.`,
		Example: `  certscan config init www.example.com smtp://mx.example.com > certscan.yaml
  certscan config init -f domains.txt --label environment=prod -o certscan.yaml
  certscan serve -c certscan.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := initialConfig(cmd, io, f, args)
			if err != nil {
				return err
			}
			if output == "" {
				_, err := fmt.Fprint(io.out, text)
				return err
			}
			return writeNew(output, text)
		},
	}
	f.add(cmd.Flags())
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE`, which may not be there yet, instead of standard output")
	return cmd
}

// writeNew writes a file that is not there: nobody's work is lost.
func writeNew(path, text string) error {
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return usagef("--output %q is there already: name another file", path)
	}
	if err != nil {
		return outputError(path, err)
	}
	_, err = w.WriteString(text)
	if err = errors.Join(err, w.Close()); err != nil {
		return outputError(path, err)
	}
	return nil
}

// initialConfig is a configuration for the targets that are named.
func initialConfig(cmd *cobra.Command, io streams, f targetFlags, args []string) (string, error) {
	note := noter(io)
	targets, bad, err := f.read(cmd.Context(), io, args, note, note)
	switch {
	case err != nil:
		return "", err
	case bad > 0:
		return "", usagef("%d rows of the lists are no targets: correct them first", bad)
	case len(targets) == 0:
		return "", usagef("nothing to watch: name a target, or give a list with -f FILE")
	}
	labels, err := parseLabels(f.labels)
	if err != nil {
		return "", err
	}
	cfg := &config.Config{}
	own := config.Source{Name: "targets", Labels: labels}
	for _, t := range targets {
		if len(t.Sources) > 0 && strings.HasPrefix(t.Sources[0], "file:") {
			continue // its list is named below
		}
		t.Labels = maps.Clone(t.Labels)
		maps.DeleteFunc(t.Labels, func(k, v string) bool { return labels[k] == v }) // the source has it
		own.Targets = append(own.Targets, t)
	}
	if len(own.Targets) > 0 {
		cfg.Sources = append(cfg.Sources, own)
	}
	lists := config.Source{Name: "lists", Labels: labels, Protocol: inventory.TLS, Refresh: time.Minute, Min: 1, Shrink: 0.5}
	if f.starttls != "" {
		lists.Protocol = inventory.Protocol(f.starttls)
	}
	for _, name := range f.files {
		if name == discover.Stdin {
			continue
		}
		abs, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		lists.Files = append(lists.Files, abs)
	}
	if len(lists.Files) > 0 {
		cfg.Sources = append(cfg.Sources, lists)
	}
	sources, err := cfg.SourcesYAML()
	if err != nil {
		return "", err
	}
	return initHead + string(sources) + initTail, nil
}

const initHead = `# Configuration of certscan serve: docs/configuration.md explains every key, and
# docs/examples/certscan.yaml has all of them.
#
#   certscan config check certscan.yaml
#   certscan serve -c certscan.yaml

# What to watch. Targets are [PROTOCOL://]NAME[@ADDRESS][:PORT]; files are lists as
# scan -f reads them.
`

const initTail = `
# What follows are the defaults; take the # away to change one.

#scan:
#  interval: 1h          # between two examinations; sooner as expiry nears
#  timeout: 10s          # of one probe
#  resolvers: [192.0.2.53]

#tiers:                  # distances to expiry at which to tell
#  list: [60d, 30d, 14d, 7d, 3d]

#trust:
#  stores: [system]      # or mozilla, or files; the first decides
#  roots_for:            # the company's own CA, for its own targets alone
#    - targets: environment=internal
#      store: /etc/certscan/corp-roots.pem
#  revocation: soft      # or hard, or off

#web:
#  listen: 127.0.0.1:9887
#  config_file: web.yml  # TLS and authentication, before others can reach it

#store:
#  path: /var/lib/certscan/certscan.db  # instead of one in the state directory
#  retention: 400d
`
