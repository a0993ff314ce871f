//go:build unix

package unixsocket

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A socket that cannot be bound is closed again.
func TestBindThatFailsLeaksNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "taken")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	lowest := func() int { // the descriptor that comes next
		fd, err := unix.Dup(0)
		require.NoError(t, err)
		unix.Close(fd)
		return fd
	}
	before := lowest()
	const tries = 100 // what else goes on in this process may open or close a few
	for range tries {
		_, err := bind(path)
		require.ErrorIs(t, err, unix.EADDRINUSE)
	}
	require.Less(t, lowest(), before+tries)
}

// Whoever finds a socket finds somebody who listens there, also where that process
// is stopped as it makes the socket.
func TestSocketIsListenedAtFromTheFirst(t *testing.T) {
	s := spawned(t)
	b, _ := joined(t, s, "b")
	path := filepath.Join(s.Route(), "a")
	_, says, orders := started(t, "slow", s.Route())
	goOn := func() {
		require.Equal(t, "begun", line(t, says))
		_, err := os.Lstat(path)
		require.ErrorIs(t, err, os.ErrNotExist)
		_, err = orders.Write([]byte("\n"))
		require.NoError(t, err)
	}
	goOn()
	require.Equal(t, "ready", line(t, says))
	require.NoError(t, os.Remove(path)) // and it listens again
	goOn()
	send(t, b, "a", "there you are") // waits for it
	fetched(t, b, 1)
	drafts, err := os.ReadDir(filepath.Join(s.Route(), ".ipcmgr/tmp"))
	require.NoError(t, err)
	require.Empty(t, drafts)
}
