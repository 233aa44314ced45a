package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"example.com/certscan/internal/certfile"
	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
)

// buildVersion is set by the linker in a release build.
var buildVersion string

// version is the linker's word, or what the Go tool knows of the build.
func version() string {
	if buildVersion != "" {
		return buildVersion
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel " + s.Value[:12]
		}
	}
	return "devel"
}

func newVersionCommand(io streams) *cobra.Command {
	out := outputFlags{}
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version, Go's, and the dates of the trust stores",
		Example: `  certscan version --format json`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			if err := out.check(); err != nil {
				return err
			}
			return printVersion(io, out.format)
		},
	}
	out.add(cmd.Flags(), "table", "json")
	return cmd
}

// printVersion says what this build is and how old what it trusts is.
func printVersion(io streams, format string) error {
	stores, err := evidence.Stores([]string{"system", "mozilla"}, evidence.StoreOptions{Decode: certfile.Decode})
	if err != nil {
		return err
	}
	type store struct {
		Name         string `json:"name"`
		Date         string `json:"date"`
		Certificates int    `json:"certificates"`
		Note         string `json:"note,omitempty"`
	}
	v := struct {
		Version string  `json:"version"`
		Go      string  `json:"go"`
		System  string  `json:"platform"`
		Stores  []store `json:"trust_stores"`

		Distrust []inventory.DistrustInfo `json:"distrust_lists"`
	}{version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, nil, nil}
	for _, s := range stores {
		v.Stores = append(v.Stores, store{s.Name, s.Date, len(s.Anchors), s.Note})
	}
	t := trust{stores: stores}
	if t.distrust, err = evidence.DistrustLists(nil); err != nil {
		return err
	}
	var info inventory.ScanInfo
	t.note(&info)
	v.Distrust = info.Distrust
	if format == "json" {
		enc := json.NewEncoder(io.out)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	w := tabwriter.NewWriter(io.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "certscan\t%s\ngo\t%s %s\n", v.Version, v.Go, v.System)
	for _, s := range v.Stores {
		fmt.Fprintf(w, "trust store %s\t%s, %d certificates", s.Name, orUnknown(s.Date), s.Certificates)
		if s.Note != "" {
			fmt.Fprintf(w, " (%s)", s.Note)
		}
		fmt.Fprintln(w)
	}
	for _, l := range v.Distrust {
		fmt.Fprintf(w, "distrust list %s\t%s, %d entries\n", l.Name, orUnknown(l.Date), l.Entries)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	t.tellStale(nil, noter(io))
	return nil
}

func orUnknown(s string) string {
	if s == "" {
		return "date unknown"
	}
	return s
}

// noArguments refuses arguments to a command that takes none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no argument, got %q", cmd.Name(), args[0])
	}
	return nil
}
