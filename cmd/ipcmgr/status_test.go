package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
)

// The way out stands behind the error that it is for, also where others follow.
func TestReportJoined(t *testing.T) {
	var out strings.Builder
	sent := fmt.Errorf("send: %w", ipcmgr.ErrNoPeer)
	left := &ipcmgr.UnreadError{ID: "a", From: map[string]int64{"b": 1}}
	require.Equal(t, statusMissing, report(&out, errors.Join(errors.Join(sent, left), nil)))
	require.Equal(t, "ipcmgr: send: no such peer: ipcmgr peers lists those there are; \"a\" left with unread messages: 1 from \"b\"\n", out.String())
}

// Text is quoted where it could be taken for quoted, and not because some of it
// is.
func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		`plain`: `plain`, `"quoted"`: `"\"quoted\""`, `"w" crashed`: `"w" crashed`, "a\tb": `"a\tb"`, `"w`: `"w`, "\xff": `"\xff"`, "": "",
	} {
		require.Equal(t, want, printable(text))
	}
}
