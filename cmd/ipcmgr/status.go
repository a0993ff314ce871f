package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/byname"
)

// The exit statuses.
const (
	statusDone = iota
	statusFailed
	statusUsage
	statusMissing // no such store or peer
	statusTimeout
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

// timeoutError is the cause with which a context ends when the time that the
// user gave is over.
type timeoutError struct{ what string }

func (e *timeoutError) Error() string { return e.what }

// childStatus is how a program that was run for the user ended: it said itself
// what there was to say.
type childStatus int

func (s childStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// report prints an error as one line and returns the exit status.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return statusDone
	}
	var child childStatus
	if errors.As(err, &child) {
		return int(child)
	}
	text := err.Error()
	if unknown := new(byname.Unknown); errors.As(err, &unknown) {
		text = strings.ReplaceAll(text, unknown.Import, "")
	}
	text = oneLine(text)
	if way := wayOut(err); way != "" {
		text += ": " + way
	}
	fmt.Fprintln(stderr, "ipcmgr: "+text)
	return statusOf(err)
}

// wayOut says what the user can do about an error of the library, in terms of
// the command.
func wayOut(err error) string {
	switch {
	case errors.Is(err, ipcmgr.ErrNoStore):
		return "ipcmgr spawn makes a store"
	case errors.Is(err, ipcmgr.ErrNoPeer), errors.Is(err, ipcmgr.ErrPeerGone):
		return "ipcmgr peers lists those there are"
	case errors.Is(err, ipcmgr.ErrStoreExists):
		return "use it with --store, or remove it with ipcmgr rm"
	case errors.Is(err, ipcmgr.ErrOwned):
		return "end its owner, or use --force"
	}
	return ""
}

func statusOf(err error) int {
	switch {
	case errors.As(err, new(*usageError)), errors.Is(err, ipcmgr.ErrBadID):
		return statusUsage
	case errors.As(err, new(*timeoutError)):
		return statusTimeout
	case errors.Is(err, ipcmgr.ErrNoStore), errors.Is(err, ipcmgr.ErrNoPeer), errors.Is(err, ipcmgr.ErrPeerGone):
		return statusMissing
	}
	return statusFailed
}

// oneLine joins the lines of joined errors, and shows what else would move the
// cursor of a terminal.
func oneLine(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	var b strings.Builder
	for _, r := range strings.Join(lines, "; ") {
		if unprintable(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
