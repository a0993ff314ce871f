package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/internal/byname"
)

// The exit statuses.
const (
	statusDone = iota
	statusFailed
	statusUsage
	statusMissing // no such store or peer, or not any more
	statusTimeout
)

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
	var clauses []string
	for _, err := range apart(err) {
		text := err.Error()
		if unknown := new(byname.Unknown); errors.As(err, &unknown) {
			text = strings.ReplaceAll(text, unknown.Import, "")
		}
		if way := wayOut(err); way != "" {
			text += ": " + way
		}
		clauses = append(clauses, text)
	}
	fmt.Fprintln(stderr, "ipcmgr: "+oneLine(strings.Join(clauses, "\n")))
	return statusOf(err)
}

// apart takes joined errors apart: each has a way out of its own.
func apart(err error) (all []error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	for _, err := range joined.Unwrap() {
		all = append(all, apart(err)...)
	}
	return all
}

// wayOut says what the user can do about an error of the library, in terms of
// the command.
func wayOut(err error) string {
	switch {
	case errors.Is(err, ipcmgr.ErrNoStore):
		return "ipcmgr spawn makes a store"
	case errors.Is(err, ipcmgr.ErrNoPeer), errors.Is(err, ipcmgr.ErrPeerGone), errors.Is(err, ipcmgr.ErrPeerCrashed):
		return "ipcmgr peers lists those there are"
	case errors.Is(err, ipcmgr.ErrPeerActive):
		return "end that process, or use another id with --as"
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
	case errors.Is(err, ipcmgr.ErrNoStore),
		errors.Is(err, ipcmgr.ErrNoPeer), errors.Is(err, ipcmgr.ErrPeerGone), errors.Is(err, ipcmgr.ErrPeerCrashed):
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
