package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// usageError says that the command was called wrongly.
type usageError struct {
	err error
	cmd string // where to read more
}

func (e *usageError) Error() string { return fmt.Sprintf("%v (see %s --help)", e.err, e.cmd) }
func (e *usageError) Unwrap() error { return e.err }

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...), cmd: cmd.CommandPath()}
}

// noArgs refuses arguments; cobra's own takes them for commands.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

// flagError says what cobra's errors about flags leave open.
func flagError(_ *cobra.Command, err error) error {
	var unknown interface{ GetSpecifiedShortnames() string }
	if errors.As(err, &unknown) && startsWithDigit(unknown.GetSpecifiedShortnames()) {
		return fmt.Errorf("%w: put -- before a negative number", err)
	}
	if bad := new(strconv.NumError); errors.As(err, &bad) {
		why := "out of range"
		switch {
		case bad.Func == "ParseBool":
			why = "neither true nor false"
		case errors.Is(bad, strconv.ErrSyntax):
			why = "not a whole number"
		}
		return errors.New(strings.Replace(err.Error(), bad.Error(), why, 1))
	}
	return err
}

func startsWithDigit(s string) bool { return s != "" && '0' <= s[0] && s[0] <= '9' }

// refuseUnknownTopics makes "help" fail for what is no command; cobra's own
// shows the root's help.
func refuseUnknownTopics(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		panic(err) // it was added just now
	}
	show := help.Run
	help.RunE = func(cmd *cobra.Command, args []string) error {
		if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
			return usagef(root, "there is no command %q", strings.Join(args, " "))
		}
		show(cmd, args)
		return nil
	}
}
