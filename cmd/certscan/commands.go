package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// finishCommands gives root the commands that cobra has for every program, and
// makes them and those that only hold others answer a wrong name with an error:
// cobra prints help to standard output and calls that a success.
func finishCommands(root *cobra.Command) {
	root.SetHelpCommand(&cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Print the help of a command",
		Example: "  certscan help scan",
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("there is no help for %q: %s", strings.Join(args, " "), "certscan help lists the commands")
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd("") // only then is it there to be changed
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Short = "Print a script that completes commands and flags in a shell"
			cmd.Args, cmd.RunE = commandsOnly, showHelp
			for _, shell := range cmd.Commands() {
				shell.Long = strings.ReplaceAll(shell.Long, "via your OS's package manager", "from your system's packages")
			}
		}
	}
	refuseEmpty(root)
}

// emptyHasMeaning are the flags of which an empty value says something.
func emptyHasMeaning(flag string) bool { return flag == "labels" } // of rules and dashboards: none

// refuseEmpty makes cmd and all below it take an empty value of a flag for the
// mistake that it is, most often a variable that is not set: the commands
// themselves take it for a flag that was not given.
func refuseEmpty(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		refuseEmpty(sub)
	}
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) (err error) {
		cmd.Flags().Visit(func(f *pflag.Flag) {
			values := []string{f.Value.String()}
			if list, ok := f.Value.(pflag.SliceValue); ok {
				values = list.GetSlice()
			}
			if slices.Contains(values, "") && !emptyHasMeaning(f.Name) {
				want, _ := pflag.UnquoteUsage(f)
				err = usagef("--%s is empty: want %s, or leave the flag out", f.Name, want)
			}
		})
		if err != nil || check == nil {
			return err
		}
		return check(cmd, args)
	}
}

// commandsOnly refuses arguments to a command that only holds others.
func commandsOnly(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownCommand(cmd, args[0])
	}
	return nil
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func unknownCommand(cmd *cobra.Command, name string) error {
	hint := ""
	cmd.SuggestionsMinimumDistance = 2 // two slips of the finger
	if similar := cmd.SuggestionsFor(name); len(similar) > 0 {
		hint = "; did you mean " + strings.Join(similar, " or ") + "?"
	}
	return usagef("%s has no command %q%s", cmd.CommandPath(), name, hint)
}

// flagError says what a flag wants, where pflag says how parsing failed.
func flagError(err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	flag, want := invalid.GetFlag(), ""
	switch flag.Value.Type() {
	case "int":
		want = "want a whole number"
	case "duration":
		want = "want a number with a unit, such as " + (10 * time.Second).String()
	case "bool":
		want = "want true, false or nothing"
	default:
		return err
	}
	return fmt.Errorf("--%s %q: %s", flag.Name, invalid.GetValue(), want)
}
