package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"example.com/certscan/internal/evidence"
	"example.com/certscan/internal/inventory"
	"example.com/certscan/internal/report"
	"example.com/certscan/internal/store"
)

func newDBCommand(io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "db",
		Short: "Look after the file that keeps the history",
		Args:  commandsOnly,
		RunE:  showHelp,
	}
	cmd.AddCommand(newBackupCommand(io), newCheckCommand(io), newPruneCommand(io))
	return cmd
}

func newBackupCommand(io streams) *cobra.Command {
	var f storeFlags
	cmd := &cobra.Command{
		Use:     "backup FILE",
		Short:   "Make a consistent copy, also while a scan is writing",
		Example: `  certscan db backup /backup/certscan-$(date +%F).db`,
		Args:    oneArgument("the file to write"),
		RunE: func(cmd *cobra.Command, args []string) error {
			db, err := openReading(cmd.Context(), io, f)
			if err != nil {
				return err
			}
			defer db.Close()
			if err := db.Backup(cmd.Context(), args[0]); err != nil {
				return err
			}
			fmt.Fprintf(io.err, "certscan: backed up to %s\n", report.Clean(args[0]))
			return nil
		},
	}
	f.add(cmd.Flags())
	return cmd
}

func newCheckCommand(io streams) *cobra.Command {
	var f storeFlags
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Prove that the file is whole and means what it should",
		Example: `  certscan db check && certscan db backup /backup/certscan.db`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := openReading(cmd.Context(), io, f)
			if err != nil {
				return err
			}
			defer db.Close()
			problems, err := db.Check(cmd.Context())
			if err != nil {
				return err
			}
			for _, p := range problems {
				fmt.Fprintln(io.out, report.Clean(p))
			}
			if len(problems) > 0 {
				return fmt.Errorf("%d problems: restore a backup, or keep this file and start a new one with --db", len(problems))
			}
			fmt.Fprintln(io.out, "ok")
			return nil
		},
	}
	f.add(cmd.Flags())
	return cmd
}

func newPruneCommand(io streams) *cobra.Command {
	var f storeFlags
	var age string
	cmd := &cobra.Command{
		Use:     "prune",
		Short:   "Drop history that is older than is of use",
		Example: `  certscan db prune --older-than 90d`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := inventory.ParseDuration(age)
			if err != nil || d < 24*time.Hour {
				return usagef("--older-than %q: want a day or more, such as 400d", age)
			}
			db, err := openForChange(cmd.Context(), io, f)
			if err != nil {
				return err
			}
			defer db.Close()
			path, err := f.path(io.env)
			if err != nil {
				return err
			}
			return errors.Join(db.Prune(cmd.Context(), now().Add(-d)), evidence.RemoveUnused(crlDir(path), now()))
		},
	}
	cmd.Flags().StringVar(&age, "older-than", fmt.Sprintf("%dd", store.Retention/(24*time.Hour)), "drop what ended longer ago than `AGE`; what is current always stays")
	f.add(cmd.Flags())
	return cmd
}
