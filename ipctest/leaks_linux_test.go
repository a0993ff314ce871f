package ipctest_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ipcmgr/ipcmgr"
	"github.com/ipcmgr/ipcmgr/ipctest"
)

// What a test leaves behind in its own process is told, with the stack.
func TestLeaks(t *testing.T) {
	stay := make(chan struct{})
	var open []*os.File
	wait := flag.Lookup("ipctest.wait").Value
	defer flag.Set("ipctest.wait", wait.String())
	log := failing(t, func(t testing.TB) {
		st := ipctest.Store(t, ipcmgr.Config{Protocol: ipcmgr.Names{"fsqueue"}})
		t.Cleanup(func() { require.NoError(t, wait.Set("1s")) }) // they do not end
		go forgotten(stay)
		f, err := os.Open(st.Info().Route)
		require.NoError(t, err)
		r, w, err := os.Pipe()
		require.NoError(t, err)
		elsewhere, err := os.Open(os.DevNull) // the test's own business
		require.NoError(t, err)
		open = append(open, f, r, w, elsewhere)
	})
	close(stay)
	for _, f := range open {
		require.NoError(t, f.Close())
	}
	require.Contains(t, log, "left behind: goroutine")
	require.Contains(t, log, "ipctest_test.forgotten")
	require.Regexp(t, `left behind: descriptor \d+ of .*/ipcmgr[^/]*/`, log)
	require.Regexp(t, `left behind: descriptor \d+ of pipe:`, log)
	require.NotContains(t, log, filepath.Base(os.DevNull))
}

func forgotten(stay chan struct{}) { <-stay }
